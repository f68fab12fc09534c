#include "proxy/netfilter.h"

#include "base/log.h"
#include "proto/uri.h"
#include "proto/utf8.h"
#include "proxy/asker.h"
#include "pub/channel.h"

#include <assert.h>
#include <stdlib.h>

enum {
    COST = 64,        /* bytes that an item counts for, besides its content */
    SLICE = 64,       /* items that get their turn in one turn of the loop */
    META_MAX = 65536, /* bytes of a header with meta */
    PING_MAX = 125,   /* bytes of a ping or pong (RFC 6455, 5.5) */
    URL_MAX = 65536
};

struct waiting {
    struct msg *m; /* reference held */
    unsigned how;
};

struct netfilter {
    struct proxy *proxy;             /* borrowed */
    struct hold *hold;               /* borrowed: the owner */
    const struct netfilter_ops *ops; /* constant */
    struct msg *m;                   /* reference held: being asked about; NULL: none is */
    struct filtering f;              /* of M */
    struct ask ask;
    struct buf home;         /* the client's URI, as long as a request is prepared */
    struct waiting *waiting; /* owned array: FIRST to N - 1 are in use */
    size_t first, n, cap, bytes;
    struct task task; /* more of them are to have their turn */
    bool stopped;
};

/* the queue */

static struct waiting
pop(struct netfilter *n)
{
    struct waiting w = n->waiting[n->first++];
    n->bytes -= w.m->payload.len + COST;
    if (n->first == n->n) {
        n->first = n->n = n->cap = 0;
        mem_free(n->waiting);
        n->waiting = NULL;
    }
    return w;
}

static void
push(struct netfilter *n, struct waiting w)
{
    if (n->n == n->cap && n->first > n->n / 2) {
        n->n -= n->first;
        memmove(n->waiting, n->waiting + n->first, n->n * sizeof *n->waiting);
        n->first = 0;
    }
    if (n->n == n->cap) {
        n->cap = n->cap > 0 ? n->cap * 2 : 4;
        n->waiting = mem_realloc(n->waiting, n->cap * sizeof *n->waiting);
    }
    n->waiting[n->n++] = w;
    n->bytes += w.m->payload.len + COST;
}

static void
warn_full(const struct msg *m)
{
    if (!m->item->warned)
        log_warn("item skipped: channel=%.*s id=%.*s: too much waits for a filter's server", STR_ARG(m->item->channel),
                 STR_ARG(m->item->id));
    m->item->warned = true;
}

bool
netfilter_keep(struct netfilter *n, struct msg *m, unsigned how)
{
    size_t max = (size_t)n->proxy->config->connection_queue_max;
    if (n->n > n->first && n->bytes + m->payload.len + COST > max) {
        warn_full(m);
        return false;
    }
    push(n, (struct waiting){msg_ref(m), how});
    return true;
}

unsigned
netfilter_next(const struct netfilter *n)
{
    return n->n > n->first ? n->waiting[n->first].how : 0;
}

bool
netfilter_busy(const struct netfilter *n)
{
    return n->m != NULL || n->n > n->first;
}

static void
on_task(struct task *t)
{
    struct netfilter *n = container_of(t, struct netfilter, task);
    for (unsigned i = 0; i < SLICE && !n->stopped && n->m == NULL && n->n > n->first; i++) {
        struct waiting w = pop(n);
        n->ops->take(n->hold, w.m, w.how);
        msg_unref(w.m);
    }
    if (!n->stopped && n->m == NULL && n->n > n->first)
        loop_later(n->proxy->loop, t);
}

/* asking */

static const struct sub *
sub_of(const struct netfilter *n)
{
    return hold_find(n->hold, n->m->item->channel);
}

/* Where the filter's server is. 0, or -1. */
static int
put_url(struct netfilter *n, struct str url, struct buf *out, struct err *e)
{
    struct buf home = BUF_INIT(URL_MAX);
    int rc;
    n->ops->put_uri(n->hold, &home);
    rc = uri_resolve(buf_str(&home), url, out);
    if (rc != 0)
        err_set(e, "sub meta 'url' is not a URL");
    buf_clear(&home);
    return rc;
}

/* RESULT is what has become of N->f; where that is to ask, its server is asked, in turn. Without a URL there is none:
 * the filter does nothing then. */
static enum filter_result
ask(struct netfilter *n, const struct sub *sub, enum filter_result result, struct err *e)
{
    const struct hold_ops *ops = n->hold->ops;
    struct str meta = ops->meta(n->hold, STR("url"));
    struct buf url = BUF_INIT(URL_MAX);
    int rc;
    while (result == FILTER_ASK && meta.len == 0) {
        filter_answered(&n->f, str_of(NULL, 0));
        result = filter_go_on(sub, &n->f, e);
    }
    if (result != FILTER_ASK)
        return result;
    rc = put_url(n, meta, &url, e);
    if (rc == 0 && (rc = ask_begin(n->proxy->askers, &n->ask, buf_str(&url), filter_modifies(&n->f))) != 0)
        err_set(e, "too many requests wait");
    buf_clear(&url);
    return rc == 0 ? FILTER_ASK : filter_fail(&n->f, e);
}

