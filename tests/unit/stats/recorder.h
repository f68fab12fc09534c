/* recorder.h - stats on a fake clock, its socket replaced by a record of what was sent. */
#ifndef TESTS_STATS_RECORDER_H
#define TESTS_STATS_RECORDER_H

#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "stats/stats.h"

#include <stdio.h>
#include <unistd.h>

enum { START = 1000000 }; /* ms; the first second of a minute's 40th */

static struct loop *loop;
static struct stats *stats;
static struct stats_settings settings;
static struct buf sent; /* a line for each message, "handler_PID" cut to "PID" */
static const struct zsock_ops *zsock_ops;
static void *zsock_arg;

/* the socket */

struct zsock *
zsock_new(struct zcontext *c, struct loop *l, enum zsock_type type, const struct zsock_options *options,
          const struct zsock_ops *ops, void *arg, struct err *e)
{
    CHECK(c == NULL && l == loop && e != NULL);
    CHECK_INT(type, ZSOCK_XPUB);
    CHECK_INT(options->send_hwm, 200000);
    zsock_ops = ops;
    zsock_arg = arg;
    return (struct zsock *)&sent;
}

int
zsock_bind(struct zsock *z, const char *spec, struct err *e)
{
    CHECK(z == (struct zsock *)&sent);
    if (strcmp(spec, "taken") != 0)
        return 0;
    err_set(e, "unable to bind to taken");
    return -1;
}

void
zsock_close(struct zsock *z)
{
    CHECK(z == (struct zsock *)&sent);
    zsock_ops = NULL;
}

int
zsock_send(struct zsock *z, const struct str *frames, unsigned n)
{
    char from[32];
    struct str name, rest = frames[0];
    ptrdiff_t at;
    CHECK(z == (struct zsock *)&sent && zsock_ops != NULL);
    CHECK_INT(n, 1);
    name = str_of(from, (size_t)snprintf(from, sizeof from, "handler_%d", (int)getpid()));
    at = str_find(rest, name);
    CHECK(at >= 0);
    buf_adds(&sent, str_sub(rest, 0, (size_t)at));
    buf_adds(&sent, STR("PID"));
    buf_adds(&sent, str_from(rest, (size_t)at + name.len));
    buf_addc(&sent, '\n');
    return 0;
}

/* A peer subscribes to TOPIC, or ends that. */
static inline void
subscribe(const char *topic, bool on)
{
    char text[64];
    struct str frame = str_of(text, (size_t)snprintf(text, sizeof text, "%c%s", on ? 1 : 0, topic));
    zsock_ops->on_message(&frame, 1, zsock_arg);
}

/* those who are asked */

struct room {
    const char *name;
    unsigned n[STATS_TRANSPORTS];
    uint32_t entry;
};

static struct room rooms[3];

static struct str
peer(const void *who, char text[ADDRESS_TEXT_MAX])
{
    return str_of(text, (size_t)snprintf(text, ADDRESS_TEXT_MAX, "%s", (const char *)who));
}

static unsigned
subscribers(const void *channel, enum stats_transport mode, struct str *name)
{
    const struct room *r = channel;
    *name = str_c(r->name);
    return r->n[mode];
}

static void
tell_subs(void *arg)
{
    CHECK(arg == &rooms);
    for (size_t i = 0; i < countof(rooms); i++)
        for (enum stats_transport mode = 0; mode < STATS_TRANSPORTS && rooms[i].name != NULL; mode++)
            stats_sub_there(stats, &rooms[i].entry, &rooms[i], mode, rooms[i].n[mode]);
}

static struct str
ws_id(const void *who, char text[UUID_SIZE])
{
    return str_of(text, (size_t)snprintf(text, UUID_SIZE, "id-of-%s", (const char *)who));
}

static const struct stats_ops ops = {peer, peer, ws_id, subscribers, tell_subs};

/* A fixture with SETTINGS as the caller changed them after begin_settings(). */
static void
begin_settings(void)
{
    clock_fake(START);
    loop = loop_new();
    sent = BUF_INIT(1 << 24);
    memset(rooms, 0, sizeof rooms);
    settings = (struct stats_settings){
        .spec = "spec", .json = true, .send_conns = true, .conn_ttl = 120, .sub_ttl = 60, .sub_linger = 60};
}

static void
begin_stats(void)
{
    struct err e;
    stats = stats_new(loop, NULL, &settings, &ops, &rooms, &e);
    CHECK(stats != NULL);
}

static void
end(void)
{
    stats_free(stats);
    loop_free(loop);
    buf_clear(&sent);
}

/* What was sent since the last call is TEXT. */
#define CHECK_SENT(text)                                                                                               \
    do {                                                                                                               \
        CHECK_STR(buf_str(&sent), text);                                                                               \
        sent.len = 0;                                                                                                  \
    } while (0)

/* The same, once or, where a refresh has come along, twice. */
#define CHECK_SENT_TOO(text)                                                                                           \
    do {                                                                                                               \
        if (!str_eq(buf_str(&sent), STR(text text)))                                                                   \
            CHECK_STR(buf_str(&sent), text);                                                                           \
        sent.len = 0;                                                                                                  \
    } while (0)

static inline unsigned
sent_lines(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < sent.len; i++)
        n += sent.ptr[i] == '\n';
    return n;
}

static inline void
change(struct room *r, enum stats_transport mode, unsigned n)
{
    r->n[mode] = n;
    stats_sub(stats, &r->entry, r, mode, n);
}

static inline uint32_t
begin_conn(const char *who, unsigned slot, const char *route)
{
    struct stats_conn c = {.who = who, .slot = slot, .route = route};
    return stats_conn_start(stats, &c);
}

#endif
