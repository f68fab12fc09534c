/* proxy.h - the front door: from a client's request to its route, and on to an exchange.
 *
 *   xchg --proxy_request()--> routes_find() --> exchange --> origin/request --> the answer, or an httphold
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "client/xchg.h"
#include "conf/config.h"
#include "conf/routes.h"
#include "origin/request.h"
#include "pub/channel.h"
#include "stats/stats.h"

struct proxy;
struct wsconns;

/* All borrowed; WSCONNS is freed before the proxy is. NULL with E set when a key cannot be read. */
struct proxy *proxy_new(struct loop *l, const struct config *config, struct routes *routes, struct origin *origin,
                        struct channels *channels, struct wsconns *wsconns, struct err *e);
void proxy_free(struct proxy *p);
/* Count in S, borrowed. */
void proxy_set_stats(struct proxy *p, struct stats *s);
/* For stats_ops. WHO is an xchg. */
struct str proxy_peer(const void *who, char text[ADDRESS_TEXT_MAX]);
/* WHO is a WebSocket. */
struct str proxy_ws_peer(const void *who, char text[ADDRESS_TEXT_MAX]);
struct str proxy_ws_id(const void *who, char text[UUID_SIZE]);

/* For h1server_ops. ARG is the proxy. */
void proxy_request(void *arg, struct xchg *x);
void proxy_bad_text(void *arg, int status, const char *why, bool in_body, struct buf *out);

/* Close all WebSockets, with 1001. */
void proxy_shutdown(struct proxy *p);

/* Is an origin still being told that a client has gone? */
bool proxy_busy(const struct proxy *p);
/* How many origins over HTTP are being told that a WebSocket has ended. */
size_t proxy_telling(const struct proxy *p);
/* Is there a request or hold with this connection id? */
bool proxy_connection_exists(const struct proxy *p, struct str id);
/* The command "refresh": ask a WebSocket's origin for news. -1: there is none with this id. */
int proxy_refresh_connection(struct proxy *p, struct str id);
void proxy_refresh_channel(struct proxy *p, struct str name);

#endif
