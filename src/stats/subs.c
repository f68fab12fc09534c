#include "base/clock.h"
#include "stats/parts.h"

/* flags of an entry; its value is the second when a lingering one ends */
enum {
    ANNOUNCED = 1, /* << mode: the last message said that it is there */
    DIRTY = 8,     /* << mode: its number has changed since */
    LINGERING = 64,
    QUEUED = 128 /* in PENDING */
};

enum { SLICE = 128 }; /* pending ones that are looked at in one turn */

static void
send_sub(struct stats_parts *p, const struct live_entry *e, enum stats_transport mode, bool up)
{
    static const struct str names[STATS_TRANSPORTS] = {{"response", 8}, {"stream", 6}, {"ws", 2}};
    struct str channel;
    unsigned n;
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_SUB))
        return;
    n = p->ops->subscribers(e->who, mode, &channel);
    fields = emit_begin(p->emit);
    emit_add_text(p->emit, fields, "channel", channel);
    emit_add_text(p->emit, fields, "mode", names[mode]);
    if (up) {
        emit_add_number(fields, "subscribers", n);
        emit_add_number(fields, "ttl", p->settings.sub_ttl);
    } else {
        emit_add_true(fields, "unavailable");
    }
    emit_send(p->emit, EMIT_SUB, fields);
}

static void
queue(struct stats_parts *p, uint32_t number, struct live_entry *e)
{
    struct pending *q = &p->pending;
    if (e->flags & QUEUED)
        return;
    e->flags |= QUEUED;
    if (q->n == q->cap) {
        q->cap = q->cap > 0 ? 2 * q->cap : 64;
        q->at = mem_realloc(q->at, q->cap * sizeof *q->at);
    }
    q->at[q->n++] = number;
}

static void
come(struct stats_parts *p, uint32_t number, struct live_entry *e, enum stats_transport mode)
{
    bool lingering = mode == STATS_HTTP_RESPONSE && (e->flags & LINGERING) != 0;
    bool known = (e->flags & ANNOUNCED << mode) != 0 && !lingering;
    e->flags |= (uint16_t)(ANNOUNCED << mode);
    if (lingering)
        e->flags &= (uint16_t)~LINGERING;
    if (!known && !p->telling) {
        send_sub(p, e, mode, true);
        return;
    }
    e->flags |= (uint16_t)(DIRTY << mode);
    queue(p, number, e);
}

static void
go(struct stats_parts *p, struct live_entry *e, enum stats_transport mode)
{
    if ((e->flags & ANNOUNCED << mode) == 0)
        return;
    send_sub(p, e, mode, false);
    e->flags &= (uint16_t) ~((ANNOUNCED | DIRTY) << mode);
}

void
stats_sub(struct stats *s, uint32_t *entry, const void *channel, enum stats_transport mode, unsigned n)
{
    struct stats_parts *p;
    struct live_entry *e;
    if (s == NULL || !s->parts->subs_on || (*entry == 0 && n == 0))
        return;
    p = s->parts;
    if (*entry == 0)
        *entry = live_add(&p->subs, channel);
    e = live_at(&p->subs, *entry);
    if (e == NULL)
        return;
    stats_want_tick(p);
    if (n > 0) {
        come(p, *entry, e, mode);
    } else if (mode != STATS_HTTP_RESPONSE || p->settings.sub_linger == 0) {
        go(p, e, mode);
    } else if (e->flags & ANNOUNCED << mode) {
        e->value = (uint32_t)(clock_now() / 1000) + p->settings.sub_linger + 1;
        e->flags |= LINGERING;
        queue(p, *entry, e);
    }
}

/* All at once would stop the loop: they are sent from the next tick on. */
void
stats_sub_there(struct stats *s, uint32_t *entry, const void *channel, enum stats_transport mode, unsigned n)
{
    if (s == NULL)
        return;
    s->parts->telling = true;
    stats_sub(s, entry, channel, mode, n);
    s->parts->telling = false;
}

void
stats_sub_gone(struct stats *s, uint32_t *entry)
{
    struct live_entry *e = s != NULL ? live_at(&s->parts->subs, *entry) : NULL;
    if (e == NULL)
        return;
    for (enum stats_transport mode = 0; mode < STATS_TRANSPORTS; mode++)
        go(s->parts, e, mode);
    live_remove(&s->parts->subs, *entry);
    *entry = 0;
}

/* true: it stays pending. */
static bool
settle(struct stats_parts *p, struct live_entry *e)
{
    for (enum stats_transport mode = 0; mode < STATS_TRANSPORTS; mode++)
        if (e->flags & DIRTY << mode)
            send_sub(p, e, mode, true);
    e->flags &= (uint16_t) ~(DIRTY * 7);
    if (e->flags & LINGERING) {
        if (clock_now() / 1000 < e->value)
            return true;
        go(p, e, STATS_HTTP_RESPONSE);
    }
    e->flags &= (uint16_t) ~(QUEUED | LINGERING);
    return false;
}

static void
on_pending(struct task *t)
{
    struct stats_parts *p = container_of(t, struct stats_parts, pending.task);
    struct pending *q = &p->pending;
    for (unsigned i = 0; i < SLICE && q->next < q->end; i++) {
        uint32_t number = q->at[q->next++];
        struct live_entry *e = live_at(&p->subs, number);
        if (e != NULL && (e->flags & QUEUED) && settle(p, e)) /* else it has gone meanwhile */
            q->at[q->kept++] = number;
    }
    if (q->next < q->end) {
        loop_later(p->loop, &q->task);
        return;
    }
    memmove(q->at + q->kept, q->at + q->end, (q->n - q->end) * sizeof *q->at); /* what came meanwhile */
    q->n -= q->end - q->kept;
    q->next = q->kept = q->end = 0;
}

static void
settle_pending(struct stats_parts *p)
{
    struct pending *q = &p->pending;
    if (q->end > 0 || q->n == 0)
        return;
    q->end = q->n;
    loop_later(p->loop, &q->task);
}

static void
on_refresh(void *arg, uint32_t number, struct live_entry *e)
{
    (void)number;
    for (enum stats_transport mode = 0; mode < STATS_TRANSPORTS; mode++)
        if (e->flags & ANNOUNCED << mode)
            send_sub(arg, e, mode, true);
}

void
subs_init(struct stats_parts *p)
{
    live_init(&p->subs);
    refresh_init(&p->sub_refresh, p->loop, &p->subs, p->settings.sub_ttl, on_refresh, p);
    task_init(&p->pending.task, on_pending);
}

void
subs_wanted(struct stats_parts *p)
{
    p->subs_on = true;
    p->ops->tell_subs(p->arg);
}

void
subs_tick(struct stats_parts *p)
{
    if (!emit_wanted(p->emit, EMIT_SUB)) {
        p->subs_on = false;
        return;
    }
    settle_pending(p);
    if (p->subs.n > 0)
        refresh_tick(&p->sub_refresh);
}

void
subs_clear(struct stats_parts *p)
{
    refresh_stop(&p->sub_refresh);
    loop_cancel(p->loop, &p->pending.task);
    mem_free(p->pending.at);
    p->pending = (struct pending){.at = NULL};
    live_clear(&p->subs);
}
