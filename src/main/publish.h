/* publish.h - the parts of pushpin-publish, a command line that publishes one item and ends.
 *
 *   argv --publish.c--> struct publish --publishitem.c--> item --publishhttp.c--> POST  (on publishconn.c: TCP, TLS)
 *                                                           `---publishzmq.c---> PUSH
 *
 * The tool does one thing after another and blocks, so it has no use for the daemon's loop: these files talk to
 * sockets, OpenSSL and libzmq themselves. */
#ifndef MAIN_PUBLISH_H
#define MAIN_PUBLISH_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

enum { PUBLISH_MAX_FILE = 256 * 1024 * 1024 }; /* bytes; far above what a server takes */

/* What the command line asks for. All strings are borrowed from argv or the environment. */
struct publish {
    const char *channel;
    const char *content;               /* NULL: none given */
    const char *id, *prev_id, *sender; /* "": none */
    const char *code;
    const char **headers, **meta; /* owned arrays, NULL behind the last */
    bool hint, close, patch, no_seq, no_eol;
    const char *spec;
    const char *user, *bearer; /* NULL: not given */
    uint64_t timeout;          /* ms; 0: the transport's own */
};

/* How a sender says no. */
struct refusal {
    struct err e;
    struct buf text; /* a server's own words, to be shown instead of E when there are any */
};

/* The item as a JSON object, a new reference, or NULL with E set. RAW: for a tnetstring, where strings may hold any
 * bytes; else such strings become base64 under the names that JSON publishers use. */
json_t *publish_item(const struct publish *p, bool raw, struct err *e);

/* Is SPEC an HTTP base URL (and no ZeroMQ address)? */
bool publish_is_http(const char *spec);
/* 0 when the server took the item, else -1 with WHY filled. */
int publish_http(const struct publish *p, const json_t *item, struct refusal *why);
int publish_zmq(const struct publish *p, const json_t *item, struct err *e);

/* Milliseconds of the monotonic clock, read now. */
uint64_t publish_now(void);

/* One blocking connection, TCP or TLS; every call ends by the deadline. */
struct pubconn {
    int fd;                 /* owned, non-blocking; -1: none */
    struct ssl_st *ssl;     /* owned; NULL without TLS */
    struct ssl_ctx_st *ctx; /* owned */
    uint64_t deadline;      /* of publish_now() */
    const char *peer;       /* borrowed "HOST:PORT", for messages */
};

/* Connect to the first address of HOST that answers; with TLS its certificate must be good for HOST.
 * 0, or -1 with E set. pubconn_close() in either case. */
int pubconn_open(struct pubconn *c, const char *host, uint16_t port, bool tls, struct err *e);
int pubconn_write(struct pubconn *c, struct str bytes, struct err *e);
/* Bytes read, 0 when the peer has closed, -1 with E set. */
ssize_t pubconn_read(struct pubconn *c, char *to, size_t size, struct err *e);
void pubconn_close(struct pubconn *c);

#endif
