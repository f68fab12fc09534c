/* wheel.h - a hierarchical timing wheel: any number of timers, O(1) each, intrusive.
 *
 *   level 0   64 slots of 1 tick        a timer lies in the level its distance needs, and moves
 *   level 1   64 slots of 64 ticks      down a level when its slot comes near
 *   level 2   64 slots of 4096 ticks
 *   level 3   64 slots of 262144 ticks
 *
 * A tick is WHEEL_TICK_MS. A timer fires at the first tick at or after its time: never early, at most a tick late.
 * The wheel knows no loop: io/loop asks it when to wake and tells it what time it is; tests do the same by hand. */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base/list.h"

#include <stdint.h>

enum { WHEEL_TICK_MS = 16, WHEEL_LEVELS = 4, WHEEL_SLOTS = 64 };

struct timer {
    struct timer *prev, *next;   /* in its slot; next == NULL: not set */
    uint32_t due;                /* tick, its low 32 bits */
    uint32_t slot;               /* index of its slot, for the bitmap */
    void (*cb)(struct timer *t); /* constant; find the object with container_of() */
};

struct wheel {
    uint64_t start;                                 /* ms of tick 0 */
    uint64_t now;                                   /* the tick up to which all has fired */
    size_t n;                                       /* timers set */
    bool firing;                                    /* inside wheel_advance(), which alone moves NOW then */
    uint64_t used[WHEEL_LEVELS];                    /* which slots have timers */
    struct timer slots[WHEEL_LEVELS * WHEEL_SLOTS]; /* list heads */
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/* Set T to fire MS from NOW_MS; where it was set already it is moved. More than three days counts as three days. */
void wheel_set(struct wheel *w, struct timer *t, uint64_t now_ms, uint64_t ms);
void wheel_stop(struct wheel *w, struct timer *t);
/* Fire what is due at NOW_MS. A callback may set and stop any timer. */
void wheel_advance(struct wheel *w, uint64_t now_ms);
/* Milliseconds from NOW_MS until wheel_advance() has something to do, or UINT64_MAX when no timer is set. */
uint64_t wheel_next(const struct wheel *w, uint64_t now_ms);

static inline void
timer_init(struct timer *t, void (*cb)(struct timer *t))
{
    t->prev = t->next = NULL;
    t->cb = cb;
}

static inline bool
timer_is_set(const struct timer *t)
{
    return t->next != NULL;
}

#endif
