/* filter.h - filters of a subscription: which items it does not get, and which it gets with other content
 * (spec: publishing 6.4, 6.5). */
#ifndef PUB_FILTER_H
#define PUB_FILTER_H

#include "base/err.h"
#include "pub/hold.h"

/* The filter of that name, or -1: unknown names are skipped. */
int filter_find(struct str name);

enum filter_result {
    FILTER_PASS,
    FILTER_DROP,
    FILTER_FAIL /* it cannot be filtered, or was made for other filters; whose hold is debugged ends, saying so */
};

/* Is there anything to be done before SUB may get M? */
static inline bool
filter_needed(const struct sub *sub, const struct msg *m)
{
    return (sub->more != NULL && sub->more->n_filters > 0) || m->format->content_filters != NULL;
}

/* Run SUB's filters over M. FILTER_PASS: *OUT is a reference for the caller, to M or to what became of it for this
 * subscription. FILTER_FAIL: E says why; the first failure of an item is logged. */
enum filter_result filter_message(const struct sub *sub, struct msg *m, struct msg **out, struct err *e);

#endif
