#include "client/h1conn.h"

#include "base/slab.h"

/* connections that wait for their turn */

void
h1server_wake(struct h1conn *c)
{
    struct h1server *s = c->server;
    list_remove(&s->conns, &c->in_server);
    list_push_back(&s->ready, &c->in_server);
    c->ready = true;
    loop_later(s->loop, &s->task);
}

/* Close what is idle, and tell the users of the others, or of those only that are parked. */
static void
stop_all(struct h1server *s, bool parked)
{
    size_t n = s->conns.n, i = 0;
    struct h1conn **all = mem_alloc(n * sizeof(struct h1conn *));
    s->parked_late = false;
    list_each (&s->conns, node)
        all[i++] = container_of(node, struct h1conn, in_server);
    for (i = 0; i < n; i++) { /* what closes meanwhile is there until the turn ends */
        struct h1conn *c = all[i];
        if (c->state == H1_IDLE)
            h1conn_close(c, h1conn_stopping);
        else if (c->state != H1_CLOSED && c->xchg.user_ops != NULL && (c->parked || !parked))
            c->xchg.user_ops->on_shutdown(&c->xchg);
    }
    mem_free(all);
}

static void
on_task(struct task *t)
{
    struct h1server *s = container_of(t, struct h1server, task);
    size_t n = s->ready.n; /* what gets ready meanwhile has its turn in the next */
    h1answer_uncork(s);
    while (n-- > 0 && !list_empty(&s->ready)) {
        struct h1conn *c = container_of(list_pop_front(&s->ready), struct h1conn, in_server);
        c->ready = false;
        list_push_back(&s->conns, &c->in_server);
        h1conn_parse_pending(c);
    }
    h1answer_uncork(s);
    if (s->parked_late)
        stop_all(s, true);
    if (!list_empty(&s->ready))
        loop_later(s->loop, &s->task);
}

/* the server */

struct h1server *
h1server_new(struct loop *l, const struct h1server_settings *settings, const struct h1server_ops *ops, void *arg)
{
    struct h1server *s = slab_alloc(sizeof *s);
    s->loop = l;
    s->settings = *settings;
    s->ops = *ops;
    s->arg = arg;
    list_init(&s->conns);
    list_init(&s->ready);
    task_init(&s->task, on_task);
    buf_init(&s->head, 1 << 24);
    return s;
}

void
h1server_free(struct h1server *s)
{
    s->ops.on_closed = NULL;
    while (!list_empty(&s->ready))
        h1conn_close(container_of(list_first(&s->ready), struct h1conn, in_server), h1conn_stopping);
    while (!list_empty(&s->conns))
        h1conn_close(container_of(list_first(&s->conns), struct h1conn, in_server), h1conn_stopping);
    loop_cancel(s->loop, &s->task);
    h1server_trim(s);
    slab_free(s, sizeof *s);
}

void
h1server_trim(struct h1server *s)
{
    while (s->n_spare > 0)
        http1_free(s->spare[--s->n_spare]);
    buf_clear(&s->head);
}

void
h1server_accept(struct h1server *s, int fd, const struct h1server_port *port)
{
    h1conn_open(s, fd, port);
}

size_t
h1server_count(const struct h1server *s)
{
    return s->conns.n + s->ready.n;
}

void
h1server_shutdown(struct h1server *s)
{
    s->stopping = true;
    stop_all(s, false);
}
