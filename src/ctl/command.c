#include "ctl/command.h"

#include "base/log.h"
#include "ctl/warner.h"
#include "grip/item.h"
#include "proto/jsonread.h"
#include "proto/jsontext.h"
#include "proto/tnet.h"

enum { REPLY_MAX = 64 * 1024 * 1024 }; /* bytes; more than a request with all its ids can ask for */

struct command {
    struct loop *loop;             /* borrowed */
    struct zsock *zsock;           /* owned */
    const struct command_ops *ops; /* constant */
    void *arg;                     /* the owner's */
    struct publish *publish;       /* borrowed */
    json_t *uris;                  /* reference held: the answer to get-zmq-uris */
    struct warner warner;
};

/* A method that is being run. */
struct call {
    struct command *command;
    const json_t *args;    /* borrowed; an object, or NULL when there are none */
    const char *condition; /* constant text; NULL: it has succeeded */
    json_t *value;         /* reference held: the answer; NULL: none, which a success shows as null */
};

/* Where an answer goes: the frames in front of the request, the empty one included. */
struct envelope {
    const struct str *frames;
    unsigned n;
};

static json_t *
text_value(struct str s)
{
    return json_stringn_nocheck(s.ptr != NULL ? s.ptr : "", s.len);
}

static void
bad_request(struct call *call)
{
    call->condition = "bad-request";
}

static void
conncheck(struct call *call)
{
    const struct command *c = call->command;
    const json_t *ids = json_object_get(call->args, "ids");
    if (!json_is_array(ids)) {
        bad_request(call);
        return;
    }
    call->value = json_array();
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_t *id = json_array_get(ids, i);
        if (!json_is_string(id)) {
            bad_request(call);
            json_decref(call->value);
            call->value = NULL;
            return;
        }
        if (c->ops->connection_exists(c->arg, jsonread_text(id)))
            json_array_append(call->value, id);
    }
}

static void
get_zmq_uris(struct call *call)
{
    call->value = json_incref(call->command->uris);
}

static void
recover(struct call *call)
{
    call->command->ops->recover(call->command->arg);
}

static void
refresh(struct call *call)
{
    const struct command *c = call->command;
    const json_t *cid = json_object_get(call->args, "cid"), *channel = json_object_get(call->args, "channel");
    if (cid != NULL && json_is_string(cid)) {
        if (c->ops->refresh_connection(c->arg, jsonread_text(cid)) != 0)
            call->condition = "item-not-found";
    } else if (cid == NULL && json_is_string(channel)) {
        c->ops->refresh_channel(c->arg, jsonread_text(channel));
    } else {
        bad_request(call);
    }
}

static void
bad_items(struct call *call, const char *why)
{
    struct err e;
    err_set(&e, "Invalid format: %s", why);
    call->value = text_value(str_c(e.text));
    bad_request(call);
}

/* All items are read before the first is published: one bad item stops them all. */
static void
publish(struct call *call)
{
    const json_t *list = json_object_get(call->args, "items");
    struct item **items;
    size_t n = json_array_size(list), read = 0;
    struct err e;
    if (!json_is_array(list)) {
        bad_items(call, list == NULL ? "object does not contain 'items'" : "object contains 'items' with wrong type");
        return;
    }
    items = mem_alloc((n + 1) * sizeof *items);
    while (read < n && call->condition == NULL) {
        items[read] = item_parse(json_array_get(list, read), ITEM_TNET, (struct str){NULL, 0}, &e);
        if (items[read] == NULL)
            bad_items(call, e.text);
        else
            read++;
    }
    for (size_t i = 0; i < read; i++) {
        if (call->condition == NULL)
            publish_item(call->command->publish, items[i]);
        item_unref(items[i]);
    }
    mem_free(items);
}

static const struct {
    const char *name;
    void (*run)(struct call *call);
} methods[] = {
    {"conncheck", conncheck}, {"get-zmq-uris", get_zmq_uris}, {"recover", recover},
    {"refresh", refresh},     {"publish", publish},
};

static void
run(struct call *call, struct str method)
{
    for (size_t i = 0; i < countof(methods); i++) {
        if (str_eq(method, str_c(methods[i].name))) {
            methods[i].run(call);
            return;
        }
    }
    call->condition = "method-not-found";
}

