#include "origin/wsoverhttp.h"

#include "base/uuid.h"
#include "origin/wsqueue.h"
#include "origin/wsterms.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MESSAGE_MAX = 200000, /* bytes of a client's message */
    QUEUE_MAX = 1000000,  /* bytes of all that waits, which an origin that takes nothing could make grow */
    ANSWER_MAX = 1000000, /* bytes of a response */
    RETRIES = 5
};

enum state { OPENING, REJECTED, IDLE, ASKING, RETRY, OVER };

struct wsoverhttps {
    struct loop *loop;     /* borrowed */
    struct origin *origin; /* borrowed */
    struct list all;       /* of wsoverhttp; owned */
    unsigned left, max_left;
};

struct wsoverhttp {
    struct ws ws;
    struct loop *loop;       /* borrowed */
    struct wsoverhttps *set; /* borrowed */
    struct list_node in_set; /* set->all */
    struct route *route;     /* reference held */
    const struct wsoverhttp_ops *ops;
    void *user; /* until the handshake is over */
    struct header (*sign)(void *arg, const struct route *route);
    void *sign_arg;
    uint8_t state;   /* enum state */
    unsigned group;  /* of stats */
    uint8_t retries; /* of the present request */
    uint8_t partial_opcode;
    bool paused : 1;     /* the user wants no more for now */
    bool left : 1;       /* there is no user any more: what waits goes out, then this is over */
    bool disconnect : 1; /* the origin is to hear that the client has gone */
    bool refresh : 1;    /* ask even when nothing waits */
    bool refused : 1;    /* the response's head is none that we can take */
    bool again : 1;      /* it says that the gateway's backend is away for the moment */
    struct timer timer;  /* keep-alive, or until a retry */
    struct wsqueue queue;
    struct buf partial;  /* a message of the user that is not complete */
    struct headers base; /* owned copies; of every request */
    struct wsterms terms;
    char *path, *host; /* owned */
    size_t path_len, host_len;
    char id[UUID_SIZE];
    struct exchange_data *now; /* owned; what only a request under way needs */
};

/* One request. */
struct exchange_data {
    struct request *request; /* NULL when it is over */
    struct request_spec spec;
    struct request_body body;
    struct headers headers;
    struct http1_head *head; /* of the response; the request's */
    struct buf answer;
    bool with_disconnect;
};

static void kick(struct wsoverhttp *w);
static void ask(struct wsoverhttp *w);

static struct wsoverhttp *
of_ws(const struct ws *w)
{
    return container_of((struct ws *)(uintptr_t)w, struct wsoverhttp, ws);
}

/* ending */

