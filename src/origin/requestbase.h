/* requestbase.h - what the files about outgoing requests share.
 *
 *   origin.c    what all requests have in common: idle connections, failures of late, TLS sessions
 *   request.c   one request: sending it, its events, its time; failing and ending
 *   targets.c   which target it goes to, and the connection to that: from the pool, or after a look-up
 *
 *   request_new --> targets_next --> targets_take_pooled -------------------------------> request_go --> events
 *                     ^    '-------> targets_connect --> address after address --connected--^
 *                     '--no address is left: target_failed
 *
 * A request belongs to itself until it is over; its connection, look-up and addresses belong to it. */
#ifndef ORIGIN_REQUESTBASE_H
#define ORIGIN_REQUESTBASE_H

#include "origin/failures.h"
#include "origin/pool.h"
#include "origin/request.h"

struct origin {
    struct loop *loop; /* borrowed */
    struct origin_settings settings;
    struct resolver *resolver; /* borrowed */
    struct stats *stats;       /* borrowed; NULL: nothing is counted */
    struct pool *pool;         /* owned */
    struct tls_client *tls;    /* owned */
    struct failures failures;  /* by targets.c's failure_key() */
    struct buf head, key;      /* for composing requests and keys */
    struct buf demo;           /* the test target's page */
};

struct request {
    struct origin *origin; /* borrowed */
    const struct request_spec *spec;
    const struct request_ops *ops;
    void *user;
    struct target *target;          /* being asked; in spec->targets */
    uint64_t tried;                 /* bits of the targets that were tried */
    struct h1client *client;        /* owned while the request is under way */
    struct resolver_lookup *lookup; /* owned; while a name is looked up */
    struct address *addresses;      /* of the target; owned */
    unsigned n_addresses, next_address;
    struct timer timer;           /* connecting, then waiting for the answer */
    struct task task;             /* begins the request; tells of a failure; answers for the test target */
    enum request_failure failure; /* of the last target */
    char why[160];
    uint64_t active_at;   /* ms */
    uint64_t sent_at;     /* us */
    uint64_t waits_until; /* ms; for a descriptor; 0: there was one */
    bool waiting;         /* for a descriptor */
    bool sent;            /* bytes of the request have been sent to this target */
    bool retried;         /* a stale connection has been replaced */
    bool answered;        /* on_head() was called */
    bool paused;
    bool over;
};

/* request.c */

extern const struct h1client_ops request_client_ops; /* for connections; their user is the request */
/* There is a connection, r->client: all that has come of the request goes out. */
void request_go(struct request *r);
/* The request is over, and its user is told. */
void request_fail(struct request *r, enum request_failure why, const char *text);
/* The target is the built-in one: answer as soon as enough of the request has come. */
void request_answer_test(struct request *r);
/* May it be sent twice? */
bool request_idempotent(struct str method);

/* targets.c */

/* The first target that was not tried yet, those that failed lately last; NULL when there is none. */
struct target *targets_choose(struct request *r);
/* Go to the next target, or fail when there is none. */
void targets_next(struct request *r);
/* Take an idle connection to r->target, if one will do. */
bool targets_take_pooled(struct request *r);
/* What a connection has to be the same in to be used instead of a new one to the target. Gone with the next call. */
struct str targets_pool_key(struct request *r);
/* Connect to r->target; or to its next address, since the last did not do. */
void targets_connect(struct request *r);
void targets_connect_next(struct request *r);

#endif
