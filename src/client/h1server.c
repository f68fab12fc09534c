#include "client/h1server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/slab.h"
#include "client/preface.h"
#include "io/tls.h"

enum {
    LINGER_MS = 2000,  /* for the client to read our last words */
    LINGER_MAX_S = 30, /* the same while it still sends */
    MAX_PIECES = 21    /* of one conn_sendv(), chunk heads and ends included */
};

enum h1_state {
    H1_IDLE,   /* between requests, or in the head of one */
    H1_BODY,   /* the request's body is being read */
    H1_WAIT,   /* the request is complete, its answer is not */
    H1_LINGER, /* the last answer is out: waiting for the client to close */
    H1_CLOSED
};

struct h1conn {
    struct conn conn; /* first: on_data and so on find the h1conn with container_of() */
    /* what a delivery looks at lies close together */
    struct xchg xchg;
    struct h1server *server;       /* borrowed */
    uint32_t active_at;            /* s of the monotonic clock: last progress in either direction */
    uint8_t state;                 /* enum h1_state */
    bool chunked : 1, no_body : 1; /* how the answer's body goes out */
    bool until_close : 1;          /* nothing else tells where it ends */
    bool ended : 1;                /* the answer is complete */
    bool parsing : 1;              /* inside parse(), which needs the parser */
    bool parked : 1;
    bool continued : 1;         /* 100 Continue was sent, or need not be */
    bool ready : 1;             /* in server->ready */
    struct list_node in_server; /* server->conns, or server->ready */
    struct timer timer;         /* idle, head, activity or linger time */
    struct http1 *parser;       /* owned; NULL while nothing of a request has come, and when parked */
    struct buf *pending;        /* owned; what came behind the request that is being answered; NULL when nothing */
};

struct h1server {
    struct loop *loop; /* borrowed */
    struct h1server_settings settings;
    struct h1server_ops ops;
    void *arg;
    struct list conns;     /* of h1conn; owned */
    struct list ready;     /* of h1conn: what is pending can be parsed, or the client's end looked at; owned */
    struct task task;      /* serves READY, and sends CORKED */
    struct h1conn *corked; /* whose answer's head lies in HEAD, waiting for the first bytes of the body; or NULL */
    struct buf head;
    bool stopping;
    bool parked_late; /* a request was parked while we stop */
};

static void parse(struct h1conn *c, struct str in);
static void close_conn(struct h1conn *c, const char *why);
static int uncork(struct h1server *s);

static struct h1conn *
of_xchg(const struct xchg *x)
{
    return container_of(x, struct h1conn, xchg);
}

static uint32_t
seconds(void)
{
    return (uint32_t)(clock_now() / 1000);
}

/* counting */

static inline void
count(struct h1conn *c, enum stats_counter what, uint64_t n)
{
    stats_add(c->server->settings.stats, c->xchg.group, what, n);
}

static void
end_counting(struct h1conn *c, enum stats_counter why)
{
    stats_conn_end(c->server->settings.stats, c->xchg.group, &c->xchg.live, why);
}

/* closing */

static const char why_left[] = "client left", why_timeout[] = "timed out", why_stopping[] = "stopping";

static enum stats_counter
reason(const char *why)
{
    if (why == why_left)
        return STATS_CLOSED_CLIENT;
    if (why == why_timeout)
        return STATS_CLOSED_TIMEOUT;
    return why == why_stopping ? STATS_CLOSED_SHUTDOWN : STATS_CLOSED_ERROR;
}

static void
h1conn_free(void *ptr)
{
    struct h1conn *c = ptr;
    if (c->pending != NULL) {
        buf_clear(c->pending);
        mem_free(c->pending);
    }
    if (c->parser != NULL)
        http1_free(c->parser);
    slab_free(c, sizeof *c);
}

