#include "origin/wsoverhttpbase.h"

enum { MESSAGE_MAX = 200000 }; /* bytes of a client's message */

static struct wsoverhttp *
of_ws(const struct ws *w)
{
    return container_of((struct ws *)(uintptr_t)w, struct wsoverhttp, ws);
}

/* ending */

static void
wsoverhttp_free(void *ptr)
{
    struct wsoverhttp *w = ptr;
    wsqueue_clear(&w->queue);
    buf_clear(&w->partial);
    headers_clear(&w->base);
    wsterms_clear(&w->terms);
    mem_free(w->path);
    mem_free(w->host);
    route_unref(w->route);
    mem_free(w);
}

void
wsoverhttp_end(struct wsoverhttp *w)
{
    if (w->state == WOH_OVER)
        return;
    w->state = WOH_OVER;
    wsround_drop(w);
    loop_timer_stop(w->loop, &w->timer);
    list_remove(&w->set->all, &w->in_set);
    if (w->left)
        w->set->left--;
    loop_reap(w->loop, w, wsoverhttp_free);
}

void
wsoverhttp_user_left(struct wsoverhttp *w)
{
    w->ws.user_ops = NULL;
    if (w->left)
        return;
    w->left = true;
    if (w->set->left++ >= w->set->max_left)
        wsoverhttp_end(w);
}

void
wsoverhttp_fail(struct wsoverhttp *w, const char *why)
{
    const struct ws_user_ops *ops = w->ws.user_ops;
    w->ws.user_ops = NULL;
    wsoverhttp_end(w);
    if (ops != NULL)
        ops->on_gone(&w->ws, why);
}

void
wsoverhttp_fail_open(struct wsoverhttp *w, enum request_failure why, const char *text)
{
    bool left = w->left;
    wsoverhttp_end(w);
    if (!left)
        w->ops->on_fail(w->user, why, text);
}

/* time */

static void
on_timer(struct timer *t)
{
    struct wsoverhttp *w = container_of(t, struct wsoverhttp, timer);
    if (w->state == WOH_RETRY) {
        w->state = WOH_IDLE;
        wsround_ask(w);
    } else if (w->state == WOH_OPENING) {
        if (w->left)
            wsoverhttp_end(w);
        else
            wsround_ask(w);
    } else if (w->state == WOH_IDLE) {
        w->refresh = true;
        wsround_kick(w);
    }
}

void
wsoverhttp_start_keep_alive(struct wsoverhttp *w)
{
    if (w->terms.keep_alive > 0)
        loop_timer(w->loop, &w->timer, (uint64_t)w->terms.keep_alive * 1000);
}

/* the endpoint */

static enum wsevent_type
type_of(uint8_t opcode)
{
    switch (opcode) {
    case WSFRAME_TEXT:
        return WSEVENT_TEXT;
    case WSFRAME_BINARY:
        return WSEVENT_BINARY;
    case WSFRAME_PING:
        return WSEVENT_PING;
    default:
        return WSEVENT_PONG;
    }
}

/* A message that is more than the origin may be given: both sides are told. */
static void
refuse_message(struct wsoverhttp *w)
{
    const struct ws_user_ops *ops = w->ws.user_ops;
    w->ws.close_sent = w->ws.close_received = true;
    w->disconnect = true;
    buf_clear(&w->partial);
    wsoverhttp_user_left(w);
    wsround_kick(w);
    if (ops != NULL)
        ops->on_close(&w->ws, WSFRAME_TOO_BIG, STR(""));
}

static void
take_piece(struct wsoverhttp *w, const struct ws_piece *p)
{
    bool whole = p->first && p->last;
    if (p->payload.len + (whole ? 0 : w->partial.len) > MESSAGE_MAX ||
        wsqueue_size(&w->queue) + p->payload.len > WOH_QUEUE_MAX) {
        refuse_message(w);
        return;
    }
    if (whole || p->opcode >= WSFRAME_CLOSE) {
        wsqueue_add(&w->queue, type_of(p->opcode), p->payload);
        return;
    }
    buf_adds(&w->partial, p->payload);
    if (!p->last)
        return;
    wsqueue_add(&w->queue, type_of(p->opcode), buf_str(&w->partial));
    buf_clear(&w->partial);
}

static void
woh_send(struct ws *ws, const struct ws_piece *pieces, unsigned n)
{
    struct wsoverhttp *w = of_ws(ws);
    for (unsigned i = 0; i < n && !ws->close_sent; i++)
        take_piece(w, &pieces[i]);
    wsround_kick(w);
}

static void
put_close(struct wsoverhttp *w, int code, struct str reason)
{
    char payload[WSFRAME_CONTROL_MAX];
    if (w->ws.close_sent)
        return;
    w->ws.close_sent = true;
    wsqueue_add(&w->queue, WSEVENT_CLOSE, str_of(payload, wsframe_put_close(payload, code, reason)));
}

