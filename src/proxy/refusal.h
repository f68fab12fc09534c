/* refusal.h - our own answer to a request that goes to no origin.
 *
 * What has come of its body is read first: when that is all of it the connection can be kept. Else it ends after the
 * answer, since nobody wants the rest. */
#ifndef PROXY_REFUSAL_H
#define PROXY_REFUSAL_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

/* Answer X with STATUS and TEXT, now or at the end of this turn. REQ and the reference to ROUTE (NULL: none) are taken
 * over. */
void refusal_new(struct proxy *p, struct xchg *x, struct clientreq *req, struct route *route, int status,
                 struct str text);

#endif
