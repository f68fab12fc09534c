/* wsopen.h - a WebSocket's handshake: the client's request, the origin's answer to ours, then ours to the client
 * (spec: websocket 1). The client is answered when the origin has been; what it sends meanwhile waits. */
#ifndef PROXY_WSOPEN_H
#define PROXY_WSOPEN_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

/* Does the request ask for a WebSocket? */
bool wsopen_wanted(const struct http1_head *head);
/* true: it asks in a wrong way, has been answered so, and REQ is cleared. */
bool wsopen_refuse(struct xchg *x, struct clientreq *req);
/* Take over X, REQ and the reference to ROUTE. */
void wsopen_begin(struct proxy *p, struct xchg *x, struct clientreq *req, struct route *route);

#endif
