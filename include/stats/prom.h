/* prom.h - the counters as Prometheus text, format 0.0.4 (spec: stats 2).
 *
 * Series have the label "route" for routes with an explicit id and none for all others together, so that a metric adds
 * up to the number for the whole daemon. */
#ifndef STATS_PROM_H
#define STATS_PROM_H

#include "base/buf.h"
#include "stats/stats.h"

/* Append the text. PREFIX: what all names begin with. Without MESSAGES those that were received and sent are 0. */
void prom_put(const struct stats *s, const char *prefix, bool messages, struct buf *out);

#endif
