#include "proxy/sockreq.h"

#include "proto/jsonwrite.h"
#include "proto/uri.h"
#include "proxy/jsonp.h"

enum {
    STREAM_MAX = 131072, /* bytes after which a stream makes way for a new one: browsers keep all of it in memory */
    PRELUDE = 2048,      /* bytes that browsers want to see before they tell the page of the first frame */
    PAGE_MIN = 1024,     /* the same of a page */
    FRAME_MAX = 1 << 24  /* bytes of a frame in its wrapping; sessions are far more modest */
};

/* The value of a JSON-P callback in the query; in memory of its own. */
static char *
read_callback(const struct clientreq *c)
{
    struct str query = str_from(c->path, c->path_len), name, value;
    struct buf text = BUF_INIT(query.len + 1);
    char *callback = NULL;
    query = str_from(query, 1);
    while (callback == NULL && uri_query_next(&query, &name, &value)) {
        if (!str_eq(name, STR("callback")) && !str_eq(name, STR("c")))
            continue;
        uri_decode(value, true, &text);
        callback = str_dup(buf_str(&text));
    }
    buf_clear(&text);
    return callback;
}

struct sockreq *
sockreq_new(struct xchg *x, enum sockreq_kind kind, const struct clientreq *c)
{
    struct sockreq *r = mem_zalloc(sizeof *r);
    struct str origin = headers_get(&c->headers, STR("Origin"));
    r->x = x;
    r->kind = (uint8_t)kind;
    r->origin = str_dup(origin.len > 0 ? origin : STR("*"));
    if (kind == SOCKREQ_JSONP || kind == SOCKREQ_JSONP_SEND || kind == SOCKREQ_HTMLFILE)
        r->callback = read_callback(c);
    return r;
}

void
sockreq_free(struct sockreq *r)
{
    mem_free(r->origin);
    mem_free(r->callback);
    mem_free(r);
}

bool
sockreq_callback_ok(const struct sockreq *r)
{
    return r->callback != NULL && jsonp_is_callback(str_c(r->callback));
}

/* answers */

void
sockreq_put_origin(const struct sockreq *r, struct headers *h)
{
    headers_view(h, STR("Access-Control-Allow-Origin"), str_c(r->origin));
    if (strcmp(r->origin, "*") != 0) /* browsers do not take both */
        headers_view(h, STR("Access-Control-Allow-Credentials"), STR("true"));
}

void
sockreq_put_common(const struct sockreq *r, struct headers *h)
{
    headers_view(h, STR("Cache-Control"), STR("no-store, no-cache, must-revalidate, max-age=0"));
    sockreq_put_origin(r, h);
}

void
sockreq_respond(struct sockreq *r, int status, const struct headers *own, struct str body)
{
    struct headers h;
    headers_init(&h);
    for (unsigned i = 0; own != NULL && i < own->n; i++)
        headers_view(&h, own->at[i].name, own->at[i].value);
    sockreq_put_common(r, &h);
    xchg_respond(r->x, status, http_reason(status), &h, body);
    headers_clear(&h);
    sockreq_free(r);
}

static void
respond_typed(struct sockreq *r, int status, struct str type, struct str body)
{
    struct header h = {STR("Content-Type"), type};
    struct headers list = {&h, 1, 1, NULL};
    sockreq_respond(r, status, &list, body);
}

void
sockreq_text(struct sockreq *r, int status, struct str text)
{
    respond_typed(r, status, STR("text/plain"), text);
}

static void
put_call(const struct sockreq *r, struct str frame, struct buf *out)
{
    buf_addf(out, "/**/%s(", r->callback);
    jsonwrite_string(frame, out);
    buf_adds(out, STR(");\n"));
}

void
sockreq_taken(struct sockreq *r)
{
    struct buf b = BUF_INIT(FRAME_MAX);
    if (r->kind != SOCKREQ_JSONP_SEND) {
        sockreq_respond(r, 204, NULL, STR(""));
    } else if (r->callback == NULL) {
        sockreq_text(r, 200, STR("ok"));
    } else {
        put_call(r, STR("ok"), &b);
        respond_typed(r, 200, STR("application/javascript"), buf_str(&b));
    }
    buf_clear(&b);
}

/* frames */

static void
respond_frame(struct sockreq *r, struct str frame)
{
    struct buf b = BUF_INIT(FRAME_MAX);
    if (r->kind == SOCKREQ_JSONP || (r->kind == SOCKREQ_JSONP_SEND && r->callback != NULL)) {
        put_call(r, frame, &b);
        respond_typed(r, 200, STR("application/javascript"), buf_str(&b));
    } else {
        buf_adds(&b, frame);
        buf_addc(&b, '\n');
        sockreq_text(r, 200, buf_str(&b));
    }
    buf_clear(&b);
}

