/* stats.h - numbers for operators: what was done, what is alive (spec: stats 1).
 *
 *   pub, client, origin, proxy  --small calls-->  groups[slot] == counters      totals since the start
 *   a request begins, ends      ------------->    conns ==> entry, entry        conn messages
 *   a channel's number changes  ------------->    subs  ==> entry, entry        sub messages
 *   every interval; 0.2 s after something happened                              report, activity, counts
 *
 * One group counts for each route with an explicit id, at the route's slot, and group 0 for all others. What a message
 * needs is asked for when it is made, through callbacks that go up; an entry is 16 bytes, and there are none where
 * nobody could ask. All calls take S == NULL: nothing is counted then. */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"
#include "io/address.h"
#include "io/zsock.h"

/* What carries a message to a client; in the order of grip's formats. */
enum stats_transport { STATS_HTTP_RESPONSE, STATS_HTTP_STREAM, STATS_WS_MESSAGE, STATS_TRANSPORTS };

/* The counters of a group. Those that are one metric with different labels lie together; see stats/counters. */
enum stats_counter {
    STATS_REQUESTS, /* HTTP requests and WebSockets begun */
    STATS_OPENED,
    STATS_CLOSED_DONE, /* the answer is complete */
    STATS_CLOSED_CLIENT,
    STATS_CLOSED_TIMEOUT,
    STATS_CLOSED_SLOW,   /* the client reads too slowly */
    STATS_CLOSED_ORIGIN, /* the answer cannot be completed */
    STATS_CLOSED_ERROR,
    STATS_CLOSED_SHUTDOWN,
    STATS_MINUTES,
    STATS_RECEIVED, /* items; in group 0 */
    STATS_SENT,     /* deliveries, by transport */
    STATS_SENT_LAST = STATS_SENT + STATS_TRANSPORTS - 1,
    STATS_DROPPED_FILTER,
    STATS_DROPPED_RATE, /* message_hwm */
    STATS_DROPPED_QUEUE,
    STATS_BLOCKS_RECEIVED,
    STATS_BLOCKS_SENT,
    STATS_CLIENT_HEADER_RECEIVED, /* bytes */
    STATS_CLIENT_HEADER_SENT,
    STATS_CLIENT_CONTENT_RECEIVED,
    STATS_CLIENT_CONTENT_SENT,
    STATS_CLIENT_MESSAGES_RECEIVED,
    STATS_CLIENT_MESSAGES_SENT,
    STATS_SERVER_HEADER_RECEIVED,
    STATS_SERVER_HEADER_SENT,
    STATS_SERVER_CONTENT_RECEIVED,
    STATS_SERVER_CONTENT_SENT,
    STATS_SERVER_MESSAGES_RECEIVED,
    STATS_SERVER_MESSAGES_SENT,
    STATS_ORIGIN_1XX, /* answers of origins, by hundreds */
    STATS_ORIGIN_2XX,
    STATS_ORIGIN_3XX,
    STATS_ORIGIN_4XX,
    STATS_ORIGIN_5XX,
    STATS_ORIGIN_OTHER,
    STATS_ORIGIN_UNREACHABLE, /* requests that failed; in the order of origin's enum request_failure */
    STATS_ORIGIN_BLOCKED,
    STATS_ORIGIN_NO_NAME,
    STATS_ORIGIN_LOST,
    STATS_ORIGIN_TIMEOUT,
    STATS_ORIGIN_CUT,
    STATS_COUNTERS
};

enum { STATS_BUCKETS = 16 }; /* of a histogram; one more for what is above them all */

struct stats_histogram {
    uint64_t n[STATS_BUCKETS + 1]; /* not cumulative */
    uint64_t sum;                  /* us */
};

struct stats_group {
    uint64_t n[STATS_COUNTERS];                        /* since the start */
    struct stats_histogram delivery[STATS_TRANSPORTS]; /* from an item's turn to its bytes being written */
    struct stats_histogram origin;                     /* from the request being sent to the head of its answer */
    unsigned held[STATS_TRANSPORTS];                   /* clients that are held now */
    unsigned connections, most;                        /* now; at the same time since the last report */
    struct stats_interval *interval;                   /* owned; for reports and activity */
    char *id;                                          /* owned; the route's, NULL: group 0 */
};

struct stats {
    struct stats_group **groups; /* owned; at a slot without one: group 0 once more */
    unsigned n_groups;
    struct stats_parts *parts; /* owned; all else */
};

struct stats_settings {
    const char *spec; /* where the PUB socket is bound; "" or NULL: there is none */
    int ipc_mode;     /* permissions of a bound ipc: socket; -1: as the umask says */
    bool json;
    bool send_conns;     /* conn messages */
    unsigned conn_ttl;   /* s */
    unsigned sub_ttl;    /* s */
    unsigned sub_linger; /* s after the last response hold of a channel */
    int report_interval; /* s; <= 0: no reports */
    unsigned block_size; /* bytes of content that count as one block; 0: blocks are not counted */
};

