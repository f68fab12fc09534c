#include "proxy/exchange.h"

#include "base/clock.h"
#include "base/log.h"
#include "grip/instruct.h"
#include "proxy/answer.h"
#include "proxy/bodyfilter.h"
#include "proxy/httphold.h"
#include "proxy/reqlog.h"
#include "proxy/rewrite.h"

enum {
    COLLECT_MAX = 10000,   /* bytes of a request's body before the origin is asked */
    INSTRUCT_MAX = 100000, /* bytes of an instruct's body */
    QUEUE_MAX = 65536,     /* bytes that wait for a slow client before the origin waits too */
    DEFER_MAX = 65536
};

enum state { COLLECT, ASK, DEFER, RELAY, INSTRUCT, FIRST, OVER };

struct exchange {
    struct proxy *proxy;  /* borrowed */
    struct xchg *x;       /* borrowed, joined */
    struct route *route;  /* reference held */
    struct clientreq req; /* owned */
    enum state state;
    /* towards the origin */
    struct request *request; /* NULL before and after */
    struct request_spec spec;
    struct request_body body;
    struct headers headers; /* spec.headers */
    struct buf path;        /* spec.path */
    struct timer timer;     /* while collecting */
    /* towards the client */
    struct http1_head *head;  /* of the answer; the request's */
    struct buf answer;        /* DEFER, INSTRUCT: the body so far */
    struct task task;         /* DEFER: the turn is over */
    struct instruct instruct; /* FIRST */
    uint64_t sent;            /* bytes of the body given to the client */
    uint64_t began, asked;    /* ms: the request was there, the origin was asked */
    uint64_t answered;        /* ms: the head of its answer was there; 0: it is not */
    struct httphold *old;     /* owned; the hold for which this is a retry */
};

static const struct str proxy_error = {"Error while proxying to origin.\n", 32};

static struct exchange *
of_request(const struct request *r)
{
    return request_user(r);
}

static bool
debugging(const struct exchange *ex)
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
    mem_free(ex);
}

static void
log_result(struct exchange *ex, enum reqlog_result result, int code)
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
    reqlog_write(ex->proxy, &r);
}

static void
finish(struct exchange *ex)
{
    ex->state = OVER;
    loop_timer_stop(ex->proxy->loop, &ex->timer);
    loop_cancel(ex->proxy->loop, &ex->task);
    if (ex->request != NULL)
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
    log_result(ex, REQLOG_DONE, status);
    finish(ex);
    xchg_end(x);
}

/* MESSAGE (without line end) is for debug mode. */
static void
answer_error(struct exchange *ex, int status, const char *message)
{
    struct buf text = BUF_INIT(4096);
    if (!debugging(ex)) {
        answer_self(ex, status, proxy_error);
        return;
    }
    buf_addf(&text, "%s\n", message);
    answer_self(ex, status, buf_str(&text));
    buf_clear(&text);
}

/* answers that are passed on */

static void
give(struct exchange *ex, struct str piece)
{
    if (ex->x->to_head || piece.len == 0)
        return;
    ex->sent += answer_send(ex->x, &ex->req, piece);
    if (xchg_queued(ex->x) > QUEUE_MAX && ex->request != NULL)
        request_pause(ex->request, true);
}

/* The answer has begun and cannot be completed. */
static void
cut(struct exchange *ex, const char *message)
{
    struct xchg *x = ex->x;
    char text[320];
    log_result(ex, REQLOG_ERROR, 0);
    if (debugging(ex) && ex->head->framing != HTTP1_LENGTH) { /* it must not pass for what is missing */
        snprintf(text, sizeof text, "\n\n%s\n", message);
        give(ex, str_c(text));
    }
    finish(ex);
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
    ex->state = RELAY;
}

static void
end_answer(struct exchange *ex)
{
    struct xchg *x = ex->x;
    log_result(ex, REQLOG_DONE, ex->head->status);
    ex->request = NULL; /* it is over, and frees itself */
    finish(ex);
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
    if (ex->state != DEFER)
        return;
    start_answer(ex, ex->head->framing == HTTP1_LENGTH ? (int64_t)ex->head->length : XCHG_LENGTH_UNKNOWN);
    give(ex, buf_str(&ex->answer));
    buf_clear(&ex->answer);
}

/* instructs */

/* The URI as the origin knows it. */
static void
put_origin_uri(struct exchange *ex, struct buf *b)
{
    buf_adds(b, ex->req.secure ? STR("https://") : STR("http://"));
    buf_adds(b, ex->route->as_host != NULL ? str_c(ex->route->as_host) : ex->req.authority);
    buf_adds(b, buf_str(&ex->path));
}

static void
refuse_instruct(struct exchange *ex, const char *why)
{
    struct buf text = BUF_INIT(1024), uri = BUF_INIT(65536);
    clientreq_put_uri(&ex->req, &uri);
    log_warn("%.*s %.*s: failed to parse accept instructions: %s", STR_ARG(ex->req.method), STR_ARG(buf_str(&uri)),
             why);
    buf_addf(&text, "Failed to parse accept instructions: %s", why);
    buf_addc(&text, '\0');
    answer_error(ex, 502, text.ptr);
    buf_clear(&text);
    buf_clear(&uri);
}

