/* walk.h - all channels of a table, one after the other in slices of about a millisecond, while the table changes.
 *
 * Channels that are there from the beginning to the end are visited at least once, and may be twice. */
#ifndef PUB_WALK_H
#define PUB_WALK_H

#include "io/loop.h"

struct channel;
struct channels;

struct walk {
    struct loop *loop;      /* borrowed */
    struct channels *table; /* borrowed; NULL: not under way */
    struct task task;
    size_t at;  /* in the table */
    bool again; /* wanted anew meanwhile: it goes on to the end, and then from the beginning */
    bool over;  /* all have been visited */
    void (*cb)(struct channel *ch, void *arg); /* may not change the table */
    void (*on_end)(void *arg);                 /* all have been since the last start; NULL: nobody asks */
    void *arg;
};

void walk_init(struct walk *w, struct loop *l, void (*cb)(struct channel *ch, void *arg), void (*on_end)(void *arg),
               void *arg);
/* Begins with the tasks of this turn. */
void walk_start(struct walk *w, struct channels *t);
void walk_stop(struct walk *w);

#endif
