#include "proxy/responsehold.h"

#include "base/log.h"
#include "proto/jsonpatch.h"
#include "proto/jsonread.h"
#include "proxy/answer.h"
#include "proxy/exchange.h"

#include <stdlib.h>

/* asking again */

static void keep_all(struct more *m);

static void
on_update(struct update *u)
{
    struct more *m = container_of(u, struct more, update);
    struct httphold *h = m->owner;
    struct route *route;
    struct headers last;
    headers_init(&last);
    httphold_put_last(h, &last);
    loop_timer_stop(h->proxy->loop, &m->timer);
    h->state = HOLD_ASKING;
    keep_all(m);
    route = routes_current(h->proxy->routes, h->hold.route);
    exchange_retry(h->proxy, h, httphold_xchg(h), &m->req, &last, str_of(m->body, m->body_len), route);
    route_unref(route);
    headers_clear(&last);
}

static void
ask_again(struct httphold *h, bool urgent)
{
    if (h->state != HOLD_IDLE && h->state != HOLD_QUEUED)
        return;
    h->state = HOLD_QUEUED;
    updates_add(h->proxy->updates, &h->more->update, urgent, STR("response"), str_c(h->hold.route->targets[0].text));
}

static void
update(struct hold *hold, enum hold_update how)
{
    ask_again(httphold_of(hold), how == UPDATE_HIGH);
}

/* answering */

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

/* Does LISTS name any header? An empty list is none, as in an origin's response. */
static bool
lists_some(const struct headers *lists)
{
    for (unsigned i = 0; i < lists->n; i++) {
        struct str rest = lists->at[i].value, element;
        if (str_ieq(lists->at[i].name, STR("Grip-Expose-Headers")) && header_element(&rest, &element))
            return true;
    }
    return false;
}

/* The held headers, less those that are published anew, then the published ones; of all that only what a published
 * Grip-Expose-Headers lists. */
static void
merge_headers(const struct instruct *in, const struct format *f, struct headers *out)
{
    bool some = lists_some(&f->headers);
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
    struct xchg *x = httphold_xchg(h);
    struct headers headers;
    headers_init(&headers);
    merge_headers(&h->more->instruct, f, &headers);
    answer_whole(x, &h->more->req, f->code, f->reason != NULL ? str_c(f->reason) : http_reason(f->code), &headers, body,
                 true);
    headers_clear(&headers);
    httphold_close(h);
    xchg_end(x);
}

/* An item that cannot be filtered. Whoever debugs wants to see that at once; true: it has answered. */
static bool
unfiltered_answer(struct httphold *h, const char *why)
{
    struct xchg *x = httphold_xchg(h);
    struct buf text = BUF_INIT(1024);
    if (!httphold_debugging(h))
        return false;
    buf_addf(&text, "%s\n", why);
    answer_text(x, &h->more->req, 502, buf_str(&text));
    httphold_close(h);
    xchg_end(x);
    buf_clear(&text);
    return true;
}

/* true: the item has answered. */
static bool
take_send(struct httphold *h, struct sub *sub, const struct msg *m)
{
    struct buf body = BUF_INIT(1 << 26);
    bool patched;
    if (m->format->body_patch == NULL) {
        respond(h, m->format, m->payload);
        return true;
    }
    patched = patch_body(h, m, &body);
    if (patched)
        respond(h, m->format, buf_str(&body));
    else if (httphold_prev_id(sub).ptr != NULL)
        ask_again(h, false);
    buf_clear(&body);
    return patched;
}

/* What becomes of an item that follows. PASSED NULL: it is dropped. true: it has answered. */
static bool
settle(struct httphold *h, struct sub *sub, const struct msg *m, const struct msg *passed)
{
    enum format_action action = m->format->action;
    if (passed == NULL)
        httphold_count(h, STATS_DROPPED_FILTER, 1);
    if (passed != NULL && action == ACTION_SEND)
        return take_send(h, sub, passed);
    if (passed != NULL && action == ACTION_HINT)
        ask_again(h, true); /* it has no content: the client has what it had */
    else if (httphold_prev_id(sub).ptr != NULL)
        sub_set_prev_id(sub, m->item->id);
    return false;
}

/* An item that follows. true: it has answered. */
static bool
take_next(struct httphold *h, struct sub *sub, struct msg *m)
{
    enum filter_result result = FILTER_PASS;
    struct msg *passed = NULL;
    struct err e;
    bool answered;
    if (!filter_needed(sub, m))
        passed = msg_ref(m);
    else
        result = httphold_filter(h, sub, m, &passed, &e);
    if (result == FILTER_FAIL && unfiltered_answer(h, e.text))
        return true;
    if (result == FILTER_ASK)
        return false;
    answered = settle(h, sub, m, passed);
    if (passed != NULL)
        msg_unref(passed);
    return answered;
}

/* true: the item has answered. */
static bool
take(struct httphold *h, struct sub *sub, struct msg *m)
{
    struct str has = httphold_prev_id(sub);
    switch (httphold_order_of(sub, m)) {
    case ORDER_NEXT:
        return take_next(h, sub, m);
    case ORDER_KNOWN:
        return false;
    default:
        log_debug("last ID inconsistency (got=%.*s, expected=%.*s), retrying", STR_ARG(m->item->prev_id), STR_ARG(has));
        channel_forget_id(sub->channel);
        ask_again(h, false);
        return false;
    }
}

