#include "io/connbase.h"
#include "io/loopbase.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    IOV = 64,
    SMALL = 2048,       /* bytes */
    PREFACE_LOOK = 4096 /* bytes of a preface that are looked at in a turn */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);

/* While paused, bytes that wait must not wake us over and over: once they are known an edge tells of an error behind
 * them. libevent cannot have edges for one event of a descriptor and levels for another, so while something waits to be
 * written there is no event for reading then: writing tells of errors too. */
void
conn_watch(struct conn *c)
{
    const struct tls *t = conn_tls(c);
    short what = c->reading || !c->unread ? EV_READ | EV_PERSIST : EV_READ | EV_PERSIST | EV_ET;
    event_del(&c->event);
    if (t != NULL && t->wants_write)
        what = EV_WRITE | EV_PERSIST;
    if (c->eof || c->broken || (c->connecting && (t == NULL || !t->shaking)) ||
        ((what & EV_ET) && conn_queue(c) != NULL))
        return;
    event_assign(&c->event, loop_base(c->loop), c->fd, what, on_readable, c);
    event_add(&c->event, NULL);
}

void
conn_break_off(struct conn *c)
{
    if (c->broken)
        return;
    c->broken = true;
    conn_queue_free(c);
    event_active(&c->event, EV_READ, 0);
}

/* Nothing more will be sent. */
void
conn_say_end(struct conn *c)
{
    if (conn_tls(c) != NULL && conn_tls_say_end(c) != 0)
        conn_queue_open(c); /* empty; to be called again */
    else
        shutdown(c->fd, SHUT_WR);
}

int
conn_send(struct conn *c, struct str bytes)
{
    struct conn_piece piece = {bytes, NULL};
    return conn_sendv(c, &piece, 1);
}

/* For the kernel one piece is cheaper than several, by more than the copy costs. */
static ssize_t
send_small(int fd, const struct iovec *iov, unsigned n)
{
    char all[SMALL], *at = all;
    for (unsigned i = 0; i < n; i++)
        at = mempcpy(at, iov[i].iov_base, iov[i].iov_len);
    return send(fd, all, (size_t)(at - all), MSG_NOSIGNAL);
}

int
conn_sendv(struct conn *c, const struct conn_piece *pieces, unsigned n)
{
    ssize_t written = 0;
    size_t wanted = 0;
    if (c->broken || c->fd < 0)
        return -1;
    if (c->connecting || (c->more != NULL && c->more->queue != NULL)) {
        conn_queue_rest(c, pieces, n, 0);
        return 0;
    }
    if (c->more != NULL && c->more->tls != NULL)
        return conn_tls_sendv(c, pieces, n);
    while (n > 0) {
        unsigned some = n < IOV ? n : IOV;
        if (some == 1) {
            wanted = pieces->bytes.len;
            written = wanted > 0 ? send(c->fd, pieces->bytes.ptr, wanted, MSG_NOSIGNAL) : 0;
        } else {
            struct iovec iov[IOV];
            wanted = 0;
            for (unsigned i = 0; i < some; i++) {
                iov[i] = (struct iovec){(void *)(uintptr_t)pieces[i].bytes.ptr, pieces[i].bytes.len};
                wanted += pieces[i].bytes.len;
            }
            written = wanted <= SMALL ? send_small(c->fd, iov, some) : writev(c->fd, iov, (int)some);
        }
        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            conn_break_off(c);
            return -1;
        }
        if (written < (ssize_t)wanted) {
            conn_queue_rest(c, pieces, n, written > 0 ? (size_t)written : 0);
            return 0;
        }
        pieces += some;
        n -= some;
    }
    return 0;
}

