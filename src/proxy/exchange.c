#include "proxy/exchangebase.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/slab.h"
#include "proxy/answer.h"
#include "proxy/httphold.h"
#include "proxy/rewrite.h"

enum {
    COLLECT_MAX = 10000,   /* bytes of a request's body before the origin is asked */
    INSTRUCT_MAX = 100000, /* bytes of an instruct's body */
    QUEUE_MAX = 65536,     /* bytes that wait for a slow client before the origin waits too */
    DEFER_MAX = 65536
};

static const struct str proxy_error = {"Error while proxying to origin.\n", 32};

bool
exchange_debugging(const struct exchange *ex)
{
    return ex->proxy->config->debug || ex->route->debug;
}

/* ending */

static void
exchange_free(void *ptr)
{
    struct exchange *ex = ptr;
    clientreq_clear(&ex->req);
    headers_clear(&ex->headers);
    buf_clear(&ex->path);
    buf_clear(&ex->body.kept);
    buf_clear(&ex->answer);
    instruct_clear(&ex->instruct);
    route_unref(ex->route);
    slab_free(ex, sizeof *ex);
}

void
exchange_log(struct exchange *ex, enum reqlog_result result, int code)
{
    struct reqlog r = {.req = &ex->req,
                       .route = ex->route,
                       .x = ex->x,
                       .result = result,
                       .code = code,
                       .size = ex->sent,
                       .retry = ex->old != NULL,
                       .sent = ex->old != NULL ? &ex->headers : NULL,
                       .began = ex->began};
    if (ex->answered > 0) {
        r.has_origin_time = true;
        r.origin_time = ex->answered - ex->asked;
    }
    if (ex->request != NULL)
        r.target = request_target(ex->request);
    r.shared = share_number(&ex->share);
    reqlog_write(ex->proxy, &r);
}

void
exchange_finish(struct exchange *ex)
{
    ex->state = EX_OVER;
    loop_timer_stop(ex->proxy->loop, &ex->timer);
    loop_cancel(ex->proxy->loop, &ex->task);
    if (ex->share.of != NULL)
        share_leave(&ex->share);
    else if (ex->request != NULL)
        request_cancel(ex->request);
    ex->request = NULL;
    if (ex->old != NULL)
        httphold_close(ex->old);
    ex->old = NULL;
    loop_reap(ex->proxy->loop, ex, exchange_free);
}

/* Answer by ourselves; the exchange is over. */
static void
answer_self(struct exchange *ex, int status, struct str text)
{
    struct xchg *x = ex->x;
    ex->sent = answer_text(x, &ex->req, status, text);
    exchange_log(ex, REQLOG_DONE, status);
    exchange_finish(ex);
    xchg_end(x);
}

void
exchange_answer_error(struct exchange *ex, int status, const char *message)
{
    struct buf text = BUF_INIT(4096);
    if (!exchange_debugging(ex)) {
        answer_self(ex, status, proxy_error);
        return;
    }
    buf_addf(&text, "%s\n", message);
    answer_self(ex, status, buf_str(&text));
    buf_clear(&text);
}

/* answers that are passed on */

static void
pause_origin(struct exchange *ex, bool pause)
{
    if (ex->share.of != NULL)
        share_pause(&ex->share, pause);
    else if (ex->request != NULL)
        request_pause(ex->request, pause);
}

void
exchange_give(struct exchange *ex, struct str piece)
{
    if (ex->x->to_head || piece.len == 0)
        return;
    ex->sent += answer_send(ex->x, &ex->req, piece);
    if (xchg_queued(ex->x) > QUEUE_MAX)
        pause_origin(ex, true);
}

/* The answer has begun and cannot be completed. */
static void
cut(struct exchange *ex, const char *message)
{
    struct xchg *x = ex->x;
    char text[320];
    exchange_log(ex, REQLOG_ERROR, 0);
    if (exchange_debugging(ex) && ex->head->framing != HTTP1_LENGTH) { /* it must not pass for what is missing */
        snprintf(text, sizeof text, "\n\n%s\n", message);
        exchange_give(ex, str_c(text));
    }
    exchange_finish(ex);
    xchg_abort(x);
}

static void
start_answer(struct exchange *ex, int64_t length)
{
    struct headers h;
    headers_init(&h);
    rewrite_response(&ex->head->headers, &h);
    ex->sent += answer_start(ex->x, &ex->req, ex->head->status, ex->head->reason, &h, length);
    headers_clear(&h);
    ex->state = EX_RELAY;
}

void
exchange_end_answer(struct exchange *ex)
{
    struct xchg *x = ex->x;
    exchange_log(ex, REQLOG_DONE, ex->head->status);
    ex->request = NULL; /* it is over, and frees itself */
    exchange_finish(ex);
    xchg_end(x);
}

/* What was deferred is complete. */
static void
give_whole(struct exchange *ex)
{
    struct headers h;
    headers_init(&h);
    rewrite_response(&ex->head->headers, &h);
    ex->sent = answer_whole(ex->x, &ex->req, ex->head->status, ex->head->reason, &h, buf_str(&ex->answer), false);
    headers_clear(&h);
}

