#include "proxy/sockws.h"

#include "base/mem.h"
#include "proto/jsonread.h"
#include "proto/sockjsframe.h"

enum {
    HEARTBEAT_MS = 25000,
    TEXT_MAX = 1 << 20, /* bytes of a client's array */
    QUEUE_MAX = 65536,  /* bytes that wait for a client who gets no pongs any more */
    FRAME_MAX = 1 << 26 /* bytes of a piece of a message in its frame; pieces are far shorter */
};

struct sockws {
    struct ws ws;
    struct ws *inner;        /* joined; NULL when over */
    struct loop *loop;       /* borrowed */
    struct timer timer;      /* heartbeat */
    struct sockjsframe text; /* of the message that is being sent */
    struct buf in;           /* what has come of an array */
    bool amid;               /* a message has been sent in part */
    bool over;
};

static struct sockws *
of_ws(const struct ws *w)
{
    return container_of((struct ws *)(uintptr_t)w, struct sockws, ws);
}

/* ending */

static void
sockws_free(void *ptr)
{
    struct sockws *s = ptr;
    buf_clear(&s->in);
    mem_free(s);
}

static void
finish(struct sockws *s)
{
    s->ws.user_ops = NULL;
    s->inner = NULL;
    if (s->over)
        return;
    s->over = true;
    loop_timer_stop(s->loop, &s->timer);
    loop_reap(s->loop, s, sockws_free);
}

/* sending */

static void
send_text(struct sockws *s, struct str text, bool first, bool last)
{
    struct ws_piece p = {.payload = text, .opcode = WSFRAME_TEXT, .first = first, .last = last};
    ws_send(s->inner, &p, 1);
    loop_timer(s->loop, &s->timer, HEARTBEAT_MS);
}

static void
send_piece(struct sockws *s, const struct ws_piece *p)
{
    struct buf b = BUF_INIT(FRAME_MAX);
    if (p->first)
        buf_adds(&b, STR("a["));
    sockjsframe_piece(&s->text, p->payload, p->opcode == WSFRAME_BINARY, p->first, p->last, &b);
    if (p->last)
        buf_addc(&b, ']');
    s->amid = !p->last;
    if (b.len > 0)
        send_text(s, buf_str(&b), p->first, p->last);
    buf_clear(&b);
}

static void
sockws_send(struct ws *w, const struct ws_piece *pieces, unsigned n)
{
    struct sockws *s = of_ws(w);
    for (unsigned i = 0; i < n && s->inner != NULL && !w->close_sent; i++) {
        if (pieces[i].opcode < WSFRAME_CLOSE)
            send_piece(s, &pieces[i]);
        else if (pieces[i].asks && w->user_ops != NULL)
            w->user_ops->on_control(w, WSFRAME_PONG, pieces[i].payload); /* SockJS has none: we answer */
    }
}

/* The frame that goes before a close frame which is not the answer to the client's. */
static void
announce_close(struct sockws *s, int code, struct str reason)
{
    struct buf b = BUF_INIT(4096);
    if (s->ws.close_sent || s->ws.close_received || s->amid)
        return;
    sockjsframe_close(code != WSFRAME_NO_CODE ? code : 0, reason, &b);
    send_text(s, buf_str(&b), true, true);
    buf_clear(&b);
}

static void
sockws_close(struct ws *w, int code, struct str reason)
{
    struct sockws *s = of_ws(w);
    struct ws *inner = s->inner;
    if (inner == NULL)
        return;
    announce_close(s, code, reason);
    w->close_sent = true;
    loop_timer_stop(s->loop, &s->timer);
    if (w->close_received)
        finish(s);
    ws_close(inner, code, reason);
}

static void
sockws_leave(struct ws *w, int code, struct str reason)
{
    struct sockws *s = of_ws(w);
    struct ws *inner = s->inner;
    if (inner == NULL)
        return;
    announce_close(s, code, reason);
    finish(s);
    ws_leave(inner, code, reason);
}

static void
sockws_pause(struct ws *w, bool pause)
{
    struct sockws *s = of_ws(w);
    if (s->inner != NULL)
        ws_pause(s->inner, pause);
}