enum filter_result
netfilter_run(struct netfilter *n, const struct sub *sub, struct msg *m, struct msg **passed, struct err *e)
{
    enum filter_result result;
    assert(n->m == NULL && !n->stopped);
    result = ask(n, sub, filter_begin(sub, m, &n->f, e), e);
    if (result == FILTER_ASK)
        n->m = msg_ref(m);
    if (result == FILTER_PASS)
        *passed = n->f.m;
    return result;
}

/* M has come through, or to an end. */
static void
finish(struct netfilter *n, enum filter_result result, struct err *e)
{
    struct msg *m = n->m;
    n->m = NULL;
    if (n->n > n->first)
        loop_later(n->proxy->loop, &n->task);
    n->ops->filtered(n->hold, m, result, n->f.m, e);
    msg_unref(m);
}

/* One line of JSON in ASCII. 0, or -1: it is too long. */
static int
put_json(struct headers *h, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_SORT_KEYS);
    struct buf line = BUF_INIT(META_MAX);
    struct str rest = str_c(text != NULL ? text : "{}"), part;
    int rc = 0;
    while (rc == 0 && str_split(&rest, '\x7f', &part)) /* the one control character that JSON leaves as it is */
        rc = buf_adds(&line, line.len > 0 ? STR("\\u007f") : STR("")) != 0 || buf_adds(&line, part) != 0 ? -1 : 0;
    if (rc == 0)
        headers_add(h, str_c(name), buf_str(&line));
    buf_clear(&line);
    free(text);
    return rc;
}

/* Its turn has come: what the server is told. */
static int
prepare(struct ask *a, struct link_spec *spec, struct headers *headers)
{
    struct netfilter *n = container_of(a, struct netfilter, ask);
    json_t *sub = json_object(), *pub = json_object();
    int rc;
    n->ops->put_meta(n->hold, sub);
    rc = put_json(headers, "Sub-Meta", sub);
    if (rc == 0)
        rc = put_json(headers, "Pub-Meta", n->m->item->meta != NULL ? n->m->item->meta : pub);
    json_decref(sub);
    json_decref(pub);
    if (n->ops->put_last != NULL)
        n->ops->put_last(n->hold, headers);
    n->home.len = 0;
    n->ops->put_uri(n->hold, &n->home);
    spec->home = buf_str(&n->home);
    spec->route = n->hold->route;
    if (filter_modifies(&n->f))
        spec->body = n->f.m->payload;
    return rc;
}

/* May the message be sent with this content? */
static bool
is_sendable(const struct format *f, struct str content, struct err *e)
{
    struct utf8 u;
    utf8_init(&u);
    if (f->kind != FORMAT_WS_MESSAGE)
        return true;
    if (f->ws_type == WS_TEXT && (!utf8_feed(&u, content) || !utf8_complete(&u)))
        err_set(e, "the server's content is not UTF-8, as a text message must be");
    else if (msg_opcode(f) >= WSFRAME_CLOSE && content.len > PING_MAX)
        err_set(e, "the server's content is longer than 125 bytes, as a ping or pong may be");
    else
        return true;
    return false;
}

static void
on_answered(struct ask *a, bool drop, struct str content)
{
    struct netfilter *n = container_of(a, struct netfilter, ask);
    const struct sub *sub = sub_of(n);
    enum filter_result result;
    struct err e;
    if (drop || sub == NULL) {
        result = filter_drop(&n->f);
    } else if (!is_sendable(n->f.m->format, content, &e)) {
        result = filter_fail(&n->f, &e);
    } else {
        filter_answered(&n->f, content);
        result = ask(n, sub, filter_go_on(sub, &n->f, &e), &e);
    }
    if (result != FILTER_ASK)
        finish(n, result, &e);
}

static void
on_failed(struct ask *a, const char *why)
{
    struct netfilter *n = container_of(a, struct netfilter, ask);
    struct err e;
    err_set(&e, "%s", why);
    finish(n, filter_fail(&n->f, &e), &e);
}

static const struct ask_ops ask_ops = {prepare, on_answered, on_failed};

/* beginning and end */

struct netfilter *
netfilter_new(struct proxy *p, struct hold *h, const struct netfilter_ops *ops)
{
    struct netfilter *n = mem_zalloc(sizeof *n);
    n->proxy = p;
    n->hold = h;
    n->ops = ops;
    task_init(&n->task, on_task);
    ask_init(&n->ask, &ask_ops);
    buf_init(&n->home, URL_MAX);
    return n;
}

struct msg *
netfilter_give_back(struct netfilter *n)
{
    struct msg *m = n->m;
    if (m == NULL)
        return n->n > n->first ? pop(n).m : NULL;
    ask_cancel(&n->ask);
    filter_drop(&n->f);
    n->m = NULL;
    return m;
}

void
netfilter_stop(struct netfilter *n)
{
    struct msg *m;
    n->stopped = true;
    loop_cancel(n->proxy->loop, &n->task);
    while ((m = netfilter_give_back(n)) != NULL)
        msg_unref(m);
}

void
netfilter_free(struct netfilter *n)
{
    buf_clear(&n->home);
    mem_free(n);
}
