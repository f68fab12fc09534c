/* Any bytes as what a peer sends. The first byte of the input says which peer, how small a head may be and where the
 * bytes are cut; the verdict must be that of the uncut bytes and of the unit tests' reference, and no byte outside a
 * piece is read. */
#include "base/mem.h"
#include "proto/http1.h"
#include "../unit/proto/http1ref.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As http1ref.h writes it. */
static void
note_head(const struct http1_head *h, bool response, struct buf *out)
{
    if (response)
        buf_addf(out, "<%d %.*s", h->status, STR_ARG(h->reason));
    else
        buf_addf(out, "<%.*s %.*s", STR_ARG(h->method), STR_ARG(h->target));
    buf_addf(out, " %d", h->minor);
    for (unsigned i = 0; i < h->headers.n; i++) {
        if (!header_name_ok(h->headers.at[i].name) || !header_value_ok(h->headers.at[i].value))
            abort();
        buf_addf(out, " [%.*s=%.*s]", STR_ARG(h->headers.at[i].name), STR_ARG(h->headers.at[i].value));
    }
    if (h->framing == HTTP1_LENGTH)
        buf_addf(out, " %llu", (unsigned long long)h->length);
    buf_addf(out, " %s%s%s%s%s>",
             h->framing == HTTP1_CHUNKED       ? "chunked "
             : h->framing == HTTP1_UNTIL_CLOSE ? "until-close "
                                               : "",
             h->keep_alive ? "k" : "", h->close ? "c" : "", h->upgrade ? "u" : "", h->expect_continue ? "e" : "");
}

static bool
take(struct http1 *p, unsigned mode, struct str piece, struct buf *out)
{
    for (;;) {
        switch (http1_next(p, &piece)) {
        case HTTP1_MORE:
            if (piece.len > 0)
                abort();
            return true;
        case HTTP1_HEAD:
            note_head(http1_head(p), (mode & 1) != 0, out);
            break;
        case HTTP1_BODY:
            buf_adds(out, http1_body(p));
            break;
        case HTTP1_END:
            buf_addc(out, '.');
            http1_begin(p);
            if ((mode & 2) != 0)
                http1_answer_to_head(p);
            break;
        case HTTP1_BAD:
            buf_addf(out, "!%s %d %s", http1_bad(p), http1_bad_status(p), http1_bad_in_body(p) ? "body" : "head");
            return false;
        }
    }
}

static size_t
max_head(unsigned mode)
{
    return (mode & 4) != 0 ? 64 : 8192;
}

/* STEP: bytes of a piece, each in memory of its own. */
static void
parse(struct str in, unsigned mode, size_t step, struct buf *out)
{
    struct http1 *p = http1_new((mode & 1) != 0 ? HTTP1_RESPONSES : HTTP1_REQUESTS, max_head(mode));
    bool more = true;
    if ((mode & 2) != 0)
        http1_answer_to_head(p);
    for (size_t at = 0; at < in.len && more; at += step) {
        struct str piece = str_sub(in, at, step);
        char *copy = mem_alloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        more = take(p, mode, str_of(copy, piece.len), out);
        mem_free(copy);
        if (more && !http1_started(p) && (mode & 1) == 0)
            http1_begin(p); /* as one who forgets it between two requests */
    }
    if (more)
        buf_adds(out, http1_eof(p) == HTTP1_END ? STR(".~") : STR("~"));
    http1_free(p);
}

static void
check_same(struct buf *a, struct buf *b)
{
    if (str_eq(buf_str(a), buf_str(b)))
        return;
    fprintf(stderr, "%.*s\n%.*s\n", STR_ARG(buf_str(a)), STR_ARG(buf_str(b)));
    abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 22), cut = BUF_INIT(1 << 22), reference = BUF_INIT(1 << 22);
    struct str in;
    if (size < 2)
        return 0;
    in = str_of((const char *)data + 1, size - 1);
    parse(in, data[0], in.len, &whole);
    parse(in, data[0], 1 + (data[0] >> 3), &cut);
    check_same(&whole, &cut);
    ref_parse(in, (data[0] & 1) != 0, (data[0] & 2) != 0, max_head(data[0]), &reference);
    check_same(&whole, &reference);
    buf_clear(&whole);
    buf_clear(&cut);
    buf_clear(&reference);
    return 0;
}
