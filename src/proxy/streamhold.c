#include "proxy/streamhold.h"

#include "base/log.h"
#include "proxy/follow.h"

#include <stdlib.h>

enum { PIECES = 16 }; /* of one xchg_send() */

/* keep-alives */

static bool
has_keep_alive(const struct httphold *h)
{
    return h->more != NULL && h->more->instruct.keep_alive_len > 0;
}

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
    if (xchg_queued(httphold_xchg(h)) > 0)
        return; /* started again when the client has read */
    if (!has_keep_alive(h))
        return;
    start_keep_alive(h);
    stats_activity(h->proxy->stats, h->group, 1);
    xchg_send_str(httphold_xchg(h), str_of(m->instruct.keep_alive, m->instruct.keep_alive_len));
}

/* ending */

static void
end_stream(struct httphold *h)
{
    struct xchg *x = httphold_xchg(h);
    httphold_close(h);
    xchg_end(x);
}

/* End it; WHY is for debug mode. */
static void
end_because(struct httphold *h, const char *why)
{
    struct buf text = BUF_INIT(1024);
    log_debug("%.*s: stream ends: %s", (int)h->uri_len, h->uri, why);
    if (httphold_debugging(h)) {
        buf_addf(&text, "\n\n%s\n", why);
        xchg_send_str(httphold_xchg(h), buf_str(&text));
    }
    buf_clear(&text);
    end_stream(h);
}

/* What waits for the client is bounded; an empty queue takes a message of any size. */
static bool
is_too_slow(const struct httphold *h, size_t more)
{
    size_t queued = xchg_queued(httphold_xchg(h));
    return queued > 0 && queued + more > (size_t)h->proxy->config->connection_queue_max;
}

/* items for later */

static void
warn_lost(const struct httphold *h)
{
    char peer[ADDRESS_TEXT_MAX], id[STATS_ID_MAX];
    struct xchg *x = httphold_xchg(h);
    struct str from = xchg_peer(x, peer), conn = stats_conn_id(h->proxy->stats, x->live, id);
    log_warn("client reads too slowly, its link makes up for what is dropped: %.*s from=%.*s%s%.*s channel=%.*s",
             (int)h->uri_len, h->uri, STR_ARG(from), conn.len > 0 ? " id=" : "", STR_ARG(conn),
             STR_ARG(hold_channel(&h->hold)));
}

/* Only the origin has M for this client now. */
static void
lose(struct httphold *h, const struct msg *m)
{
    struct follow *f = follow_of(h);
    if (!f->lost)
        warn_lost(h);
    log_debug("httpsession: publish queue at max, dropping");
    f->lost = true;
    httphold_count(h, STATS_DROPPED_QUEUE, 1);
    f->ending = f->ending || m->format->action == ACTION_CLOSE;
}

static void
enqueue(struct httphold *h, struct msg *m)
{
    struct follow *f = follow_of(h);
    if (!f->lost && backlog_add(&f->backlog, m, (size_t)h->proxy->config->connection_queue_max))
        return;
    lose(h, m);
    for (unsigned i = 0; i < f->backlog.n; i++)
        lose(h, f->backlog.at[i]);
    backlog_clear(&f->backlog);
}

/* delivering */

/* Pieces that go out together; OWN keeps what was made for this stream alive until then. */
struct batch {
    struct xchg_piece pieces[PIECES];
    struct msg *own[PIECES];
    unsigned n;
};

static void
flush(struct httphold *h, const struct xchg_piece *pieces, unsigned n)
{
    if (n == 0)
        return;
    xchg_send(httphold_xchg(h), pieces, n);
    if (has_keep_alive(h) && h->more->instruct.keep_alive_mode == KEEP_ALIVE_IDLE)
        start_keep_alive(h);
}

static void
flush_batch(struct httphold *h, struct batch *b)
{
    flush(h, b->pieces, b->n);
    for (unsigned i = 0; i < b->n; i++)
        msg_unref(b->own[i]);
    b->n = 0;
}

