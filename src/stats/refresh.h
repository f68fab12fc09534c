/* refresh.h - each of a table's entries once in a period, a share of them every second.
 *
 *   second 0: numbers 0, 5, 10 ...   second 1: 1, 6, 11 ...   a period of 5 s
 *
 * A share is gone through in slices of a turn each, so that a big table does not stop the loop. */
#ifndef STATS_REFRESH_H
#define STATS_REFRESH_H

#include "io/loop.h"
#include "stats/live.h"

struct refresh {
    struct loop *loop;                                            /* borrowed */
    const struct live *live;                                      /* borrowed */
    void (*cb)(void *arg, uint32_t number, struct live_entry *e); /* adds and removes nothing */
    void *arg;
    uint32_t period; /* s, at least 1 */
    uint32_t share;  /* the one that is, or was, gone through */
    uint32_t at;     /* the next number of it */
    unsigned due;    /* shares that wait for it */
    struct task task;
};

/* TTL: s within which three quarters are a period. */
void refresh_init(struct refresh *r, struct loop *l, const struct live *live, unsigned ttl,
                  void (*cb)(void *arg, uint32_t number, struct live_entry *e), void *arg);
/* A second has passed. */
void refresh_tick(struct refresh *r);
void refresh_stop(struct refresh *r);

#endif
