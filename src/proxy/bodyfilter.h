/* bodyfilter.h - filters of an instruct's channels that rewrite response bodies (spec: publishing 6.5): build-id, with
 * the ids that the instruct names as the client's. */
#ifndef PROXY_BODYFILTER_H
#define PROXY_BODYFILTER_H

#include "grip/contentid.h"
#include "grip/instruct.h"

/* Has any channel such a filter? */
bool bodyfilter_present(const struct instruct *in);
/* Get ready for a body; contentid_clear() it in either case. -1: E says why, and which filter. */
int bodyfilter_init(const struct instruct *in, struct contentid *out, struct err *e);
/* contentid_put() with the filter's name in front of an error. */
int bodyfilter_put(struct contentid *c, struct str piece, bool last, struct buf *out, struct err *e);
/* Rewrite the instruct's own body. */
int bodyfilter_apply(struct instruct *in, struct err *e);

#endif
