/* resolver.h - names to addresses, never blocking.
 *
 *   resolver_find("api.example.com", 443) --> /etc/hosts, or the name servers of /etc/resolv.conf --> cb(addresses)
 *
 * Names are looked at before anyone is asked: at most 253 bytes, labels of 1 to 63, visible ASCII. The callback comes
 * in a later turn, whatever the answer; a lookup is its owner's until then, or until resolver_cancel(). */
#ifndef IO_RESOLVER_H
#define IO_RESOLVER_H

#include "base/str.h"
#include "io/address.h"
#include "io/loop.h"

enum { RESOLVER_ADDRESSES = 16, RESOLVER_TIME = 10000 }; /* of one answer at most; ms until a lookup gives up */

struct resolver;
struct resolver_lookup;

/* RESOLV_CONF: the path of the file, NULL: /etc/resolv.conf. Without a file the name server is the local host's. */
struct resolver *resolver_new(struct loop *l, const char *resolv_conf);
/* Lookups are cancelled. The memory goes in the next three turns of the loop. */
void resolver_free(struct resolver *r);

/* N addresses, IPv4 first; they are gone when the call returns. N 0: WHY says why there are none. */
typedef void resolver_cb(const struct address *addresses, unsigned n, const char *why, void *arg);

/* Look NAME up; CB follows, never within this call. Literal addresses are names too. */
struct resolver_lookup *resolver_find(struct resolver *r, struct str name, uint16_t port, resolver_cb *cb, void *arg);
/* CB does not come. */
void resolver_cancel(struct resolver_lookup *q);

#endif
