/* connqueue.c - what of a conn's bytes the kernel has not taken yet. */
#include "io/connbase.h"
#include "io/loopbase.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

enum { IOV = 64 };

void
conn_queue_free(struct conn *c)
{
    struct conn_queue *q = conn_queue(c);
    if (q == NULL)
        return;
    event_del(&q->event);
    for (unsigned i = 0; i < q->n; i++)
        shared_unref(q->ring[(q->first + i) & (q->cap - 1)].owner);
    mem_free(q->ring);
    mem_free(q);
    c->more->queue = NULL;
    conn_more_drop(c);
}

void
conn_queue_consume(struct conn_queue *q, size_t written)
{
    q->bytes -= written;
    while (written > 0) {
        struct conn_piece *p = &q->ring[q->first];
        if (written < p->bytes.len) {
            p->bytes = str_from(p->bytes, written);
            return;
        }
        written -= p->bytes.len;
        shared_unref(p->owner);
        q->first = (q->first + 1) & (q->cap - 1);
        q->n--;
    }
}

/* 0: all is written or the kernel takes no more. -1: broken. */
static int
queue_flush(struct conn *c)
{
    struct conn_queue *q = conn_queue(c);
    while (q->n > 0) {
        struct iovec iov[IOV];
        unsigned n = q->n < IOV ? q->n : IOV;
        size_t wanted = 0;
        ssize_t written;
        for (unsigned i = 0; i < n; i++) {
            struct str b = q->ring[(q->first + i) & (q->cap - 1)].bytes;
            iov[i] = (struct iovec){(void *)(uintptr_t)b.ptr, b.len};
            wanted += b.len;
        }
        written = writev(c->fd, iov, (int)n);
        if (written < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        c->moved = true;
        conn_queue_consume(q, (size_t)written);
        if ((size_t)written < wanted)
            return 0;
    }
    return 0;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd, (void)what;
    loop_woke(c->loop);
    if ((conn_tls(c) != NULL ? conn_tls_flush(c) : queue_flush(c)) != 0) {
        conn_break_off(c);
        return;
    }
    if (conn_queue(c)->n > 0)
        return;
    conn_queue_free(c);
    if (c->unread)
        conn_watch(c);
    if (c->lingering)
        conn_say_end(c);
    else if (c->ops->on_drained != NULL)
        c->ops->on_drained(c);
}

struct conn_queue *
conn_queue_open(struct conn *c)
{
    struct conn_queue *q = conn_queue(c);
    if (q != NULL)
        return q;
    q = conn_more(c)->queue = mem_zalloc(sizeof *q);
    event_assign(&q->event, loop_base(c->loop), c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    if (c->unread)
        conn_watch(c);
    if (!c->connecting)
        event_add(&q->event, NULL);
    return q;
}

static void
queue_add(struct conn *c, struct str bytes, struct shared *owner)
{
    struct conn_queue *q = conn_queue_open(c);
    if (q->n == q->cap) {
        unsigned cap = q->cap > 0 ? q->cap * 2 : 4;
        struct conn_piece *ring = mem_alloc(cap * sizeof *ring);
        for (unsigned i = 0; i < q->n; i++)
            ring[i] = q->ring[(q->first + i) & (q->cap - 1)];
        mem_free(q->ring);
        q->ring = ring;
        q->cap = cap;
        q->first = 0;
    }
    if (owner != NULL) {
        shared_ref(owner);
    } else {
        struct shared_bytes *copy = shared_bytes_new(bytes);
        owner = &copy->shared;
        bytes.ptr = copy->data;
    }
    q->ring[(q->first + q->n) & (q->cap - 1)] = (struct conn_piece){bytes, owner};
    q->n++;
    q->bytes += bytes.len;
}

void
conn_queue_rest(struct conn *c, const struct conn_piece *pieces, unsigned n, size_t written)
{
    for (unsigned i = 0; i < n; i++) {
        struct str b = pieces[i].bytes;
        if (written >= b.len) {
            written -= b.len;
            continue;
        }
        queue_add(c, str_from(b, written), pieces[i].owner);
        written = 0;
    }
}

void
conn_queue_start(struct conn *c)
{
    if (conn_queue(c) != NULL)
        event_add(&conn_queue(c)->event, NULL);
}

void
conn_queue_moved(struct conn *c)
{
    struct conn_queue *q = conn_queue(c);
    if (q == NULL)
        return;
    event_del(&q->event);
    event_assign(&q->event, loop_base(c->loop), c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    event_add(&q->event, NULL);
}

size_t
conn_queued(const struct conn *c)
{
    const struct conn_queue *q = conn_queue(c);
    return q != NULL ? q->bytes : 0;
}

bool
conn_moved(struct conn *c)
{
    struct conn_queue *q = conn_queue(c);
    bool moved = c->moved;
    int unread;
    c->moved = false;
    if (q != NULL && ioctl(c->fd, SIOCOUTQ, &unread) == 0 && unread != q->unread) {
        q->unread = unread;
        moved = true; /* the kernel asks for more only when a good part has gone */
    }
    return moved;
}
