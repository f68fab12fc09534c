#include "proxy/httphold.h"

#include "base/log.h"
#include "base/slab.h"
#include "proto/jsonpatch.h"
#include "proto/jsonread.h"
#include "proxy/answer.h"
#include "proxy/exchange.h"
#include "proxy/updates.h"
#include "pub/filter.h"

#include <stdlib.h>

enum {
    PIECES = 16,   /* of one xchg_send() */
    KEPT_MAX = 100 /* messages kept for a hold while its origin is asked again */
};

enum state {
    HOLDING,
    QUEUED, /* the origin is to be asked again, in its turn */
    ASKING, /* the origin is being asked; the xchg is the exchange's, and so are we */
    CLOSED
};

/* What a response hold needs, or a stream with keep-alives or meta. */
struct more {
    struct httphold *owner;
    struct timer timer;       /* response: time-out; stream: keep-alive */
    struct instruct instruct; /* of a stream without the response for the client */
    struct clientreq req;     /* response: to ask again */
    char *body;               /* response: of the request; owned, body_len bytes */
    size_t body_len;
    struct update update;
    struct msg **kept; /* owned array of references: what came while the origin is asked */
    unsigned n_kept;
};

struct httphold {
    struct hold hold;    /* its client is our xchg, joined unless ASKING */
    struct proxy *proxy; /* borrowed */
    struct more *more;   /* owned; NULL: a plain stream */
    uint8_t state;       /* enum state */
    bool followed;       /* by another hold, which has said what becomes of our channels */
    uint16_t group;      /* of stats */
    uint32_t uri_len;
    char uri[]; /* as sent to the origin, for the log */
};

static struct httphold *
of_hold(struct hold *h)
{
    return container_of(h, struct httphold, hold);
}

static struct xchg *
xchg_of(const struct httphold *h)
{
    return h->hold.client;
}

/* ending */

static void
httphold_free(void *ptr)
{
    struct httphold *h = ptr;
    struct more *m = h->more;
    if (m != NULL) {
        for (unsigned i = 0; i < m->n_kept; i++)
            msg_unref(m->kept[i]);
        mem_free(m->kept);
        instruct_clear(&m->instruct);
        clientreq_clear(&m->req);
        mem_free(m->body);
        mem_free(m);
    }
    slab_free(h, sizeof *h + h->uri_len);
}

static void
log_unsubscribe(const struct httphold *h, const struct sub *s)
{
    log_info("unsubscribe %.*s channel=%.*s", (int)h->uri_len, h->uri, STR_ARG(s->channel->node.key));
}

void
httphold_close(struct httphold *h)
{
    if (h->state == CLOSED)
        return;
    h->state = CLOSED;
    if (h->more != NULL) {
        updates_remove(h->proxy->updates, &h->more->update);
        loop_timer_stop(h->proxy->loop, &h->more->timer);
    }
    if (log_on(LOG_INFO) && !h->followed)
        for (struct sub *s = h->hold.subs; s != NULL; s = s->next)
            log_unsubscribe(h, s);
    log_debug("httpsession: cleaning up %.*s", (int)h->uri_len, h->uri);
    stats_held(h->proxy->stats, h->group, (enum stats_transport)h->hold.kind, -1);
    hold_clear(&h->hold);
    loop_reap(h->proxy->loop, h, httphold_free);
}

/* The client reads too slowly, or not at all: cut it off rather than leave a gap. DROPPED: messages that it misses. */
static void
cut_slow(struct httphold *h, unsigned dropped)
{
    struct xchg *x = xchg_of(h);
    struct stats *stats = h->proxy->stats;
    const struct route *route = h->hold.route;
    char peer[ADDRESS_TEXT_MAX], id[STATS_ID_MAX];
    struct str from = xchg_peer(x, peer), conn = stats_conn_id(stats, x->live, id);
    log_warn("client reads too slowly, closing: %.*s from=%.*s%s%.*s%s%s channel=%.*s queued=%zu", (int)h->uri_len,
             h->uri, STR_ARG(from), conn.len > 0 ? " id=" : "", STR_ARG(conn), route->explicit_id ? " route=" : "",
             route->explicit_id ? route->id : "", STR_ARG(hold_channel(&h->hold)), xchg_queued(x));
    stats_add(stats, x->group, STATS_DROPPED_QUEUE, dropped);
    stats_conn_end(stats, x->group, &x->live, STATS_CLOSED_SLOW);
    httphold_close(h);
    xchg_abort(x);
}

