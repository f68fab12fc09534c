/* filter.h - filters of a subscription: which items it does not get (spec: publishing 6.5). */
#ifndef PUB_FILTER_H
#define PUB_FILTER_H

#include "pub/hold.h"

/* The filter of that name, or -1: unknown names are skipped. */
int filter_find(struct str name);
/* Do all filters of SUB let the message pass? */
bool filter_pass(const struct sub *sub, const struct msg *m);

#endif