static void
forget(struct h1conn *c)
{
    struct h1server *s = c->server;
    if (s->corked == c)
        s->corked = NULL;
    list_remove(c->ready ? &s->ready : &s->conns, &c->in_server);
    loop_timer_stop(s->loop, &c->timer);
    c->state = H1_CLOSED;
    loop_reap(s->loop, c, h1conn_free);
    if (s->ops.on_closed != NULL)
        s->ops.on_closed(s->arg);
}

static void
part(struct h1conn *c, const char *why)
{
    const struct xchg_user_ops *ops = c->xchg.user_ops;
    c->xchg.user_ops = NULL;
    if (ops != NULL)
        ops->on_gone(&c->xchg, why);
    end_counting(c, reason(why));
}

static void
close_conn(struct h1conn *c, const char *why)
{
    if (c->state == H1_CLOSED)
        return;
    conn_close(&c->conn);
    forget(c);
    part(c, why);
}

/* Close once the client has read what we sent, so that it is not lost to a reset. */
static void
close_gently(struct h1conn *c)
{
    bool all_read = c->xchg.body_complete && c->pending == NULL; /* no reset will follow */
    if ((c->conn.eof || all_read) && conn_queued(&c->conn) == 0) {
        close_conn(c, "done");
        return;
    }
    c->state = H1_LINGER;
    c->active_at = seconds();
    loop_timer(c->server->loop, &c->timer, LINGER_MS);
    conn_linger(&c->conn);
}

/* LIMIT: seconds; 0: none. */
static void
set_timer(struct h1conn *c, unsigned limit)
{
    if (limit > 0)
        loop_timer(c->server->loop, &c->timer, (uint64_t)limit * 1000);
    else
        loop_timer_stop(c->server->loop, &c->timer);
}

/* Is the client still taking our last words, or sending what nobody wants? */
static bool
lingers(struct h1conn *c, bool moved)
{
    uint32_t limit = c->server->settings.activity_timeout, since = seconds() - c->active_at;
    if (conn_queued(&c->conn) == 0)
        return moved && since < LINGER_MAX_S;
    if (moved)
        c->active_at = seconds();
    return moved || limit == 0 || since < limit;
}

static void
on_timer(struct timer *t)
{
    struct h1conn *c = container_of(t, struct h1conn, timer);
    uint32_t limit = c->server->settings.activity_timeout, quiet;
    bool moved = conn_moved(&c->conn);
    if (c->state == H1_LINGER && lingers(c, moved)) {
        loop_timer(c->server->loop, t, LINGER_MS);
        return;
    }
    if (moved)
        c->active_at = seconds();
    quiet = seconds() - c->active_at;
    if (c->state == H1_WAIT && !c->parked)
        limit++; /* who is asked for the answer has the same limit, and after that tells us what to say */
    if (c->state == H1_IDLE || c->state == H1_LINGER || quiet > limit) /* whole seconds: one may be a moment */
        close_conn(c, why_timeout);
    else
        set_timer(c, limit - quiet + 1);
}

/* answering */

static struct http1_head *
h1_head(struct xchg *x)
{
    return http1_head(of_xchg(x)->parser);
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
    if (x->close && x->minor == 1)
        buf_adds(b, STR("Connection: close\r\n"));
    else if (!x->close && (x->minor == 0 || x->say_keep_alive))
        buf_adds(b, STR("Connection: keep-alive\r\n"));
    if (length >= 0 && xchg_status_has_body(status))
        buf_addf(b, "Content-Length: %lld\r\n", (long long)length);
    else if (c->chunked)
        buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
}

static void
h1_start(struct xchg *x, int status, struct str reason, const struct headers *h, int64_t length)
{
    struct h1conn *c = of_xchg(x);
    struct h1server *s = c->server;
    struct buf *b = &s->head;
    uncork(s);
    b->len = 0;
    if (s->stopping)
        x->close = true;
    x->started = true;
    http1_put_status(b, x->minor, status, reason);
    for (unsigned i = 0; h != NULL && i < h->n; i++)
        http1_put_header(b, h->at[i].name, h->at[i].value);
    if (s->settings.stats != NULL)
        count(c, STATS_CLIENT_HEADER_SENT, 3 + reason.len + (h != NULL ? headers_size(h) : 0));
    put_framing(c, b, status, length);
    buf_adds(b, STR("\r\n"));
    s->corked = c;
    loop_later(s->loop, &s->task);
}