/* Takes CALL's value over. ID may be NULL, or anything. */
static void
reply(struct command *c, struct envelope to, json_t *id, struct call *call)
{
    struct str frames[ZSOCK_FRAMES + 1];
    struct buf b = BUF_INIT(REPLY_MAX);
    json_t *o = json_object();
    if (json_is_string(id) && json_string_length(id) > 0)
        json_object_set(o, "id", id);
    json_object_set_new(o, "success", json_boolean(call->condition == NULL));
    if (call->condition != NULL)
        json_object_set_new(o, "condition", json_string(call->condition));
    else if (call->value == NULL)
        call->value = json_null();
    if (call->value != NULL)
        json_object_set_new(o, "value", call->value);
    if (tnet_put(&b, o) == 0) {
        memcpy(frames, to.frames, to.n * sizeof *frames);
        frames[to.n] = buf_str(&b);
        zsock_send(c->zsock, frames, to.n + 1);
    }
    json_decref(o);
    buf_clear(&b);
}

static void
log_request(struct str method, const json_t *args)
{
    char text[JSONTEXT_SIZE];
    struct str data;
    if (!log_on(LOG_DEBUG))
        return;
    data = args != NULL ? jsontext(args, text, sizeof text) : STR("{}");
    log_debug("IN command: %.*s args=%.*s", STR_ARG(method), STR_ARG(data));
}

/* Run what the request VALUE asks for; NULL when it could not be read. */
static void
serve(struct command *c, struct envelope from, const json_t *value)
{
    struct call call = {.command = c, .args = json_object_get(value, "args")};
    json_t *id = json_object_get(value, "id");
    const json_t *method = json_object_get(value, "method");
    if (value == NULL) {
        warner_warn(&c->warner, "received message with invalid format (tnetstring parse failed), skipping");
        bad_request(&call);
    } else if (!json_is_string(method) || (call.args != NULL && !json_is_object(call.args)) ||
               (id != NULL && !json_is_string(id))) {
        warner_warn(&c->warner, "received message with invalid format (parse failed), skipping");
        bad_request(&call);
    } else {
        log_request(jsonread_text(method), call.args);
        run(&call, jsonread_text(method));
    }
    reply(c, from, id, &call);
}

static void
on_message(const struct str *frames, unsigned n, void *arg)
{
    struct command *c = arg;
    struct envelope from = {frames, 1};
    json_t *value;
    /* The first frame is the peer; proxies in between add theirs, and the empty one ends the envelope. */
    while (from.n < n && from.n < ZSOCK_FRAMES && frames[from.n].len > 0)
        from.n++;
    from.n++;
    if (from.n + 1 != n || n > ZSOCK_FRAMES) {
        struct call call = {.command = c, .condition = "bad-request"};
        warner_warn(&c->warner, "received message with parts != 1, skipping");
        if (from.n <= n && from.n <= ZSOCK_FRAMES)
            reply(c, from, NULL, &call);
        return;
    }
    value = tnet_parse(frames[from.n], NULL, NULL);
    serve(c, from, value);
    json_decref(value);
}

static const struct zsock_ops zsock_ops = {on_message};

static void
add_uri(json_t *uris, const char *key, const char *spec)
{
    if (spec != NULL && spec[0] != '\0')
        json_object_set_new(uris, key, text_value(str_c(spec)));
}

struct command *
command_new(struct loop *l, struct zcontext *context, const struct command_settings *settings,
            const struct command_ops *ops, void *arg, struct publish *p, struct err *e)
{
    struct zsock_options o = ZSOCK_DEFAULTS;
    struct command *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->ops = ops;
    c->arg = arg;
    c->publish = p;
    c->uris = json_object();
    add_uri(c->uris, "command", settings->spec);
    add_uri(c->uris, "publish-pull", settings->publish_pull);
    add_uri(c->uris, "publish-sub", settings->publish_sub);
    warner_init(&c->warner, l, "zrpc server");
    o.ipc_mode = settings->ipc_mode;
    c->zsock = zsock_new(context, l, ZSOCK_ROUTER, &o, &zsock_ops, c, e);
    if (c->zsock == NULL || zsock_bind(c->zsock, settings->spec, e) != 0) {
        command_free(c);
        return NULL;
    }
    return c;
}

void
command_free(struct command *c)
{
    if (c->zsock != NULL)
        zsock_close(c->zsock);
    warner_stop(&c->warner);
    json_decref(c->uris);
    loop_reap(c->loop, c, mem_free);
}
