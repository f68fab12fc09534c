#include "pub/limit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/slab.h"

#include <stdio.h>

enum {
    PERIOD_MS = 25,    /* between two turns while a rate holds something back */
    SLICE_US = 1000,   /* what others wait at most for their turn */
    SLICE = 2048,      /* deliveries in one turn, at most */
    TURN = 32,         /* deliveries of one route before it is another's turn, and between two looks at the clock */
    LINES_KEPT = 4096, /* beyond these the array is given back when nothing waits */
    WARN_MS = 1000     /* between two warnings about one route */
};

/* A delivery that waits. All of a subscription are in one bucket, so the first of a subscription's is the first of them
 * in the bucket. */
struct action {
    struct list_node node;
    struct action *next; /* of the same subscription */
    struct sub *sub;     /* borrowed: limit_forget() takes it out */
    struct msg *msg;     /* reference held */
    unsigned weight;
};

/* A subscription of which deliveries wait; it has the number in sub->limited. */
struct line {
    struct action *first, *last; /* NULL: unused */
    uint32_t n;                  /* of actions; unused: the number of the next unused one */
};

struct bucket {
    struct list_node in_busy; /* while something waits */
    struct list actions;      /* of struct action; owned */
    int64_t queued;           /* weight of all that waits */
    double tokens;            /* what may be delivered now; below 0 after a heavy one */
    uint64_t filled_at;       /* ms */
    uint64_t warned_at;       /* ms; 0: never */
    unsigned dropped;         /* since the last warning */
    char *route_id;           /* owned; of the explicit kind, for the warning; NULL: none */
};

struct limit {
    struct loop *loop; /* borrowed */
    struct limit_settings settings;
    void (*deliver)(void *arg, struct sub *sub, struct msg *m);
    void *arg;
    struct bucket **buckets; /* by route slot; owned, NULL entries */
    unsigned n_buckets;
    struct list busy;   /* of bucket; the first has the next turn */
    struct line *lines; /* owned; number 0 is used for nothing */
    uint32_t n_lines, unused;
    struct timer timer;
    struct task task;    /* something may be delivered now */
    struct timer warner; /* set while there are dropped ones that no warning has told of */
    bool hurrying;       /* at no rate any more */
};

static double
batch(const struct limit *l)
{
    int64_t n = ((int64_t)l->settings.rate * PERIOD_MS + 999) / 1000;
    return n > 1 ? (double)n : 1;
}

/* what waits of a subscription */

static uint32_t
take_line(struct limit *l)
{
    uint32_t number = l->unused;
    if (number != 0) {
        l->unused = l->lines[number].n;
        l->lines[number].n = 0;
        return number;
    }
    if ((l->n_lines & (l->n_lines - 1)) == 0)
        l->lines = mem_realloc(l->lines, (l->n_lines > 0 ? 2 * (size_t)l->n_lines : 2) * sizeof *l->lines);
    if (l->n_lines == 0)
        l->n_lines = 1;
    l->lines[l->n_lines] = (struct line){NULL, NULL, 0};
    return l->n_lines++;
}

static void
give_line(struct limit *l, struct sub *sub)
{
    l->lines[sub->limited] = (struct line){NULL, NULL, l->unused};
    l->unused = sub->limited;
    sub->limited = 0;
}

static void
append(struct limit *l, struct action *a)
{
    struct line *line;
    if (a->sub->limited == 0)
        a->sub->limited = take_line(l);
    line = &l->lines[a->sub->limited];
    if (line->last != NULL)
        line->last->next = a;
    else
        line->first = a;
    line->last = a;
    line->n++;
}

/* Take the subscription's first out of everything. */
static void
action_end(struct limit *l, struct bucket *b, struct action *a)
{
    struct line *line = &l->lines[a->sub->limited];
    line->first = a->next;
    if (--line->n == 0)
        give_line(l, a->sub);
    list_remove(&b->actions, &a->node);
    b->queued -= a->weight;
    if (list_empty(&b->actions))
        list_remove(&l->busy, &b->in_busy);
    if (list_empty(&l->busy) && l->n_lines > LINES_KEPT) {
        mem_free(l->lines);
        l->lines = NULL;
        l->n_lines = l->unused = 0;
    }
    msg_unref(a->msg);
    slab_free(a, sizeof *a);
}

/* delivering */

static void
fill(struct limit *l, struct bucket *b)
{
    uint64_t now = clock_now();
    b->tokens += (double)(now - b->filled_at) * l->settings.rate / 1000;
    if (b->tokens > 2 * batch(l)) /* a late timer may make good for one period */
        b->tokens = 2 * batch(l);
    b->filled_at = now;
}

static bool
may_deliver(const struct limit *l, const struct bucket *b)
{
    return !list_empty(&b->actions) && (b->tokens >= 1 || l->hurrying);
}

