/* hold.h - a parked client as the channel table sees it.
 *
 *   hold == subs ==> sub, sub          one for each channel; channel == subs[kind] ==> sub, sub, sub
 *
 * A hold is embedded in what owns the client and knows how to reach it through its ops. It knows no socket. */
#ifndef PUB_HOLD_H
#define PUB_HOLD_H

#include "conf/routes.h"
#include "pub/msg.h"

struct channel;
struct hold;
struct sub;

enum { FILTERS_MAX = 5 };

/* What few subscriptions have. */
struct sub_more {
    struct shared_bytes *prev_id; /* owned; id of the last item that the client has, NULL: not checked */
    uint8_t n_filters;
    uint8_t filters[FILTERS_MAX]; /* indexes into the filter table; see pub/filter */
    /* of the hold's own */
    bool active : 1; /* an item was delivered since the last look */
    bool unsure : 1; /* items were left out that nobody may have told of */
    bool joined : 1; /* the queue has come to where the client is */
};

struct sub {
    struct hold *hold;       /* borrowed: hold_close() drops its subs first */
    struct channel *channel; /* borrowed: outlives its subs */
    struct sub *next;        /* in hold->subs */
    struct sub_more *more;   /* owned; NULL when there is nothing more */
    uint32_t index;          /* in the channel's array */
    uint32_t limited;        /* of pub/limit: its number there while deliveries wait; 0: none do */
};

/* Why the origin should be asked again, and how soon. Spec: reliability 1. */
enum hold_update { UPDATE_LOW, UPDATE_HIGH };

struct hold_ops {
    /* Take N messages of SUB's channel, in order; a reference where they must wait. May close the hold. */
    void (*deliver)(struct sub *sub, struct msg *const *msgs, unsigned n);
    /* We may have missed something. */
    void (*update)(struct hold *h, enum hold_update how);
    /* Values of the subscription's meta, for filters; ptr NULL when there is none of that name. May be NULL. */
    struct str (*meta)(const struct hold *h, struct str name);
    /* A message did not come through the filters of SUB. In debug mode the hold ends, saying WHY. May be NULL. */
    void (*unfiltered)(struct sub *sub, const char *why);
};

struct hold {
    const struct hold_ops *ops; /* constant */
    struct sub *subs;           /* owned list */
    struct route *route;        /* reference held: keeps its snapshot alive, counts and limits go by it */
    void *client;               /* borrowed; what deliver() reaches through: fetched into the cache ahead of time */
    struct sub first;           /* memory of one subscription: most holds have no other */
    uint8_t kind;               /* enum format_kind: which format of an item it takes */
    uint16_t n_subs;
    bool first_used;
    bool filters_itself; /* deliver() is given everything: ids are looked at before the filters */
};

/* Take over the reference to ROUTE. A closed hold has no subs, and its memory stays until the turn is over. */
void hold_init(struct hold *h, const struct hold_ops *ops, enum format_kind kind, struct route *route, void *client);
/* Leave all channels, give the route back. */
void hold_clear(struct hold *h);
/* Set the id that SUB's client has; ptr NULL: none. */
void sub_set_prev_id(struct sub *sub, struct str id);
struct sub_more *sub_more(struct sub *sub);
struct sub *hold_find(const struct hold *h, struct str channel);
/* The first sub's channel name, for a log line that names the hold; "" when there is none. */
struct str hold_channel(const struct hold *h);

#endif