bool
conn_has_input(struct conn *c)
{
    char byte;
    if (conn_tls(c) != NULL && c->fd >= 0 && !c->connecting)
        return conn_tls_has_input(c);
    return c->fd >= 0 && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

bool
conn_input_came(const struct conn *c)
{
    return (c->event.ev_evcallback.evcb_flags & (EVLIST_ACTIVE | EVLIST_ACTIVE_LATER)) != 0;
}

/* The socket's own error, or what a read would say. */
static const char *
error_text(struct conn *c, int error)
{
    socklen_t len = sizeof error;
    if (error == 0)
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error != 0 ? strerror(error) : "connection lost";
}

void
conn_input_ended(struct conn *c)
{
    c->eof = true;
    event_del(&c->event);
    c->ops->on_eof(c);
}

void
conn_input_failed(struct conn *c, const char *why)
{
    event_del(&c->event);
    c->ops->on_error(c, why);
}

void
conn_input_waits(struct conn *c)
{
    if (c->unread)
        return;
    c->unread = true;
    conn_watch(c);
}

/* Reading is paused and there is something: the peer's end, an error, or bytes, which stay where they are. */
static void
look_while_paused(struct conn *c)
{
    char byte;
    int error = 0;
    socklen_t len = sizeof error;
    ssize_t n = 0;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0 && conn_tls(c) != NULL) {
        conn_tls_look(c);
        return;
    }
    if (error == 0 && (n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)) < 0)
        error = errno;
    if (error == EAGAIN || error == EINTR)
        return;
    if (error != 0)
        conn_input_failed(c, strerror(error));
    else if (n == 0)
        conn_input_ended(c);
    else
        conn_input_waits(c);
}

/* Sending has failed. What the peer said before it closed, such as the answer to a request that it did not want to
 * read, is there all the same. */
static void
read_last(struct conn *c)
{
    char *buffer = loop_read_buffer(c->loop);
    ssize_t n = -1;
    if (c->reading)
        n = conn_tls(c) != NULL ? conn_tls_recv(c, buffer) : recv(c->fd, buffer, LOOP_READ_SIZE, 0);
    if (n <= 0) { /* an end after a reset is none that the peer has said */
        conn_input_failed(c, error_text(c, 0));
        return;
    }
    event_active(&c->event, EV_READ, 0);
    if (!c->lingering)
        c->ops->on_data(c, str_of(buffer, (size_t)n));
}

/* The first bytes are looked at, and only what belongs to the preface is taken. */
static void
read_preface(struct conn *c, char *buffer)
{
    ssize_t n = recv(c->fd, buffer, PREFACE_LOOK, MSG_PEEK);
    size_t used;
    if (n == 0)
        conn_input_ended(c);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        conn_input_failed(c, strerror(errno));
    if (n <= 0)
        return;
    used = c->ops->on_preface(c, c->more->preface, str_of(buffer, (size_t)n));
    if (c->fd >= 0 && used > 0 && recv(c->fd, buffer, used, 0) != (ssize_t)used)
        conn_input_failed(c, "connection lost");
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    char *buffer = loop_read_buffer(c->loop);
    ssize_t n;
    (void)fd;
    loop_woke(c->loop);
    if (c->broken) {
        read_last(c);
        return;
    }
    if (c->more != NULL && c->more->preface != NULL) {
        read_preface(c, buffer);
        return;
    }
    if (!c->reading && !c->connecting && (what & EV_WRITE) == 0) {
        look_while_paused(c);
        return;
    }
    if (c->more != NULL && c->more->tls != NULL) {
        conn_tls_ready(c);
        return;
    }
    n = recv(c->fd, buffer, LOOP_READ_SIZE, 0);
    if (n > 0) {
        if (c->lingering)
            c->moved = true;
        else
            c->ops->on_data(c, str_of(buffer, (size_t)n));
    } else if (n == 0) {
        conn_input_ended(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_input_failed(c, error_text(c, errno));
    }
}

static void
begin(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops)
{
    c->loop = l;
    c->ops = ops;
    c->more = NULL;
    c->fd = fd;
    c->reading = true;
    c->eof = c->broken = c->connecting = c->lingering = c->unread = c->moved = false;
}

void
conn_open(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops)
{
    begin(c, l, fd, ops);
    event_assign(&c->event, loop_base(l), fd, EV_READ | EV_PERSIST, on_readable, c);
    event_add(&c->event, NULL);
}

struct conn_more *
conn_more(struct conn *c)
{
    if (c->more == NULL)
        c->more = mem_zalloc(sizeof *c->more);
    return c->more;
}

void
conn_more_drop(struct conn *c)
{
    const struct conn_more *m = c->more;
    if (m == NULL || m->queue != NULL || m->tls != NULL || m->preface != NULL || m->has_peer)
        return;
    mem_free(c->more);
    c->more = NULL;
}

void
conn_start_tls(struct conn *c, struct tls *t)
{
    conn_more(c)->tls = t;
    if (c->connecting)
        return; /* on_connect_done() goes on with it */
    c->connecting = true;
    t->shaking = true;
    if (tls_set_fd(t, c->fd) != 0)
        conn_break_off(c);
}

void
conn_begin_preface(struct conn *c, void *preface)
{
    conn_more(c)->preface = preface;
}

void
conn_end_preface(struct conn *c)
{
    mem_free(c->more->preface);
    c->more->preface = NULL;
    conn_more_drop(c);
}

static void
more_free(struct conn *c)
{
    struct conn_more *m = c->more;
    if (m == NULL)
        return;
    if (m->tls != NULL)
        tls_free(m->tls);
    mem_free(m->preface);
    mem_free(m);
    c->more = NULL;
}

static void
on_connect_done(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    int error = 0;
    socklen_t len = sizeof error;
    (void)what;
    loop_woke(c->loop);
    event_del(&c->event);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0 || c->broken) {
        c->ops->on_error(c, error_text(c, error));
        return;
    }
    if (conn_tls(c) != NULL) {
        conn_tls_begin(c);
        return;
    }
    c->connecting = false;
    conn_watch(c);
    conn_queue_start(c);
    c->ops->on_connected(c);
}

