#include "stats/parts.h"

#include <stdio.h>

/* A connection is stood for by the second of the minute in which it began, from 1 on, and its number in the table, 0
 * where it is in none:  phase << 26 | number. */
enum { NUMBER = LIVE_MAX - 1, PHASE_SHIFT = 26, NUMBER_DIGITS = 7 /* hexadecimal ones */ };

enum {
    SECURE = 1,
    MORE = 2 /* who is a struct more */
};

/* What few connections have. */
struct more {
    const void *who;
    struct str id, address; /* ptr NULL: as usual; in MEMORY */
    char memory[];
};

static const struct more *
more_of(const struct live_entry *e)
{
    return e->flags & MORE ? e->who : NULL;
}

static struct more *
more_new(const struct stats_conn *c, uint32_t number)
{
    struct more *m = mem_zalloc(sizeof *m + c->id.len + c->address.len);
    m->who = c->who;
    if (c->id.len > 0)
        m->id = str_of(memcpy(m->memory, c->id.ptr, c->id.len), c->id.len);
    for (size_t i = 0; c->made && i < NUMBER_DIGITS && i < c->id.len; i++)
        m->memory[c->id.len - 1 - i] = "0123456789abcdef"[number >> 4 * i & 15];
    if (c->address.ptr != NULL)
        m->address = str_of(memcpy(m->memory + c->id.len, c->address.ptr, c->address.len), c->address.len);
    return m;
}

/* The serial number makes it unique, the other is where it is found. */
static struct str
id_of(const struct live_entry *e, uint32_t number, char text[STATS_ID_MAX])
{
    const struct more *m = more_of(e);
    int n;
    if (m != NULL && m->id.len > 0)
        n = snprintf(text, STATS_ID_MAX, "%.*s", STR_ARG(m->id));
    else
        n = snprintf(text, STATS_ID_MAX, "connmgr:0-%u-%u", e->value, number);
    return str_of(text, n < STATS_ID_MAX ? (size_t)n : STATS_ID_MAX - 1);
}

static json_t *
begin(struct stats_parts *p, uint32_t number, const struct live_entry *e)
{
    const struct stats_group *g = stats_group(p->stats, e->slot);
    char id[STATS_ID_MAX];
    json_t *fields = emit_begin(p->emit);
    emit_add_text(p->emit, fields, "id", id_of(e, number, id));
    if (g->id != NULL)
        emit_add_text(p->emit, fields, "route", str_c(g->id));
    return fields;
}

static void
send_up(void *arg, uint32_t number, struct live_entry *e)
{
    struct stats_parts *p = arg;
    const struct more *m = more_of(e);
    char text[ADDRESS_TEXT_MAX];
    struct str address;
    json_t *fields;
    if (!emit_wanted(p->emit, EMIT_CONN))
        return;
    fields = begin(p, number, e);
    emit_add_text(p->emit, fields, "type", m != NULL && m->id.len > 0 ? STR("ws") : STR("http"));
    address = m != NULL && m->address.ptr != NULL ? m->address : p->ops->peer(m != NULL ? m->who : e->who, text);
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
    bool more = c->id.len > 0 || c->address.ptr != NULL;
    struct live_entry *e;
    uint32_t number;
    if (p->emit == NULL || !p->settings.send_conns)
        return 0;
    number = live_add(&p->conns, c->who);
    if (number == 0)
        return 0;
    e = live_at(&p->conns, number);
    if (more)
        e->who = more_new(c, number);
    e->value = ++p->serial;
    e->slot = (uint16_t)c->slot;
    e->flags = (uint16_t)((c->secure ? SECURE : 0) | (more ? MORE : 0));
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
    return e != NULL ? id_of(e, conn & NUMBER, text) : STR("");
}

/* The number is the last part of an id of ours, or the end of one that was made for a WebSocket. */
uint32_t
stats_conn_find(const struct stats *s, struct str id)
{
    const struct live_entry *e;
    char text[STATS_ID_MAX];
    uint64_t number = 0;
    size_t at = id.len;
    if (str_starts(id, STR("connmgr:"))) {
        while (id.ptr[at - 1] != '-' && id.ptr[at - 1] != ':')
            at--;
        if (str_u64(str_from(id, at), &number) != 0)
            return 0;
    } else if (id.len < NUMBER_DIGITS || str_hex(str_from(id, id.len - NUMBER_DIGITS), &number) != 0) {
        return 0;
    }
    e = s != NULL && number <= NUMBER ? live_at(&s->parts->conns, (uint32_t)number) : NULL;
    return e != NULL && str_eq(id_of(e, (uint32_t)number, text), id) ? (uint32_t)number : 0;
}

bool
stats_conn_is(uint32_t conn, uint32_t found)
{
    return (conn & NUMBER) == found;
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
