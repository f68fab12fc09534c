#include "ws/wsconn.h"

#include "base/clock.h"
#include "base/slab.h"

#include <sys/random.h>

enum {
    CLOSE_MS = 10000, /* for the close handshake */
    LINGER_MS = 2000, /* for the peer to read our last words */
    SCRATCH = 16384,  /* frames that are composed on the stack */
    KEPT = 65536      /* bytes of the buffer for compressing that are kept */
};

static const struct str ping_text = {"pushpind", 8};

enum wsconn_state { OPEN, CLOSING, LINGER, CLOSED };

/* What only some connections need, some of the time. */
struct wsconn_more {
    struct wsconn *owner;
    struct task task; /* reads what is pending */
    struct buf pending;
    struct wsdeflater *deflater; /* owned; while a message of several pieces is sent */
};

struct wsconn {
    struct conn conn;         /* first: on_data and so on find the wsconn with container_of() */
    struct ws ws;             /* what a delivery looks at lies close together */
    struct wsconns *set;      /* borrowed */
    struct wsconn_more *more; /* owned; NULL while it is not needed */
    uint32_t active_at;       /* s of the monotonic clock: last traffic */
    uint8_t state;            /* enum wsconn_state */
    uint8_t bits;             /* compression of what we send; 0: none */
    bool client : 1;          /* the role: we mask */
    bool paused : 1;
    bool pinged : 1;         /* our ping is not answered yet */
    struct wsframe in;       /* the reader */
    struct list_node in_set; /* set->all */
    struct timer timer;      /* activity, ping, close or linger time */
};

struct wsconns {
    struct loop *loop; /* borrowed */
    struct wsconns_settings settings;
    struct list all;          /* of wsconn; owned */
    size_t clients;           /* of them in the server's role */
    struct wsdeflater *spare; /* owned; for messages of one piece; NULL before the first */
    struct buf packed;        /* where they are compressed */
};

static void read_input(struct wsconn *c, char *ptr, size_t len);

static struct wsconn *
of_ws(const struct ws *w)
{
    return container_of(w, struct wsconn, ws);
}

static uint32_t
seconds(void)
{
    return (uint32_t)(clock_now() / 1000);
}

/* ending */

static void
drop_more(struct wsconn *c)
{
    struct wsconn_more *m = c->more;
    if (m == NULL)
        return;
    c->more = NULL;
    loop_cancel(c->set->loop, &m->task);
    buf_clear(&m->pending);
    if (m->deflater != NULL)
        wsdeflater_free(m->deflater);
    mem_free(m);
}

static void
wsconn_free(void *ptr)
{
    struct wsconn *c = ptr;
    wsframe_clear(&c->in);
    slab_free(c, sizeof *c);
}

static void
end(struct wsconn *c)
{
    struct wsconns *s = c->set;
    if (c->state == CLOSED)
        return;
    c->state = CLOSED;
    conn_close(&c->conn);
    drop_more(c);
    loop_timer_stop(s->loop, &c->timer);
    list_remove(&s->all, &c->in_set);
    if (!c->client)
        s->clients--;
    loop_reap(s->loop, c, wsconn_free);
    if (s->settings.on_closed != NULL)
        s->settings.on_closed(s->settings.arg);
}

/* Tell the user, who is parted. */
static void
part(struct wsconn *c, const char *why)
{
    const struct ws_user_ops *ops = c->ws.user_ops;
    c->ws.user_ops = NULL;
    if (ops != NULL)
        ops->on_gone(&c->ws, why);
}

/* Both close frames are out, or there will be no other: let the peer read ours. */
static void
linger(struct wsconn *c)
{
    if (c->state == LINGER || c->state == CLOSED)
        return;
    c->ws.user_ops = NULL;
    if (c->conn.eof && conn_queued(&c->conn) == 0) {
        end(c);
        return;
    }
    c->state = LINGER;
    drop_more(c);
    loop_timer(c->set->loop, &c->timer, LINGER_MS);
    conn_linger(&c->conn);
}

/* sending */

static void
sent(struct wsconn *c)
{
    if (conn_queued(&c->conn) == 0)
        c->active_at = seconds();
}

/* A client's frame: masked with a key of its own, in bytes of its own. */
static void
send_masked(struct wsconn *c, struct wsframe_spec *spec, struct str payload)
{
    char scratch[SCRATCH];
    unsigned char key[4];
    char head[WSFRAME_HEAD_MAX];
    char *block = NULL, *to = scratch;
    size_t n;
    if (getrandom(key, sizeof key, 0) != sizeof key)
        memset(key, 0x5a, sizeof key); /* too early after boot: a weak mask, still a right one */
    spec->key = key;
    n = wsframe_head(head, spec, payload.len);
    if (n + payload.len > sizeof scratch)
        to = block = mem_alloc(n + payload.len);
    memcpy(to, head, n);
    if (payload.len > 0) {
        memcpy(to + n, payload.ptr, payload.len);
        wsframe_mask(to + n, payload.len, key, 0);
    }
    conn_send(&c->conn, str_of(to, n + payload.len));
    mem_free(block);
}

