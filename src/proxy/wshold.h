/* wshold.h - a WebSocket's subscriptions, and what goes to the client besides the origin's messages: published ones,
 * keep-alives, delayed ones (spec: websocket 4.3, 5).
 *
 *   channel --deliver()--> wshold --ws_send()--> client
 *   origin  --"c:{...}"--> wsproxy --wshold_control()--> wshold
 *
 * Between the pieces of an origin's message nothing else may stand: what comes meanwhile waits. */
#ifndef PROXY_WSHOLD_H
#define PROXY_WSHOLD_H

#include "proxy/context.h"
#include "pub/hold.h"
#include "ws/ws.h"

struct wshold;
struct wshold_owner;

/* What the owner is asked for; the first three may end the hold. */
struct wshold_ops {
    /* The client's connection, and the origin's; WHY is one of STATS_CLOSED_. */
    void (*close)(struct wshold_owner *o, int code, struct str reason, enum stats_counter why);
    void (*detach)(struct wshold_owner *o);          /* the origin's alone */
    void (*refresh)(struct wshold_owner *o);         /* ask the origin for news, where that can be done */
    struct str (*uri)(const struct wshold_owner *o); /* for the log */
    /* Append the URI that the client asked for, for filters. */
    void (*put_uri)(const struct wshold_owner *o, struct buf *out);
};

/* The beginning of what has a hold, and joined to its client. */
struct wshold_owner {
    struct proxy *proxy; /* borrowed */
    const struct wshold_ops *ops;
    uint32_t live; /* of stats, like the next */
    uint16_t group;
};

/* CLIENT is borrowed, and its user the owner; a reference to ROUTE is taken. TARGET, one of the route's, has the
 * implicit channels. */
struct wshold *wshold_new(struct ws *client, struct route *route, const struct target *target);
/* Leave all channels; memory goes after the turn. The client is not touched. */
void wshold_close(struct wshold *h);
/* NAME gets the route's prefix. */
void wshold_subscribe(struct wshold *h, struct str name);
/* What the origin said behind "c:". */
void wshold_control(struct wshold *h, struct str text);
/* A ping or pong of the origin has been sent to the client. */
void wshold_sent_control(struct wshold *h);
/* A piece of a message of the origin has been sent to the client; LAST: it was its last. */
void wshold_sent(struct wshold *h, bool last);

#endif
