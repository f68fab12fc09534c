/* clientreq.h - what a client asked for, apart from the connection on which it did.
 *
 * It is made from the head of a request and borrows from it. A response hold keeps a copy that owns its bytes, since
 * the same request may have to be sent to the origin again. */
#ifndef PROXY_CLIENTREQ_H
#define PROXY_CLIENTREQ_H

#include "base/err.h"
#include "base/mem.h"
#include "client/xchg.h"

struct jsonp;

struct clientreq {
    struct str method;
    struct str authority;   /* Host, or that of an absolute target, in lower case; in MEMORY */
    struct str host;        /* that without port and brackets: for the routes; in MEMORY */
    struct str path;        /* normalised, with its query; in MEMORY */
    size_t path_len;        /* bytes of PATH that are the path proper */
    struct headers headers; /* all that came */
    bool secure;            /* https, or said to be by a trusted header */
    bool ws;                /* it is to become a WebSocket */
    bool trusted;           /* a proxy that we trust has handled it */
    bool cross_origin;      /* the answer gets cross-origin headers */
    struct jsonp *jsonp;    /* owned; NULL: the answer goes out as it is */
    char *memory;           /* owned */
};

/* 0, or the status to answer with (400, 405) and E's words as its body. */
int clientreq_init(struct clientreq *c, const struct http1_head *head, bool secure, struct err *e);
/* A copy that owns everything. */
void clientreq_copy(struct clientreq *to, const struct clientreq *from);
void clientreq_clear(struct clientreq *c);
/* Another method, path and query, copied; PATH_LEN as above. */
void clientreq_replace(struct clientreq *c, struct str method, struct str path, size_t path_len);

static inline struct str
clientreq_pathname(const struct clientreq *c)
{
    return str_sub(c->path, 0, c->path_len);
}

/* The scheme with its colon and slashes: "https://". */
struct str clientreq_scheme(const struct clientreq *c);
/* Append "https://host/path?query". */
void clientreq_put_uri(const struct clientreq *c, struct buf *b);

#endif
