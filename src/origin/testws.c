#include "origin/testws.h"

#include "base/mem.h"

struct testws {
    struct ws ws;
    struct loop *loop; /* borrowed */
    bool paused, over;
};

static struct testws *
of_ws(const struct ws *w)
{
    return container_of(w, struct testws, ws);
}

static void
finish(struct testws *t)
{
    t->ws.user_ops = NULL;
    if (!t->over)
        loop_reap(t->loop, t, mem_free);
    t->over = true;
}

static void
testws_send(struct ws *w, const struct ws_piece *pieces, unsigned n)
{
    for (unsigned i = 0; i < n && w->user_ops != NULL; i++) {
        if (pieces[i].opcode >= WSFRAME_CLOSE)
            w->user_ops->on_control(w, WSFRAME_PONG, pieces[i].payload);
        else
            w->user_ops->on_message(w, &pieces[i]);
    }
}

static void
testws_close(struct ws *w, int code, struct str reason)
{
    const struct ws_user_ops *ops = w->user_ops;
    w->close_sent = w->close_received = true;
    finish(of_ws(w));
    if (ops != NULL)
        ops->on_close(w, code, reason);
}

static void
testws_leave(struct ws *w, int code, struct str reason)
{
    (void)code, (void)reason;
    finish(of_ws(w));
}

/* What we say is never stopped, so who sends to us must stop: we seem full. */
static void
testws_pause(struct ws *w, bool pause)
{
    struct testws *t = of_ws(w);
    bool was = t->paused;
    t->paused = pause;
    if (was && !pause && w->user_ops != NULL)
        w->user_ops->on_drained(w);
}

static size_t
testws_queued(const struct ws *w)
{
    return of_ws(w)->paused ? SIZE_MAX : 0;
}

static unsigned
testws_bits(const struct ws *w)
{
    (void)w;
    return 0;
}

static struct str
testws_peer(const struct ws *w, char text[ADDRESS_TEXT_MAX])
{
    (void)w;
    text[0] = '\0';
    return str_of(text, 0);
}

static const struct ws_ops ws_ops = {testws_send, testws_close, testws_leave, testws_pause, testws_queued,
                                     testws_bits, testws_peer,  NULL,         NULL};

struct ws *
testws_new(struct loop *l)
{
    struct testws *t = mem_zalloc(sizeof *t);
    t->ws.ops = &ws_ops;
    t->loop = l;
    return &t->ws;
}
