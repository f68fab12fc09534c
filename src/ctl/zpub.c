#include "ctl/zpub.h"

#include "base/log.h"
#include "ctl/warner.h"
#include "proto/jsonread.h"
#include "proto/jsontext.h"
#include "proto/tnet.h"

enum { RECEIVE_HWM = 101000 }; /* what publishers are used to */

struct input {
    struct zsock *zsock;     /* owned; NULL: not configured */
    struct publish *publish; /* borrowed */
    struct warner warner;
};

struct zpub {
    struct loop *loop; /* borrowed */
    struct input pull, sub;
};

/* A new reference, or NULL after the warning. */
static json_t *
decode(struct input *in, struct str body, enum item_source *source)
{
    bool json = str_starts(body, STR("J"));
    json_t *value;
    *source = json ? ITEM_JSON : ITEM_TNET;
    if (json) {
        value = jsonread_parse(str_from(body, 1), NULL);
    } else {
        value = tnet_parse(str_starts(body, STR("T")) ? str_from(body, 1) : body, NULL, NULL);
    }
    if (value == NULL) {
        warner_warn(&in->warner, "received message with invalid format (%s parse failed), skipping",
                    json ? "json" : "tnetstring");
    } else if (json && !json_is_object(value)) {
        warner_warn(&in->warner, "received message with invalid format (not a valid json object), skipping");
        json_decref(value);
        value = NULL;
    }
    return value;
}

static void
log_value(const struct input *in, struct str channel, const json_t *value)
{
    char text[JSONTEXT_SIZE];
    struct str data;
    if (!log_on(LOG_DEBUG))
        return;
    data = jsontext(value, text, sizeof text);
    if (channel.ptr != NULL)
        log_debug("%s: channel=%.*s %.*s", in->warner.name, STR_ARG(channel), STR_ARG(data));
    else
        log_debug("%s: %.*s", in->warner.name, STR_ARG(data));
}

/* CHANNEL: the frame in front of BODY; ptr NULL where there is none. */
static void
take(struct input *in, struct str channel, struct str body)
{
    struct err e;
    enum item_source source;
    struct item *item;
    json_t *value = decode(in, body, &source);
    if (value == NULL)
        return;
    log_value(in, channel, value);
    item = item_parse(value, source, channel, &e);
    json_decref(value);
    if (item == NULL) {
        warner_warn(&in->warner, "received message with invalid format: %s, skipping", e.text);
        return;
    }
    publish_item(in->publish, item);
    item_unref(item);
}

static void
on_pull(const struct str *frames, unsigned n, void *arg)
{
    struct input *in = arg;
    if (n == 1)
        take(in, (struct str){NULL, 0}, frames[0]);
    else
        warner_warn(&in->warner, "received message with parts != 1, skipping");
}

static void
on_sub(const struct str *frames, unsigned n, void *arg)
{
    struct input *in = arg;
    if (n == 2)
        take(in, frames[0], frames[1]);
    else
        warner_warn(&in->warner, "received message with parts != 2, skipping");
}

static const struct zsock_ops pull_ops = {on_pull}, sub_ops = {on_sub};

static int
open_pull(struct zpub *z, struct zcontext *c, const struct zpub_settings *s, struct err *e)
{
    struct zsock_options o = ZSOCK_DEFAULTS;
    if (s->pull_spec == NULL || s->pull_spec[0] == '\0')
        return 0;
    o.receive_hwm = RECEIVE_HWM;
    o.ipc_mode = s->ipc_mode;
    z->pull.zsock = zsock_new(c, z->loop, ZSOCK_PULL, &o, &pull_ops, &z->pull, e);
    return z->pull.zsock != NULL ? zsock_bind(z->pull.zsock, s->pull_spec, e) : -1;
}

static int
open_sub(struct zpub *z, struct zcontext *c, const struct zpub_settings *s, struct err *e)
{
    struct zsock_options o = ZSOCK_DEFAULTS;
    int rc = 0;
    if (s->sub_specs.n == 0)
        return 0;
    o.receive_hwm = RECEIVE_HWM;
    o.send_hwm = 0; /* what a SUB socket sends is subscriptions, and none may be lost */
    o.ipc_mode = s->ipc_mode;
    if (s->sub_connect) {
        o.keepalive_idle = 30;
        o.keepalive_interval = 5;
        o.keepalive_count = 6;
    }
    z->sub.zsock = zsock_new(c, z->loop, ZSOCK_SUB, &o, &sub_ops, &z->sub, e);
    if (z->sub.zsock == NULL)
        return -1;
    for (unsigned i = 0; i < s->sub_specs.n && rc == 0; i++)
        rc = s->sub_connect ? zsock_connect(z->sub.zsock, s->sub_specs.at[i], e)
                            : zsock_bind(z->sub.zsock, s->sub_specs.at[i], e);
    return rc;
}

struct zpub *
zpub_new(struct loop *l, struct zcontext *c, const struct zpub_settings *settings, struct publish *p, struct err *e)
{
    struct zpub *z = mem_zalloc(sizeof *z);
    z->loop = l;
    z->pull.publish = z->sub.publish = p;
    warner_init(&z->pull.warner, l, "IN pull");
    warner_init(&z->sub.warner, l, "IN sub");
    if (open_pull(z, c, settings, e) != 0 || open_sub(z, c, settings, e) != 0) {
        zpub_free(z);
        return NULL;
    }
    return z;
}

static void
close_input(struct input *in)
{
    if (in->zsock != NULL)
        zsock_close(in->zsock);
    warner_stop(&in->warner);
}

void
zpub_free(struct zpub *z)
{
    close_input(&z->pull);
    close_input(&z->sub);
    loop_reap(z->loop, z, mem_free);
}

void
zpub_pause(struct zpub *z, bool pause)
{
    if (z->pull.zsock != NULL)
        zsock_pause(z->pull.zsock, pause);
    if (z->sub.zsock != NULL)
        zsock_pause(z->sub.zsock, pause);
}

void
zpub_subscribe(struct zpub *z, struct str channel)
{
    if (z->sub.zsock == NULL)
        return;
    log_debug("SUB socket subscribe: %.*s", STR_ARG(channel));
    zsock_subscribe(z->sub.zsock, channel);
}

void
zpub_unsubscribe(struct zpub *z, struct str channel)
{
    if (z->sub.zsock == NULL)
        return;
    log_debug("SUB socket unsubscribe: %.*s", STR_ARG(channel));
    zsock_unsubscribe(z->sub.zsock, channel);
}
