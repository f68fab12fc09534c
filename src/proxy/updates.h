/* updates.h - when a hold's origin is asked again (spec: publishing 7, end): at once, a hundred a turn
 * of the loop, or in its time. Those that are not urgent start a tenth of a second after the first of them was queued,
 * at most a hundred each time. */
#ifndef PROXY_UPDATES_H
#define PROXY_UPDATES_H

#include "io/loop.h"

struct updates;

/* Embedded in what is to be updated. */
struct update {
    struct list_node node;        /* in a queue; not in one: next == NULL */
    bool urgent;                  /* in which */
    void (*cb)(struct update *u); /* constant; it has left the queue when it is called */
};

static inline void
update_init(struct update *u, void (*cb)(struct update *u))
{
    *u = (struct update){.cb = cb};
}

struct updates *updates_new(struct loop *l);
void updates_free(struct updates *us);
/* Queue U; where it waits already it may only become urgent. */
void updates_add(struct updates *us, struct update *u, bool urgent);
void updates_remove(struct updates *us, struct update *u);

#endif
