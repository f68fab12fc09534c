/* Any text as the lines of a routes file, loaded, and a few requests looked up in it. */
#include "base/log.h"
#include "base/mem.h"
#include "conf/routes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LINES = 200 };

static void
look_up(struct routes *r, struct str host, struct str path, struct str id)
{
    for (int i = 0; i < 4; i++) {
        struct route_query q = {.host = host, .path = path, .ws = (i & 1) != 0, .ssl = (i & 2) != 0, .id = id};
        struct route *route = routes_find(r, &q);
        if (route != NULL && route->n_targets == 0)
            abort();
        if (route != NULL && id.len == 0 && route->path_beg != NULL && !str_starts(path, str_c(route->path_beg)))
            abort();
        route_unref(route);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), line;
    char *lines[MAX_LINES];
    unsigned n = 0, skipped;
    struct routes *r;
    log_set_level(-1);
    while (n < MAX_LINES && size > 0 && str_split(&rest, '\n', &line))
        lines[n++] = str_dup(line);
    r = routes_new(NULL, (const char *const *)lines, n);
    if (routes_load(r, &skipped) != 0 || skipped > n)
        abort();
    look_up(r, STR("a.example.com"), STR("/a/b"), STR(""));
    look_up(r, STR("h"), STR("/"), STR("i"));
    if (n > 0)
        look_up(r, str_c(lines[0]), STR("/a"), str_c(lines[n - 1]));
    routes_free(r);
    for (unsigned i = 0; i < n; i++)
        mem_free(lines[i]);
    return 0;
}
