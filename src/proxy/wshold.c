#include "proxy/wshold.h"

#include "base/log.h"
#include "base/slab.h"
#include "grip/wscontrol.h"
#include "proto/wsdeflate.h"
#include "proxy/backlog.h"
#include "proxy/netfilter.h"
#include "proxy/wsmeta.h"
#include "pub/channel.h"
#include "pub/filter.h"

#include <stdlib.h>

enum { PIECES = 16 }; /* of one ws_send() */

/* A message that the origin gave us to send later. */
struct later {
    char *content; /* owned; len bytes; NULL when empty */
    size_t len;
    uint8_t opcode;
    bool set;
};

struct wshold_more {
    struct wshold *owner;
    struct wsmeta *meta; /* owned */
    struct later keep_alive, delayed;
    struct timer keep_alive_timer, delayed_timer;
    int keep_alive_s;
    bool interval;            /* keep-alive: whatever else is sent */
    bool due;                 /* the delayed message's time has come amid another message */
    struct backlog waiting;   /* what was published amid a message of the origin */
    struct netfilter *asking; /* owned; NULL: no filter asks a server, else the hold has the ops for that */
};

struct wshold {
    struct hold hold;         /* its client is our ws, whose user is our owner */
    struct wshold_more *more; /* owned; NULL while it is not needed */
    uint16_t target;          /* its number among those of the route */
    bool amid;                /* a message of the origin has been sent in part */
    bool losing;              /* messages have been dropped since the client had nothing waiting */
    bool closed;
};

static void on_keep_alive(struct timer *t);
static void on_delayed(struct timer *t);

static struct wshold *
of_hold(const struct hold *h)
{
    return container_of((struct hold *)(uintptr_t)h, struct wshold, hold);
}

static struct ws *
client_of(const struct wshold *h)
{
    return h->hold.client;
}

static struct wshold_owner *
owner_of(const struct wshold *h)
{
    return client_of(h)->user;
}

static struct proxy *
proxy_of(const struct wshold *h)
{
    return owner_of(h)->proxy;
}

static struct str
uri_of(const struct wshold *h)
{
    return owner_of(h)->ops->uri(owner_of(h));
}

static const struct target *
target_of(const struct wshold *h)
{
    return &h->hold.route->targets[h->target];
}

static struct wshold_more *
need_more(struct wshold *h)
{
    if (h->more == NULL) {
        struct wshold_more *m = h->more = mem_zalloc(sizeof *m);
        m->owner = h;
        timer_init(&m->keep_alive_timer, on_keep_alive);
        timer_init(&m->delayed_timer, on_delayed);
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
        mem_free(m->keep_alive.content);
        mem_free(m->delayed.content);
        mem_free(m);
    }
    slab_free(h, sizeof *h);
}

static void
log_unsubscribe(const struct wshold *h, const struct sub *s)
{
    log_info("unsubscribe %.*s channel=%.*s", STR_ARG(uri_of(h)), STR_ARG(s->channel->node.key));
}

void
wshold_close(struct wshold *h)
{
    if (h->closed)
        return;
    h->closed = true;
    stats_held(proxy_of(h)->stats, owner_of(h)->group, STATS_WS_MESSAGE, -1);
    if (h->more != NULL) {
        loop_timer_stop(proxy_of(h)->loop, &h->more->keep_alive_timer);
        loop_timer_stop(proxy_of(h)->loop, &h->more->delayed_timer);
        if (h->more->asking != NULL)
            netfilter_stop(h->more->asking);
    }
    if (log_on(LOG_INFO))
        for (struct sub *s = h->hold.subs; s != NULL; s = s->next)
            log_unsubscribe(h, s);
    hold_clear(&h->hold);
    loop_reap(proxy_of(h)->loop, h, wshold_free);
}

/* The client reads too slowly, or not at all, and a message is too much. Close rather than leave a gap, unless the
 * configuration asks for gaps. false: the hold has been closed. */
