#include "pub/fanout.h"

#include "base/clock.h"
#include "pub/filter.h"

enum {
    SLICE_US = 1000,      /* what others wait at most for their turn */
    CHECK_EVERY = 32,     /* deliveries between two looks at the clock */
    FULL_MESSAGES = 1000, /* that are on their way, all channels together: publishers wait */
    FULL_BYTES = 4 << 20,
    HOLES_MAX = 1024, /* holes that a busy outbox leaves in an array from one pass to the next */
    AHEAD = 1         /* deliveries between two steps of fetching what the next ones need into the cache */
};

struct outbox {
    struct list_node node;   /* in fanout->busy */
    uint64_t key;            /* which is sorted by this: the number of its oldest message, or of when it was put back */
    struct channel *channel; /* borrowed; NULL once it is gone */
    struct subs *subs;       /* borrowed: of the channel and kind; stays while the outbox does */
    enum format_kind kind;
    struct msg **msgs; /* owned array of references */
    uint64_t *numbers; /* owned; of the messages, as they came */
    uint32_t *marks;   /* owned; entry i of the subs gets msgs[j] when i < marks[j]; never falls with j */
    unsigned n, cap;   /* messages */
    unsigned pass;     /* messages that this pass delivers; 0: no pass has begun */
    unsigned first;    /* the first of them that the sub at INDEX still gets */
    bool check;        /* some of them are for certain filters only */
    uint32_t index;    /* of the next sub */
};

struct fanout {
    struct loop *loop;   /* borrowed */
    struct limit *limit; /* owned */
    struct task task;
    struct stats *stats;    /* borrowed; NULL: nothing is counted */
    int block_size;         /* > 0: blocks are counted */
    size_t frame_max;       /* bytes of a WebSocket's frame; 0: any number */
    struct list busy;       /* of outbox; in turn */
    uint64_t numbers;       /* of messages, and of turns */
    struct outbox *current; /* being worked on */
    size_t messages, bytes; /* on their way in all outboxes */
    bool full;
    void (*on_full)(void *arg, bool full); /* NULL: nobody waits */
    void *on_full_arg;
};

/* Deliveries that were made one after the other, to holds that count in one group, of the same messages: counted
 * together. */
struct run {
    unsigned group;
    unsigned first; /* of the messages */
    unsigned n;     /* deliveries of each */
};

static inline unsigned
group_of(const struct sub *sub)
{
    return sub->hold->route != NULL ? sub->hold->route->slot : 0;
}

/* What a hold is given through its filters; references. */
struct passed {
    struct msg *msgs[16];
    unsigned n;
};

static void
hand_over(struct sub *sub, struct passed *p)
{
    if (p->n > 0)
        sub->hold->ops->deliver(sub, p->msgs, p->n);
    for (unsigned i = 0; i < p->n; i++)
        msg_unref(p->msgs[i]);
    p->n = 0;
}

static void
count_sent(struct fanout *f, unsigned group, struct msg *const *msgs, unsigned n_msgs, unsigned n)
{
    enum format_kind kind = msgs[0]->format->kind;
    stats_add(f->stats, group, STATS_SENT + kind, (uint64_t)n_msgs * n);
    for (unsigned i = 0; i < n_msgs && f->block_size > 0; i++)
        stats_add(f->stats, group, STATS_BLOCKS_SENT,
                  (uint64_t)msg_blocks(msgs[i]->item, msgs[i]->format, f->block_size) * n);
}

/* NOW: us; about when the last of them was written. */
static void
count_run(struct fanout *f, const struct outbox *ob, struct run *run, uint64_t now)
{
    unsigned n_msgs = ob->pass - run->first;
    if (f->stats != NULL && run->n > 0 && n_msgs > 0) {
        count_sent(f, run->group, ob->msgs + run->first, n_msgs, run->n);
        stats_delivered(f->stats, run->group, (enum stats_transport)ob->kind, now - ob->msgs[run->first]->at,
                        n_msgs * run->n);
    }
    run->n = 0;
}

