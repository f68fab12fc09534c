/* sockws.h - a client's WebSocket that speaks SockJS frames, shown as one that does not (spec: sockjs-and-test-handler
 * 5).
 *
 *   wsproxy --message--> sockws --a["message"]--> wsconn (client)
 *   wsproxy <--message-- sockws <--["message"]---'
 */
#ifndef PROXY_SOCKWS_H
#define PROXY_SOCKWS_H

#include "io/loop.h"
#include "ws/ws.h"

/* INNER, which nobody is joined to yet, is taken over; it is told that the session is open. */
struct ws *sockws_new(struct loop *l, struct ws *inner);

#endif
