#include "origin/wsoverhttpbase.h"

#include "base/slab.h"

enum { MESSAGE_MAX = 200000 }; /* bytes of a client's message */

static void on_retry(struct timer *t);
static void on_keep_alive(struct timer *t);

static struct wsoverhttp *
of_ws(const struct ws *w)
{
    return container_of((struct ws *)(uintptr_t)w, struct wsoverhttp, ws);
}

/* what it needs at times */

struct wsoverhttp_more *
wsoverhttp_more(struct wsoverhttp *w)
{
    struct wsoverhttp_more *m = w->more;
    if (m != NULL)
        return m;
    m = w->more = mem_zalloc(sizeof *m);
    m->owner = w;
    wsqueue_init(&m->queue);
    buf_init(&m->partial, MESSAGE_MAX);
    timer_init(&m->retry, on_retry);
    return m;
}

/* Its timer is not set; the set may have gone. */
static void
drop_more(struct wsoverhttp *w)
{
    struct wsoverhttp_more *m = w->more;
    if (m == NULL)
        return;
    w->more = NULL;
    wsqueue_clear(&m->queue);
    buf_clear(&m->partial);
    mem_free(m);
}

void
wsoverhttp_settle(struct wsoverhttp *w)
{
    const struct wsoverhttp_more *m = w->more;
    if (m != NULL && w->state == WOH_IDLE && m->now == NULL && wsqueue_empty(&m->queue) && m->partial.len == 0 &&
        !list_in(&m->apart))
        drop_more(w);
}

/* what the origin has set */

/* Its timer is not set; the set may have gone. */
static void
drop_kept(struct wsoverhttp *w)
{
    struct wsoverhttp_kept *k = w->kept;
    if (k == NULL)
        return;
    w->kept = NULL;
    wsterms_clear(&k->terms);
    mem_free(k);
}

void
wsoverhttp_read_terms(struct wsoverhttp *w, const struct headers *h)
{
    struct wsoverhttp_kept *k = w->kept;
    struct wsterms terms;
    wsterms_init(&terms);
    wsterms_read(k != NULL ? &k->terms : &terms, h, w->route->targets[0].text);
    if (k != NULL && wsterms_empty(&k->terms)) {
        loop_timer_stop(w->set->loop, &k->timer);
        drop_kept(w);
    } else if (k == NULL && !wsterms_empty(&terms)) {
        k = w->kept = mem_zalloc(sizeof *k);
        k->owner = w;
        k->terms = terms;
        timer_init(&k->timer, on_keep_alive);
    }
}

void
wsoverhttp_stop_timers(struct wsoverhttp *w)
{
    if (w->more != NULL)
        loop_timer_stop(w->set->loop, &w->more->retry);
    if (w->kept != NULL)
        loop_timer_stop(w->set->loop, &w->kept->timer);
}

/* ending */

static size_t
size_of(const struct wsoverhttp *w)
{
    return offsetof(struct wsoverhttp, text) + w->path_len + w->host_len + w->headers_len;
}

static void
wsoverhttp_free(void *ptr)
{
    struct wsoverhttp *w = ptr;
    drop_more(w);
    drop_kept(w);
    route_unref(w->route);
    slab_free(w, size_of(w));
}

/* Nobody is joined to it. */
static void
set_apart(struct wsoverhttp *w)
{
    struct wsoverhttp_more *m = wsoverhttp_more(w);
    if (!list_in(&m->apart))
        list_push_back(&w->set->apart, &m->apart);
}

void
wsoverhttp_end(struct wsoverhttp *w)
{
    if (w->state == WOH_OVER)
        return;
    w->state = WOH_OVER;
    wsround_drop(w);
    if (w->more != NULL && list_in(&w->more->apart))
        list_remove(&w->set->apart, &w->more->apart);
    wsoverhttp_stop_timers(w);
    if (w->left)
        w->set->left--;
    loop_reap(w->set->loop, w, wsoverhttp_free);
}

void
wsoverhttp_user_left(struct wsoverhttp *w)
{
    w->ws.user_ops = NULL;
    if (w->left || w->state == WOH_OVER)
        return;
    w->left = true;
    set_apart(w);
    if (w->set->left++ >= w->set->settings.max_left)
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
        w->more->ops->on_fail(w->more->user, why, text);
}

/* time */

static void
on_retry(struct timer *t)
{
    struct wsoverhttp *w = container_of(t, struct wsoverhttp_more, retry)->owner;
    w->state = WOH_IDLE;
    wsround_ask(w);
}

