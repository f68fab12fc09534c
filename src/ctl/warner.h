/* warner.h - warnings about what peers send, so many a second: garbage by the thousand may not fill the disk.
 *
 * Part of what reads a socket; warner_stop() before its memory goes. */
#ifndef CTL_WARNER_H
#define CTL_WARNER_H

#include "io/loop.h"

enum { WARNER_LINES = 100, WARNER_TIME = 1000 }; /* lines that are written in so many ms */

struct warner {
    struct timer timer; /* set from the first line on, until the time is over */
    struct loop *loop;  /* borrowed */
    const char *name;   /* constant; what every line begins with */
    unsigned lines;     /* asked for in this time */
};

void warner_init(struct warner *w, struct loop *l, const char *name);
void warner_stop(struct warner *w);
/* Log "NAME: ..." as a warning, or count it among those that one line tells of when the time is over. */
void warner_warn(struct warner *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
