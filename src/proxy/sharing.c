#include "proxy/sharing.h"

enum { STALL_MS = 10000 }; /* that one client may hold up others */

struct sharings {
    struct proxy *proxy; /* borrowed */
    struct map open;     /* of sharing: those whose answer has not begun */
    unsigned numbers;
};

struct sharing {
    struct sharings *all;    /* borrowed */
    struct map_node node;    /* in all->open while JOINABLE */
    struct list members;     /* of share */
    struct request *request; /* NULL: over */
    struct http1_head *head; /* the request's; what a member writes to it is not for the next */
    int status;              /* of it */
    struct request_spec spec;
    struct request_body body; /* there is none */
    struct headers headers;
    struct buf key, method, path, host;
    struct route *route; /* reference held: its targets */
    unsigned number;
    struct timer stall;
    bool joinable, joined; /* somebody may take part, besides the first has */
};

/* ending */

static void
sharing_free(void *ptr)
{
    struct sharing *g = ptr;
    headers_clear(&g->headers);
    buf_clear(&g->key);
    buf_clear(&g->method);
    buf_clear(&g->path);
    buf_clear(&g->host);
    route_unref(g->route);
    mem_free(g);
}

static void
close_to_others(struct sharing *g)
{
    if (g->joinable)
        map_remove(&g->all->open, &g->node);
    g->joinable = false;
}

static void
leave(struct share *s)
{
    list_remove(&s->of->members, &s->in_members);
    s->of = NULL;
}

/* The request is over: all members have been told, or have left. */
static void
finish(struct sharing *g)
{
    close_to_others(g);
    if (g->request != NULL)
        request_cancel(g->request);
    g->request = NULL;
    loop_timer_stop(g->all->proxy->loop, &g->stall);
    loop_reap(g->all->proxy->loop, g, sharing_free);
}

static unsigned
count_paused(const struct sharing *g)
{
    unsigned n = 0;
    list_each (&g->members, node)
        n += container_of(node, struct share, in_members)->paused;
    return n;
}

/* The slowest sets the pace, as long as it reads at all. */
static void
set_pace(struct sharing *g)
{
    struct loop *l = g->all->proxy->loop;
    bool pause = count_paused(g) > 0;
    if (g->request == NULL)
        return;
    request_pause(g->request, pause);
    if (!pause)
        loop_timer_stop(l, &g->stall);
    else if (!timer_is_set(&g->stall))
        loop_timer(l, &g->stall, STALL_MS);
}

/* Where all are paused, none waits for another; the timer is set again when one of them goes on. */
static void
on_stall(struct timer *t)
{
    struct sharing *g = container_of(t, struct sharing, stall);
    if (count_paused(g) == g->members.n)
        return;
    list_each_safe (&g->members, node, after) {
        struct share *s = container_of(node, struct share, in_members);
        if (s->paused)
            s->ops->on_slow(s->user);
    }
}

void
share_pause(struct share *s, bool pause)
{
    if (s->of == NULL || s->paused == pause)
        return;
    s->paused = pause;
    if (!pause) /* those that are paused still may have been for a moment only */
        loop_timer_stop(s->of->all->proxy->loop, &s->of->stall);
    set_pace(s->of);
}

void
share_leave(struct share *s)
{
    struct sharing *g = s->of;
    if (g == NULL)
        return;
    leave(s);
    if (g->request == NULL)
        return; /* it is over, and sees to the rest */
    if (list_empty(&g->members))
        finish(g);
    else if (s->paused)
        set_pace(g);
}

unsigned
share_number(const struct share *s)
{
    return s->of != NULL && s->of->joined ? s->of->number : 0;
}

/* what the origin says */

static void
on_head(struct request *r, struct http1_head *head)
{
    struct sharing *g = request_user(r);
    close_to_others(g);
    g->head = head;
    g->status = head->status;
    list_each_safe (&g->members, node, after) {
        struct share *s = container_of(node, struct share, in_members);
        head->status = g->status;
        s->ops->on_head(s->user, head);
    }
}

