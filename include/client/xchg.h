/* xchg.h - the request seam: one request of a client, and the means to answer it.
 *
 *   server (h1server)  --on_request(x)-->  user (proxy, control)
 *   server             --on_body, on_body_end, on_drained, on_gone-->  user
 *   server             <--xchg_respond | xchg_start, xchg_send ..., xchg_end | xchg_abort--  user
 *
 * The server owns the xchg. The user joins itself to it with xchg_join() inside on_request, and is parted from it by
 * answering to the end (xchg_respond, xchg_end, xchg_abort, xchg_upgrade) or by on_gone(): after either it may not use
 * the xchg, and the server calls it no more. A server for another protocol fills in another table of ops. */
#ifndef CLIENT_XCHG_H
#define CLIENT_XCHG_H

#include "base/shared.h"
#include "io/conn.h"
#include "proto/http1.h"

struct xchg;

/* A piece of a body in the two shapes it can go out in; the server picks one. FRAMED has ptr NULL when nobody made the
 * chunk yet. OWNER NULL: the bytes are the caller's for this call only. */
struct xchg_piece {
    struct str payload; /* "hello" */
    struct str framed;  /* "5\r\nhello\r\n" */
    struct shared *owner;
};

/* What the server calls. */
struct xchg_user_ops {
    void (*on_body)(struct xchg *x, struct str piece); /* gone when the call returns */
    void (*on_body_end)(struct xchg *x);               /* the request is complete */
    void (*on_drained)(struct xchg *x);                /* xchg_queued() is 0 again */
    void (*on_gone)(struct xchg *x, const char *why);  /* the client has left */
    void (*on_shutdown)(struct xchg *x);               /* the server stops: come to an end soon */
};

enum { XCHG_LENGTH_UNKNOWN = -1 };

struct xchg_ops {
    void (*start)(struct xchg *x, int status, struct str reason, const struct headers *h, int64_t length);
    int (*send)(struct xchg *x, const struct xchg_piece *pieces, unsigned n);
    void (*end)(struct xchg *x);
    void (*abort)(struct xchg *x);
    size_t (*queued)(const struct xchg *x);
    void (*pause)(struct xchg *x, bool pause);
    void (*park)(struct xchg *x);
    struct http1_head *(*head)(struct xchg *x);
    bool (*more_input)(const struct xchg *x);
    struct str (*peer)(const struct xchg *x, char text[ADDRESS_TEXT_MAX]);
    struct buf *(*upgrade)(struct xchg *x, struct str reason, const struct headers *h, struct conn *to,
                           const struct conn_ops *ops);
};

struct xchg {
    const struct xchg_ops *ops;           /* of the server; constant */
    const struct xchg_user_ops *user_ops; /* NULL: nobody is joined */
    void *user;                           /* borrowed */
    uint8_t minor;                        /* HTTP/1.minor of the request */
    bool to_head : 1;                     /* the method is HEAD: the answer has no body */
    bool secure : 1;                      /* came over TLS */
    bool body_complete : 1;               /* nothing more of the request will come */
    bool started : 1;                     /* the head of the answer has been given */
    bool close : 1;                       /* the connection ends after this answer */
    bool say_connection : 1;              /* write the Connection header also where it says the usual */
    uint16_t group;                       /* of stats: where its bytes count; set by the user with LIVE */
    uint32_t live;                        /* of stats: the request, 0: it is not counted; the server ends it */
};

static inline void
xchg_join(struct xchg *x, const struct xchg_user_ops *ops, void *user)
{
    x->user_ops = ops;
    x->user = user;
}

/* The request's head; until the answer ends or the xchg is parked. The user may take headers out of it. */
static inline struct http1_head *
xchg_head(struct xchg *x)
{
    return x->ops->head(x);
}

/* Begin the answer. LENGTH: bytes of the body or XCHG_LENGTH_UNKNOWN. H may be NULL; it must not have framing or
 * connection headers. Where the status or method allow no body, xchg_send() sends nothing. */
static inline void
xchg_start(struct xchg *x, int status, struct str reason, const struct headers *h, int64_t length)
{
    x->ops->start(x, status, reason, h, length);
}

/* Send pieces of the body. 0, or -1 when the connection is broken; on_gone() follows later, not within the call. */
static inline int
xchg_send(struct xchg *x, const struct xchg_piece *pieces, unsigned n)
{
    return x->ops->send(x, pieces, n);
}

static inline int
xchg_send_str(struct xchg *x, struct str bytes)
{
    struct xchg_piece piece = {bytes, {NULL, 0}, NULL};
    return x->ops->send(x, &piece, 1);
}

/* The answer is complete. */
static inline void
xchg_end(struct xchg *x)
{
    x->ops->end(x);
}

/* Cut the connection so that the client cannot take what it got for a complete answer. */
static inline void
xchg_abort(struct xchg *x)
{
    x->ops->abort(x);
}

/* A whole answer. */
void xchg_respond(struct xchg *x, int status, struct str reason, const struct headers *h, struct str body);
/* A whole answer of type text/plain with the usual reason. */
void xchg_respond_text(struct xchg *x, int status, struct str body);

/* Bytes of the answer that the kernel has not taken yet. */
static inline size_t
xchg_queued(const struct xchg *x)
{
    return x->ops->queued(x);
}

/* Stop or go on reading the request's body. */
static inline void
xchg_pause(struct xchg *x, bool pause)
{
    x->ops->pause(x, pause);
}

/* The answer will take long: give back all that only a request needs. xchg_head() is no more; from now on the end of
 * the client's input means that it has left. */
static inline void
xchg_park(struct xchg *x)
{
    x->ops->park(x);
}

/* Have bytes come that are not of this request? */
static inline bool
xchg_more_input(const struct xchg *x)
{
    return x->ops->more_input(x);
}

/* The client's IP address as text, empty for a Unix socket. */
static inline struct str
xchg_peer(const struct xchg *x, char text[ADDRESS_TEXT_MAX])
{
    return x->ops->peer(x, text);
}

/* Answer 101 with H, all its headers, and hand the connection over: it becomes TO (conn_move()), and the xchg is no
 * more. Returns what has come behind the request, for the caller to free, or NULL. */
static inline struct buf *
xchg_upgrade(struct xchg *x, struct str reason, const struct headers *h, struct conn *to, const struct conn_ops *ops)
{
    return x->ops->upgrade(x, reason, h, to, ops);
}

/* May an answer with this status have a body? (RFC 9110, 6.4.1) */
static inline bool
xchg_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

#endif
