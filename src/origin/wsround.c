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
    struct wsround *x = w->more != NULL ? w->more->now : NULL;
    if (x == NULL)
        return;
    w->more->now = NULL;
    if (x->request != NULL)
        request_cancel(x->request);
    headers_clear(&x->headers);
    buf_clear(&x->body.kept);
    buf_clear(&x->answer);
    loop_reap(w->set->loop, x, mem_free); /* the request still looks at its spec in this turn */
}

/* the response */

static void
on_head(struct request *r, struct http1_head *head)
{
    struct wsoverhttp *w = request_user(r);
    struct wsround *x = w->more->now;
    bool good = head->status == 200 && wsterms_is_events(&head->headers);
    x->head = head;
    x->refused = !good;
    x->again = head->status >= 502 && head->status <= 504;
    if (good || w->state != WOH_OPENING)
        return;
    w->state = WOH_REJECTED;
    if (w->left)
        wsoverhttp_end(w);
    else
        w->more->ops->on_head(w->more->user, head);
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
    struct wsround *x = w->more->now;
    if (w->state == WOH_REJECTED)
        w->more->ops->on_body(w->more->user, piece);
    else if (!x->refused && buf_adds(&x->answer, piece) != 0)
        refuse_answer(w);
}

/* Try again later, the same to all targets. */
static void
retry(struct wsoverhttp *w, const char *why)
{
    struct wsoverhttp_more *m = w->more;
    if (m->retries == RETRIES) {
        wsoverhttp_fail(w, why);
        return;
    }
    w->state = WOH_RETRY;
    loop_timer(w->set->loop, &m->retry, (1000u << m->retries) + (uint64_t)random() % 1000);
    m->retries++;
}

static void
on_end(struct request *r)
{
    struct wsoverhttp *w = request_user(r);
    struct wsround *x = w->more->now;
    struct buf answer = x->answer;
    struct http1_head *head = x->head;
    bool with_disconnect = x->with_disconnect, refused = x->refused, again = x->again;
    x->request = NULL;
    x->answer = BUF_INIT(0);
    if (w->state == WOH_REJECTED) {
        wsoverhttp_end(w);
        w->more->ops->on_end(w->more->user);
    } else {
        wsround_drop(w);
        if (w->state == WOH_OPENING)
            wsanswer_opened(w, head, buf_str(&answer));
        else if (!refused)
            wsanswer_take(w, head, buf_str(&answer), with_disconnect);
        else if (again)
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
    w->more->now->request = NULL;
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

/* What a client may not say for us, and what is between it and us. */
static bool
is_ours(struct str name)
{
    return str_ieq(name, STR("Accept")) || str_ieq(name, STR("Connection-Id")) || str_ieq(name, STR("Content-Type")) ||
           str_istarts(name, STR("Content-Bytes-")) || str_istarts(name, STR("Meta-"));
}

/* Headers that most connections have are packed as a line of their number alone, from 1 on. */
static const struct header common_headers[] = {{{"Sec-WebSocket-Version", 21}, {"13", 2}},
                                               {{"Sec-WebSocket-Extensions", 24}, {"grip", 4}}};

enum { FEATURE = countof(common_headers) + 1 }; /* the number of the Grip-Feature that is made anew each time */

static unsigned
number_of(const struct header *h, bool sign)
{
    for (unsigned i = 0; i < countof(common_headers); i++)
        if (str_eq(h->name, common_headers[i].name) && str_eq(h->value, common_headers[i].value))
            return i + 1;
    return sign && str_eq(h->name, STR("Grip-Feature")) ? FEATURE : 0;
}

void
wsround_pack(const struct headers *h, bool sign, struct buf *text)
{
    for (unsigned i = 0; i < h->n; i++) {
        const struct header *one = &h->at[i];
        unsigned number = number_of(one, sign);
        if (number > 0) {
            buf_addc(text, (char)number);
            buf_addc(text, '\n');
        } else if (!is_ours(one->name)) {
            header_pack(text, one->name, one->value);
        }
    }
}

static void
unpack(const struct wsoverhttp *w, const struct headers *made, struct headers *out)
{
    struct str rest = str_of(w->text + w->path_len + w->host_len, w->headers_len), line;
    while (rest.len > 0 && str_split(&rest, '\n', &line)) {
        if (line.len > 1)
            headers_unpack(out, line);
        else if (line.ptr[0] == FEATURE)
            headers_view(out, STR("Grip-Feature"), headers_get(made, STR("Grip-Feature")));
        else
            headers_view(out, common_headers[line.ptr[0] - 1].name, common_headers[line.ptr[0] - 1].value);
    }
}

/* What is repeated, with what is made anew in its place or at the end. */
static void
put_repeated(const struct wsoverhttp *w, struct headers *out)
{
    const struct wsoverhttps_settings *settings = &w->set->settings;
    struct headers made;
    headers_init(&made);
    if (w->sign)
        settings->sign(settings->arg, w->route, &made);
    unpack(w, &made, out);
    if (headers_has(&made, STR("Grip-Sig")))
        headers_view(out, STR("Grip-Sig"), headers_get(&made, STR("Grip-Sig")));
    headers_clear(&made);
}

static void
put_headers(struct wsoverhttp *w, struct headers *out)
{
    const struct wsoverhttp_more *m = w->more;
    char number[24], id[UUID_SIZE];
    put_repeated(w, out);
    headers_view(out, STR("Accept"), STR("application/websocket-events"));
    headers_add(out, STR("Connection-Id"), uuid_text(w->id, id));
    headers_view(out, STR("Content-Type"), STR("application/websocket-events"));
    if (m->queue.replayed > 0)
        headers_add(out, STR("Content-Bytes-Replayed"),
                    str_of(number, (size_t)snprintf(number, sizeof number, "%zu", m->queue.replayed)));
    if (w->kept != NULL)
        wsterms_put_meta(&w->kept->terms, out);
}

static void
put_body(struct wsoverhttp *w, struct wsround *x)
{
    struct buf *b = &x->body.kept;
    struct wsqueue *q = &w->more->queue;
    const struct target *t = &w->route->targets[0];
    buf_init(b, 2 * WOH_QUEUE_MAX);
    if (w->state == WOH_OPENING) {
        wsevents_put(b, WSEVENT_OPEN, STR(""));
    } else {
        wsqueue_offer(q, t->one_event, b);
        x->with_disconnect = w->disconnect && q->offered_last && !(t->one_event && q->offered > 0);
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
    struct wsoverhttp_more *m = wsoverhttp_more(w);
    struct wsround *x = m->now = mem_zalloc(sizeof *x);
    wsoverhttp_stop_timers(w);
    if (w->state != WOH_OPENING)
        w->state = WOH_ASKING;
    w->refresh = false;
    headers_init(&x->headers);
    buf_init(&x->answer, ANSWER_MAX);
    put_headers(w, &x->headers);
    put_body(w, x);
    x->spec = (struct request_spec){.method = STR("POST"),
                                    .path = str_of(w->text, w->path_len),
                                    .host = str_of(w->text + w->path_len, w->host_len),
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
    const struct wsqueue *q = w->more != NULL ? &w->more->queue : NULL;
    bool waits = q != NULL && !wsqueue_empty(q);
    if (w->state != WOH_IDLE)
        return;
    if (w->left && !waits && !w->disconnect) {
        wsoverhttp_end(w);
        return;
    }
    if (w->paused && !w->left)
        return;
    if (w->refresh || w->disconnect || (waits && (!q->held_back || w->left)))
        wsround_ask(w);
}