static bool
miss(struct wshold *h)
{
    const struct route *route = h->hold.route;
    bool drop = proxy_of(h)->config->drop_for_slow_websockets;
    char peer[ADDRESS_TEXT_MAX];
    struct str from = ws_peer(client_of(h), peer);
    stats_add(proxy_of(h)->stats, owner_of(h)->group, STATS_DROPPED_QUEUE, 1);
    if (!h->losing)
        log_warn("client reads too slowly, %s: %.*s from=%.*s%s%s channel=%.*s queued=%zu",
                 drop ? "messages are dropped" : "closing", STR_ARG(uri_of(h)), STR_ARG(from),
                 route->explicit_id ? " route=" : "", route->explicit_id ? route->id : "",
                 STR_ARG(hold_channel(&h->hold)), ws_queued(client_of(h)));
    h->losing = true;
    if (drop)
        return true;
    owner_of(h)->ops->close(owner_of(h), WSFRAME_POLICY, STR(""), STATS_CLOSED_SLOW);
    return false;
}

/* keep-alives and delayed messages */

static void
start_keep_alive(struct wshold *h)
{
    struct wshold_more *m = h->more;
    loop_timer(proxy_of(h)->loop, &m->keep_alive_timer, (uint64_t)m->keep_alive_s * 1000 - (uint64_t)random() % 1000);
}

/* Something goes to the client. */
static void
touch(struct wshold *h)
{
    if (h->more != NULL && h->more->keep_alive.set && !h->more->interval)
        start_keep_alive(h);
}

static void
send_later(struct wshold *h, const struct later *l)
{
    struct ws_piece p = {.payload = str_of(l->content, l->len), .opcode = l->opcode, .first = true, .last = true};
    ws_send(client_of(h), &p, 1);
}

static void
on_keep_alive(struct timer *t)
{
    struct wshold_more *m = container_of(t, struct wshold_more, keep_alive_timer);
    struct wshold *h = m->owner;
    start_keep_alive(h);
    if (h->amid || ws_queued(client_of(h)) > 0)
        return;
    send_later(h, &m->keep_alive);
    stats_activity(proxy_of(h)->stats, owner_of(h)->group, 1);
}

static void
flush_delayed(struct wshold *h)
{
    struct wshold_more *m = h->more;
    struct later l;
    if (m == NULL || !m->delayed.set)
        return;
    if (h->amid) {
        m->due = true;
        return;
    }
    l = m->delayed;
    m->delayed = (struct later){.set = false};
    m->due = false;
    loop_timer_stop(proxy_of(h)->loop, &m->delayed_timer);
    send_later(h, &l);
    mem_free(l.content);
    touch(h);
}

static void
on_delayed(struct timer *t)
{
    flush_delayed(container_of(t, struct wshold_more, delayed_timer)->owner);
}

/* Take the control message's content over. */
static struct later
take_content(struct wscontrol *c)
{
    struct later l = {c->content, c->content_len, (uint8_t)c->opcode, true};
    c->content = NULL;
    return l;
}

static void
set_keep_alive(struct wshold *h, struct wscontrol *c)
{
    struct wshold_more *m = need_more(h);
    mem_free(m->keep_alive.content);
    m->keep_alive = (struct later){.set = false};
    loop_timer_stop(proxy_of(h)->loop, &m->keep_alive_timer);
    if (!c->has_content)
        return;
    m->keep_alive = take_content(c);
    m->keep_alive_s = c->timeout;
    m->interval = c->interval;
    start_keep_alive(h);
}

static void
send_delayed(struct wshold *h, struct wscontrol *c)
{
    struct wshold_more *m = need_more(h);
    if (m->delayed.set && h->amid)
        return; /* one may wait, and nothing can be sent now */
    flush_delayed(h);
    m->delayed = take_content(c);
    loop_timer(proxy_of(h)->loop, &m->delayed_timer, (uint64_t)c->timeout * 1000);
}

/* published messages */

/* What waits for the client is bounded; an empty queue takes a message of any size. */
static bool
is_too_slow(struct wshold *h, size_t more)
{
    size_t queued = ws_queued(client_of(h));
    h->losing = h->losing && queued > 0;
    return queued > 0 && queued + more > (size_t)proxy_of(h)->config->connection_queue_max;
}

static struct ws_piece
piece_of(struct msg *m, bool pack)
{
    struct ws_piece p = {.payload = m->payload,
                         .framed = m->framed,
                         .owner = &m->shared,
                         .opcode = (uint8_t)msg_opcode(m->format),
                         .first = true,
                         .last = true};
    if (pack && p.opcode < WSFRAME_CLOSE) {
        struct shared_bytes *packed = msg_packed(m);
        p.framed = str_of(packed->data, packed->len);
        p.owner = &packed->shared;
        p.packed = true;
    }
    return p;
}

