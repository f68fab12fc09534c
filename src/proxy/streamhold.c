#include "proxy/streamhold.h"

#include "base/log.h"
#include "grip/contentid.h"
#include "proto/uri.h"
#include "proxy/bodyfilter.h"
#include "proxy/links.h"

#include <stdlib.h>

enum {
    PIECES = 16,          /* of one xchg_send() */
    BACKLOG = 65536,      /* bytes that wait for the client before a link's answer waits too */
    MESSAGE_COST = 64,    /* bytes that a queued message counts for, besides its content */
    RETRIES = 5,          /* after which an answer that says no is believed */
    RETRY_MAX_MS = 16000, /* between two attempts, and up to a second more */
    PIECE_MAX = 1 << 24   /* bytes that a piece of a body may become when ids are put in */
};

/* What a stream with a next link needs. */
struct follow {
    struct httphold *owner;
    const struct target *target; /* of the first answer: its channels stay. Borrowed: the hold's route keeps it */
    char *base;                  /* owned; the link that was followed last; NULL: none yet */
    char *url;                   /* owned; the link being followed; NULL: none */
    struct link *link;           /* owned while ASKING */
    struct timer timer;          /* IDLE: the link's time-out; RETRYING: the pause */
    /* items for later */
    struct msg **queue; /* owned array of references */
    unsigned n, cap;
    unsigned told; /* so many were there when the origin was asked: its answer has them */
    size_t bytes;
    bool lost;   /* some were dropped since: only the origin has them */
    bool ending; /* one that was dropped ends the stream */
    /* asking */
    bool again, again_urgent; /* another update is wanted after this one */
    bool begun;               /* a byte of this answer has been sent */
    bool accepted;            /* the answer's instruct is in FRESH */
    bool rewriting;           /* its body goes through IDS */
    uint8_t failures;         /* in a row */
    struct instruct fresh;
    struct contentid ids;
};

static void ask(struct httphold *h, bool urgent);
static void start_asking(struct httphold *h);

static struct follow *
follow_of(const struct httphold *h)
{
    return h->more != NULL ? h->more->follow : NULL;
}

static bool
has_next(const struct httphold *h)
{
    return follow_of(h) != NULL && h->more->instruct.next_link != NULL;
}

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

/* the queue */

static void
clear_queue(struct follow *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        f->ending = f->ending || (f->queue[i]->format->action == ACTION_CLOSE && f->lost);
        msg_unref(f->queue[i]);
    }
    mem_free(f->queue);
    f->queue = NULL;
    f->n = f->cap = f->told = 0;
    f->bytes = 0;
}

static void
warn_lost(const struct httphold *h)
{
    char peer[ADDRESS_TEXT_MAX];
    struct str from = xchg_peer(httphold_xchg(h), peer);
    log_warn("client reads too slowly, its link makes up for what is dropped: %.*s from=%.*s channel=%.*s",
             (int)h->uri_len, h->uri, STR_ARG(from), STR_ARG(hold_channel(&h->hold)));
}

/* Only the origin has M for this client now. */
static void
lose(struct httphold *h, const struct msg *m)
{
    struct follow *f = follow_of(h);
    if (!f->lost)
        warn_lost(h);
    f->lost = true;
    f->ending = f->ending || m->format->action == ACTION_CLOSE;
}

