#include "proxy/httphold.h"

#include "base/log.h"
#include "base/slab.h"
#include "proto/uri.h"
#include "proxy/answer.h"
#include "proxy/follow.h"
#include "proxy/links.h"
#include "proxy/responsehold.h"
#include "proxy/streamhold.h"

#include <assert.h>

bool
httphold_debugging(const struct httphold *h)
{
    return h->proxy->config->debug || h->hold.route->debug;
}

enum httphold_order
httphold_order_of(const struct sub *sub, const struct msg *m)
{
    struct str has = httphold_prev_id(sub);
    if (has.ptr == NULL || (m->item->prev_id.ptr != NULL && str_eq(m->item->prev_id, has)))
        return ORDER_NEXT;
    return m->item->id.ptr != NULL && str_eq(m->item->id, has) ? ORDER_KNOWN : ORDER_GAP;
}

/* ending */

static void
httphold_free(void *ptr)
{
    struct httphold *h = ptr;
    struct more *m = h->more;
    if (m != NULL) {
        if (h->hold.kind == FORMAT_HTTP_RESPONSE)
            responsehold_clear(h);
        else if (m->follow != NULL)
            follow_free(h);
        if (m->asking != NULL)
            netfilter_free(m->asking);
        instruct_clear(&m->instruct);
        mem_free(m->home);
        mem_free(m);
    }
    slab_free(h, sizeof *h + h->uri_len);
}

static void
log_unsubscribe(const struct httphold *h, const struct sub *s)
{
    log_info("unsubscribe %.*s channel=%.*s", (int)h->uri_len, h->uri, STR_ARG(s->channel->node.key));
}

static void
tell_gone(struct httphold *h)
{
    struct more *m = h->more;
    struct buf url = BUF_INIT(65536);
    struct link_spec spec = {.route = h->hold.route, .home = str_c(m->home)};
    if (uri_resolve(spec.home, str_c(m->instruct.gone_link), &url) == 0) {
        spec.url = buf_str(&url);
        links_gone(h->proxy->links, &spec);
    }
    buf_clear(&url);
}

static void
log_end(const struct httphold *h)
{
    char text[STATS_ID_MAX];
    struct str id;
    if (!log_on(LOG_DEBUG))
        return;
    id = stats_conn_id(h->proxy->stats, httphold_xchg(h)->live, text);
    log_debug("httpsession: cleaning up %.*s", STR_ARG(id));
}

void
httphold_close(struct httphold *h)
{
    if (h->state == HOLD_CLOSED)
        return;
    h->state = HOLD_CLOSED;
    if (h->more != NULL) {
        updates_done(h->proxy->updates, &h->more->update);
        loop_timer_stop(h->proxy->loop, &h->more->timer);
        if (h->more->follow != NULL)
            follow_stop(h);
        if (h->more->asking != NULL)
            netfilter_stop(h->more->asking);
        if (h->more->instruct.gone_link != NULL)
            tell_gone(h);
    }
    if (log_on(LOG_INFO) && !h->followed)
        for (struct sub *s = h->hold.subs; s != NULL; s = s->next)
            log_unsubscribe(h, s);
    log_end(h);
    stats_held(h->proxy->stats, h->group, (enum stats_transport)h->hold.kind, -1);
    hold_clear(&h->hold);
    loop_reap(h->proxy->loop, h, httphold_free);
}

void
httphold_count(const struct httphold *h, enum stats_counter what, unsigned n)
{
    stats_add(h->proxy->stats, h->group, what, n);
}

void
httphold_cut_slow(struct httphold *h, unsigned dropped)
{
    struct xchg *x = httphold_xchg(h);
    struct stats *stats = h->proxy->stats;
    const struct route *route = h->hold.route;
    char peer[ADDRESS_TEXT_MAX], id[STATS_ID_MAX];
    struct str from = xchg_peer(x, peer), conn = stats_conn_id(stats, x->live, id);
    log_warn("client reads too slowly, closing: %.*s from=%.*s%s%.*s%s%s channel=%.*s queued=%zu", (int)h->uri_len,
             h->uri, STR_ARG(from), conn.len > 0 ? " id=" : "", STR_ARG(conn), route->explicit_id ? " route=" : "",
             route->explicit_id ? route->id : "", STR_ARG(hold_channel(&h->hold)), xchg_queued(x));
    httphold_count(h, STATS_DROPPED_QUEUE, dropped);
    httphold_close(h);
    stats_conn_end(stats, x->group, &x->live, STATS_CLOSED_SLOW);
    xchg_abort(x);
}

