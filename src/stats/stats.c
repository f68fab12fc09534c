#include "stats/stats.h"

#include "base/clock.h"
#include "stats/parts.h"

/* us; the last bucket of a histogram has no bound */
static const uint32_t bounds[STATS_BUCKETS] = {100,   250,    500,    1000,   2500,    5000,    10000,   25000,
                                               50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

static const char *const transports[STATS_TRANSPORTS] = {"http-response", "http-stream", "ws-message"};

const char *
stats_transport_name(enum stats_transport how)
{
    return transports[how];
}

uint32_t
stats_bucket_bound(unsigned i)
{
    return bounds[i];
}

/* groups */

static struct stats_group *
group_new(const char *id)
{
    struct stats_group *g = mem_zalloc(sizeof *g);
    g->interval = mem_zalloc(sizeof *g->interval);
    g->interval->since = clock_now();
    g->id = id != NULL ? mem_strdup(id) : NULL;
    return g;
}

struct stats_group *
group_ensure(struct stats *s, unsigned slot, const char *id)
{
    if (slot == 0 || id == NULL)
        return s->groups[0];
    if (slot >= s->n_groups) {
        s->groups = mem_realloc(s->groups, (slot + 1) * sizeof(struct stats_group *));
        while (s->n_groups <= slot)
            s->groups[s->n_groups++] = s->groups[0];
    }
    if (s->groups[slot] == s->groups[0])
        s->groups[slot] = group_new(id);
    return s->groups[slot];
}

static void
groups_free(struct stats *s)
{
    for (unsigned i = s->n_groups; i-- > 0;) {
        struct stats_group *g = s->groups[i];
        if (i > 0 && g == s->groups[0])
            continue;
        mem_free(g->interval);
        mem_free(g->id);
        mem_free(g);
    }
    mem_free(s->groups);
}

/* counting */

void
stats_observe(struct stats_histogram *h, uint64_t us, uint64_t n)
{
    unsigned i = 0;
    while (i < STATS_BUCKETS && us > bounds[i])
        i++;
    h->n[i] += n;
    h->sum += us * n;
}

void
stats_origin_answer(struct stats *s, unsigned slot, int status, uint64_t us)
{
    if (s == NULL)
        return;
    stats_add(s, slot, status < 100 || status > 599 ? STATS_ORIGIN_OTHER : STATS_ORIGIN_1XX + status / 100 - 1, 1);
    stats_observe(&stats_group(s, slot)->origin, us, 1);
}

/* time */

void
stats_pass_seconds(struct stats_parts *p)
{
    uint64_t now = clock_now() / 1000;
    if (p->connections == 0)
        p->second = now;
    while (p->second < now) {
        unsigned phase = (unsigned)(++p->second % MINUTE);
        groups_each (p->stats, g)
            g->n[STATS_MINUTES] += g->interval->begun[phase];
    }
}

/* Only for what is told to somebody: the seconds themselves are passed whenever a figure is changed or asked for. */
static bool
needs_tick(const struct stats_parts *p)
{
    return (p->connections > 0 && emit_wanted(p->emit, EMIT_CONN)) ||
           (p->subs.n > 0 && emit_wanted(p->emit, EMIT_SUB)) || p->subs_on;
}

void
stats_want_tick(struct stats_parts *p)
{
    if (!timer_is_set(&p->tick) && needs_tick(p))
        loop_timer(p->loop, &p->tick, 1000 - clock_now() % 1000);
}

static void
on_tick(struct timer *t)
{
    struct stats_parts *p = container_of(t, struct stats_parts, tick);
    stats_pass_seconds(p);
    conns_tick(p);
    subs_tick(p);
    stats_want_tick(p);
}

/* beginning and end */

static void
on_wanted(void *arg, enum emit_type type)
{
    if (type == EMIT_SUB)
        subs_wanted(arg);
    stats_want_tick(arg);
}

struct stats *
stats_new(struct loop *l, struct zcontext *c, const struct stats_settings *settings, const struct stats_ops *ops,
          void *arg, struct err *e)
{
    struct stats *s = mem_zalloc(sizeof *s);
    struct stats_parts *p = s->parts = mem_zalloc(sizeof *p);
    s->groups = mem_alloc(sizeof(struct stats_group *));
    s->groups[0] = group_new(NULL);
    s->n_groups = 1;
    p->stats = s;
    p->loop = l;
    p->settings = *settings;
    p->settings.spec = NULL;
    p->ops = ops;
    p->arg = arg;
    p->second = clock_now() / 1000;
    timer_init(&p->tick, on_tick);
    conns_init(p);
    subs_init(p);
    report_init(p);
    if (settings->spec == NULL || *settings->spec == '\0')
        return s;
    p->emit = emit_new(l, c, settings->spec, settings->ipc_mode, settings->json, on_wanted, p, e);
    if (p->emit != NULL)
        return s;
    stats_free(s);
    return NULL;
}

static void
stats_reap(void *ptr)
{
    struct stats *s = ptr;
    groups_free(s);
    mem_free(s->parts);
    mem_free(s);
}

void
stats_free(struct stats *s)
{
    struct stats_parts *p = s->parts;
    loop_timer_stop(p->loop, &p->tick);
    report_stop(p);
    conns_clear(p);
    subs_clear(p);
    if (p->emit != NULL)
        emit_free(p->emit);
    loop_reap(p->loop, s, stats_reap);
}
