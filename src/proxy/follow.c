#include "proxy/follow.h"

#include "base/log.h"
#include "proto/uri.h"
#include "proxy/bodyfilter.h"
#include "proxy/links.h"

#include <stdlib.h>

enum {
    CLIENT_QUEUE = 65536, /* bytes that wait for the client before a link's answer waits too */
    RETRIES = 5,          /* after which an answer that says no is believed */
    RETRY_MAX_MS = 16000, /* between two attempts, and up to a second more */
    PIECE_MAX = 1 << 24   /* bytes that a piece of a body may become when ids are put in */
};

static const char no_answer[] = "Failed to retrieve next link.";

static void
end(struct httphold *h, const char *why)
{
    follow_of(h)->ops->ended(h, why);
}

/* the answer */

static void
fail(struct httphold *h, bool refused)
{
    struct follow *f = follow_of(h);
    uint64_t ms = (uint64_t)1000 << f->failures;
    f->link = NULL;
    updates_done(h->proxy->updates, &h->more->update);
    if (f->begun || (refused && f->failures >= RETRIES)) {
        end(h, no_answer);
        return;
    }
    if (f->accepted)
        instruct_clear(&f->fresh);
    f->accepted = false;
    if (f->failures < RETRIES)
        f->failures++;
    h->state = HOLD_RETRYING;
    ms = (ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS) + (uint64_t)random() % 1000;
    log_debug("httpsession: failed to retrieve next link");
    log_debug("httpsession: trying again in %llums", (unsigned long long)ms);
    loop_timer(h->proxy->loop, &f->timer, ms);
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
        log_debug("next link of %.*s: answered with status %d", (int)h->uri_len, h->uri, head->status);
        link_close(f->link);
        fail(h, is_refusal(head->status));
        return;
    }
    if (instruct_parse(head->status, head->reason, &head->headers, str_of(NULL, 0), &f->fresh, &e) != 0) {
        end(h, e.text);
        return;
    }
    f->accepted = true;
    if (f->fresh.hold == HOLD_MODE_RESPONSE)
        end(h, "Next link returned non-stream hold.");
    else if (f->fresh.hold == HOLD_MODE_STREAM && f->fresh.n_channels == 0 &&
             (f->target == NULL || f->target->subs.n == 0))
        end(h, "hold has no channels");
    else if (bodyfilter_present(&f->fresh)) {
        f->rewriting = true;
        if (bodyfilter_init(&f->fresh, &f->ids, &e) != 0)
            end(h, e.text);
    }
}

static void
give(struct httphold *h, struct str piece)
{
    struct follow *f = follow_of(h);
    if (piece.len == 0)
        return;
    f->begun = true;
    f->ops->piece(h, piece);
    if (f->link != NULL && xchg_queued(httphold_xchg(h)) > CLIENT_QUEUE)
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
        end(h, e.text);
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

/* The answer takes the place of all that was said before, but for the gone link: that of the first answer counts. */
static void
accept_answer(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct instruct *in = &h->more->instruct;
    char *gone = in->gone_link;
    in->gone_link = NULL;
    instruct_clear(in);
    *in = f->fresh;
    instruct_init(&f->fresh);
    mem_free(in->gone_link);
    in->gone_link = gone;
    headers_clear(&in->headers);
    f->accepted = false;
    f->failures = 0;
    mem_free(f->base);
    f->base = f->url;
    f->url = NULL;
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
        end(h, text);
    } else if (in->hold == HOLD_MODE_STREAM) {
        bool stale = httphold_subscribe(h, in, f->target, false), again = f->again, urgent = f->again_urgent;
        h->state = HOLD_IDLE;
        f->ops->answered(h, stale);
        if (again && h->state != HOLD_CLOSED)
            follow_ask(h, urgent);
    } else if (in->next_link != NULL) {
        take_ids(h, in);
        follow_start(h);
    } else {
        end(h, NULL);
    }
}

static void
on_fail(void *user, const char *why)
{
    struct httphold *h = user;
    log_debug("next link of %.*s: %s", (int)h->uri_len, h->uri, why);
    fail(h, false);
}

static void
on_slow(void *user)
{
    httphold_cut_slow(user, 0);
}

static const struct link_ops link_ops = {on_head, on_body, on_end, on_fail, on_slow};

/* asking */

/* Where the link leads now. false: nowhere. */
static bool
resolve(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct buf url = BUF_INIT(65536);
    struct str base = str_c(f->base != NULL ? f->base : h->more->home);
    bool good = uri_resolve(base, str_c(h->more->instruct.next_link), &url) == 0;
    mem_free(f->url);
    f->url = good ? str_dup(buf_str(&url)) : NULL;
    buf_clear(&url);
    return good;
}

