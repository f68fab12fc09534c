/* zsock.h - one ZeroMQ socket on the loop.
 *
 *   peers --> [libzmq's thread: queues] --ZMQ_FD, an edge--> zsock --on_message()--> owner
 *   peers <-- [libzmq's thread: queues] <----------- zsock_send() ------------------ owner
 *
 * ZMQ_FD tells of changes only, and any call on the socket may swallow one. That rule is kept here and nowhere else:
 * after each call the socket is asked what it holds, and a bounded batch is read in a turn; the rest waits for the
 * next. Nothing blocks: what cannot be sent at once is dropped and counted.
 *
 * Whoever makes a zsock owns it and ends it with zsock_close(), in a callback too; no callback comes after that. Sizes
 * and numbers of what waits are bounded for each socket, since libzmq itself ends the process when memory runs out. */
#ifndef IO_ZSOCK_H
#define IO_ZSOCK_H

#include "base/err.h"
#include "base/str.h"
#include "io/loop.h"

/* libzmq's thread and its queues; one for the process. */
struct zcontext;
struct zcontext *zsock_context_new(void);
/* All its sockets are closed before. Waits for what they linger for, which is nothing unless they were told so. */
void zsock_context_free(struct zcontext *c);

enum zsock_type { ZSOCK_PULL, ZSOCK_PUSH, ZSOCK_SUB, ZSOCK_PUB, ZSOCK_XPUB, ZSOCK_ROUTER, ZSOCK_DEALER };

enum {
    ZSOCK_FRAMES = 16,     /* of one message are shown to the owner */
    ZSOCK_ENVELOPE = 65536 /* bytes that a message may have besides its longest frame */
};

struct zsock_ops {
    /* A whole message of N frames; they are gone when the call returns. Of a message with more than ZSOCK_FRAMES frames
     * only the first ZSOCK_FRAMES are there; the rest has been thrown away. A frame with which they would be longer
     * together than a single one may be, and ZSOCK_ENVELOPE bytes more, is there, but empty. */
    void (*on_message)(const struct str *frames, unsigned n, void *arg);
};

struct zsock_options {
    int max_message;        /* bytes of one frame; a peer that sends more is cut off */
    int receive_hwm;        /* messages that wait for us, for each peer; 0: no limit */
    int send_hwm;           /* messages that wait for a peer; 0: no limit */
    int handshake_time;     /* ms that a new peer has */
    int linger;             /* ms that unsent messages are kept after zsock_close(); -1: until sent */
    int ipc_mode;           /* permissions of bound ipc: sockets; -1: as the umask says */
    int keepalive_idle;     /* s until TCP probes an idle peer; 0: as the system does */
    int keepalive_interval; /* s between probes */
    int keepalive_count;    /* probes until the peer counts as gone */
};

#define ZSOCK_DEFAULTS                                                                                                 \
    ((struct zsock_options){.max_message = 16 * 1024 * 1024,                                                           \
                            .receive_hwm = 1000,                                                                       \
                            .send_hwm = 1000,                                                                          \
                            .handshake_time = 10000,                                                                   \
                            .ipc_mode = -1})

struct zsock;

/* OPS may be NULL for a socket that only sends. NULL with E set when descriptors are short. */
struct zsock *zsock_new(struct zcontext *c, struct loop *l, enum zsock_type type, const struct zsock_options *options,
                        const struct zsock_ops *ops, void *arg, struct err *e);
void zsock_close(struct zsock *z);

/* SPEC as libzmq has it: "tcp://127.0.0.1:5560", "tcp://[::1]:5560", "tcp://127.0.0.1:*", "ipc:///path". 0, or -1 with
 * E set: "unable to bind to SPEC: REASON" or "unable to set permissions on SPEC: REASON". */
int zsock_bind(struct zsock *z, const char *spec, struct err *e);
/* The peer need not be there yet. 0, or -1: "unable to connect to SPEC: REASON". */
int zsock_connect(struct zsock *z, const char *spec, struct err *e);
/* What it was bound to last, wildcards replaced; the text lies in BUF. */
struct str zsock_endpoint(struct zsock *z, char *buf, size_t size);

/* Stop and go on reading messages; meanwhile they wait in libzmq, up to the high-water mark, and then at the peers. */
void zsock_pause(struct zsock *z, bool pause);

/* Send one message of N frames. 0, or -1 when it was dropped. PUB drops for slow peers and ROUTER for unknown ones
 * without a word. */
int zsock_send(struct zsock *z, const struct str *frames, unsigned n);
/* Messages for which zsock_send() returned -1. */
uint64_t zsock_dropped(const struct zsock *z);

/* SUB: messages whose first frame begins with PREFIX. Subscribing twice needs two calls to end it. */
void zsock_subscribe(struct zsock *z, struct str prefix);
void zsock_unsubscribe(struct zsock *z, struct str prefix);

#endif