static int
sent(struct h1conn *c, int rc)
{
    if (conn_queued(&c->conn) == 0)
        c->active_at = seconds();
    return rc;
}

/* Send the head that waits for company. */
static int
uncork(struct h1server *s)
{
    struct h1conn *c = s->corked;
    s->corked = NULL;
    return c != NULL ? sent(c, conn_send(&c->conn, buf_str(&s->head))) : 0;
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
    struct h1conn *c = of_xchg(x);
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
    count(c, STATS_CLIENT_CONTENT_SENT, bytes);
    if (used > 0)
        rc |= conn_sendv(&c->conn, out, used);
    return sent(c, rc);
}

/* Look at what is pending, and at the end of the client's input, in the next turn. */
static void
wake(struct h1conn *c)
{
    struct h1server *s = c->server;
    list_remove(&s->conns, &c->in_server);
    list_push_back(&s->ready, &c->in_server);
    c->ready = true;
    loop_later(s->loop, &s->task);
}

/* Go on with the next request, or close. */
static void
next_request(struct h1conn *c)
{
    struct h1server *s = c->server;
    if (c->xchg.close || s->stopping) {
        close_gently(c);
        return;
    }
    c->state = H1_IDLE;
    c->parked = false;
    set_timer(c, s->settings.idle_timeout);
    if (c->parser != NULL)
        http1_begin(c->parser);
    if (c->pending != NULL || c->conn.eof) {
        wake(c);
        return;
    }
    conn_resume(&c->conn);
    if (c->parser != NULL && !c->parsing) {
        http1_free(c->parser); /* an idle connection keeps nothing */
        c->parser = NULL;
    }
}

static void
h1_end(struct xchg *x)
{
    struct h1conn *c = of_xchg(x);
    x->user_ops = NULL;
    c->ended = true;
    end_counting(c, c->server->stopping ? STATS_CLOSED_SHUTDOWN : STATS_CLOSED_DONE);
    if (c->chunked) {
        struct conn_piece out[2] = {{buf_str(&c->server->head), NULL}, {STR("0\r\n\r\n"), NULL}};
        bool corked = c->server->corked == c;
        if (corked)
            c->server->corked = NULL;
        sent(c, conn_sendv(&c->conn, corked ? out : out + 1, corked ? 2 : 1));
    } else if (c->server->corked == c) {
        uncork(c->server);
    }
    if (c->state == H1_WAIT)
        next_request(c);
    else if (!x->body_complete)
        close_gently(c); /* the rest of the request is not wanted */
    /* else parse() is about to see the end of the request */
}

static void
h1_abort(struct xchg *x)
{
    struct h1conn *c = of_xchg(x);
    x->user_ops = NULL;
    end_counting(c, STATS_CLOSED_ORIGIN);
    uncork(c->server);
    if (c->state == H1_CLOSED)
        return;
    if (x->started && c->until_close)
        conn_abort(&c->conn); /* a plain end would be that of the answer */
    else
        conn_close(&c->conn);
    forget(c);
}

static size_t
h1_queued(const struct xchg *x)
{
    return conn_queued(&of_xchg(x)->conn);
}

static void
h1_pause(struct xchg *x, bool pause)
{
    struct h1conn *c = of_xchg(x);
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
    struct h1conn *c = of_xchg(x);
    struct h1server *s = c->server;
    c->parked = true;
    if (c->conn.eof && !c->ready)
        wake(c); /* that was a half-close; for who waits so long it means that nobody is there */
    if (c->state == H1_BODY) {
        conn_resume(&c->conn); /* the rest of the body is read over */
    } else if (c->parser != NULL && !c->parsing) {
        http1_free(c->parser);
        c->parser = NULL;
    }
    if (s->stopping) { /* it was under way when all others were told */
        s->parked_late = true;
        loop_later(s->loop, &s->task);
    }
}