static void
deliver_filtered(struct fanout *f, struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct passed p = {.n = 0};
    struct hold *h = sub->hold; /* its memory stays until the turn ends; closed, it has no subs */
    for (unsigned i = 0; i < n; i++) {
        struct err e;
        enum filter_result result = filter_message(sub, msgs[i], &p.msgs[p.n], &e);
        if (result == FILTER_PASS)
            p.n++;
        else
            stats_add(f->stats, group_of(sub), STATS_DROPPED_FILTER, 1);
        if (p.n < countof(p.msgs) && (result != FILTER_FAIL || h->ops->unfiltered == NULL))
            continue;
        hand_over(sub, &p);
        if (h->subs == NULL)
            return;
        if (result != FILTER_FAIL || h->ops->unfiltered == NULL)
            continue;
        h->ops->unfiltered(sub, e.text);
        if (h->subs == NULL)
            return;
    }
    hand_over(sub, &p);
}

/* CHECK: some of the messages are for certain filters only. */
static inline void
deliver(struct fanout *f, struct sub *sub, struct msg *const *msgs, unsigned n, bool check)
{
    if ((check || (sub->more != NULL && sub->more->n_filters > 0)) && !sub->hold->filters_itself)
        deliver_filtered(f, sub, msgs, n);
    else
        sub->hold->ops->deliver(sub, msgs, n);
}

static void
deliver_limited(void *arg, struct sub *sub, struct msg *m)
{
    struct fanout *f = arg;
    unsigned group = group_of(sub);
    deliver(f, sub, &m, 1, m->format->content_filters != NULL);
    stats_delivered(f->stats, group, (enum stats_transport)m->format->kind, clock_exact_us() - m->at, 1);
}

static void
add_limited(struct fanout *f, struct sub *sub, struct msg *const *msgs, unsigned n)
{
    if (f->stats != NULL)
        count_sent(f, group_of(sub), msgs, n, 1);
    for (unsigned i = 0; i < n; i++)
        if (!limit_add(f->limit, sub, msgs[i]))
            stats_add(f->stats, group_of(sub), STATS_DROPPED_RATE, 1);
}

static void
set_full(struct fanout *f, bool full)
{
    if (f->full == full)
        return;
    f->full = full;
    if (f->on_full != NULL)
        f->on_full(f->on_full_arg, full);
}

static void
count(struct fanout *f, const struct msg *m)
{
    f->messages++;
    f->bytes += m->format->content_len;
    if (f->messages > FULL_MESSAGES || f->bytes > FULL_BYTES)
        set_full(f, true);
}

/* The first N messages of the outbox have reached everyone. */
static void
drop_messages(struct fanout *f, struct outbox *ob, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        f->messages--;
        f->bytes -= ob->msgs[i]->format->content_len;
        msg_unref(ob->msgs[i]);
    }
}

static void
outbox_free(struct fanout *f, struct outbox *ob)
{
    list_remove(&f->busy, &ob->node);
    drop_messages(f, ob, ob->n);
    mem_free(ob->msgs);
    mem_free(ob->numbers);
    mem_free(ob->marks);
    mem_free(ob);
}

/* A hold's sub mostly lies inside it, and what it reaches its client through spans two cache lines.
 * Inlined by force: gcc takes a function that only fetches ahead for one without effect, and drops the call. */
__attribute__((always_inline)) static inline void
look_ahead(const struct subs *s, uint32_t i, uint32_t end)
{
    const struct sub *sub;
    if (i + 2 * AHEAD < end && (sub = s->at[i + 2 * AHEAD]) != NULL) {
        __builtin_prefetch(sub);
        __builtin_prefetch((const char *)sub - 64);
    }
    if (i + AHEAD < end && (sub = s->at[i + AHEAD]) != NULL) {
        const char *client = sub->hold->client;
        __builtin_prefetch(client - 64);
        __builtin_prefetch(client);
        __builtin_prefetch(client + 64);
    }
}

static void
end_pass(struct fanout *f, struct outbox *ob)
{
    drop_messages(f, ob, ob->pass);
    ob->n -= ob->pass;
    memmove(ob->msgs, ob->msgs + ob->pass, ob->n * sizeof(struct msg *));
    memmove(ob->numbers, ob->numbers + ob->pass, ob->n * sizeof *ob->numbers);
    memmove(ob->marks, ob->marks + ob->pass, ob->n * sizeof *ob->marks);
    ob->pass = ob->first = 0;
    ob->index = 0;
    if (subs_holes(ob->subs) > HOLES_MAX)
        subs_compact(ob->subs, ob->marks, ob->n);
}

