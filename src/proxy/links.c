#include "proxy/links.h"

#include "base/log.h"
#include "base/map.h"
#include "proto/uri.h"
#include "proxy/rewrite.h"

#include <stdlib.h>

enum {
    STALL_MS = 10000, /* that one reader may hold up others */
    URL_MAX = 65536
};

struct links {
    struct proxy *proxy; /* borrowed */
    struct list fetches; /* owned */
    struct map shared;   /* of fetch: GETs whose answer has not begun */
    unsigned gone;       /* gone links that are being told */
};

enum purpose { TO_FOLLOW, TO_TELL, TO_ASK }; /* a next link, a gone link, a filter's server */

/* One request. It owns all that its request_spec refers to. */
struct fetch {
    struct list_node in_links;
    struct links *links;
    struct map_node node; /* in links->shared; key in KEY */
    struct buf key;
    struct list readers;     /* of link */
    struct request *request; /* NULL: over */
    struct request_spec spec;
    struct request_body body;
    struct headers headers;
    struct buf path, host;
    struct route *route;  /* reference held */
    struct target target; /* of a link elsewhere; owns host and text */
    struct timer stall;
    enum purpose purpose;
    bool joinable;
};

struct link {
    struct list_node in_fetch;
    struct fetch *fetch;
    const struct link_ops *ops;
    void *user;
    int code;      /* of the answer; 0: none yet */
    uint64_t size; /* bytes of its body */
    bool paused, over;
    struct str url;
    char text[]; /* URL */
};

/* ending */

static void
fetch_free(void *ptr)
{
    struct fetch *f = ptr;
    headers_clear(&f->headers);
    buf_clear(&f->key);
    buf_clear(&f->path);
    buf_clear(&f->host);
    mem_free(f->target.host);
    mem_free(f->target.text);
    route_unref(f->route);
    mem_free(f);
}

static void
stop_sharing(struct fetch *f)
{
    if (f->joinable)
        map_remove(&f->links->shared, &f->node);
    f->joinable = false;
}

static void
fetch_close(struct fetch *f)
{
    struct links *ls = f->links;
    if (!list_in(&f->in_links))
        return;
    list_remove(&ls->fetches, &f->in_links);
    stop_sharing(f);
    if (f->purpose == TO_TELL)
        ls->gone--;
    if (f->request != NULL)
        request_cancel(f->request);
    f->request = NULL;
    loop_timer_stop(ls->proxy->loop, &f->stall);
    loop_reap(ls->proxy->loop, f, fetch_free);
}

static void
link_free(void *ptr)
{
    mem_free(ptr);
}

/* " #CHANNEL=ID" for each id that was told. */
static void
put_ids(const struct fetch *f, struct buf *out)
{
    static const struct str mark = {"; last-id=", 10};
    for (unsigned i = 0; i < f->headers.n; i++) {
        struct str value = f->headers.at[i].value;
        ptrdiff_t at = str_ieq(f->headers.at[i].name, STR("Grip-Last")) ? str_find(value, mark) : -1;
        if (at >= 0)
            buf_addf(out, " #%.*s=%.*s", (int)at, value.ptr, STR_ARG(str_from(value, (size_t)at + mark.len)));
    }
}

/* Only a 2xx is an answer, and for a gone link only an empty one. */
static void
log_end(const struct link *k, bool answered)
{
    const struct fetch *f = k->fetch;
    const struct route *route = f->route;
    struct buf rest = BUF_INIT(URL_MAX);
    const char *method = f->purpose == TO_FOLLOW ? "GET" : "POST";
    int level = f->purpose == TO_ASK ? LOG_DEBUG : LOG_INFO; /* one for each item and client would be too many */
    bool good = answered && k->code >= 200 && k->code <= 299 && (f->purpose != TO_TELL || k->size == 0);
    if (!log_on(level))
        return;
    if (route->explicit_id)
        buf_addf(&rest, " route=%s", route->id);
    if (good)
        buf_addf(&rest, " code=%d %llu", k->code, (unsigned long long)k->size);
    else
        buf_adds(&rest, STR(" error"));
    put_ids(f, &rest);
    log_at(level, "%s %.*s%.*s", method, STR_ARG(k->url), STR_ARG(buf_str(&rest)));
    buf_clear(&rest);
}

