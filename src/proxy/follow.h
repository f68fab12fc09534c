/* follow.h - a stream follows its next link: when it is asked, and what the answer changes (spec: reliability 5.2, 5.4,
 * 5.5).
 *
 *   IDLE --time-out, or follow_ask()--> QUEUED --in its turn--> ASKING --answered()--> IDLE
 *     ^                                   ^                       |  a part without a hold: ASKING its link
 *     |  follow_stall()                   +-- RETRYING <---fail---+
 *     +--------------> STALLED --the client has read--> QUEUED
 */
#ifndef PROXY_FOLLOW_H
#define PROXY_FOLLOW_H

#include "grip/contentid.h"
#include "proxy/backlog.h"
#include "proxy/httphold.h"

struct link;

/* Calls up to the stream. All but asked() may close the hold. */
struct follow_ops {
    void (*asked)(struct httphold *h, bool shared);     /* SHARED: the request was under way before */
    void (*piece)(struct httphold *h, struct str body); /* for the client */
    void (*answered)(struct httphold *h, bool stale);   /* the hold goes on; see httphold_subscribe() */
    void (*ended)(struct httphold *h, const char *why); /* NULL: the answer says so */
};

struct follow {
    struct httphold *owner;
    const struct follow_ops *ops; /* constant */
    const struct target *target;  /* of the first answer: its channels stay. Borrowed: the hold's route keeps it */
    char *base;                   /* owned; the link that was followed last; NULL: none yet */
    char *url;                    /* owned; the link being followed; NULL: none */
    struct link *link;            /* owned while ASKING */
    struct timer timer;           /* IDLE: the link's time-out; RETRYING: the pause */
    bool again, again_urgent;     /* another update is wanted after this one */
    bool begun;                   /* a byte of this answer has been sent */
    bool accepted;                /* the answer's instruct is in FRESH */
    bool rewriting;               /* its body goes through IDS */
    uint8_t failures;             /* in a row */
    struct instruct fresh;
    struct contentid ids;
    /* the stream's: items for later */
    struct backlog backlog;
    unsigned told; /* so many were there when the origin was asked: its answer has them */
    bool lost;     /* some were dropped since: only the origin has them */
    bool ending;   /* one that was dropped ends the stream */
};

static inline struct follow *
follow_of(const struct httphold *h)
{
    return h->more != NULL ? h->more->follow : NULL;
}

/* Is there a link to follow? */
static inline bool
follow_possible(const struct httphold *h)
{
    return follow_of(h) != NULL && h->more->instruct.next_link != NULL;
}

void follow_init(struct httphold *h, const struct target *target, const struct follow_ops *ops);
/* The hold is IDLE: start the link's time-out. */
void follow_wait(struct httphold *h);
/* Ask the origin, in its turn or at once; where it is being asked, once more afterwards. Nothing without a link. */
void follow_ask(struct httphold *h, bool urgent);
/* Ask now, out of turn. */
void follow_start(struct httphold *h);
/* Ask when the client has read what waits for it. */
void follow_stall(struct httphold *h);
void follow_on_drained(struct httphold *h);
/* Stop what is under way. */
void follow_stop(struct httphold *h);
void follow_free(struct httphold *h);

#endif
