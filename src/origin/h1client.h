/* h1client.h - one HTTP/1.1 connection to an origin: one request at a time. */
#ifndef ORIGIN_H1CLIENT_H
#define ORIGIN_H1CLIENT_H

#include "io/conn.h"
#include "proto/http1.h"

struct pool;
struct pool_slot;

struct h1client_ops {
    void (*on_connected)(void *user);
    void (*on_head)(void *user, struct http1_head *head);
    void (*on_body)(void *user, struct str piece);
    /* The answer is complete. The client is nobody's: the user lets go of it within the call. */
    void (*on_end)(void *user);
    /* BROKEN: no byte of an answer had come. The user closes it within the call. */
    void (*on_fail)(void *user, bool no_answer, const char *why);
    void (*on_drained)(void *user);
};

struct h1client {
    struct conn conn;
    const struct h1client_ops *ops; /* NULL: idle in the pool */
    void *user;
    struct http1 *parser; /* owned */
    struct pool *pool;    /* borrowed */
    struct pool_slot *slot;
    struct list_node in_slot, by_age; /* while idle */
    struct timer timer;               /* while idle */
    size_t max_head;
    unsigned interim; /* 1xx heads before the answer to the present request */
    bool reused;      /* has carried a request before */
    bool answered;    /* a byte of the answer to the present request has come */
    bool chunked;     /* how the body of the request goes out */
    bool upgrade;     /* 101 is an answer to the present request */
    bool doubtful;    /* what comes next may be a body that should not be there */
    struct str rest;  /* while on_head() tells of a 101: what has come behind it */
    bool closed;
};

/* Begin to connect: on_connected or on_fail follows. NULL with errno. TLS (NULL: plain) is taken over. */
struct h1client *h1client_new(struct loop *l, const struct address *to, struct tls *tls, size_t max_head,
                              const struct h1client_ops *ops, void *user);
/* Begin a request on a connected client. */
void h1client_begin(struct h1client *c, bool to_head);
void h1client_close(struct h1client *c);

#endif
