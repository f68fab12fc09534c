/* Any bytes as what a peer sends. The first byte of the input says which peer, how small a head may be and where the
 * bytes are cut; the verdict must be that of the uncut bytes, and no byte outside a piece is read. */
#include "base/mem.h"
#include "proto/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
note_head(const struct http1_head *h, struct buf *out)
{
    buf_addf(out, "<%d %d %d %llu %d%d%d%d ", h->minor, h->status, h->framing, (unsigned long long)h->length,
             h->keep_alive, h->close, h->upgrade, h->expect_continue);
    buf_adds(out, h->method);
    buf_addc(out, ' ');
    buf_adds(out, h->target);
    buf_adds(out, h->reason);
    for (unsigned i = 0; i < h->headers.n; i++) {
        if (!header_name_ok(h->headers.at[i].name) || !header_value_ok(h->headers.at[i].value))
            abort();
        http1_put_header(out, h->headers.at[i].name, h->headers.at[i].value);
    }
    buf_addc(out, '>');
}

static bool
take(struct http1 *p, bool to_head, struct str piece, struct buf *out)
{
    for (;;) {
        switch (http1_next(p, &piece)) {
        case HTTP1_MORE:
            if (piece.len > 0)
                abort();
            return true;
        case HTTP1_HEAD:
            note_head(http1_head(p), out);
            break;
        case HTTP1_BODY:
            buf_adds(out, http1_body(p));
            break;
        case HTTP1_END:
            buf_addc(out, '.');
            http1_begin(p);
            if (to_head)
                http1_answer_to_head(p);
            break;
        case HTTP1_BAD:
            buf_addf(out, "!%s %d %d", http1_bad(p), http1_bad_status(p), http1_bad_in_body(p));
            return false;
        }
    }
}

/* STEP: bytes of a piece, each in memory of its own. */
static void
parse(struct str in, unsigned mode, size_t step, struct buf *out)
{
    bool to_head = (mode & 2) != 0, more = true;
    struct http1 *p = http1_new((mode & 1) != 0 ? HTTP1_RESPONSES : HTTP1_REQUESTS, (mode & 4) != 0 ? 64 : 8192);
    if (to_head)
        http1_answer_to_head(p);
    for (size_t at = 0; at < in.len && more; at += step) {
        struct str piece = str_sub(in, at, step);
        char *copy = mem_alloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        more = take(p, to_head, str_of(copy, piece.len), out);
        mem_free(copy);
    }
    if (more)
        buf_addf(out, "~%d", http1_eof(p));
    http1_free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 22), cut = BUF_INIT(1 << 22);
    struct str in;
    if (size < 2)
        return 0;
    in = str_of((const char *)data + 1, size - 1);
    parse(in, data[0], in.len, &whole);
    parse(in, data[0], 1 + (data[0] >> 3), &cut);
    if (!str_eq(buf_str(&whole), buf_str(&cut)))
        abort();
    buf_clear(&whole);
    buf_clear(&cut);
    return 0;
}