static void
mark_delivered(struct httphold *h, struct sub *sub, const struct msg *m)
{
    if (httphold_prev_id(sub).ptr != NULL)
        sub_set_prev_id(sub, m->item->id);
    if (follow_of(h) != NULL)
        sub_more(sub)->active = true;
}

/* The queue limit is reached, and M cannot be sent. */
static void
on_limit(struct httphold *h, const struct msg *m)
{
    if (!follow_possible(h)) {
        httphold_cut_slow(h, 1);
        return;
    }
    lose(h, m);
    follow_stall(h);
}

/* What becomes of an item that follows; PASSED comes with a reference. */
static void
settle(struct httphold *h, struct sub *sub, struct msg *m, struct msg *passed, struct batch *b)
{
    enum format_action action = m->format->action;
    if (passed != NULL && action == ACTION_HINT) {
        msg_unref(passed);
        flush_batch(h, b);
        follow_ask(h, true); /* it has no content: the client has what it had */
        return;
    }
    mark_delivered(h, sub, m);
    if (passed == NULL)
        httphold_count(h, STATS_DROPPED_FILTER, 1);
    if (passed != NULL && action == ACTION_SEND && passed->payload.len > 0) {
        b->pieces[b->n] = (struct xchg_piece){passed->payload, passed->framed, &passed->shared};
        b->own[b->n++] = passed;
        if (b->n == PIECES)
            flush_batch(h, b);
        return;
    }
    if (passed != NULL)
        msg_unref(passed);
    if (passed != NULL && action == ACTION_CLOSE) {
        flush_batch(h, b);
        end_stream(h);
    }
}

/* An item that follows, through the filters to the client. */
static void
take_next(struct httphold *h, struct sub *sub, struct msg *m, struct batch *b)
{
    enum filter_result result = FILTER_PASS;
    struct msg *passed = NULL;
    struct err e;
    if (m->format->action == ACTION_SEND && b->n == 0 && is_too_slow(h, m->framed.len)) {
        on_limit(h, m);
        return;
    }
    if (!filter_needed(sub, m))
        passed = msg_ref(m);
    else
        result = httphold_filter(h, sub, m, &passed, &e);
    if (result == FILTER_FAIL && httphold_debugging(h)) {
        flush_batch(h, b);
        end_because(h, e.text);
    } else if (result != FILTER_ASK) {
        settle(h, sub, m, passed, b);
    }
}

static void
take(struct httphold *h, struct sub *sub, struct msg *m, struct batch *b)
{
    switch (httphold_order_of(sub, m)) {
    case ORDER_NEXT:
        take_next(h, sub, m, b);
        break;
    case ORDER_KNOWN:
        break;
    case ORDER_GAP:
        log_debug("last ID inconsistency (got=%.*s, expected=%.*s), retrying", STR_ARG(m->item->prev_id),
                  STR_ARG(httphold_prev_id(sub)));
        channel_forget_id(sub->channel);
        if (follow_possible(h))
            enqueue(h, m);
        follow_ask(h, false);
        break;
    }
}

static void
deliver_checked(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = httphold_of(sub->hold);
    struct batch b = {.n = 0};
    for (unsigned i = 0; i < n && h->state != HOLD_CLOSED; i++) {
        if (h->state == HOLD_IDLE)
            take(h, sub, msgs[i], &b);
        else
            enqueue(h, msgs[i]);
    }
    flush_batch(h, &b);
}

static void
deliver(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = httphold_of(sub->hold);
    struct xchg_piece pieces[PIECES];
    unsigned used = 0;
    if (sub->more != NULL || follow_of(h) != NULL) {
        deliver_checked(sub, msgs, n);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        struct msg *m = msgs[i];
        if (m->format->content_filters != NULL) {
            flush(h, pieces, used);
            deliver_checked(sub, msgs + i, n - i);
            return;
        }
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
            httphold_cut_slow(h, n - i);
            return;
        }
        pieces[used++] = (struct xchg_piece){m->payload, m->framed, &m->shared};
    }
    flush(h, pieces, used);
}

/* filters that ask a server */

