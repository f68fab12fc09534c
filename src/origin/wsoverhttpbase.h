/* wsoverhttpbase.h - what the files about a WebSocket over HTTP share.
 *
 *   wsoverhttp.c  the endpoint: what its user says, its beginning and its ends; the set of all
 *   wsround.c     one request of its and the response: when to ask, what is sent, what is tried again
 *   wsanswer.c    a response on its way to the endpoint and its user: the handshake's, then events
 *
 *   ws_send --> queue --wsround_kick--> wsround_ask --> origin
 *   on_message <-- wsanswer_opened, wsanswer_take <--on_end--'
 *
 * An endpoint belongs to itself until it is over, also when its user has left. Between two requests it is small: what
 * it needs while something waits or is under way hangs on MORE. */
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
    struct wsoverhttps_settings settings;
    struct list apart; /* of wsoverhttp_more: what nobody is joined to, or not yet; owned */
    unsigned left;     /* of these, those that somebody was joined to */
};

struct wsoverhttp {
    struct ws ws;
    struct wsoverhttps *set;      /* borrowed */
    struct route *route;          /* reference held */
    struct wsoverhttp_more *more; /* owned; NULL while it is not needed */
    struct wsoverhttp_kept *kept; /* owned; NULL while there is nothing to keep */
    unsigned char id[UUID_BYTES];
    uint16_t group;      /* of stats */
    uint8_t state;       /* enum wsoverhttp_state */
    bool sign : 1;       /* see struct wsoverhttp_spec */
    bool paused : 1;     /* the user wants no more for now */
    bool left : 1;       /* there is no user any more: what waits goes out, then this is over */
    bool disconnect : 1; /* the origin is to hear that the client has gone */
    bool refresh : 1;    /* ask even when nothing waits */
    uint32_t path_len, host_len, headers_len;
    char text[]; /* path, host, and the headers of every request, packed */
};

/* What the origin has set for later. */
struct wsoverhttp_kept {
    struct wsoverhttp *owner;
    struct wsterms terms;
    struct timer timer; /* keep-alive */
};

/* What an endpoint needs during the handshake, while something waits, a request is under way, or it is left. */
struct wsoverhttp_more {
    struct wsoverhttp *owner;
    struct list_node apart; /* set->apart */
    const struct handshake_ops *ops;
    void *user; /* until the handshake is over */
    struct wsqueue queue;
    struct buf partial; /* a message of the user that is not complete */
    struct timer retry;
    struct wsround *now; /* owned; NULL while no request is under way */
    uint8_t retries;     /* of the present request */
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
    bool refused; /* the response's head is none that we can take */
    bool again;   /* it says that the gateway's backend is away for the moment */
};

/* wsoverhttp.c */

/* w->more, made when it is not there. */
struct wsoverhttp_more *wsoverhttp_more(struct wsoverhttp *w);
/* Free it if nothing in it is needed. */
void wsoverhttp_settle(struct wsoverhttp *w);

/* It is over, without a word. */
void wsoverhttp_end(struct wsoverhttp *w);
/* Nobody is joined any more; what is to be said goes out in the background. */
void wsoverhttp_user_left(struct wsoverhttp *w);
/* It cannot go on; during the handshake, and after it. */
void wsoverhttp_fail_open(struct wsoverhttp *w, enum request_failure why, const char *text);
void wsoverhttp_fail(struct wsoverhttp *w, const char *why);
/* What H, of a response, says about later ones. */
void wsoverhttp_read_terms(struct wsoverhttp *w, const struct headers *h);
void wsoverhttp_start_keep_alive(struct wsoverhttp *w);
void wsoverhttp_stop_timers(struct wsoverhttp *w);
static inline int
wsoverhttp_keep_alive(const struct wsoverhttp *w)
{
    return w->kept != NULL ? w->kept->terms.keep_alive : 0;
}

/* wsround.c */

/* Ask, when there is something to say and nothing is under way. */
void wsround_kick(struct wsoverhttp *w);
void wsround_ask(struct wsoverhttp *w);
/* No more of the request that is under way. */
void wsround_drop(struct wsoverhttp *w);
/* Append the headers that each request repeats. SIGN: Grip-Feature is made anew, as the signature is. */
void wsround_pack(const struct headers *h, bool sign, struct buf *text);

/* wsanswer.c */

/* The response to OPEN. */
void wsanswer_opened(struct wsoverhttp *w, struct http1_head *head, struct str body);
/* The response to a later request. WITH_DISCONNECT: that was the last. */
void wsanswer_take(struct wsoverhttp *w, struct http1_head *head, struct str body, bool with_disconnect);

#endif
