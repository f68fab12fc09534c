/* wsproxy.h - joins a client's endpoint to an origin's (spec: websocket 2, 4).
 *
 *   client ==ws== wsproxy ==ws== origin
 *                    |-- wssort    in GRIP mode: content, control or neither?
 *                    '-- wshold    where there are, or may be, subscriptions
 *
 * A wsproxy lives while it has a client; without an origin (detached) the client stays. When one side has gone the
 * other is left with a close frame, and ends by itself. */
#ifndef PROXY_WSPROXY_H
#define PROXY_WSPROXY_H

#include "proxy/context.h"
#include "ws/ws.h"

struct wshold;
struct wssort;

struct wsproxy {
    struct proxy *proxy;       /* borrowed */
    struct ws *client;         /* joined; NULL when over */
    struct ws *origin;         /* joined; NULL once it is parted */
    struct wshold *hold;       /* owned; NULL: nothing is published to the client */
    struct wssort *sort;       /* owned; NULL: not in GRIP mode */
    struct list_node in_proxy; /* proxy->websockets */
    uint32_t live;             /* of stats */
    uint16_t group;            /* of stats */
    bool amid;                 /* a message of the client has come in part */
    uint8_t target_len;        /* 0: the end is not logged */
    uint32_t uri_len, asked_len;
    uint64_t began;  /* ms of the monotonic clock */
    uint16_t closed; /* the code of the first close frame, 0 before */
    bool over_http;
    /* The URI as sent to the origin, the one that was asked for (none: it is the same), for the log the target. */
    char text[];
};

struct wsproxy_begin {
    struct ws *client, *origin;     /* taken over */
    struct route *route;            /* reference taken over */
    const struct target *target;    /* in the route's snapshot */
    struct str prefix;              /* of content messages; ptr NULL: no GRIP mode */
    const struct headers *channels; /* whose Grip-Channel values are subscribed to at once; or NULL */
    struct str uri, asked;          /* as the origin has it, and the client */
    bool over_http;
    unsigned group; /* of stats, like the next */
    uint32_t live;
};

void wsproxy_new(struct proxy *p, const struct wsproxy_begin *b);
/* We stop: close both sides. */
void wsproxy_shutdown(struct wsproxy *w);

#endif
