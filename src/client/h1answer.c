#include "client/h1conn.h"

enum { MAX_PIECES = 21 }; /* of one conn_sendv(), chunk heads and ends included */

static struct http1_head *
h1_head(struct xchg *x)
{
    return http1_head(h1conn_of(x)->parser);
}

static void
put_framing(struct h1conn *c, struct buf *b, int status, int64_t length)
{
    struct xchg *x = &c->xchg;
    c->no_body = x->to_head || !xchg_status_has_body(status);
    c->chunked = length < 0 && !c->no_body && x->minor == 1;
    c->until_close = length < 0 && !c->no_body && x->minor == 0;
    if (c->until_close)
        x->close = true;
    if (!x->body_complete)
        x->close = true; /* what is left of the request must not be taken for the next one */
    if (x->close && (x->minor == 1 || x->say_connection))
        buf_adds(b, STR("Connection: close\r\n"));
    else if (!x->close && (x->minor == 0 || x->say_connection))
        buf_adds(b, STR("Connection: keep-alive\r\n"));
    if (length >= 0 && xchg_status_has_body(status))
        buf_addf(b, "Content-Length: %lld\r\n", (long long)length);
    else if (c->chunked)
        buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
}

static int
sent(struct h1conn *c, int rc)
{
    if (conn_queued(&c->conn) == 0)
        c->active_at = h1conn_seconds();
    return rc;
}

int
h1answer_uncork(struct h1server *s)
{
    struct h1conn *c = s->corked;
    s->corked = NULL;
    return c != NULL ? sent(c, conn_send(&c->conn, buf_str(&s->head))) : 0;
}

static void
h1_start(struct xchg *x, int status, struct str reason, const struct headers *h, int64_t length)
{
    struct h1conn *c = h1conn_of(x);
    struct h1server *s = c->server;
    struct buf *b = &s->head;
    h1answer_uncork(s);
    b->len = 0;
    if (s->stopping)
        x->close = true;
    x->started = true;
    http1_put_status(b, x->minor, status, reason);
    for (unsigned i = 0; h != NULL && i < h->n; i++)
        http1_put_header(b, h->at[i].name, h->at[i].value);
    if (s->settings.stats != NULL)
        h1conn_count(c, STATS_CLIENT_HEADER_SENT, 3 + reason.len + (h != NULL ? headers_size(h) : 0));
    put_framing(c, b, status, length);
    buf_adds(b, STR("\r\n"));
    s->corked = c;
    loop_later(s->loop, &s->task);
}

static unsigned
put_piece(struct h1conn *c, const struct xchg_piece *p, struct conn_piece *out, char size[18])
{
    if (!c->chunked) {
        out[0] = (struct conn_piece){p->payload, p->owner};
        return p->payload.len > 0;
    }
    if (p->payload.len == 0)
        return 0; /* an empty chunk would be the last one */
    if (p->framed.ptr != NULL) {
        out[0] = (struct conn_piece){p->framed, p->owner};
        return 1;
    }
    out[0] = (struct conn_piece){str_of(size, http1_chunk_head(size, p->payload.len)), NULL};
    out[1] = (struct conn_piece){p->payload, p->owner};
    out[2] = (struct conn_piece){STR("\r\n"), NULL};
    return 3;
}

static int
h1_send(struct xchg *x, const struct xchg_piece *pieces, unsigned n)
{
    struct h1conn *c = h1conn_of(x);
    struct conn_piece out[MAX_PIECES];
    char sizes[MAX_PIECES / 3][18];
    unsigned used = 0;
    uint64_t bytes = 0;
    int rc = 0;
    if (c->no_body)
        return 0;
    if (c->server->corked == c) {
        out[used++] = (struct conn_piece){buf_str(&c->server->head), NULL};
        c->server->corked = NULL;
    }
    for (unsigned i = 0; i < n; i++) {
        if (used + 3 > MAX_PIECES) {
            rc |= conn_sendv(&c->conn, out, used);
            used = 0;
        }
        used += put_piece(c, &pieces[i], out + used, sizes[used / 3]);
        bytes += pieces[i].payload.len;
    }
    h1conn_count(c, STATS_CLIENT_CONTENT_SENT, bytes);
    if (used > 0)
        rc |= conn_sendv(&c->conn, out, used);
    return sent(c, rc);
}

