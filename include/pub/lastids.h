/* lastids.h - which ids were published lately, to drop an item that comes twice (spec: publishing 6.1).
 *
 * A pair of channel and id is remembered for a time, and not longer for being seen again. */
#ifndef PUB_LASTIDS_H
#define PUB_LASTIDS_H

#include "base/str.h"

struct lastids;

enum {
    LASTIDS_MAX = 1000000, /* pairs; beyond it the oldest are forgotten first */
    LASTIDS_KEY_MAX = 128  /* bytes of a pair; of a longer one its digest is remembered */
};

/* TTL in milliseconds. */
struct lastids *lastids_new(uint64_t ttl);
void lastids_free(struct lastids *l);
/* Was the pair seen within the time? Else remember it. */
bool lastids_seen(struct lastids *l, struct str channel, struct str id);
size_t lastids_count(const struct lastids *l);

#endif
