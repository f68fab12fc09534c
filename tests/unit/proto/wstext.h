/* wstext.h - WebSocket bytes for tests: frames from short texts, and what a reader makes of them as a line. */
#ifndef TESTS_PROTO_WSTEXT_H
#define TESTS_PROTO_WSTEXT_H

#include "base/buf.h"
#include "base/mem.h"
#include "proto/wsframe.h"

/* Append one frame. KEY NULL: not masked. */
static inline void
wstext_frame(struct buf *b, unsigned first, struct str payload, const unsigned char *key)
{
    struct wsframe_spec spec = {.opcode = first & 15, .last = first & 0x80, .compressed = first & 0x40, .key = key};
    char head[WSFRAME_HEAD_MAX];
    size_t n = wsframe_head(head, &spec, payload.len), at;
    head[0] = (char)first; /* the other reserved bits too */
    buf_add(b, head, n);
    at = b->len;
    buf_adds(b, payload);
    if (key != NULL)
        wsframe_mask(b->ptr + at, payload.len, key, 0);
}

/* Frames "81:hello|89:ping" -> bytes. */
static inline void
wstext_frames(struct buf *b, struct str text, const unsigned char *key)
{
    struct str frame;
    while (str_split(&text, '|', &frame)) {
        uint64_t first = 0;
        str_hex(str_sub(frame, 0, 2), &first);
        wstext_frame(b, (unsigned)first, str_from(frame, 3), key);
    }
}

/* What a reader says, pieces of a message put together: "text(hello) ping(x) close(1000,bye) !1002". MESSAGE collects
 * the one under way. */
static inline void
wstext_event(struct buf *line, struct buf *message, enum wsframe_event event, const struct wsframe_out *out)
{
    static const char *const names[] = {[WSFRAME_TEXT] = "text",
                                        [WSFRAME_BINARY] = "binary",
                                        [WSFRAME_CLOSE] = "close",
                                        [WSFRAME_PING] = "ping",
                                        [WSFRAME_PONG] = "pong"};
    if (event == WSFRAME_MORE)
        return;
    if (event == WSFRAME_DATA) {
        if (out->first)
            message->len = 0;
        buf_adds(message, out->bytes);
        if (!out->last)
            return;
    }
    if (line->len > 0)
        buf_addc(line, ' ');
    if (event == WSFRAME_BAD) {
        buf_addf(line, "!%u", out->code);
    } else if (out->opcode == WSFRAME_CLOSE) {
        struct str reason;
        int code = wsframe_close_code(out->bytes, &reason);
        buf_addf(line, "close(%d,%.*s)", code, STR_ARG(reason));
    } else {
        buf_addf(line, "%s(", names[out->opcode]);
        buf_adds(line, event == WSFRAME_DATA ? buf_str(message) : out->bytes);
        buf_addc(line, ')');
    }
}

/* Feed BYTES, at most STEP at a time, until they end or are refused; *USED (may be NULL): how many were taken then. */
static inline void
wstext_read(struct wsframe *f, struct str bytes, size_t step, struct buf *line, size_t *used)
{
    struct buf message = BUF_INIT(1 << 26);
    char *room = mem_alloc(WSFRAME_ROOM);
    size_t at = 0;
    enum wsframe_event event = WSFRAME_MORE;
    while (at < bytes.len && event != WSFRAME_BAD) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        char *copy = mem_alloc(n); /* of just that size, so that a sanitizer sees what goes beyond */
        struct wsframe_in in = {copy, n, room};
        struct wsframe_out out;
        memcpy(copy, bytes.ptr + at, n);
        while ((event = wsframe_next(f, &in, &out)) != WSFRAME_MORE) {
            wstext_event(line, &message, event, &out);
            if (event == WSFRAME_BAD)
                break;
        }
        at += n - in.len;
        mem_free(copy);
    }
    if (used != NULL)
        *used = at;
    buf_clear(&message);
    mem_free(room);
}

#endif
