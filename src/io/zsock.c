#include "io/zsock.h"

#include "base/clock.h"
#include "io/loopbase.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zmq.h>

enum { BATCH = 64, BATCH_US = 1000 }; /* messages, and microseconds, that one socket may have in a turn */

struct zcontext {
    void *zmq; /* owned */
};

struct zsock {
    struct event event;          /* on ZMQ_FD */
    struct task more;            /* set while something may be left to read */
    struct loop *loop;           /* borrowed */
    const struct zsock_ops *ops; /* constant; may be NULL */
    void *arg;                   /* the owner's */
    void *socket;                /* owned; NULL when closed */
    int ipc_mode;
    uint64_t dropped;
    size_t max_bytes; /* of a message's frames that are kept */
    size_t bytes;     /* of those kept of the message being read */
    unsigned n;       /* its frames; the first ZSOCK_FRAMES are kept */
    zmq_msg_t frames[ZSOCK_FRAMES];
    bool paused;
};

static const int zmq_types[] = {
    [ZSOCK_PULL] = ZMQ_PULL, [ZSOCK_PUSH] = ZMQ_PUSH,     [ZSOCK_SUB] = ZMQ_SUB,       [ZSOCK_PUB] = ZMQ_PUB,
    [ZSOCK_XPUB] = ZMQ_XPUB, [ZSOCK_ROUTER] = ZMQ_ROUTER, [ZSOCK_DEALER] = ZMQ_DEALER,
};

struct zcontext *
zsock_context_new(void)
{
    struct zcontext *c = mem_zalloc(sizeof *c);
    c->zmq = zmq_ctx_new();
    if (c->zmq == NULL)
        abort(); /* no descriptors at start */
    zmq_ctx_set(c->zmq, ZMQ_IO_THREADS, 1);
    zmq_ctx_set(c->zmq, ZMQ_BLOCKY, 0);
    return c;
}

void
zsock_context_free(struct zcontext *c)
{
    while (zmq_ctx_term(c->zmq) != 0 && errno == EINTR)
        ;
    mem_free(c);
}

/* After every call on the socket: the call may have taken in the news that ZMQ_FD would have told. */
static void
look(struct zsock *z)
{
    int events = 0;
    size_t size = sizeof events;
    if (list_in(&z->more.node) || z->paused)
        return;
    if (zmq_getsockopt(z->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0)
        loop_later(z->loop, &z->more);
}

static void
drop_frames(struct zsock *z)
{
    for (unsigned i = 0; i < z->n && i < ZSOCK_FRAMES; i++)
        zmq_msg_close(&z->frames[i]);
    z->n = 0;
    z->bytes = 0;
}

static bool
read_frame(struct zsock *z, bool *last)
{
    zmq_msg_t spare, *into = z->n < ZSOCK_FRAMES ? &z->frames[z->n] : &spare;
    zmq_msg_init(into);
    if (zmq_msg_recv(into, z->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(into);
        return false;
    }
    *last = !zmq_msg_more(into);
    if (into == &spare) {
        zmq_msg_close(&spare);
    } else if (z->bytes + zmq_msg_size(into) > z->max_bytes) {
        zmq_msg_close(into);
        zmq_msg_init(into);
    } else {
        z->bytes += zmq_msg_size(into);
    }
    z->n++;
    return true;
}

static void
deliver(struct zsock *z)
{
    struct str frames[ZSOCK_FRAMES];
    for (unsigned i = 0; i < z->n && i < ZSOCK_FRAMES; i++)
        frames[i] = str_of(zmq_msg_data(&z->frames[i]), zmq_msg_size(&z->frames[i]));
    if (z->ops != NULL)
        z->ops->on_message(frames, z->n, z->arg);
    drop_frames(z);
}

/* Frames count, not messages, so that a message of a million frames does not stop the loop either. */
static void
read_batch(struct zsock *z)
{
    uint64_t end = clock_exact_us() + BATCH_US;
    unsigned messages = 0;
    bool last;
    while (messages < BATCH && !z->paused && read_frame(z, &last)) {
        if (last) {
            deliver(z);
            messages++;
        }
        if (z->socket == NULL)
            return;
        if (clock_exact_us() >= end)
            break;
    }
    look(z);
}

static void
on_fd(evutil_socket_t fd, short what, void *arg)
{
    struct zsock *z = arg;
    (void)fd, (void)what;
    loop_woke(z->loop);
    read_batch(z);
}

static void
on_more(struct task *t)
{
    read_batch(container_of(t, struct zsock, more));
}

static void
set_int(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
    (void)rc;
}

static void
set_options(void *socket, const struct zsock_options *o)
{
    int64_t max_message = o->max_message;
    int rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_message, sizeof max_message);
    assert(rc == 0);
    (void)rc;
    set_int(socket, ZMQ_RCVHWM, o->receive_hwm);
    set_int(socket, ZMQ_SNDHWM, o->send_hwm);
    set_int(socket, ZMQ_HANDSHAKE_IVL, o->handshake_time);
    set_int(socket, ZMQ_LINGER, o->linger);
    if (o->keepalive_idle > 0) {
        set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
        set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, o->keepalive_idle);
        set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, o->keepalive_interval);
        set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, o->keepalive_count);
    }
}