static void
drop_now(struct wsoverhttp *w)
{
    struct exchange_data *x = w->now;
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

static void
wsoverhttp_free(void *ptr)
{
    struct wsoverhttp *w = ptr;
    wsqueue_clear(&w->queue);
    buf_clear(&w->partial);
    headers_clear(&w->base);
    wsterms_clear(&w->terms);
    mem_free(w->path);
    mem_free(w->host);
    route_unref(w->route);
    mem_free(w);
}

static void
end(struct wsoverhttp *w)
{
    if (w->state == OVER)
        return;
    w->state = OVER;
    drop_now(w);
    loop_timer_stop(w->loop, &w->timer);
    list_remove(&w->set->all, &w->in_set);
    if (w->left)
        w->set->left--;
    loop_reap(w->loop, w, wsoverhttp_free);
}

/* Nobody is joined any more; what is to be said goes out in the background. */
static void
leave(struct wsoverhttp *w)
{
    w->ws.user_ops = NULL;
    if (w->left)
        return;
    w->left = true;
    if (w->set->left++ >= w->set->max_left)
        end(w);
}

/* It cannot go on. */
static void
fail(struct wsoverhttp *w, const char *why)
{
    const struct ws_user_ops *ops = w->ws.user_ops;
    w->ws.user_ops = NULL;
    end(w);
    if (ops != NULL)
        ops->on_gone(&w->ws, why);
}

static void
fail_open(struct wsoverhttp *w, enum request_failure why, const char *text)
{
    bool left = w->left;
    end(w);
    if (!left)
        w->ops->on_fail(w->user, why, text);
}

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
put_body(struct wsoverhttp *w, struct exchange_data *x)
{
    struct buf *b = &x->body.kept;
    const struct target *t = &w->route->targets[0];
    buf_init(b, 2 * QUEUE_MAX);
    if (w->state == OPENING) {
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

static void on_head(struct request *r, struct http1_head *head);
static void on_body(struct request *r, struct str piece);
static void on_end(struct request *r);
static void on_fail(struct request *r, enum request_failure why, const char *text);

static void
on_ready(struct request *r)
{
    (void)r;
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

static void
ask(struct wsoverhttp *w)
{
    struct exchange_data *x = w->now = mem_zalloc(sizeof *x);
    loop_timer_stop(w->loop, &w->timer);
    if (w->state != OPENING)
        w->state = ASKING;
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

/* Ask, when there is something to say and nothing is under way. */
static void
kick(struct wsoverhttp *w)
{
    if (w->state != IDLE)
        return;
    if (w->left && wsqueue_empty(&w->queue) && !w->disconnect) {
        end(w);
        return;
    }
    if (w->paused && !w->left)
        return;
    if (w->refresh || w->disconnect || (!wsqueue_empty(&w->queue) && (!w->queue.held_back || w->left)))
        ask(w);
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
    if (good || w->state != OPENING)
        return;
    w->state = REJECTED;
    if (w->left)
        end(w);
    else
        w->ops->on_head(w->user, head);
}

static void
refuse_answer(struct wsoverhttp *w)
{
    if (w->state == OPENING)
        fail_open(w, REQUEST_LOST, "response too large");
    else
        fail(w, "response too large");
}

static void
on_body(struct request *r, struct str piece)
{
    struct wsoverhttp *w = request_user(r);
    if (w->state == REJECTED)
        w->ops->on_body(w->user, piece);
    else if (!w->refused && buf_adds(&w->now->answer, piece) != 0)
        refuse_answer(w);
}

static void
give_message(struct wsoverhttp *w, enum wsframe_opcode opcode, struct str content)
{
    struct ws_piece p = {.payload = content, .opcode = (uint8_t)opcode, .first = true, .last = true};
    if (w->ws.user_ops == NULL)
        return;
    if (opcode < WSFRAME_CLOSE)
        w->ws.user_ops->on_message(&w->ws, &p);
    else
        w->ws.user_ops->on_control(&w->ws, opcode, content);
}

static void
give_close(struct wsoverhttp *w, struct str content)
{
    const struct ws_user_ops *ops = w->ws.user_ops;
    struct str reason;
    int code = wsterms_close_code(content, &reason);
    w->ws.close_received = true;
    if (w->ws.close_sent)
        w->ws.user_ops = NULL;
    if (ops != NULL)
        ops->on_close(&w->ws, code, reason);
}

/* One event of a response. false: what follows it does not count. */
static bool
give(struct wsoverhttp *w, const struct wsevent *e)
{
    switch (e->type) {
    case WSEVENT_TEXT:
        give_message(w, WSFRAME_TEXT, e->content);
        return true;
    case WSEVENT_BINARY:
        give_message(w, WSFRAME_BINARY, e->content);
        return true;
    case WSEVENT_PING:
    case WSEVENT_PONG:
        give_message(w, e->type == WSEVENT_PING ? WSFRAME_PING : WSFRAME_PONG, e->content);
        return true;
    case WSEVENT_CLOSE:
        give_close(w, e->content);
        return false;
    case WSEVENT_OPEN:
    case WSEVENT_DISCONNECT:
        fail(w, "the origin has disconnected");
        return false;
    case WSEVENT_UNKNOWN:
        break;
    }
    return true;
}

static void
give_all(struct wsoverhttp *w, struct str body)
{
    struct wsevent e;
    while (w->state != OVER && wsevents_next(&body, &e) == WSEVENTS_EVENT)
        if (!give(w, &e))
            break;
}

static void
on_timer(struct timer *t)
{
    struct wsoverhttp *w = container_of(t, struct wsoverhttp, timer);
    if (w->state == RETRY) {
        w->state = IDLE;
        ask(w);
    } else if (w->state == OPENING) {
        if (w->left)
            end(w);
        else
            ask(w);
    } else if (w->state == IDLE) {
        w->refresh = true;
        kick(w);
    }
}

static void
start_keep_alive(struct wsoverhttp *w)
{
    if (w->terms.keep_alive > 0)
        loop_timer(w->loop, &w->timer, (uint64_t)w->terms.keep_alive * 1000);
}

/* The response to OPEN. */
static void
opened(struct wsoverhttp *w, struct http1_head *head, struct str body)
{
    struct wsevent e;
    struct str rest = body;
    wsterms_read(&w->terms, &head->headers, w->route->targets[0].text);
    if (body.len == 0 && w->terms.keep_alive > 0) {
        if (w->left)
            end(w);
        else
            start_keep_alive(w); /* not yet: OPEN is sent again */
        return;
    }
    if (!wsterms_may_pass(body) || wsevents_next(&rest, &e) != WSEVENTS_EVENT || e.type != WSEVENT_OPEN) {
        fail_open(w, REQUEST_LOST, "invalid response to OPEN");
        return;
    }
    w->state = IDLE;
    start_keep_alive(w);
    if (!w->left) {
        w->ops->on_open(w->user, head, &w->ws);
        w->state = ASKING; /* nothing is sent before all has been heard */
        give_all(w, rest);
        if (w->state == ASKING)
            w->state = IDLE;
    }
    kick(w);
}

/* The response to a later request. */
static void
answered(struct wsoverhttp *w, struct http1_head *head, struct str body, bool with_disconnect)
{
    struct str accepted = headers_get(&head->headers, STR("Content-Bytes-Accepted"));
    uint64_t n = UINT64_MAX;
    bool waited = !wsqueue_empty(&w->queue);
    if (accepted.ptr == NULL || str_u64(accepted, &n) != 0)
        n = UINT64_MAX;
    if (with_disconnect) {
        end(w);
        return;
    }
    if (!wsterms_may_pass(body)) {
        fail(w, "invalid events in a response");
        return;
    }
    if (wsqueue_accept(&w->queue, n) != 0) {
        fail(w, "invalid Content-Bytes-Accepted in a response");
        return;
    }
    w->retries = 0;
    wsterms_read(&w->terms, &head->headers, w->route->targets[0].text);
    if (!w->left)
        give_all(w, body); /* still ASKING */
    if (w->state != ASKING)
        return;
    w->state = IDLE;
    if (w->ws.close_sent && !w->ws.close_received && wsqueue_empty(&w->queue) && w->terms.keep_alive == 0 && !w->left) {
        fail(w, "CLOSE was not answered");
        return;
    }
    if (w->ws.close_sent && w->ws.close_received && w->ws.user_ops == NULL)
        leave(w);
    start_keep_alive(w);
    if (waited && w->ws.user_ops != NULL)
        w->ws.user_ops->on_drained(&w->ws); /* or what was not accepted waits for more to come */
    kick(w);
}

/* Try again later, the same to all targets. */
static void
retry(struct wsoverhttp *w, const char *why)
{
    if (w->retries == RETRIES) {
        fail(w, why);
        return;
    }
    w->state = RETRY;
    loop_timer(w->loop, &w->timer, (1000u << w->retries) + (uint64_t)random() % 1000);
    w->retries++;
}

static void
on_end(struct request *r)
{
    struct wsoverhttp *w = request_user(r);
    struct exchange_data *x = w->now;
    struct buf answer = x->answer;
    struct http1_head *head = x->head;
    bool with_disconnect = x->with_disconnect;
    x->request = NULL;
    x->answer = BUF_INIT(0);
    if (w->state == REJECTED) {
        const struct wsoverhttp_ops *ops = w->ops;
        end(w);
        ops->on_end(w->user);
    } else {
        drop_now(w);
        if (w->state == OPENING)
            opened(w, head, buf_str(&answer));
        else if (!w->refused)
            answered(w, head, buf_str(&answer), with_disconnect);
        else if (w->again)
            retry(w, "the origin is away");
        else
            fail(w, "the origin answers with an error");
    }
    buf_clear(&answer);
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    struct wsoverhttp *w = request_user(r);
    bool sent = request_is_sent(r);
    w->now->request = NULL;
    if (w->state == OPENING || w->state == REJECTED) {
        fail_open(w, why, text);
        return;
    }
    drop_now(w);
    if (sent)
        fail(w, text);
    else
        retry(w, text);
}

/* the endpoint */

static enum wsevent_type
type_of(uint8_t opcode)
{
    switch (opcode) {
    case WSFRAME_TEXT:
        return WSEVENT_TEXT;
    case WSFRAME_BINARY:
        return WSEVENT_BINARY;
    case WSFRAME_PING:
        return WSEVENT_PING;
    default:
        return WSEVENT_PONG;
    }
}

/* A message that is more than the origin may be given: both sides are told. */
static void
refuse_message(struct wsoverhttp *w)
{
    const struct ws_user_ops *ops = w->ws.user_ops;
    w->ws.close_sent = w->ws.close_received = true;
    w->disconnect = true;
    buf_clear(&w->partial);
    leave(w);
    kick(w);
    if (ops != NULL)
        ops->on_close(&w->ws, WSFRAME_TOO_BIG, STR(""));
}

static void
take_piece(struct wsoverhttp *w, const struct ws_piece *p)
{
    bool whole = p->first && p->last;
    if (p->payload.len + (whole ? 0 : w->partial.len) > MESSAGE_MAX ||
        wsqueue_size(&w->queue) + p->payload.len > QUEUE_MAX) {
        refuse_message(w);
        return;
    }
    if (whole || p->opcode >= WSFRAME_CLOSE) {
        wsqueue_add(&w->queue, type_of(p->opcode), p->payload);
        return;
    }
    buf_adds(&w->partial, p->payload);
    if (!p->last)
        return;
    wsqueue_add(&w->queue, type_of(p->opcode), buf_str(&w->partial));
    buf_clear(&w->partial);
}

static void
woh_send(struct ws *ws, const struct ws_piece *pieces, unsigned n)
{
    struct wsoverhttp *w = of_ws(ws);
    for (unsigned i = 0; i < n && !ws->close_sent; i++)
        take_piece(w, &pieces[i]);
    kick(w);
}

static void
put_close(struct wsoverhttp *w, int code, struct str reason)
{
    char payload[WSFRAME_CONTROL_MAX];
    if (w->ws.close_sent)
        return;
    w->ws.close_sent = true;
    wsqueue_add(&w->queue, WSEVENT_CLOSE, str_of(payload, wsframe_put_close(payload, code, reason)));
}

static void
woh_close(struct ws *ws, int code, struct str reason)
{
    struct wsoverhttp *w = of_ws(ws);
    put_close(w, code, reason);
    if (ws->close_received)
        leave(w);
    kick(w);
}

static void
woh_leave(struct ws *ws, int code, struct str reason)
{
    struct wsoverhttp *w = of_ws(ws);
    leave(w);
    buf_clear(&w->partial);
    if (code != WSFRAME_GOING_AWAY)
        put_close(w, code, reason);
    else if (!ws->close_sent || !ws->close_received)
        w->disconnect = true;
    kick(w);
}

static void
woh_pause(struct ws *ws, bool pause)
{
    struct wsoverhttp *w = of_ws(ws);
    w->paused = pause;
    if (!pause)
        kick(w);
}

static size_t
woh_queued(const struct ws *ws)
{
    return wsqueue_size(&of_ws(ws)->queue);
}

static unsigned
woh_bits(const struct ws *ws)
{
    (void)ws;
    return 0;
}

static struct str
woh_peer(const struct ws *ws, char text[ADDRESS_TEXT_MAX])
{
    (void)ws;
    text[0] = '\0';
    return str_of(text, 0);
}

static void
woh_refresh(struct ws *ws)
{
    struct wsoverhttp *w = of_ws(ws);
    w->refresh = true;
    kick(w);
}

static struct str
woh_id(const struct ws *ws)
{
    return str_of(of_ws(ws)->id, UUID_SIZE - 1);
}

static const struct ws_ops ws_ops = {woh_send, woh_close, woh_leave,   woh_pause, woh_queued,
                                     woh_bits, woh_peer,  woh_refresh, woh_id};

/* beginning */

/* What a client may not say for us, and what is between it and us. */
static bool
is_ours(struct str name)
{
    return str_ieq(name, STR("Accept")) || str_ieq(name, STR("Connection-Id")) || str_ieq(name, STR("Content-Type")) ||
           str_istarts(name, STR("Content-Bytes-")) || str_istarts(name, STR("Meta-"));
}

struct wsoverhttp *
wsoverhttp_new(struct wsoverhttps *s, const struct wsoverhttp_spec *spec, const struct wsoverhttp_ops *ops, void *user)
{
    struct wsoverhttp *w = mem_zalloc(sizeof *w);
    w->ws.ops = &ws_ops;
    w->loop = s->loop;
    w->set = s;
    list_push_back(&s->all, &w->in_set);
    w->route = route_ref(spec->route);
    w->ops = ops;
    w->user = user;
    w->sign = spec->sign;
    w->sign_arg = spec->sign_arg;
    w->group = spec->group;
    timer_init(&w->timer, on_timer);
    wsqueue_init(&w->queue);
    buf_init(&w->partial, MESSAGE_MAX);
    headers_init(&w->base);
    wsterms_init(&w->terms);
    for (unsigned i = 0; i < spec->headers->n; i++)
        if (!is_ours(spec->headers->at[i].name))
            headers_add(&w->base, spec->headers->at[i].name, spec->headers->at[i].value);
    w->path = str_dup(spec->path);
    w->path_len = spec->path.len;
    w->host = str_dup(spec->host);
    w->host_len = spec->host.len;
    uuid_make(w->id);
    ask(w);
    return w;
}

void
wsoverhttp_cancel(struct wsoverhttp *w)
{
    if (w->state == REJECTED) {
        end(w);
        return;
    }
    w->disconnect = true;
    leave(w);
    if (w->now == NULL)
        end(w); /* between two OPENs */
}

void
wsoverhttp_pause(struct wsoverhttp *w, bool pause)
{
    if (w->now != NULL && w->now->request != NULL)
        request_pause(w->now->request, pause);
}

const struct target *
wsoverhttp_target(const struct wsoverhttp *w)
{
    return w->now != NULL && w->now->request != NULL ? request_target(w->now->request) : &w->route->targets[0];
}

struct wsoverhttps *
wsoverhttps_new(struct loop *l, struct origin *origin, unsigned max_left)
{
    struct wsoverhttps *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->origin = origin;
    s->max_left = max_left;
    list_init(&s->all);
    return s;
}

void
wsoverhttps_free(struct wsoverhttps *s)
{
    while (!list_empty(&s->all))
        fail(container_of(list_first(&s->all), struct wsoverhttp, in_set), "stopping");
    mem_free(s);
}
