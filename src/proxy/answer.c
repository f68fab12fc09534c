#include "proxy/answer.h"

#include "proxy/cors.h"
#include "proxy/jsonp.h"

#include <stdio.h>

enum { WRAPPED_MAX = 1 << 28 }; /* bytes; what is wrapped is much shorter */

/* Give all that WRAPPED holds, which is empty afterwards. */
static size_t
give(struct xchg *x, struct buf *wrapped)
{
    size_t n = wrapped->len;
    if (n > 0)
        xchg_send_str(x, buf_str(wrapped));
    buf_clear(wrapped);
    return n;
}

static void
start_script(struct xchg *x, const struct headers *keep, int64_t length)
{
    struct headers h;
    headers_init(&h);
    for (unsigned i = 0; keep != NULL && i < keep->n; i++)
        if (!str_ieq(keep->at[i].name, STR("Content-Type")))
            headers_view(&h, keep->at[i].name, keep->at[i].value);
    headers_view(&h, STR("Content-Type"), STR("application/javascript"));
    xchg_start(x, 200, STR("OK"), &h, length);
    headers_clear(&h);
}

static void
add_length(struct headers *h, int64_t length)
{
    char text[24];
    if (length >= 0)
        headers_add(h, STR("Content-Length"),
                    str_of(text, (size_t)snprintf(text, sizeof text, "%lld", (long long)length)));
}

size_t
answer_start(struct xchg *x, const struct clientreq *c, int status, struct str reason, struct headers *h,
             int64_t length)
{
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    if (c->jsonp == NULL) {
        if (c->cross_origin)
            cors_add(&c->headers, h);
        xchg_start(x, status, reason, h, length);
        return 0;
    }
    add_length(h, length);
    jsonp_begin(c->jsonp, status, reason, h, &wrapped);
    start_script(x, NULL, XCHG_LENGTH_UNKNOWN);
    return give(x, &wrapped);
}

size_t
answer_send(struct xchg *x, const struct clientreq *c, struct str piece)
{
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    if (c->jsonp != NULL) {
        jsonp_piece(c->jsonp, piece, &wrapped);
        return give(x, &wrapped);
    }
    xchg_send_str(x, piece);
    return piece.len;
}

size_t
answer_finish(struct xchg *x, const struct clientreq *c)
{
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    if (c->jsonp == NULL)
        return 0;
    jsonp_end(c->jsonp, &wrapped);
    return give(x, &wrapped);
}

/* The headers that stand outside of the wrapping: all of a hold's, else only how it may be kept. */
static void
put_kept(const struct headers *h, bool held, struct headers *out)
{
    for (unsigned i = 0; i < h->n; i++)
        if (held || str_ieq(h->at[i].name, STR("Cache-Control")))
            headers_view(out, h->at[i].name, h->at[i].value);
}

static size_t
send_script(struct xchg *x, const struct clientreq *c, int status, struct str reason, struct headers *h,
            struct str body, bool held)
{
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    struct headers kept;
    size_t n;
    headers_init(&kept);
    put_kept(h, held, &kept);
    if (held) {
        jsonp_held(c->jsonp, status, reason, h, body, &wrapped);
    } else {
        add_length(h, (int64_t)body.len);
        jsonp_begin(c->jsonp, status, reason, h, &wrapped);
        jsonp_piece(c->jsonp, body, &wrapped);
        jsonp_end(c->jsonp, &wrapped);
    }
    start_script(x, &kept, (int64_t)wrapped.len);
    n = give(x, &wrapped);
    headers_clear(&kept);
    return n;
}

size_t
answer_whole(struct xchg *x, const struct clientreq *c, int status, struct str reason, struct headers *h,
             struct str body, bool held)
{
    if (c->jsonp != NULL)
        return send_script(x, c, status, reason, h, body, held);
    if (c->cross_origin)
        cors_add(&c->headers, h);
    xchg_start(x, status, reason, h, (int64_t)body.len);
    if (body.len > 0)
        xchg_send_str(x, body);
    return x->to_head || !xchg_status_has_body(status) ? 0 : body.len;
}

size_t
answer_text(struct xchg *x, const struct clientreq *c, int status, struct str text)
{
    struct headers h;
    size_t n;
    headers_init(&h);
    headers_view(&h, STR("Content-Type"), STR("text/plain"));
    n = answer_whole(x, c, status, http_reason(status), &h, text, false);
    headers_clear(&h);
    return n;
}
