/* request.h - one outgoing request and its events; failover across the targets of a route (spec: routes 4.3).
 *
 *   request --> pool: an idle connection to the target?  --> h1client: a new one
 *   targets are tried in order until one is connected; what failed lately comes last. Once a request has been sent it
 * is not sent again, but for one case: a connection from the pool was closed before the first byte of an answer, the
 *   method is idempotent and the body is still there (spec: proxying 7). */
#ifndef ORIGIN_REQUEST_H
#define ORIGIN_REQUEST_H

#include "conf/routes.h"
#include "origin/origin.h"
#include "proto/http1.h"

struct conn;
struct conn_ops;

/* What is kept of a request's body, so that it can be sent again. */
enum { REQUEST_BODY_KEPT = 100000 };
struct request_body {
    struct buf kept; /* the whole so far, unless it overflowed */
    uint64_t total;  /* bytes so far */
    bool overflow;   /* more than that came: the request cannot be sent again */
    bool complete;   /* all of it has come */
    int64_t length;  /* as announced; -1: unknown */
};

/* What to send. All is borrowed and stays as it is until the request is over; BODY grows. */
struct request_spec {
    struct str method;
    struct str path;               /* with its query */
    size_t test_prefix;            /* bytes at the beginning of the path that the test target does not see */
    struct str host;               /* for Host, unless the target has its own; the scheme's default port left off */
    const struct headers *headers; /* without Host and framing */
    struct request_body *body;
    struct target *targets;
    unsigned n_targets;
    unsigned group; /* of stats */
    bool upgrade;   /* ask for another protocol: on a new connection, and 101 may be the answer */
};

enum request_failure {
    REQUEST_UNREACHABLE, /* no target could be connected to */
    REQUEST_BLOCKED,     /* untrusted: a private address */
    REQUEST_NO_NAME,     /* a name has no address */
    REQUEST_LOST,        /* closed before the answer, or it is not HTTP */
    REQUEST_TIMEOUT,
    REQUEST_CUT /* the answer broke off after its head */
};

struct request;
struct request_ops {
    /* The final answer's head; valid until the request is over. */
    void (*on_head)(struct request *r, struct http1_head *head);
    void (*on_body)(struct request *r, struct str piece);
    /* The answer is complete: the request is over. */
    void (*on_end)(struct request *r);
    /* The request is over. TEXT says why, for debug bodies. */
    void (*on_fail)(struct request *r, enum request_failure why, const char *text);
    /* More of the body can be taken. */
    void (*on_ready)(struct request *r);
};

/* Nothing is called back within the call. */
struct request *request_new(struct origin *o, const struct request_spec *spec, const struct request_ops *ops,
                            void *user);
void *request_user(const struct request *r);
/* The target that is, or was, asked; NULL before the first. */
const struct target *request_target(const struct request *r);
/* A further piece of the body, already counted in spec->body, and added to what is kept unless that overflowed. Empty
 * at the end. Until the request is sent all of it must be in what is kept. */
void request_send(struct request *r, struct str piece);
bool request_is_sent(const struct request *r);
/* Should the sender wait for on_ready()? */
bool request_full(const struct request *r);
/* Stop and go on reading the answer. */
void request_pause(struct request *r, bool pause);
/* Within on_head() with status 101: the connection becomes TO (conn_move()), *REST is what has come behind the head,
 * and the request is over. */
void request_upgrade(struct request *r, struct conn *to, const struct conn_ops *ops, struct str *rest);
/* Give up. No more callbacks. */
void request_cancel(struct request *r);

#endif