static void
send_frame(struct wsconn *c, struct wsframe_spec *spec, struct str payload, struct shared *owner)
{
    char head[WSFRAME_HEAD_MAX];
    struct conn_piece out[2];
    if (c->client) {
        send_masked(c, spec, payload);
        return;
    }
    out[0] = (struct conn_piece){str_of(head, wsframe_head(head, spec, payload.len)), NULL};
    out[1] = (struct conn_piece){payload, owner};
    conn_sendv(&c->conn, out, payload.len > 0 ? 2 : 1);
}

static struct wsconn_more *need_more(struct wsconn *c);

/* The compressor for the next piece: one of all connections where the piece is a whole message. */
static struct wsdeflater *
deflater_for(struct wsconn *c, const struct ws_piece *p)
{
    struct wsconns *s = c->set;
    if (!p->first || !p->last) {
        struct wsconn_more *m = need_more(c);
        if (m->deflater == NULL)
            m->deflater = wsdeflater_new(c->bits, true);
        return m->deflater;
    }
    if (s->spare != NULL && wsdeflater_bits(s->spare) != c->bits) {
        wsdeflater_free(s->spare);
        s->spare = NULL;
    }
    if (s->spare == NULL)
        s->spare = wsdeflater_new(c->bits, false);
    return s->spare;
}

static void
send_compressed(struct wsconn *c, const struct ws_piece *p)
{
    struct wsframe_spec spec = {.opcode = p->first ? p->opcode : 0, .last = p->last, .compressed = p->first};
    struct buf *out = &c->set->packed;
    out->len = 0;
    if (wsdeflater_put(deflater_for(c, p), p->payload, p->last, out) != 0)
        return; /* a message beyond all limits */
    send_frame(c, &spec, buf_str(out), NULL);
    if (p->last && c->more != NULL && c->more->deflater != NULL) {
        wsdeflater_free(c->more->deflater);
        c->more->deflater = NULL;
    }
    if (out->cap > KEPT)
        buf_clear(out);
}

static bool
is_ready(const struct wsconn *c, const struct ws_piece *p)
{
    return !c->client && p->framed.ptr != NULL && p->packed == (c->bits > 0 && p->opcode < WSFRAME_CLOSE);
}

static void
send_piece(struct wsconn *c, const struct ws_piece *p)
{
    struct wsframe_spec spec = {.opcode = p->first ? p->opcode : 0, .last = p->last};
    if (c->bits > 0 && p->opcode < WSFRAME_CLOSE)
        send_compressed(c, p);
    else
        send_frame(c, &spec, p->payload, p->owner);
}

static void
wsconn_send(struct ws *w, const struct ws_piece *pieces, unsigned n)
{
    enum { READY = 32 };
    struct wsconn *c = of_ws(w);
    struct conn_piece out[READY];
    unsigned used = 0;
    if (w->close_sent || c->state == CLOSED)
        return;
    for (unsigned i = 0; i < n; i++) {
        const struct ws_piece *p = &pieces[i];
        bool ready = is_ready(c, p);
        if (ready)
            out[used++] = (struct conn_piece){p->framed, p->owner};
        if (used > 0 && (!ready || used == READY || i + 1 == n)) {
            conn_sendv(&c->conn, out, used);
            used = 0;
        }
        if (!ready)
            send_piece(c, p);
    }
    sent(c);
}

static void
send_close(struct wsconn *c, int code, struct str reason)
{
    char payload[WSFRAME_CONTROL_MAX];
    struct wsframe_spec spec = {.opcode = WSFRAME_CLOSE, .last = true};
    if (c->ws.close_sent || c->state == CLOSED)
        return;
    c->ws.close_sent = true;
    if (code == WSFRAME_NO_CODE)
        code = WSFRAME_NORMAL; /* a code says more, and costs nothing */
    send_frame(c, &spec, str_of(payload, wsframe_put_close(payload, code, reason)), NULL);
}

static void
wsconn_close(struct ws *w, int code, struct str reason)
{
    struct wsconn *c = of_ws(w);
    send_close(c, code, reason);
    if (w->close_received) {
        linger(c);
    } else if (c->state == OPEN) {
        c->state = CLOSING;
        loop_timer(c->set->loop, &c->timer, CLOSE_MS);
    }
}

