/* "TARGET LF HOST": what is taken has a path, a host the routes can know, and a copy like it. */
#include "proto/uri.h"
#include "proxy/clientreq.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), target = STR("");
    struct http1_head head = {.method = STR("GET")};
    struct clientreq c, copy;
    struct err e = {""};
    int status;
    str_split(&rest, '\n', &target);
    head.target = target;
    headers_init(&head.headers);
    headers_view(&head.headers, STR("Host"), rest.ptr != NULL ? rest : STR(""));
    status = clientreq_init(&c, &head, false, &e);
    if ((status != 0) != (e.text[0] != '\0'))
        abort();
    if (status == 0) {
        struct str host;
        uint16_t port;
        if (*c.path.ptr != '/' || c.path_len == 0 || c.path_len > c.path.len)
            abort();
        if (uri_host_port(c.authority, &host, &port) != 0 || !str_eq(host, c.host))
            abort();
        for (size_t i = 0; i < c.authority.len; i++)
            if (c.authority.ptr[i] >= 'A' && c.authority.ptr[i] <= 'Z')
                abort();
        clientreq_copy(&copy, &c);
        if (!str_eq(copy.path, c.path) || !str_eq(copy.host, c.host) || copy.headers.n != c.headers.n)
            abort();
        clientreq_clear(&copy);
    }
    clientreq_clear(&c);
    headers_clear(&head.headers);
    return 0;
}
