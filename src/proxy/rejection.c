#include "proxy/rejection.h"

void
rejection_init(struct rejection *r)
{
    *r = (struct rejection){.x = NULL};
    headers_init(&r->answer);
}

void
rejection_clear(struct rejection *r)
{
    headers_clear(&r->answer);
    buf_clear(&r->reason);
    buf_clear(&r->early);
}

static void
start(struct rejection *r, int64_t length)
{
    r->waits = false;
    xchg_start(r->x, r->status, buf_str(&r->reason), &r->answer, length);
    if (r->early.len > 0)
        xchg_send_str(r->x, buf_str(&r->early));
    buf_clear(&r->early);
}

void
rejection_begin(struct rejection *r, struct xchg *x, const struct http1_head *head, const struct headers *h, size_t max)
{
    r->x = x;
    r->status = head->status;
    headers_copy(&r->answer, h);
    buf_init(&r->reason, head->reason.len);
    buf_adds(&r->reason, head->reason);
    buf_init(&r->early, max);
    if (head->framing == HTTP1_LENGTH)
        start(r, (int64_t)head->length);
    else if (head->framing == HTTP1_NO_BODY)
        start(r, 0);
    else
        r->waits = true;
}

void
rejection_body(struct rejection *r, struct str piece)
{
    if (r->waits && buf_adds(&r->early, piece) == 0)
        return;
    if (r->waits)
        start(r, XCHG_LENGTH_UNKNOWN);
    xchg_send_str(r->x, piece);
}

void
rejection_flush(struct rejection *r, bool whole)
{
    if (r->waits)
        start(r, whole ? (int64_t)r->early.len : XCHG_LENGTH_UNKNOWN);
}