size_t
httphold_answer(struct xchg *x, const struct clientreq *c, const struct instruct *in, bool held)
{
    struct headers h;
    size_t n;
    headers_init(&h);
    for (unsigned i = 0; i < in->headers.n; i++)
        headers_view(&h, in->headers.at[i].name, in->headers.at[i].value);
    n = answer_whole(x, c, in->status, in->reason != NULL ? str_c(in->reason) : http_reason(in->status), &h,
                     str_of(in->body, in->body_len), held);
    headers_clear(&h);
    return n;
}

void
httphold_put_last(const struct httphold *h, struct headers *out)
{
    struct str prefix = str_c(h->hold.route->prefix);
    for (const struct sub *s = h->hold.subs; s != NULL; s = s->next) {
        struct str name = s->channel->node.key, id = httphold_prev_id(s);
        struct buf value = BUF_INIT(65536);
        if (id.ptr == NULL)
            continue;
        if (str_starts(name, prefix))
            name = str_from(name, prefix.len);
        buf_addf(&value, "%.*s; last-id=%.*s", STR_ARG(name), STR_ARG(id));
        if (header_value_ok(buf_str(&value)))
            headers_add(out, STR("Grip-Last"), buf_str(&value));
        buf_clear(&value);
    }
}

struct str
httphold_meta(const struct hold *hold, struct str name)
{
    const struct more *m = httphold_of((struct hold *)(uintptr_t)hold)->more;
    for (unsigned i = 0; m != NULL && i < m->instruct.n_meta; i++)
        if (str_eq(str_c(m->instruct.meta[i].name), name))
            return str_c(m->instruct.meta[i].value);
    return str_of(NULL, 0);
}

/* filters that ask a server */

static bool
asks(const struct instruct *in)
{
    for (unsigned i = 0; i < in->n_channels; i++)
        for (unsigned k = 0; k < in->channels[i].n_filters; k++) {
            int filter = filter_find(str_c(in->channels[i].filters[k]));
            if (filter >= 0 && filter_asks(filter))
                return true;
        }
    return false;
}

static void
begin_asking(struct httphold *h)
{
    bool response = h->hold.kind == FORMAT_HTTP_RESPONSE;
    assert(h->more != NULL); /* asks() has seen to it, or there is a link */
    if (h->more->asking != NULL)
        return;
    h->more->asking =
        netfilter_new(h->proxy, &h->hold, response ? &responsehold_netfilter_ops : &streamhold_netfilter_ops);
    h->hold.ops = response ? &responsehold_asking_ops : &streamhold_asking_ops;
}

enum filter_result
httphold_filter(struct httphold *h, const struct sub *sub, struct msg *m, struct msg **passed, struct err *e)
{
    if (h->more != NULL && h->more->asking != NULL)
        return netfilter_run(h->more->asking, sub, m, passed, e);
    return filter_message(sub, m, passed, e);
}

void
httphold_keep(struct httphold *h, struct msg *m, unsigned how)
{
    if (!netfilter_keep(h->more->asking, m, how))
        httphold_count(h, STATS_DROPPED_QUEUE, 1);
}

static const struct more *
more_of(const struct hold *hold)
{
    return httphold_of((struct hold *)(uintptr_t)hold)->more;
}

void
httphold_put_uri(const struct hold *hold, struct buf *out)
{
    buf_adds(out, str_c(more_of(hold)->home));
}

