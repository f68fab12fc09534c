#include "origin/requestbase.h"

#include "base/clock.h"
#include "base/slab.h"
#include "io/resolver.h"
#include "origin/testorigin.h"

enum {
    QUEUE_MAX = 65536,     /* bytes of a request's body that wait for the origin */
    TEST_BODY_MAX = 100000 /* bytes of a request's body that the test target takes */
};

static void set_timer(struct request *r);

/* ending */

static void
request_free(void *ptr)
{
    struct request *r = ptr;
    mem_free(r->addresses);
    slab_free(r, sizeof *r);
}

static void
finish(struct request *r)
{
    struct origin *o = r->origin;
    if (r->over)
        return;
    r->over = true;
    loop_timer_stop(o->loop, &r->timer);
    loop_cancel(o->loop, &r->task);
    if (r->lookup != NULL)
        resolver_cancel(r->lookup);
    if (r->client != NULL)
        h1client_close(r->client);
    r->client = NULL;
    r->lookup = NULL;
    loop_reap(o->loop, r, request_free);
}

_Static_assert(STATS_ORIGIN_CUT - STATS_ORIGIN_UNREACHABLE == (int)REQUEST_CUT, "counted in the order of their names");

static inline void
count(const struct request *r, enum stats_counter what, uint64_t n)
{
    stats_add(r->origin->stats, r->spec->group, what, n);
}

void
request_fail(struct request *r, enum request_failure why, const char *text)
{
    if (r->over)
        return;
    finish(r);
    count(r, STATS_ORIGIN_UNREACHABLE + why, 1);
    r->ops->on_fail(r, why, text);
}

void
request_cancel(struct request *r)
{
    finish(r);
}

void
request_upgrade(struct request *r, struct conn *to, const struct conn_ops *ops, struct str *rest)
{
    *rest = r->client->rest;
    conn_move(&r->client->conn, to, ops);
    finish(r);
}

/* what the connection says */

static void
on_connected(void *user)
{
    struct request *r = user;
    loop_timer_stop(r->origin->loop, &r->timer);
    request_go(r);
}

static void
on_head(void *user, struct http1_head *head)
{
    struct request *r = user;
    r->answered = true;
    r->active_at = clock_now();
    count(r, STATS_SERVER_HEADER_RECEIVED, 3 + head->reason.len + headers_size(&head->headers));
    stats_origin_answer(r->origin->stats, r->spec->group, head->status, clock_exact_us() - r->sent_at);
    r->ops->on_head(r, head);
}

static void
on_body(void *user, struct str piece)
{
    struct request *r = user;
    r->active_at = clock_now();
    count(r, STATS_SERVER_CONTENT_RECEIVED, piece.len);
    r->ops->on_body(r, piece);
}

static void
on_end(void *user)
{
    struct request *r = user;
    struct h1client *c = r->client;
    bool all_sent = r->spec->body->complete && conn_queued(&c->conn) == 0;
    r->client = NULL;
    if (c->reused && all_sent)
        pool_put(r->origin->pool, targets_pool_key(r), c);
    else
        h1client_close(c);
    finish(r);
    r->ops->on_end(r);
}

bool
request_idempotent(struct str method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    for (size_t i = 0; i < countof(methods); i++)
        if (str_eq(method, str_c(methods[i])))
            return true;
    return false;
}

static void
on_broken(void *user, bool no_answer, const char *why)
{
    struct request *r = user;
    struct h1client *c = r->client;
    r->client = NULL;
    snprintf(r->why, sizeof r->why, "%s", why);
    if (!r->sent) {
        h1client_close(c);
        targets_connect_next(r);
        return;
    }
    if (c->reused && no_answer && !r->retried && request_idempotent(r->spec->method) && !r->spec->body->overflow) {
        r->retried = true;
        loop_timer_stop(r->origin->loop, &r->timer);
        h1client_close(c);
        r->sent = false;
        targets_connect(r);
        return;
    }
    request_fail(r, r->answered ? REQUEST_CUT : REQUEST_LOST, r->why);
}

