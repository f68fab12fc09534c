/* exchange.h - one HTTP request's life, from the client's head to the origin's last byte or to a hold.
 *
 *   COLLECT --body whole, or enough--> ASK --head--> RELAY -----------------> over
 *                                       |             ^
 *                                       |  length unknown: does it end in this turn?
 *                                       +--> DEFER ---+
 *                                       +--> INSTRUCT --whole body--> hold, or answer
 *                                       +--> FIRST: a long first part of a stream, relayed --> hold
 *
 * An exchange is one request to the origin: a hold that asks again begins another one. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

struct httphold;

/* Take over X: its request goes to ROUTE (a reference is taken over). REQ is taken over too. BODY is copied: of a
 * JSON-P request, which has no other. */
void exchange_begin(struct proxy *p, struct xchg *x, struct clientreq *req, struct str body, struct route *route);

/* Ask again for OLD, a response hold that stays subscribed until the answer is there: then it is closed or
 * hands over to a new one. LAST: Grip-Last headers to add. REQ, ROUTE and BODY are copied or referred to. */
void exchange_retry(struct proxy *p, struct httphold *old, struct xchg *x, const struct clientreq *req,
                    const struct headers *last, struct str body, struct route *route);

#endif