/* What messages are made of, from those who have it. */
struct stats_ops {
    /* The address of the peer of an HTTP request, and of a WebSocket; empty when it has none. */
    struct str (*peer)(const void *who, char text[ADDRESS_TEXT_MAX]);
    struct str (*ws_peer)(const void *who, char text[ADDRESS_TEXT_MAX]);
    /* A WebSocket's id; an HTTP request gets one. */
    struct str (*ws_id)(const void *who, char text[UUID_SIZE]);
    /* How many clients a channel has, and its name. */
    unsigned (*subscribers)(const void *channel, enum stats_transport mode, struct str *name);
    /* Call stats_sub_there() for every channel, now or in time: somebody wants to know. */
    void (*tell_subs)(void *arg);
};

/* C is needed with a spec only. NULL with E set: "unable to bind to SPEC: REASON". OPS is constant. */
struct stats *stats_new(struct loop *l, struct zcontext *c, const struct stats_settings *settings,
                        const struct stats_ops *ops, void *arg, struct err *e);
void stats_free(struct stats *s);

/* counting */

static inline struct stats_group *
stats_group(const struct stats *s, unsigned slot)
{
    return s->groups[slot < s->n_groups ? slot : 0];
}

static inline void
stats_add(struct stats *s, unsigned slot, enum stats_counter what, uint64_t n)
{
    if (s != NULL)
        stats_group(s, slot)->n[what] += n;
}

/* N things that took US microseconds each. */
void stats_observe(struct stats_histogram *h, uint64_t us, uint64_t n);

static inline void
stats_delivered(struct stats *s, unsigned slot, enum stats_transport how, uint64_t us, unsigned n)
{
    if (s != NULL)
        stats_observe(&stats_group(s, slot)->delivery[how], us, n);
}

/* An origin's answer has begun; US: since it was asked. */
void stats_origin_answer(struct stats *s, unsigned slot, int status, uint64_t us);

/* A client is held now, or no more. */
static inline void
stats_held(struct stats *s, unsigned slot, enum stats_transport how, int change)
{
    if (s != NULL)
        stats_group(s, slot)->held[how] += (unsigned)change;
}

/* Something that makes a route "active": a request, a retry, a keep-alive. */
void stats_activity(struct stats *s, unsigned slot, unsigned n);

/* An item's turn has come. BLOCKS: what it counts for; 0 where blocks are not counted. */
void stats_item(struct stats *s, unsigned blocks);

/* It has receivers of one kind. */
struct stats_message {
    struct str channel, item_id; /* item_id: ptr NULL when there is none */
    enum stats_transport how;
    unsigned count;  /* receivers */
    unsigned blocks; /* of one; only told when blocks are counted */
};
void stats_message(struct stats *s, const struct stats_message *m);

/* connections: HTTP requests and WebSockets */

struct stats_conn {
    const void *who;    /* not NULL; for the ops; valid until the end */
    struct str address; /* the logical one, where it is not the peer's; ptr NULL: it is */
    const char *route;  /* its explicit id; NULL: none */
    unsigned slot;
    bool secure;
    bool ws; /* a WebSocket; else an HTTP request */
};

enum { STATS_ID_MAX = 64 }; /* bytes of a connection's id, the NUL included */

/* It begins. The result stands for it in the other calls; 0 only where S is NULL. */
uint32_t stats_conn_start(struct stats *s, const struct stats_conn *c);
/* An HTTP request has become a hold, or is sent to the origin again. */
void stats_conn_again(struct stats *s, uint32_t conn);
/* It ends; WHY is one of STATS_CLOSED_. *CONN becomes 0; nothing happens when it is. */
void stats_conn_end(struct stats *s, unsigned slot, uint32_t *conn, enum stats_counter why);
/* Its id, for log lines; empty when it has none that anybody could know. */
struct str stats_conn_id(const struct stats *s, uint32_t conn, char text[STATS_ID_MAX]);
/* Is there an HTTP request with this id? */
bool stats_conn_exists(const struct stats *s, struct str id);

/* subscriptions */

/* CHANNEL has N clients in this mode now. *ENTRY is the caller's to keep with the channel, 0 at first. */
void stats_sub(struct stats *s, uint32_t *entry, const void *channel, enum stats_transport mode, unsigned n);
/* The same of what has been there before anybody wanted to know: it is told in slices. */
void stats_sub_there(struct stats *s, uint32_t *entry, const void *channel, enum stats_transport mode, unsigned n);
/* CHANNEL is about to end. */
void stats_sub_gone(struct stats *s, uint32_t *entry);

const char *stats_transport_name(enum stats_transport how);

#endif
