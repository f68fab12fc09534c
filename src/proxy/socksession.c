#include "proxy/socksession.h"

#include "base/log.h"
#include "proto/jsonread.h"
#include "proxy/wsopen.h"
#include "ws/ws.h"

enum {
    HEARTBEAT_MS = 25000,  /* on a poll that gets nothing else */
    NO_POLL_MS = 5000,     /* without a poll: the client has gone */
    REMEMBER_MS = 5000,    /* a session that was closed */
    WAITING_MAX = 200000,  /* bytes of messages for the client, with STRING_COST */
    STRING_COST = 3,       /* bytes around each of them as JSON */
    STREAM_QUEUE = 65536,  /* bytes that a stream's client has not taken: messages wait here */
    STRINGS_MAX = 1 << 22, /* bytes of those messages as JSON */
    MESSAGE_MAX = 200000   /* bytes of a message of the client */
};

enum state { OPENING, OPEN, CLOSED, OVER };

struct socksession {
    struct ws ws;
    struct socksessions *all; /* borrowed */
    struct map_node node;     /* in all->by_key until over */
    uint8_t state;            /* enum state */
    bool paused;              /* the origin takes no more for now */
    bool failed;              /* too much waits */
    struct sockreq *poll;     /* owned; NULL: none; while OPENING wsopen is joined to its xchg */
    struct sockreq *sender;   /* owned; NULL: none */
    struct timer timer;       /* heartbeat, no poll, or forgetting */
    struct task task;         /* gives what has come to the poll, when the turn is over */
    struct sockjsframe text;  /* of the message under way */
    struct buf partial;       /* that as JSON */
    size_t partial_size;      /* bytes of it as they came */
    struct buf waiting;       /* whole messages: JSON strings with commas between */
    size_t waiting_size;      /* bytes of those as they came, with STRING_COST */
    struct buf close; /* the close frame, once CLOSED */
    char peer[ADDRESS_TEXT_MAX];
    size_t key_len;
    char key[];
};

struct socksessions {
    struct proxy *proxy; /* borrowed */
    struct map by_key;   /* of socksession, by node; they own themselves */
};

static void flush(struct socksession *s);

static struct socksession *
of_ws(const struct ws *w)
{
    return container_of((struct ws *)(uintptr_t)w, struct socksession, ws);
}

static struct loop *
loop_of(const struct socksession *s)
{
    return s->all->proxy->loop;
}

/* ending */

static void
socksession_free(void *ptr)
{
    struct socksession *s = ptr;
    if (s->poll != NULL)
        sockreq_free(s->poll);
    if (s->sender != NULL)
        sockreq_free(s->sender);
    buf_clear(&s->partial);
    buf_clear(&s->waiting);
    buf_clear(&s->close);
    mem_free(s);
}

/* Nobody finds it any more. Its requests have been answered, or have gone. */
static void
forget(struct socksession *s)
{
    if (s->state == OVER)
        return;
    s->state = OVER;
    s->ws.user_ops = NULL;
    map_remove(&s->all->by_key, &s->node);
    loop_timer_stop(loop_of(s), &s->timer);
    loop_cancel(loop_of(s), &s->task);
    loop_reap(loop_of(s), s, socksession_free);
}

static struct sockreq *
take_req(struct sockreq **at)
{
    struct sockreq *r = *at;
    *at = NULL;
    return r;
}

/* End without a close frame: what waits for an answer gets one that says so. */
static void
terminate(struct socksession *s)
{
    struct sockreq *poll = take_req(&s->poll), *sender = take_req(&s->sender);
    forget(s);
    if (poll != NULL)
        sockreq_terminate(poll);
    if (sender != NULL)
        sockreq_terminate(sender);
}

/* The client has gone. */
static void
part(struct socksession *s, const char *why)
{
    const struct ws_user_ops *ops = s->ws.user_ops;
    terminate(s);
    if (ops != NULL)
        ops->on_gone(&s->ws, why);
}