/* Hand over to a hold. A stream's head and first part have been sent. */
static void
hold(struct exchange *ex, struct instruct *in)
{
    struct buf uri = BUF_INIT(1 << 20);
    struct httphold_begin b = {.x = ex->x,
                               .route = ex->route,
                               .target = request_target(ex->request),
                               .instruct = in,
                               .req = &ex->req,
                               .body = buf_str(&ex->body.kept),
                               .old = ex->old};
    log_result(ex, REQLOG_ACCEPT, 0);
    put_origin_uri(ex, &uri);
    b.uri = buf_str(&uri);
    httphold_new(ex->proxy, &b);
    ex->request = NULL;
    finish(ex); /* closes what it was a retry for, now that its channels are the new hold's */
    buf_clear(&uri);
}

/* WHY the stream cannot go on; said in debug mode only. */
static void
tell(struct exchange *ex, const char *why)
{
    struct buf text = BUF_INIT(1024);
    if (debugging(ex)) {
        buf_addf(&text, "\n\n%s\n", why);
        give(ex, buf_str(&text));
    }
    buf_clear(&text);
}

/* 0, or -1: the body cannot be filtered, and the answer ends after its head. */
static int
start_stream(struct exchange *ex, struct instruct *in)
{
    struct err e;
    headers_remove(&in->headers, STR("Content-Encoding"));
    mem_free(ex->req.jsonp); /* a stream has no end, so it cannot be wrapped */
    ex->req.jsonp = NULL;
    answer_start(ex->x, &ex->req, in->status, in->reason != NULL ? str_c(in->reason) : http_reason(in->status),
                 &in->headers, XCHG_LENGTH_UNKNOWN);
    if (bodyfilter_present(in) && bodyfilter_apply(in, &e) != 0) {
        tell(ex, e.text);
        return -1;
    }
    give(ex, str_of(in->body, in->body_len));
    return 0;
}

/* A channel has a prev-id but there is no next link to make up for what was missed: nothing more can be promised. */
static bool
stream_cannot_hold(struct exchange *ex, const struct instruct *in)
{
    const struct instruct_channel *c = in->next_link == NULL ? instruct_prev_id(in) : NULL;
    char text[400];
    if (c == NULL)
        return false;
    snprintf(text, sizeof text, "channel '%.*s' specifies prev-id, but no next link found", (int)c->name_len, c->name);
    tell(ex, text);
    return true;
}

static void
answer_instruct(struct exchange *ex, struct instruct *in)
{
    struct xchg *x = ex->x;
    ex->sent = httphold_answer(x, &ex->req, in, false);
    log_result(ex, REQLOG_DONE, in->status);
    ex->request = NULL;
    finish(ex);
    xchg_end(x);
}

static const char *
check_instruct(struct exchange *ex, const struct instruct *in)
{
    const struct target *t = request_target(ex->request);
    if (in->hold != HOLD_NONE && in->n_channels == 0 && (t == NULL || t->subs.n == 0))
        return "hold has no channels";
    return NULL;
}

/* Does the answer go on as a stream: held, or with the body of the next link? */
static bool
is_stream(const struct exchange *ex, const struct instruct *in)
{
    return (in->hold == HOLD_MODE_STREAM || (in->hold == HOLD_NONE && in->next_link != NULL)) && !ex->x->to_head &&
           xchg_status_has_body(in->status);
}

/* An instruct with its whole body. */
static void
act(struct exchange *ex)
{
    struct instruct in;
    struct err e;
    const char *why = NULL;
    struct str body = ex->answer.ptr != NULL ? buf_str(&ex->answer) : STR("");
    if (instruct_parse(ex->head->status, ex->head->reason, &ex->head->headers, body, &in, &e) != 0) {
        refuse_instruct(ex, e.text);
        return;
    }
    why = check_instruct(ex, &in);
    if (why != NULL) {
        refuse_instruct(ex, why);
    } else if (in.hold == HOLD_MODE_RESPONSE) {
        hold(ex, &in);
    } else if (is_stream(ex, &in)) {
        if (start_stream(ex, &in) != 0 || stream_cannot_hold(ex, &in)) {
            ex->head->status = in.status;
            end_answer(ex);
        } else {
            hold(ex, &in);
        }
    } else if (in.hold == HOLD_NONE && bodyfilter_present(&in) && bodyfilter_apply(&in, &e) != 0) {
        refuse_instruct(ex, e.text);
    } else {
        answer_instruct(ex, &in);
    }
    instruct_clear(&in);
}