static void
enqueue(struct httphold *h, struct msg *m)
{
    struct follow *f = follow_of(h);
    size_t cost = m->payload.len + MESSAGE_COST;
    if (f->lost || (f->n > 0 && f->bytes + cost > (size_t)h->proxy->config->connection_queue_max)) {
        lose(h, m);
        clear_queue(f);
        return;
    }
    if (f->n == f->cap) {
        f->cap = f->cap > 0 ? f->cap * 2 : 4;
        f->queue = mem_realloc(f->queue, f->cap * sizeof(struct msg *));
    }
    f->queue[f->n++] = msg_ref(m);
    f->bytes += cost;
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

enum order { FOLLOWS, IS_KNOWN, GAP };

/* How does the item stand to what the client has? (reliability 5.3) */
static enum order
order_of(const struct sub *sub, const struct msg *m)
{
    struct str has = httphold_prev_id(sub);
    if (has.ptr == NULL || (m->item->prev_id.ptr != NULL && str_eq(m->item->prev_id, has)))
        return FOLLOWS;
    return m->item->id.ptr != NULL && str_eq(m->item->id, has) ? IS_KNOWN : GAP;
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
    if (!has_next(h)) {
        httphold_cut_slow(h);
        return;
    }
    lose(h, m);
    loop_timer_stop(h->proxy->loop, &follow_of(h)->timer);
    h->state = HOLD_STALLED;
}

/* An item that follows, through the filters to the client. */
static void
take_next(struct httphold *h, struct sub *sub, struct msg *m, struct batch *b)
{
    enum format_action action = m->format->action;
    struct msg *passed = NULL;
    struct err e;
    if (action == ACTION_SEND && b->n == 0 && is_too_slow(h, m->framed.len)) {
        on_limit(h, m);
        return;
    }
    if (!filter_needed(sub, m)) {
        passed = msg_ref(m);
    } else if (filter_message(sub, m, &passed, &e) == FILTER_FAIL && httphold_debugging(h)) {
        flush_batch(h, b);
        end_because(h, e.text);
        return;
    }
    if (passed != NULL && action == ACTION_HINT) {
        msg_unref(passed);
        flush_batch(h, b);
        ask(h, true); /* it has no content: the client has what it had */
        return;
    }
    mark_delivered(h, sub, m);
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

static void
take(struct httphold *h, struct sub *sub, struct msg *m, struct batch *b)
{
    switch (order_of(sub, m)) {
    case FOLLOWS:
        take_next(h, sub, m, b);
        break;
    case IS_KNOWN:
        break;
    case GAP:
        log_debug("last ID inconsistency (got=%.*s, expected=%.*s), retrying", STR_ARG(m->item->prev_id),
                  STR_ARG(httphold_prev_id(sub)));
        channel_forget_id(sub->channel);
        if (has_next(h))
            enqueue(h, m);
        ask(h, false);
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
            httphold_cut_slow(h);
            return;
        }
        pieces[used++] = (struct xchg_piece){m->payload, m->framed, &m->shared};
    }
    flush(h, pieces, used);
}

/* holding */

static void
start_link_timer(struct httphold *h)
{
    unsigned s = (unsigned)h->more->instruct.next_timeout;
    uint64_t ms = (uint64_t)(s > 0 ? s : 1) * 1000;
    loop_timer(h->proxy->loop, &follow_of(h)->timer, ms + (uint64_t)random() % (ms / 10));
}

/* The link's time is up: did all channels have something meanwhile? */
static void
on_link_timer(struct httphold *h)
{
    bool all = h->hold.subs != NULL;
    if (xchg_queued(httphold_xchg(h)) > 0)
        return; /* started again when the client has read */
    for (struct sub *s = h->hold.subs; s != NULL; s = s->next) {
        all = all && s->more != NULL && s->more->active;
        if (s->more != NULL)
            s->more->active = false;
    }
    if (all)
        start_link_timer(h);
    else
        ask(h, false);
}

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
    enum order order = sub != NULL ? order_of(sub, m) : IS_KNOWN;
    if (sub == NULL)
        return;
    if (order == GAP && !sub->more->joined) {
        sub->more->unsure = sub->more->unsure || !told; /* is it in the answer, or not even what is before it? */
        return;
    }
    if (sub->more != NULL) {
        sub->more->joined = true;
        sub->more->unsure = false;
    }
    take(h, sub, m, b);
}

/* What came while the origin was asked, from where on it continues the answer. */
static void
drain(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct msg **queue = f->queue;
    unsigned n = f->n, told = f->told;
    struct batch b = {.n = 0};
    clear_marks(h);
    f->queue = NULL;
    f->n = f->cap = f->told = 0;
    f->bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        if (h->state == HOLD_IDLE)
            take_queued(h, queue[i], i < told, &b);
        else if (h->state != HOLD_CLOSED)
            enqueue(h, queue[i]);
        msg_unref(queue[i]);
    }
    flush_batch(h, &b);
    mem_free(queue);
    if (h->state != HOLD_CLOSED && clear_marks(h))
        ask(h, false);
}