static bool
h1_more_input(const struct xchg *x)
{
    return of_xchg(x)->pending != NULL;
}

static struct str
h1_peer(const struct xchg *x, char text[ADDRESS_TEXT_MAX])
{
    return conn_peer(&of_xchg(x)->conn, text);
}

static struct buf *
h1_upgrade(struct xchg *x, struct str reason, const struct headers *h, struct conn *to, const struct conn_ops *ops)
{
    struct h1conn *c = of_xchg(x);
    struct buf *b = &c->server->head, *pending = c->pending;
    uncork(c->server);
    b->len = 0;
    http1_put_status(b, 1, 101, reason);
    for (unsigned i = 0; i < h->n; i++)
        http1_put_header(b, h->at[i].name, h->at[i].value);
    buf_adds(b, STR("\r\n"));
    conn_send(&c->conn, buf_str(b));
    x->user_ops = NULL;
    c->pending = NULL;
    conn_move(&c->conn, to, ops);
    forget(c);
    return pending;
}

static const struct xchg_ops xchg_ops = {h1_start, h1_send, h1_end,        h1_abort, h1_queued, h1_pause,
                                         h1_park,  h1_head, h1_more_input, h1_peer,  h1_upgrade};

/* reading */

static void
refuse(struct h1conn *c, int status, const char *why, bool in_body)
{
    struct h1server *s = c->server;
    struct xchg *x = &c->xchg;
    struct buf text = BUF_INIT(1024);
    char peer[ADDRESS_TEXT_MAX];
    if (x->started && !c->ended) {
        close_conn(c, why);
        return;
    }
    log_info("request refused from=%s code=%d: %s", conn_peer(&c->conn, peer).ptr, status, why);
    part(c, why);
    if (c->state == H1_CLOSED)
        return;
    s->ops.bad_text(s->arg, status, why, in_body, &text);
    x->minor = 1;
    x->to_head = false;
    x->close = true;
    x->body_complete = false; /* whatever else comes is not read */
    c->state = H1_BODY;
    c->ended = false;
    xchg_respond_text(x, status, buf_str(&text));
    buf_clear(&text);
}

static void
begin_request(struct h1conn *c)
{
    struct http1_head *head = http1_head(c->parser);
    struct xchg *x = &c->xchg;
    x->user_ops = NULL;
    x->user = NULL;
    x->minor = (uint8_t)head->minor;
    x->to_head = str_eq(head->method, STR("HEAD"));
    x->body_complete = head->framing == HTTP1_NO_BODY || (head->framing == HTTP1_LENGTH && head->length == 0);
    x->started = x->say_keep_alive = false;
    x->close = !head->keep_alive;
    c->ended = c->parked = false;
    c->continued = !head->expect_continue;
    c->state = H1_BODY;
    set_timer(c, c->server->settings.activity_timeout);
    c->server->ops.on_request(c->server->arg, x);
}

static void
keep_pending(struct h1conn *c, struct str in)
{
    if (in.len == 0)
        return;
    if (c->pending == NULL) {
        c->pending = mem_alloc(sizeof *c->pending);
        buf_init(c->pending, c->server->settings.max_head + 65536);
    }
    /* one read of at most 64 KiB may come on top of the limit, then we are paused */
    if (buf_add(c->pending, in.ptr, in.len) != 0) {
        close_conn(c, "too much input");
        return;
    }
    if (c->pending->len >= c->server->settings.max_head)
        conn_pause(&c->conn);
}

static void
end_request(struct h1conn *c, struct str rest)
{
    struct xchg *x = &c->xchg;
    x->body_complete = true;
    c->state = H1_WAIT;
    keep_pending(c, rest);
    if (c->state == H1_CLOSED)
        return;
    if (c->ended)
        next_request(c);
    else if (x->user_ops != NULL)
        x->user_ops->on_body_end(x);
}