/* asking again */

static void
add_grip_last(const struct httphold *h, struct headers *out)
{
    struct str prefix = str_c(h->hold.route->prefix);
    for (const struct sub *s = h->hold.subs; s != NULL; s = s->next) {
        struct str name = s->channel->node.key;
        struct buf value = BUF_INIT(65536);
        if (s->more == NULL || s->more->prev_id == NULL)
            continue;
        if (str_starts(name, prefix))
            name = str_from(name, prefix.len);
        buf_addf(&value, "%.*s; last-id=%.*s", STR_ARG(name), (int)s->more->prev_id->len, s->more->prev_id->data);
        if (header_value_ok(buf_str(&value)))
            headers_add(out, STR("Grip-Last"), buf_str(&value));
        buf_clear(&value);
    }
}

static void
on_update(struct update *u)
{
    struct more *m = container_of(u, struct more, update);
    struct httphold *h = m->owner;
    struct headers last;
    headers_init(&last);
    add_grip_last(h, &last);
    loop_timer_stop(h->proxy->loop, &m->timer);
    h->state = ASKING;
    exchange_retry(h->proxy, h, xchg_of(h), &m->req, &last, str_of(m->body, m->body_len), h->hold.route);
    headers_clear(&last);
}

static void
ask_again(struct httphold *h, bool urgent)
{
    if (h->state != HOLDING && h->state != QUEUED)
        return;
    h->state = QUEUED;
    updates_add(h->proxy->updates, &h->more->update, urgent);
}

static void
update(struct hold *hold, enum hold_update how)
{
    if (hold->kind == FORMAT_HTTP_RESPONSE)
        ask_again(of_hold(hold), how == UPDATE_HIGH);
}

static struct str
meta(const struct hold *hold, struct str name)
{
    const struct more *m = of_hold((struct hold *)(uintptr_t)hold)->more;
    for (unsigned i = 0; m != NULL && i < m->instruct.n_meta; i++)
        if (str_eq(str_c(m->instruct.meta[i].name), name))
            return str_c(m->instruct.meta[i].value);
    return str_of(NULL, 0);
}

/* response holds */

/* Does the item follow what the client has? (reliability 3.2) Else the id is forgotten, and the origin asked. */
static bool
follows(struct httphold *h, struct sub *sub, const struct msg *m)
{
    struct shared_bytes *has = sub->more != NULL ? sub->more->prev_id : NULL;
    if (has == NULL)
        return true;
    if (m->item->prev_id.ptr != NULL && str_eq(m->item->prev_id, str_of(has->data, has->len)))
        return true;
    log_debug("last ID inconsistency (got=%.*s, expected=%.*s), retrying", STR_ARG(m->item->prev_id), (int)has->len,
              has->data);
    channel_forget_id(sub->channel);
    ask_again(h, false);
    return false;
}

/* The held document with the published patch applied; false: that failed, and the hold goes on. */
static bool
patch_body(struct httphold *h, const struct msg *m, struct buf *out)
{
    const struct instruct *in = &h->more->instruct;
    struct str body = str_of(in->body, in->body_len);
    struct err e;
    json_t *doc = jsonread_parse(body, &e), *patched = NULL;
    char *text = NULL;
    if (doc == NULL || !(json_is_object(doc) || json_is_array(doc)))
        err_set(&e, "the held body is not a JSON object or array");
    else
        patched = jsonpatch_apply(doc, m->format->body_patch, &e);
    if (patched != NULL && (text = json_dumps(patched, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)) == NULL)
        err_set(&e, "the result cannot be written");
    if (text == NULL) {
        log_warn("failed to apply JSON patch, item skipped: channel=%.*s uri=%.*s: %s", STR_ARG(m->item->channel),
                 (int)h->uri_len, h->uri, e.text);
    } else {
        buf_adds(out, str_c(text));
        buf_adds(out, str_ends(body, STR("\r\n")) ? STR("\r\n") : str_ends(body, STR("\n")) ? STR("\n") : STR(""));
    }
    free(text);
    json_decref(doc);
    json_decref(patched);
    return text != NULL;
}

static bool
is_listed(const struct headers *lists, struct str name)
{
    return headers_list_has(lists, STR("Grip-Expose-Headers"), name);
}

/* The held headers, less those that are published anew, then the published ones; of all that only what a published
 * Grip-Expose-Headers lists. */
