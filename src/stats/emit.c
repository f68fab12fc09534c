#include "stats/emit.h"

#include "base/log.h"
#include "proto/jsontext.h"
#include "stats/packet.h"

#include <stdio.h>
#include <unistd.h>

enum {
    SEND_HWM = 200000,    /* messages for each peer */
    PACKET_MAX = 1 << 20, /* bytes */
    LINGER_MS = 1000      /* for what is sent at the end */
};

struct emit {
    struct loop *loop;   /* borrowed */
    struct zsock *zsock; /* owned */
    bool json;
    void (*on_wanted)(void *arg, enum emit_type type);
    void *arg;
    unsigned wanted[EMIT_TYPES]; /* topics that somebody subscribed to and that match the type */
    struct buf packet;
    char from[32];
};

static const char *const names[EMIT_TYPES] = {"conn", "sub", "message", "activity", "counts", "report"};

/* Would a subscription to TOPIC get messages that begin with "TYPE T", or "TYPE J"? */
static bool
matches(struct str topic, const char *type, bool json)
{
    char head[16];
    int n = snprintf(head, sizeof head, "%s %c", type, json ? 'J' : 'T');
    struct str begin = str_of(head, (size_t)n);
    return str_starts(begin, topic) || str_starts(topic, begin);
}

/* \x01TOPIC from the first to subscribe, \x00TOPIC when the last has left. */
static void
on_message(const struct str *frames, unsigned n, void *arg)
{
    struct emit *e = arg;
    struct str topic;
    if (n != 1 || frames[0].len == 0)
        return;
    topic = str_from(frames[0], 1);
    for (enum emit_type type = 0; type < EMIT_TYPES; type++) {
        if (!matches(topic, names[type], e->json))
            continue;
        if (frames[0].ptr[0] == 1 && e->wanted[type]++ == 0)
            e->on_wanted(e->arg, type);
        else if (frames[0].ptr[0] == 0 && e->wanted[type] > 0)
            e->wanted[type]--;
    }
}

static const struct zsock_ops zsock_ops = {on_message};

struct emit *
emit_new(struct loop *l, struct zcontext *c, const char *spec, int ipc_mode, bool json,
         void (*on_wanted)(void *arg, enum emit_type type), void *arg, struct err *err)
{
    struct zsock_options o = ZSOCK_DEFAULTS;
    struct emit *e = mem_zalloc(sizeof *e);
    e->loop = l;
    e->json = json;
    e->on_wanted = on_wanted;
    e->arg = arg;
    buf_init(&e->packet, PACKET_MAX);
    snprintf(e->from, sizeof e->from, "handler_%ld", (long)getpid());
    o.send_hwm = SEND_HWM;
    o.linger = LINGER_MS;
    o.ipc_mode = ipc_mode;
    e->zsock = zsock_new(c, l, ZSOCK_XPUB, &o, &zsock_ops, e, err);
    if (e->zsock == NULL || zsock_bind(e->zsock, spec, err) != 0) {
        emit_free(e);
        return NULL;
    }
    return e;
}

void
emit_free(struct emit *e)
{
    if (e->zsock != NULL)
        zsock_close(e->zsock);
    buf_clear(&e->packet);
    loop_reap(e->loop, e, mem_free);
}

bool
emit_wanted(const struct emit *e, enum emit_type type)
{
    return e != NULL && (e->wanted[type] > 0 || log_on(LOG_DEBUG));
}

json_t *
emit_begin(const struct emit *e)
{
    json_t *fields = json_object();
    json_object_set_new(fields, "from", json_string(e->from));
    return fields;
}

void
emit_add_text(const struct emit *e, json_t *fields, const char *key, struct str value)
{
    json_object_set_new(fields, key, packet_text(value, e->json));
}

void
emit_add_number(json_t *fields, const char *key, uint64_t value)
{
    json_object_set_new(fields, key, json_integer((json_int_t)value));
}

void
emit_add_true(json_t *fields, const char *key)
{
    json_object_set_new(fields, key, json_true());
}

void
emit_send(struct emit *e, enum emit_type type, json_t *fields)
{
    struct str frame;
    if (log_on(LOG_DEBUG)) {
        char text[JSONTEXT_SIZE];
        struct str data = jsontext(fields, text, sizeof text);
        log_debug("stats: OUT %s %.*s", names[type], STR_ARG(data));
    }
    e->packet.len = 0;
    if (packet_put(&e->packet, names[type], e->json, fields) == 0) {
        frame = buf_str(&e->packet);
        zsock_send(e->zsock, &frame, 1);
    }
    json_decref(fields);
}
