/* conntls.c - a conn's bytes through TLS.
 *
 * OpenSSL works on the socket itself and reads no further than the end of a record, and all of a record is taken from
 * it at once. So nothing lies hidden in it, and the loop's events on the socket say all. */
#include "io/connbase.h"
#include "io/loopbase.h"

#include <stdio.h>

/* Something cannot go on before the socket can be written to. */
static void
await_writing(struct conn *c)
{
    c->more->tls->wants_write = true;
    conn_watch(c);
}

static void
handshake(struct conn *c)
{
    const char *why = "connection closed"; /* of TLS_END */
    char text[320];
    switch (tls_handshake(c->more->tls, &why)) {
    case TLS_DONE:
        c->connecting = c->more->tls->shaking = false;
        conn_watch(c);
        conn_queue_start(c);
        if (c->ops->on_connected != NULL)
            c->ops->on_connected(c);
        break;
    case TLS_WANT_READ:
        break;
    case TLS_WANT_WRITE:
        await_writing(c);
        break;
    case TLS_END:
    case TLS_FAILED:
        snprintf(text, sizeof text, "TLS handshake failed: %s", why);
        conn_input_failed(c, text);
        break;
    }
}

void
conn_tls_begin(struct conn *c)
{
    if (tls_set_fd(c->more->tls, c->fd) != 0) {
        conn_input_failed(c, "TLS handshake failed: no memory");
    } else {
        c->more->tls->shaking = true;
        conn_watch(c);
        handshake(c);
    }
}

/* Read some records into the loop's buffer: as long as they are full more are likely to be there. */
static enum tls_result
read_records(struct conn *c, char *buffer, size_t *len, const char **why)
{
    enum tls_result r;
    size_t n;
    *len = 0;
    do {
        r = tls_read(c->more->tls, buffer + *len, LOOP_READ_SIZE - *len, &n, why);
        *len += n;
    } while (r == TLS_DONE && n == TLS_RECORD && LOOP_READ_SIZE - *len >= TLS_RECORD);
    return r;
}

static void
finish_reading(struct conn *c, enum tls_result r, const char *why)
{
    if (r == TLS_WANT_WRITE)
        await_writing(c);
    else if (r == TLS_END)
        conn_input_ended(c);
    else if (r == TLS_FAILED)
        conn_input_failed(c, why);
}

static void
read_input(struct conn *c)
{
    char *buffer = loop_read_buffer(c->loop), why[320];
    const char *text = "";
    size_t n;
    enum tls_result r = read_records(c, buffer, &n, &text);
    snprintf(why, sizeof why, "%s", text); /* what the owner does now may overwrite it */
    if (n > 0 && c->lingering)
        c->moved = true;
    else if (n > 0)
        c->ops->on_data(c, str_of(buffer, n));
    if (c->fd >= 0 && !c->broken && !c->eof)
        finish_reading(c, r, why);
}

/* Is the end behind bytes that the owner wants to see first? */
void
conn_tls_look(struct conn *c)
{
    const char *why = "";
    enum tls_result r = tls_look(c->more->tls, &why);
    if (r == TLS_DONE)
        conn_input_waits(c);
    else
        finish_reading(c, r, why);
}

ssize_t
conn_tls_recv(struct conn *c, char *buffer)
{
    const char *why;
    size_t n;
    read_records(c, buffer, &n, &why);
    return n > 0 ? (ssize_t)n : -1;
}

void
conn_tls_ready(struct conn *c)
{
    struct tls *t = c->more->tls;
    if (t->wants_write) {
        t->wants_write = false;
        conn_watch(c);
    }
    if (c->connecting)
        handshake(c);
    else if (c->reading)
        read_input(c);
    else
        conn_tls_look(c);
}

bool
conn_tls_has_input(struct conn *c)
{
    const char *why;
    enum tls_result r = tls_look(c->more->tls, &why);
    if (r == TLS_DONE)
        event_active(&c->event, EV_READ, 0); /* it is no longer in the socket, which would have told */
    return r != TLS_WANT_READ && r != TLS_WANT_WRITE;
}

/* writing */

/* The next record's bytes of the pieces in a ring, SKIP bytes of them left out: small ones are put together. */
static struct str
gather(const struct conn_piece *ring, unsigned mask, unsigned first, unsigned n, size_t skip, char buffer[TLS_RECORD])
{
    size_t len = 0;
    for (unsigned i = 0; i < n && len < TLS_RECORD; i++) {
        struct str b = ring[(first + i) & mask].bytes;
        if (skip >= b.len) {
            skip -= b.len;
            continue;
        }
        b = str_from(b, skip);
        skip = 0;
        if (len == 0 && (b.len >= TLS_RECORD || i + 1 == n))
            return b;
        b = str_sub(b, 0, TLS_RECORD - len);
        memcpy(buffer + len, b.ptr, b.len);
        len += b.len;
    }
    return str_of(buffer, len);
}

int
conn_tls_flush(struct conn *c)
{
    struct conn_queue *q = conn_queue(c);
    char buffer[TLS_RECORD];
    while (q->n > 0) {
        struct str b = gather(q->ring, q->cap - 1, q->first, q->n, 0, buffer);
        const char *why;
        size_t n;
        enum tls_result r = tls_write(c->more->tls, b.ptr, b.len, &n, &why);
        if (r == TLS_WANT_WRITE)
            return 0;
        if (r != TLS_DONE)
            return -1;
        c->moved = true;
        conn_queue_consume(q, n);
    }
    return 0;
}

int
conn_tls_sendv(struct conn *c, const struct conn_piece *pieces, unsigned n)
{
    char buffer[TLS_RECORD];
    size_t written = 0, some;
    for (;;) {
        struct str b = gather(pieces, ~0u, 0, n, written, buffer);
        const char *why;
        enum tls_result r;
        if (b.len == 0)
            return 0;
        r = tls_write(c->more->tls, b.ptr, b.len, &some, &why);
        if (r == TLS_WANT_WRITE) {
            conn_queue_rest(c, pieces, n, written);
            return 0;
        }
        if (r != TLS_DONE) { /* it never wants to read: there is no renegotiation */
            conn_break_off(c);
            return -1;
        }
        written += some;
    }
}

int
conn_tls_say_end(struct conn *c)
{
    if (c->connecting || c->broken)
        return 0;
    return tls_say_end(c->more->tls) == TLS_WANT_WRITE ? -1 : 0;
}