static void
merge_headers(const struct instruct *in, const struct format *f, struct headers *out)
{
    bool some = headers_has(&f->headers, STR("Grip-Expose-Headers"));
    for (unsigned i = 0; i < in->headers.n; i++) {
        struct str name = in->headers.at[i].name;
        if (str_ieq(name, STR("Content-Encoding")) || headers_has(&f->headers, name) ||
            (some && !is_listed(&f->headers, name)))
            continue;
        headers_view(out, name, in->headers.at[i].value);
    }
    for (unsigned i = 0; i < f->headers.n; i++) {
        struct str name = f->headers.at[i].name;
        if (str_istarts(name, STR("Grip-")) || (some && !is_listed(&f->headers, name)))
            continue;
        headers_view(out, name, f->headers.at[i].value);
    }
}

static void
respond(struct httphold *h, const struct format *f, struct str body)
{
    struct xchg *x = xchg_of(h);
    struct headers headers;
    headers_init(&headers);
    merge_headers(&h->more->instruct, f, &headers);
    answer_whole(x, &h->more->req, f->code, f->reason != NULL ? str_c(f->reason) : http_reason(f->code), &headers, body,
                 true);
    headers_clear(&headers);
    httphold_close(h);
    xchg_end(x);
}

/* true: the item has answered. */
static bool
take_response(struct httphold *h, struct sub *sub, const struct msg *m)
{
    const struct format *f = m->format;
    struct buf body = BUF_INIT(1 << 26);
    bool patched;
    if (f->action != ACTION_SEND && f->action != ACTION_HINT)
        return false;
    if (sub != NULL && !follows(h, sub, m))
        return false;
    if (f->action == ACTION_HINT) {
        ask_again(h, true);
        return false;
    }
    if (f->body_patch == NULL) {
        respond(h, f, m->payload);
        return true;
    }
    patched = patch_body(h, m, &body);
    if (patched)
        respond(h, f, buf_str(&body));
    else if (sub != NULL && sub->more != NULL && sub->more->prev_id != NULL)
        ask_again(h, false);
    buf_clear(&body);
    return patched;
}

static void
keep(struct more *m, struct msg *msg)
{
    if (m->n_kept == KEPT_MAX) { /* one is enough to answer with; a hundred that do not fit are an origin's affair */
        log_debug("httpsession: publish queue at max, dropping");
        stats_add(m->owner->proxy->stats, m->owner->group, STATS_DROPPED_QUEUE, 1);
        return;
    }
    if (m->kept == NULL)
        m->kept = mem_alloc(KEPT_MAX * sizeof(struct msg *));
    m->kept[m->n_kept++] = msg_ref(msg);
}

static void
deliver_response(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = of_hold(sub->hold);
    for (unsigned i = 0; i < n; i++) {
        if (h->state == ASKING)
            keep(h->more, msgs[i]);
        else if (h->state != CLOSED && take_response(h, sub, msgs[i]))
            return;
    }
}

/* The hold that this one follows was asked again for: what came meanwhile answers this one, where the new answer did
 * not say what it contains. */
static void
take_kept(struct httphold *h, struct httphold *old)
{
    struct more *m = old->more;
    for (unsigned i = 0; i < m->n_kept; i++) {
        struct sub *sub = hold_find(&h->hold, m->kept[i]->item->channel);
        if (sub == NULL || (sub->more != NULL && sub->more->prev_id != NULL))
            continue;
        if (take_response(h, sub, m->kept[i]))
            return;
    }
}