/* The hold begins, or goes on. STALE: something was published that the last answer did not know of. */
static void
go_on(struct httphold *h, bool stale)
{
    struct follow *f = follow_of(h);
    bool again = f->again, urgent = f->again_urgent;
    h->state = HOLD_IDLE;
    f->again = f->again_urgent = false;
    if (has_keep_alive(h) && !timer_is_set(&h->more->timer))
        start_keep_alive(h);
    else if (!has_keep_alive(h))
        loop_timer_stop(h->proxy->loop, &h->more->timer);
    drain(h);
    if (h->state == HOLD_CLOSED)
        return;
    if (f->ending && !f->lost) {
        end_stream(h);
        return;
    }
    if (again || stale || f->lost)
        ask(h, again && urgent);
    if (h->state == HOLD_IDLE && has_next(h))
        start_link_timer(h);
}

/* the next link */

static void
fail_link(struct httphold *h, bool answered)
{
    struct follow *f = follow_of(h);
    unsigned n = f->failures < RETRIES ? f->failures : RETRIES;
    uint64_t ms = (uint64_t)1000 << n;
    f->link = NULL;
    updates_done(h->proxy->updates, &h->more->update);
    if (f->begun || (answered && f->failures >= RETRIES)) {
        end_because(h, "Failed to retrieve next link.");
        return;
    }
    if (f->accepted)
        instruct_clear(&f->fresh);
    f->accepted = false;
    if (f->failures < RETRIES)
        f->failures++;
    h->state = HOLD_RETRYING;
    loop_timer(h->proxy->loop, &f->timer, (ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS) + (uint64_t)random() % 1000);
}

