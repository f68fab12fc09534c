#include "origin/wsoverhttpbase.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ANSWER_MAX = 1000000, /* bytes of a response */
    RETRIES = 5
};

void
wsround_drop(struct wsoverhttp *w)
{
    struct wsround *x = w->now;
    w->now = NULL;
    if (x == NULL)
        return;
    if (x->request != NULL)
        request_cancel(x->request);
    headers_clear(&x->headers);
    buf_clear(&x->body.kept);
    buf_clear(&x->answer);
    loop_reap(w->loop, x, mem_free); /* the request still looks at its spec in this turn */
}

/* the response */

static void
on_head(struct request *r, struct http1_head *head)
{
    struct wsoverhttp *w = request_user(r);
    bool good = head->status == 200 && wsterms_is_events(&head->headers);
    w->now->head = head;
    w->refused = !good;
    w->again = head->status >= 502 && head->status <= 504;
    if (good || w->state != WOH_OPENING)
        return;
    w->state = WOH_REJECTED;
    if (w->left)
        wsoverhttp_end(w);
    else
        w->ops->on_head(w->user, head);
}

static void
refuse_answer(struct wsoverhttp *w)
{
    if (w->state == WOH_OPENING)
        wsoverhttp_fail_open(w, REQUEST_LOST, "response too large");
    else
        wsoverhttp_fail(w, "response too large");
}

static void
on_body(struct request *r, struct str piece)
{
    struct wsoverhttp *w = request_user(r);
    if (w->state == WOH_REJECTED)
        w->ops->on_body(w->user, piece);
    else if (!w->refused && buf_adds(&w->now->answer, piece) != 0)
        refuse_answer(w);
}

/* Try again later, the same to all targets. */
static void
retry(struct wsoverhttp *w, const char *why)
{
    if (w->retries == RETRIES) {
        wsoverhttp_fail(w, why);
        return;
    }
    w->state = WOH_RETRY;
    loop_timer(w->loop, &w->timer, (1000u << w->retries) + (uint64_t)random() % 1000);
    w->retries++;
}

static void
on_end(struct request *r)
{
    struct wsoverhttp *w = request_user(r);
    struct wsround *x = w->now;
    struct buf answer = x->answer;
    struct http1_head *head = x->head;
    bool with_disconnect = x->with_disconnect;
    x->request = NULL;
    x->answer = BUF_INIT(0);
    if (w->state == WOH_REJECTED) {
        const struct wsoverhttp_ops *ops = w->ops;
        wsoverhttp_end(w);
        ops->on_end(w->user);
    } else {
        wsround_drop(w);
        if (w->state == WOH_OPENING)
            wsanswer_opened(w, head, buf_str(&answer));
        else if (!w->refused)
            wsanswer_take(w, head, buf_str(&answer), with_disconnect);
        else if (w->again)
            retry(w, "the origin is away");
        else
            wsoverhttp_fail(w, "the origin answers with an error");
    }
    buf_clear(&answer);
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    struct wsoverhttp *w = request_user(r);
    bool sent = request_is_sent(r);
    w->now->request = NULL;
    if (w->state == WOH_OPENING || w->state == WOH_REJECTED) {
        wsoverhttp_fail_open(w, why, text);
        return;
    }
    wsround_drop(w);
    if (sent)
        wsoverhttp_fail(w, text);
    else
        retry(w, text);
}

static void
on_ready(struct request *r)
{
    (void)r;
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

/* the request */

static void
put_headers(struct wsoverhttp *w, struct headers *out)
{
    char number[24];
    struct header signature = {{NULL, 0}, {NULL, 0}};
    for (unsigned i = 0; i < w->base.n; i++)
        headers_view(out, w->base.at[i].name, w->base.at[i].value);
    if (w->sign != NULL)
        signature = w->sign(w->sign_arg, w->route);
    if (signature.value.ptr != NULL)
        headers_add(out, signature.name, signature.value);
    headers_view(out, STR("Accept"), STR("application/websocket-events"));
    headers_view(out, STR("Connection-Id"), str_of(w->id, UUID_SIZE - 1));
    headers_view(out, STR("Content-Type"), STR("application/websocket-events"));
    if (w->queue.replayed > 0)
        headers_add(out, STR("Content-Bytes-Replayed"),
                    str_of(number, (size_t)snprintf(number, sizeof number, "%zu", w->queue.replayed)));
    for (unsigned i = 0; i < w->terms.meta.n; i++)
        headers_view(out, w->terms.meta.at[i].name, w->terms.meta.at[i].value);
}

static void
put_body(struct wsoverhttp *w, struct wsround *x)
{
    struct buf *b = &x->body.kept;
    const struct target *t = &w->route->targets[0];
    buf_init(b, 2 * WOH_QUEUE_MAX);
    if (w->state == WOH_OPENING) {
        wsevents_put(b, WSEVENT_OPEN, STR(""));
    } else {
        wsqueue_offer(&w->queue, t->one_event, b);
        x->with_disconnect = w->disconnect && w->queue.offered_last && !(t->one_event && w->queue.offered > 0);
        if (x->with_disconnect)
            wsevents_put(b, WSEVENT_DISCONNECT, STR(""));
    }
    x->body.total = b->len;
    x->body.length = (int64_t)b->len;
    x->body.complete = true;
}

void
wsround_ask(struct wsoverhttp *w)
{
    struct wsround *x = w->now = mem_zalloc(sizeof *x);
    loop_timer_stop(w->loop, &w->timer);
    if (w->state != WOH_OPENING)
        w->state = WOH_ASKING;
    w->refresh = false;
    headers_init(&x->headers);
    buf_init(&x->answer, ANSWER_MAX);
    put_headers(w, &x->headers);
    put_body(w, x);
    x->spec = (struct request_spec){.method = STR("POST"),
                                    .path = str_of(w->path, w->path_len),
                                    .host = str_of(w->host, w->host_len),
                                    .headers = &x->headers,
                                    .body = &x->body,
                                    .targets = w->route->targets,
                                    .n_targets = w->route->n_targets,
                                    .group = w->group};
    x->request = request_new(w->set->origin, &x->spec, &request_ops, w);
}

void
wsround_kick(struct wsoverhttp *w)
{
    if (w->state != WOH_IDLE)
        return;
    if (w->left && wsqueue_empty(&w->queue) && !w->disconnect) {
        wsoverhttp_end(w);
        return;
    }
    if (w->paused && !w->left)
        return;
    if (w->refresh || w->disconnect || (!wsqueue_empty(&w->queue) && (!w->queue.held_back || w->left)))
        wsround_ask(w);
}
