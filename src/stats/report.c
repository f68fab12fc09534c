#include "base/clock.h"
#include "stats/counters.h"
#include "stats/parts.h"

enum { ACTIVITY_MS = 200 };

void
report_active(struct stats_parts *p, struct stats_group *g, unsigned n)
{
    struct stats_interval *i = g->interval;
    i->activity += n;
    if (!i->active) {
        i->active = true;
        if (g->id != NULL)
            i->since = clock_now();
    }
    if (p->emit != NULL && !timer_is_set(&p->activity))
        loop_timer(p->loop, &p->activity, ACTIVITY_MS);
}

void
stats_activity(struct stats *s, unsigned slot, unsigned n)
{
    if (s != NULL)
        report_active(s->parts, stats_group(s, slot), n);
}

void
stats_item(struct stats *s, unsigned blocks)
{
    stats_add(s, 0, STATS_RECEIVED, 1);
    stats_add(s, 0, STATS_BLOCKS_RECEIVED, blocks);
}

void
stats_message(struct stats *s, const struct stats_message *m)
{
    struct stats_parts *p = s != NULL ? s->parts : NULL;
    json_t *fields;
    if (p == NULL || !emit_wanted(p->emit, EMIT_MESSAGE))
        return;
    fields = emit_begin(p->emit);
    emit_add_text(p->emit, fields, "channel", m->channel);
    if (m->item_id.ptr != NULL)
        emit_add_text(p->emit, fields, "item-id", m->item_id);
    emit_add_number(fields, "count", m->count);
    emit_add_text(p->emit, fields, "transport", str_c(stats_transport_name(m->how)));
    if (p->settings.block_size > 0)
        emit_add_number(fields, "blocks", (uint64_t)m->blocks * m->count);
    emit_send(p->emit, EMIT_MESSAGE, fields);
}

/* activity and counts */

static void
send_activity(struct stats_parts *p, const struct stats_group *g)
{
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_ACTIVITY))
        return;
    fields = emit_begin(p->emit);
    if (g->id != NULL)
        emit_add_text(p->emit, fields, "route", str_c(g->id));
    emit_add_number(fields, "count", g->interval->activity);
    emit_send(p->emit, EMIT_ACTIVITY, fields);
}

static void
send_counts(struct stats_parts *p)
{
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_COUNTS))
        return;
    fields = emit_begin(p->emit);
    emit_add_number(fields, "requests-received", p->requests);
    emit_send(p->emit, EMIT_COUNTS, fields);
}

static void
on_activity(struct timer *t)
{
    struct stats_parts *p = container_of(t, struct stats_parts, activity);
    groups_each (p->stats, g) {
        if (g->interval->activity > 0)
            send_activity(p, g);
        g->interval->activity = 0;
    }
    if (p->requests > 0)
        send_counts(p);
    p->requests = 0;
}

/* reports */

/* The counter's neighbours of the same key are added up. */
static void
add_counters(const struct stats_parts *p, const struct stats_group *g, json_t *fields)
{
    for (unsigned i = 0; i < STATS_COUNTERS;) {
        const char *key = counters[i].report;
        unsigned first = i;
        uint64_t n = 0;
        do {
            n += g->n[i] - g->interval->reported[i];
            i++;
        } while (key != NULL && i < STATS_COUNTERS && counters[i].report != NULL &&
                 strcmp(counters[i].report, key) == 0);
        if (key == NULL || (first == STATS_RECEIVED && g->id != NULL))
            continue;
        if ((first == STATS_BLOCKS_RECEIVED || first == STATS_BLOCKS_SENT) && (n == 0 || p->settings.block_size == 0))
            continue;
        emit_add_number(fields, key, n);
    }
}

static void
send_report(struct stats_parts *p, const struct stats_group *g)
{
    const enum stats_counter responses = STATS_SENT + STATS_HTTP_RESPONSE;
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_REPORT))
        return;
    fields = emit_begin(p->emit);
    if (g->id != NULL)
        emit_add_text(p->emit, fields, "route", str_c(g->id));
    emit_add_number(fields, "connections", g->most);
    emit_add_number(fields, "duration", clock_now() - g->interval->since);
    emit_add_number(fields, "http-response-sent", g->n[responses] - g->interval->reported[responses]);
    add_counters(p, g, fields);
    emit_send(p->emit, EMIT_REPORT, fields);
}

static void
on_report(struct timer *t)
{
    struct stats_parts *p = container_of(t, struct stats_parts, report);
    stats_pass_seconds(p);
    groups_each (p->stats, g) {
        struct stats_interval *i = g->interval;
        if (g->id != NULL && !i->active)
            continue;
        send_report(p, g);
        memcpy(i->reported, g->n, sizeof i->reported);
        i->since = clock_now();
        i->active = g->connections > 0 || g->most > 0;
        g->most = g->connections;
    }
    loop_timer(p->loop, t, (uint64_t)p->settings.report_interval * 1000);
}

void
report_init(struct stats_parts *p)
{
    timer_init(&p->activity, on_activity);
    timer_init(&p->report, on_report);
    if (p->settings.report_interval > 0)
        loop_timer(p->loop, &p->report, (uint64_t)p->settings.report_interval * 1000);
}

void
report_stop(struct stats_parts *p)
{
    if (timer_is_set(&p->activity)) {
        loop_timer_stop(p->loop, &p->activity);
        on_activity(&p->activity);
    }
    loop_timer_stop(p->loop, &p->report);
}
