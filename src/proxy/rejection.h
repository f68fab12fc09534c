/* rejection.h - an origin's answer to a WebSocket's handshake that is not 101, on its way to the client (spec:
 * websocket 1.4). A body of unknown length that is short gets a length: the head waits for it.
 *
 *   rejection_begin, rejection_body ..., rejection_flush, then xchg_end() or xchg_abort() */
#ifndef PROXY_REJECTION_H
#define PROXY_REJECTION_H

#include "client/xchg.h"

struct rejection {
    struct xchg *x;        /* borrowed; NULL before the beginning */
    int status;            /* 0 before the beginning */
    struct headers answer; /* copied */
    struct buf reason;
    struct buf early; /* what of the body has come while the head waits */
    bool waits;
};

void rejection_init(struct rejection *r);
void rejection_clear(struct rejection *r);
/* HEAD as it came, H as the client gets it. MAX: bytes of the body for which the head waits. */
void rejection_begin(struct rejection *r, struct xchg *x, const struct http1_head *head, const struct headers *h,
                     size_t max);
void rejection_body(struct rejection *r, struct str piece);
/* No more comes. WHOLE: that was all. */
void rejection_flush(struct rejection *r, bool whole);

#endif