static void
woh_close(struct ws *ws, int code, struct str reason)
{
    struct wsoverhttp *w = of_ws(ws);
    put_close(w, code, reason);
    if (ws->close_received)
        wsoverhttp_user_left(w);
    wsround_kick(w);
}

static void
woh_leave(struct ws *ws, int code, struct str reason)
{
    struct wsoverhttp *w = of_ws(ws);
    wsoverhttp_user_left(w);
    buf_clear(&w->partial);
    if (code != WSFRAME_GOING_AWAY)
        put_close(w, code, reason);
    else if (!ws->close_sent || !ws->close_received)
        w->disconnect = true;
    wsround_kick(w);
}

static void
woh_pause(struct ws *ws, bool pause)
{
    struct wsoverhttp *w = of_ws(ws);
    w->paused = pause;
    if (!pause)
        wsround_kick(w);
}

static size_t
woh_queued(const struct ws *ws)
{
    return wsqueue_size(&of_ws(ws)->queue);
}

static unsigned
woh_bits(const struct ws *ws)
{
    (void)ws;
    return 0;
}

static struct str
woh_peer(const struct ws *ws, char text[ADDRESS_TEXT_MAX])
{
    (void)ws;
    text[0] = '\0';
    return str_of(text, 0);
}

static void
woh_refresh(struct ws *ws)
{
    struct wsoverhttp *w = of_ws(ws);
    w->refresh = true;
    wsround_kick(w);
}

static struct str
woh_id(const struct ws *ws)
{
    return str_of(of_ws(ws)->id, UUID_SIZE - 1);
}

static const struct ws_ops ws_ops = {woh_send, woh_close, woh_leave,   woh_pause, woh_queued,
                                     woh_bits, woh_peer,  woh_refresh, woh_id};

/* beginning */

/* What a client may not say for us, and what is between it and us. */
static bool
is_ours(struct str name)
{
    return str_ieq(name, STR("Accept")) || str_ieq(name, STR("Connection-Id")) || str_ieq(name, STR("Content-Type")) ||
           str_istarts(name, STR("Content-Bytes-")) || str_istarts(name, STR("Meta-"));
}

struct wsoverhttp *
wsoverhttp_new(struct wsoverhttps *s, const struct wsoverhttp_spec *spec, const struct wsoverhttp_ops *ops, void *user)
{
    struct wsoverhttp *w = mem_zalloc(sizeof *w);
    w->ws.ops = &ws_ops;
    w->loop = s->loop;
    w->set = s;
    list_push_back(&s->all, &w->in_set);
    w->route = route_ref(spec->route);
    w->ops = ops;
    w->user = user;
    w->sign = spec->sign;
    w->sign_arg = spec->sign_arg;
    w->group = spec->group;
    timer_init(&w->timer, on_timer);
    wsqueue_init(&w->queue);
    buf_init(&w->partial, MESSAGE_MAX);
    headers_init(&w->base);
    wsterms_init(&w->terms);
    for (unsigned i = 0; i < spec->headers->n; i++)
        if (!is_ours(spec->headers->at[i].name))
            headers_add(&w->base, spec->headers->at[i].name, spec->headers->at[i].value);
    w->path = str_dup(spec->path);
    w->path_len = spec->path.len;
    w->host = str_dup(spec->host);
    w->host_len = spec->host.len;
    uuid_make(w->id);
    wsround_ask(w);
    return w;
}

void
wsoverhttp_cancel(struct wsoverhttp *w)
{
    if (w->state == WOH_REJECTED) {
        wsoverhttp_end(w);
        return;
    }
    w->disconnect = true;
    wsoverhttp_user_left(w);
    if (w->now == NULL)
        wsoverhttp_end(w); /* between two OPENs */
}

void
wsoverhttp_pause(struct wsoverhttp *w, bool pause)
{
    if (w->now != NULL && w->now->request != NULL)
        request_pause(w->now->request, pause);
}

const struct target *
wsoverhttp_target(const struct wsoverhttp *w)
{
    return w->now != NULL && w->now->request != NULL ? request_target(w->now->request) : &w->route->targets[0];
}

struct wsoverhttps *
wsoverhttps_new(struct loop *l, struct origin *origin, unsigned max_left)
{
    struct wsoverhttps *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->origin = origin;
    s->max_left = max_left;
    list_init(&s->all);
    return s;
}

void
wsoverhttps_free(struct wsoverhttps *s)
{
    while (!list_empty(&s->all))
        wsoverhttp_fail(container_of(list_first(&s->all), struct wsoverhttp, in_set), "stopping");
    mem_free(s);
}