static size_t
sockws_queued(const struct ws *w)
{
    const struct sockws *s = of_ws(w);
    return s->inner != NULL ? ws_queued(s->inner) : 0;
}

static unsigned
sockws_bits(const struct ws *w)
{
    (void)w;
    return 0; /* what others have compressed is of no use to us */
}

static struct str
sockws_peer(const struct ws *w, char text[ADDRESS_TEXT_MAX])
{
    const struct sockws *s = of_ws(w);
    text[0] = '\0';
    return s->inner != NULL ? ws_peer(s->inner, text) : str_of(text, 0);
}

static const struct ws_ops ws_ops = {sockws_send, sockws_close, sockws_leave, sockws_pause, sockws_queued,
                                     sockws_bits, sockws_peer,  NULL,         NULL};

/* receiving */

static void
part(struct sockws *s, const char *why)
{
    const struct ws_user_ops *ops = s->ws.user_ops;
    finish(s);
    if (ops != NULL)
        ops->on_gone(&s->ws, why);
}

/* The client sends what we do not take. */
static void
refuse(struct sockws *s, int code, const char *why)
{
    struct ws *inner = s->inner;
    s->inner = NULL;
    ws_leave(inner, code, STR(""));
    part(s, why);
}

static void
take(struct sockws *s, json_t *messages)
{
    for (size_t i = 0; i < json_array_size(messages) && s->ws.user_ops != NULL; i++) {
        struct ws_piece p = {
            .payload = jsonread_text(json_array_get(messages, i)), .opcode = WSFRAME_TEXT, .first = true, .last = true};
        s->ws.user_ops->on_message(&s->ws, &p);
    }
}

static void
on_message(struct ws *inner, const struct ws_piece *p)
{
    struct sockws *s = inner->user;
    struct buf text;
    json_t *messages;
    struct err e;
    if (buf_adds(&s->in, p->payload) != 0) {
        refuse(s, WSFRAME_TOO_BIG, "SockJS message too large");
        return;
    }
    if (!p->last)
        return;
    text = s->in;
    s->in = BUF_INIT(TEXT_MAX);
    messages = sockjsframe_parse(buf_str(&text), true, &e);
    buf_clear(&text);
    if (messages == NULL)
        refuse(s, WSFRAME_BAD_DATA, "not a SockJS message");
    else
        take(s, messages);
    json_decref(messages);
}

static void
on_control(struct ws *inner, enum wsframe_opcode opcode, struct str payload)
{
    struct ws_piece p = {.payload = payload, .opcode = WSFRAME_PONG, .first = true, .last = true};
    if (opcode == WSFRAME_PING && ws_queued(inner) < QUEUE_MAX)
        ws_send(inner, &p, 1);
}

static void
on_close(struct ws *inner, int code, struct str reason)
{
    struct sockws *s = inner->user;
    const struct ws_user_ops *ops = s->ws.user_ops;
    s->ws.close_received = true;
    if (s->ws.close_sent)
        finish(s);
    if (ops != NULL)
        ops->on_close(&s->ws, code, reason);
}

static void
on_drained(struct ws *inner)
{
    struct sockws *s = inner->user;
    if (s->ws.user_ops != NULL)
        s->ws.user_ops->on_drained(&s->ws);
}

static void
on_gone(struct ws *inner, const char *why)
{
    part(inner->user, why);
}

static const struct ws_user_ops inner_ops = {on_message, on_control, on_close, on_drained, on_gone};

/* time */

static void
on_timer(struct timer *t)
{
    struct sockws *s = container_of(t, struct sockws, timer);
    if (!s->amid && !s->ws.close_sent && !s->ws.close_received && ws_queued(s->inner) == 0)
        send_text(s, SOCKJSFRAME_HEARTBEAT, true, true);
    else
        loop_timer(s->loop, t, HEARTBEAT_MS);
}

struct ws *
sockws_new(struct loop *l, struct ws *inner)
{
    struct sockws *s = mem_zalloc(sizeof *s);
    s->ws.ops = &ws_ops;
    s->inner = inner;
    s->loop = l;
    buf_init(&s->in, TEXT_MAX);
    timer_init(&s->timer, on_timer);
    ws_join(inner, &inner_ops, s);
    send_text(s, SOCKJSFRAME_OPEN, true, true);
    return &s->ws;
}