static void
on_drained(void *user)
{
    struct request *r = user;
    set_timer(r);
    r->ops->on_ready(r);
}

const struct h1client_ops request_client_ops = {on_connected, on_head, on_body, on_end, on_broken, on_drained};

/* sending */

static void
put_body_framing(struct request *r, struct buf *b)
{
    const struct request_spec *s = r->spec;
    int64_t length = s->body->complete ? (int64_t)s->body->total : s->body->length;
    r->client->chunked = false;
    if (length > 0 || (length == 0 && !str_eq(s->method, STR("GET")) && !str_eq(s->method, STR("HEAD")) &&
                       !str_eq(s->method, STR("OPTIONS"))))
        buf_addf(b, "Content-Length: %lld\r\n", (long long)length);
    if (length < 0) {
        buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
        r->client->chunked = true;
    }
    buf_adds(b, STR("\r\n"));
}

static void
put_head(struct request *r, struct buf *b)
{
    const struct request_spec *s = r->spec;
    b->len = 0;
    http1_put_request(b, s->method, s->path);
    http1_put_header(b, STR("Host"), r->target->as_host != NULL ? str_c(r->target->as_host) : s->host);
    for (unsigned i = 0; i < s->headers->n; i++)
        http1_put_header(b, s->headers->at[i].name, s->headers->at[i].value);
    put_body_framing(r, b);
    count(r, STATS_SERVER_HEADER_SENT, s->method.len + s->path.len + headers_size(s->headers));
}

static int
send_piece(struct request *r, struct str head, struct str piece, bool last)
{
    struct conn_piece out[4];
    char size[18];
    unsigned n = 0;
    count(r, STATS_SERVER_CONTENT_SENT, piece.len);
    if (head.len > 0)
        out[n++] = (struct conn_piece){head, NULL};
    if (piece.len > 0) {
        if (r->client->chunked)
            out[n++] = (struct conn_piece){str_of(size, http1_chunk_head(size, piece.len)), NULL};
        out[n++] = (struct conn_piece){piece, NULL};
    }
    if (r->client->chunked && (piece.len > 0 || last)) {
        struct str tail = STR("\r\n0\r\n\r\n");
        out[n++] = (struct conn_piece){piece.len == 0 ? str_from(tail, 2) : last ? tail : str_sub(tail, 0, 2), NULL};
    }
    return n > 0 ? conn_sendv(&r->client->conn, out, n) : 0;
}

/* How long the origin may be quiet now, in ms; 0: for ever. */
static uint64_t
quiet_limit(const struct request *r)
{
    const struct origin_settings *s = &r->origin->settings;
    bool whole = r->spec->body->complete && conn_queued(&r->client->conn) == 0;
    if (r->paused)
        return 0; /* it waits for us, and we for the client, who has its own limit */
    if (!r->answered && whole && s->response_timeout > 0)
        return (uint64_t)s->response_timeout * 1000;
    return (uint64_t)s->activity_timeout * 1000;
}

/* Begin to wait for the origin, or for the next thing from it. */
static void
set_timer(struct request *r)
{
    uint64_t limit = quiet_limit(r);
    r->active_at = clock_now();
    if (limit > 0)
        loop_timer(r->origin->loop, &r->timer, limit);
    else
        loop_timer_stop(r->origin->loop, &r->timer);
}

static void
on_timer(struct timer *t)
{
    struct request *r = container_of(t, struct request, timer);
    uint64_t limit, quiet;
    if (r->waiting) {
        r->waiting = false;
        targets_connect_next(r);
        return;
    }
    if (r->client != NULL && r->client->conn.connecting) {
        h1client_close(r->client);
        r->client = NULL;
        snprintf(r->why, sizeof r->why, "%s timed out", r->target->ssl ? "connection or TLS handshake" : "connection");
        r->failure = REQUEST_TIMEOUT;
        targets_connect_next(r);
        return;
    }
    if (conn_moved(&r->client->conn))
        r->active_at = clock_now();
    limit = quiet_limit(r);
    quiet = clock_now() - r->active_at;
    if (limit == 0)
        return;
    if (quiet >= limit)
        request_fail(r, REQUEST_TIMEOUT, "no response in time");
    else
        loop_timer(r->origin->loop, t, limit - quiet);
}

