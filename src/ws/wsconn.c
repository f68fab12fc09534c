#include "ws/wsconnbase.h"

#include "base/slab.h"

enum { LINGER_MS = 2000 }; /* for the peer to read our last words */

const struct str wsconn_ping_text = {"pushpind", 8};

/* what only some need */

struct wsconn_more *
wsconn_need_more(struct wsconn *c)
{
    if (c->more == NULL) {
        c->more = mem_zalloc(sizeof *c->more);
        c->more->owner = c;
        task_init(&c->more->task, wsconn_read_pending);
        buf_init(&c->more->pending, 1 << 20); /* one read, or what came before the handshake ended */
    }
    return c->more;
}

/* Give back all that is in it. */
static void
empty_more(struct wsconn *c)
{
    struct wsconn_more *m = c->more;
    loop_cancel(c->set->loop, &m->task);
    buf_clear(&m->pending);
    if (m->deflater != NULL)
        wsdeflater_free(m->deflater);
    if (m->reading)
        wsframe_clear(&m->reader);
    m->deflater = NULL;
    m->reading = false;
}

static void
drop_more(struct wsconn *c)
{
    struct wsconn_more *m = c->more;
    if (m == NULL)
        return;
    empty_more(c);
    if (list_in(&m->apart))
        list_remove(&c->set->apart, &m->apart);
    c->more = NULL;
    mem_free(m);
}

void
wsconn_settle_more(struct wsconn *c)
{
    const struct wsconn_more *m = c->more;
    if (m != NULL && !m->reading && m->deflater == NULL && m->pending.len == 0 && !list_in(&m->task.node) &&
        !list_in(&m->apart))
        drop_more(c);
}

void
wsconn_set_apart(struct wsconn *c)
{
    struct wsconn_more *m = wsconn_need_more(c);
    if (!list_in(&m->apart))
        list_push_back(&c->set->apart, &m->apart);
}

/* ending */

static void
wsconn_free(void *ptr)
{
    struct wsconn *c = ptr;
    slab_free(c, sizeof *c);
}

void
wsconn_end(struct wsconn *c)
{
    struct wsconns *s = c->set;
    if (c->state == WSCONN_CLOSED)
        return;
    c->state = WSCONN_CLOSED;
    conn_close(&c->conn);
    drop_more(c);
    loop_timer_stop(s->loop, &c->timer);
    s->n--;
    if (!c->client)
        s->clients--;
    loop_reap(s->loop, c, wsconn_free);
    if (s->settings.on_closed != NULL)
        s->settings.on_closed(s->settings.arg);
}

void
wsconn_part(struct wsconn *c, const char *why)
{
    const struct ws_user_ops *ops = c->ws.user_ops;
    c->ws.user_ops = NULL;
    if (ops != NULL)
        ops->on_gone(&c->ws, why);
}

void
wsconn_linger(struct wsconn *c)
{
    if (c->state == WSCONN_LINGER || c->state == WSCONN_CLOSED)
        return;
    c->ws.user_ops = NULL;
    if (c->conn.eof && conn_queued(&c->conn) == 0) {
        wsconn_end(c);
        return;
    }
    c->state = WSCONN_LINGER;
    wsconn_set_apart(c);
    empty_more(c);
    loop_timer(c->set->loop, &c->timer, LINGER_MS);
    conn_linger(&c->conn);
}

/* time */

static void
send_ping(struct wsconn *c)
{
    struct wsframe_spec spec = {.opcode = WSFRAME_PING, .last = true};
    c->pinged = true;
    c->active_at = wsconn_seconds();
    wsconn_send_frame(c, &spec, wsconn_ping_text, NULL);
}

/* s without traffic until there is something to do; 0: never. */
static unsigned
quiet_limit(const struct wsconns_settings *s)
{
    if (s->ping_interval > 0 && (s->activity_timeout == 0 || s->ping_interval < s->activity_timeout))
        return s->ping_interval;
    return s->activity_timeout;
}

static void
start_timer(struct wsconn *c)
{
    unsigned limit = quiet_limit(&c->set->settings);
    uint32_t quiet = wsconn_seconds() - c->active_at;
    if (limit > 0)
        loop_timer(c->set->loop, &c->timer, quiet < limit ? (uint64_t)(limit - quiet) * 1000 : 0);
}

static void
on_timer(struct timer *t)
{
    struct wsconn *c = container_of(t, struct wsconn, timer);
    const struct wsconns_settings *s = &c->set->settings;
    uint32_t quiet = wsconn_seconds() - c->active_at;
    if (c->state != WSCONN_OPEN) {
        wsconn_part(c, "close handshake timed out");
        wsconn_end(c);
    } else if ((s->activity_timeout > 0 && quiet >= s->activity_timeout) || (c->pinged && quiet >= s->ping_interval)) {
        wsconn_send_close(c, WSFRAME_GOING_AWAY, STR(""));
        wsconn_part(c, "timed out");
        wsconn_linger(c);
    } else {
        if (s->ping_interval > 0 && quiet >= s->ping_interval)
            send_ping(c);
        start_timer(c);
    }
}

/* beginning */

struct ws *
wsconn_new(struct wsconns *s, enum wsconn_role role, const struct wsdeflate_params *params)
{
    struct wsconn *c = slab_alloc(sizeof *c);
    c->set = s;
    c->ws.ops = &wsconn_ops;
    c->client = role == WSCONN_CLIENT;
    c->bits = params->bits;
    c->conn.fd = -1;
    c->their_context = params->their_context;
    timer_init(&c->timer, on_timer);
    s->n++;
    if (!c->client)
        s->clients++;
    return &c->ws;
}

struct conn *
wsconn_conn(struct ws *w)
{
    return &wsconn_of(w)->conn;
}

void
wsconn_start(struct ws *w, struct str input)
{
    struct wsconn *c = wsconn_of(w);
    c->active_at = wsconn_seconds();
    start_timer(c);
    if (input.len == 0 && !c->conn.eof)
        return;
    wsconn_need_more(c)->pending.max += input.len;
    buf_adds(&c->more->pending, input);
    loop_later(c->set->loop, &c->more->task);
}

void
wsconn_discard(struct ws *w)
{
    w->user_ops = NULL;
    wsconn_end(wsconn_of(w));
}

struct wsconns *
wsconns_new(struct loop *l, const struct wsconns_settings *settings)
{
    struct wsconns *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->settings = *settings;
    list_init(&s->apart);
    buf_init(&s->packed, 1 << 30);
    return s;
}

void
wsconns_free(struct wsconns *s)
{
    s->settings.on_closed = NULL;
    while (!list_empty(&s->apart))
        wsconn_end(container_of(list_first(&s->apart), struct wsconn_more, apart)->owner);
    if (s->spare != NULL)
        wsdeflater_free(s->spare);
    buf_clear(&s->packed);
    mem_free(s);
}

size_t
wsconns_clients(const struct wsconns *s)
{
    return s->clients;
}

size_t
wsconns_count(const struct wsconns *s)
{
    return s->n;
}
