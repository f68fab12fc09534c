/* failures.h - which targets could not be connected to lately: they are tried after the others for a few seconds. */
#ifndef ORIGIN_FAILURES_H
#define ORIGIN_FAILURES_H

#include "base/map.h"

struct failures {
    struct map targets; /* of struct failure, by the target's text; owned */
};

void failures_init(struct failures *f);
void failures_clear(struct failures *f);
void failures_note(struct failures *f, struct str target);
bool failures_lately(struct failures *f, struct str target);

#endif