void
httphold_put_meta(const struct hold *hold, json_t *out)
{
    const struct instruct *in = &more_of(hold)->instruct;
    for (unsigned i = 0; i < in->n_meta; i++)
        json_object_set_new(out, in->meta[i].name, json_string(in->meta[i].value)); /* not UTF-8: left out */
}

void
httphold_put_ids(const struct hold *hold, struct headers *out)
{
    httphold_put_last(httphold_of((struct hold *)(uintptr_t)hold), out);
}

/* the client */

void
httphold_on_body(struct xchg *x, struct str piece)
{
    (void)x, (void)piece;
}

void
httphold_on_body_end(struct xchg *x)
{
    (void)x;
}

void
httphold_on_gone(struct xchg *x, const char *why)
{
    (void)why;
    httphold_close(x->user);
}

/* channels */

/* Takes the place of whatever the subscription said before. C NULL: nothing. */
static void
set_terms(struct httphold *h, struct sub *sub, const struct instruct_channel *c)
{
    sub_set_prev_id(sub, c != NULL ? str_c(c->prev_id) : str_of(NULL, 0));
    if (sub->more != NULL)
        sub->more->n_filters = 0;
    for (unsigned i = 0; c != NULL && i < c->n_filters; i++) {
        int filter = filter_find(str_c(c->filters[i]));
        if (filter < 0)
            continue;
        sub_more(sub)->filters[sub_more(sub)->n_filters++] = (uint8_t)filter;
        if (filter_asks(filter))
            begin_asking(h);
    }
}

/* Has something been published that the answer did not know of? The id is forgotten then, so that a second answer of
 * the kind is believed. */
static bool
is_stale(struct sub *sub)
{
    struct str has = httphold_prev_id(sub), last = channel_last_id(sub->channel);
    if (has.ptr == NULL || last.ptr == NULL || str_eq(has, last))
        return false;
    channel_forget_id(sub->channel);
    return true;
}

static struct sub *
subscribe_one(struct httphold *h, struct str name, const struct instruct_channel *c, bool retry, bool *stale)
{
    struct sub *sub = hold_find(&h->hold, name);
    if (sub != NULL) {
        set_terms(h, sub, c);
        return sub;
    }
    sub = channels_subscribe(h->proxy->channels, &h->hold, name);
    log_debug("adding %s hold on %.*s", h->hold.kind == FORMAT_HTTP_RESPONSE ? "response" : "stream", STR_ARG(name));
    log_info("subscribe %.*s channel=%.*s%s", (int)h->uri_len, h->uri, STR_ARG(name), retry ? " retry" : "");
    set_terms(h, sub, c);
    *stale |= is_stale(sub);
    return sub;
}

static void
unsubscribe(struct httphold *h, struct sub *sub)
{
    log_unsubscribe(h, sub);
    channels_unsubscribe(sub);
}

/* Leave those that are not among KEPT. */
static void
leave_others(struct httphold *h, struct sub *const *kept, unsigned n_kept)
{
    struct sub *next;
    for (struct sub *s = h->hold.subs; s != NULL; s = next) {
        bool stays = false;
        next = s->next;
        for (unsigned i = 0; i < n_kept && !stays; i++)
            stays = kept[i] == s;
        if (!stays)
            unsubscribe(h, s);
    }
}

bool
httphold_subscribe(struct httphold *h, const struct instruct *in, const struct target *target, bool retry)
{
    const struct route *route = h->hold.route;
    unsigned max = (unsigned)h->proxy->config->connection_subscription_max, n = 0;
    unsigned most = (in->n_channels < max ? in->n_channels : max) + (target != NULL ? target->subs.n : 0);
    struct str prefix = str_c(route->prefix);
    struct sub **kept = h->hold.subs != NULL ? mem_alloc((most + 1) * sizeof(struct sub *)) : NULL, *sub;
    bool stale = false;
    for (unsigned i = 0; i < in->n_channels; i++) {
        const struct instruct_channel *c = &in->channels[i];
        struct buf name = BUF_INIT(prefix.len + c->name_len + 1);
        if (i >= max) {
            log_at(route->log_level, "httpsession: too many subscriptions%s%s", route->explicit_id ? " route=" : "",
                   route->explicit_id ? route->id : "");
            break;
        }
        buf_adds(&name, prefix);
        buf_add(&name, c->name, c->name_len);
        sub = subscribe_one(h, name.ptr != NULL ? buf_str(&name) : STR(""), c, retry, &stale);
        if (kept != NULL)
            kept[n++] = sub;
        buf_clear(&name);
    }
    for (unsigned i = 0; target != NULL && i < target->subs.n; i++) {
        sub = hold_find(&h->hold, str_c(target->subs.at[i]));
        if (sub == NULL)
            sub = subscribe_one(h, str_c(target->subs.at[i]), NULL, retry, &stale);
        if (kept != NULL)
            kept[n++] = sub;
    }
    if (kept != NULL)
        leave_others(h, kept, n);
    mem_free(kept);
    return stale;
}