static void
on_body(struct request *r, struct str piece)
{
    struct sharing *g = request_user(r);
    list_each_safe (&g->members, node, after) {
        struct share *s = container_of(node, struct share, in_members);
        g->head->status = g->status;
        s->ops->on_body(s->user, piece);
    }
}

static void
on_end(struct request *r)
{
    struct sharing *g = request_user(r);
    g->request = NULL;
    while (!list_empty(&g->members)) {
        struct share *s = container_of(list_first(&g->members), struct share, in_members);
        g->head->status = g->status;
        s->ops->on_end(s->user);
        if (s->of == g)
            leave(s);
    }
    finish(g);
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    struct sharing *g = request_user(r);
    g->request = NULL;
    close_to_others(g);
    while (!list_empty(&g->members)) {
        struct share *s = container_of(list_first(&g->members), struct share, in_members);
        s->ops->on_fail(s->user, why, text);
        if (s->of == g)
            leave(s);
    }
    finish(g);
}

static void
on_ready(struct request *r)
{
    (void)r;
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

/* beginning */

/* The answer to one that says what it has already, or which part it wants, is no use to others. */
bool
sharing_wanted(const struct proxy *p, const struct clientreq *c)
{
    static const struct str own[] = {{"Range", 5},    {"If-Match", 8},           {"If-None-Match", 13},
                                     {"If-Range", 8}, {"If-Modified-Since", 17}, {"If-Unmodified-Since", 19}};
    for (size_t i = 0; p->config->share_all && i < countof(own); i++)
        if (headers_has(&c->headers, own[i]))
            return false;
    return p->config->share_all;
}

/* What makes two requests the same: method and URI; and what decides how the answer is to be read. */
static void
put_key(const struct clientreq *c, const struct route *route, struct buf *key)
{
    buf_addf(key, "%p %d ", (const void *)route, c->trusted);
    buf_adds(key, c->method);
    buf_addc(key, ' ');
    clientreq_put_uri(c, key);
    buf_addc(key, '\n');
    buf_adds(key, headers_get(&c->headers, STR("Accept-Encoding")));
}

static struct str
copy(struct buf *to, struct str s)
{
    buf_init(to, s.len);
    buf_adds(to, s);
    return s.len > 0 ? buf_str(to) : STR("");
}

static struct sharing *
sharing_new(struct sharings *all, struct str key, struct route *route, const struct request_spec *spec)
{
    struct sharing *g = mem_zalloc(sizeof *g);
    g->all = all;
    g->number = ++all->numbers;
    g->route = route_ref(route);
    g->body.complete = true;
    list_init(&g->members);
    timer_init(&g->stall, on_stall);
    headers_init(&g->headers);
    headers_copy(&g->headers, spec->headers);
    g->spec = *spec;
    g->spec.headers = &g->headers;
    g->spec.body = &g->body;
    g->spec.method = copy(&g->method, spec->method);
    g->spec.path = copy(&g->path, spec->path);
    g->spec.host = copy(&g->host, spec->host);
    g->node.key = copy(&g->key, key);
    g->joinable = true;
    map_add(&all->open, &g->node);
    g->request = request_new(all->proxy->origin, &g->spec, &request_ops, g);
    return g;
}

struct request *
share_join(struct sharings *all, struct share *s, const struct clientreq *c, struct route *route,
           const struct request_spec *spec, const struct share_ops *ops, void *user)
{
    struct buf key = BUF_INIT(1 << 20);
    struct map_node *node;
    struct sharing *g;
    put_key(c, route, &key);
    node = map_find(&all->open, buf_str(&key));
    g = node != NULL ? container_of(node, struct sharing, node) : sharing_new(all, buf_str(&key), route, spec);
    g->joined = g->joined || node != NULL;
    buf_clear(&key);
    *s = (struct share){.of = g, .ops = ops, .user = user};
    list_push_back(&g->members, &s->in_members);
    return g->request;
}

struct sharings *
sharings_new(struct proxy *p)
{
    struct sharings *all = mem_zalloc(sizeof *all);
    all->proxy = p;
    map_init(&all->open);
    return all;
}

void
sharings_free(struct sharings *all)
{
    map_clear(&all->open);
    mem_free(all);
}
