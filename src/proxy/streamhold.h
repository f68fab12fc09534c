/* streamhold.h - stream holds, and how one with a next link makes up for what it may have missed (spec: grip 9;
 * reliability 5).
 *
 *   IDLE              items go to the client, who has what the ids say
 *   any other state   items are queued, within a limit; see proxy/follow
 *
 * When the link's answer is there it says from where on the queue continues what the client has. What the limit dropped
 * is with the origin, which is asked once more. */
#ifndef PROXY_STREAMHOLD_H
#define PROXY_STREAMHOLD_H

#include "proxy/httphold.h"

extern const struct hold_ops streamhold_ops, streamhold_asking_ops; /* the second: with filters that ask a server */
extern const struct netfilter_ops streamhold_netfilter_ops;
extern const struct xchg_user_ops streamhold_user_ops;

void streamhold_init(struct httphold *h, const struct httphold_begin *b);
/* It is subscribed. STALE: the answer is older than what has been published. */
void streamhold_begin(struct httphold *h, bool stale);

#endif
