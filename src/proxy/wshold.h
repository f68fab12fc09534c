/* wshold.h - a WebSocket's subscriptions, and what goes to the client besides the origin's messages: published ones,
 * keep-alives, delayed ones (spec: websocket 4.3, 5).
 *
 *   channel --deliver()--> wshold --ws_send()--> client
 *   origin  --"c:{...}"--> wsproxy --wshold_control()--> wshold
 *
 * Between the pieces of an origin's message nothing else may stand: what comes meanwhile waits. What only some holds
 * need lies in MORE. */
#ifndef PROXY_WSHOLD_H
#define PROXY_WSHOLD_H

#include "proxy/context.h"
#include "pub/hold.h"
#include "ws/ws.h"

struct wshold;

/* What the owner is asked for; the first three may end the hold. */
struct wshold_ops {
    /* The client's connection, and the origin's; WHY is one of STATS_CLOSED_. */
    void (*close)(void *user, int code, struct str reason, enum stats_counter why);
    void (*detach)(void *user);  /* the origin's alone */
    void (*refresh)(void *user); /* ask the origin for news, where that can be done */
    /* The connection's id, for the log. */
    struct str (*id)(void *user, char text[STATS_ID_MAX]);
    /* Append the URI that the client asked for. */
    void (*put_uri)(const void *user, struct buf *out);
};

struct wshold_begin {
    struct ws *client;           /* borrowed */
    struct route *route;         /* a reference is taken */
    const struct target *target; /* its implicit channels; in the route's snapshot */
    struct str uri;              /* for the log; borrowed */
    unsigned group;              /* of stats */
    const struct wshold_ops *ops;
    void *user;
};

struct wshold *wshold_new(struct proxy *p, const struct wshold_begin *b);
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
