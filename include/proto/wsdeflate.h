/* wsdeflate.h - permessage-deflate (RFC 7692): messages squeezed and inflated, and what the two ends agree on.
 *
 * A message that we send never refers to an earlier one, whatever was agreed: so no connection keeps a compressor, and
 * one compressed form does for all who get the same message. What a peer sends may refer back; then the bytes it can
 * refer to are kept from one message to the next, and no inflater. */
#ifndef PROTO_WSDEFLATE_H
#define PROTO_WSDEFLATE_H

#include "proto/header.h"

enum { WSDEFLATE_WINDOW = 32768 };                    /* bytes that a message may refer back */
enum { WSDEFLATE_BITS = 15, WSDEFLATE_BITS_MIN = 8 }; /* of the window */

/* What was agreed. */
struct wsdeflate_params {
    uint8_t bits;       /* of the window for what we send; 0: no compression at all */
    bool their_context; /* what they send may refer to earlier messages */
};

/* Server: the first offer in H that we can take, false when there is none. ANSWER: the element for
 * Sec-WebSocket-Extensions is appended. */
bool wsdeflate_accept(const struct headers *h, struct wsdeflate_params *params, struct buf *answer);
/* Client, which has offered "permessage-deflate" without parameters: what the server's answer says. 0, or -1 when it
 * agrees to something that was not offered. */
int wsdeflate_agreed(const struct headers *h, struct wsdeflate_params *params);
/* Are all Sec-WebSocket-Extensions of H well-formed lists? (RFC 6455, 9.1) */
bool wsdeflate_offers_ok(const struct headers *h);

/* sending */

struct wsdeflater;
/* LIGHT: with a small window and little memory, for a message that comes in pieces and may take long. */
struct wsdeflater *wsdeflater_new(unsigned bits, bool light);
void wsdeflater_free(struct wsdeflater *d);
unsigned wsdeflater_bits(const struct wsdeflater *d);
/* Append a piece of a message to OUT, complete enough to be read when it arrives. After the last one D is ready for
 * another message. 0, or -1 when OUT is full. */
int wsdeflater_put(struct wsdeflater *d, struct str piece, bool last, struct buf *out);
/* At most so many bytes come of LEN. */
size_t wsdeflater_bound(size_t len);

/* receiving */

struct wsinflater;
/* WINDOW: what earlier messages said last, or empty. */
struct wsinflater *wsinflater_new(struct str window);
void wsinflater_free(struct wsinflater *i);
/* Inflate from *IN, which moves on, to OUT. Returns the bytes written (SIZE: call again, there may be more), or -1: it
 * is not deflate. */
ptrdiff_t wsinflater_get(struct wsinflater *i, struct str *in, char *out, size_t size);
/* What a later message may refer to. Returns the bytes; OUT NULL: they are only counted. */
size_t wsinflater_window(struct wsinflater *i, char out[WSDEFLATE_WINDOW]);

#endif