/* The client has sent its last byte. May what is under way go on? Only an answer that has not begun, to a client that
 * said that it wants no other. */
static void
on_eof(struct conn *conn)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    bool waits = c->state == H1_WAIT && !c->parked && c->xchg.close && !c->xchg.started;
    if (c->ready || (c->state == H1_WAIT && c->pending != NULL && !c->parked) || waits)
        return;
    close_conn(c, why_left);
}

static void
parse(struct h1conn *c, struct str in)
{
    c->parsing = true;
    while (c->state == H1_IDLE || c->state == H1_BODY) {
        enum http1_event event;
        if (c->parser == NULL) {
            if (in.len == 0)
                break;
            c->parser = http1_new(HTTP1_REQUESTS, c->server->settings.max_head);
            if (c->server->settings.allow_no_host)
                http1_allow_no_host(c->parser);
        }
        event = http1_next(c->parser, &in);
        if (event == HTTP1_MORE)
            break;
        if (event == HTTP1_HEAD)
            begin_request(c);
        else if (event == HTTP1_BODY && c->xchg.user_ops != NULL) {
            count(c, STATS_CLIENT_CONTENT_RECEIVED, http1_body(c->parser).len);
            c->xchg.user_ops->on_body(&c->xchg, http1_body(c->parser));
        } else if (event == HTTP1_END) {
            end_request(c, in);
            break; /* what follows is pending, or comes with the next read */
        } else if (event == HTTP1_BAD)
            refuse(c, http1_bad_status(c->parser), http1_bad(c->parser), http1_bad_in_body(c->parser));
    }
    c->parsing = false;
    if (c->state == H1_CLOSED)
        return;
    if (c->state == H1_BODY && !c->continued && !c->xchg.started && c->conn.reading) {
        c->continued = true;
        conn_send(&c->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    if (c->parser != NULL &&
        ((c->parked && c->state == H1_WAIT) || (c->state == H1_IDLE && !http1_started(c->parser)))) {
        http1_free(c->parser);
        c->parser = NULL;
    }
    if (c->conn.eof && c->state != H1_LINGER)
        on_eof(&c->conn);
}

static void
on_data(struct conn *conn, struct str data)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    c->active_at = seconds();
    if (c->state == H1_WAIT || c->pending != NULL)
        keep_pending(c, data);
    else
        parse(c, data);
}

static void
parse_pending(struct h1conn *c)
{
    struct buf *pending = c->pending;
    if (pending == NULL || c->state == H1_WAIT) {
        on_eof(&c->conn);
        return;
    }
    c->pending = NULL;
    conn_resume(&c->conn);
    parse(c, buf_str(pending));
    buf_clear(pending);
    mem_free(pending);
}

/* Close what is idle, and tell the users of the others, or of those only that are parked. */
static void
stop_all(struct h1server *s, bool parked)
{
    size_t n = s->conns.n, i = 0;
    struct h1conn **all = mem_alloc(n * sizeof(struct h1conn *));
    s->parked_late = false;
    list_each (&s->conns, node)
        all[i++] = container_of(node, struct h1conn, in_server);
    for (i = 0; i < n; i++) { /* what closes meanwhile is there until the turn ends */
        struct h1conn *c = all[i];
        if (c->state == H1_IDLE)
            close_conn(c, why_stopping);
        else if (c->state != H1_CLOSED && c->xchg.user_ops != NULL && (c->parked || !parked))
            c->xchg.user_ops->on_shutdown(&c->xchg);
    }
    mem_free(all);
}

static void
on_task(struct task *t)
{
    struct h1server *s = container_of(t, struct h1server, task);
    size_t n = s->ready.n; /* what gets ready meanwhile has its turn in the next */
    uncork(s);
    while (n-- > 0 && !list_empty(&s->ready)) {
        struct h1conn *c = container_of(list_pop_front(&s->ready), struct h1conn, in_server);
        c->ready = false;
        list_push_back(&s->conns, &c->in_server);
        parse_pending(c);
    }
    uncork(s);
    if (s->parked_late)
        stop_all(s, true);
    if (!list_empty(&s->ready))
        loop_later(s->loop, &s->task);
}

static void
on_drained(struct conn *conn)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    c->active_at = seconds();
    if (c->xchg.user_ops != NULL && c->xchg.started && !c->ended)
        c->xchg.user_ops->on_drained(&c->xchg);
}

