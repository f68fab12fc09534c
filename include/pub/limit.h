/* limit.h - at most so many deliveries a second and route (message_rate), and at most so many waiting (message_hwm).
 * Spec: publishing 6.3. Without a rate nothing of this is in the way.
 *
 *   limit_add() --> bucket of the route: [ delivery, delivery, ... ] --in turn with the others, at its rate--> deliver
 */
#ifndef PUB_LIMIT_H
#define PUB_LIMIT_H

#include "io/loop.h"
#include "pub/hold.h"

struct limit;

struct limit_settings {
    int rate;       /* deliveries a second; <= 0: no limit */
    int hwm;        /* deliveries that may wait; <= 0: any number */
    int block_size; /* bytes of content that count as one delivery; <= 0: any size does */
};

/* DELIVER is called when a delivery's time has come. */
struct limit *limit_new(struct loop *l, const struct limit_settings *settings,
                        void (*deliver)(void *arg, struct sub *sub, struct msg *m), void *arg);
void limit_free(struct limit *l);
bool limit_active(const struct limit *l);
/* Queue a delivery. false: past the high-water mark, it is dropped, which is logged at most once a second and route. */
bool limit_add(struct limit *l, struct sub *sub, struct msg *m);
/* Does anything wait? */
bool limit_busy(const struct limit *l);
/* From now on deliver as fast as the loop has time for it. */
void limit_hurry(struct limit *l);
/* Deliveries of SUB that wait. */
unsigned limit_waiting(const struct limit *l, const struct sub *sub);
/* SUB is about to end. */
void limit_forget(struct limit *l, struct sub *sub);
/* What waits for FROM is TO's now. */
void limit_move(struct limit *l, struct sub *from, struct sub *to);

#endif
