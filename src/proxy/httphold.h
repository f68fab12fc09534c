/* httphold.h - response and stream holds of HTTP clients (spec: grip 8, 9; reliability 3).
 *
 *   hold --deliver()--> httphold --xchg_send()--> client
 *
 * A plain stream keeps nothing but this struct; what only some holds need lies in MORE. */
#ifndef PROXY_HTTPHOLD_H
#define PROXY_HTTPHOLD_H

#include "grip/instruct.h"
#include "proxy/clientreq.h"
#include "proxy/context.h"
#include "pub/hold.h"

struct httphold;

/* What an exchange hands over. */
struct httphold_begin {
    struct xchg *x;              /* taken over; a stream's head and first part have been sent */
    struct route *route;         /* a reference is taken */
    const struct target *target; /* for its implicit channels */
    struct instruct *instruct;   /* taken over, and cleared */
    const struct clientreq *req; /* copied where it is needed again */
    struct str body;             /* of the request; copied likewise */
    struct str uri;              /* as sent to the origin, for the log */
    struct httphold *old;        /* a retry: the hold that this one follows; NULL: none */
};

void httphold_new(struct proxy *p, const struct httphold_begin *b);
/* The client is no longer this hold's. Leaves its channels; memory goes after the turn. */
void httphold_close(struct httphold *h);
/* Answer C with an instruct's own response, as a time-out does (HELD: it is one); xchg_end() is to follow. Returns the
 * bytes of the body. */
size_t httphold_answer(struct xchg *x, const struct clientreq *c, const struct instruct *in, bool held);

#endif