int
conn_connect(struct conn *c, struct loop *l, const struct address *to, const struct conn_ops *ops)
{
    int on = 1, fd = socket(address_sockaddr(to)->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (address_sockaddr(to)->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, address_sockaddr(to), to->len) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    begin(c, l, fd, ops);
    c->connecting = true;
    event_assign(&c->event, loop_base(l), fd, EV_WRITE | EV_PERSIST, on_connect_done, c);
    event_add(&c->event, NULL);
    return 0;
}

void
conn_move(struct conn *from, struct conn *to, const struct conn_ops *ops)
{
    event_del(&from->event);
    *to = *from;
    to->ops = ops;
    to->reading = true;
    to->unread = to->moved = false;
    from->fd = -1;
    from->more = NULL;
    event_assign(&to->event, loop_base(to->loop), to->fd, EV_READ | EV_PERSIST, on_readable, to);
    if (!to->eof && !to->broken)
        event_add(&to->event, NULL);
    if (to->broken || conn_tls(to) != NULL) /* of TLS, bytes may have been taken from the socket already */
        event_active(&to->event, EV_READ, 0);
    conn_queue_moved(to);
}

void
conn_pause(struct conn *c)
{
    if (!c->reading || c->fd < 0)
        return;
    c->reading = false;
}

void
conn_resume(struct conn *c)
{
    if (c->reading || c->fd < 0)
        return;
    c->reading = true;
    if (!c->unread)
        return;
    c->unread = false;
    conn_watch(c);
    if (conn_tls(c) != NULL)
        event_active(&c->event, EV_READ, 0); /* the look has taken from the socket what is to be read now */
}

void
conn_close(struct conn *c)
{
    if (c->fd < 0)
        return;
    if (conn_queue(c) == NULL && conn_tls(c) != NULL)
        conn_tls_say_end(c);
    conn_queue_free(c);
    event_del(&c->event);
    more_free(c);
    close(c->fd);
    c->fd = -1;
}

void
conn_linger(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->lingering = true;
    if (conn_queue(c) == NULL)
        conn_say_end(c);
    conn_resume(c);
}

void
conn_abort(struct conn *c)
{
    struct linger now = {1, 0};
    if (c->fd < 0)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    c->broken = true; /* and no word of TLS's about a good end */
    conn_close(c);
}

void
conn_set_peer(struct conn *c, const struct address *a)
{
    struct conn_more *m = conn_more(c);
    m->has_peer = true;
    address_ipv6(a, m->peer);
}

struct str
conn_peer(const struct conn *c, char text[ADDRESS_TEXT_MAX])
{
    struct address a = {.len = sizeof a.bytes};
    text[0] = '\0';
    if (c->more != NULL && c->more->has_peer) {
        address_from_ipv6(c->more->peer, &a);
        return address_text(&a, text);
    }
    if (c->fd < 0 || getpeername(c->fd, (struct sockaddr *)(void *)a.bytes, &a.len) != 0)
        return str_of(text, 0);
    return address_text(&a, text);
}
