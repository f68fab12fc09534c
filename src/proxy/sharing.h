/* sharing.h - one request to the origin for all clients that ask for the same at the same time (share_all).
 *
 *   exchange, exchange, exchange --share--> sharing --> origin/request     until the answer's head is there; who asks
 *                                                                          later begins another one
 * Each member is told the whole answer, as if it had asked by itself. The slowest sets the pace, and is
 * parted from the others when it keeps them waiting for ten seconds. */
#ifndef PROXY_SHARING_H
#define PROXY_SHARING_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

struct sharing;
struct sharings;

/* As those of request_ops. A member may end its own share, and no other's. */
struct share_ops {
    void (*on_head)(void *user, struct http1_head *head);
    void (*on_body)(void *user, struct str piece);
    void (*on_end)(void *user);
    void (*on_fail)(void *user, enum request_failure why, const char *text);
    /* The share has been paused for long, and others wait: end it. */
    void (*on_slow)(void *user);
};

/* Embedded in what asks. It is over after on_end() and on_fail(). */
struct share {
    struct sharing *of; /* NULL: none */
    struct list_node in_members;
    const struct share_ops *ops;
    void *user;
    bool paused;
};

struct sharings *sharings_new(struct proxy *p);
/* After the last share. */
void sharings_free(struct sharings *all);

/* May the request, which has no body, be one for several clients? */
bool sharing_wanted(const struct proxy *p, const struct clientreq *c);
/* Take part in a request that is under way, or begin one with SPEC, which is copied. Returns it; nothing is called back
 * within the call. */
struct request *share_join(struct sharings *all, struct share *s, const struct clientreq *c, struct route *route,
                           const struct request_spec *spec, const struct share_ops *ops, void *user);
void share_pause(struct share *s, bool pause);
/* The request is given up when nobody is left. Nothing when there is no share. */
void share_leave(struct share *s);
/* Its number for the log; 0: nobody else has taken part. */
unsigned share_number(const struct share *s);

#endif