/* Part K from its fetch and log what became of it. */
static void
link_end(struct link *k, bool answered)
{
    struct fetch *f = k->fetch;
    if (k->over)
        return;
    k->over = true;
    list_remove(&f->readers, &k->in_fetch);
    log_end(k, answered);
    loop_reap(f->links->proxy->loop, k, link_free);
}

/* The slowest reader sets the pace. */
static void
set_pace(struct fetch *f)
{
    bool pause = false;
    list_each (&f->readers, node)
        pause = pause || container_of(node, struct link, in_fetch)->paused;
    if (f->request == NULL)
        return;
    request_pause(f->request, pause);
    if (!pause)
        loop_timer_stop(f->links->proxy->loop, &f->stall);
    else if (f->readers.n > 1 && !timer_is_set(&f->stall))
        loop_timer(f->links->proxy->loop, &f->stall, STALL_MS);
}

void
link_pause(struct link *k, bool pause)
{
    if (k->over || k->paused == pause)
        return;
    k->paused = pause;
    set_pace(k->fetch);
}

void
link_close(struct link *k)
{
    struct fetch *f = k->fetch;
    if (k->over)
        return;
    link_end(k, k->code != 0);
    if (list_empty(&f->readers))
        fetch_close(f);
    else if (k->paused)
        set_pace(f);
}

static void
on_stall(struct timer *t)
{
    struct fetch *f = container_of(t, struct fetch, stall);
    list_each_safe (&f->readers, node, after) {
        struct link *k = container_of(node, struct link, in_fetch);
        if (k->paused && f->readers.n > 1)
            k->ops->on_slow(k->user);
    }
}

/* what the origin says; a reader may close its own link, and no other */

static void
on_head(struct request *r, struct http1_head *head)
{
    struct fetch *f = request_user(r);
    stop_sharing(f);
    list_each_safe (&f->readers, node, after) {
        struct link *k = container_of(node, struct link, in_fetch);
        k->code = head->status;
        k->ops->on_head(k->user, head);
    }
}

static void
on_body(struct request *r, struct str piece)
{
    struct fetch *f = request_user(r);
    list_each_safe (&f->readers, node, after) {
        struct link *k = container_of(node, struct link, in_fetch);
        k->size += piece.len;
        k->ops->on_body(k->user, piece);
    }
}

static void
on_end(struct request *r)
{
    struct fetch *f = request_user(r);
    f->request = NULL;
    while (!list_empty(&f->readers)) {
        struct link *k = container_of(list_first(&f->readers), struct link, in_fetch);
        link_end(k, true);
        k->ops->on_end(k->user);
    }
    fetch_close(f);
}

static void
on_fail(struct request *r, enum request_failure failure, const char *why)
{
    struct fetch *f = request_user(r);
    (void)failure;
    f->request = NULL;
    stop_sharing(f);
    while (!list_empty(&f->readers)) {
        struct link *k = container_of(list_first(&f->readers), struct link, in_fetch);
        link_end(k, false);
        k->ops->on_fail(k->user, why);
    }
    fetch_close(f);
}

