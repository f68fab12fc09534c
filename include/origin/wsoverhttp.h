/* wsoverhttp.h - a WebSocket endpoint carried by ordinary requests (spec: websocket 6).
 *
 *   user --ws_send()--> events that wait --one request at a time--> origin
 *   user <--on_message()-- events of the response <----------------'
 *
 *   OPENING --OPEN accepted--> IDLE <--> ASKING          RETRY: a request could not be sent, and is tried again
 *      '--rejected, failed: over              '--failed: on_gone(), over
 *
 * ws_leave() with WSFRAME_GOING_AWAY says that the client has vanished: the origin gets a DISCONNECT, else a CLOSE.
 * What waits goes before that, in the background. */
#ifndef ORIGIN_WSOVERHTTP_H
#define ORIGIN_WSOVERHTTP_H

#include "origin/handshake.h"

struct wsoverhttp_spec {
    struct str path, host;         /* as in struct request_spec; copied, like the next */
    const struct headers *headers; /* repeated on every request, without those that we make */
    struct route *route;           /* its targets; a reference is taken */
    bool sign;                     /* each request gets headers of the set's sign() */
    unsigned group;                /* of stats */
};

struct wsoverhttps_settings {
    unsigned max_left; /* endpoints that nobody is joined to any more: what is beyond ends without a word */
    /* Append headers that are made anew for each request; what they borrow is valid until the next call. */
    void (*sign)(void *arg, const struct route *route, struct headers *out);
    void *arg;
};

/* All endpoints over HTTP. ORIGIN is borrowed. */
struct wsoverhttps;
struct wsoverhttps *wsoverhttps_new(struct loop *l, struct origin *origin, const struct wsoverhttps_settings *settings);
/* Those that nobody is joined to, or not yet, end. There are no others left. */
void wsoverhttps_free(struct wsoverhttps *s);

/* Those that somebody was joined to, and that have something to say yet. */
size_t wsoverhttps_left(const struct wsoverhttps *s);

struct wsoverhttp;

/* Nothing is called back within the call. The endpoint is over after on_end() and on_fail(). */
struct wsoverhttp *wsoverhttp_new(struct wsoverhttps *s, const struct wsoverhttp_spec *spec,
                                  const struct handshake_ops *ops, void *user);
/* The client has gone before the handshake was over. No more callbacks. */
void wsoverhttp_cancel(struct wsoverhttp *w);
/* Stop and go on reading an answer that is not OPEN. */
void wsoverhttp_pause(struct wsoverhttp *w, bool pause);
/* The target that is, or was, asked; NULL before the first. */
const struct target *wsoverhttp_target(const struct wsoverhttp *w);

#endif