struct zsock *
zsock_new(struct zcontext *c, struct loop *l, enum zsock_type type, const struct zsock_options *options,
          const struct zsock_ops *ops, void *arg, struct err *e)
{
    struct zsock *z;
    int fd = -1;
    size_t size = sizeof fd;
    void *socket = zmq_socket(c->zmq, zmq_types[type]);
    if (socket == NULL || zmq_getsockopt(socket, ZMQ_FD, &fd, &size) != 0) {
        err_set(e, "unable to make a ZeroMQ socket: %s", zmq_strerror(errno));
        if (socket != NULL)
            zmq_close(socket);
        return NULL;
    }
    z = mem_zalloc(sizeof *z);
    z->loop = l;
    z->ops = ops;
    z->arg = arg;
    z->socket = socket;
    z->ipc_mode = options->ipc_mode;
    z->max_bytes = (size_t)options->max_message + ZSOCK_ENVELOPE;
    set_options(socket, options);
    task_init(&z->more, on_more);
    event_assign(&z->event, loop_base(l), fd, EV_READ | EV_PERSIST, on_fd, z);
    event_add(&z->event, NULL);
    look(z);
    return z;
}

void
zsock_pause(struct zsock *z, bool pause)
{
    z->paused = pause;
    if (!pause)
        look(z);
}

static void
free_zsock(void *ptr)
{
    drop_frames(ptr);
    mem_free(ptr);
}

void
zsock_close(struct zsock *z)
{
    event_del(&z->event);
    loop_cancel(z->loop, &z->more);
    zmq_close(z->socket);
    z->socket = NULL;
    loop_reap(z->loop, z, free_zsock); /* the frames too: their owner may be looking at them */
}

/* The path of an ipc: address that is a file, or NULL. */
static const char *
ipc_path(const char *spec)
{
    return str_starts(str_c(spec), STR("ipc://")) && spec[6] != '@' ? spec + 6 : NULL;
}

/* An IPv6 socket would take IPv4 for "*" and look up names as IPv6 first; so it is one only where SPEC says so. */
static void
choose_family(struct zsock *z, const char *spec)
{
    set_int(z->socket, ZMQ_IPV6, strchr(spec, '[') != NULL);
}

static int
bind_failed(struct err *e, const char *what, const char *spec)
{
    err_set(e, "unable to %s %s: %s", what, spec, zmq_strerror(errno));
    return -1;
}

int
zsock_bind(struct zsock *z, const char *spec, struct err *e)
{
    bool own_mode = z->ipc_mode >= 0 && ipc_path(spec) != NULL;
    char endpoint[256];
    mode_t before = 0;
    int rc;
    choose_family(z, spec);
    if (own_mode) /* nobody gets in between bind and chmod */
        before = umask(0777 & ~(mode_t)z->ipc_mode);
    rc = zmq_bind(z->socket, spec);
    if (own_mode)
        umask(before);
    if (rc != 0)
        return bind_failed(e, "bind to", spec);
    look(z);
    if (!own_mode)
        return 0;
    zsock_endpoint(z, endpoint, sizeof endpoint);
    if (chmod(ipc_path(endpoint) != NULL ? ipc_path(endpoint) : ipc_path(spec), (mode_t)z->ipc_mode) != 0)
        return bind_failed(e, "set permissions on", spec);
    return 0;
}

int
zsock_connect(struct zsock *z, const char *spec, struct err *e)
{
    choose_family(z, spec);
    if (zmq_connect(z->socket, spec) != 0)
        return bind_failed(e, "connect to", spec);
    look(z);
    return 0;
}

struct str
zsock_endpoint(struct zsock *z, char *buf, size_t size)
{
    if (zmq_getsockopt(z->socket, ZMQ_LAST_ENDPOINT, buf, &size) != 0)
        buf[0] = '\0';
    look(z);
    return str_c(buf);
}

int
zsock_send(struct zsock *z, const struct str *frames, unsigned n)
{
    int rc = 0;
    for (unsigned i = 0; i < n && rc >= 0; i++)
        rc = zmq_send(z->socket, frames[i].ptr, frames[i].len, ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0));
    if (rc < 0)
        z->dropped++;
    look(z);
    return rc < 0 ? -1 : 0;
}

uint64_t
zsock_dropped(const struct zsock *z)
{
    return z->dropped;
}

static void
set_subscription(struct zsock *z, int option, struct str prefix)
{
    int rc = zmq_setsockopt(z->socket, option, prefix.len > 0 ? prefix.ptr : "", prefix.len);
    assert(rc == 0);
    (void)rc;
    look(z);
}

void
zsock_subscribe(struct zsock *z, struct str prefix)
{
    set_subscription(z, ZMQ_SUBSCRIBE, prefix);
}

void
zsock_unsubscribe(struct zsock *z, struct str prefix)
{
    set_subscription(z, ZMQ_UNSUBSCRIBE, prefix);
}