enum { NEW = 1, QUEUED, QUEUED_TOLD }; /* how an item was there: the latter two in the queue of a link */

static void
deliver_asking(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct httphold *h = httphold_of(sub->hold);
    struct batch b = {.n = 0};
    for (unsigned i = 0; i < n && h->state != HOLD_CLOSED; i++) {
        if (httphold_asks(h))
            httphold_keep(h, msgs[i], NEW);
        else if (h->state == HOLD_IDLE)
            take(h, sub, msgs[i], &b);
        else
            enqueue(h, msgs[i]);
    }
    flush_batch(h, &b);
}

/* What is not through the filters yet waits for the link's answer. */
static void
enqueue_asking(struct httphold *h)
{
    struct msg *next;
    while (h->more->asking != NULL && (next = netfilter_give_back(h->more->asking)) != NULL) {
        enqueue(h, next);
        msg_unref(next);
    }
}

/* M and what comes after it. */
static void
enqueue_all(struct httphold *h, struct msg *m)
{
    enqueue(h, m);
    enqueue_asking(h);
}

static void
on_filtered(struct hold *hold, struct msg *m, enum filter_result result, struct msg *passed, struct err *e)
{
    struct httphold *h = httphold_of(hold);
    struct sub *sub = hold_find(hold, m->item->channel);
    struct batch b = {.n = 0};
    if (h->state != HOLD_IDLE)
        enqueue_all(h, m);
    else if (sub != NULL && httphold_order_of(sub, m) != ORDER_NEXT)
        take(h, sub, m, &b);
    else if (sub != NULL && result == FILTER_FAIL && httphold_debugging(h))
        end_because(h, e->text);
    else if (sub != NULL && result == FILTER_PASS && m->format->action == ACTION_SEND &&
             is_too_slow(h, passed->framed.len))
        on_limit(h, m);
    else if (sub != NULL) {
        settle(h, sub, m, passed != NULL ? msg_ref(passed) : NULL, &b);
        flush_batch(h, &b);
    }
    if (passed != NULL)
        msg_unref(passed);
}

/* following */

static bool
clear_marks(struct httphold *h)
{
    bool unsure = false;
    for (struct sub *s = h->hold.subs; s != NULL; s = s->next) {
        if (s->more == NULL)
            continue;
        unsure = unsure || s->more->unsure;
        s->more->unsure = s->more->joined = false;
    }
    return unsure;
}

/* A queued item. TOLD: it was there when the origin was asked. */
static void
take_queued(struct httphold *h, struct msg *m, bool told, struct batch *b)
{
    struct sub *sub = hold_find(&h->hold, m->item->channel);
    enum httphold_order order = sub != NULL ? httphold_order_of(sub, m) : ORDER_KNOWN;
    if (sub == NULL)
        return;
    if (order == ORDER_GAP && !sub->more->joined) {
        sub->more->unsure = sub->more->unsure || !told; /* is it in the answer, or not even what is before it? */
        return;
    }
    if (sub->more != NULL) {
        sub->more->joined = true;
        sub->more->unsure = false;
    }
    take(h, sub, m, b);
}

/* Has the queue not been gone through yet, since a filter's server is asked? */
static bool
is_draining(const struct httphold *h)
{
    return httphold_asks(h) && netfilter_next(h->more->asking) > NEW;
}

/* What came while the origin was asked, from where on it continues the answer. */
static void
drain(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct backlog queue = f->backlog;
    struct batch b = {.n = 0};
    f->backlog = (struct backlog){.at = NULL};
    clear_marks(h);
    for (unsigned i = 0; i < queue.n; i++) {
        if (h->state != HOLD_CLOSED && httphold_asks(h))
            httphold_keep(h, queue.at[i], i < f->told ? QUEUED_TOLD : QUEUED);
        else if (h->state == HOLD_IDLE)
            take_queued(h, queue.at[i], i < f->told, &b);
        else if (h->state != HOLD_CLOSED)
            enqueue(h, queue.at[i]);
    }
    flush_batch(h, &b);
    backlog_clear(&queue);
    if (h->state != HOLD_CLOSED && !is_draining(h) && clear_marks(h))
        follow_ask(h, false);
}

