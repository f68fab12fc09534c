#include "proto/wsframe.h"

#include "base/mem.h"
#include "proto/wsdeflate.h"

struct wsframe_inflate {
    struct wsinflater *inflater; /* owned; while a compressed message is read */
    char *window;                /* owned; between messages what the next may refer to, window_len bytes */
    size_t window_len;
    size_t clear; /* bytes at the front of the input that are unmasked and not inflated yet */
    uint8_t tail; /* bytes of the end mark of a message that were given to the inflater */
};

enum { END_MARK = 4 };

void
wsframe_init(struct wsframe *f, bool from_client, const struct wsframe_limits *limits)
{
    *f = (struct wsframe){.limits = limits, .from_client = from_client};
    utf8_init(&f->utf8);
}

void
wsframe_allow_deflate(struct wsframe *f, bool keep_context)
{
    f->deflate = true;
    f->keep_context = keep_context;
}

static void
drop_inflate(struct wsframe *f)
{
    struct wsframe_inflate *i = f->inflate;
    if (i == NULL)
        return;
    if (i->inflater != NULL)
        wsinflater_free(i->inflater);
    mem_free(i->window);
    mem_free(i);
    f->inflate = NULL;
}

void
wsframe_clear(struct wsframe *f)
{
    drop_inflate(f);
    mem_free(f->control);
    f->control = NULL;
}

static enum wsframe_event
bad(struct wsframe *f, struct wsframe_out *out, int code, const char *why)
{
    f->bad = true;
    *out = (struct wsframe_out){.code = (uint16_t)code, .why = why};
    return WSFRAME_BAD;
}

/* masking */

void
wsframe_mask(char *data, size_t len, const unsigned char key[4], size_t at)
{
    unsigned char turned[8];
    uint64_t wide, word;
    for (int i = 0; i < 8; i++)
        turned[i] = key[(at + (size_t)i) & 3];
    memcpy(&wide, turned, sizeof wide);
    for (; len >= 8; data += 8, len -= 8) {
        memcpy(&word, data, sizeof word);
        word ^= wide;
        memcpy(data, &word, sizeof word);
    }
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(data[i] ^ (char)turned[i]);
}

static const unsigned char *
key_of(const struct wsframe *f)
{
    return f->head + f->have - 4;
}

static void
unmask(struct wsframe *f, char *data, size_t len)
{
    if (!f->from_client)
        return;
    wsframe_mask(data, len, key_of(f), f->key_at);
    f->key_at = (uint8_t)((f->key_at + len) & 3);
}

/* a frame's head */

static uint8_t
opcode_of(const struct wsframe *f)
{
    return f->head[0] & 15;
}

static bool
fin_of(const struct wsframe *f)
{
    return f->head[0] & 0x80;
}

static bool
is_control(const struct wsframe *f)
{
    return f->head[0] & 8;
}

/* What the first byte alone breaks, or NULL. */
static const char *
check_first(const struct wsframe *f)
{
    uint8_t opcode = opcode_of(f);
    bool rsv1 = f->head[0] & 0x40;
    if (f->head[0] & 0x30)
        return "reserved bit set";
    if (rsv1 && (!f->deflate || (opcode != WSFRAME_TEXT && opcode != WSFRAME_BINARY)))
        return "reserved bit set";
    if (opcode > WSFRAME_PONG || (opcode > WSFRAME_BINARY && opcode < WSFRAME_CLOSE))
        return "reserved opcode";
    if (is_control(f))
        return fin_of(f) ? NULL : "fragmented control frame";
    if (opcode == WSFRAME_CONTINUATION)
        return f->message != 0 ? NULL : "continuation of nothing";
    return f->message == 0 ? NULL : "new message amid another";
}

static const char *
check_second(const struct wsframe *f)
{
    if (((f->head[1] & 0x80) != 0) != f->from_client)
        return f->from_client ? "frame is not masked" : "frame is masked";
    if (is_control(f) && (f->head[1] & 0x7f) > WSFRAME_CONTROL_MAX)
        return "control frame too long";
    return NULL;
}

