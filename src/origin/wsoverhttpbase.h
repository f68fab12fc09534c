/* wsoverhttpbase.h - what the files about a WebSocket over HTTP share.
 *
 *   wsoverhttp.c  the endpoint: what its user says, its beginning and its ends; the set of all
 *   wsround.c     one request of its and the response: when to ask, what is sent, what is tried again
 *   wsanswer.c    a response on its way to the endpoint and its user: the handshake's, then events
 *
 *   ws_send --> queue --wsround_kick--> wsround_ask --> origin --on_end--> wsanswer_opened, wsanswer_take -->
 * on_message
 *
 * An endpoint belongs to itself until it is over, also when its user has left. Its round exists from the request until
 * the response has been read. */
#ifndef ORIGIN_WSOVERHTTPBASE_H
#define ORIGIN_WSOVERHTTPBASE_H

#include "base/list.h"
#include "base/uuid.h"
#include "origin/wsoverhttp.h"
#include "origin/wsqueue.h"
#include "origin/wsterms.h"

enum {
    WOH_QUEUE_MAX = 1000000 /* bytes of all that waits, which an origin that takes nothing could make grow */
};

/* drawn in wsoverhttp.h */
enum wsoverhttp_state { WOH_OPENING, WOH_REJECTED, WOH_IDLE, WOH_ASKING, WOH_RETRY, WOH_OVER };

struct wsoverhttps {
    struct loop *loop;     /* borrowed */
    struct origin *origin; /* borrowed */
    struct list all;       /* of wsoverhttp; owned */
    unsigned left, max_left;
};

struct wsoverhttp {
    struct ws ws;
    struct loop *loop;       /* borrowed */
    struct wsoverhttps *set; /* borrowed */
    struct list_node in_set; /* set->all */
    struct route *route;     /* reference held */
    const struct wsoverhttp_ops *ops;
    void *user; /* until the handshake is over */
    struct header (*sign)(void *arg, const struct route *route);
    void *sign_arg;
    uint8_t state;   /* enum wsoverhttp_state */
    unsigned group;  /* of stats */
    uint8_t retries; /* of the present request */
    uint8_t partial_opcode;
    bool paused : 1;     /* the user wants no more for now */
    bool left : 1;       /* there is no user any more: what waits goes out, then this is over */
    bool disconnect : 1; /* the origin is to hear that the client has gone */
    bool refresh : 1;    /* ask even when nothing waits */
    bool refused : 1;    /* the response's head is none that we can take */
    bool again : 1;      /* it says that the gateway's backend is away for the moment */
    struct timer timer;  /* keep-alive, or until a retry */
    struct wsqueue queue;
    struct buf partial;  /* a message of the user that is not complete */
    struct headers base; /* owned copies; of every request */
    struct wsterms terms;
    char *path, *host; /* owned */
    size_t path_len, host_len;
    char id[UUID_SIZE];
    struct wsround *now; /* owned; NULL while no request is under way */
};

/* One request. */
struct wsround {
    struct request *request; /* NULL when it is over */
    struct request_spec spec;
    struct request_body body;
    struct headers headers;
    struct http1_head *head; /* of the response; the request's */
    struct buf answer;
    bool with_disconnect;
};

/* wsoverhttp.c */

/* It is over, without a word. */
void wsoverhttp_end(struct wsoverhttp *w);
/* Nobody is joined any more; what is to be said goes out in the background. */
void wsoverhttp_user_left(struct wsoverhttp *w);
/* It cannot go on; during the handshake, and after it. */
void wsoverhttp_fail_open(struct wsoverhttp *w, enum request_failure why, const char *text);
void wsoverhttp_fail(struct wsoverhttp *w, const char *why);
void wsoverhttp_start_keep_alive(struct wsoverhttp *w);

/* wsround.c */

/* Ask, when there is something to say and nothing is under way. */
void wsround_kick(struct wsoverhttp *w);
void wsround_ask(struct wsoverhttp *w);
/* No more of the request that is under way. */
void wsround_drop(struct wsoverhttp *w);

/* wsanswer.c */

/* The response to OPEN. */
void wsanswer_opened(struct wsoverhttp *w, struct http1_head *head, struct str body);
/* The response to a later request. WITH_DISCONNECT: that was the last. */
void wsanswer_take(struct wsoverhttp *w, struct http1_head *head, struct str body, bool with_disconnect);

#endif