/* An answer that says no, and will say so again. */
static bool
is_refusal(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static void
on_head(void *user, const struct http1_head *head)
{
    struct httphold *h = user;
    struct follow *f = follow_of(h);
    struct err e;
    if (head->status < 200 || head->status > 299) {
        link_close(f->link);
        fail_link(h, is_refusal(head->status));
        return;
    }
    if (instruct_parse(head->status, head->reason, &head->headers, str_of(NULL, 0), &f->fresh, &e) != 0) {
        end_because(h, e.text);
        return;
    }
    f->accepted = true;
    if (f->fresh.hold == HOLD_MODE_RESPONSE)
        end_because(h, "Next link returned non-stream hold.");
    else if (f->fresh.hold == HOLD_MODE_STREAM && f->fresh.n_channels == 0 &&
             (f->target == NULL || f->target->subs.n == 0))
        end_because(h, "hold has no channels");
    else if (bodyfilter_present(&f->fresh)) {
        f->rewriting = true;
        if (bodyfilter_init(&f->fresh, &f->ids, &e) != 0)
            end_because(h, e.text);
    }
}

static void
give(struct httphold *h, struct str piece)
{
    struct follow *f = follow_of(h);
    struct xchg *x = httphold_xchg(h);
    if (piece.len == 0)
        return;
    f->begun = true;
    loop_timer_stop(h->proxy->loop, &h->more->timer);
    xchg_send_str(x, piece);
    if (f->link != NULL && xchg_queued(x) > BACKLOG)
        link_pause(f->link, true);
}

/* true: it could be rewritten. */
static bool
give_rewritten(struct httphold *h, struct str piece, bool last)
{
    struct buf out = BUF_INIT(PIECE_MAX);
    struct err e;
    bool good = bodyfilter_put(&follow_of(h)->ids, piece, last, &out, &e) == 0;
    if (good)
        give(h, buf_str(&out));
    else
        end_because(h, e.text);
    buf_clear(&out);
    return good;
}

static void
on_body(void *user, struct str piece)
{
    struct httphold *h = user;
    if (follow_of(h)->rewriting)
        give_rewritten(h, piece, false);
    else
        give(h, piece);
}

/* The answer takes the place of all that was said before. */
static void
accept_answer(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct instruct *in = &h->more->instruct;
    char *gone = in->gone_link; /* that of the first answer counts */
    in->gone_link = NULL;
    instruct_clear(in);
    *in = f->fresh;
    instruct_init(&f->fresh);
    mem_free(in->gone_link);
    in->gone_link = gone;
    f->accepted = false;
    f->failures = 0;
    mem_free(f->base);
    f->base = f->url;
    f->url = NULL;
    headers_clear(&in->headers);
}

/* A part of an answer: what it names is where the client is; about other channels its link must know. The subscriptions
 * stay until the next hold. */
static void
take_ids(struct httphold *h, const struct instruct *in)
{
    struct str prefix = str_c(h->hold.route->prefix);
    for (struct sub *s = h->hold.subs; s != NULL; s = s->next) {
        struct str name = s->channel->node.key, id = {NULL, 0};
        for (unsigned i = 0; i < in->n_channels && str_starts(name, prefix); i++)
            if (str_eq(str_of(in->channels[i].name, in->channels[i].name_len), str_from(name, prefix.len)))
                id = str_c(in->channels[i].prev_id);
        sub_set_prev_id(s, id);
    }
}

static void
on_end(void *user)
{
    struct httphold *h = user;
    struct follow *f = follow_of(h);
    struct instruct *in = &h->more->instruct;
    const struct instruct_channel *c;
    char text[400];
    f->link = NULL;
    updates_done(h->proxy->updates, &h->more->update);
    if (f->rewriting && !give_rewritten(h, STR(""), true))
        return;
    accept_answer(h);
    c = in->next_link == NULL ? instruct_prev_id(in) : NULL;
    if (c != NULL) {
        snprintf(text, sizeof text, "channel '%.*s' specifies prev-id, but no next link found", (int)c->name_len,
                 c->name);
        end_because(h, text);
    } else if (in->hold == HOLD_MODE_STREAM) {
        go_on(h, httphold_subscribe(h, in, f->target, false));
    } else if (in->next_link != NULL) {
        take_ids(h, in);
        start_asking(h);
    } else {
        end_stream(h);
    }
}

static void
on_fail(void *user, const char *why)
{
    struct httphold *h = user;
    log_debug("%.*s: failed to retrieve next link: %s", (int)h->uri_len, h->uri, why);
    fail_link(h, false);
}

static void
on_slow(void *user)
{
    httphold_cut_slow(user);
}

static const struct link_ops link_ops = {on_head, on_body, on_end, on_fail, on_slow};

/* Where the link leads now. false: nowhere. */
static bool
resolve_link(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct buf url = BUF_INIT(65536);
    bool good =
        uri_resolve(str_c(f->base != NULL ? f->base : h->more->home), str_c(h->more->instruct.next_link), &url) == 0;
    mem_free(f->url);
    f->url = good ? str_dup(buf_str(&url)) : NULL;
    buf_clear(&url);
    return good;
}

static void
start_asking(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct headers last;
    struct link_spec spec = {.route = h->hold.route, .home = str_c(h->more->home), .last = &last};
    bool shared = false;
    loop_timer_stop(h->proxy->loop, &f->timer);
    if (xchg_queued(httphold_xchg(h)) > BACKLOG) { /* one answer after the other would pile up */
        updates_done(h->proxy->updates, &h->more->update);
        h->state = HOLD_STALLED;
        return;
    }
    h->state = HOLD_ASKING;
    f->begun = f->again = f->again_urgent = f->rewriting = false;
    contentid_clear(&f->ids);
    headers_init(&last);
    httphold_put_last(h, &last);
    if (resolve_link(h)) {
        spec.url = str_c(f->url);
        f->link = links_get(h->proxy->links, &spec, &link_ops, h, &shared);
    }
    f->told = shared ? 0 : f->n; /* one that is under way may not know of them */
    f->lost = shared && f->lost;
    if (f->link == NULL)
        end_because(h, "Failed to retrieve next link.");
    else if (shared)
        updates_done(h->proxy->updates, &h->more->update);
    headers_clear(&last);
}

static void
on_update(struct update *u)
{
    start_asking(container_of(u, struct more, update)->owner);
}

/* Updates of one link go together. */
static void
queue_update(struct httphold *h, bool urgent)
{
    struct buf group = BUF_INIT(65536), origin = BUF_INIT(512);
    struct link_spec spec = {.route = h->hold.route, .home = str_c(h->more->home)};
    h->state = HOLD_QUEUED;
    loop_timer_stop(h->proxy->loop, &follow_of(h)->timer);
    if (resolve_link(h))
        spec.url = str_c(follow_of(h)->url);
    else
        spec.url = spec.home;
    buf_addf(&group, "next %.*s", STR_ARG(spec.url));
    links_put_origin(&spec, &origin);
    updates_add(h->proxy->updates, &h->more->update, urgent, buf_str(&group), buf_str(&origin));
    buf_clear(&group);
    buf_clear(&origin);
}

static void
ask(struct httphold *h, bool urgent)
{
    struct follow *f = follow_of(h);
    if (!has_next(h))
        return; /* nothing can be done */
    switch (h->state) {
    case HOLD_IDLE:
        queue_update(h, urgent);
        break;
    case HOLD_QUEUED:
        if (urgent)
            queue_update(h, true);
        break;
    case HOLD_ASKING:
        f->again = true;
        f->again_urgent = f->again_urgent || urgent;
        break;
    default:
        break; /* it is going to be asked anyway */
    }
}

static void
update(struct hold *hold, enum hold_update how)
{
    ask(httphold_of(hold), how == UPDATE_HIGH);
}

static void
on_timer(struct timer *t)
{
    struct httphold *h = container_of(t, struct follow, timer)->owner;
    if (h->state == HOLD_IDLE)
        on_link_timer(h);
    else if (h->state == HOLD_RETRYING)
        queue_update(h, false);
}

/* the client */

static void
on_drained(struct xchg *x)
{
    struct httphold *h = x->user;
    struct follow *f = follow_of(h);
    if (f != NULL && f->link != NULL)
        link_pause(f->link, false);
    if (h->state == HOLD_STALLED)
        queue_update(h, false);
    if (h->state == HOLD_IDLE && has_next(h) && !timer_is_set(&f->timer))
        start_link_timer(h);
    if (has_keep_alive(h) && !timer_is_set(&h->more->timer) && !(h->state == HOLD_ASKING && f->begun))
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

/* beginning and end */

void
streamhold_init(struct httphold *h, const struct httphold_begin *b)
{
    struct more *m = h->more;
    struct follow *f;
    update_init(&m->update, on_update);
    timer_init(&m->timer, on_keep_alive);
    headers_clear(&m->instruct.headers);
    mem_free(m->instruct.body);
    m->instruct.body = NULL;
    m->instruct.body_len = 0;
    if (m->instruct.next_link == NULL)
        return;
    f = m->follow = mem_zalloc(sizeof *f);
    f->owner = h;
    f->target = b->target;
    timer_init(&f->timer, on_timer);
    instruct_init(&f->fresh);
}

void
streamhold_begin(struct httphold *h, bool stale)
{
    if (follow_of(h) == NULL) {
        if (has_keep_alive(h))
            start_keep_alive(h);
    } else if (h->more->instruct.hold == HOLD_NONE) {
        start_asking(h);
    } else {
        go_on(h, stale);
    }
}

void
streamhold_stop(struct httphold *h)
{
    struct follow *f = follow_of(h);
    loop_timer_stop(h->proxy->loop, &f->timer);
    if (f->link != NULL)
        link_close(f->link);
    f->link = NULL;
}

void
streamhold_clear(struct httphold *h)
{
    struct follow *f = follow_of(h);
    if (f == NULL)
        return;
    clear_queue(f);
    instruct_clear(&f->fresh);
    contentid_clear(&f->ids);
    mem_free(f->base);
    mem_free(f->url);
    mem_free(f);
}
