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

struct waiting {
    struct list items; /* of early */
};

struct seq {
    struct loop *loop; /* borrowed */
    unsigned wait;     /* ms */
    void (*deliver)(void *arg, struct channel *ch, struct item *item);
    void *arg;
    struct list by_age; /* of early; owned */
    struct timer timer; /* set while anything waits */
};

/* Take the item out of the queues; the caller has its reference. */
static struct item *
take(struct seq *s, struct early *e)
{
    struct channel *ch = e->channel;
    struct item *item = e->item;
    list_remove(&ch->waiting->items, &e->in_channel);
    list_remove(&s->by_age, &e->by_age);
    mem_free(e);
    if (list_empty(&ch->waiting->items)) {
        mem_free(ch->waiting);
        ch->waiting = NULL;
    }
    return item;
}

static struct early *
find(const struct channel *ch, struct str prev_id)
{
    if (ch->waiting == NULL)
        return NULL;
    list_each (&ch->waiting->items, node) {
        struct early *e = container_of(node, struct early, in_channel);
        if (str_eq(e->item->prev_id, prev_id))
            return e;
    }
    return NULL;
}

static void
set_last_id(struct channel *ch, struct str id)
{
    channel_forget_id(ch);
    ch->last_id = id.ptr != NULL ? shared_bytes_new(id) : NULL;
}

/* Deliver ITEM and all that follow it. Delivering starts work, it does not end channels. */
static void
release(struct seq *s, struct channel *ch, struct item *item)
{
    struct early *e;
    item_ref(item);
    for (;;) {
        set_last_id(ch, item->id);
        s->deliver(s->arg, ch, item);
        e = item->id.ptr != NULL ? find(ch, item->id) : NULL;
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
    mem_free(s);
}

static bool
keep(struct seq *s, struct channel *ch, struct item *item)
{
    struct early *e;
    if (find(ch, item->prev_id) != NULL) {
        log_debug("sequencer: already have item for channel [%.*s] depending on prev-id [%.*s], dropping",
                  STR_ARG(item->channel), STR_ARG(item->prev_id));
        return false;
    }
    if (ch->waiting != NULL && ch->waiting->items.n >= SEQ_WAITING_MAX) {
        log_debug("sequencer: too many pending items for channel [%.*s], dropping", STR_ARG(item->channel));
        return false;
    }
    if (ch->waiting == NULL) {
        ch->waiting = mem_alloc(sizeof *ch->waiting);
        list_init(&ch->waiting->items);
    }
    e = mem_zalloc(sizeof *e);
    e->channel = ch;
    e->item = item_ref(item);
    e->since = clock_now();
    list_push_back(&ch->waiting->items, &e->in_channel);
    list_push_back(&s->by_age, &e->by_age);
    if (!timer_is_set(&s->timer))
        loop_timer(s->loop, &s->timer, CHECK_MS);
    return true;
}

bool
seq_add(struct seq *s, struct channel *ch, struct item *item)
{
    if (ch->last_id != NULL && item->prev_id.ptr != NULL &&
        !str_eq(str_of(ch->last_id->data, ch->last_id->len), item->prev_id))
        return keep(s, ch, item);
    release(s, ch, item);
    return true;
}

void
seq_channel_gone(struct seq *s, struct channel *ch)
{
    while (ch->waiting != NULL)
        item_unref(take(s, container_of(list_first(&ch->waiting->items), struct early, in_channel)));
}
