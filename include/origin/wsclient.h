/* wsclient.h - opens a WebSocket to a target: the handshake as an origin's client, with failover as in request.h.
 *
 *   wsclient --GET, Upgrade--> request --101, right--> on_open(endpoint)
 *                                      --another answer--> on_head, on_body, on_end
 */
#ifndef ORIGIN_WSCLIENT_H
#define ORIGIN_WSCLIENT_H

#include "origin/handshake.h"
#include "ws/wsconn.h"

struct wsclient;

/* What to send. All is borrowed and stays as it is until the handshake is over. */
struct wsclient_spec {
    struct str path;               /* with its query */
    size_t test_prefix;            /* as in struct request_spec */
    struct str host;               /* likewise */
    const struct headers *headers; /* without Host and all that the handshake says itself */
    struct target *targets;
    unsigned n_targets;
    bool offer_deflate, offer_grip;
    unsigned group; /* of stats */
};

/* Nothing is called back within the call. CONNS is borrowed. */
struct wsclient *wsclient_new(struct loop *l, struct origin *o, struct wsconns *conns, const struct wsclient_spec *spec,
                              const struct handshake_ops *ops, void *user);
/* The target that is, or was, asked; NULL before the first. */
const struct target *wsclient_target(const struct wsclient *c);
/* Stop and go on reading the answer's body. */
void wsclient_pause(struct wsclient *c, bool pause);
/* Give up. No more callbacks. */
void wsclient_cancel(struct wsclient *c);

/* Append the Sec-WebSocket-Accept for KEY. */
void wsclient_put_accept(struct str key, struct buf *out);

#endif