/* A route's turn. Returns the number of deliveries. */
static unsigned
run_bucket(struct limit *l, struct bucket *b)
{
    unsigned n = 0;
    fill(l, b);
    while (n < TURN && may_deliver(l, b)) {
        struct action *a = container_of(list_first(&b->actions), struct action, node);
        struct sub *sub = a->sub;
        struct msg *m = msg_ref(a->msg);
        b->tokens -= a->weight;
        action_end(l, b, a);
        l->deliver(l->arg, sub, m);
        msg_unref(m);
        n++;
    }
    return n;
}

/* One route after the other, until none may have more now (true) or the turn has lasted long enough. */
static bool
run(struct limit *l)
{
    uint64_t deadline = clock_exact_us() + SLICE_US;
    unsigned done = 0;
    size_t idle = 0; /* turns in which nothing was delivered */
    while (!list_empty(&l->busy) && idle < l->busy.n) {
        struct bucket *b = container_of(list_first(&l->busy), struct bucket, in_busy);
        unsigned n;
        list_remove(&l->busy, &b->in_busy);
        list_push_back(&l->busy, &b->in_busy);
        n = run_bucket(l, b);
        idle = n > 0 ? 0 : idle + 1;
        done += n;
        if (done >= SLICE || (n > 0 && clock_exact_us() >= deadline))
            return false;
    }
    return true;
}

static void
serve(struct limit *l)
{
    unsigned period = l->settings.rate >= 1000 / PERIOD_MS ? PERIOD_MS : 1000 / (unsigned)l->settings.rate;
    if (!run(l))
        loop_later(l->loop, &l->task);
    else if (!list_empty(&l->busy))
        loop_timer(l->loop, &l->timer, period);
}

static void
on_timer(struct timer *t)
{
    serve(container_of(t, struct limit, timer));
}

static void
on_task(struct task *t)
{
    serve(container_of(t, struct limit, task));
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

struct limit *
limit_new(struct loop *loop, const struct limit_settings *settings,
          void (*deliver)(void *arg, struct sub *sub, struct msg *m), void *arg)
{
    struct limit *l = mem_zalloc(sizeof *l);
    l->loop = loop;
    l->settings = *settings;
    l->deliver = deliver;
    l->arg = arg;
    list_init(&l->busy);
    timer_init(&l->timer, on_timer);
    task_init(&l->task, on_task);
    timer_init(&l->warner, on_warner);
    return l;
}

void
limit_free(struct limit *l)
{
    loop_timer_stop(l->loop, &l->timer);
    loop_cancel(l->loop, &l->task);
    loop_timer_stop(l->loop, &l->warner);
    for (unsigned i = 0; i < l->n_buckets; i++) {
        struct bucket *b = l->buckets[i];
        while (b != NULL && !list_empty(&b->actions))
            action_end(l, b, container_of(list_first(&b->actions), struct action, node));
        if (b != NULL)
            mem_free(b->route_id);
        mem_free(b);
    }
    mem_free(l->buckets);
    mem_free(l->lines);
    mem_free(l);
}

bool
limit_active(const struct limit *l)
{
    return l->settings.rate > 0;
}

bool
limit_busy(const struct limit *l)
{
    return !list_empty(&l->busy);
}

void
limit_hurry(struct limit *l)
{
    l->hurrying = true;
    loop_timer_stop(l->loop, &l->timer);
    if (limit_busy(l))
        loop_later(l->loop, &l->task);
}

unsigned
limit_waiting(const struct limit *l, const struct sub *sub)
{
    return sub->limited != 0 ? l->lines[sub->limited].n : 0;
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
    a = slab_alloc(sizeof *a);
    a->sub = sub;
    a->msg = msg_ref(m);
    a->weight = weight;
    if (list_empty(&b->actions))
        list_push_back(&l->busy, &b->in_busy);
    list_push_back(&b->actions, &a->node);
    b->queued += weight;
    append(l, a);
    if (l->hurrying || !timer_is_set(&l->timer))
        loop_later(l->loop, &l->task);
    return true;
}

void
limit_forget(struct limit *l, struct sub *sub)
{
    struct bucket *b = bucket_of(l, sub->hold->route != NULL ? sub->hold->route->slot : 0);
    while (sub->limited != 0)
        action_end(l, b, l->lines[sub->limited].first);
}

void
limit_move(struct limit *l, struct sub *from, struct sub *to)
{
    const struct route *route = from->hold->route, *other = to->hold->route;
    if (from->limited == 0 || to->limited != 0 ||
        (route != NULL ? route->slot : 0) != (other != NULL ? other->slot : 0))
        return; /* they stay, and are forgotten with FROM */
    for (struct action *a = l->lines[from->limited].first; a != NULL; a = a->next)
        a->sub = to;
    to->limited = from->limited;
    from->limited = 0;
}
