#include "pub/limit.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

enum { PERIOD_MS = 25, WARN_MS = 1000 };

struct action {
    struct list_node node;
    struct sub *sub; /* borrowed: limit_forget() takes it out */
    struct msg *msg; /* reference held */
    unsigned weight;
};

struct bucket {
    struct list actions; /* of struct action; owned */
    int64_t queued;      /* weight of all that waits */
    double tokens;       /* what may be delivered now; below 0 after a heavy one */
    uint64_t filled_at;  /* ms */
    uint64_t warned_at;  /* ms; 0: never */
    unsigned dropped;    /* since the last warning */
    char *route_id;      /* owned; of the explicit kind, for the warning; NULL: none */
};

struct limit {
    struct loop *loop; /* borrowed */
    struct limit_settings settings;
    void (*deliver)(void *arg, struct sub *sub, struct msg *m);
    void *arg;
    struct bucket **buckets; /* by route slot; owned, NULL entries */
    unsigned n_buckets;
    unsigned next;  /* the bucket whose turn is first */
    size_t waiting; /* actions in all buckets */
    struct timer timer;
    struct task task;    /* for the first ones, that need not wait */
    struct timer warner; /* set while there are dropped ones that no warning has told of */
};

static double
batch(const struct limit *l)
{
    int64_t n = ((int64_t)l->settings.rate * PERIOD_MS + 999) / 1000;
    return n > 1 ? (double)n : 1;
}

static void
action_free(struct bucket *b, struct action *a)
{
    list_remove(&b->actions, &a->node);
    b->queued -= a->weight;
    msg_unref(a->msg);
    mem_free(a);
}

static void
fill(struct limit *l, struct bucket *b)
{
    uint64_t now = clock_now();
    b->tokens += (double)(now - b->filled_at) * l->settings.rate / 1000;
    if (b->tokens > 2 * batch(l)) /* a late timer may make good for one period */
        b->tokens = 2 * batch(l);
    b->filled_at = now;
}

static void
run_bucket(struct limit *l, struct bucket *b)
{
    fill(l, b);
    while (b->tokens >= 1 && !list_empty(&b->actions)) {
        struct action *a = container_of(list_first(&b->actions), struct action, node);
        struct sub *sub = a->sub;
        struct msg *m = msg_ref(a->msg);
        b->tokens -= a->weight;
        sub->actions--;
        l->waiting--;
        action_free(b, a);
        l->deliver(l->arg, sub, m);
        msg_unref(m);
    }
}

static void
run(struct limit *l)
{
    unsigned period = l->settings.rate >= 1000 / PERIOD_MS ? PERIOD_MS : 1000 / (unsigned)l->settings.rate;
    l->next++;
    for (unsigned i = 0; i < l->n_buckets; i++) {
        struct bucket *b = l->buckets[(l->next + i) % l->n_buckets];
        if (b != NULL)
            run_bucket(l, b);
    }
    if (l->waiting > 0)
        loop_timer(l->loop, &l->timer, period);
}

static void
on_timer(struct timer *t)
{
    run(container_of(t, struct limit, timer));
}

static void
on_task(struct task *t)
{
    run(container_of(t, struct limit, task));
}

static void
warn(const struct limit *l, struct bucket *b)
{
    const char *id = b->route_id;
    char more[48] = "";
    if (b->dropped > 1)
        snprintf(more, sizeof more, " (%u since the last warning)", b->dropped);
    log_warn("exceeded publish hwm (%d)%s%s, dropping message%s", l->settings.hwm, id != NULL ? " for route " : "",
             id != NULL ? id : "", more);
    b->warned_at = clock_now();
    b->dropped = 0;
}

static void
on_warner(struct timer *t)
{
    struct limit *l = container_of(t, struct limit, warner);
    bool more = false;
    for (unsigned i = 0; i < l->n_buckets; i++) {
        struct bucket *b = l->buckets[i];
        if (b == NULL || b->dropped == 0)
            continue;
        if (clock_now() - b->warned_at >= WARN_MS)
            warn(l, b);
        else
            more = true;
    }
    if (more)
        loop_timer(l->loop, t, WARN_MS);
}