void
follow_start(struct httphold *h)
{
    struct follow *f = follow_of(h);
    struct headers last;
    struct link_spec spec = {.route = h->hold.route, .home = str_c(h->more->home), .last = &last};
    bool shared = false;
    if (xchg_queued(httphold_xchg(h)) > CLIENT_QUEUE) { /* one answer after the other would pile up */
        follow_stall(h);
        return;
    }
    loop_timer_stop(h->proxy->loop, &f->timer);
    h->state = HOLD_ASKING;
    f->begun = f->again = f->again_urgent = f->rewriting = false;
    contentid_clear(&f->ids);
    headers_init(&last);
    httphold_put_last(h, &last);
    if (resolve(h)) {
        spec.url = str_c(f->url);
        log_debug("httpsession: next: %s", f->url);
        f->link = links_get(h->proxy->links, &spec, &link_ops, h, &shared);
    }
    headers_clear(&last);
    if (shared)
        updates_done(h->proxy->updates, &h->more->update);
    if (f->link != NULL)
        f->ops->asked(h, shared);
    else
        end(h, no_answer);
}

static void
on_update(struct update *u)
{
    follow_start(container_of(u, struct more, update)->owner);
}

/* Updates of one link go together. */
static void
queue_update(struct httphold *h, bool urgent)
{
    struct buf group = BUF_INIT(65536), origin = BUF_INIT(512);
    struct link_spec spec = {.route = h->hold.route, .home = str_c(h->more->home)};
    h->state = HOLD_QUEUED;
    loop_timer_stop(h->proxy->loop, &follow_of(h)->timer);
    spec.url = resolve(h) ? str_c(follow_of(h)->url) : spec.home;
    buf_addf(&group, "next %.*s", STR_ARG(spec.url));
    links_put_origin(&spec, &origin);
    updates_add(h->proxy->updates, &h->more->update, urgent, buf_str(&group), buf_str(&origin));
    buf_clear(&group);
    buf_clear(&origin);
}

void
follow_ask(struct httphold *h, bool urgent)
{
    struct follow *f = follow_of(h);
    if (!follow_possible(h))
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

void
follow_stall(struct httphold *h)
{
    updates_done(h->proxy->updates, &h->more->update);
    loop_timer_stop(h->proxy->loop, &follow_of(h)->timer);
    h->state = HOLD_STALLED;
}

/* timers */

void
follow_wait(struct httphold *h)
{
    unsigned s = (unsigned)h->more->instruct.next_timeout;
    uint64_t ms = (uint64_t)(s > 0 ? s : 1) * 1000;
    if (follow_possible(h))
        loop_timer(h->proxy->loop, &follow_of(h)->timer, ms + (uint64_t)random() % (ms / 10));
}

/* The link's time is up: did all channels have something meanwhile? */
static void
on_timeout(struct httphold *h)
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
        follow_wait(h);
    else
        follow_ask(h, false);
}

static void
on_timer(struct timer *t)
{
    struct httphold *h = container_of(t, struct follow, timer)->owner;
    if (h->state == HOLD_IDLE)
        on_timeout(h);
    else if (h->state == HOLD_RETRYING)
        queue_update(h, false);
}

void
follow_on_drained(struct httphold *h)
{
    struct follow *f = follow_of(h);
    if (f->link != NULL)
        link_pause(f->link, false);
    if (h->state == HOLD_STALLED)
        queue_update(h, false);
    else if (h->state == HOLD_IDLE && !timer_is_set(&f->timer))
        follow_wait(h);
}

/* beginning and end */

void
follow_init(struct httphold *h, const struct target *target, const struct follow_ops *ops)
{
    struct follow *f = h->more->follow = mem_zalloc(sizeof *f);
    f->owner = h;
    f->target = target;
    f->ops = ops;
    timer_init(&f->timer, on_timer);
    update_init(&h->more->update, on_update);
    instruct_init(&f->fresh);
}

void
follow_stop(struct httphold *h)
{
    struct follow *f = follow_of(h);
    loop_timer_stop(h->proxy->loop, &f->timer);
    if (f->link != NULL)
        link_close(f->link);
    f->link = NULL;
}

void
follow_free(struct httphold *h)
{
    struct follow *f = follow_of(h);
    backlog_clear(&f->backlog);
    instruct_clear(&f->fresh);
    contentid_clear(&f->ids);
    mem_free(f->base);
    mem_free(f->url);
    mem_free(f);
}
