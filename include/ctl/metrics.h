/* metrics.h - the metrics port: stats/prom over HTTP at /metrics and / (spec: stats 2). */
#ifndef CTL_METRICS_H
#define CTL_METRICS_H

#include "client/xchg.h"
#include "stats/stats.h"

struct metrics;

enum { METRICS_CONNECTIONS_MAX = 16, METRICS_HEAD_MAX = 8192 };

/* Both are borrowed. PREFIX: what all names begin with. Without MESSAGES their numbers stay 0. */
struct metrics *metrics_new(const struct stats *stats, const char *prefix, bool messages);
void metrics_free(struct metrics *m);

/* For h1server_ops; ARG is the metrics. What is refused is refused as at the control port. */
void metrics_request(void *arg, struct xchg *x);

#endif