static void
h1_end(struct xchg *x)
{
    struct h1conn *c = h1conn_of(x);
    x->user_ops = NULL;
    c->ended = true;
    h1conn_end_counting(c, c->server->stopping ? STATS_CLOSED_SHUTDOWN : STATS_CLOSED_DONE);
    if (c->chunked) {
        struct conn_piece out[2] = {{buf_str(&c->server->head), NULL}, {STR("0\r\n\r\n"), NULL}};
        bool corked = c->server->corked == c;
        if (corked)
            c->server->corked = NULL;
        sent(c, conn_sendv(&c->conn, corked ? out : out + 1, corked ? 2 : 1));
    } else if (c->server->corked == c) {
        h1answer_uncork(c->server);
    }
    if (c->state == H1_WAIT)
        h1conn_next_request(c);
    else if (!x->body_complete)
        h1conn_close_gently(c); /* the rest of the request is not wanted */
    /* else parse() is about to see the end of the request */
}

static void
h1_abort(struct xchg *x)
{
    struct h1conn *c = h1conn_of(x);
    x->user_ops = NULL;
    h1conn_end_counting(c, STATS_CLOSED_ORIGIN);
    h1answer_uncork(c->server);
    if (c->state == H1_CLOSED)
        return;
    if (x->started && c->until_close)
        conn_abort(&c->conn); /* a plain end would be that of the answer */
    else
        conn_close(&c->conn);
    h1conn_forget(c);
}

static size_t
h1_queued(const struct xchg *x)
{
    return conn_queued(&h1conn_of(x)->conn);
}

static void
h1_pause(struct xchg *x, bool pause)
{
    struct h1conn *c = h1conn_of(x);
    if (c->state != H1_BODY)
        return;
    if (pause)
        conn_pause(&c->conn);
    else
        conn_resume(&c->conn);
}

static void
h1_park(struct xchg *x)
{
    struct h1conn *c = h1conn_of(x);
    struct h1server *s = c->server;
    c->parked = true;
    if (c->conn.eof && !c->ready)
        h1server_wake(c); /* that was a half-close; for who waits so long it means that nobody is there */
    if (c->state == H1_BODY) {
        conn_resume(&c->conn); /* the rest of the body is read over */
    } else if (c->parser != NULL && !c->parsing) {
        h1conn_drop_parser(c);
    }
    if (s->stopping) { /* it was under way when all others were told */
        s->parked_late = true;
        loop_later(s->loop, &s->task);
    }
}

static bool
h1_more_input(const struct xchg *x)
{
    return h1conn_of(x)->pending != NULL;
}

static struct str
h1_peer(const struct xchg *x, char text[ADDRESS_TEXT_MAX])
{
    return conn_peer(&h1conn_of(x)->conn, text);
}

static struct buf *
h1_upgrade(struct xchg *x, struct str reason, const struct headers *h, struct conn *to, const struct conn_ops *ops)
{
    struct h1conn *c = h1conn_of(x);
    struct buf *b = &c->server->head, *pending = c->pending;
    h1answer_uncork(c->server);
    b->len = 0;
    http1_put_status(b, 1, 101, reason);
    for (unsigned i = 0; i < h->n; i++)
        http1_put_header(b, h->at[i].name, h->at[i].value);
    buf_adds(b, STR("\r\n"));
    conn_send(&c->conn, buf_str(b));
    x->user_ops = NULL;
    c->pending = NULL;
    conn_move(&c->conn, to, ops);
    h1conn_forget(c);
    return pending;
}

const struct xchg_ops h1answer_ops = {h1_start, h1_send, h1_end,        h1_abort, h1_queued, h1_pause,
                                      h1_park,  h1_head, h1_more_input, h1_peer,  h1_upgrade};
