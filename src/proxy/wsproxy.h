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
    uint16_t closed;           /* the close code of the client's side once that is over; 0: it is not */
    uint64_t began;            /* ms of the monotonic clock */
    bool amid;                 /* a message of the client has come in part */
    bool over_http;            /* the origin's side is; for the log, like what follows */
    uint16_t target_len;
    uint32_t uri_len, asked_len;
    char text[]; /* the URI as sent to the origin; as the client sent it, if that is another; the target */
};

struct wsproxy_begin {
    struct ws *client, *origin;     /* taken over */
    struct route *route;            /* reference taken over */
    const struct target *target;    /* in the route's snapshot */
    struct str prefix;              /* of content messages; ptr NULL: no GRIP mode */
    const struct headers *channels; /* whose Grip-Channel values are subscribed to at once; or NULL */
    struct str uri, asked;          /* as sent to the origin; as the client sent it */
    bool over_http;
    unsigned group; /* of stats, like the next */
    uint32_t live;
};

void wsproxy_new(struct proxy *p, const struct wsproxy_begin *b);
/* We stop: close both sides. */
void wsproxy_shutdown(struct wsproxy *w);

#endif
