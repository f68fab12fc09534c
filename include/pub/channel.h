/* channel.h - who is listening to what.
 *
 *   channels --"room-1"--> channel == crowd[kind] ==> sub                                one, or none
 *                                                 ==> subs ==> [ sub, sub, (hole), sub ]   more
 *                                                                ^ sub->index
 *
 * An array for each kind of hold, since a message goes to all holds of one kind: walking it touches no list pointers.
 * Leaving is O(1): the last one takes the place, or, while messages are on their way, a hole is left, so that who came
 * before a message was published stays in front of its mark and who came later behind it.
 *
 * A channel lives while it has a subscription, and for a linger time after the last response hold has left. Most
 * channels of a large table have one subscriber or linger with none: these are 128 bytes, id and name included. */
#ifndef PUB_CHANNEL_H
#define PUB_CHANNEL_H

#include "base/map.h"
#include "io/loop.h"
#include "pub/hold.h"

struct channels;
struct outbox; /* messages on their way to the holds of one kind; see pub/fanout */

struct subs {
    struct sub **at; /* owned; NULL entries are holes */
    uint32_t n;      /* used entries, holes included */
    uint32_t cap;
    uint32_t live;         /* subscriptions */
    struct outbox *outbox; /* owned by the fan-out; what leaves while there is one is a hole */
};

enum { CHANNEL_ID_NEAR = 16, CHANNEL_ID_FAR = 254, CHANNEL_ID_NONE = 255 };

struct channel {
    struct map_node node;   /* in channels; node.key is the name */
    struct channels *table; /* borrowed */
    union crowd {
        struct sub *one;   /* borrowed; NULL: nobody */
        struct subs *many; /* owned; while there are two, or an outbox */
    } crowd[FORMAT_KINDS];
    union {
        char near[CHANNEL_ID_NEAR];
        struct shared_bytes *far; /* owned */
    } last_id;                    /* of the item delivered last; see channel_last_id() */
    struct list_node in_line;     /* in one of the table's lines: the channel lingers, or its first second runs */
    uint32_t due;                 /* ms, its low 32 bits; when the line lets it go */
    uint32_t counted;             /* of stats: its entry there; the listener's, 0 at first */
    uint8_t id_len;               /* bytes of last_id.near; CHANNEL_ID_FAR: it is far; CHANNEL_ID_NONE: unknown */
    uint8_t many;                 /* bit (1 << kind): crowd[kind] is many */
    bool first_second : 1; /* IN_LINE for the update of its holds: of a new channel, or of one that is recovered */
    bool waited : 1;       /* of pub/seq: items wait for their predecessors */
    uint8_t era;           /* of the table when the last id was set; it is unknown in another */
    char name[];
};

struct channels_ops {
    /* A channel has got its first subscription, or lost its last (linger included). */
    void (*on_first)(void *arg, struct str name);
    void (*on_last)(void *arg, struct channel *ch);
    /* A subscription ends of which deliveries wait in the limiter. */
    void (*on_dropped)(void *arg, struct sub *sub);
    /* They are for another subscription of the channel from now on. */
    void (*on_moved)(void *arg, struct sub *from, struct sub *to);
    /* The number of subscriptions of one kind has changed. */
    void (*on_count)(void *arg, struct channel *ch, enum format_kind kind);
};

struct channels_settings {
    unsigned linger;      /* s that a channel stays after its last response hold */
    bool update_on_first; /* update all HTTP holds of a channel a second after its first subscription */
};

struct channels *channels_new(struct loop *l, const struct channels_settings *settings);
void channels_free(struct channels *t);
/* One listener for first and last; see main. */
void channels_listen(struct channels *t, const struct channels_ops *ops, void *arg);

/* NULL when nobody is, or lingers, there. */
struct channel *channels_find(struct channels *t, struct str name);
size_t channels_count(const struct channels *t);
/* Is any hold on more than one channel? */
bool channels_overlap(const struct channels *t);

/* Subscribe H; the sub of an earlier call when it is subscribed already. */
struct sub *channels_subscribe(struct channels *t, struct hold *h, struct str name);
void channels_unsubscribe(struct sub *sub);
/* What is on its way to FROM reaches TO, a newer subscription of the same channel and kind, and FROM no more. */
void channels_move(struct sub *from, struct sub *to);

/* The id of the item delivered last, valid until it changes; ptr NULL: unknown. */
struct str channel_last_id(const struct channel *ch);
void channel_set_last_id(struct channel *ch, struct str id);
/* It is no longer known. */
static inline void
channel_forget_id(struct channel *ch)
{
    channel_set_last_id(ch, str_of(NULL, 0));
}
/* Holds of that kind. */
unsigned channel_receivers(const struct channel *ch, enum format_kind kind);
/* The subscriptions of that kind, *N entries with holes, to walk over; valid until somebody comes or goes. */
static inline struct sub *const *
channel_subs(const struct channel *ch, enum format_kind kind, uint32_t *n)
{
    const union crowd *c = &ch->crowd[kind];
    bool many = (ch->many & 1 << kind) != 0;
    *n = many ? c->many->n : c->one != NULL;
    return many ? c->many->at : &c->one;
}

/* Forget all last ids, at once, and have the HTTP holds of all channels updated, which takes its time. */
void channels_recover(struct channels *t);

/* By name; for pub/walk. */
struct map *channels_map(struct channels *t);

/* The array of that kind, made when there is none yet: for an outbox, that must end in subs_settle(). */
struct subs *subs_of(struct channel *ch, enum format_kind kind);
/* Close up the holes. MARKS, N of them and never falling, are numbers of entries at the front: they follow. */
void subs_compact(struct subs *s, uint32_t *marks, unsigned n_marks);
static inline uint32_t
subs_holes(const struct subs *s)
{
    return s->n - s->live;
}
/* The outbox is gone: what left in the meantime is compacted away, and the array with it when one is enough. */
void subs_settle(struct channel *ch, enum format_kind kind);

#endif
