/* Whole and byte by byte it is the same header, and nothing behind it is taken. */
#include "proto/proxyproto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    enum proxyproto_result whole, r = PROXYPROTO_MORE;
    struct proxyproto p, q;
    size_t used, one, n = 0;
    struct err e;
    proxyproto_init(&p);
    proxyproto_init(&q);
    whole = proxyproto_read(&p, in, &used, &e);
    while (n < size && r == PROXYPROTO_MORE) {
        r = proxyproto_read(&q, str_sub(in, n, 1), &one, &e);
        n += one;
    }
    if (r != whole || n != used || used > size || used > PROXYPROTO_MAX || (r == PROXYPROTO_MORE && used != size))
        abort();
    if (r == PROXYPROTO_DONE && (p.family != q.family || strcmp(p.source, q.source) != 0))
        abort();
    if (r == PROXYPROTO_DONE && (p.family != PROXYPROTO_NONE) != (p.source[0] != '\0'))
        abort();
    return 0;
}
