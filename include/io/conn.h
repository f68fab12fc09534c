/* conn.h - one byte stream: a connected TCP or Unix socket, plain or with TLS.
 *
 *   owner  --conn_send()-->  [socket]          written at once; only what the kernel does not take is queued
 *   owner  <--on_data()---   [socket]          bytes in the loop's read buffer: take or copy them
 *
 * The queue holds references to shared bytes, never copies of them (conn_send() of bytes that nobody shares copies
 * what is left over). The event for writing exists while something waits. Who owns the conn embeds it, is told
 * through its ops, decides about limits and timeouts, and ends it with conn_close(); after that no callback comes.
 * A callback may close the conn. Memory goes through loop_reap() afterwards.
 *
 * Before that there may be a preface, which is taken off the socket byte by byte, and then the handshake of TLS. To the
 * owner a conn with TLS is like any other: bytes that are sent before the end of the handshake wait for it, and the end
 * of the input is the one that TLS knows; without that the connection is broken. */
#ifndef IO_CONN_H
#define IO_CONN_H

#include "base/shared.h"
#include "io/address.h"
#include "io/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct conn;
struct tls;

struct conn_ops {
    /* DATA was read. It is gone when the call returns, and may be written over. */
    void (*on_data)(struct conn *c, struct str data);
    /* The peer will send no more; writing may still work. Called once. */
    void (*on_eof)(struct conn *c);
    /* The connection is broken; nothing can be sent or read. WHY is the system's word. */
    void (*on_error)(struct conn *c, const char *why);
    /* All that was queued has been written. Only after conn_queued() was not 0. May be NULL. */
    void (*on_drained)(struct conn *c);
    /* conn_connect() succeeded, and the handshake of TLS too. May be NULL for accepted sockets. */
    void (*on_connected)(struct conn *c);
    /* After conn_begin_preface(): DATA has come, and is still in the socket. How many bytes of it to take out: more
     * than none, while the preface has not ended. May be NULL for conns without. */
    size_t (*on_preface)(struct conn *c, void *preface, struct str data);
};

struct conn_more;

struct conn {
    struct event event;         /* reading */
    struct loop *loop;          /* borrowed */
    const struct conn_ops *ops; /* constant */
    struct conn_more *more;     /* owned; what only some have: bytes that wait to be written, TLS, a preface, a peer
                                 * behind a proxy; NULL: none of it */
    int fd;                     /* owned; -1 when closed */
    bool reading : 1, eof : 1, broken : 1, lingering : 1;
    bool connecting : 1; /* until the socket is connected and the handshake of TLS is over */
    bool unread : 1;     /* paused, and bytes wait in the kernel, or in TLS */
    bool moved : 1;      /* see conn_moved() */
};

/* One piece of what is to be sent. OWNER NULL: the bytes are the caller's for this call only. */
struct conn_piece {
    struct str bytes;
    struct shared *owner;
};

/* Take over FD, an accepted, non-blocking socket, and begin to read. */
void conn_open(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops);

/* Begin to connect: on_connected() or on_error() follows, never within this call. 0, or -1 with errno. */
int conn_connect(struct conn *c, struct loop *l, const struct address *to, const struct conn_ops *ops);

/* Speak TLS from now on, T's side of it; T is taken over. Before anything was sent or read, but for a preface. */
void conn_start_tls(struct conn *c, struct tls *t);

/* Of an accepted socket: show its first bytes to on_preface(), together with PREFACE, which is mem_free()d with the
 * preface's end or the conn's. */
void conn_begin_preface(struct conn *c, void *preface);
void conn_end_preface(struct conn *c);

/* Send. 0, or -1 when the connection is broken: on_error() follows in this turn, not within the call. */
int conn_send(struct conn *c, struct str bytes);
int conn_sendv(struct conn *c, const struct conn_piece *pieces, unsigned n);

/* Is there anything to read, be it the end, that the loop has not come to yet? Asks the kernel. */
bool conn_has_input(struct conn *c);
/* Has the loop found something to read in this turn, and not come to it yet? Asks nobody. */
bool conn_input_came(const struct conn *c);
/* Bytes that wait to be written. */
size_t conn_queued(const struct conn *c);
/* Has the peer taken some of what was queued, or sent something while we linger, since this was asked last? */
bool conn_moved(struct conn *c);

/* FROM becomes TO, with all that waits; TO reads, and tells OPS. FROM is closed for its old owner. Where the peer's end
 * had come before, to->eof says so and on_eof() does not follow. */
void conn_move(struct conn *from, struct conn *to, const struct conn_ops *ops);

/* Stop and go on reading. While stopped the peer's end is noticed all the same when its last bytes have been read
 * before, and an error always. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Close now; what is queued is lost. With TLS the peer is told that this is the end, unless something was queued. */
void conn_close(struct conn *c);
/* Say that nothing more will be sent, once the queue is empty, and throw away what still comes, so that the peer reads
 * our last words before it learns that we are gone. on_eof() or on_error() tell when to conn_close(); the owner sets a
 * time limit. */
void conn_linger(struct conn *c);
/* conn_close() with a TCP reset: the peer must not take what it got for the whole. */
void conn_abort(struct conn *c);

static inline bool
conn_is_open(const struct conn *c)
{
    return c->fd >= 0;
}

/* The peer's address is that of the client of a proxy: A, an IP address. */
void conn_set_peer(struct conn *c, const struct address *a);
/* The peer's IP address as text, "" for a Unix socket. */
struct str conn_peer(const struct conn *c, char text[ADDRESS_TEXT_MAX]);

#endif
