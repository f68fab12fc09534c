/* wsopen.h - a WebSocket's handshake: the client's request, the origin's answer to ours, then ours to the client
 * (spec: websocket 1). The client is answered when the origin has been; what it sends meanwhile waits. */
#ifndef PROXY_WSOPEN_H
#define PROXY_WSOPEN_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

/* A SockJS client that sends requests. */
struct wsopen_session_ops {
    /* The origin agrees, and the request is the session's to answer. Returns the client's endpoint. */
    struct ws *(*on_open)(void *session);
    /* The handshake has come to nothing; the client has been answered, or has left. */
    void (*on_over)(void *session);
    /* For the answer, if it is ours. */
    void (*put_headers)(void *session, struct headers *h);
};
struct wsopen_sockjs {
    const struct wsopen_session_ops *ops; /* NULL: it has a WebSocket */
    void *session;
    bool framed; /* its WebSocket speaks in frames */
};

/* Does the request ask for a WebSocket? */
bool wsopen_wanted(const struct http1_head *head);
/* true: it asks in a wrong way, has been answered so, and REQ is cleared. */
bool wsopen_refuse(struct xchg *x, struct clientreq *req);
/* Take over X, REQ and the reference to ROUTE. SOCKJS: what kind of client it is; NULL: an ordinary one. */
void wsopen_begin(struct proxy *p, struct xchg *x, struct clientreq *req, struct route *route,
                  const struct wsopen_sockjs *sockjs);

#endif