/* beginning */

/* OLD ends when this one is there: nobody has gone, and what both are subscribed to was never left. What is on its way
 * to OLD is ours, but on a channel whose answer says where it is: there a gap is seen, and asked for. */
static void
take_over(struct httphold *h, struct httphold *old)
{
    for (struct sub *s = old->hold.subs; s != NULL; s = s->next) {
        struct sub *ours = hold_find(&h->hold, s->channel->node.key);
        if (ours != NULL && h->hold.kind == old->hold.kind && httphold_prev_id(ours).ptr == NULL)
            channels_move(s, ours);
    }
    mem_free(old->more->instruct.gone_link);
    old->more->instruct.gone_link = NULL;
    old->followed = true;
    for (struct sub *s = old->hold.subs; s != NULL && log_on(LOG_INFO); s = s->next)
        if (hold_find(&h->hold, s->channel->node.key) == NULL)
            log_unsubscribe(old, s);
}

static void
keep_more(struct httphold *h, const struct httphold_begin *b)
{
    struct instruct *in = b->instruct;
    struct buf home = BUF_INIT(65536);
    bool response = h->hold.kind == FORMAT_HTTP_RESPONSE, asking = asks(in);
    struct more *m;
    if (!response && in->keep_alive_len == 0 && in->n_meta == 0 && in->next_link == NULL && in->gone_link == NULL &&
        !asking)
        return;
    m = h->more = mem_zalloc(sizeof *m);
    m->owner = h;
    m->instruct = *in;
    instruct_init(in);
    if (m->instruct.next_link != NULL || m->instruct.gone_link != NULL || asking) {
        clientreq_put_uri(b->req, &home);
        m->home = str_dup(buf_str(&home));
    }
    buf_clear(&home);
    if (response)
        responsehold_init(h, b);
    else
        streamhold_init(h, b);
}

void
httphold_new(struct proxy *p, const struct httphold_begin *b)
{
    bool response = b->instruct->hold == HOLD_MODE_RESPONSE;
    struct httphold *h = slab_alloc(sizeof *h + b->uri.len);
    const struct instruct *in;
    bool stale;
    h->proxy = p;
    h->uri_len = (uint32_t)b->uri.len;
    memcpy(h->uri, b->uri.ptr, b->uri.len);
    hold_init(&h->hold, response ? &responsehold_ops : &streamhold_ops,
              response ? FORMAT_HTTP_RESPONSE : FORMAT_HTTP_STREAM, route_ref(b->route), b->x);
    h->hold.filters_itself = true;
    keep_more(h, b);
    xchg_join(b->x, response ? &responsehold_user_ops : &streamhold_user_ops, h);
    xchg_park(b->x);
    h->group = b->x->group;
    stats_held(p->stats, h->group, (enum stats_transport)h->hold.kind, 1);
    stats_conn_again(p->stats, b->x->live);
    in = h->more != NULL ? &h->more->instruct : b->instruct;
    stale = in->hold != HOLD_NONE && httphold_subscribe(h, in, b->target, b->old != NULL);
    if (b->old != NULL)
        take_over(h, b->old);
    if (response)
        responsehold_begin(h, b->old, stale);
    else
        streamhold_begin(h, stale);
}
