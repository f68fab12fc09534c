/* connbase.h - what the files about a conn share.
 *
 *   conn.c       its beginning and end, reading, writing to a plain socket
 *   connqueue.c  what could not be written at once
 *   conntls.c    reading and writing through TLS
 *
 * What only some conns have hangs on conn->more, which exists while it holds anything. */
#ifndef IO_CONNBASE_H
#define IO_CONNBASE_H

#include "io/conn.h"
#include "io/tlsbase.h"

/* What could not be written yet: a ring of pieces, and the event that tells when more can be. */
struct conn_queue {
    struct event event;      /* writing */
    size_t bytes;            /* all that waits */
    int unread;              /* what the kernel had of ours when conn_moved() looked last */
    unsigned first, n, cap;  /* the ring; cap is a power of two */
    struct conn_piece *ring; /* owned; each piece has an owner */
};

/* What only some connections have. */
struct conn_more {
    struct conn_queue *queue; /* owned; NULL while nothing waits to be written */
    struct tls *tls;          /* owned; NULL: plain */
    void *preface;            /* owned; NULL: none, or it is over */
    unsigned char peer[16];   /* a proxy's client, as an IPv6 address */
    bool has_peer;
};

static inline struct tls *
conn_tls(const struct conn *c)
{
    return c->more != NULL ? c->more->tls : NULL;
}

static inline struct conn_queue *
conn_queue(const struct conn *c)
{
    return c->more != NULL ? c->more->queue : NULL;
}

/* conn.c */

/* c->more, made when it is not there. */
struct conn_more *conn_more(struct conn *c);
/* Free it when nothing hangs on it any more. */
void conn_more_drop(struct conn *c);
/* Wait for what the conn's state wants to be told. */
void conn_watch(struct conn *c);
/* Nothing can be sent any more. The owner hears of it from the loop, never from within its own call. */
void conn_break_off(struct conn *c);
/* No more input: tell the owner. */
void conn_input_ended(struct conn *c);
void conn_input_failed(struct conn *c, const char *why);
/* Reading is paused, and there are bytes to read. */
void conn_input_waits(struct conn *c);
/* Nothing more will be sent: tell the peer. */
void conn_say_end(struct conn *c);

/* connqueue.c */

/* Make sure that there is a queue, and that it is told when the socket can be written to. */
struct conn_queue *conn_queue_open(struct conn *c);
/* The conn is connected: write what waits. */
void conn_queue_start(struct conn *c);
/* The conn has moved here, its queue with it. */
void conn_queue_moved(struct conn *c);
void conn_queue_free(struct conn *c);
/* The first WRITTEN bytes have been. */
void conn_queue_consume(struct conn_queue *q, size_t written);
/* Put what lies behind the first WRITTEN bytes of the pieces into the queue. */
void conn_queue_rest(struct conn *c, const struct conn_piece *pieces, unsigned n, size_t written);

/* conntls.c: the same as their counterparts for plain sockets */
int conn_tls_sendv(struct conn *c, const struct conn_piece *pieces, unsigned n);
int conn_tls_flush(struct conn *c);
void conn_tls_ready(struct conn *c);
/* Reading is paused and there is something. */
void conn_tls_look(struct conn *c);
/* Bytes that were read into the loop's buffer, or -1: there are none. */
ssize_t conn_tls_recv(struct conn *c, char *buffer);
bool conn_tls_has_input(struct conn *c);
/* The socket is connected: shake hands. */
void conn_tls_begin(struct conn *c);
/* Tell the peer that nothing more will come. -1: the socket takes no more now. */
int conn_tls_say_end(struct conn *c);

#endif
