/* rewrite.h - what changes between the two hops (spec: proxying 4, 8.1; routes 3.2): paths, Host, headers. */
#ifndef PROXY_REWRITE_H
#define PROXY_REWRITE_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

/* Append the path and query that the origin gets. 0, or -1 when the result does not begin with '/'. */
int rewrite_path(const struct route *route, const struct clientreq *c, struct buf *out);
/* Bytes of that path which the test target does not see: it is mounted where the route begins, and sees what follows
 * path_beg, with the '/' that ends it. */
size_t rewrite_test_prefix(const struct route *route);
/* Host for the origin: the route's as_host or the client's, without the scheme's default port. A view. */
struct str rewrite_host(const struct route *route, const struct clientreq *c);
/* The request headers for the origin, without Host and framing. Entries are views into C, ROUTE and the signature, or
 * copies; valid as long as those and until the next call. */
void rewrite_request(struct proxy *p, const struct route *route, const struct clientreq *c, struct xchg *x,
                     struct headers *out);
/* Grip-Sig as it is now, for a request of ROUTE, and Grip-Feature. Views, valid until the next call. */
void rewrite_sign(struct proxy *p, const struct route *route, struct headers *out);
/* The response headers for the client: hop-by-hop and framing left out. Views. */
void rewrite_response(const struct headers *from, struct headers *out);
/* Append the client's address as a proxy that the operator trusts has forwarded it; nothing where there is none. */
void rewrite_client_address(const struct proxy *p, const struct clientreq *c, struct buf *out);
/* Is the request one of a proxy that we trust? (proxying 5) */
bool rewrite_trusted(struct proxy *p, const struct headers *h);

#endif
