/* origin.h - what all outgoing requests have in common: the pool of idle connections, which targets failed lately, the
 * TLS sessions, the settings. */
#ifndef ORIGIN_ORIGIN_H
#define ORIGIN_ORIGIN_H

#include "io/loop.h"
#include "stats/stats.h"

struct resolver;

struct origin_settings {
    size_t max_head;           /* bytes of a response's head */
    unsigned connect_timeout;  /* s, for each address */
    unsigned response_timeout; /* s from the whole request to the head of the answer; 0: activity_timeout alone */
    unsigned activity_timeout; /* s without progress; 0: no limit */
    unsigned max_idle;         /* pooled connections */
    unsigned publish_port;     /* of the control server, for the test target's page; 0: none */
};

struct origin;

/* RESOLVER is borrowed. */
struct origin *origin_new(struct loop *l, const struct origin_settings *settings, struct resolver *resolver);
/* After the last request. */
void origin_free(struct origin *o);
/* Count in S, borrowed. */
void origin_set_stats(struct origin *o, struct stats *s);
/* No descriptor is left: close idle connections. */
void origin_shed(struct origin *o);
/* Give back what idle connections could do without. */
void origin_trim(struct origin *o);

#endif
