#include "ws/wsconnbase.h"

/* The peer broke the protocol. */
static void
refuse(struct wsconn *c, int code, const char *why)
{
    wsconn_send_close(c, code, STR(""));
    wsconn_part(c, why);
    wsconn_linger(c);
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
    wsconn_linger(c);
}

static void
take_control(struct wsconn *c, const struct wsframe_out *out)
{
    if (out->opcode == WSFRAME_CLOSE) {
        take_close(c, out->bytes);
    } else if (out->opcode == WSFRAME_PONG && c->pinged && str_eq(out->bytes, wsconn_ping_text)) {
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
    return (c->state == WSCONN_OPEN || c->state == WSCONN_CLOSING) && !c->ws.close_received && !c->paused;
}

/* The user wants no more for now: keep the rest. */
static void
keep_pending(struct wsconn *c, const char *ptr, size_t len)
{
    if (len > 0 && c->paused && (c->state == WSCONN_OPEN || c->state == WSCONN_CLOSING))
        buf_add(&wsconn_need_more(c)->pending, ptr, len);
}

/* The reader begins anew wherever it would go on as if it did, so that a quiet connection keeps none. */
static void
take_reader(struct wsconn *c, struct wsframe *f)
{
    struct wsconn_more *m = c->more;
    if (m != NULL && m->reading) {
        *f = m->reader;
        m->reading = false;
        return;
    }
    wsframe_init(f, !c->client, &c->set->settings.limits);
    if (c->bits > 0)
        wsframe_allow_deflate(f, c->their_context);
}

static void
put_reader_back(struct wsconn *c, struct wsframe *f)
{
    bool goes_on = c->state == WSCONN_OPEN || c->state == WSCONN_CLOSING;
    if (goes_on && !wsframe_is_idle(f)) {
        struct wsconn_more *m = wsconn_need_more(c);
        m->reader = *f;
        m->reading = true;
        return;
    }
    wsframe_clear(f);
    if (goes_on)
        wsconn_settle_more(c);
}

static void
read_frames(struct wsconn *c, struct wsframe *f, struct wsframe_in *in)
{
    struct wsframe_out out;
    while (is_reading(c)) {
        enum wsframe_event event = wsframe_next(f, in, &out);
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
read_inflating(struct wsconn *c, struct wsframe *f, struct wsframe_in *in)
{
    char room[WSFRAME_ROOM];
    in->room = room;
    read_frames(c, f, in);
    in->room = NULL;
}

static void
read_input(struct wsconn *c, char *ptr, size_t len)
{
    struct wsframe_in in = {ptr, len, NULL};
    struct wsframe reader;
    c->active_at = wsconn_seconds();
    take_reader(c, &reader);
    if (reader.deflate)
        read_inflating(c, &reader, &in);
    else
        read_frames(c, &reader, &in);
    put_reader_back(c, &reader);
}

static void
on_eof(struct conn *conn)
{
    struct wsconn *c = container_of(conn, struct wsconn, conn);
    if (c->more != NULL && c->more->pending.len > 0)
        return; /* it is read first */
    if (c->ws.close_received && !c->ws.close_sent)
        return; /* the user is about to answer */
    wsconn_part(c, "connection closed without a close frame");
    wsconn_end(c);
}

void
wsconn_read_pending(struct task *t)
{
    struct wsconn_more *m = container_of(t, struct wsconn_more, task);
    struct wsconn *c = m->owner;
    struct buf pending = m->pending;
    char none[1]; /* to go on with what the reader holds back */
    if (c->paused)
        return;
    m->pending = BUF_INIT(m->pending.max);
    read_input(c, pending.len > 0 ? pending.ptr : none, pending.len); /* M may be gone now */
    buf_clear(&pending);
    if (c->state != WSCONN_OPEN && c->state != WSCONN_CLOSING)
        return;
    if (!c->paused)
        conn_resume(&c->conn);
    if (c->conn.eof && !c->paused)
        on_eof(&c->conn);
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
    wsconn_part(c, why);
    wsconn_end(c);
}

static void
on_drained(struct conn *conn)
{
    struct wsconn *c = container_of(conn, struct wsconn, conn);
    c->active_at = wsconn_seconds();
    if (c->ws.user_ops != NULL)
        c->ws.user_ops->on_drained(&c->ws);
}

const struct conn_ops wsconn_conn_ops = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drained = on_drained};
