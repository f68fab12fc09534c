/* wsframe.h - RFC 6455 for both roles: bytes to messages and control frames, and frames to bytes.
 *
 *   81 85 12 34 56 78 7a 51 ..   fin, opcode | masked, length | mask | payload
 *
 * No socket, no clock, no global. The reader is fed with what came and hands out one thing at a time:
 *
 *   wsframe_next(f, &in, &out)  ->  WSFRAME_DATA     a piece of a message, as soon as it is there
 *                                   WSFRAME_CONTROL  a whole ping, pong or close, between messages or amid one
 *                                   WSFRAME_MORE     all of IN is consumed and not enough
 *                                   WSFRAME_BAD      out.code and out.why say what the peer did; nothing more is read
 *
 * Between two calls the caller may stop for as long as it likes. Nothing depends on how the bytes were cut, but where
 * the pieces of a message end. The reader is strict: masking by role, reserved bits and opcodes, order of fragments,
 * control frames, close codes, UTF-8 (refused with the first byte that cannot be right), limits. */
#ifndef PROTO_WSFRAME_H
#define PROTO_WSFRAME_H

#include "base/buf.h"
#include "proto/utf8.h"

enum wsframe_opcode {
    WSFRAME_CONTINUATION = 0,
    WSFRAME_TEXT = 1,
    WSFRAME_BINARY = 2,
    WSFRAME_CLOSE = 8,
    WSFRAME_PING = 9,
    WSFRAME_PONG = 10
};
enum { WSFRAME_CONTROL_MAX = 125, WSFRAME_REASON_MAX = 123, WSFRAME_HEAD_MAX = 14, WSFRAME_ROOM = 16384 };

/* Codes of RFC 6455, 7.4. */
enum wsframe_code {
    WSFRAME_NORMAL = 1000,
    WSFRAME_GOING_AWAY = 1001,
    WSFRAME_PROTOCOL_ERROR = 1002,
    WSFRAME_NO_CODE = 1005,  /* a close frame without a code; never sent */
    WSFRAME_ABNORMAL = 1006, /* an end without a close frame; never sent */
    WSFRAME_BAD_DATA = 1007,
    WSFRAME_POLICY = 1008,
    WSFRAME_TOO_BIG = 1009,
    WSFRAME_INTERNAL = 1011
};

enum wsframe_event { WSFRAME_MORE, WSFRAME_DATA, WSFRAME_CONTROL, WSFRAME_BAD };

/* What came. The bytes are unmasked where they lie. */
struct wsframe_in {
    char *ptr;
    size_t len;
    char *room; /* WSFRAME_ROOM bytes for what is inflated; needed where compression was agreed */
};

struct wsframe_out {
    uint8_t opcode;   /* of the message or control frame */
    bool first, last; /* is the piece the message's first, its last? */
    struct str bytes; /* may be empty; in IN, in its room, or the reader's, until the next call */
    uint16_t code;    /* WSFRAME_BAD: what to close with */
    const char *why;  /* WSFRAME_BAD */
};

struct wsframe_limits {
    uint64_t frame, message; /* bytes, of a message inflated; 0: any number */
};

struct wsframe_inflate;

struct wsframe {
    uint64_t left;                       /* bytes of the frame's payload that are to come */
    uint64_t total;                      /* bytes of the message so far */
    const struct wsframe_limits *limits; /* borrowed; NULL: none */
    struct wsframe_inflate *inflate;     /* owned; while a compressed message is read, or there is one to refer to */
    char *control;                       /* owned; a control frame's payload while it is incomplete */
    unsigned char head[WSFRAME_HEAD_MAX];
    uint8_t have;   /* bytes in head */
    uint8_t key_at; /* the byte of the mask that is next */
    struct utf8 utf8;
    uint8_t message;      /* opcode of the message under way; 0: none */
    bool from_client : 1; /* frames must be masked */
    bool in_payload : 1;
    bool begun : 1;      /* a piece of the message has been handed out */
    bool compressed : 1; /* the message is */
    bool bad : 1;
    bool deflate : 1;      /* compression was agreed, */
    bool keep_context : 1; /* and messages may refer to earlier ones */
};

/* FROM_CLIENT: the peer is the client. */
void wsframe_init(struct wsframe *f, bool from_client, const struct wsframe_limits *limits);
/* Compression was agreed; KEEP_CONTEXT: messages may refer to earlier ones. */
void wsframe_allow_deflate(struct wsframe *f, bool keep_context);
void wsframe_clear(struct wsframe *f);
enum wsframe_event wsframe_next(struct wsframe *f, struct wsframe_in *in, struct wsframe_out *out);
/* Between two messages, with no byte of the next frame here, and nothing to remember: a reader begun anew would go on
 * in the same way. What was handed out last is read by then. */
static inline bool
wsframe_is_idle(const struct wsframe *f)
{
    return f->message == 0 && f->have == 0 && !f->in_payload && f->inflate == NULL;
}

/* Has all of the frame been read, while some of what it says may not have been handed out? Then wsframe_next() may give
 * it without further input. */
static inline bool
wsframe_holds_back(const struct wsframe *f)
{
    return f->in_payload && f->left == 0;
}

/* Read a close frame's payload that the reader let pass. Returns its code, WSFRAME_NO_CODE when it has none. */
int wsframe_close_code(struct str payload, struct str *reason);
/* May CODE stand in a close frame? */
bool wsframe_code_ok(int code);

/* writing */

struct wsframe_spec {
    uint8_t opcode;
    bool last, compressed;
    const unsigned char *key; /* the mask, 4 bytes; NULL: none, for servers */
};
/* A frame's head for LEN bytes of payload. Returns the bytes written to OUT. */
size_t wsframe_head(char out[WSFRAME_HEAD_MAX], const struct wsframe_spec *spec, uint64_t len);
/* The same of the next frame of a message, or of a piece of one, which has at most MAX bytes (0: any number) of REST.
 * They are taken off it; SPEC is then that of the frame behind. LAST: is the end of REST the message's? */
size_t wsframe_head_next(char out[WSFRAME_HEAD_MAX], struct wsframe_spec *spec, struct str *rest, size_t max, bool last,
                         struct str *payload);
/* Append all of them. */
int wsframe_put(struct buf *b, struct wsframe_spec spec, struct str payload, size_t max);
/* Mask, or unmask, in place. AT: how many bytes of the frame's payload come before. */
void wsframe_mask(char *data, size_t len, const unsigned char key[4], size_t at);
/* A close frame's payload. REASON is cut to what fits, no character in two. CODE WSFRAME_NO_CODE: empty. */
size_t wsframe_put_close(char out[WSFRAME_CONTROL_MAX], int code, struct str reason);

#endif
