#include "ctl/metrics.h"

#include "base/log.h"
#include "base/mem.h"
#include "stats/prom.h"

enum { TEXT_MAX = 1 << 28 }; /* bytes */

struct metrics {
    const struct stats *stats; /* borrowed */
    const char *prefix;        /* borrowed */
    bool messages;
};

struct metrics *
metrics_new(const struct stats *stats, const char *prefix, bool messages)
{
    struct metrics *m = mem_zalloc(sizeof *m);
    m->stats = stats;
    m->prefix = prefix;
    m->messages = messages;
    return m;
}

void
metrics_free(struct metrics *m)
{
    mem_free(m);
}

static void
answer(const struct metrics *m, struct xchg *x)
{
    struct header type = {STR("Content-Type"), STR("text/plain; version=0.0.4")};
    struct headers h = {&type, 1, 1, NULL};
    struct buf text = BUF_INIT(TEXT_MAX);
    prom_put(m->stats, m->prefix, m->messages, &text);
    xchg_respond(x, 200, http_reason(200), &h, buf_str(&text));
    buf_clear(&text);
}

void
metrics_request(void *arg, struct xchg *x)
{
    struct http1_head *head = xchg_head(x);
    struct str path = head->target;
    ptrdiff_t query = str_chr(path, '?');
    log_debug("httpserver: IN %.*s %.*s", STR_ARG(head->method), STR_ARG(path));
    if (query >= 0)
        path = str_sub(path, 0, (size_t)query);
    x->close = x->say_connection = true; /* a body, if there is one, is not read */
    if (str_eq(path, STR("/metrics")) || str_eq(path, STR("/")))
        answer(arg, x);
    else
        xchg_respond_text(x, 404, STR("Not Found\n"));
}