/* Where a client listens to several channels, a pass takes no message that is younger than one in another outbox. */
static void
begin_pass(const struct fanout *f, struct outbox *ob)
{
    struct list_node *next = ob->node.next;
    uint64_t end = UINT64_MAX;
    if (next != &f->busy.head && channels_overlap(ob->channel->table))
        end = container_of(next, struct outbox, node)->key;
    ob->check = false;
    for (ob->pass = 0; ob->pass < ob->n && (ob->pass == 0 || ob->numbers[ob->pass] < end); ob->pass++)
        ob->check = ob->check || ob->msgs[ob->pass]->format->content_filters != NULL;
}

/* Its turn comes after those of the outboxes that are older than KEY. */
static void
put_back(struct fanout *f, struct outbox *ob, uint64_t key)
{
    struct list_node *at = &f->busy.head;
    list_remove(&f->busy, &ob->node);
    ob->key = key;
    while (at->prev != &f->busy.head && container_of(at->prev, struct outbox, node)->key > key)
        at = at->prev;
    list_insert_before(&f->busy, at, &ob->node);
}

enum work { WORK_DONE, WORK_WAITS, WORK_TIME_UP };

/* A pass is over. true: the outbox is empty, or others have their turn first. */
static bool
is_done(struct fanout *f, struct outbox *ob)
{
    end_pass(f, ob);
    if (ob->n > 0 && channels_overlap(ob->channel->table))
        put_back(f, ob, ob->numbers[0]);
    return ob->n == 0 || list_first(&f->busy) != &ob->node;
}

static enum work
finish(struct fanout *f, struct outbox *ob)
{
    if (ob->n > 0)
        return WORK_WAITS;
    subs_settle(ob->channel, ob->kind);
    outbox_free(f, ob);
    return WORK_DONE;
}

/* Deliver until the outbox is empty, and gone, until it waits for others or until the time is up. */
static enum work
work(struct fanout *f, struct outbox *ob, uint64_t deadline)
{
    struct subs *s = ob->subs;
    struct run run = {.n = 0};
    uint64_t now = deadline - SLICE_US;
    unsigned done = 0;
    while (ob->n > 0) {
        uint32_t end;
        if (ob->pass == 0)
            begin_pass(f, ob);
        end = ob->marks[ob->pass - 1];
        while (ob->index < end) {
            uint32_t i = ob->index++;
            struct sub *sub = s->at[i];
            look_ahead(s, i, end);
            if (sub == NULL)
                continue;
            while (ob->marks[ob->first] <= i)
                ob->first++;
            if (run.first != ob->first || run.group != group_of(sub)) {
                count_run(f, ob, &run, now);
                run = (struct run){.group = group_of(sub), .first = ob->first};
            }
            run.n++;
            deliver(f, sub, ob->msgs + ob->first, ob->pass - ob->first, ob->check);
            if (ob->channel == NULL) {
                count_run(f, ob, &run, now);
                outbox_free(f, ob);
                return WORK_DONE;
            }
            if (++done % CHECK_EVERY == 0) {
                now = clock_exact_us();
                count_run(f, ob, &run, now);
                if (now >= deadline)
                    return WORK_TIME_UP;
            }
        }
        now = clock_exact_us();
        count_run(f, ob, &run, now);
        if (is_done(f, ob))
            break;
    }
    return finish(f, ob);
}

/* The same by way of the limiter, and apart, so that nobody pays for a limit that there is not. */
static enum work
work_limited(struct fanout *f, struct outbox *ob, uint64_t deadline)
{
    unsigned done = 0;
    do {
        if (ob->pass == 0)
            begin_pass(f, ob);
        while (ob->index < ob->marks[ob->pass - 1]) {
            struct sub *sub = ob->subs->at[ob->index++];
            while (ob->marks[ob->first] < ob->index)
                ob->first++;
            if (sub != NULL)
                add_limited(f, sub, ob->msgs + ob->first, ob->pass - ob->first);
            if (++done % CHECK_EVERY == 0 && clock_exact_us() >= deadline)
                return WORK_TIME_UP;
        }
    } while (!is_done(f, ob));
    return finish(f, ob);
}