/* The turn is over and the answer is not: it goes out in chunks. */
static void
on_task(struct task *t)
{
    struct exchange *ex = container_of(t, struct exchange, task);
    if (ex->state != EX_DEFER)
        return;
    start_answer(ex, ex->head->framing == HTTP1_LENGTH ? (int64_t)ex->head->length : XCHG_LENGTH_UNKNOWN);
    exchange_give(ex, buf_str(&ex->answer));
    buf_clear(&ex->answer);
}

/* what the origin says */

static void
take_head(void *user, struct http1_head *head)
{
    struct exchange *ex = user;
    ex->head = head;
    ex->answered = clock_now();
    if (head->status == 101) {
        exchange_answer_error(ex, 502, "invalid response: unexpected 101");
        return;
    }
    if (!ex->route->no_grip && !ex->req.trusted && instruct_present(&head->headers)) {
        if (ex->body.overflow) {
            answer_self(ex, 400, STR("Request too large to accept GRIP instruct.\n"));
            return;
        }
        ex->state = EX_INSTRUCT;
        return;
    }
    if (head->framing == HTTP1_CHUNKED || head->framing == HTTP1_UNTIL_CLOSE || ex->req.jsonp != NULL) {
        ex->state = EX_DEFER;
        loop_later(ex->proxy->loop, &ex->task);
    } else if (head->framing == HTTP1_LENGTH) {
        start_answer(ex, (int64_t)head->length);
    } else {
        struct str length = headers_get(&head->headers, STR("Content-Length"));
        uint64_t n;
        bool known = ex->x->to_head && length.ptr != NULL && str_u64(length, &n) == 0 && n <= INT64_MAX;
        start_answer(ex, known ? (int64_t)n : ex->x->to_head ? XCHG_LENGTH_UNKNOWN : 0);
    }
}

static void
take_body(void *user, struct str piece)
{
    struct exchange *ex = user;
    switch (ex->state) {
    case EX_DEFER:
        if (buf_add(&ex->answer, piece.ptr, piece.len) == 0)
            break;
        on_task(&ex->task); /* too much to wait for its end */
        exchange_give(ex, piece);
        break;
    case EX_INSTRUCT:
        if (ex->answer.len + piece.len <= INSTRUCT_MAX) {
            buf_add(&ex->answer, piece.ptr, piece.len);
            break;
        }
        exchange_begin_first(ex);
        if (ex->state == EX_FIRST)
            exchange_give(ex, piece);
        break;
    case EX_RELAY:
    case EX_FIRST:
        exchange_give(ex, piece);
        break;
    default:
        break;
    }
}

static void
take_end(void *user)
{
    struct exchange *ex = user;
    switch (ex->state) {
    case EX_DEFER:
        give_whole(ex);
        exchange_end_answer(ex);
        break;
    case EX_INSTRUCT:
        exchange_instruct(ex);
        break;
    case EX_FIRST:
        exchange_end_first(ex);
        break;
    default:
        ex->sent += answer_finish(ex->x, &ex->req);
        exchange_end_answer(ex);
        break;
    }
}

static void
take_failure(void *user, enum request_failure why, const char *text)
{
    struct exchange *ex = user;
    if (ex->state == EX_RELAY || ex->state == EX_FIRST)
        cut(ex, text);
    else
        exchange_answer_error(ex, why == REQUEST_TIMEOUT ? 504 : 502, text);
}

/* Others wait for the same answer. */
static void
take_slow(void *user)
{
    struct exchange *ex = user;
    struct xchg *x = ex->x;
    char peer[ADDRESS_TEXT_MAX];
    struct str from = xchg_peer(x, peer);
    log_warn("client reads too slowly, closing: others wait for the same answer: %.*s from=%.*s queued=%zu",
             STR_ARG(ex->req.path), STR_ARG(from), xchg_queued(x));
    exchange_log(ex, REQLOG_ERROR, 0);
    exchange_finish(ex);
    stats_conn_end(ex->proxy->stats, x->group, &x->live, STATS_CLOSED_SLOW);
    xchg_abort(x);
}

static const struct share_ops share_ops = {take_head, take_body, take_end, take_failure, take_slow};

static void
on_head(struct request *r, struct http1_head *head)
{
    take_head(request_user(r), head);
}

static void
on_body(struct request *r, struct str piece)
{
    take_body(request_user(r), piece);
}

static void
on_end(struct request *r)
{
    take_end(request_user(r));
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    take_failure(request_user(r), why, text);
}

