/* h1conn.h - one client's connection, and what the three files about it share.
 *
 *   h1server.c  the list of connections, and those that wait for their turn  == conns, ready ==> h1conn
 *   h1conn.c    one connection's life: reading requests, time, closing       --on_request(x), x->user_ops-->  user
 *   h1answer.c  the table of xchg_ops: writing the answer                    <--xchg_start, xchg_send ...--   user
 *
 * The server owns its connections; each is in one of its two lists until h1conn_forget(), and is freed when that turn
 * is over. An answer's head waits in the server's buffer (it is corked) for the first bytes of its body, so that both
 * go out in one write; there is one such head at a time. */
#ifndef CLIENT_H1CONN_H
#define CLIENT_H1CONN_H

#include "base/clock.h"
#include "client/h1server.h"

enum { H1_SPARE = 8 }; /* parsers that wait for the next request of any connection */

enum h1_state {
    H1_IDLE,   /* between requests, or in the head of one */
    H1_BODY,   /* the request's body is being read */
    H1_WAIT,   /* the request is complete, its answer is not */
    H1_LINGER, /* the last answer is out: waiting for the client to close */
    H1_CLOSED
};

struct h1conn {
    struct conn conn; /* first: on_data and so on find the h1conn with container_of() */
    /* what a delivery looks at lies close together */
    struct xchg xchg;
    struct h1server *server;       /* borrowed */
    uint32_t active_at;            /* s of the monotonic clock: last progress in either direction */
    uint8_t state;                 /* enum h1_state */
    bool chunked : 1, no_body : 1; /* how the answer's body goes out */
    bool until_close : 1;          /* nothing else tells where it ends */
    bool ended : 1;                /* the answer is complete */
    bool parsing : 1;              /* inside parse(), which needs the parser */
    bool parked : 1;
    bool continued : 1;         /* 100 Continue was sent, or need not be */
    bool ready : 1;             /* in server->ready */
    struct list_node in_server; /* server->conns, or server->ready */
    struct timer timer;         /* idle, head, activity or linger time */
    struct http1 *parser;       /* owned; NULL while nothing of a request has come, and when parked */
    struct buf *pending;        /* owned; what came behind the request that is being answered; NULL when nothing */
};

struct h1server {
    struct loop *loop; /* borrowed */
    struct h1server_settings settings;
    struct h1server_ops ops;
    void *arg;
    struct list conns;     /* of h1conn; owned */
    struct list ready;     /* of h1conn: what is pending can be parsed, or the client's end looked at; owned */
    struct task task;      /* serves READY, and sends CORKED */
    struct h1conn *corked; /* whose answer's head lies in HEAD, waiting for the first bytes of the body; or NULL */
    struct buf head;
    struct http1 *spare[H1_SPARE]; /* owned; begun anew: a parser's memory is used again rather than made again */
    unsigned n_spare;
    bool stopping;
    bool parked_late; /* a request was parked while we stop */
};

static inline struct h1conn *
h1conn_of(const struct xchg *x)
{
    return container_of(x, struct h1conn, xchg);
}

static inline uint32_t
h1conn_seconds(void)
{
    return (uint32_t)(clock_now() / 1000);
}

static inline void
h1conn_count(struct h1conn *c, enum stats_counter what, uint64_t n)
{
    stats_add(c->server->settings.stats, c->xchg.group, what, n);
}

/* h1server.c */

/* Look at what is pending, and at the end of the client's input, in the next turn. */
void h1server_wake(struct h1conn *c);

/* h1conn.c */

/* For h1conn_close(); other reasons are counted as errors. */
extern const char h1conn_stopping[];

void h1conn_open(struct h1server *s, int fd, const struct h1server_port *port);
/* Close now; a user is told why. */
void h1conn_close(struct h1conn *c, const char *why);
/* Close once the client has read what we sent, so that it is not lost to a reset. */
void h1conn_close_gently(struct h1conn *c);
/* Its conn is closed or has moved: leave the server, and free it when the turn is over. */
void h1conn_forget(struct h1conn *c);
/* The answer is complete: go on with the next request, or close. */
void h1conn_next_request(struct h1conn *c);
/* Its turn after h1server_wake(). */
void h1conn_parse_pending(struct h1conn *c);
/* The request counts no longer as one under way. */
void h1conn_end_counting(struct h1conn *c, enum stats_counter why);

/* h1answer.c */

extern const struct xchg_ops h1answer_ops;
/* Send the head that waits for company, if there is one. */
int h1answer_uncork(struct h1server *s);

/* C needs no parser until bytes of another request come. */
void h1conn_drop_parser(struct h1conn *c);

#endif