static void
on_task(struct task *t)
{
    struct fanout *f = container_of(t, struct fanout, task);
    uint64_t deadline = clock_exact_us() + SLICE_US;
    bool limited = limit_active(f->limit);
    while (!list_empty(&f->busy)) {
        struct outbox *ob = container_of(list_first(&f->busy), struct outbox, node);
        enum work done;
        f->current = ob;
        done = limited ? work_limited(f, ob, deadline) : work(f, ob, deadline);
        if (done == WORK_TIME_UP && !limited) /* the others have their turn first */
            put_back(f, ob, ++f->numbers);
        if (done == WORK_TIME_UP || (!list_empty(&f->busy) && clock_exact_us() >= deadline)) {
            loop_later(f->loop, &f->task);
            break;
        }
    }
    f->current = NULL;
    if (f->messages <= FULL_MESSAGES / 2 && f->bytes <= FULL_BYTES / 2)
        set_full(f, false);
}

struct fanout *
fanout_new(struct loop *l, const struct limit_settings *limits)
{
    struct fanout *f = mem_zalloc(sizeof *f);
    f->loop = l;
    f->limit = limit_new(l, limits, deliver_limited, f);
    f->block_size = limits->block_size;
    task_init(&f->task, on_task);
    list_init(&f->busy);
    return f;
}

void
fanout_free(struct fanout *f)
{
    loop_cancel(f->loop, &f->task);
    while (!list_empty(&f->busy)) {
        struct outbox *ob = container_of(list_first(&f->busy), struct outbox, node);
        subs_settle(ob->channel, ob->kind);
        outbox_free(f, ob);
    }
    limit_free(f->limit);
    mem_free(f);
}

void
fanout_set_stats(struct fanout *f, struct stats *s)
{
    f->stats = s;
}

void
fanout_set_frame_max(struct fanout *f, size_t frame_max)
{
    f->frame_max = frame_max;
}

static void
add_message(struct fanout *f, struct channel *ch, enum format_kind kind, struct msg *m)
{
    struct subs *s = subs_of(ch, kind);
    struct outbox *ob = s->outbox;
    if (ob == NULL) {
        ob = s->outbox = mem_zalloc(sizeof *ob);
        ob->channel = ch;
        ob->subs = s;
        ob->kind = kind;
        ob->key = f->numbers + 1;
        list_push_back(&f->busy, &ob->node);
        loop_later(f->loop, &f->task);
    }
    if (ob->n == ob->cap) {
        ob->cap = ob->cap > 0 ? ob->cap * 2 : 4;
        ob->msgs = mem_realloc(ob->msgs, ob->cap * sizeof(struct msg *));
        ob->numbers = mem_realloc(ob->numbers, ob->cap * sizeof *ob->numbers);
        ob->marks = mem_realloc(ob->marks, ob->cap * sizeof *ob->marks);
    }
    ob->msgs[ob->n] = msg_ref(m);
    ob->numbers[ob->n] = ++f->numbers;
    ob->marks[ob->n++] = s->n;
    count(f, m);
}

void
fanout_item(struct fanout *f, struct channel *ch, struct item *item)
{
    for (int kind = 0; kind < FORMAT_KINDS; kind++) {
        struct msg *m;
        if (item->formats[kind] == NULL || channel_receivers(ch, kind) == 0)
            continue;
        m = msg_new(item, kind, f->frame_max);
        add_message(f, ch, kind, m);
        msg_unref(m);
    }
}

void
fanout_channel_gone(struct fanout *f, struct channel *ch)
{
    for (int kind = 0; kind < FORMAT_KINDS; kind++) {
        struct outbox *ob = ch->many & 1 << kind ? ch->crowd[kind].many->outbox : NULL;
        if (ob == NULL)
            continue;
        ch->crowd[kind].many->outbox = NULL;
        ob->channel = NULL;
        if (ob != f->current)
            outbox_free(f, ob);
    }
}

void
fanout_sub_gone(struct fanout *f, struct sub *sub)
{
    limit_forget(f->limit, sub);
}

void
fanout_sub_moved(struct fanout *f, struct sub *from, struct sub *to)
{
    limit_move(f->limit, from, to);
}

void
fanout_on_full(struct fanout *f, void (*cb)(void *arg, bool full), void *arg)
{
    f->on_full = cb;
    f->on_full_arg = arg;
}

bool
fanout_full(const struct fanout *f)
{
    return f->full;
}

bool
fanout_busy(const struct fanout *f)
{
    return !list_empty(&f->busy) || limit_busy(f->limit);
}

void
fanout_hurry(struct fanout *f)
{
    limit_hurry(f->limit);
}
