#include "stats/parts.h"

#include <stdio.h>

/* A connection is stood for by the second of the minute in which it began, from 1 on, and its number in the table, 0
 * where it is in none:  phase << 26 | number. */
enum { NUMBER = LIVE_MAX - 1, PHASE_SHIFT = 26 };

enum {
    SECURE = 1,
    MORE = 2, /* who is a struct more */
    WS = 4
};

/* What few connections have. */
struct more {
    const void *who;
    struct str address; /* in MEMORY */
    char memory[];
};

static const struct more *
more_of(const struct live_entry *e)
{
    return e->flags & MORE ? e->who : NULL;
}

static struct more *
more_new(const struct stats_conn *c)
{
    struct more *m = mem_alloc(sizeof *m + c->address.len);
    m->who = c->who;
    m->address = str_of(memcpy(m->memory, c->address.ptr, c->address.len), c->address.len);
    return m;
}

static const void *
who_of(const struct live_entry *e)
{
    return e->flags & MORE ? more_of(e)->who : e->who;
}

/* The serial number makes it unique, the other is where it is found. */
static struct str
id_of(const struct stats_parts *p, uint32_t number, const struct live_entry *e, char text[STATS_ID_MAX])
{
    int n;
    if (e->flags & WS)
        return p->ops->ws_id(who_of(e), text);
    n = snprintf(text, STATS_ID_MAX, "connmgr:0-%u-%u", e->value, number);
    return str_of(text, n < STATS_ID_MAX ? (size_t)n : STATS_ID_MAX - 1);
}

static json_t *
begin(struct stats_parts *p, uint32_t number, const struct live_entry *e)
{
    const struct stats_group *g = stats_group(p->stats, e->slot);
    char id[STATS_ID_MAX];
    json_t *fields = emit_begin(p->emit);
    emit_add_text(p->emit, fields, "id", id_of(p, number, e, id));
    if (g->id != NULL)
        emit_add_text(p->emit, fields, "route", str_c(g->id));
    return fields;
}

static void
send_up(void *arg, uint32_t number, struct live_entry *e)
{
    struct stats_parts *p = arg;
    const struct more *m = more_of(e);
    struct str (*peer)(const void *who, char text[ADDRESS_TEXT_MAX]) = e->flags & WS ? p->ops->ws_peer : p->ops->peer;
    char text[ADDRESS_TEXT_MAX];
    struct str address;
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_CONN))
        return;
    fields = begin(p, number, e);
    emit_add_text(p->emit, fields, "type", e->flags & WS ? STR("ws") : STR("http"));
    address = m != NULL ? m->address : peer(e->who, text);
    if (address.len > 0)
        emit_add_text(p->emit, fields, "peer-address", address);
    if (e->flags & SECURE)
        emit_add_true(fields, "ssl");
    emit_add_number(fields, "ttl", p->settings.conn_ttl);
    emit_send(p->emit, EMIT_CONN, fields);
}

static void
send_down(struct stats_parts *p, uint32_t number, const struct live_entry *e)
{
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_CONN))
        return;
    fields = begin(p, number, e);
    emit_add_true(fields, "unavailable");
    emit_send(p->emit, EMIT_CONN, fields);
}

/* Its number in the table, or 0. */
static uint32_t
enter(struct stats_parts *p, const struct stats_conn *c)
{
    bool more = c->address.ptr != NULL;
    struct live_entry *e;
    uint32_t number;
    if (p->emit == NULL || !p->settings.send_conns)
        return 0;
    number = live_add(&p->conns, c->who);
    if (number == 0)
        return 0;
    e = live_at(&p->conns, number);
    if (more)
        e->who = more_new(c);
    e->value = ++p->serial;
    e->slot = (uint16_t)c->slot;
    e->flags = (uint16_t)((c->secure ? SECURE : 0) | (more ? MORE : 0) | (c->ws ? WS : 0));
    send_up(p, number, e);
    return number;
}

uint32_t
stats_conn_start(struct stats *s, const struct stats_conn *c)
{
    struct stats_parts *p;
    struct stats_group *g;
    uint32_t phase;
    if (s == NULL)
        return 0;
    p = s->parts;
    g = group_ensure(s, c->slot, c->route);
    stats_pass_seconds(p);
    phase = (uint32_t)(p->second % MINUTE);
    g->interval->begun[phase]++;
    g->n[STATS_REQUESTS]++;
    g->n[STATS_OPENED]++;
    g->n[STATS_MINUTES]++;
    if (++g->connections > g->most)
        g->most = g->connections;
    p->connections++;
    p->requests++;
    report_active(p, g, 1);
    stats_want_tick(p);
    return (phase + 1) << PHASE_SHIFT | enter(p, c);
}

void
stats_conn_again(struct stats *s, uint32_t conn)
{
    struct live_entry *e = s != NULL ? live_at(&s->parts->conns, conn & NUMBER) : NULL;
    if (e != NULL)
        send_up(s->parts, conn & NUMBER, e);
}

void
stats_conn_end(struct stats *s, unsigned slot, uint32_t *conn, enum stats_counter why)
{
    struct stats_parts *p;
    struct stats_group *g;
    struct live_entry *e;
    uint32_t number = *conn & NUMBER;
    if (s == NULL || *conn == 0)
        return;
    p = s->parts;
    g = stats_group(s, slot);
    stats_pass_seconds(p);
    g->interval->begun[(*conn >> PHASE_SHIFT) - 1]--;
    g->n[why]++;
    g->connections--;
    p->connections--;
    *conn = 0;
    e = live_at(&p->conns, number);
    if (e == NULL)
        return;
    send_down(p, number, e);
    if (e->flags & MORE)
        mem_free((void *)(uintptr_t)e->who);
    live_remove(&p->conns, number);
}

struct str
stats_conn_id(const struct stats *s, uint32_t conn, char text[STATS_ID_MAX])
{
    const struct live_entry *e = s != NULL ? live_at(&s->parts->conns, conn & NUMBER) : NULL;
    return e != NULL ? id_of(s->parts, conn & NUMBER, e, text) : STR("");
}

bool
stats_conn_exists(const struct stats *s, struct str id)
{
    const struct live_entry *e;
    struct str rest = id, part;
    char text[STATS_ID_MAX];
    uint64_t number = 0;
    while (str_split(&rest, '-', &part)) /* the last part is the number */
        if (rest.ptr == NULL && str_u64(part, &number) != 0)
            return false;
    e = s != NULL && number <= NUMBER ? live_at(&s->parts->conns, (uint32_t)number) : NULL;
    return e != NULL && !(e->flags & WS) && str_eq(id_of(s->parts, (uint32_t)number, e, text), id);
}

void
conns_init(struct stats_parts *p)
{
    live_init(&p->conns);
    refresh_init(&p->conn_refresh, p->loop, &p->conns, p->settings.conn_ttl, send_up, p);
}

void
conns_tick(struct stats_parts *p)
{
    if (p->conns.n > 0 && emit_wanted(p->emit, EMIT_CONN))
        refresh_tick(&p->conn_refresh);
}

void
conns_clear(struct stats_parts *p)
{
    refresh_stop(&p->conn_refresh);
    for (uint32_t i = 1; i < live_end(&p->conns); i++) {
        struct live_entry *e = live_at(&p->conns, i);
        if (e != NULL && e->flags & MORE)
            mem_free((void *)(uintptr_t)e->who);
    }
    live_clear(&p->conns);
}
