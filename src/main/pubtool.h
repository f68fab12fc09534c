/* pubtool.h - the parts of pushpin-publish, a command line that publishes one item and ends.
 *
 *   argv --pubtool.c--> struct pubtool --pubtoolitem.c--> item --pubtoolhttp.c--> POST  (on pubtoolconn.c: TCP, TLS)
 *                                                           `---pubtoolzmq.c---> PUSH
 *
 * The tool does one thing after another and blocks, so it has no use for the daemon's loop: these files talk to
 * sockets, OpenSSL and libzmq themselves. */
#ifndef MAIN_PUBTOOL_H
#define MAIN_PUBTOOL_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

enum { PUBTOOL_MAX_FILE = 256 * 1024 * 1024 }; /* bytes; far above what a server takes */

/* What the command line asks for. All strings are borrowed from argv or the environment. */
struct pubtool {
    const char *channel;
    const char *content;               /* NULL: none given */
    const char *id, *prev_id, *sender; /* "": none */
    const char *code;
    const char **headers, **meta; /* owned arrays, NULL behind the last */
    bool hint, close, patch, no_seq, no_eol;
    const char *spec;
    const char *user, *bearer; /* NULL: not given */
    const char *token;         /* as bearer, and also without TLS to this machine; NULL: not given */
    const char *env_token;     /* the same, where nothing else is known and it can be sent safely; NULL: none */
    uint64_t timeout;          /* ms; 0: the transport's own */
};

/* How a sender says no. */
struct refusal {
    struct err e;
    struct buf text; /* a server's own words, to be shown instead of E when there are any */
};

/* The item as a JSON object, a new reference, or NULL with E set. RAW: for a tnetstring, where strings may hold any
 * bytes; else such strings become base64 under the names that JSON publishers use. */
json_t *pubtool_item(const struct pubtool *p, bool raw, struct err *e);

/* Is SPEC an HTTP base URL (and no ZeroMQ address)? */
bool pubtool_is_http(const char *spec);
/* 0 when the server took the item, else -1 with WHY filled. */
int pubtool_http(const struct pubtool *p, const json_t *item, struct refusal *why);
int pubtool_zmq(const struct pubtool *p, const json_t *item, struct err *e);

/* Milliseconds of the monotonic clock, read now. */
uint64_t pubtool_now(void);

/* One blocking connection, TCP or TLS; every call ends by the deadline. */
struct pubconn {
    int fd;                 /* owned, non-blocking; -1: none */
    struct ssl_st *ssl;     /* owned; NULL without TLS */
    struct ssl_ctx_st *ctx; /* owned */
    uint64_t deadline;      /* of pubtool_now() */
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
