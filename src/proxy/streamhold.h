/* streamhold.h - stream holds, and how one with a next link makes up for what it may have missed (spec: grip 9;
 * reliability 5).
 *
 *            time-out, gap in the ids, hint, recover      in its turn
 *   IDLE -------------------------------------> QUEUED -------------> ASKING --body to the client--> IDLE
 *    |  the client does not read                  ^                     |  no hold, a next link: ASKING
 *    +---------------------> STALLED -it reads----+--- RETRYING <-fail--+
 *
 * Outside of IDLE items are queued, within a limit. When the answer is there it says from where on they continue what
 * the client has; what the limit dropped is with the origin, so it is asked once more. */
#ifndef PROXY_STREAMHOLD_H
#define PROXY_STREAMHOLD_H

#include "proxy/httphold.h"

extern const struct hold_ops streamhold_ops;
extern const struct xchg_user_ops streamhold_user_ops;

void streamhold_init(struct httphold *h, const struct httphold_begin *b);
/* It is subscribed. STALE: the answer is older than what has been published. */
void streamhold_begin(struct httphold *h, bool stale);
/* Stop what is under way. */
void streamhold_stop(struct httphold *h);
void streamhold_clear(struct httphold *h);

#endif