/* The body is too long to be read first: only the first part of a stream may be so long. */
static void
relay_first(struct exchange *ex)
{
    struct err e;
    const char *why;
    char text[320];
    struct instruct *in = &ex->instruct;
    if (instruct_is_json(&ex->head->headers) ||
        instruct_parse(ex->head->status, ex->head->reason, &ex->head->headers, str_of(NULL, 0), in, &e) != 0) {
        if (!instruct_is_json(&ex->head->headers)) {
            refuse_instruct(ex, e.text);
            return;
        }
        in->hold = HOLD_NONE;
    }
    if (!is_stream(ex, in) || bodyfilter_present(in)) {
        const struct target *t = request_target(ex->request);
        snprintf(text, sizeof text, "GRIP instruct response too large from %s", t != NULL ? t->text : "origin");
        answer_error(ex, 502, text);
        return;
    }
    why = check_instruct(ex, in);
    if (why != NULL) {
        refuse_instruct(ex, why);
        return;
    }
    start_stream(ex, in);
    ex->state = FIRST;
    give(ex, buf_str(&ex->answer));
    buf_clear(&ex->answer);
}

static void
end_first(struct exchange *ex)
{
    if (stream_cannot_hold(ex, &ex->instruct)) {
        ex->head->status = ex->instruct.status;
        end_answer(ex);
    } else {
        hold(ex, &ex->instruct);
    }
}

/* what the origin says */

static void
on_head(struct request *r, struct http1_head *head)
{
    struct exchange *ex = of_request(r);
    ex->head = head;
    ex->answered = clock_now();
    if (head->status == 101) {
        answer_error(ex, 502, "invalid response: unexpected 101");
        return;
    }
    if (!ex->route->no_grip && !ex->req.trusted && instruct_present(&head->headers)) {
        if (ex->body.overflow) {
            answer_self(ex, 400, STR("Request too large to accept GRIP instruct.\n"));
            return;
        }
        ex->state = INSTRUCT;
        return;
    }
    if (head->framing == HTTP1_CHUNKED || head->framing == HTTP1_UNTIL_CLOSE || ex->req.jsonp != NULL) {
        ex->state = DEFER;
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
on_body(struct request *r, struct str piece)
{
    struct exchange *ex = of_request(r);
    switch (ex->state) {
    case DEFER:
        if (buf_add(&ex->answer, piece.ptr, piece.len) == 0)
            break;
        on_task(&ex->task); /* too much to wait for its end */
        give(ex, piece);
        break;
    case INSTRUCT:
        if (ex->answer.len + piece.len <= INSTRUCT_MAX) {
            buf_add(&ex->answer, piece.ptr, piece.len);
            break;
        }
        relay_first(ex);
        if (ex->state == FIRST)
            give(ex, piece);
        break;
    case RELAY:
    case FIRST:
        give(ex, piece);
        break;
    default:
        break;
    }
}

static void
on_end(struct request *r)
{
    struct exchange *ex = of_request(r);
    switch (ex->state) {
    case DEFER:
        give_whole(ex);
        end_answer(ex);
        break;
    case INSTRUCT:
        act(ex);
        break;
    case FIRST:
        end_first(ex);
        break;
    default:
        ex->sent += answer_finish(ex->x, &ex->req);
        end_answer(ex);
        break;
    }
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    struct exchange *ex = of_request(r);
    if (ex->state == RELAY || ex->state == FIRST)
        cut(ex, text);
    else
        answer_error(ex, why == REQUEST_TIMEOUT ? 504 : 502, text);
}

static void
on_ready(struct request *r)
{
    struct exchange *ex = of_request(r);
    if (ex->state != OVER)
        xchg_pause(ex->x, false);
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

/* what the client says */

/* The test target is mounted where the route begins: it sees what follows path_beg, with the '/' that ends it. */
static size_t
test_prefix(const struct route *route)
{
    size_t n = route->path_beg != NULL ? strlen(route->path_beg) : 0;
    return n > 0 && route->path_beg[n - 1] == '/' ? n - 1 : n;
}

static void
ask(struct exchange *ex)
{
    struct request_spec *s = &ex->spec;
    loop_timer_stop(ex->proxy->loop, &ex->timer);
    s->method = ex->req.method;
    s->path = buf_str(&ex->path);
    s->test_prefix = test_prefix(ex->route);
    s->host = rewrite_host(ex->route, &ex->req);
    s->headers = &ex->headers;
    s->body = &ex->body;
    s->targets = ex->route->targets;
    s->n_targets = ex->route->n_targets;
    s->group = ex->x->group;
    ex->state = ASK;
    ex->asked = clock_now();
    if (!ex->body.complete)
        xchg_pause(ex->x, true); /* until there is a connection that takes more */
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
    if (ex->state == COLLECT) {
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
    if (ex->state == COLLECT)
        ask(ex);
    else if (ex->request != NULL)
        request_send(ex->request, STR(""));
}

static void
on_client_drained(struct xchg *x)
{
    struct exchange *ex = x->user;
    if (ex->request != NULL)
        request_pause(ex->request, false);
}

static void
on_client_gone(struct xchg *x, const char *why)
{
    struct exchange *ex = x->user;
    (void)why;
    log_result(ex, REQLOG_ERROR, 0);
    finish(ex);
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
    struct exchange *ex = mem_zalloc(sizeof *ex);
    ex->proxy = p;
    ex->x = x;
    ex->route = route;
    ex->state = COLLECT;
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
        answer_error(ex, 502, "the route's path_rem leaves a path that does not begin with '/'");
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
