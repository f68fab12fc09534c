/* h1server.h - HTTP/1.0 and 1.1 connections of clients: pipelining, keep-alive, chunks (spec: proxying 2, 3, 8.1).
 *
 *   listener --fd--> h1server == conns ==> h1conn { conn, xchg, parser while a request is read }
 *
 * One connection has one xchg, used again for each request in turn. */
#ifndef CLIENT_H1SERVER_H
#define CLIENT_H1SERVER_H

#include "client/xchg.h"
#include "io/loop.h"
#include "stats/stats.h"

struct h1server;
struct address_range;
struct tls_server;

/* How the connections of a listening socket begin. */
struct h1server_port {
    struct tls_server *tls;              /* borrowed; NULL: plain */
    bool proxy;                          /* they begin with a header of the PROXY protocol */
    const struct address_range *trusted; /* borrowed; from whom alone it is taken */
    unsigned n_trusted;
};

struct h1server_settings {
    size_t max_head;           /* bytes of a request's head */
    unsigned idle_timeout;     /* s; without a request, and until its head is complete; 0: none */
    unsigned activity_timeout; /* s; without progress in any other phase; 0: none */
    bool allow_no_host;        /* take HTTP/1.1 requests without Host */
    struct stats *stats;       /* borrowed; NULL: nothing is counted */
};

struct h1server_ops {
    /* A request's head is there. The user joins the xchg or answers at once. */
    void (*on_request)(void *arg, struct xchg *x);
    /* A request was refused before or while it was read; write the body of the answer. */
    void (*bad_text)(void *arg, int status, const char *why, bool in_body, struct buf *out);
    /* The number of connections has fallen after h1server_count() was looked at. May be NULL. */
    void (*on_closed)(void *arg);
};

/* SETTINGS and OPS are copied; ARG is passed to the ops. */
struct h1server *h1server_new(struct loop *l, const struct h1server_settings *settings, const struct h1server_ops *ops,
                              void *arg);
/* All connections are cut. */
void h1server_free(struct h1server *s);
/* Frees what is kept at hand for the next requests. */
void h1server_trim(struct h1server *s);
/* Take over an accepted socket. PORT is borrowed as long as the connection lasts; NULL: plain. */
void h1server_accept(struct h1server *s, int fd, const struct h1server_port *port);
/* Connections open now. */
size_t h1server_count(const struct h1server *s);
/* No further requests: close what is idle now, and every other connection after its answer. */
void h1server_shutdown(struct h1server *s);

#endif