/* the poll */

static void
wait_for_poll(struct socksession *s)
{
    loop_timer(loop_of(s), &s->timer, s->state == CLOSED ? REMEMBER_MS : NO_POLL_MS);
}

static void
frame(struct socksession *s, struct str text)
{
    struct sockreq *r = take_req(&s->poll);
    if (!sockreq_frame(r, text)) {
        s->poll = r;
        loop_timer(loop_of(s), &s->timer, HEARTBEAT_MS);
    } else {
        wait_for_poll(s);
    }
}

static bool
can_take(const struct sockreq *r)
{
    return r != NULL && (!sockreq_is_stream(r) || xchg_queued(r->x) <= STREAM_QUEUE);
}

static void
give_waiting(struct socksession *s)
{
    struct buf b = BUF_INIT(STRINGS_MAX + 16);
    sockjsframe_array(buf_str(&s->waiting), &b);
    buf_clear(&s->waiting);
    s->waiting_size = 0;
    frame(s, buf_str(&b));
    buf_clear(&b);
    if (s->ws.user_ops != NULL)
        s->ws.user_ops->on_drained(&s->ws);
}

static void
flush(struct socksession *s)
{
    if (s->waiting.len > 0 && can_take(s->poll))
        give_waiting(s);
    if (s->state == CLOSED && s->waiting.len == 0 && s->poll != NULL)
        sockreq_last(take_req(&s->poll), buf_str(&s->close));
}

static void
on_task(struct task *t)
{
    struct socksession *s = container_of(t, struct socksession, task);
    char peer[ADDRESS_TEXT_MAX];
    if (s->failed) {
        log_warn("SockJS client reads too slowly, closing: from=%s", ws_peer(&s->ws, peer).ptr);
        part(s, "too much waits for the client");
    } else {
        flush(s);
    }
}

static void
on_timer(struct timer *t)
{
    struct socksession *s = container_of(t, struct socksession, timer);
    if (s->state == CLOSED)
        terminate(s);
    else if (s->poll == NULL)
        part(s, "no poll for too long");
    else if (can_take(s->poll))
        frame(s, SOCKJSFRAME_HEARTBEAT);
    else
        loop_timer(loop_of(s), t, HEARTBEAT_MS);
}

static void
ignore_body(struct xchg *x, struct str piece)
{
    (void)x, (void)piece;
}

static void
ignore(struct xchg *x)
{
    (void)x;
}

static void
on_poll_drained(struct xchg *x)
{
    struct socksession *s = x->user;
    flush(s);
}

static void
on_poll_gone(struct xchg *x, const char *why)
{
    struct socksession *s = x->user;
    sockreq_free(take_req(&s->poll));
    part(s, why);
}

static const struct xchg_user_ops poll_ops = {ignore_body, ignore, on_poll_drained, on_poll_gone, ignore};

/* The poll has its first frame, or none for now. */
static void
park(struct socksession *s)
{
    if (s->poll == NULL)
        return;
    xchg_join(s->poll->x, &poll_ops, s);
    loop_timer(loop_of(s), &s->timer, HEARTBEAT_MS);
    sockreq_start(s->poll);
    xchg_park(s->poll->x);
}

void
socksession_poll(struct socksession *s, struct sockreq *r)
{
    if (s->poll != NULL) {
        sockreq_last(r, STR("c[2010,\"Another connection still open\"]"));
        return;
    }
    s->poll = r;
    xchg_join(r->x, &poll_ops, s);
    flush(s);
    park(s);
}

/* the endpoint */

