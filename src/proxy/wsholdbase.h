/* wsholdbase.h - what the files about the hold of a WebSocket share.
 *
 *   wshold.c      its beginning and end, subscriptions, control messages
 *   wslater.c     what it sends later: keep-alives and delayed messages of the origin
 *   wsdelivery.c  what is published: through its filters, past a message of the origin that is under way, to the client
 *
 * What only some holds need lies in MORE. */
#ifndef PROXY_WSHOLDBASE_H
#define PROXY_WSHOLDBASE_H

#include "grip/wscontrol.h"
#include "proxy/backlog.h"
#include "proxy/netfilter.h"
#include "proxy/wshold.h"
#include "proxy/wsmeta.h"

/* A message that the origin gave us to send later. */
struct wslater {
    char *content; /* owned; len bytes; NULL when empty */
    size_t len;
    uint8_t opcode;
    bool set;
};

struct wshold_more {
    struct wshold *owner;
    struct wsmeta *meta; /* owned */
    struct wslater keep_alive, delayed;
    struct timer keep_alive_timer, delayed_timer;
    int keep_alive_s;
    bool interval;            /* keep-alive: whatever else is sent */
    bool due;                 /* the delayed message's time has come amid another message */
    struct backlog waiting;   /* what was published amid a message of the origin */
    struct netfilter *asking; /* owned; NULL: no filter asks a server, else the hold has the ops for that */
};

struct wshold {
    struct hold hold;         /* its client is our ws, whose user is our owner */
    struct wshold_more *more; /* owned; NULL while it is not needed */
    uint16_t target;          /* its number among those of the route */
    bool amid;                /* a message of the origin has been sent in part */
    bool losing;              /* messages have been dropped since the client had nothing waiting */
    bool closed;
};

static inline struct ws *
wshold_client(const struct wshold *h)
{
    return h->hold.client;
}

static inline struct wshold_owner *
wshold_owner(const struct wshold *h)
{
    return wshold_client(h)->user;
}

static inline struct proxy *
wshold_proxy(const struct wshold *h)
{
    return wshold_owner(h)->proxy;
}

static inline struct str
wshold_uri(const struct wshold *h)
{
    return wshold_owner(h)->ops->uri(wshold_owner(h));
}

/* wshold.c */

/* h->more, made when it is not there. */
struct wshold_more *wshold_more(struct wshold *h);

/* wslater.c */

void wslater_init(struct wshold_more *m);
void wslater_stop(struct wshold *h);
void wslater_clear(struct wshold_more *m);
/* Do what C says; its content is taken over. */
void wslater_set_keep_alive(struct wshold *h, struct wscontrol *c);
void wslater_delay(struct wshold *h, struct wscontrol *c);
/* Send the delayed message now; amid another message it is due at its end. */
void wslater_flush(struct wshold *h);
void wslater_start_keep_alive(struct wshold *h);
/* Something goes to the client: keep-alives that fill silence begin to wait anew. */
static inline void
wslater_touch(struct wshold *h)
{
    if (h->more != NULL && h->more->keep_alive.set && !h->more->interval)
        wslater_start_keep_alive(h);
}

/* wsdelivery.c */

extern const struct hold_ops wsdelivery_ops;
/* From now on a filter asks a server: the hold gets the ops for that. */
void wsdelivery_begin_asking(struct wshold *h);
/* A message of the origin is over: send what waited for that. May close the hold. */
void wsdelivery_resume(struct wshold *h);

#endif
