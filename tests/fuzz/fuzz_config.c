/* Any text as pushpin.conf. Names are not looked up, and what it includes is read only below a directory that is none.
 */
#include "base/log.h"
#include "conf/config.h"
#include "conf/configload.h"

#include <netdb.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In the C library's place. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)res;
    return EAI_NONAME;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config_options options = {.id = -1};
    struct err e = {""};
    struct config *c;
    FILE *f;
    if (size == 0)
        return 0;
    log_set_level(-1);
    f = fmemopen((void *)(uintptr_t)data, size, "r");
    c = config_from(f, "/nonexistent/p.conf", &options, &e);
    fclose(f);
    if (c != NULL &&
        (c->n_listeners == 0 || c->rundir == NULL || c->stats_spec == NULL || c->push_in_http_addr == NULL))
        abort();
    if (c == NULL && e.text[0] == '\0')
        abort();
    config_free(c);
    return 0;
}
