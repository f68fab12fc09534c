/* wsconnbase.h - what the files about an endpoint on a connection share.
 *
 *   wsconn.c      its beginning, its time, its end; the set of all
 *   wsconnsend.c  the table of ws_ops: pieces of messages -> frames -> conn_sendv()
 *   wsconnread.c  bytes of the conn -> frames -> the user's on_message, on_control, on_close
 *
 * An endpoint belongs to itself, and to the set when its user has left; it is freed when the turn of wsconn_end() is
 * over. */
#ifndef WS_WSCONNBASE_H
#define WS_WSCONNBASE_H

#include "base/clock.h"
#include "ws/wsconn.h"

/* drawn in wsconn.h */
enum wsconn_state { WSCONN_OPEN, WSCONN_CLOSING, WSCONN_LINGER, WSCONN_CLOSED };

/* What only some connections need, some of the time. */
struct wsconn_more {
    struct wsconn *owner;
    struct list_node apart; /* in set->apart, since nobody is joined */
    struct wsframe reader;  /* amid a frame or a message, or with a context; see READING */
    bool reading;
    struct task task; /* reads what is pending */
    struct buf pending;
    struct wsdeflater *deflater; /* owned; while a message of several pieces is sent */
};

struct wsconn {
    struct conn conn;         /* first: on_data and so on find the wsconn with container_of() */
    struct ws ws;             /* what a delivery looks at lies close together */
    struct wsconns *set;      /* borrowed */
    struct wsconn_more *more; /* owned; NULL while it is not needed */
    uint32_t active_at;       /* s of the monotonic clock: last traffic */
    uint8_t state;            /* enum wsconn_state */
    uint8_t bits;             /* compression of what we send; 0: none */
    bool client : 1;          /* the role: we mask */
    bool their_context : 1;   /* compressed messages of the peer may refer to earlier ones */
    bool paused : 1;
    bool pinged : 1;    /* our ping is not answered yet */
    struct timer timer; /* activity, ping, close or linger time */
};

enum { WSCONN_KEYS = 1024 };

struct wsconns {
    struct loop *loop; /* borrowed */
    struct wsconns_settings settings;
    struct list apart;        /* of wsconn_more; owned */
    size_t n;                 /* endpoints */
    size_t clients;           /* of them in the server's role */
    struct wsdeflater *spare; /* owned; for messages of one piece; NULL before the first */
    struct buf packed;        /* where they are compressed */
    /* Random bytes for masks, fetched together: the last KEYS_LEFT of them have not been used. */
    unsigned char keys[WSCONN_KEYS];
    unsigned keys_left;
};

static inline struct wsconn *
wsconn_of(const struct ws *w)
{
    return container_of(w, struct wsconn, ws);
}

static inline uint32_t
wsconn_seconds(void)
{
    return (uint32_t)(clock_now() / 1000);
}

/* wsconn.c */

extern const struct str wsconn_ping_text; /* what our pings say, so that we know the answers */
/* Close now, without a word. */
void wsconn_end(struct wsconn *c);
/* Tell the user, who is parted. */
void wsconn_part(struct wsconn *c, const char *why);
/* Both close frames are out, or there will be no other: let the peer read ours. */
void wsconn_linger(struct wsconn *c);
struct wsconn_more *wsconn_need_more(struct wsconn *c);
/* Nobody is joined any more. */
void wsconn_set_apart(struct wsconn *c);
/* Free it if nothing in it is needed. */
void wsconn_settle_more(struct wsconn *c);

/* wsconnsend.c */

extern const struct ws_ops wsconn_ops;
/* OWNER as in struct conn_piece. */
void wsconn_send_frame(struct wsconn *c, struct wsframe_spec *spec, struct str payload, struct shared *owner);
/* Unless one was sent. */
void wsconn_send_close(struct wsconn *c, int code, struct str reason);

/* wsconnread.c */

/* The task of struct wsconn_more. */
void wsconn_read_pending(struct task *t);

#endif
