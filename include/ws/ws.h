/* ws.h - the endpoint seam: one end of a WebSocket, whoever is behind it (a client, an origin, the test target).
 *
 *   user (wsproxy)  --ws_send, ws_close, ws_leave, ws_pause-->  endpoint (wsconn, ...)
 *   user            <--on_message, on_control, on_close, on_drained, on_gone--  endpoint
 *
 * The endpoint owns itself. The user joins itself to it with ws_join() and is parted from it when both close frames
 * have been exchanged, by ws_leave(), or by on_gone(): from then on it may not use the endpoint, which calls it no
 * more. Messages come and go in pieces, as they come; control frames may come between two pieces. An endpoint without a
 * socket may call back within ws_send() and the others. */
#ifndef WS_WS_H
#define WS_WS_H

#include "base/shared.h"
#include "base/uuid.h"
#include "io/address.h"
#include "proto/wsframe.h"

struct ws;

/* A piece of a message, or a whole control frame, in the shapes it can go out in; the endpoint picks one. */
struct ws_piece {
    struct str payload;
    struct str framed;    /* the whole unmasked frame; ptr NULL when nobody made it */
    struct shared *owner; /* of the bytes; NULL: the caller's for this call only */
    uint8_t opcode;       /* of the message, for each of its pieces */
    bool first, last;
    bool packed; /* FRAMED is compressed with a window of WSDEFLATE_BITS, and the payload is not there */
    bool asks;   /* a ping of the other side, which hears of the answer */
};

struct ws_user_ops {
    /* A piece of a message, without frame; gone when the call returns. */
    void (*on_message)(struct ws *w, const struct ws_piece *p);
    /* A ping or pong. */
    void (*on_control)(struct ws *w, enum wsframe_opcode opcode, struct str payload);
    /* The peer's close frame; CODE may be WSFRAME_NO_CODE. When ours was sent before, the user is parted. Else it
     * answers with ws_close(), at once or after messages that it still has for the peer. */
    void (*on_close)(struct ws *w, int code, struct str reason);
    /* ws_queued() is 0 again. */
    void (*on_drained)(struct ws *w);
    /* The peer has gone without a close handshake, or broke the protocol; the user is parted. */
    void (*on_gone)(struct ws *w, const char *why);
};

struct ws_ops {
    void (*send)(struct ws *w, const struct ws_piece *pieces, unsigned n);
    void (*close)(struct ws *w, int code, struct str reason);
    void (*leave)(struct ws *w, int code, struct str reason);
    void (*pause)(struct ws *w, bool pause);
    size_t (*queued)(const struct ws *w);
    unsigned (*bits)(const struct ws *w);
    struct str (*peer)(const struct ws *w, char text[ADDRESS_TEXT_MAX]);
    void (*refresh)(struct ws *w);                  /* NULL: it cannot */
    const unsigned char *(*id)(const struct ws *w); /* NULL: it has none */
};

struct ws {
    const struct ws_ops *ops;           /* of the endpoint; constant */
    const struct ws_user_ops *user_ops; /* NULL: nobody is joined */
    void *user;                         /* borrowed */
    bool close_sent : 1, close_received : 1;
};

static inline void
ws_join(struct ws *w, const struct ws_user_ops *ops, void *user)
{
    w->user_ops = ops;
    w->user = user;
}

/* Send pieces in order. Nothing goes out after a close frame. */
static inline void
ws_send(struct ws *w, const struct ws_piece *pieces, unsigned n)
{
    w->ops->send(w, pieces, n);
}

/* Send a close frame unless one was sent; CODE may be WSFRAME_NO_CODE. Where the peer's has come the user is parted;
 * else on_close() or on_gone() follow, in bounded time. */
static inline void
ws_close(struct ws *w, int code, struct str reason)
{
    w->ops->close(w, code, reason);
}

/* Part now; the endpoint sends a close frame, unless one was sent, and ends by itself. WSFRAME_GOING_AWAY is for the
 * end of the other side without one. */
static inline void
ws_leave(struct ws *w, int code, struct str reason)
{
    w->ops->leave(w, code, reason);
}

/* Stop or go on reading. A piece that was being read may still come. */
static inline void
ws_pause(struct ws *w, bool pause)
{
    w->ops->pause(w, pause);
}

/* Bytes that wait to be sent. */
static inline size_t
ws_queued(const struct ws *w)
{
    return w->ops->queued(w);
}

/* The window with which messages to the peer are compressed, 0: they are not. */
static inline unsigned
ws_bits(const struct ws *w)
{
    return w->ops->bits(w);
}

/* Ask the peer for news, where it does not send them by itself. */
static inline void
ws_refresh(struct ws *w)
{
    if (w->ops->refresh != NULL)
        w->ops->refresh(w);
}

/* The connection id by which the peer knows us, UUID_BYTES; NULL where there is none. */
static inline const unsigned char *
ws_id(const struct ws *w)
{
    return w->ops->id != NULL ? w->ops->id(w) : NULL;
}

/* The peer's IP address as text, empty where it has none. */
static inline struct str
ws_peer(const struct ws *w, char text[ADDRESS_TEXT_MAX])
{
    return w->ops->peer(w, text);
}

#endif
