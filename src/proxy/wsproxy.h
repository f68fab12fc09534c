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

#include "proxy/wshold.h"

struct wssort;

struct wsproxy {
    struct wshold_owner owner;    /* of its hold, if it has one */
    struct ws *client;            /* joined; NULL when over */
    struct ws *origin;            /* joined; NULL once it is parted */
    struct wshold *hold;          /* owned; NULL: nothing is published to the client */
    struct wssort *sort;          /* owned; while a message of the origin has come in part, in GRIP mode */
    struct table_node in_proxy;   /* proxy->websockets, by the id */
    unsigned char id[UUID_BYTES]; /* the connection's */
    uint32_t uri_len;
    uint16_t prefix_len;
    bool grip : 1; /* GRIP mode */
    bool amid : 1; /* a message of the client has come in part */
    bool over : 1;
    bool has_end : 1;
    /* The prefix of content messages; the URI as sent to the origin, for the log. Before them what its end needs, see
     * wsproxy.c, where there is any of that, and behind: the URI as asked for, where it is another, and the target. */
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
    unsigned group;     /* of stats, like the rest */
    bool secure;        /* the client's connection has TLS */
    struct str address; /* of the client, where that is not its peer's; ptr NULL: it is */
};

void wsproxy_new(struct proxy *p, const struct wsproxy_begin *b);
/* For proxy->websockets. */
uint32_t wsproxy_hash(const struct table_node *node);
/* The WebSocket with the connection id ID, or NULL. */
struct wsproxy *wsproxy_find(const struct proxy *p, struct str id);
/* We stop: close both sides. */
void wsproxy_shutdown(struct wsproxy *w);

#endif