static size_t
head_size(const struct wsframe *f)
{
    uint8_t len = f->head[1] & 0x7f;
    return 2u + (len == 126 ? 2u : len == 127 ? 8u : 0u) + (f->from_client ? 4u : 0u);
}

/* The length, and what it breaks. It must be in its shortest form. */
static const char *
read_length(struct wsframe *f)
{
    unsigned n = (f->head[1] & 0x7f) == 126 ? 2 : (f->head[1] & 0x7f) == 127 ? 8 : 0;
    f->left = n == 0 ? f->head[1] & 0x7f : 0;
    for (unsigned i = 0; i < n; i++)
        f->left = f->left << 8 | f->head[2 + i];
    if (f->left >> 63)
        return "length too large";
    if ((n == 2 && f->left < 126) || (n == 8 && f->left < 65536))
        return "length not in its shortest form";
    return NULL;
}

static bool
too_big(const struct wsframe *f)
{
    const struct wsframe_limits *l = f->limits;
    if (l == NULL || is_control(f))
        return false;
    return (l->frame > 0 && f->left > l->frame) ||
           (l->message > 0 && !f->compressed && (f->left > l->message || f->total > l->message - f->left));
}

/* Take bytes of the head. MORE: it is not complete; DATA: it is, and good. */
static enum wsframe_event
take_head(struct wsframe *f, struct wsframe_in *in, struct wsframe_out *out)
{
    const char *why = NULL;
    while (why == NULL && (f->have < 2 || f->have < head_size(f))) {
        if (in->len == 0)
            return WSFRAME_MORE;
        f->head[f->have++] = (unsigned char)*in->ptr++;
        in->len--;
        if (f->have == 1)
            why = check_first(f);
        else if (f->have == 2)
            why = check_second(f);
    }
    if (why == NULL)
        why = read_length(f);
    if (why != NULL)
        return bad(f, out, WSFRAME_PROTOCOL_ERROR, why);
    f->in_payload = true;
    f->key_at = 0;
    if (!is_control(f) && f->message == 0) {
        f->message = opcode_of(f);
        f->total = 0;
        f->begun = false;
        f->compressed = f->head[0] & 0x40;
        utf8_init(&f->utf8);
    }
    if (too_big(f))
        return bad(f, out, WSFRAME_TOO_BIG, "too big");
    return WSFRAME_DATA;
}

static void
end_frame(struct wsframe *f)
{
    f->have = 0;
    f->in_payload = false;
}

/* control frames */

