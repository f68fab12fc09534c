#include "main/pubtool.h"

#include "proto/tnet.h"

#include <errno.h>
#include <zmq.h>

enum { WAIT_MS = 5000, GRACE_MS = 200 };

/* libzmq would keep a message for a peer that never comes and call that sent. So the socket queues for a peer only
 * once it has shaken hands (ZMQ_IMMEDIATE); it is then closed, which lasts until the message is written out, and the
 * monitor tells how that ended:
 *
 *   zmq_send() > HANDSHAKE_SUCCEEDED > zmq_close() > MONITOR_STOPPED    all written
 *                                                  > DISCONNECTED       the peer left before
 *                                                  > nothing            the peer does not read */
struct push {
    void *ctx, *socket, *monitor; /* owned */
    uint64_t deadline;
};

static int
remaining(const struct push *z)
{
    uint64_t now = pubtool_now();
    return now < z->deadline ? (int)(z->deadline - now) : 0;
}

static void
set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static int
push_open(struct push *z, const char *spec, struct err *e)
{
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_MONITOR_STOPPED;
    z->ctx = zmq_ctx_new();
    /* libzmq tries one address of a name, and for "localhost" that should be the one a server binds by default. */
    zmq_ctx_set(z->ctx, ZMQ_IPV6, strchr(spec, '[') != NULL);
    z->socket = zmq_socket(z->ctx, ZMQ_PUSH);
    z->monitor = zmq_socket(z->ctx, ZMQ_PAIR);
    if (z->socket == NULL || z->monitor == NULL || zmq_socket_monitor(z->socket, "inproc://monitor", events) != 0 ||
        zmq_connect(z->monitor, "inproc://monitor") != 0) {
        err_set(e, "cannot make a ZeroMQ socket: %s", zmq_strerror(errno));
        return -1;
    }
    set_int(z->monitor, ZMQ_LINGER, 0);
    set_int(z->socket, ZMQ_LINGER, 0);
    set_int(z->socket, ZMQ_IMMEDIATE, 1);
    if (zmq_connect(z->socket, spec) != 0) {
        err_set(e, "cannot connect to %s: %s (a spec begins with http://, https://, tcp:// or ipc://)", spec,
                zmq_strerror(errno));
        return -1;
    }
    return 0;
}

static void
push_close(struct push *z)
{
    if (z->socket != NULL)
        zmq_close(z->socket);
    if (z->monitor != NULL)
        zmq_close(z->monitor);
    zmq_ctx_term(z->ctx);
}

/* The next event of the monitor, 0 when none comes before the deadline. */
static unsigned
next_event(struct push *z)
{
    zmq_msg_t frame;
    uint16_t event = 0;
    set_int(z->monitor, ZMQ_RCVTIMEO, remaining(z));
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, z->monitor, 0) >= (int)sizeof event) {
        memcpy(&event, zmq_msg_data(&frame), sizeof event);
        zmq_msg_recv(&frame, z->monitor, 0); /* the address */
    }
    zmq_msg_close(&frame);
    return event;
}

enum outcome { TAKEN, LEFT, WAITING };

/* Hand MESSAGE over; the socket is closed afterwards. */
static enum outcome
push_send(struct push *z, struct str message)
{
    bool connected = false;
    set_int(z->socket, ZMQ_SNDTIMEO, remaining(z));
    if (zmq_send(z->socket, message.ptr, message.len, 0) < 0)
        return WAITING;
    /* Longer than we watch, so that a message given up at the last moment is never taken for a written one. */
    set_int(z->socket, ZMQ_LINGER, remaining(z) + GRACE_MS);
    zmq_close(z->socket);
    z->socket = NULL;
    for (;;)
        switch (next_event(z)) {
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
            connected = true;
            break;
        case ZMQ_EVENT_DISCONNECTED: /* perhaps before it was our message's turn: the last word counts */
            connected = false;
            break;
        case ZMQ_EVENT_MONITOR_STOPPED:
            return connected ? TAKEN : LEFT;
        case 0:
            return WAITING;
        }
}

int
pubtool_zmq(const struct pubtool *p, const json_t *item, struct err *e)
{
    struct buf message = BUF_INIT(4 * (size_t)PUBTOOL_MAX_FILE);
    uint64_t wait = p->timeout > 0 ? p->timeout : WAIT_MS;
    struct push z = {.deadline = pubtool_now() + wait};
    enum outcome outcome = WAITING;
    int rc = -1;
    if (p->user != NULL || p->bearer != NULL) {
        err_set(e, "Authentication requires https");
        return -1;
    }
    if (p->token != NULL) {
        err_set(e, "a token can be sent by http and https only");
        return -1;
    }
    if (tnet_put(&message, item) != 0) {
        err_set(e, "the item is too large");
        goto out;
    }
    if (push_open(&z, p->spec, e) != 0)
        goto close;
    outcome = push_send(&z, buf_str(&message));
    if (outcome == TAKEN)
        rc = 0;
    else if (outcome == LEFT)
        err_set(e, "the peer at %s closed the connection before it had the message", p->spec);
    else
        err_set(e, "nobody took the message at %s within %g second%s", p->spec, (double)wait / 1000,
                wait == 1000 ? "" : "s");
close:
    push_close(&z);
out:
    buf_clear(&message);
    return rc;
}
