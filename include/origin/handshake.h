/* handshake.h - what comes of a WebSocket's handshake with an origin: a seam. Either a WebSocket origin is asked
 * (wsclient.h), or an HTTP origin (wsoverhttp.h).
 *
 *   on_open(endpoint), or on_head, on_body ..., on_end; or on_fail at any time before the end */
#ifndef ORIGIN_HANDSHAKE_H
#define ORIGIN_HANDSHAKE_H

#include "origin/request.h"
#include "ws/ws.h"

/* The handshake is over with on_open(), on_end() and on_fail(). */
struct handshake_ops {
    /* The origin agrees. ORIGIN is the user's, who joins it within the call; what it has said comes right after. HEAD
     * is valid within the call. */
    void (*on_open)(void *user, struct http1_head *head, struct ws *origin);
    /* It answers with something else: as in request.h. */
    void (*on_head)(void *user, struct http1_head *head);
    void (*on_body)(void *user, struct str piece);
    void (*on_end)(void *user);
    void (*on_fail)(void *user, enum request_failure why, const char *text);
};

#endif