/* The connection is there: everything that has come of the request goes out. */
void
request_go(struct request *r)
{
    struct origin *o = r->origin;
    r->sent = true;
    r->sent_at = clock_exact_us();
    h1client_begin(r->client, str_eq(r->spec->method, STR("HEAD")));
    r->client->upgrade = r->spec->upgrade;
    put_head(r, &o->head);
    send_piece(r, buf_str(&o->head), buf_str(&r->spec->body->kept), r->spec->body->complete);
    set_timer(r);
    if (r->paused)
        conn_pause(&r->client->conn);
    if (!r->spec->body->complete && conn_queued(&r->client->conn) == 0)
        r->ops->on_ready(r);
}

void
request_send(struct request *r, struct str piece)
{
    if (!r->over && r->sent && r->target->kind == TARGET_TEST)
        loop_later(r->origin->loop, &r->task);
    if (r->over || !r->sent || r->client == NULL)
        return; /* it is in what is kept, and goes out with that */
    r->active_at = clock_now();
    send_piece(r, STR(""), piece, r->spec->body->complete);
    if (r->spec->body->complete)
        set_timer(r);
}

bool
request_full(const struct request *r)
{
    return !r->sent || (r->client != NULL && conn_queued(&r->client->conn) > QUEUE_MAX);
}

void
request_pause(struct request *r, bool pause)
{
    r->paused = pause;
    if (r->client == NULL || !r->sent)
        return;
    set_timer(r);
    if (pause)
        conn_pause(&r->client->conn);
    else
        conn_resume(&r->client->conn);
}

/* beginning */

void
request_answer_test(struct request *r)
{
    const struct request_body *body = r->spec->body;
    struct http1_head head;
    struct str text;
    if (!body->complete && !body->overflow && body->kept.len <= TEST_BODY_MAX) {
        if (!r->sent) {
            r->sent = true;
            r->ops->on_ready(r); /* until it is complete, or too much */
        }
        return;
    }
    if (r->spec->upgrade)
        text = testorigin_upgrade(str_from(r->spec->path, r->spec->test_prefix), &head);
    else
        text = testorigin_answer(str_from(r->spec->path, r->spec->test_prefix),
                                 body->overflow || body->kept.len > TEST_BODY_MAX, buf_str(&r->origin->demo), &head);
    r->ops->on_head(r, &head);
    if (!r->over && text.len > 0 && !str_eq(r->spec->method, STR("HEAD")))
        r->ops->on_body(r, text);
    if (!r->over) {
        finish(r);
        r->ops->on_end(r);
    }
    headers_clear(&head.headers);
}

static void
on_task(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    if (r->target != NULL && r->target->kind == TARGET_TEST)
        request_answer_test(r);
    else
        targets_next(r);
}

/* The usual case costs no further turn of the loop: a whole request, and an idle connection to the first target. */
static bool
send_at_once(struct request *r)
{
    if (!r->spec->body->complete)
        return false;
    r->target = targets_choose(r);
    if (r->target->kind != TARGET_TEST && targets_take_pooled(r)) {
        r->tried |= (uint64_t)1 << (r->target - r->spec->targets);
        request_go(r);
        return true;
    }
    r->target = NULL;
    return false;
}

struct request *
request_new(struct origin *o, const struct request_spec *spec, const struct request_ops *ops, void *user)
{
    struct request *r = slab_alloc(sizeof *r);
    r->origin = o;
    r->spec = spec;
    r->ops = ops;
    r->user = user;
    timer_init(&r->timer, on_timer);
    task_init(&r->task, on_task);
    if (!send_at_once(r))
        loop_later(o->loop, &r->task);
    return r;
}

void *
request_user(const struct request *r)
{
    return r->user;
}

bool
request_is_sent(const struct request *r)
{
    return r->sent;
}

const struct target *
request_target(const struct request *r)
{
    return r->target;
}
