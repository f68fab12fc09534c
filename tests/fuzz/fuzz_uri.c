/* Any bytes as a target, a URI, a reference, a host and a query. What is normal stays as it is, what was resolved
 * resolves to itself, and no dot segment is left. */
#include "proto/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
normalise(struct str text)
{
    struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
    size_t n, again;
    if (uri_normalise(text, &once, &n) == 0) {
        struct str path = str_sub(buf_str(&once), 0, n);
        if (path.len == 0 || *path.ptr != '/' || str_find(path, STR("/../")) >= 0 || str_ends(path, STR("/..")))
            abort();
        if (uri_normalise(buf_str(&once), &twice, &again) != 0 || again != n ||
            !str_eq(buf_str(&once), buf_str(&twice)))
            abort();
    }
    buf_clear(&once);
    buf_clear(&twice);
}

static void
resolve(struct str base, struct str reference)
{
    struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
    struct uri u;
    if (uri_resolve(base, reference, &once) == 0) {
        if (uri_split(buf_str(&once), &u) != 0 || u.scheme.ptr == NULL || u.fragment.ptr != NULL)
            abort();
        if (u.authority.ptr != NULL && uri_resolve(STR("http://base/"), buf_str(&once), &twice) != 0)
            abort();
    }
    buf_clear(&once);
    buf_clear(&twice);
}

static void
split(struct str text)
{
    struct uri u;
    struct str host, name, value;
    uint16_t port;
    struct buf decoded = BUF_INIT(1 << 20);
    if (uri_split(text, &u) == 0)
        while (uri_query_next(&u.query, &name, &value)) {
            uri_decode(name, true, &decoded);
            uri_decode(value, false, &decoded);
        }
    if (uri_host_port(text, &host, &port) == 0 && (host.len == 0 || host.len > 253))
        abort();
    buf_clear(&decoded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size), rest = text, base;
    normalise(text);
    split(text);
    if (str_split(&rest, '\n', &base)) /* "BASE LF REFERENCE" */
        resolve(base, rest);
    resolve(STR("http://a/b/c/d;p?q"), text);
    return 0;
}
