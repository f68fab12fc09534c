/* numbers.h - the part of the daemon that counts: stats, wired to the channels, and the metrics port. */
#ifndef MAIN_NUMBERS_H
#define MAIN_NUMBERS_H

#include "conf/config.h"
#include "pub/channel.h"
#include "pub/walk.h"
#include "stats/stats.h"

/* A port for metrics; all NULL: not configured. */
struct metrics_port {
    struct metrics *metrics;
    struct h1server *scrapers;
    struct listener *listener;
};

struct numbers {
    struct stats *stats;          /* owned */
    struct channels *channels;    /* borrowed; NULL: not there yet */
    struct walk telling;          /* stats of all channels */
    struct metrics_port ports[2]; /* of [handler] and [proxy] */
};

/* 0, or -1 with E set. */
int numbers_open(struct numbers *n, struct loop *l, struct zcontext *z, const struct config *c, struct err *e);
int numbers_open_metrics(struct numbers *n, struct loop *l, const struct config *c, struct err *e);
/* Tell of C's channels, borrowed. */
void numbers_watch(struct numbers *n, struct loop *l, struct channels *c);
/* They are about to end. */
void numbers_unwatch(struct numbers *n);
/* No more scrapers. */
void numbers_stop(struct numbers *n);
/* What was opened, as far as it came; all who count have gone before. */
void numbers_close(struct numbers *n);

/* A channel's number of clients of a kind has changed. */
void numbers_count(struct numbers *n, struct channel *ch, enum format_kind kind);

#endif