static void
wsconn_pause(struct ws *w, bool pause)
{
    struct wsconn *c = of_ws(w);
    if (c->state == CLOSED || c->state == LINGER || c->paused == pause)
        return;
    c->paused = pause;
    if (pause)
        conn_pause(&c->conn);
    else if (c->more != NULL && c->more->pending.len > 0)
        loop_later(c->set->loop, &c->more->task);
    else
        conn_resume(&c->conn);
}

static void
wsconn_leave(struct ws *w, int code, struct str reason)
{
    w->user_ops = NULL;
    wsconn_pause(w, false); /* to see the peer's close frame */
    wsconn_close(w, code, reason);
}

static size_t
wsconn_queued(const struct ws *w)
{
    return conn_queued(&of_ws(w)->conn);
}

static unsigned
wsconn_bits(const struct ws *w)
{
    return of_ws(w)->bits;
}

static struct str
wsconn_peer(const struct ws *w, char text[ADDRESS_TEXT_MAX])
{
    return conn_peer(&of_ws(w)->conn, text);
}

static const struct ws_ops ws_ops = {wsconn_send, wsconn_close, wsconn_leave, wsconn_pause, wsconn_queued,
                                     wsconn_bits, wsconn_peer,  NULL,         NULL};

/* receiving */

/* The peer broke the protocol. */
static void
refuse(struct wsconn *c, int code, const char *why)
{
    send_close(c, code, STR(""));
    part(c, why);
    linger(c);
}

static void
take_close(struct wsconn *c, struct str payload)
{
    const struct ws_user_ops *ops = c->ws.user_ops;
    struct str reason;
    int code = wsframe_close_code(payload, &reason);
    c->ws.close_received = true;
    if (!c->ws.close_sent) {
        if (ops != NULL)
            ops->on_close(&c->ws, code, reason);
        return;
    }
    c->ws.user_ops = NULL;
    if (ops != NULL)
        ops->on_close(&c->ws, code, reason);
    linger(c);
}

static void
take_control(struct wsconn *c, const struct wsframe_out *out)
{
    if (out->opcode == WSFRAME_CLOSE) {
        take_close(c, out->bytes);
    } else if (out->opcode == WSFRAME_PONG && c->pinged && str_eq(out->bytes, ping_text)) {
        c->pinged = false; /* the answer to our own */
    } else if (c->ws.user_ops != NULL) {
        c->ws.user_ops->on_control(&c->ws, out->opcode, out->bytes);
    }
}

static void
take_data(struct wsconn *c, const struct wsframe_out *out)
{
    struct ws_piece p = {.payload = out->bytes, .opcode = out->opcode, .first = out->first, .last = out->last};
    if (c->ws.user_ops != NULL)
        c->ws.user_ops->on_message(&c->ws, &p);
}

static bool
is_reading(const struct wsconn *c)
{
    return (c->state == OPEN || c->state == CLOSING) && !c->ws.close_received && !c->paused;
}

static struct wsconn_more *need_more(struct wsconn *c);

/* The user wants no more for now: keep the rest. */
static void
keep_pending(struct wsconn *c, const char *ptr, size_t len)
{
    if (len > 0 && c->paused && (c->state == OPEN || c->state == CLOSING))
        buf_add(&need_more(c)->pending, ptr, len);
}

static void
read_frames(struct wsconn *c, struct wsframe_in *in)
{
    struct wsframe_out out;
    while (is_reading(c)) {
        enum wsframe_event event = wsframe_next(&c->in, in, &out);
        if (event == WSFRAME_MORE)
            return;
        if (event == WSFRAME_BAD)
            refuse(c, out.code, out.why);
        else if (event == WSFRAME_DATA)
            take_data(c, &out);
        else
            take_control(c, &out);
    }
    keep_pending(c, in->ptr, in->len);
}

static void
read_inflating(struct wsconn *c, struct wsframe_in *in)
{
    char room[WSFRAME_ROOM];
    in->room = room;
    read_frames(c, in);
}

static void
read_input(struct wsconn *c, char *ptr, size_t len)
{
    struct wsframe_in in = {ptr, len, NULL};
    c->active_at = seconds();
    if (c->in.inflate != NULL)
        read_inflating(c, &in);
    else
        read_frames(c, &in);
}

static void
on_eof(struct conn *conn)
{
    struct wsconn *c = container_of(conn, struct wsconn, conn);
    if (c->more != NULL && c->more->pending.len > 0)
        return; /* it is read first */
    if (c->ws.close_received && !c->ws.close_sent)
        return; /* the user is about to answer */
    part(c, "connection closed without a close frame");
    end(c);
}

