#include "proxy/wsholdbase.h"

#include "base/log.h"
#include "base/slab.h"
#include "pub/channel.h"
#include "pub/filter.h"

static const struct target *
target_of(const struct wshold *h)
{
    return &h->hold.route->targets[h->target];
}

struct wshold_more *
wshold_more(struct wshold *h)
{
    if (h->more == NULL) {
        struct wshold_more *m = h->more = mem_zalloc(sizeof *m);
        m->owner = h;
        wslater_init(m);
    }
    return h->more;
}

/* ending */

static void
wshold_free(void *ptr)
{
    struct wshold *h = ptr;
    struct wshold_more *m = h->more;
    if (m != NULL) {
        wsmeta_clear(&m->meta);
        backlog_clear(&m->waiting);
        if (m->asking != NULL)
            netfilter_free(m->asking);
        wslater_clear(m);
        mem_free(m);
    }
    slab_free(h, sizeof *h);
}

static void
log_unsubscribe(const struct wshold *h, const struct sub *s)
{
    log_info("unsubscribe %.*s channel=%.*s", STR_ARG(wshold_uri(h)), STR_ARG(s->channel->node.key));
}

void
wshold_close(struct wshold *h)
{
    if (h->closed)
        return;
    h->closed = true;
    stats_held(wshold_proxy(h)->stats, wshold_owner(h)->group, STATS_WS_MESSAGE, -1);
    if (h->more != NULL) {
        wslater_stop(h);
        if (h->more->asking != NULL)
            netfilter_stop(h->more->asking);
    }
    if (log_on(LOG_INFO))
        for (struct sub *s = h->hold.subs; s != NULL; s = s->next)
            log_unsubscribe(h, s);
    hold_clear(&h->hold);
    loop_reap(wshold_proxy(h)->loop, h, wshold_free);
}

/* subscriptions */

static bool
is_implicit(const struct wshold *h, struct str name)
{
    const struct config_list *l = &target_of(h)->subs;
    for (unsigned i = 0; i < l->n; i++)
        if (str_eq(str_c(l->at[i]), name))
            return true;
    return false;
}

static struct sub *
subscribe(struct wshold *h, struct str name)
{
    struct sub *sub = hold_find(&h->hold, name);
    unsigned max = (unsigned)wshold_proxy(h)->config->connection_subscription_max + target_of(h)->subs.n;
    const struct route *route = h->hold.route;
    if (sub != NULL)
        return sub;
    if (h->hold.n_subs >= max || h->hold.n_subs == UINT16_MAX) {
        log_at(route->log_level, "wssession: too many subscriptions%s%s", route->explicit_id ? " route=" : "",
               route->explicit_id ? route->id : "");
        return NULL;
    }
    log_info("subscribe %.*s channel=%.*s", STR_ARG(wshold_uri(h)), STR_ARG(name));
    if (log_on(LOG_DEBUG)) {
        char text[STATS_ID_MAX];
        struct str id = stats_conn_id(wshold_proxy(h)->stats, wshold_owner(h)->live, text);
        log_debug("ws session %.*s subscribed to %.*s", STR_ARG(id), STR_ARG(name));
    }
    return channels_subscribe(wshold_proxy(h)->channels, &h->hold, name);
}

static void
put_name(const struct wshold *h, struct str name, struct buf *out)
{
    struct str prefix = str_c(h->hold.route->prefix);
    buf_init(out, prefix.len + name.len);
    buf_adds(out, prefix);
    buf_adds(out, name);
}

void
wshold_subscribe(struct wshold *h, struct str name)
{
    struct buf whole;
    put_name(h, name, &whole);
    subscribe(h, buf_str(&whole));
    buf_clear(&whole);
}

