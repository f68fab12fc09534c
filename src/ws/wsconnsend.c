#include "ws/wsconnbase.h"

#include <sys/random.h>

enum {
    CLOSE_MS = 10000, /* for the close handshake */
    SCRATCH = 16384,  /* frames that are composed on the stack */
    COPIED = 2048,    /* bytes of a payload that are copied behind its head */
    KEPT = 65536      /* bytes of the buffer for compressing that are kept */
};

static void
sent(struct wsconn *c)
{
    if (conn_queued(&c->conn) == 0)
        c->active_at = wsconn_seconds();
}

/* A mask that nobody can foresee (RFC 6455, 10.3). */
static const unsigned char *
next_key(struct wsconns *s)
{
    if (s->keys_left == 0) {
        if (getrandom(s->keys, sizeof s->keys, 0) != sizeof s->keys)
            memset(s->keys, 0x5a, sizeof s->keys); /* too early after boot: a weak mask, still a right one */
        s->keys_left = sizeof s->keys;
    }
    s->keys_left -= 4;
    return s->keys + s->keys_left;
}

/* A frame in bytes of its own: one piece is written in less time than two, and a client's is masked. */
static void
send_copied(struct wsconn *c, const char *head, size_t n, const struct wsframe_spec *spec, struct str payload)
{
    char scratch[SCRATCH];
    char *block = NULL, *to = scratch;
    if (n + payload.len > sizeof scratch)
        to = block = mem_alloc(n + payload.len);
    memcpy(to, head, n);
    if (payload.len > 0)
        memcpy(to + n, payload.ptr, payload.len);
    if (spec->key != NULL)
        wsframe_mask(to + n, payload.len, spec->key, 0);
    conn_send(&c->conn, str_of(to, n + payload.len));
    mem_free(block);
}

/* A server's, as several frames. */
static void
send_cut(struct wsconn *c, struct wsframe_spec *spec, struct str payload, struct shared *owner)
{
    enum { FRAMES = 16 }; /* of one write */
    char heads[FRAMES][WSFRAME_HEAD_MAX];
    struct conn_piece out[2 * FRAMES];
    bool last = spec->last;
    unsigned n = 0;
    while (payload.len > 0) {
        struct str part;
        size_t len = wsframe_head_next(heads[n], spec, &payload, c->set->settings.frame_max, last, &part);
        out[2 * n] = (struct conn_piece){str_of(heads[n], len), NULL};
        out[2 * n + 1] = (struct conn_piece){part, owner};
        if (++n < FRAMES && payload.len > 0)
            continue;
        conn_sendv(&c->conn, out, 2 * n);
        n = 0;
    }
}

void
wsconn_send_frame(struct wsconn *c, struct wsframe_spec *spec, struct str payload, struct shared *owner)
{
    char head[WSFRAME_HEAD_MAX];
    struct conn_piece out[2];
    size_t n, max = c->set->settings.frame_max;
    if (!c->client && max > 0 && payload.len > max) {
        send_cut(c, spec, payload, owner);
        return;
    }
    spec->key = c->client ? next_key(c->set) : NULL;
    n = wsframe_head(head, spec, payload.len);
    if (c->client || payload.len <= COPIED) {
        send_copied(c, head, n, spec, payload);
        return;
    }
    out[0] = (struct conn_piece){str_of(head, n), NULL};
    out[1] = (struct conn_piece){payload, owner};
    conn_sendv(&c->conn, out, 2);
}

/* The compressor for the next piece: one of all connections where the piece is a whole message. */
static struct wsdeflater *
deflater_for(struct wsconn *c, const struct ws_piece *p)
{
    struct wsconns *s = c->set;
    if (!p->first || !p->last) {
        struct wsconn_more *m = wsconn_need_more(c);
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
    wsconn_send_frame(c, &spec, buf_str(out), NULL);
    if (p->last && c->more != NULL && c->more->deflater != NULL) {
        wsdeflater_free(c->more->deflater);
        c->more->deflater = NULL;
        wsconn_settle_more(c);
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
        wsconn_send_frame(c, &spec, p->payload, p->owner);
}

static void
wsconn_send(struct ws *w, const struct ws_piece *pieces, unsigned n)
{
    enum { READY = 32 };
    struct wsconn *c = wsconn_of(w);
    struct conn_piece out[READY];
    unsigned used = 0;
    if (w->close_sent || c->state == WSCONN_CLOSED)
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

void
wsconn_send_close(struct wsconn *c, int code, struct str reason)
{
    char payload[WSFRAME_CONTROL_MAX];
    struct wsframe_spec spec = {.opcode = WSFRAME_CLOSE, .last = true};
    if (c->ws.close_sent || c->state == WSCONN_CLOSED)
        return;
    c->ws.close_sent = true;
    if (code == WSFRAME_NO_CODE)
        code = WSFRAME_NORMAL; /* a code says more, and costs nothing */
    wsconn_send_frame(c, &spec, str_of(payload, wsframe_put_close(payload, code, reason)), NULL);
}

static void
wsconn_close(struct ws *w, int code, struct str reason)
{
    struct wsconn *c = wsconn_of(w);
    wsconn_send_close(c, code, reason);
    if (w->close_received) {
        wsconn_linger(c);
    } else if (c->state == WSCONN_OPEN) {
        c->state = WSCONN_CLOSING;
        loop_timer(c->set->loop, &c->timer, CLOSE_MS);
    }
}

/* Is there something to read that does not come from the connection any more? */
static bool
has_pending(const struct wsconn *c)
{
    const struct wsconn_more *m = c->more;
    return m != NULL && (m->pending.len > 0 || (m->reading && wsframe_holds_back(&m->reader)));
}

static void
wsconn_pause(struct ws *w, bool pause)
{
    struct wsconn *c = wsconn_of(w);
    if (c->state == WSCONN_CLOSED || c->state == WSCONN_LINGER || c->paused == pause)
        return;
    c->paused = pause;
    if (pause)
        conn_pause(&c->conn);
    else if (has_pending(c))
        loop_later(c->set->loop, &c->more->task);
    else
        conn_resume(&c->conn);
}

static void
wsconn_leave(struct ws *w, int code, struct str reason)
{
    w->user_ops = NULL;
    if (wsconn_of(w)->state != WSCONN_CLOSED)
        wsconn_set_apart(wsconn_of(w));
    wsconn_pause(w, false); /* to see the peer's close frame */
    wsconn_close(w, code, reason);
}

static size_t
wsconn_queued(const struct ws *w)
{
    return conn_queued(&wsconn_of(w)->conn);
}

static unsigned
wsconn_bits(const struct ws *w)
{
    return wsconn_of(w)->bits;
}

static struct str
wsconn_peer(const struct ws *w, char text[ADDRESS_TEXT_MAX])
{
    return conn_peer(&wsconn_of(w)->conn, text);
}

const struct ws_ops wsconn_ops = {wsconn_send, wsconn_close, wsconn_leave, wsconn_pause, wsconn_queued,
                                  wsconn_bits, wsconn_peer,  NULL,         NULL};