static void
keep(struct more *m, struct msg *msg)
{
    if (m->n_kept == HTTPHOLD_KEPT_MAX) { /* one is enough to answer with; after a hundred the origin is asked */
        log_debug("httpsession: publish queue at max, dropping");
        httphold_count(m->owner, STATS_DROPPED_QUEUE, 1);
        return;
    }
    if (m->kept == NULL)
        m->kept = mem_alloc(HTTPHOLD_KEPT_MAX * sizeof(struct msg *));
    m->kept[m->n_kept++] = msg_ref(msg);
}

static void
deliver(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = httphold_of(sub->hold);
    for (unsigned i = 0; i < n; i++) {
        if (h->state == HOLD_ASKING)
            keep(h->more, msgs[i]);
        else if (h->state == HOLD_CLOSED || take(h, sub, msgs[i]))
            return;
    }
}

/* filters that ask a server */

static void
deliver_asking(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = httphold_of(sub->hold);
    for (unsigned i = 0; i < n && h->state != HOLD_CLOSED; i++) {
        if (h->state == HOLD_ASKING)
            keep(h->more, msgs[i]);
        else if (httphold_asks(h))
            httphold_keep(h, msgs[i], 1);
        else if (take(h, sub, msgs[i]))
            return;
    }
}

static void
on_filtered(struct hold *hold, struct msg *m, enum filter_result result, struct msg *passed, struct err *e)
{
    struct httphold *h = httphold_of(hold);
    struct sub *sub = hold_find(hold, m->item->channel);
    if (sub != NULL && httphold_order_of(sub, m) != ORDER_NEXT)
        take(h, sub, m);
    else if (sub != NULL && (result != FILTER_FAIL || !unfiltered_answer(h, e->text)))
        settle(h, sub, m, passed);
    if (passed != NULL)
        msg_unref(passed);
}

static void
on_turn(struct hold *hold, struct msg *m, unsigned how)
{
    struct sub *sub = hold_find(hold, m->item->channel);
    (void)how;
    if (sub != NULL)
        take(httphold_of(hold), sub, m);
}

/* The origin is asked again: what waits for a filter is for the next hold. */
static void
keep_all(struct more *m)
{
    struct msg *msg;
    while (m->asking != NULL && (msg = netfilter_give_back(m->asking)) != NULL) {
        keep(m, msg);
        msg_unref(msg);
    }
}

const struct netfilter_ops responsehold_netfilter_ops = {httphold_put_uri, httphold_put_meta, httphold_put_ids,
                                                         on_filtered, on_turn};

/* The hold that this one follows was asked again for. What came meanwhile answers this one, or tells that the answer
 * was made too early. */
static void
take_kept(struct httphold *h, const struct httphold *old)
{
    const struct more *m = old->more;
    bool gap = m->n_kept == HTTPHOLD_KEPT_MAX;
    for (unsigned i = 0; i < m->n_kept; i++) {
        struct sub *sub = hold_find(&h->hold, m->kept[i]->item->channel);
        enum httphold_order order = sub != NULL ? httphold_order_of(sub, m->kept[i]) : ORDER_KNOWN;
        if (httphold_asks(h)) {
            httphold_keep(h, m->kept[i], 1);
            continue;
        }
        if (order == ORDER_NEXT && take_next(h, sub, m->kept[i]))
            return;
        if (sub != NULL && sub->more != NULL)
            sub->more->unsure = order == ORDER_GAP; /* until one of them leads to what the client has */
    }
    for (struct sub *sub = h->hold.subs; sub != NULL; sub = sub->next)
        gap = gap || (sub->more != NULL && sub->more->unsure);
    if (gap)
        ask_again(h, false);
}

static void
on_timeout(struct timer *t)
{
    struct httphold *h = container_of(t, struct more, timer)->owner;
    struct xchg *x = httphold_xchg(h);
    httphold_answer(x, &h->more->req, &h->more->instruct, true);
    httphold_close(h);
    xchg_end(x);
}

static void
on_drained(struct xchg *x)
{
    (void)x;
}

static void
on_shutdown(struct xchg *x)
{
    struct httphold *h = x->user;
    on_timeout(&h->more->timer);
}

const struct xchg_user_ops responsehold_user_ops = {httphold_on_body, httphold_on_body_end, on_drained,
                                                    httphold_on_gone, on_shutdown};
const struct hold_ops responsehold_ops = {deliver, update, httphold_meta, NULL};
const struct hold_ops responsehold_asking_ops = {deliver_asking, update, httphold_meta, NULL};

/* beginning and end */

void
responsehold_init(struct httphold *h, const struct httphold_begin *b)
{
    struct more *m = h->more;
    update_init(&m->update, on_update);
    timer_init(&m->timer, on_timeout);
    clientreq_copy(&m->req, b->req);
    m->body = str_dup(b->body);
    m->body_len = b->body.len;
}

void
responsehold_begin(struct httphold *h, const struct httphold *old, bool stale)
{
    loop_timer(h->proxy->loop, &h->more->timer, (uint64_t)h->more->instruct.timeout * 1000);
    if (stale)
        ask_again(h, true);
    else if (old != NULL)
        take_kept(h, old);
}

void
responsehold_clear(struct httphold *h)
{
    struct more *m = h->more;
    for (unsigned i = 0; i < m->n_kept; i++)
        msg_unref(m->kept[i]);
    mem_free(m->kept);
    clientreq_clear(&m->req);
    mem_free(m->body);
}