static void
set_filters(struct wshold *h, struct sub *sub, const json_t *filters)
{
    if (sub->more != NULL)
        sub->more->n_filters = 0;
    for (size_t i = 0; i < json_array_size(filters); i++) {
        int filter = filter_find(str_c(json_string_value(json_array_get(filters, i))));
        if (filter < 0)
            continue;
        sub_more(sub)->filters[sub_more(sub)->n_filters++] = (uint8_t)filter;
        if (filter_asks(filter))
            wsdelivery_begin_asking(h);
    }
}

static void
control_subscribe(struct wshold *h, const struct wscontrol *c)
{
    struct buf name, text = BUF_INIT(1024);
    struct sub *sub;
    if (json_array_size(c->filters) > FILTERS_MAX) {
        if (wshold_proxy(h)->config->debug || h->hold.route->debug)
            buf_addf(&text, "too many filters for channel '%.*s'", (int)(c->channel.len < 200 ? c->channel.len : 200),
                     c->channel.ptr);
        wshold_owner(h)->ops->close(wshold_owner(h), WSFRAME_INTERNAL, text.ptr != NULL ? buf_str(&text) : STR(""),
                                    STATS_CLOSED_ORIGIN);
        buf_clear(&text);
        return;
    }
    put_name(h, c->channel, &name);
    sub = subscribe(h, buf_str(&name));
    if (sub != NULL)
        set_filters(h, sub, c->filters);
    buf_clear(&name);
}

static void
control_unsubscribe(struct wshold *h, const struct wscontrol *c)
{
    struct buf name;
    struct sub *sub;
    put_name(h, c->channel, &name);
    sub = is_implicit(h, buf_str(&name)) ? NULL : hold_find(&h->hold, buf_str(&name));
    buf_clear(&name);
    if (sub == NULL)
        return;
    log_unsubscribe(h, sub);
    channels_unsubscribe(sub);
}

void
wshold_control(struct wshold *h, struct str text)
{
    struct wscontrol c;
    struct err e;
    if (wscontrol_parse(text, &c, &e) != 0) {
        log_debug("failed to parse grip control message: %s", e.text);
        return;
    }
    switch (c.type) {
    case WSCONTROL_SUBSCRIBE:
        control_subscribe(h, &c);
        break;
    case WSCONTROL_UNSUBSCRIBE:
        control_unsubscribe(h, &c);
        break;
    case WSCONTROL_DETACH:
        wshold_owner(h)->ops->detach(wshold_owner(h));
        break;
    case WSCONTROL_SESSION:
        break; /* there are no sessions yet */
    case WSCONTROL_SET_META:
        wsmeta_set(&wshold_more(h)->meta, c.name, c.value);
        break;
    case WSCONTROL_KEEP_ALIVE:
        wslater_set_keep_alive(h, &c);
        break;
    case WSCONTROL_SEND_DELAYED:
        wslater_delay(h, &c);
        break;
    case WSCONTROL_FLUSH_DELAYED:
        wslater_flush(h);
        break;
    }
    wscontrol_clear(&c);
}

/* the origin has said something to the client */

void
wshold_sent(struct wshold *h, bool last)
{
    h->amid = !last;
    wslater_touch(h);
    if (last && h->more != NULL && h->more->waiting.n > 0)
        wsdelivery_resume(h);
    else if (last && h->more != NULL && h->more->due)
        wslater_flush(h);
}

void
wshold_sent_control(struct wshold *h)
{
    wslater_touch(h);
}

/* beginning */

struct wshold *
wshold_new(struct ws *client, struct route *route, const struct target *target)
{
    const struct wshold_owner *o = client->user;
    struct wshold *h = slab_alloc(sizeof *h);
    h->target = (uint16_t)(target - route->targets);
    stats_held(o->proxy->stats, o->group, STATS_WS_MESSAGE, 1);
    hold_init(&h->hold, &wsdelivery_ops, FORMAT_WS_MESSAGE, route_ref(route), client);
    for (unsigned i = 0; i < target->subs.n; i++)
        subscribe(h, str_c(target->subs.at[i]));
    return h;
}