static void
on_keep_alive(struct timer *t)
{
    struct wsoverhttp *w = container_of(t, struct wsoverhttp_kept, timer)->owner;
    if (w->state == WOH_OPENING) {
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
    int seconds = wsoverhttp_keep_alive(w);
    if (seconds > 0)
        loop_timer(w->set->loop, &w->kept->timer, (uint64_t)seconds * 1000);
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
    buf_clear(&w->more->partial);
    wsoverhttp_user_left(w);
    wsround_kick(w);
    if (ops != NULL)
        ops->on_close(&w->ws, WSFRAME_TOO_BIG, STR(""));
}

static void
take_piece(struct wsoverhttp *w, const struct ws_piece *p)
{
    struct wsoverhttp_more *m = wsoverhttp_more(w);
    bool whole = p->first && p->last;
    if (p->payload.len + (whole ? 0 : m->partial.len) > MESSAGE_MAX ||
        wsqueue_size(&m->queue) + p->payload.len > WOH_QUEUE_MAX) {
        refuse_message(w);
        return;
    }
    if (whole || p->opcode >= WSFRAME_CLOSE) {
        wsqueue_add(&m->queue, type_of(p->opcode), p->payload);
        return;
    }
    buf_adds(&m->partial, p->payload);
    if (!p->last)
        return;
    wsqueue_add(&m->queue, type_of(p->opcode), buf_str(&m->partial));
    buf_clear(&m->partial);
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
    wsqueue_add(&wsoverhttp_more(w)->queue, WSEVENT_CLOSE, str_of(payload, wsframe_put_close(payload, code, reason)));
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
    buf_clear(&w->more->partial);
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
    const struct wsoverhttp_more *m = of_ws(ws)->more;
    return m != NULL ? wsqueue_size(&m->queue) : 0;
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

static const unsigned char *
woh_id(const struct ws *ws)
{
    return of_ws(ws)->id;
}

static const struct ws_ops ws_ops = {woh_send, woh_close, woh_leave,   woh_pause, woh_queued,
                                     woh_bits, woh_peer,  woh_refresh, woh_id};

/* beginning */

struct wsoverhttp *
wsoverhttp_new(struct wsoverhttps *s, const struct wsoverhttp_spec *spec, const struct handshake_ops *ops, void *user)
{
    struct buf text = BUF_INIT(1 << 30);
    struct wsoverhttp *w;
    buf_adds(&text, spec->path);
    buf_adds(&text, spec->host);
    wsround_pack(spec->headers, spec->sign, &text);
    w = slab_alloc(offsetof(struct wsoverhttp, text) + text.len);
    memcpy(w->text, text.ptr, text.len);
    w->path_len = (uint32_t)spec->path.len;
    w->host_len = (uint32_t)spec->host.len;
    w->headers_len = (uint32_t)(text.len - spec->path.len - spec->host.len);
    buf_clear(&text);
    w->ws.ops = &ws_ops;
    w->set = s;
    w->route = route_ref(spec->route);
    w->group = (uint16_t)spec->group;
    w->sign = spec->sign;
    uuid_make(w->id);
    set_apart(w);
    w->more->ops = ops;
    w->more->user = user;
    wsround_ask(w);
    return w;
}

void
wsoverhttp_cancel(struct wsoverhttp *w)
{
    if (w->state == WOH_REJECTED || w->state == WOH_OVER) {
        wsoverhttp_end(w);
        return;
    }
    w->disconnect = true;
    wsoverhttp_user_left(w);
    if (w->more->now == NULL)
        wsoverhttp_end(w); /* between two OPENs */
}

static struct request *
request_of(const struct wsoverhttp *w)
{
    return w->more != NULL && w->more->now != NULL ? w->more->now->request : NULL;
}

void
wsoverhttp_pause(struct wsoverhttp *w, bool pause)
{
    if (request_of(w) != NULL)
        request_pause(request_of(w), pause);
}

const struct target *
wsoverhttp_target(const struct wsoverhttp *w)
{
    return request_of(w) != NULL ? request_target(request_of(w)) : &w->route->targets[0];
}

struct wsoverhttps *
wsoverhttps_new(struct loop *l, struct origin *origin, const struct wsoverhttps_settings *settings)
{
    struct wsoverhttps *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->origin = origin;
    s->settings = *settings;
    list_init(&s->apart);
    return s;
}

void
wsoverhttps_free(struct wsoverhttps *s)
{
    while (!list_empty(&s->apart))
        wsoverhttp_fail(container_of(list_first(&s->apart), struct wsoverhttp_more, apart)->owner, "stopping");
    mem_free(s);
}

size_t
wsoverhttps_left(const struct wsoverhttps *s)
{
    return s->left;
}