static void
take_piece(struct socksession *s, const struct ws_piece *p)
{
    if (p->first) {
        s->partial.len = 0;
        s->partial_size = 0;
    }
    s->partial_size += p->payload.len;
    if (s->waiting_size + s->partial_size > WAITING_MAX) {
        s->failed = true;
        loop_later(loop_of(s), &s->task);
        return;
    }
    sockjsframe_piece(&s->text, p->payload, p->opcode == WSFRAME_BINARY, p->first, p->last, &s->partial);
    if (!p->last)
        return;
    if (s->waiting.len > 0)
        buf_addc(&s->waiting, ',');
    buf_adds(&s->waiting, buf_str(&s->partial));
    s->waiting_size += s->partial_size + STRING_COST;
    buf_clear(&s->partial);
    loop_later(loop_of(s), &s->task);
}

static void
session_send(struct ws *w, const struct ws_piece *pieces, unsigned n)
{
    struct socksession *s = of_ws(w);
    for (unsigned i = 0; i < n && s->state == OPEN && !s->failed; i++) {
        if (pieces[i].opcode < WSFRAME_CLOSE)
            take_piece(s, &pieces[i]);
        else if (pieces[i].asks && w->user_ops != NULL)
            w->user_ops->on_control(w, WSFRAME_PONG, pieces[i].payload); /* SockJS has none: we answer */
    }
}

/* The client learns of it with its next poll, or the present one. */
static void
close_session(struct socksession *s, int code, struct str reason)
{
    struct sockreq *sender;
    if (s->state != OPEN)
        return;
    sender = take_req(&s->sender);
    s->state = CLOSED;
    s->ws.user_ops = NULL;
    s->ws.close_sent = s->ws.close_received = true;
    sockjsframe_close(code != WSFRAME_NO_CODE ? code : 0, reason, &s->close);
    loop_timer(loop_of(s), &s->timer, REMEMBER_MS);
    loop_later(loop_of(s), &s->task);
    if (sender != NULL)
        sockreq_terminate(sender);
}

static void
session_close(struct ws *w, int code, struct str reason)
{
    const struct ws_user_ops *ops = w->user_ops;
    close_session(of_ws(w), code, reason);
    if (ops != NULL)
        ops->on_close(w, WSFRAME_NORMAL, STR("")); /* SockJS has no answer to it: we give it */
}

static void
session_leave(struct ws *w, int code, struct str reason)
{
    struct socksession *s = of_ws(w);
    w->user_ops = NULL;
    if (code == WSFRAME_INTERNAL && reason.len == 0)
        terminate(s); /* the origin is lost */
    else
        close_session(s, code, reason);
}

static void
session_pause(struct ws *w, bool pause)
{
    struct socksession *s = of_ws(w);
    s->paused = pause;
    if (!pause && s->sender != NULL)
        sockreq_taken(take_req(&s->sender));
}

static size_t
session_queued(const struct ws *w)
{
    return of_ws(w)->waiting_size;
}

static unsigned
session_bits(const struct ws *w)
{
    (void)w;
    return 0;
}

static struct str
session_peer(const struct ws *w, char text[ADDRESS_TEXT_MAX])
{
    memcpy(text, of_ws(w)->peer, ADDRESS_TEXT_MAX);
    return str_c(text);
}

static const struct ws_ops ws_ops = {session_send, session_close, session_leave, session_pause, session_queued,
                                     session_bits, session_peer,  NULL,          NULL};

/* what the client says */

static void
on_sender_gone(struct xchg *x, const char *why)
{
    struct socksession *s = x->user;
    (void)why;
    sockreq_free(take_req(&s->sender));
}

static const struct xchg_user_ops sender_ops = {ignore_body, ignore, ignore, on_sender_gone, ignore};

static bool
is_too_large(const json_t *messages)
{
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (json_string_length(json_array_get(messages, i)) > MESSAGE_MAX)
            return true;
    return false;
}

static void
give_messages(struct socksession *s, const json_t *messages)
{
    for (size_t i = 0; i < json_array_size(messages) && s->ws.user_ops != NULL; i++) {
        struct ws_piece p = {
            .payload = jsonread_text(json_array_get(messages, i)), .opcode = WSFRAME_TEXT, .first = true, .last = true};
        s->ws.user_ops->on_message(&s->ws, &p);
    }
}

