/* sockreq.h - one HTTP request of a SockJS client, and the shape in which its transport takes frames (spec:
 * sockjs-and-test-handler 2, 3).
 *
 *   xhr, jsonp                             a frame is the whole answer
 *   xhr_streaming, eventsource, htmlfile   frames as they come, until a close frame or STREAM_MAX bytes
 *   xhr_send, jsonp_send                   no frames: the request brings messages
 *
 * Who has a sockreq is joined to its xchg. Answering to the end frees it. */
#ifndef PROXY_SOCKREQ_H
#define PROXY_SOCKREQ_H

#include "proxy/clientreq.h"

enum sockreq_kind {
    SOCKREQ_PLAIN, /* belongs to no session */
    SOCKREQ_XHR,
    SOCKREQ_JSONP,
    SOCKREQ_XHR_STREAMING,
    SOCKREQ_EVENTSOURCE,
    SOCKREQ_HTMLFILE,
    SOCKREQ_XHR_SEND,
    SOCKREQ_JSONP_SEND
};

struct sockreq {
    struct xchg *x; /* borrowed */
    uint8_t kind;   /* enum sockreq_kind */
    uint64_t sent;  /* bytes of frames */
    char *origin;   /* owned; of the page, "*": unknown */
    char *callback; /* owned; NULL: none was given */
};

struct sockreq *sockreq_new(struct xchg *x, enum sockreq_kind kind, const struct clientreq *c);
/* Without an answer: the client has gone, or somebody else answers. */
void sockreq_free(struct sockreq *r);

static inline bool
sockreq_is_stream(const struct sockreq *r)
{
    return r->kind == SOCKREQ_XHR_STREAMING || r->kind == SOCKREQ_EVENTSOURCE || r->kind == SOCKREQ_HTMLFILE;
}

/* May a page's script be called so? */
bool sockreq_callback_ok(const struct sockreq *r);
/* Who may use the answer: appended to H. VIEW into R. */
void sockreq_put_origin(const struct sockreq *r, struct headers *h);
/* The same, and that nobody keeps it. */
void sockreq_put_common(const struct sockreq *r, struct headers *h);

/* Answer with H (NULL: none), the common headers and BODY. */
void sockreq_respond(struct sockreq *r, int status, const struct headers *own, struct str body);
/* Answer with TEXT. */
void sockreq_text(struct sockreq *r, int status, struct str text);
/* Answer a request that brought messages: they are taken. */
void sockreq_taken(struct sockreq *r);
/* Answer a request that brought messages: they are not taken, here is the close FRAME. */
void sockreq_closed(struct sockreq *r, struct str frame);
/* Frames will come: a stream begins at once. */
void sockreq_start(struct sockreq *r);
/* Send a frame. true: R takes no more, and is freed. */
bool sockreq_frame(struct sockreq *r, struct str frame);
/* Send the last frame. */
void sockreq_last(struct sockreq *r, struct str frame);
/* The session has come to an end, and not by closing. */
void sockreq_terminate(struct sockreq *r);

#endif