static void
on_error(struct conn *conn, const char *why)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    char peer[ADDRESS_TEXT_MAX];
    if (conn->connecting)
        log_debug("client from=%s: %s", conn_peer(conn, peer).ptr, why);
    end_counting(c, STATS_CLOSED_CLIENT); /* a reset is a client that has left what we sent unread */
    close_conn(c, why);
}

static void
start_tls(struct h1conn *c, const struct h1server_port *port)
{
    struct tls *tls = tls_accept(port->tls);
    if (tls == NULL) {
        close_conn(c, "no memory");
        return;
    }
    c->xchg.secure = true;
    conn_start_tls(&c->conn, tls);
}

static size_t
on_preface(struct conn *conn, void *preface, struct str data)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    struct preface *p = preface;
    const struct h1server_port *port = p->port;
    char peer[ADDRESS_TEXT_MAX];
    size_t used;
    struct err e;
    enum proxyproto_result r = preface_read(p, conn, data, &used, &e);
    if (r == PROXYPROTO_BAD) {
        log_info("connection refused from=%s: %s", conn_peer(conn, peer).ptr, e.text);
        close_conn(c, e.text);
    } else if (r == PROXYPROTO_DONE && port->tls != NULL) {
        start_tls(c, port);
    }
    return used;
}

static const struct conn_ops conn_ops = {on_data, on_eof, on_error, on_drained, NULL, on_preface};

/* the server */

struct h1server *
h1server_new(struct loop *l, const struct h1server_settings *settings, const struct h1server_ops *ops, void *arg)
{
    struct h1server *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->settings = *settings;
    s->ops = *ops;
    s->arg = arg;
    list_init(&s->conns);
    list_init(&s->ready);
    task_init(&s->task, on_task);
    buf_init(&s->head, 1 << 24);
    return s;
}

void
h1server_free(struct h1server *s)
{
    s->ops.on_closed = NULL;
    while (!list_empty(&s->ready))
        close_conn(container_of(list_first(&s->ready), struct h1conn, in_server), why_stopping);
    while (!list_empty(&s->conns))
        close_conn(container_of(list_first(&s->conns), struct h1conn, in_server), why_stopping);
    loop_cancel(s->loop, &s->task);
    buf_clear(&s->head);
    mem_free(s);
}

void
h1server_accept(struct h1server *s, int fd, const struct h1server_port *port)
{
    struct h1conn *c = slab_alloc(sizeof *c);
    char peer[ADDRESS_TEXT_MAX];
    struct err e;
    c->server = s;
    c->xchg.ops = &xchg_ops;
    c->active_at = seconds();
    timer_init(&c->timer, on_timer);
    set_timer(c, s->settings.idle_timeout);
    list_push_back(&s->conns, &c->in_server);
    conn_open(&c->conn, s->loop, fd, &conn_ops);
    if (port != NULL && port->proxy && preface_begin(&c->conn, port, &e) != 0) {
        log_info("connection refused from=%s: %s", conn_peer(&c->conn, peer).ptr, e.text);
        close_conn(c, e.text);
    } else if (port != NULL && port->tls != NULL && !port->proxy) {
        start_tls(c, port);
    }
}

size_t
h1server_count(const struct h1server *s)
{
    return s->conns.n + s->ready.n;
}

void
h1server_shutdown(struct h1server *s)
{
    s->stopping = true;
    stop_all(s, false);
}
