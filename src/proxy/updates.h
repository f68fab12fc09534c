/* updates.h - when a hold's origin is asked again (spec: publishing 7, end).
 *
 *   urgent, a hundred a turn of the loop ----------------> cb
 *   low ---> group, a hundred every tenth of a second ---> origin, a hundred at a time ---> cb ... updates_done()
 *
 * The first of a group starts a tenth of a second after it was queued, so that what is caused by the same event goes
 * together. Groups do not wait for each other. */
#ifndef PROXY_UPDATES_H
#define PROXY_UPDATES_H

#include "base/str.h"
#include "io/loop.h"

struct updates;
struct update_group;

enum { UPDATES_PERIOD_MS = 100, UPDATES_BATCH = 100, UPDATES_AT_ORIGIN = 100 };

/* Embedded in what is to be updated. */
struct update {
    struct list_node node;       /* in LIST; not in one: next == NULL */
    struct list *list;           /* where it waits */
    struct update_origin *place; /* which it has, or waits for; NULL: none */
    bool urgent, has_place;
    void (*cb)(struct update *u); /* constant; it waits no longer when it is called */
};

static inline void
update_init(struct update *u, void (*cb)(struct update *u))
{
    *u = (struct update){.cb = cb};
}

struct updates *updates_new(struct loop *l);
void updates_free(struct updates *us);
/* Queue U; where it waits already it may only become urgent. GROUP and ORIGIN are names, copied. */
void updates_add(struct updates *us, struct update *u, bool urgent, struct str group, struct str origin);
/* U waits no longer, or what it did at the origin is over. */
void updates_done(struct updates *us, struct update *u);

#endif
