/* The first byte says how to read: bit 0 from a client, bit 1 compression, bit 2 with context, bit 3 limits, the rest
 * how many bytes at a time. What is read must not depend on that. (Where compressed bytes break two rules, which of the
 * two is seen first may: inflating looks ahead.) */
#include "../unit/proto/wstext.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_all(struct str bytes, uint8_t how, size_t step, struct buf *line)
{
    static const struct wsframe_limits limits = {.frame = 100000, .message = 1000000};
    struct wsframe f;
    wsframe_init(&f, how & 1, how & 8 ? &limits : NULL);
    if (how & 2)
        wsframe_allow_deflate(&f, how & 4);
    wstext_read(&f, bytes, step, line, NULL);
    wsframe_clear(&f);
}

/* The same with a reader that is begun anew whenever it is idle, as ws/wsconn does. */
static void
read_anew(struct str bytes, uint8_t how, size_t step, struct buf *line)
{
    static const struct wsframe_limits limits = {.frame = 100000, .message = 1000000};
    struct buf message = BUF_INIT(1 << 26);
    struct wsframe f;
    bool fresh = true, bad = false;
    char *room = mem_alloc(WSFRAME_ROOM);
    for (size_t at = 0; at < bytes.len && !bad; at += step) {
        struct str piece = str_sub(bytes, at, step);
        char *copy = mem_alloc(piece.len);
        struct wsframe_in in = {memcpy(copy, piece.ptr, piece.len), piece.len, room};
        struct wsframe_out out;
        enum wsframe_event event;
        if (fresh) {
            wsframe_init(&f, how & 1, how & 8 ? &limits : NULL);
            if (how & 2)
                wsframe_allow_deflate(&f, how & 4);
        }
        while ((event = wsframe_next(&f, &in, &out)) != WSFRAME_MORE && event != WSFRAME_BAD)
            wstext_event(line, &message, event, &out);
        wstext_event(line, &message, event, &out);
        bad = event == WSFRAME_BAD;
        fresh = wsframe_is_idle(&f);
        if (fresh || bad)
            wsframe_clear(&f);
        mem_free(copy);
    }
    if (!fresh && !bad)
        wsframe_clear(&f);
    mem_free(room);
    buf_clear(&message);
}

/* Without the code of an error at the end. */
static struct str
without_code(const struct buf *line)
{
    struct str s = buf_str(line);
    return s.len >= 5 && s.ptr[s.len - 5] == '!' ? str_sub(s, 0, s.len - 4) : s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 28), pieces = BUF_INIT(1 << 28), anew = BUF_INIT(1 << 28);
    struct str bytes;
    if (size < 2)
        return 0;
    bytes = str_of((const char *)data + 1, size - 1);
    read_all(bytes, data[0], bytes.len, &whole);
    read_all(bytes, data[0], 1 + (data[0] >> 4), &pieces);
    if (data[0] & 2 ? !str_eq(without_code(&whole), without_code(&pieces)) : !str_eq(buf_str(&whole), buf_str(&pieces)))
        abort();
    read_anew(bytes, data[0], 1 + (data[0] >> 4), &anew);
    if (!str_eq(buf_str(&anew), buf_str(&pieces)))
        abort();
    buf_clear(&whole);
    buf_clear(&pieces);
    buf_clear(&anew);
    return 0;
}
