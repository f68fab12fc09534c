/* httphold.h - response and stream holds of HTTP clients: what the two have in common (spec: grip 8, 9).
 *
 *   exchange --httphold_new()--> httphold --> responsehold   answers once, or asks the origin again
 *                                         --> streamhold     goes on and on, makes up for gaps with its next link
 *   hold --deliver()--> httphold --xchg_send()--> client
 *
 * A plain stream keeps nothing but this struct; what only some holds need lies in MORE. */
#ifndef PROXY_HTTPHOLD_H
#define PROXY_HTTPHOLD_H

#include "grip/instruct.h"
#include "proxy/clientreq.h"
#include "proxy/context.h"
#include "proxy/netfilter.h"
#include "proxy/updates.h"
#include "pub/filter.h"
#include "pub/hold.h"

enum { HTTPHOLD_KEPT_MAX = 100 }; /* messages kept for a response hold while its origin is asked again */

enum httphold_state {
    HOLD_IDLE,
    HOLD_QUEUED,   /* the origin is to be asked again, in its turn */
    HOLD_ASKING,   /* it is being asked. Response: the xchg is the exchange's, and so are we */
    HOLD_RETRYING, /* stream: that has failed; a pause */
    HOLD_STALLED,  /* stream: the client does not read; once it does the origin is asked */
    HOLD_CLOSED
};

struct follow; /* of a stream with a next link; see proxy/follow */

/* What a response hold needs, or a stream with keep-alives, meta, links or filters that ask a server. */
struct more {
    struct httphold *owner;
    struct timer timer;       /* response: time-out; stream: keep-alive */
    struct instruct instruct; /* of a stream without the response for the client */
    struct update update;
    char *home;               /* owned; the client's request URI, for links and filters; NULL when there are none */
    struct follow *follow;    /* owned */
    struct netfilter *asking; /* owned; NULL: no filter asks a server, else the hold has the ops for that */
    struct clientreq req;     /* response: to ask again */
    char *body;               /* response: of the request; owned, body_len bytes */
    size_t body_len;
    struct msg **kept; /* response: owned array of references: what came while the origin is asked */
    unsigned n_kept;
};

struct httphold {
    struct hold hold;    /* its client is our xchg, joined unless a response hold is ASKING */
    struct proxy *proxy; /* borrowed */
    struct more *more;   /* owned; NULL: a plain stream */
    uint8_t state;       /* enum httphold_state */
    bool followed;       /* by another hold, which has said what becomes of our channels */
    uint16_t group;      /* of stats */
    uint32_t uri_len;
    char uri[]; /* as sent to the origin, for the log */
};

/* What an exchange hands over. */
struct httphold_begin {
    struct xchg *x;              /* taken over; a stream's head and first part have been sent */
    struct route *route;         /* a reference is taken */
    const struct target *target; /* for its implicit channels */
    struct instruct *instruct;   /* taken over, and cleared; without a hold: a stream that begins with its next link */
    const struct clientreq *req; /* copied where it is needed again */
    struct str body;             /* of the request; copied likewise */
    struct str uri;              /* as sent to the origin, for the log */
    struct httphold *old;        /* a retry: the hold that this one follows; NULL: none */
};

void httphold_new(struct proxy *p, const struct httphold_begin *b);
/* The client is no longer this hold's. Leaves its channels, tells the gone link; memory goes after the turn. */
void httphold_close(struct httphold *h);
/* Answer C with an instruct's own response, as a time-out does (HELD: it is one); xchg_end() is to follow. Returns the
 * bytes of the body. */
size_t httphold_answer(struct xchg *x, const struct clientreq *c, const struct instruct *in, bool held);

/* For the two kinds. */

static inline struct httphold *
httphold_of(struct hold *h)
{
    return container_of(h, struct httphold, hold);
}

static inline struct xchg *
httphold_xchg(const struct httphold *h)
{
    return h->hold.client;
}

/* What the client of SUB has, or ptr NULL: not checked. */
static inline struct str
httphold_prev_id(const struct sub *sub)
{
    const struct shared_bytes *id = sub != NULL && sub->more != NULL ? sub->more->prev_id : NULL;
    return id != NULL ? str_of(id->data, id->len) : str_of(NULL, 0);
}

/* How does an item stand to what the client has? (reliability 3.2, 5.3) */
enum httphold_order { ORDER_NEXT, ORDER_KNOWN, ORDER_GAP };
enum httphold_order httphold_order_of(const struct sub *sub, const struct msg *m);
bool httphold_debugging(const struct httphold *h);
/* The client reads too slowly, or not at all: cut it off rather than leave a gap. DROPPED: messages that it misses. */
void httphold_cut_slow(struct httphold *h, unsigned dropped);
/* Run SUB's filters over M; see netfilter_run(). */
enum filter_result httphold_filter(struct httphold *h, const struct sub *sub, struct msg *m, struct msg **passed,
                                   struct err *e);
/* M, which others are before, waits for its turn; HOW: see netfilter_keep(). */
void httphold_keep(struct httphold *h, struct msg *m, unsigned how);
/* Does anything wait for a filter's server? */
static inline bool
httphold_asks(const struct httphold *h)
{
    return h->more != NULL && h->more->asking != NULL && netfilter_busy(h->more->asking);
}
/* Count N messages that the hold does not get. */
void httphold_count(const struct httphold *h, enum stats_counter what, unsigned n);
/* Grip-Last headers for what the client has. */
void httphold_put_last(const struct httphold *h, struct headers *out);
/* Subscribe to all channels of IN and TARGET, and leave the others. true: on a channel that is new to the hold
 * something has been published that the answer did not know of (reliability 3.1). */
bool httphold_subscribe(struct httphold *h, const struct instruct *in, const struct target *target, bool retry);
/* of netfilter_ops */
void httphold_put_uri(const struct hold *hold, struct buf *out);
void httphold_put_meta(const struct hold *hold, json_t *out);
void httphold_put_ids(const struct hold *hold, struct headers *out);
/* of hold_ops */
struct str httphold_meta(const struct hold *hold, struct str name);
/* of xchg_user_ops */
void httphold_on_body(struct xchg *x, struct str piece);
void httphold_on_body_end(struct xchg *x);
void httphold_on_gone(struct xchg *x, const char *why);

#endif