void
sockreq_closed(struct sockreq *r, struct str frame)
{
    respond_frame(r, frame);
}

static void
put_page(const struct sockreq *r, struct buf *out)
{
    buf_addf(out,
             "<!DOCTYPE html>\n<html><head>\n<meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\">\n"
             "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">\n</head><body>\n<script>\n"
             "document.domain = document.domain;\nvar c = parent.%s;\nc.start();\n"
             "function p(d) { c.message(d); }\nwindow.onload = c.stop;\n</script>\n",
             r->callback);
    while (out->len < PAGE_MIN)
        buf_addc(out, ' ');
    buf_adds(out, STR("\r\n\r\n"));
}

static void
put_prelude(const struct sockreq *r, struct buf *out)
{
    if (r->kind == SOCKREQ_EVENTSOURCE) {
        buf_adds(out, STR("\r\n"));
    } else if (r->kind == SOCKREQ_HTMLFILE) {
        put_page(r, out);
    } else {
        for (unsigned i = 0; i < PRELUDE; i++)
            buf_addc(out, 'h');
        buf_addc(out, '\n');
    }
}

static void
start_stream(struct sockreq *r)
{
    struct buf b = BUF_INIT(FRAME_MAX);
    struct headers h;
    headers_init(&h);
    headers_view(&h, STR("Content-Type"),
                 r->kind == SOCKREQ_EVENTSOURCE ? STR("text/event-stream")
                 : r->kind == SOCKREQ_HTMLFILE  ? STR("text/html; charset=UTF-8")
                                                : STR("application/javascript; charset=UTF-8"));
    sockreq_put_common(r, &h);
    xchg_start(r->x, 200, http_reason(200), &h, XCHG_LENGTH_UNKNOWN);
    put_prelude(r, &b);
    xchg_send_str(r->x, buf_str(&b));
    headers_clear(&h);
    buf_clear(&b);
}

void
sockreq_start(struct sockreq *r)
{
    if (sockreq_is_stream(r) && !r->x->started)
        start_stream(r);
}

/* A frame as the string of a script, which nothing in it can end. */
static void
put_script(struct str frame, struct buf *out)
{
    struct buf text = BUF_INIT(FRAME_MAX);
    jsonwrite_string(frame, &text);
    buf_adds(out, STR("<script>\np("));
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '<')
            buf_adds(out, STR("\\u003c"));
        else
            buf_addc(out, text.ptr[i]);
    buf_adds(out, STR(");\n</script>\r\n"));
    buf_clear(&text);
}

/* A frame as an event. SockJS clients undo URI escapes in it. */
static void
put_event(struct str frame, struct buf *out)
{
    ptrdiff_t at;
    buf_adds(out, STR("data: "));
    while ((at = str_chr(frame, '%')) >= 0) {
        buf_adds(out, str_sub(frame, 0, (size_t)at));
        buf_adds(out, STR("%25"));
        frame = str_from(frame, (size_t)at + 1);
    }
    buf_adds(out, frame);
    buf_adds(out, STR("\r\n\r\n"));
}

static void
stream_frame(struct sockreq *r, struct str frame)
{
    struct buf b = BUF_INIT(FRAME_MAX);
    sockreq_start(r);
    if (r->kind == SOCKREQ_HTMLFILE) {
        put_script(frame, &b);
    } else if (r->kind == SOCKREQ_EVENTSOURCE) {
        put_event(frame, &b);
    } else {
        buf_adds(&b, frame);
        buf_addc(&b, '\n');
    }
    r->sent += b.len;
    xchg_send_str(r->x, buf_str(&b));
    buf_clear(&b);
}

static void
end_stream(struct sockreq *r)
{
    struct xchg *x = r->x;
    sockreq_free(r);
    xchg_end(x);
}

bool
sockreq_frame(struct sockreq *r, struct str frame)
{
    if (!sockreq_is_stream(r)) {
        respond_frame(r, frame);
        return true;
    }
    stream_frame(r, frame);
    if (r->sent < STREAM_MAX)
        return false;
    end_stream(r);
    return true;
}

void
sockreq_last(struct sockreq *r, struct str frame)
{
    if (!sockreq_frame(r, frame))
        end_stream(r);
}

void
sockreq_terminate(struct sockreq *r)
{
    if (r->x->started)
        end_stream(r);
    else
        sockreq_text(r, 410, STR("Session terminated\n"));
}
