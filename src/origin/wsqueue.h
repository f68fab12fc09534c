/* wsqueue.h - a client's events on their way to an origin over HTTP: what waits, what is offered in a request, what the
 * origin has accepted of it (spec: websocket 6.5, 6.6). */
#ifndef ORIGIN_WSQUEUE_H
#define ORIGIN_WSQUEUE_H

#include "base/list.h"
#include "proto/wsevents.h"

enum { WSQUEUE_OFFER_MAX = 200000 }; /* bytes of content in one request; one event may have more */

struct wsqueue {
    struct list events; /* owned */
    size_t bytes;       /* of content that waits */
    unsigned offered;   /* events of the request under way, or of the last */
    size_t offered_bytes;
    size_t replayed;   /* bytes at the front that were offered before */
    bool offered_last; /* the request has all that waited */
    bool held_back;    /* the origin did not take all: nothing is offered before something new comes */
};

void wsqueue_init(struct wsqueue *q);
void wsqueue_clear(struct wsqueue *q);
void wsqueue_add(struct wsqueue *q, enum wsevent_type type, struct str content);
/* Append what waits to BODY, as much as a request may have; ONE: one event only. */
void wsqueue_offer(struct wsqueue *q, bool one, struct buf *body);
/* The origin took N bytes of content of what was offered, UINT64_MAX: all. 0, or -1: it cannot have, or there can be no
 * progress. */
int wsqueue_accept(struct wsqueue *q, uint64_t n);

/* What waits, in bytes of memory. */
static inline size_t
wsqueue_size(const struct wsqueue *q)
{
    return q->bytes + q->events.n * 64;
}

static inline bool
wsqueue_empty(const struct wsqueue *q)
{
    return list_empty(&q->events);
}

#endif
