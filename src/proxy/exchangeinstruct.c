#include "proxy/exchangebase.h"

#include "base/log.h"
#include "proxy/answer.h"
#include "proxy/bodyfilter.h"
#include "proxy/httphold.h"

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
    exchange_answer_error(ex, 502, text.ptr);
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
    exchange_log(ex, REQLOG_ACCEPT, 0);
    put_origin_uri(ex, &uri);
    b.uri = buf_str(&uri);
    httphold_new(ex->proxy, &b);
    ex->request = NULL;
    exchange_finish(ex); /* closes what it was a retry for, now that its channels are the new hold's */
    buf_clear(&uri);
}

/* WHY the stream cannot go on; said in debug mode only. */
static void
tell(struct exchange *ex, const char *why)
{
    struct buf text = BUF_INIT(1024);
    if (exchange_debugging(ex)) {
        buf_addf(&text, "\n\n%s\n", why);
        exchange_give(ex, buf_str(&text));
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
    exchange_give(ex, str_of(in->body, in->body_len));
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
    exchange_log(ex, REQLOG_DONE, in->status);
    ex->request = NULL;
    exchange_finish(ex);
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

void
exchange_instruct(struct exchange *ex)
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
            exchange_end_answer(ex);
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

void
exchange_begin_first(struct exchange *ex)
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
        exchange_answer_error(ex, 502, text);
        return;
    }
    why = check_instruct(ex, in);
    if (why != NULL) {
        refuse_instruct(ex, why);
        return;
    }
    start_stream(ex, in);
    ex->state = EX_FIRST;
    exchange_give(ex, buf_str(&ex->answer));
    buf_clear(&ex->answer);
}

void
exchange_end_first(struct exchange *ex)
{
    if (stream_cannot_hold(ex, &ex->instruct)) {
        ex->head->status = ex->instruct.status;
        exchange_end_answer(ex);
    } else {
        hold(ex, &ex->instruct);
    }
}
