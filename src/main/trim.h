/* trim.h - gives memory back to the system after many clients have left: once they are gone and it is quiet, first what
 * is kept at hand for requests to come, then the free pages of slabs and heap. */
#ifndef MAIN_TRIM_H
#define MAIN_TRIM_H

#include "io/loop.h"

struct h1server;
struct origin;
struct proxy;

struct trim {
    struct loop *loop;         /* borrowed; NULL before trim_init() */
    struct h1server *clients;  /* borrowed */
    struct origin *origin;     /* borrowed */
    const struct proxy *proxy; /* borrowed */
    unsigned closed;           /* clients that have left since memory was given back */
    struct timer timer;
};

void trim_init(struct trim *t, struct loop *l, struct h1server *clients, struct origin *origin,
               const struct proxy *proxy);
/* A client has left. */
void trim_note(struct trim *t);
void trim_stop(struct trim *t);

#endif
