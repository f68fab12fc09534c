/* fanout.h - an item to the holds of its channel that take one of its formats, in slices.
 *
 *   outbox of a channel and kind:   msgs  [ m1 | m2 | m3 ]     marks: how many entries the array had when it came
 *   one pass takes all messages there are over the array of subs; what comes meanwhile is the next pass
 *
 * Where clients listen to several channels a pass takes what is older than all that waits in other outboxes, so that
 * they get everything in the order in which it was published.
 *
 * A slice lasts a millisecond; then the loop serves everything else before the next. So a message to 100,000
 * clients delays nobody, and messages that come while one is being sent leave together, in one write. Only messages
 * that take longer than a slice may be overtaken by those of other channels. */
#ifndef PUB_FANOUT_H
#define PUB_FANOUT_H

#include "pub/channel.h"
#include "pub/limit.h"
#include "stats/stats.h"

struct fanout;

struct fanout *fanout_new(struct loop *l, const struct limit_settings *limits);
void fanout_free(struct fanout *f);
/* Count in S, borrowed. */
void fanout_set_stats(struct fanout *f, struct stats *s);
/* Send WebSocket messages in frames of at most that many bytes; 0, as at first: each in one. */
void fanout_set_frame_max(struct fanout *f, size_t frame_max);
/* Deliver ITEM to the holds of CH; begins with the tasks of this turn. */
void fanout_item(struct fanout *f, struct channel *ch, struct item *item);
/* CH or SUB is about to end. */
void fanout_channel_gone(struct fanout *f, struct channel *ch);
void fanout_sub_gone(struct fanout *f, struct sub *sub);
/* What the limiter keeps for FROM is TO's now. */
void fanout_sub_moved(struct fanout *f, struct sub *from, struct sub *to);
/* Is anything still to be delivered? */
bool fanout_busy(const struct fanout *f);
/* We are about to stop: what the limiter holds back goes out as fast as the loop has time for it. */
void fanout_hurry(struct fanout *f);
/* More is published than can be delivered: publishers should wait (true), or go on (false). Called within fanout_item()
 * and from the loop. */
void fanout_on_full(struct fanout *f, void (*cb)(void *arg, bool full), void *arg);
bool fanout_full(const struct fanout *f);

#endif
