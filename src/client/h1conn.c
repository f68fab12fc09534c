#include "client/h1conn.h"

#include "base/log.h"
#include "base/slab.h"
#include "client/preface.h"
#include "io/tls.h"

enum {
    LINGER_MS = 2000, /* for the client to read our last words */
    LINGER_MAX_S = 30 /* the same while it still sends */
};

/* closing */

const char h1conn_stopping[] = "stopping";
static const char why_left[] = "client left", why_timeout[] = "timed out";

static enum stats_counter
reason(const char *why)
{
    if (why == why_left)
        return STATS_CLOSED_CLIENT;
    if (why == why_timeout)
        return STATS_CLOSED_TIMEOUT;
    return why == h1conn_stopping ? STATS_CLOSED_SHUTDOWN : STATS_CLOSED_ERROR;
}

void
h1conn_end_counting(struct h1conn *c, enum stats_counter why)
{
    stats_conn_end(c->server->settings.stats, c->xchg.group, &c->xchg.live, why);
}

static struct http1 *
take_parser(struct h1server *s)
{
    struct http1 *p;
    if (s->n_spare > 0)
        return s->spare[--s->n_spare];
    p = http1_new(HTTP1_REQUESTS, s->settings.max_head);
    if (s->settings.allow_no_host)
        http1_allow_no_host(p);
    return p;
}

void
h1conn_drop_parser(struct h1conn *c)
{
    struct h1server *s = c->server;
    if (s->n_spare < H1_SPARE) {
        http1_begin(c->parser);
        s->spare[s->n_spare++] = c->parser;
    } else {
        http1_free(c->parser);
    }
    c->parser = NULL;
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

void
h1conn_forget(struct h1conn *c)
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
    h1conn_end_counting(c, reason(why));
}

void
h1conn_close(struct h1conn *c, const char *why)
{
    if (c->state == H1_CLOSED)
        return;
    conn_close(&c->conn);
    h1conn_forget(c);
    part(c, why);
}

void
h1conn_close_gently(struct h1conn *c)
{
    bool all_read = c->xchg.body_complete && c->pending == NULL; /* no reset will follow */
    if ((c->conn.eof || all_read) && conn_queued(&c->conn) == 0) {
        h1conn_close(c, "done");
        return;
    }
    c->state = H1_LINGER;
    c->active_at = h1conn_seconds();
    loop_timer(c->server->loop, &c->timer, LINGER_MS);
    conn_linger(&c->conn);
}

/* time */

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
    uint32_t limit = c->server->settings.activity_timeout, since = h1conn_seconds() - c->active_at;
    if (conn_queued(&c->conn) == 0)
        return moved && since < LINGER_MAX_S;
    if (moved)
        c->active_at = h1conn_seconds();
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
        c->active_at = h1conn_seconds();
    quiet = h1conn_seconds() - c->active_at;
    if (c->state == H1_WAIT && !c->parked)
        limit++; /* who is asked for the answer has the same limit, and after that tells us what to say */
    if (c->state == H1_IDLE || c->state == H1_LINGER || quiet > limit) /* whole seconds: one may be a moment */
        h1conn_close(c, why_timeout);
    else
        set_timer(c, limit - quiet + 1);
}

/* reading */

static void
refuse(struct h1conn *c, int status, const char *why, bool in_body)
{
    struct h1server *s = c->server;
    struct xchg *x = &c->xchg;
    struct buf text = BUF_INIT(1024);
    char peer[ADDRESS_TEXT_MAX];
    if (x->started && !c->ended) {
        h1conn_close(c, why);
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
    x->started = x->say_connection = false;
    x->close = !head->keep_alive;
    c->ended = c->parked = false;
    c->continued = !head->expect_continue;
    c->state = H1_BODY;
    set_timer(c, c->server->settings.activity_timeout);
    c->server->ops.on_request(c->server->arg, x);
}

void
h1conn_next_request(struct h1conn *c)
{
    struct h1server *s = c->server;
    if (c->xchg.close || s->stopping) {
        h1conn_close_gently(c);
        return;
    }
    c->state = H1_IDLE;
    c->parked = false;
    set_timer(c, s->settings.idle_timeout);
    if (c->parser != NULL)
        http1_begin(c->parser);
    if (c->pending != NULL || c->conn.eof) {
        h1server_wake(c);
        return;
    }
    conn_resume(&c->conn);
    if (c->parser != NULL && !c->parsing)
        h1conn_drop_parser(c); /* an idle connection keeps nothing */
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
        h1conn_close(c, "too much input");
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
        h1conn_next_request(c);
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
    h1conn_close(c, why_left);
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
            c->parser = take_parser(c->server);
        }
        event = http1_next(c->parser, &in);
        if (event == HTTP1_MORE)
            break;
        if (event == HTTP1_HEAD)
            begin_request(c);
        else if (event == HTTP1_BODY && c->xchg.user_ops != NULL) {
            h1conn_count(c, STATS_CLIENT_CONTENT_RECEIVED, http1_body(c->parser).len);
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
    if (c->parser != NULL && ((c->parked && c->state == H1_WAIT) || (c->state == H1_IDLE && !http1_started(c->parser))))
        h1conn_drop_parser(c);
    if (c->conn.eof && c->state != H1_LINGER)
        on_eof(&c->conn);
}

static void
on_data(struct conn *conn, struct str data)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    c->active_at = h1conn_seconds();
    if (c->state == H1_WAIT || c->pending != NULL)
        keep_pending(c, data);
    else
        parse(c, data);
}

void
h1conn_parse_pending(struct h1conn *c)
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

static void
on_drained(struct conn *conn)
{
    struct h1conn *c = container_of(conn, struct h1conn, conn);
    c->active_at = h1conn_seconds();
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
    h1conn_end_counting(c, STATS_CLOSED_CLIENT); /* a reset is a client that has left what we sent unread */
    h1conn_close(c, why);
}

/* beginning */

static void
start_tls(struct h1conn *c, const struct h1server_port *port)
{
    struct tls *tls = tls_accept(port->tls);
    if (tls == NULL) {
        h1conn_close(c, "no memory");
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
        h1conn_close(c, e.text);
    } else if (r == PROXYPROTO_DONE && port->tls != NULL) {
        start_tls(c, port);
    }
    return used;
}

static const struct conn_ops conn_ops = {on_data, on_eof, on_error, on_drained, NULL, on_preface};

void
h1conn_open(struct h1server *s, int fd, const struct h1server_port *port)
{
    struct h1conn *c = slab_alloc(sizeof *c);
    char peer[ADDRESS_TEXT_MAX];
    struct err e;
    c->server = s;
    c->xchg.ops = &h1answer_ops;
    c->active_at = h1conn_seconds();
    timer_init(&c->timer, on_timer);
    set_timer(c, s->settings.idle_timeout);
    list_push_back(&s->conns, &c->in_server);
    conn_open(&c->conn, s->loop, fd, &conn_ops);
    if (port != NULL && port->proxy && preface_begin(&c->conn, port, &e) != 0) {
        log_info("connection refused from=%s: %s", conn_peer(&c->conn, peer).ptr, e.text);
        h1conn_close(c, e.text);
    } else if (port != NULL && port->tls != NULL && !port->proxy) {
        start_tls(c, port);
    }
}