static void
on_timeout(struct timer *t)
{
    struct httphold *h = container_of(t, struct more, timer)->owner;
    struct xchg *x = xchg_of(h);
    struct instruct in = h->more->instruct;
    instruct_init(&h->more->instruct);
    httphold_answer(x, &h->more->req, &in, true);
    httphold_close(h);
    xchg_end(x);
    instruct_clear(&in);
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

/* stream holds */

static void
start_keep_alive(struct httphold *h)
{
    uint64_t ms = (uint64_t)h->more->instruct.keep_alive_timeout * 1000;
    loop_timer(h->proxy->loop, &h->more->timer, ms - (uint64_t)random() % 1000);
}

static void
on_keep_alive(struct timer *t)
{
    struct more *m = container_of(t, struct more, timer);
    struct httphold *h = m->owner;
    if (xchg_queued(xchg_of(h)) > 0)
        return; /* started again when the client has read */
    start_keep_alive(h);
    stats_activity(h->proxy->stats, h->group, 1);
    xchg_send_str(xchg_of(h), str_of(m->instruct.keep_alive, m->instruct.keep_alive_len));
}

static bool
has_keep_alive(const struct httphold *h)
{
    return h->more != NULL && h->more->instruct.keep_alive_len > 0;
}

static void
flush(struct httphold *h, const struct xchg_piece *pieces, unsigned n)
{
    if (n == 0)
        return;
    xchg_send(xchg_of(h), pieces, n);
    if (has_keep_alive(h) && h->more->instruct.keep_alive_mode == KEEP_ALIVE_IDLE)
        start_keep_alive(h);
}

static void
end_stream(struct httphold *h)
{
    struct xchg *x = xchg_of(h);
    httphold_close(h);
    xchg_end(x);
}

/* What waits for the client is bounded; an empty queue takes a message of any size. */
static bool
is_too_slow(const struct httphold *h, size_t more)
{
    size_t queued = xchg_queued(xchg_of(h));
    return queued > 0 && queued + more > (size_t)h->proxy->config->connection_queue_max;
}

static void
deliver_stream(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = of_hold(sub->hold);
    struct xchg_piece pieces[PIECES];
    unsigned used = 0;
    for (unsigned i = 0; i < n; i++) {
        struct msg *m = msgs[i];
        if (m->format->action == ACTION_CLOSE) {
            flush(h, pieces, used);
            end_stream(h);
            return;
        }
        if (m->format->action != ACTION_SEND || m->payload.len == 0)
            continue;
        if (used == PIECES) {
            flush(h, pieces, used);
            used = 0;
        }
        if (used == 0 && is_too_slow(h, m->framed.len)) {
            cut_slow(h, n - i);
            return;
        }
        pieces[used++] = (struct xchg_piece){m->payload, m->framed, &m->shared};
    }
    flush(h, pieces, used);
}

/* A message cannot be filtered. Whoever debugs wants to see that at once. */
static void
unfiltered(struct sub *sub, const char *why)
{
    struct httphold *h = of_hold(sub->hold);
    struct xchg *x = xchg_of(h);
    struct buf text = BUF_INIT(1024);
    if ((!h->proxy->config->debug && !h->hold.route->debug) || h->state == ASKING)
        return;
    if (h->hold.kind == FORMAT_HTTP_STREAM) {
        buf_addf(&text, "\n\n%s\n", why);
        xchg_send_str(x, buf_str(&text));
        end_stream(h);
    } else {
        buf_addf(&text, "%s\n", why);
        httphold_close(h);
        xchg_respond_text(x, 502, buf_str(&text));
    }
    buf_clear(&text);
}

/* the client */

static void
on_body(struct xchg *x, struct str piece)
{
    (void)x, (void)piece;
}

static void
on_body_end(struct xchg *x)
{
    (void)x;
}

static void
on_drained(struct xchg *x)
{
    struct httphold *h = x->user;
    if (has_keep_alive(h) && !timer_is_set(&h->more->timer))
        start_keep_alive(h);
}

static void
on_gone(struct xchg *x, const char *why)
{
    (void)why;
    httphold_close(x->user);
}

static void
on_shutdown(struct xchg *x)
{
    struct httphold *h = x->user;
    if (h->hold.kind == FORMAT_HTTP_RESPONSE)
        on_timeout(&h->more->timer);
    else
        end_stream(h);
}

static const struct xchg_user_ops xchg_user_ops = {on_body, on_body_end, on_drained, on_gone, on_shutdown};
static const struct hold_ops response_ops = {deliver_response, update, meta, unfiltered};
static const struct hold_ops stream_ops = {deliver_stream, update, meta, unfiltered};

/* beginning */

static void
keep_more(struct httphold *h, const struct httphold_begin *b)
{
    bool response = b->instruct->hold == HOLD_MODE_RESPONSE;
    struct more *m;
    if (!response && b->instruct->keep_alive_len == 0 && b->instruct->n_meta == 0)
        return;
    m = h->more = mem_zalloc(sizeof *m);
    m->owner = h;
    m->instruct = *b->instruct;
    instruct_init(b->instruct);
    update_init(&m->update, on_update);
    timer_init(&m->timer, response ? on_timeout : on_keep_alive);
    headers_init(&m->req.headers);
    if (!response)
        return;
    clientreq_copy(&m->req, b->req);
    m->body = str_dup(b->body);
    m->body_len = b->body.len;
}

static void
subscribe_one(struct httphold *h, struct str name, const struct instruct_channel *c, bool retry)
{
    struct sub *sub = channels_subscribe(h->proxy->channels, &h->hold, name);
    log_debug("adding %s hold on %.*s", h->hold.kind == FORMAT_HTTP_RESPONSE ? "response" : "stream", STR_ARG(name));
    log_info("subscribe %.*s channel=%.*s%s", (int)h->uri_len, h->uri, STR_ARG(name), retry ? " retry" : "");
    if (c == NULL)
        return;
    if (c->prev_id != NULL)
        sub_set_prev_id(sub, str_c(c->prev_id));
    for (unsigned i = 0; i < c->n_filters; i++) {
        int filter = filter_find(str_c(c->filters[i]));
        if (filter >= 0)
            sub_more(sub)->filters[sub_more(sub)->n_filters++] = (uint8_t)filter;
    }
}

static void
subscribe(struct httphold *h, const struct httphold_begin *b, const struct instruct *in)
{
    unsigned max = (unsigned)h->proxy->config->connection_subscription_max;
    struct str prefix = str_c(b->route->prefix);
    for (unsigned i = 0; i < in->n_channels; i++) {
        const struct instruct_channel *c = &in->channels[i];
        struct buf name = BUF_INIT(prefix.len + c->name_len + 1);
        if (i >= max) {
            log_at(b->route->log_level, "httpsession: too many subscriptions%s%s",
                   b->route->explicit_id ? " route=" : "", b->route->explicit_id ? b->route->id : "");
            break;
        }
        buf_adds(&name, prefix);
        buf_add(&name, c->name, c->name_len);
        subscribe_one(h, name.ptr != NULL ? buf_str(&name) : STR(""), c, b->old != NULL);
        buf_clear(&name);
    }
    for (unsigned i = 0; b->target != NULL && i < b->target->subs.n; i++)
        subscribe_one(h, str_c(b->target->subs.at[i]), NULL, b->old != NULL);
}

/* OLD ends when this one is there; what both are subscribed to was never left. */
static void
follow(struct httphold *h, struct httphold *old)
{
    old->followed = true;
    for (struct sub *s = old->hold.subs; s != NULL && log_on(LOG_INFO); s = s->next)
        if (hold_find(&h->hold, s->channel->node.key) == NULL)
            log_unsubscribe(old, s);
}

/* An answer is older than what has been published since: ask again at once (reliability 3.1). */
static bool
is_stale(struct httphold *h)
{
    bool stale = false;
    for (struct sub *s = h->hold.subs; s != NULL; s = s->next) {
        struct shared_bytes *has = s->more != NULL ? s->more->prev_id : NULL, *last = s->channel->last_id;
        if (has == NULL || last == NULL || str_eq(str_of(has->data, has->len), str_of(last->data, last->len)))
            continue;
        channel_forget_id(s->channel);
        stale = true;
    }
    return stale;
}

void
httphold_new(struct proxy *p, const struct httphold_begin *b)
{
    bool response = b->instruct->hold == HOLD_MODE_RESPONSE;
    struct httphold *h = slab_alloc(sizeof *h + b->uri.len);
    const struct instruct *in;
    h->proxy = p;
    h->uri_len = (uint32_t)b->uri.len;
    memcpy(h->uri, b->uri.ptr, b->uri.len);
    hold_init(&h->hold, response ? &response_ops : &stream_ops, response ? FORMAT_HTTP_RESPONSE : FORMAT_HTTP_STREAM,
              route_ref(b->route), b->x);
    keep_more(h, b);
    in = h->more != NULL ? &h->more->instruct : b->instruct;
    xchg_join(xchg_of(h), &xchg_user_ops, h);
    xchg_park(xchg_of(h));
    h->group = b->x->group;
    stats_held(p->stats, h->group, (enum stats_transport)h->hold.kind, 1);
    stats_conn_again(p->stats, b->x->live);
    subscribe(h, b, in);
    if (b->old != NULL)
        follow(h, b->old);
    if (!response) {
        if (has_keep_alive(h))
            start_keep_alive(h);
        return;
    }
    loop_timer(p->loop, &h->more->timer, (uint64_t)in->timeout * 1000);
    if (is_stale(h))
        ask_again(h, true);
    else if (b->old != NULL)
        take_kept(h, b->old);
}
