/* failures.h - which targets failed lately, so that they are tried after the others for some seconds. */
#ifndef ORIGIN_FAILURES_H
#define ORIGIN_FAILURES_H

#include "base/map.h"

struct failures {
    struct map by_key; /* of struct failure; owned */
};

void failures_init(struct failures *f);
void failures_clear(struct failures *f);
/* The target KEY has failed. Was it known already? */
bool failures_note(struct failures *f, struct str key);
bool failures_has(struct failures *f, struct str key);

#endif
