/* responsehold.h - response holds: one item answers, or the time-out, or the origin when it is asked again (spec:
 * grip 8; reliability 3). */
#ifndef PROXY_RESPONSEHOLD_H
#define PROXY_RESPONSEHOLD_H

#include "proxy/httphold.h"

extern const struct hold_ops responsehold_ops, responsehold_asking_ops; /* the second: with filters that ask a server */
extern const struct netfilter_ops responsehold_netfilter_ops;
extern const struct xchg_user_ops responsehold_user_ops;

/* Keep what it takes to ask again. */
void responsehold_init(struct httphold *h, const struct httphold_begin *b);
/* It is subscribed. STALE: the answer is older than what has been published. OLD: the hold that this one follows, or
 * NULL. */
void responsehold_begin(struct httphold *h, const struct httphold *old, bool stale);
void responsehold_clear(struct httphold *h);

#endif