static void
on_task(struct task *t)
{
    struct wsconn_more *m = container_of(t, struct wsconn_more, task);
    struct wsconn *c = m->owner;
    struct buf pending = m->pending;
    if (c->paused)
        return;
    m->pending = BUF_INIT(m->pending.max);
    if (m->deflater == NULL)
        drop_more(c);
    read_input(c, pending.ptr, pending.len);
    buf_clear(&pending);
    if (c->state != OPEN && c->state != CLOSING)
        return;
    if (!c->paused)
        conn_resume(&c->conn);
    if (c->conn.eof && !c->paused)
        on_eof(&c->conn);
}

static struct wsconn_more *
need_more(struct wsconn *c)
{
    if (c->more == NULL) {
        c->more = mem_zalloc(sizeof *c->more);
        c->more->owner = c;
        task_init(&c->more->task, on_task);
        buf_init(&c->more->pending, 1 << 20); /* one read, or what came before the handshake ended */
    }
    return c->more;
}

static void
on_data(struct conn *conn, struct str data)
{
    /* the loop's buffer: nobody else looks at it */
    struct wsconn *c = container_of(conn, struct wsconn, conn);
    if (c->more != NULL && c->more->pending.len > 0)
        buf_add(&c->more->pending, data.ptr, data.len);
    else
        read_input(c, (char *)(uintptr_t)data.ptr, data.len);
}

static void
on_error(struct conn *conn, const char *why)
{
    struct wsconn *c = container_of(conn, struct wsconn, conn);
    part(c, why);
    end(c);
}

static void
on_drained(struct conn *conn)
{
    struct wsconn *c = container_of(conn, struct wsconn, conn);
    c->active_at = seconds();
    if (c->ws.user_ops != NULL)
        c->ws.user_ops->on_drained(&c->ws);
}

const struct conn_ops wsconn_conn_ops = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drained = on_drained};

/* time */

static void
send_ping(struct wsconn *c)
{
    struct wsframe_spec spec = {.opcode = WSFRAME_PING, .last = true};
    c->pinged = true;
    c->active_at = seconds();
    send_frame(c, &spec, ping_text, NULL);
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
    uint32_t quiet = seconds() - c->active_at;
    if (limit > 0)
        loop_timer(c->set->loop, &c->timer, quiet < limit ? (uint64_t)(limit - quiet) * 1000 : 0);
}

static void
on_timer(struct timer *t)
{
    struct wsconn *c = container_of(t, struct wsconn, timer);
    const struct wsconns_settings *s = &c->set->settings;
    uint32_t quiet = seconds() - c->active_at;
    if (c->state != OPEN) {
        part(c, "close handshake timed out");
        end(c);
    } else if ((s->activity_timeout > 0 && quiet >= s->activity_timeout) || (c->pinged && quiet >= s->ping_interval)) {
        send_close(c, WSFRAME_GOING_AWAY, STR(""));
        part(c, "timed out");
        linger(c);
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
    c->ws.ops = &ws_ops;
    c->client = role == WSCONN_CLIENT;
    c->bits = params->bits;
    c->conn.fd = -1;
    wsframe_init(&c->in, !c->client, &s->settings.limits);
    if (params->bits > 0)
        wsframe_allow_deflate(&c->in, params->their_context);
    timer_init(&c->timer, on_timer);
    list_push_back(&s->all, &c->in_set);
    if (!c->client)
        s->clients++;
    return &c->ws;
}

struct conn *
wsconn_conn(struct ws *w)
{
    return &of_ws(w)->conn;
}

void
wsconn_start(struct ws *w, struct str input)
{
    struct wsconn *c = of_ws(w);
    c->active_at = seconds();
    start_timer(c);
    if (input.len == 0 && !c->conn.eof)
        return;
    need_more(c)->pending.max += input.len;
    buf_adds(&c->more->pending, input);
    loop_later(c->set->loop, &c->more->task);
}

void
wsconn_discard(struct ws *w)
{
    w->user_ops = NULL;
    end(of_ws(w));
}

struct wsconns *
wsconns_new(struct loop *l, const struct wsconns_settings *settings)
{
    struct wsconns *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->settings = *settings;
    list_init(&s->all);
    buf_init(&s->packed, 1 << 30);
    return s;
}

void
wsconns_free(struct wsconns *s)
{
    s->settings.on_closed = NULL;
    while (!list_empty(&s->all)) {
        struct wsconn *c = container_of(list_first(&s->all), struct wsconn, in_set);
        part(c, "stopping");
        end(c);
    }
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
    return s->all.n;
}