static void
on_ready(struct request *r)
{
    struct exchange *ex = request_user(r);
    if (ex->state != EX_OVER)
        xchg_pause(ex->x, false);
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

/* what the client says */

static void
ask(struct exchange *ex)
{
    struct request_spec *s = &ex->spec;
    loop_timer_stop(ex->proxy->loop, &ex->timer);
    s->method = ex->req.method;
    s->path = buf_str(&ex->path);
    s->test_prefix = rewrite_test_prefix(ex->route);
    s->host = rewrite_host(ex->route, &ex->req);
    s->headers = &ex->headers;
    s->body = &ex->body;
    s->targets = ex->route->targets;
    s->n_targets = ex->route->n_targets;
    s->group = ex->x->group;
    ex->state = EX_ASK;
    ex->asked = clock_now();
    if (!ex->body.complete)
        xchg_pause(ex->x, true); /* until there is a connection that takes more */
    if (ex->body.complete && ex->body.total == 0 && ex->old == NULL && sharing_wanted(ex->proxy, &ex->req))
        ex->request = share_join(ex->proxy->sharings, &ex->share, &ex->req, ex->route, s, &share_ops, ex);
    else
        ex->request = request_new(ex->proxy->origin, s, &request_ops, ex);
}

static void
on_client_body(struct xchg *x, struct str piece)
{
    struct exchange *ex = x->user;
    struct request_body *b = &ex->body;
    bool sent = ex->request != NULL && request_is_sent(ex->request);
    b->total += piece.len;
    if (b->total > REQUEST_BODY_KEPT)
        b->overflow = true;
    if (!b->overflow || !sent)
        buf_add(&b->kept, piece.ptr, piece.len);
    else
        buf_clear(&b->kept);
    if (ex->state == EX_COLLECT) {
        if (b->total > COLLECT_MAX)
            ask(ex);
        return;
    }
    if (ex->request == NULL)
        return;
    request_send(ex->request, piece);
    if (request_full(ex->request))
        xchg_pause(x, true);
}

static void
on_client_body_end(struct xchg *x)
{
    struct exchange *ex = x->user;
    ex->body.complete = true;
    if (ex->state == EX_COLLECT)
        ask(ex);
    else if (ex->request != NULL)
        request_send(ex->request, STR(""));
}

static void
on_client_drained(struct xchg *x)
{
    pause_origin(x->user, false);
}

static void
on_client_gone(struct xchg *x, const char *why)
{
    struct exchange *ex = x->user;
    (void)why;
    exchange_log(ex, REQLOG_ERROR, 0);
    exchange_finish(ex);
}

static void
on_client_shutdown(struct xchg *x)
{
    (void)x; /* what is under way may end */
}

static const struct xchg_user_ops xchg_user_ops = {on_client_body, on_client_body_end, on_client_drained,
                                                   on_client_gone, on_client_shutdown};

static void
on_timer(struct timer *t)
{
    struct exchange *ex = container_of(t, struct exchange, timer);
    ex->x->close = true;
    answer_self(ex, 408, STR("Request body took too long.\n"));
}

static struct exchange *
exchange_new(struct proxy *p, struct xchg *x, struct route *route)
{
    struct exchange *ex = slab_alloc(sizeof *ex);
    ex->proxy = p;
    ex->x = x;
    ex->route = route;
    ex->state = EX_COLLECT;
    ex->began = clock_now();
    headers_init(&ex->headers);
    buf_init(&ex->path, 1 << 20);
    buf_init(&ex->body.kept, 4 * REQUEST_BODY_KEPT);
    buf_init(&ex->answer, INSTRUCT_MAX > DEFER_MAX ? INSTRUCT_MAX : DEFER_MAX);
    instruct_init(&ex->instruct);
    timer_init(&ex->timer, on_timer);
    task_init(&ex->task, on_task);
    xchg_join(x, &xchg_user_ops, ex);
    return ex;
}

/* 0, or -1: the client has been answered. */
static int
prepare(struct exchange *ex)
{
    if (rewrite_path(ex->route, &ex->req, &ex->path) != 0) {
        exchange_answer_error(ex, 502, "the route's path_rem leaves a path that does not begin with '/'");
        return -1;
    }
    rewrite_request(ex->proxy, ex->route, &ex->req, ex->x, &ex->headers);
    return 0;
}

void
exchange_begin(struct proxy *p, struct xchg *x, struct clientreq *req, struct str body, struct route *route)
{
    struct http1_head *head = xchg_head(x);
    struct exchange *ex = exchange_new(p, x, route);
    ex->req = *req;
    if (body.len > 0) {
        buf_adds(&ex->body.kept, body);
        ex->body.total = body.len;
    }
    ex->body.length = head->framing == HTTP1_CHUNKED ? -1 : head->framing == HTTP1_LENGTH ? (int64_t)head->length : 0;
    if (prepare(ex) != 0)
        return;
    if (x->body_complete) {
        ex->body.complete = true;
        ask(ex);
    } else if (p->config->client_idle_timeout > 0) {
        loop_timer(p->loop, &ex->timer, (uint64_t)p->config->client_idle_timeout * 1000);
    }
}

void
exchange_retry(struct proxy *p, struct httphold *old, struct xchg *x, const struct clientreq *req,
               const struct headers *last, struct str body, struct route *route)
{
    struct exchange *ex = exchange_new(p, x, route_ref(route));
    ex->old = old;
    clientreq_copy(&ex->req, req);
    buf_adds(&ex->body.kept, body);
    ex->body.total = body.len;
    ex->body.length = (int64_t)body.len;
    ex->body.complete = true;
    stats_activity(p->stats, x->group, 1);
    stats_conn_again(p->stats, x->live);
    if (prepare(ex) != 0)
        return;
    headers_copy(&ex->headers, last);
    ask(ex);
}