void
socksession_send(struct socksession *s, struct sockreq *r, const json_t *messages)
{
    if (s->state == CLOSED) {
        sockreq_closed(r, buf_str(&s->close));
    } else if (s->sender != NULL) {
        sockreq_text(r, 400, STR("Already sending\n"));
    } else if (is_too_large(messages)) {
        sockreq_text(r, 400, STR("Message too large\n"));
    } else {
        give_messages(s, messages);
        if (s->paused && s->state == OPEN) {
            xchg_join(r->x, &sender_ops, s);
            s->sender = r;
        } else {
            sockreq_taken(r);
        }
    }
}

/* beginning */

static struct ws *
on_open(void *session)
{
    struct socksession *s = session;
    s->state = OPEN;
    frame(s, SOCKJSFRAME_OPEN);
    park(s);
    return &s->ws;
}

/* Its client was answered by wsopen, or has left. */
static void
on_over(void *session)
{
    forget(session);
}

static void
put_headers(void *session, struct headers *h)
{
    struct socksession *s = session;
    headers_remove(h, STR("Access-Control-Allow-Origin"));
    headers_remove(h, STR("Access-Control-Allow-Credentials"));
    headers_remove(h, STR("Cache-Control"));
    sockreq_put_common(s->poll, h);
}

static const struct wsopen_session_ops session_ops = {on_open, on_over, put_headers};

static void
put_key(const struct route *route, struct str sid, struct buf *out)
{
    buf_init(out, strlen(route->id) + sid.len + 1);
    buf_adds(out, sid);
    buf_addc(out, '/'); /* which is not in SIDs */
    buf_adds(out, str_c(route->id));
}

void
socksession_open(struct socksessions *all, struct str sid, struct sockreq *r, struct clientreq *c, struct route *route)
{
    struct wsopen_sockjs sockjs = {.ops = &session_ops};
    struct socksession *s;
    struct buf key;
    put_key(route, sid, &key);
    s = mem_zalloc(sizeof *s + key.len);
    s->ws.ops = &ws_ops;
    s->all = all;
    s->poll = r;
    timer_init(&s->timer, on_timer);
    task_init(&s->task, on_task);
    buf_init(&s->partial, STRINGS_MAX);
    buf_init(&s->waiting, STRINGS_MAX);
    buf_init(&s->close, 4096);
    xchg_peer(r->x, s->peer);
    s->key_len = key.len;
    memcpy(s->key, key.ptr, key.len);
    buf_clear(&key);
    s->node.key = str_of(s->key, s->key_len);
    map_add(&all->by_key, &s->node);
    sockjs.session = s;
    wsopen_begin(all->proxy, r->x, c, route, &sockjs);
}

bool
socksession_is_opening(const struct socksession *s)
{
    return s->state == OPENING;
}

struct socksession *
socksessions_find(struct socksessions *all, const struct route *route, struct str sid)
{
    struct map_node *node;
    struct buf key;
    put_key(route, sid, &key);
    node = map_find(&all->by_key, buf_str(&key));
    buf_clear(&key);
    return node != NULL ? container_of(node, struct socksession, node) : NULL;
}

bool
socksessions_full(const struct socksessions *all)
{
    return map_count(&all->by_key) >= (size_t)all->proxy->config->client_maxconn;
}

struct socksessions *
socksessions_new(struct proxy *p)
{
    struct socksessions *all = mem_zalloc(sizeof *all);
    all->proxy = p;
    map_init(&all->by_key);
    return all;
}

static void
forget_one(struct map_node *node, void *arg)
{
    (void)arg;
    forget(container_of(node, struct socksession, node));
}

void
socksessions_free(struct socksessions *all)
{
    map_each(&all->by_key, forget_one, NULL);
    map_clear(&all->by_key);
    mem_free(all);
}