static void
on_ready(struct request *r)
{
    (void)r;
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

/* where to ask */

static uint16_t
port_of(const struct uri *u)
{
    return u->port != 0 ? u->port : uri_default_port(u->scheme);
}

static bool
is_http(const struct uri *u)
{
    return u->host.len > 0 && (str_ieq(u->scheme, STR("http")) || str_ieq(u->scheme, STR("https")));
}

/* Is the URL's authority that of the client's request, as the client gave it or as the origin saw it? */
static bool
is_at_home(const struct link_spec *spec, const struct uri *url)
{
    struct uri home;
    struct str host;
    uint16_t port;
    if (uri_split(spec->home, &home) != 0 || !str_ieq(home.scheme, url->scheme))
        return false;
    if (str_ieq(home.host, url->host) && port_of(&home) == port_of(url))
        return true;
    if (spec->route->as_host == NULL || uri_host_port(str_c(spec->route->as_host), &host, &port) != 0)
        return false;
    return str_ieq(host, url->host) && (port != 0 ? port : uri_default_port(url->scheme)) == port_of(url);
}

void
links_put_origin(const struct link_spec *spec, struct buf *out)
{
    struct uri url;
    if (uri_split(spec->url, &url) != 0 || is_at_home(spec, &url))
        buf_adds(out, str_c(spec->route->targets[0].text));
    else
        buf_addf(out, "%.*s:%u", STR_ARG(url.host), port_of(&url));
}

/* Through the route, as a client's request for the same URL would go. 0 or -1. */
static int
address_route(struct fetch *f, const struct uri *url)
{
    struct buf target = BUF_INIT(4 * URL_MAX);
    struct clientreq c = {.authority = url->authority, .secure = str_ieq(url->scheme, STR("https"))};
    const struct route *route = f->route;
    int rc = uri_normalise(buf_str(&f->path), &target, &c.path_len);
    if (rc == 0) {
        c.path = buf_str(&target);
        f->path.len = 0;
        if (route->path_beg == NULL || str_starts(clientreq_pathname(&c), str_c(route->path_beg)))
            rc = rewrite_path(route, &c, &f->path);
        else
            buf_adds(&f->path, c.path);
        buf_adds(&f->host, rewrite_host(route, &c));
    }
    f->spec.targets = route->targets;
    f->spec.n_targets = route->n_targets;
    buf_clear(&target);
    return rc;
}

static int
address_elsewhere(struct fetch *f, const struct uri *url)
{
    struct target *t = &f->target;
    struct buf text = BUF_INIT(512);
    uint16_t port = port_of(url);
    if (url->host.len > 253)
        return -1;
    buf_addf(&text, memchr(url->host.ptr, ':', url->host.len) != NULL ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(url->host),
             port);
    if (port == uri_default_port(url->scheme))
        buf_adds(&f->host, memchr(url->host.ptr, ':', url->host.len) != NULL
                               ? str_sub(buf_str(&text), 0, url->host.len + 2)
                               : url->host);
    else
        buf_adds(&f->host, buf_str(&text));
    *t = (struct target){.kind = TARGET_TCP, .host = str_dup(url->host), .port = port};
    t->text = buf_steal(&text);
    t->ssl = str_ieq(url->scheme, STR("https"));
    for (unsigned i = 0; i < f->route->n_targets; i++)
        t->untrusted = t->untrusted || f->route->targets[i].untrusted;
    f->spec.targets = t;
    f->spec.n_targets = 1;
    return 0;
}

static void
put_headers(struct fetch *f, const struct link_spec *spec)
{
    struct headers h;
    headers_init(&h);
    for (unsigned i = 0; f->spec.targets == f->route->targets && i < f->route->headers.n; i++)
        if (f->route->headers.at[i].value.len > 0)
            headers_view(&h, f->route->headers.at[i].name, f->route->headers.at[i].value);
    rewrite_sign(f->links->proxy, f->route, &h);
    headers_copy(&f->headers, &h);
    headers_clear(&h);
    if (spec->last != NULL)
        headers_copy(&f->headers, spec->last);
}

/* NULL: the URL is none that can be asked. */
static struct fetch *
fetch_new(struct links *ls, const struct link_spec *spec, enum purpose purpose)
{
    struct fetch *f = mem_zalloc(sizeof *f);
    struct uri url;
    int rc = -1;
    f->links = ls;
    f->purpose = purpose;
    f->route = routes_current(ls->proxy->routes, spec->route); /* its targets may have changed since */
    list_init(&f->readers);
    headers_init(&f->headers);
    timer_init(&f->stall, on_stall);
    buf_init(&f->path, 4 * URL_MAX);
    buf_init(&f->host, 512);
    buf_init(&f->key, 4 * URL_MAX);
    f->body = (struct request_body){.complete = true, .total = spec->body.len, .length = (int64_t)spec->body.len};
    f->body.kept.ptr = (char *)(uintptr_t)spec->body.ptr; /* is not written to */
    f->body.kept.len = spec->body.len;
    if (uri_split(spec->url, &url) == 0 && is_http(&url)) {
        buf_adds(&f->path, url.path.len > 0 ? url.path : STR("/"));
        if (url.query.ptr != NULL)
            buf_addf(&f->path, "?%.*s", STR_ARG(url.query));
        rc = is_at_home(spec, &url) ? address_route(f, &url) : address_elsewhere(f, &url);
    }
    if (rc != 0) {
        fetch_free(f);
        return NULL;
    }
    put_headers(f, spec);
    f->spec.method = purpose == TO_FOLLOW ? STR("GET") : STR("POST");
    f->spec.path = buf_str(&f->path);
    f->spec.host = buf_str(&f->host);
    f->spec.headers = &f->headers;
    f->spec.body = &f->body;
    f->spec.group = f->route->slot;
    list_push_back(&ls->fetches, &f->in_links);
    if (purpose == TO_TELL)
        ls->gone++;
    return f;
}

static struct link *
link_new(struct fetch *f, struct str url, const struct link_ops *ops, void *user)
{
    struct link *k = mem_zalloc(sizeof *k + url.len);
    k->fetch = f;
    k->ops = ops;
    k->user = user;
    memcpy(k->text, url.ptr, url.len);
    k->url = str_of(k->text, url.len);
    list_push_back(&f->readers, &k->in_fetch);
    return k;
}

/* sharing */

static int
by_value(const void *a, const void *b)
{
    return str_cmp(((const struct header *)a)->value, ((const struct header *)b)->value);
}

/* What makes two requests equal: all but the query. One without ids has nothing else to say from where on, so there the
 * query counts too. */
static void
put_key(const struct link_spec *spec, struct buf *key)
{
    struct str url = spec->url;
    ptrdiff_t query = str_chr(url, '?');
    unsigned n = spec->last->n;
    struct header *sorted = mem_alloc((n + 1) * sizeof *sorted);
    if (n > 0) {
        memcpy(sorted, spec->last->at, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_value);
    }
    buf_addf(key, "%p ", (void *)spec->route);
    buf_adds(key, query >= 0 && n > 0 ? str_sub(url, 0, (size_t)query) : url);
    for (unsigned i = 0; i < n; i++)
        buf_addf(key, "\n%.*s", STR_ARG(sorted[i].value));
    mem_free(sorted);
}

struct link *
links_get(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user, bool *shared)
{
    struct buf key = BUF_INIT(4 * URL_MAX);
    struct map_node *node;
    struct fetch *f = NULL;
    struct link *k = NULL;
    put_key(spec, &key);
    node = map_find(&ls->shared, buf_str(&key));
    if (shared != NULL)
        *shared = node != NULL;
    if (node != NULL) {
        f = container_of(node, struct fetch, node);
        k = link_new(f, spec->url, ops, user);
    } else if ((f = fetch_new(ls, spec, TO_FOLLOW)) != NULL) {
        buf_adds(&f->key, buf_str(&key));
        f->node.key = buf_str(&f->key);
        f->joinable = true;
        map_add(&ls->shared, &f->node);
        k = link_new(f, spec->url, ops, user);
        f->request = request_new(ls->proxy->origin, &f->spec, &request_ops, f);
    }
    buf_clear(&key);
    return k;
}

struct link *
links_post(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user)
{
    struct fetch *f = fetch_new(ls, spec, TO_ASK);
    struct link *k = f != NULL ? link_new(f, spec->url, ops, user) : NULL;
    if (f != NULL)
        f->request = request_new(ls->proxy->origin, &f->spec, &request_ops, f);
    return k;
}

/* gone links */

static void
gone_head(void *user, const struct http1_head *head)
{
    (void)user;
    if (head->status < 200 || head->status > 299)
        log_warn("gone link answered with status %d", head->status);
}

static void
gone_body(void *user, struct str piece)
{
    (void)user;
    if (piece.len > 0)
        log_debug("gone link answered with a body of %zu bytes or more, ignored", piece.len);
}

static void
gone_end(void *user)
{
    (void)user;
}

static void
gone_fail(void *user, const char *why)
{
    (void)user;
    log_warn("httpsession: failed to request gone link: %s", why);
}

static const struct link_ops gone_ops = {gone_head, gone_body, gone_end, gone_fail, gone_end};

void
links_gone(struct links *ls, const struct link_spec *spec)
{
    struct fetch *f = fetch_new(ls, spec, TO_TELL);
    if (f == NULL) {
        log_warn("gone link cannot be requested: %.*s", STR_ARG(spec->url));
        return;
    }
    link_new(f, spec->url, &gone_ops, NULL);
    f->request = request_new(ls->proxy->origin, &f->spec, &request_ops, f);
}

struct links *
links_new(struct proxy *p)
{
    struct links *ls = mem_zalloc(sizeof *ls);
    ls->proxy = p;
    list_init(&ls->fetches);
    map_init(&ls->shared);
    return ls;
}

void
links_free(struct links *ls)
{
    while (!list_empty(&ls->fetches)) {
        struct fetch *f = container_of(list_first(&ls->fetches), struct fetch, in_links);
        while (!list_empty(&f->readers))
            link_end(container_of(list_first(&f->readers), struct link, in_fetch), false);
        fetch_close(f);
    }
    map_clear(&ls->shared);
    mem_free(ls);
}

bool
links_busy(const struct links *ls)
{
    return ls->gone > 0;
}
