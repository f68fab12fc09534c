#include "pub/seq.h"

#include "base/clock.h"
#include "base/log.h"

enum { CHECK_MS = 1000 };

struct early {
    struct list_node in_channel; /* in order of arrival */
    struct list_node by_age;     /* of all channels, oldest first */
    struct channel *channel;     /* borrowed */
    struct item *item;           /* reference held */
    uint64_t since;              /* ms */
};

/* Of a channel in which something waits; few do, so it is found by name and costs the others nothing. */
struct waiting {
    struct map_node node; /* in seq->waiting; its key is the channel's own name */
    struct list items;    /* of early */
};

struct seq {
    struct loop *loop; /* borrowed */
    unsigned wait;     /* ms */
    void (*deliver)(void *arg, struct channel *ch, struct item *item);
    void *arg;
    struct map waiting; /* of struct waiting; owned. Exactly the channels that are WAITED for are in it */
    struct list by_age; /* of early; owned */
    struct timer timer; /* set while anything waits */
};

/* What waits in CH; NULL: nothing. */
static struct waiting *
waiting_in(const struct seq *s, const struct channel *ch)
{
    return ch->waited ? container_of(map_find(&s->waiting, ch->node.key), struct waiting, node) : NULL;
}

static struct waiting *
waiting_new(struct seq *s, struct channel *ch)
{
    struct waiting *w = mem_zalloc(sizeof *w);
    list_init(&w->items);
    w->node.key = ch->node.key;
    map_add(&s->waiting, &w->node);
    ch->waited = true;
    return w;
}

/* Take the item out of the queues; the caller has its reference. */
static struct item *
take(struct seq *s, struct early *e)
{
    struct channel *ch = e->channel;
    struct waiting *w = waiting_in(s, ch);
    struct item *item = e->item;
    list_remove(&w->items, &e->in_channel);
    list_remove(&s->by_age, &e->by_age);
    mem_free(e);
    if (list_empty(&w->items)) {
        map_remove(&s->waiting, &w->node);
        mem_free(w);
        ch->waited = false;
    }
    return item;
}

static struct early *
find(const struct waiting *w, struct str prev_id)
{
    if (w == NULL)
        return NULL;
    list_each (&w->items, node) {
        struct early *e = container_of(node, struct early, in_channel);
        if (str_eq(e->item->prev_id, prev_id))
            return e;
    }
    return NULL;
}

/* Deliver ITEM and all that follow it. Delivering starts work, it does not end channels. */
static void
release(struct seq *s, struct channel *ch, struct item *item)
{
    struct early *e;
    item_ref(item);
    for (;;) {
        channel_set_last_id(ch, item->id);
        s->deliver(s->arg, ch, item);
        e = item->id.ptr != NULL ? find(waiting_in(s, ch), item->id) : NULL;
        item_unref(item);
        if (e == NULL)
            return;
        item = take(s, e);
    }
}

static void
on_timer(struct timer *t)
{
    struct seq *s = container_of(t, struct seq, timer);
    uint64_t now = clock_now();
    while (!list_empty(&s->by_age)) {
        struct early *e = container_of(list_first(&s->by_age), struct early, by_age);
        struct channel *ch = e->channel;
        struct item *item;
        if (now - e->since < s->wait)
            break;
        item = take(s, e);
        log_debug("timing out item channel=[%.*s] id=[%.*s]", STR_ARG(item->channel), STR_ARG(item->id));
        release(s, ch, item);
        item_unref(item);
    }
    if (!list_empty(&s->by_age))
        loop_timer(s->loop, t, CHECK_MS);
}

struct seq *
seq_new(struct loop *l, unsigned wait, void (*deliver)(void *arg, struct channel *ch, struct item *item), void *arg)
{
    struct seq *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->wait = wait;
    s->deliver = deliver;
    s->arg = arg;
    map_init(&s->waiting);
    list_init(&s->by_age);
    timer_init(&s->timer, on_timer);
    return s;
}

void
seq_free(struct seq *s)
{
    loop_timer_stop(s->loop, &s->timer);
    while (!list_empty(&s->by_age))
        item_unref(take(s, container_of(list_first(&s->by_age), struct early, by_age)));
    map_clear(&s->waiting);
    mem_free(s);
}

static bool
keep(struct seq *s, struct channel *ch, struct item *item)
{
    struct waiting *w = waiting_in(s, ch);
    struct early *e;
    if (find(w, item->prev_id) != NULL) {
        log_debug("sequencer: already have item for channel [%.*s] depending on prev-id [%.*s], dropping",
                  STR_ARG(item->channel), STR_ARG(item->prev_id));
        return false;
    }
    if (w != NULL && w->items.n >= SEQ_WAITING_MAX) {
        log_debug("sequencer: too many pending items for channel [%.*s], dropping", STR_ARG(item->channel));
        return false;
    }
    if (w == NULL)
        w = waiting_new(s, ch);
    e = mem_zalloc(sizeof *e);
    e->channel = ch;
    e->item = item_ref(item);
    e->since = clock_now();
    list_push_back(&w->items, &e->in_channel);
    list_push_back(&s->by_age, &e->by_age);
    if (!timer_is_set(&s->timer))
        loop_timer(s->loop, &s->timer, CHECK_MS);
    return true;
}

bool
seq_add(struct seq *s, struct channel *ch, struct item *item)
{
    struct str last = channel_last_id(ch);
    if (last.ptr != NULL && item->prev_id.ptr != NULL && !str_eq(last, item->prev_id))
        return keep(s, ch, item);
    release(s, ch, item);
    return true;
}

void
seq_channel_gone(struct seq *s, struct channel *ch)
{
    while (ch->waited)
        item_unref(take(s, container_of(list_first(&waiting_in(s, ch)->items), struct early, in_channel)));
}