/* One line a second and route tells how many were dropped since the last. */
static void
drop(struct limit *l, struct bucket *b, const struct route *route)
{
    b->dropped++;
    if (b->route_id == NULL && route != NULL && route->explicit_id)
        b->route_id = mem_strdup(route->id);
    if (b->warned_at == 0 || clock_now() - b->warned_at >= WARN_MS)
        warn(l, b);
    else if (!timer_is_set(&l->warner))
        loop_timer(l->loop, &l->warner, WARN_MS);
}

struct limit *
limit_new(struct loop *loop, const struct limit_settings *settings,
          void (*deliver)(void *arg, struct sub *sub, struct msg *m), void *arg)
{
    struct limit *l = mem_zalloc(sizeof *l);
    l->loop = loop;
    l->settings = *settings;
    l->deliver = deliver;
    l->arg = arg;
    timer_init(&l->timer, on_timer);
    task_init(&l->task, on_task);
    timer_init(&l->warner, on_warner);
    return l;
}

void
limit_free(struct limit *l)
{
    loop_timer_stop(l->loop, &l->timer);
    loop_timer_stop(l->loop, &l->warner);
    loop_cancel(l->loop, &l->task);
    for (unsigned i = 0; i < l->n_buckets; i++) {
        struct bucket *b = l->buckets[i];
        if (b == NULL)
            continue;
        while (!list_empty(&b->actions))
            action_free(b, container_of(list_first(&b->actions), struct action, node));
        mem_free(b->route_id);
        mem_free(b);
    }
    mem_free(l->buckets);
    mem_free(l);
}

bool
limit_active(const struct limit *l)
{
    return l->settings.rate > 0;
}

static struct bucket *
bucket_of(struct limit *l, unsigned slot)
{
    if (slot >= l->n_buckets) {
        l->buckets = mem_realloc(l->buckets, (slot + 1) * sizeof(struct bucket *));
        while (l->n_buckets <= slot)
            l->buckets[l->n_buckets++] = NULL;
    }
    if (l->buckets[slot] == NULL) {
        struct bucket *b = l->buckets[slot] = mem_zalloc(sizeof *b);
        list_init(&b->actions);
        b->tokens = batch(l);
        b->filled_at = clock_now();
    }
    return l->buckets[slot];
}

static unsigned
weight_of(const struct limit *l, const struct msg *m)
{
    unsigned n = l->settings.block_size > 0 ? msg_blocks(m->item, m->format, l->settings.block_size) : 1;
    return n > 0 ? n : 1;
}

bool
limit_add(struct limit *l, struct sub *sub, struct msg *m)
{
    struct bucket *b = bucket_of(l, sub->hold->route != NULL ? sub->hold->route->slot : 0);
    unsigned weight = weight_of(l, m);
    struct action *a;
    if (l->settings.hwm > 0 && b->queued + weight > l->settings.hwm) {
        drop(l, b, sub->hold->route);
        return false;
    }
    a = mem_alloc(sizeof *a);
    a->sub = sub;
    a->msg = msg_ref(m);
    a->weight = weight;
    list_push_back(&b->actions, &a->node);
    b->queued += weight;
    sub->actions++;
    l->waiting++;
    if (!timer_is_set(&l->timer))
        loop_later(l->loop, &l->task);
    return true;
}

void
limit_forget(struct limit *l, struct sub *sub)
{
    struct bucket *b = bucket_of(l, sub->hold->route != NULL ? sub->hold->route->slot : 0);
    list_each_safe (&b->actions, node, after) {
        struct action *a = container_of(node, struct action, node);
        if (sub->actions == 0)
            break;
        if (a->sub != sub)
            continue;
        sub->actions--;
        l->waiting--;
        action_free(b, a);
    }
}

void
limit_move(struct limit *l, struct sub *from, struct sub *to)
{
    unsigned slot = from->hold->route != NULL ? from->hold->route->slot : 0;
    struct bucket *b = bucket_of(l, slot);
    if (slot != (to->hold->route != NULL ? to->hold->route->slot : 0))
        return; /* they stay, and are forgotten with FROM */
    list_each (&b->actions, node) {
        struct action *a = container_of(node, struct action, node);
        if (a->sub == from)
            a->sub = to;
    }
    to->actions += from->actions;
    from->actions = 0;
}