static void
flush(struct wshold *h, const struct ws_piece *pieces, unsigned n)
{
    if (n == 0)
        return;
    ws_send(client_of(h), pieces, n);
    stats_add(proxy_of(h)->stats, owner_of(h)->group, STATS_CLIENT_MESSAGES_SENT, n);
}

/* false: the hold has been closed. */
static bool
send_messages(struct wshold *h, struct msg *const *msgs, unsigned n)
{
    struct ws_piece pieces[PIECES];
    bool pack = ws_bits(client_of(h)) == WSDEFLATE_BITS;
    unsigned used = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct format *f = msgs[i]->format;
        if (f->action == ACTION_CLOSE) {
            flush(h, pieces, used);
            owner_of(h)->ops->close(owner_of(h), f->has_close_code ? f->close_code : WSFRAME_NORMAL,
                                    str_c(f->close_reason), STATS_CLOSED_DONE);
            return false;
        }
        if (f->action == ACTION_REFRESH)
            owner_of(h)->ops->refresh(owner_of(h));
        if (f->action != ACTION_SEND)
            continue;
        if (used == PIECES) {
            flush(h, pieces, used);
            used = 0;
        }
        if (used == 0 && is_too_slow(h, msgs[i]->framed.len)) {
            if (!miss(h))
                return false;
            continue;
        }
        pieces[used++] = piece_of(msgs[i], pack);
    }
    flush(h, pieces, used);
    touch(h);
    return true;
}

/* Keep what may not stand between the pieces of the origin's message. */
static void
keep_waiting(struct wshold *h, struct msg *const *msgs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!backlog_add(&need_more(h)->waiting, msgs[i], (size_t)proxy_of(h)->config->connection_queue_max) &&
            !miss(h))
            return;
}

static inline void
pass(struct wshold *h, struct msg *const *msgs, unsigned n)
{
    if (h->amid)
        keep_waiting(h, msgs, n);
    else
        send_messages(h, msgs, n);
}

static void
deliver(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    pass(of_hold(sub->hold), msgs, n);
}

static void
send_waiting(struct wshold *h)
{
    struct backlog b = h->more->waiting;
    h->more->waiting = (struct backlog){.at = NULL};
    if (send_messages(h, b.at, b.n) && h->more->due)
        flush_delayed(h);
    backlog_clear(&b);
}

void
wshold_sent(struct wshold *h, bool last)
{
    h->amid = !last;
    touch(h);
    if (last && h->more != NULL && h->more->waiting.n > 0)
        send_waiting(h);
    else if (last && h->more != NULL && h->more->due)
        flush_delayed(h);
}

void
wshold_sent_control(struct wshold *h)
{
    touch(h);
}

/* A message cannot be filtered. Whoever debugs wants to see that at once. */
static void
unfiltered(struct sub *sub, const char *why)
{
    struct wshold *h = of_hold(sub->hold);
    if (proxy_of(h)->config->debug || h->hold.route->debug)
        owner_of(h)->ops->close(owner_of(h), WSFRAME_INTERNAL, str_c(why), STATS_CLOSED_ERROR);
}

/* filters that ask a server */

/* M has come to an end; PASSED, with PASS, comes with a reference. */
static void
on_filtered(struct hold *hold, struct msg *m, enum filter_result result, struct msg *passed, struct err *e)
{
    struct wshold *h = of_hold(hold);
    struct sub *sub = hold_find(hold, m->item->channel);
    if (sub != NULL && result == FILTER_PASS)
        pass(h, &passed, 1);
    else if (sub != NULL)
        stats_add(proxy_of(h)->stats, owner_of(h)->group, STATS_DROPPED_FILTER, 1);
    if (sub != NULL && result == FILTER_FAIL)
        unfiltered(sub, e->text);
    if (passed != NULL)
        msg_unref(passed);
}

static void
on_turn(struct hold *hold, struct msg *m, unsigned how)
{
    struct sub *sub = hold_find(hold, m->item->channel);
    struct msg *passed = NULL;
    enum filter_result result;
    struct err e;
    (void)how;
    if (sub == NULL)
        return;
    result = netfilter_run(of_hold(hold)->more->asking, sub, m, &passed, &e);
    if (result != FILTER_ASK)
        on_filtered(hold, m, result, passed, &e);
}

static void
deliver_asking(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct wshold *h = of_hold(sub->hold);
    for (unsigned i = 0; i < n && !h->closed; i++) {
        if (!netfilter_busy(h->more->asking))
            on_turn(&h->hold, msgs[i], 1);
        else if (!netfilter_keep(h->more->asking, msgs[i], 1))
            stats_add(proxy_of(h)->stats, owner_of(h)->group, STATS_DROPPED_QUEUE, 1);
    }
}

