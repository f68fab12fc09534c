/* sockjs.h - the SockJS endpoint of a route: which request means what (spec: sockjs-and-test-handler 1-5).
 *
 *   /info, /iframe*.html, OPTIONS, greeting      answered here
 *   /SRV/SID/xhr, jsonp, ...                     socksession
 *   WebSocket /SRV/SID/ANY                       wsopen, framed
 *   WebSocket /websocket                         wsopen, as it is
 */
#ifndef PROXY_SOCKJS_H
#define PROXY_SOCKJS_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

/* Does the request belong to the endpoint of ROUTE? */
bool sockjs_wants(const struct route *route, const struct clientreq *c);
/* Take over X, C, which belongs to the endpoint, and the reference to ROUTE. */
void sockjs_request(struct proxy *p, struct xchg *x, struct clientreq *c, struct route *route);

#endif