/* An item that was kept while a filter's server was asked. */
static void
on_turn(struct hold *hold, struct msg *m, unsigned how)
{
    struct httphold *h = httphold_of(hold);
    struct sub *sub = hold_find(hold, m->item->channel);
    struct batch b = {.n = 0};
    if (h->state != HOLD_IDLE) {
        enqueue_all(h, m);
        return;
    }
    if (how != NEW)
        take_queued(h, m, how == QUEUED_TOLD, &b);
    else if (sub != NULL)
        take(h, sub, m, &b);
    flush_batch(h, &b);
    if (how != NEW && h->state != HOLD_CLOSED && !is_draining(h) && clear_marks(h))
        follow_ask(h, false);
}

const struct netfilter_ops streamhold_netfilter_ops = {httphold_put_uri, httphold_put_meta, httphold_put_ids,
                                                       on_filtered, on_turn};

static void
on_asked(struct httphold *h, bool shared)
{
    struct follow *f = follow_of(h);
    enqueue_asking(h);
    f->told = shared ? 0 : f->backlog.n; /* a request that was under way may not know of them */
    f->lost = shared && f->lost;
}

static void
on_piece(struct httphold *h, struct str piece)
{
    loop_timer_stop(h->proxy->loop, &h->more->timer); /* nothing comes in between */
    xchg_send_str(httphold_xchg(h), piece);
}

/* The hold begins, or goes on. STALE: something was published that the answer did not know of. */
static void
on_answered(struct httphold *h, bool stale)
{
    struct follow *f = follow_of(h);
    if (!has_keep_alive(h))
        loop_timer_stop(h->proxy->loop, &h->more->timer);
    else if (!timer_is_set(&h->more->timer))
        start_keep_alive(h);
    drain(h);
    if (h->state == HOLD_CLOSED)
        return;
    if (f->ending && !f->lost) {
        end_stream(h);
        return;
    }
    if (stale || f->lost)
        follow_ask(h, false);
    if (h->state == HOLD_IDLE)
        follow_wait(h);
}

static void
on_ended(struct httphold *h, const char *why)
{
    if (why != NULL)
        end_because(h, why);
    else
        end_stream(h);
}

static const struct follow_ops follow_ops = {on_asked, on_piece, on_answered, on_ended};

static void
update(struct hold *hold, enum hold_update how)
{
    follow_ask(httphold_of(hold), how == UPDATE_HIGH);
}

/* the client */

static void
on_drained(struct xchg *x)
{
    struct httphold *h = x->user;
    struct follow *f = follow_of(h);
    if (f != NULL)
        follow_on_drained(h);
    if (has_keep_alive(h) && !timer_is_set(&h->more->timer) && !(f != NULL && h->state == HOLD_ASKING && f->begun))
        start_keep_alive(h);
}

static void
on_shutdown(struct xchg *x)
{
    end_stream(x->user);
}

const struct xchg_user_ops streamhold_user_ops = {httphold_on_body, httphold_on_body_end, on_drained, httphold_on_gone,
                                                  on_shutdown};
const struct hold_ops streamhold_ops = {deliver, update, httphold_meta, NULL};
const struct hold_ops streamhold_asking_ops = {deliver_asking, update, httphold_meta, NULL};

/* beginning */

void
streamhold_init(struct httphold *h, const struct httphold_begin *b)
{
    struct more *m = h->more;
    timer_init(&m->timer, on_keep_alive);
    headers_clear(&m->instruct.headers);
    mem_free(m->instruct.body);
    m->instruct.body = NULL;
    m->instruct.body_len = 0;
    if (m->instruct.next_link != NULL)
        follow_init(h, b->target, &follow_ops);
}

void
streamhold_begin(struct httphold *h, bool stale)
{
    if (follow_of(h) == NULL) {
        if (has_keep_alive(h))
            start_keep_alive(h);
    } else if (h->more->instruct.hold == HOLD_NONE) {
        follow_start(h);
    } else {
        on_answered(h, stale);
    }
}