bool
wsframe_code_ok(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int
wsframe_close_code(struct str payload, struct str *reason)
{
    *reason = str_from(payload, 2);
    if (payload.len < 2)
        return WSFRAME_NO_CODE;
    return (unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
}

static enum wsframe_event
give_control(struct wsframe *f, struct str payload, struct wsframe_out *out)
{
    struct str reason;
    int code;
    *out = (struct wsframe_out){.opcode = opcode_of(f), .first = true, .last = true, .bytes = payload};
    if (out->opcode != WSFRAME_CLOSE)
        return WSFRAME_CONTROL;
    code = wsframe_close_code(payload, &reason);
    if (payload.len == 1 || (code != WSFRAME_NO_CODE && !wsframe_code_ok(code)) ||
        (payload.len > 1 && code == WSFRAME_NO_CODE))
        return bad(f, out, WSFRAME_PROTOCOL_ERROR, "bad close code");
    if (!str_utf8(reason))
        return bad(f, out, WSFRAME_BAD_DATA, "close reason is not UTF-8");
    return WSFRAME_CONTROL;
}

static enum wsframe_event
take_control(struct wsframe *f, struct wsframe_in *in, struct wsframe_out *out)
{
    size_t size = f->head[1] & 0x7f, n = f->left < in->len ? (size_t)f->left : in->len;
    struct str payload = str_of(in->ptr, n);
    unmask(f, in->ptr, n);
    if (f->control == NULL && n < size)
        f->control = mem_alloc(WSFRAME_CONTROL_MAX);
    if (f->control != NULL) {
        memcpy(f->control + (size - f->left), in->ptr, n);
        payload = str_of(f->control, size);
    }
    in->ptr += n;
    in->len -= n;
    f->left -= n;
    if (f->left > 0)
        return WSFRAME_MORE;
    end_frame(f);
    return give_control(f, payload, out);
}

/* data frames */

/* Hand out BYTES, plain ones, of the message. */
static enum wsframe_event
give_data(struct wsframe *f, struct str bytes, bool last, struct wsframe_out *out)
{
    *out = (struct wsframe_out){.opcode = f->message, .first = !f->begun, .last = last, .bytes = bytes};
    f->begun = true;
    f->total += bytes.len;
    if (f->compressed && f->limits != NULL && f->limits->message > 0 && f->total > f->limits->message)
        return bad(f, out, WSFRAME_TOO_BIG, "too big");
    if (f->message == WSFRAME_TEXT && (!utf8_feed(&f->utf8, bytes) || (last && !utf8_complete(&f->utf8))))
        return bad(f, out, WSFRAME_BAD_DATA, "text is not UTF-8");
    if (last)
        f->message = 0;
    return WSFRAME_DATA;
}

static enum wsframe_event
take_plain(struct wsframe *f, struct wsframe_in *in, struct wsframe_out *out)
{
    size_t n = f->left < in->len ? (size_t)f->left : in->len;
    struct str bytes = str_of(in->ptr, n);
    bool last = false;
    if (n == 0 && f->left > 0)
        return WSFRAME_MORE;
    unmask(f, in->ptr, n);
    in->ptr += n;
    in->len -= n;
    f->left -= n;
    if (f->left == 0) {
        last = fin_of(f);
        end_frame(f);
    }
    return give_data(f, bytes, last, out);
}

/* A compressed message begins. */
static void
begin_inflating(struct wsframe *f)
{
    struct wsframe_inflate *i = f->inflate;
    if (i == NULL)
        i = f->inflate = mem_zalloc(sizeof *i);
    i->inflater = wsinflater_new(str_of(i->window, i->window_len));
    mem_free(i->window);
    i->window = NULL;
    i->window_len = 0;
}

/* It has ended. The inflater is 40 KB; what later messages may refer to is no more than what has been said. */
static void
end_inflating(struct wsframe *f)
{
    struct wsframe_inflate *i = f->inflate;
    size_t n = f->keep_context ? wsinflater_window(i->inflater, NULL) : 0;
    if (n == 0) {
        drop_inflate(f);
        return;
    }
    i->window = mem_alloc(n);
    i->window_len = wsinflater_window(i->inflater, i->window);
    wsinflater_free(i->inflater);
    i->inflater = NULL;
    i->tail = 0;
}

/* Inflate into the room what IN has of the frame, and the end mark behind a message. */
static ptrdiff_t
inflate_some(struct wsframe *f, struct wsframe_in *in)
{
    static const char mark[END_MARK] = {0, 0, (char)0xff, (char)0xff};
    struct wsframe_inflate *i = f->inflate;
    size_t n = f->left < in->len ? (size_t)f->left : in->len;
    struct str from = str_of(in->ptr, n), end;
    ptrdiff_t got, more;
    unmask(f, in->ptr + i->clear, n - i->clear);
    got = wsinflater_get(i->inflater, &from, in->room, WSFRAME_ROOM);
    i->clear = from.len;
    in->ptr += n - from.len;
    in->len -= n - from.len;
    f->left -= n - from.len;
    if (got < 0 || got == WSFRAME_ROOM || f->left > 0 || !fin_of(f))
        return got;
    end = str_of(mark + i->tail, END_MARK - i->tail);
    more = wsinflater_get(i->inflater, &end, in->room + got, WSFRAME_ROOM - (size_t)got);
    i->tail = (uint8_t)(END_MARK - end.len);
    return more < 0 ? more : got + more;
}

static enum wsframe_event
take_compressed(struct wsframe *f, struct wsframe_in *in, struct wsframe_out *out)
{
    ptrdiff_t n;
    bool last, fragment_end;
    if (in->len == 0 && f->left > 0)
        return WSFRAME_MORE;
    if (f->inflate == NULL || f->inflate->inflater == NULL)
        begin_inflating(f);
    n = inflate_some(f, in);
    if (n < 0)
        return bad(f, out, WSFRAME_PROTOCOL_ERROR, "not deflate");
    fragment_end = f->left == 0 && n < WSFRAME_ROOM;
    last = fragment_end && fin_of(f);
    if (last && f->inflate->tail < END_MARK)
        return bad(f, out, WSFRAME_PROTOCOL_ERROR, "not deflate");
    if (fragment_end)
        end_frame(f);
    if (last)
        end_inflating(f);
    if (n == 0 && !last)
        return WSFRAME_MORE; /* nothing to hand out yet; there may be another frame */
    return give_data(f, str_of(in->room, (size_t)n), last, out);
}

enum wsframe_event
wsframe_next(struct wsframe *f, struct wsframe_in *in, struct wsframe_out *out)
{
    enum wsframe_event event;
    if (f->bad)
        return bad(f, out, WSFRAME_PROTOCOL_ERROR, "after an error");
    if (!f->in_payload && f->control != NULL) {
        mem_free(f->control); /* it was handed out */
        f->control = NULL;
    }
    do {
        if (!f->in_payload) {
            event = take_head(f, in, out);
            if (event != WSFRAME_DATA)
                return event;
        }
        if (is_control(f))
            event = take_control(f, in, out);
        else if (f->compressed)
            event = take_compressed(f, in, out);
        else
            event = take_plain(f, in, out);
    } while (event == WSFRAME_MORE && in->len > 0);
    return event;
}

/* writing */

size_t
wsframe_head(char out[WSFRAME_HEAD_MAX], const struct wsframe_spec *spec, uint64_t len)
{
    unsigned n = len < 126 ? 0 : len < 65536 ? 2 : 8;
    size_t size = 2 + n;
    out[0] = (char)(spec->opcode | (spec->last ? 0x80 : 0) | (spec->compressed ? 0x40 : 0));
    out[1] = (char)((n == 0 ? len : n == 2 ? 126 : 127) | (spec->key != NULL ? 0x80 : 0));
    for (unsigned i = 0; i < n; i++)
        out[2 + i] = (char)(len >> 8 * (n - 1 - i));
    if (spec->key != NULL) {
        memcpy(out + size, spec->key, 4);
        size += 4;
    }
    return size;
}

size_t
wsframe_head_next(char out[WSFRAME_HEAD_MAX], struct wsframe_spec *spec, struct str *rest, size_t max, bool last,
                  struct str *payload)
{
    size_t n;
    *payload = max > 0 ? str_sub(*rest, 0, max) : *rest;
    *rest = str_from(*rest, payload->len);
    spec->last = last && rest->len == 0;
    n = wsframe_head(out, spec, payload->len);
    spec->opcode = WSFRAME_CONTINUATION;
    spec->compressed = false;
    return n;
}

int
wsframe_put(struct buf *b, struct wsframe_spec spec, struct str payload, size_t max)
{
    char head[WSFRAME_HEAD_MAX];
    struct str part;
    bool last = spec.last;
    int rc;
    do {
        size_t n = wsframe_head_next(head, &spec, &payload, max, last, &part);
        rc = buf_add(b, head, n) != 0 ? -1 : buf_adds(b, part);
    } while (rc == 0 && payload.len > 0);
    return rc;
}

size_t
wsframe_put_close(char out[WSFRAME_CONTROL_MAX], int code, struct str reason)
{
    size_t n = reason.len;
    if (code == WSFRAME_NO_CODE)
        return 0;
    if (n > WSFRAME_REASON_MAX) {
        n = WSFRAME_REASON_MAX;
        while (n > 0 && ((unsigned char)reason.ptr[n] & 0xc0) == 0x80)
            n--;
    }
    out[0] = (char)(code >> 8);
    out[1] = (char)code;
    if (n > 0)
        memcpy(out + 2, reason.ptr, n);
    return n + 2;
}