static void
put_uri(const struct hold *hold, struct buf *out)
{
    const struct wshold *h = of_hold(hold);
    owner_of(h)->ops->put_uri(owner_of(h), out);
}

static void
put_meta(const struct hold *hold, json_t *out)
{
    wsmeta_put(of_hold(hold)->more->meta, out);
}

static void
update(struct hold *hold, enum hold_update how)
{
    struct wshold *h = of_hold(hold);
    if (how == UPDATE_HIGH) /* the other is for HTTP holds */
        owner_of(h)->ops->refresh(owner_of(h));
}

/* meta */

static struct str
get_meta(const struct hold *hold, struct str name)
{
    const struct wshold_more *m = of_hold(hold)->more;
    return m != NULL ? wsmeta_get(m->meta, name) : str_of(NULL, 0);
}

static const struct hold_ops hold_ops = {deliver, update, get_meta, unfiltered};
static const struct hold_ops asking_ops = {deliver_asking, update, get_meta, unfiltered};

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
    unsigned max = (unsigned)proxy_of(h)->config->connection_subscription_max + target_of(h)->subs.n;
    const struct route *route = h->hold.route;
    if (sub != NULL)
        return sub;
    if (h->hold.n_subs >= max || h->hold.n_subs == UINT16_MAX) {
        log_at(route->log_level, "wssession: too many subscriptions%s%s", route->explicit_id ? " route=" : "",
               route->explicit_id ? route->id : "");
        return NULL;
    }
    log_info("subscribe %.*s channel=%.*s", STR_ARG(uri_of(h)), STR_ARG(name));
    if (log_on(LOG_DEBUG)) {
        char text[STATS_ID_MAX];
        struct str id = stats_conn_id(proxy_of(h)->stats, owner_of(h)->live, text);
        log_debug("ws session %.*s subscribed to %.*s", STR_ARG(id), STR_ARG(name));
    }
    return channels_subscribe(proxy_of(h)->channels, &h->hold, name);
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
begin_asking(struct wshold *h)
{
    static const struct netfilter_ops ops = {put_uri, put_meta, NULL, on_filtered, on_turn};
    if (need_more(h)->asking == NULL)
        h->more->asking = netfilter_new(proxy_of(h), &h->hold, &ops);
    h->hold.ops = &asking_ops;
    h->hold.filters_itself = true;
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
            begin_asking(h);
    }
}

static void
control_subscribe(struct wshold *h, const struct wscontrol *c)
{
    struct buf name, text = BUF_INIT(1024);
    struct sub *sub;
    if (json_array_size(c->filters) > FILTERS_MAX) {
        if (proxy_of(h)->config->debug || h->hold.route->debug)
            buf_addf(&text, "too many filters for channel '%.*s'", (int)(c->channel.len < 200 ? c->channel.len : 200),
                     c->channel.ptr);
        owner_of(h)->ops->close(owner_of(h), WSFRAME_INTERNAL, text.ptr != NULL ? buf_str(&text) : STR(""),
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
        owner_of(h)->ops->detach(owner_of(h));
        break;
    case WSCONTROL_SESSION:
        break; /* there are no sessions yet */
    case WSCONTROL_SET_META:
        wsmeta_set(&need_more(h)->meta, c.name, c.value);
        break;
    case WSCONTROL_KEEP_ALIVE:
        set_keep_alive(h, &c);
        break;
    case WSCONTROL_SEND_DELAYED:
        send_delayed(h, &c);
        break;
    case WSCONTROL_FLUSH_DELAYED:
        flush_delayed(h);
        break;
    }
    wscontrol_clear(&c);
}

/* beginning */

struct wshold *
wshold_new(struct ws *client, struct route *route, const struct target *target)
{
    const struct wshold_owner *o = client->user;
    struct wshold *h = slab_alloc(sizeof *h);
    h->target = (uint16_t)(target - route->targets);
    stats_held(o->proxy->stats, o->group, STATS_WS_MESSAGE, 1);
    hold_init(&h->hold, &hold_ops, FORMAT_WS_MESSAGE, route_ref(route), client);
    for (unsigned i = 0; i < target->subs.n; i++)
        subscribe(h, str_c(target->subs.at[i]));
    return h;
}
