/* channel.h - who is listening to what.
 *
 *   channels --"room-1"--> channel == subs[kind] ==> [ sub, sub, (hole), sub ]
 *                                                      ^ sub->index
 *
 * An array for each kind of hold, since a message goes to all holds of one kind: walking it touches no list pointers.
 * Leaving is O(1): the last one takes the place, or, while messages are on their way, a hole is left, so that who came
 * before a message was published stays in front of its mark and who came later behind it.
 *
 * A channel lives while it has a subscription, and for a linger time after the last response hold has left. */
#ifndef PUB_CHANNEL_H
#define PUB_CHANNEL_H

#include "base/map.h"
#include "io/loop.h"
#include "pub/hold.h"

struct channels;
struct outbox;  /* messages on their way to the holds of one kind; see pub/fanout */
struct waiting; /* items that wait for their predecessors; see pub/seq */

struct subs {
    struct sub **at; /* owned; NULL entries are holes */
    uint32_t n;      /* used entries, holes included */
    uint32_t cap;
    uint32_t live;         /* subscriptions */
    struct outbox *outbox; /* owned by the fan-out; what leaves while there is one is a hole */
};

struct channel {
    struct map_node node;   /* in channels; node.key is the name */
    struct channels *table; /* borrowed */
    struct subs subs[FORMAT_KINDS];
    struct shared_bytes *last_id; /* owned; id of the item delivered last, NULL: unknown. See pub/seq */
    struct waiting *waiting;      /* owned by pub/seq; NULL when nothing waits */
    struct timer *linger;         /* owned; exists while the channel lingers or its first second runs */
    uint32_t counted;             /* of stats: its entry there; the listener's, 0 at first */
    bool first_second;            /* LINGER runs for the update after the first subscription */
    char name[];
};

struct channels_ops {
    /* A channel has got its first subscription, or lost its last (linger included). */
    void (*on_first)(void *arg, struct str name);
    void (*on_last)(void *arg, struct channel *ch);
    /* A subscription ends of which deliveries wait in the limiter. */
    void (*on_dropped)(void *arg, struct sub *sub);
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

/* Subscribe H; the sub of an earlier call when it is subscribed already. */
struct sub *channels_subscribe(struct channels *t, struct hold *h, struct str name);
void channels_unsubscribe(struct sub *sub);

/* The id of the last item is no longer known. */
void channel_forget_id(struct channel *ch);
/* Holds of that kind. */
unsigned channel_receivers(const struct channel *ch, enum format_kind kind);

/* Call CB for every hold of every channel, once for each subscription. It must not change the table: what it starts
 * happens later. */
void channels_each_hold(struct channels *t, void (*cb)(struct hold *h, void *arg), void *arg);
void channels_each(struct channels *t, void (*cb)(struct channel *ch, void *arg), void *arg);

/* Close up the holes. MARKS, N of them and never falling, are numbers of entries at the front: they follow. */
void subs_compact(struct subs *s, uint32_t *marks, unsigned n_marks);
static inline uint32_t
subs_holes(const struct subs *s)
{
    return s->n - s->live;
}
/* The outbox is gone: what left in the meantime is compacted away. */
void subs_settle(struct channel *ch, enum format_kind kind);

#endif
