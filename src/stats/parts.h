/* parts.h - what the files of stats share.
 *
 *   stats   groups, histograms, the tick of a second     conns   connections that are alive
 *   report  report, activity, counts, message            subs    subscriptions, lingering ones too
 */
#ifndef STATS_PARTS_H
#define STATS_PARTS_H

#include "base/mem.h"
#include "stats/emit.h"
#include "stats/refresh.h"
#include "stats/stats.h"

enum { MINUTE = 60 };

/* What a group has besides its counters. */
struct stats_interval {
    uint64_t reported[STATS_COUNTERS]; /* the counters at the last report */
    uint64_t since;                    /* ms; of the last report, or of what made the group active */
    unsigned activity;                 /* since the last activity message */
    bool active;                       /* the next report tells of it */
    uint32_t begun[MINUTE];            /* live connections, by the second of the minute in which they began */
};

struct pending {
    uint32_t *at; /* owned; numbers in subs */
    size_t n, cap;
    size_t next, kept, end; /* while they are gone through: at[0..kept) stay, at[next..end) are to be looked at */
    struct task task;
};

struct stats_parts {
    struct stats *stats;
    struct loop *loop;              /* borrowed */
    struct stats_settings settings; /* its spec is not kept */
    const struct stats_ops *ops;    /* constant */
    void *arg;                      /* borrowed */
    struct emit *emit;              /* owned; NULL: no socket */
    uint64_t second;                /* of the monotonic clock: minutes are counted up to it */
    unsigned connections;           /* alive, in all groups */
    unsigned requests;              /* since the last counts message */
    struct timer tick, activity, report;
    /* conns */
    struct live conns;
    struct refresh conn_refresh;
    uint32_t serial; /* of the last request that got an id */
    /* subs */
    struct live subs;
    struct refresh sub_refresh;
    struct pending pending; /* subs whose number has changed, or that linger */
    bool subs_on;           /* somebody wants to know */
    bool telling;           /* inside stats_sub_there() */
};

/* Walk all groups. */
#define groups_each(s, g)                                                                                              \
    for (unsigned slot_ = 0; slot_ < (s)->n_groups; slot_++)                                                           \
        for (struct stats_group *g = (s)->groups[slot_]; g != NULL && (slot_ == 0 || g != (s)->groups[0]); g = NULL)

/* The group at SLOT, made if it is not there. */
struct stats_group *group_ensure(struct stats *s, unsigned slot, const char *id);
/* us; the upper bound of a histogram's bucket. */
uint32_t stats_bucket_bound(unsigned i);
/* Count the minutes up to now. */
void stats_pass_seconds(struct stats_parts *p);
/* There is something that the tick has to look after. */
void stats_want_tick(struct stats_parts *p);

void conns_init(struct stats_parts *p);
void conns_tick(struct stats_parts *p);
void conns_clear(struct stats_parts *p);

void subs_init(struct stats_parts *p);
/* Somebody has subscribed to sub messages. */
void subs_wanted(struct stats_parts *p);
void subs_tick(struct stats_parts *p);
void subs_clear(struct stats_parts *p);

void report_init(struct stats_parts *p);
void report_stop(struct stats_parts *p);
/* Something has happened in G. */
void report_active(struct stats_parts *p, struct stats_group *g, unsigned n);

#endif
