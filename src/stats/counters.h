/* counters.h - what each counter of a group is called in reports and metrics. */
#ifndef STATS_COUNTERS_H
#define STATS_COUNTERS_H

#include "stats/stats.h"

struct counter {
    const char *report; /* key in reports, neighbours with the same are added up; NULL: not in reports */
    const char *metric; /* without prefix; neighbours with the same are told apart by LABEL */
    const char *label;  /* NULL: none */
    const char *value;  /* of the label */
    const char *help;
};

extern const struct counter counters[STATS_COUNTERS];

#endif
