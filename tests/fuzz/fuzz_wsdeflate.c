/* The first byte says how to cut, the second how to compress. Any bytes are inflated: what comes out, and whether they
 * are deflate at all, must not depend on how they come and how much room there is, nor on whether the inflater is
 * replaced by one with its window; and it comes bounded, however much it would be. The same bytes are compressed in
 * pieces, and come back. */
#include "base/mem.h"
#include "proto/wsdeflate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 16 };

static char window[WSDEFLATE_WINDOW];

/* Inflate until the input ends or the limit is passed. false: it is not deflate. */
static bool
inflate_some(struct wsinflater *i, struct str in, size_t room, struct buf *out)
{
    char *space = mem_alloc(room); /* of just that size, so that a sanitizer sees what goes beyond */
    ptrdiff_t n = 0;
    do {
        n = wsinflater_get(i, &in, space, room);
        if (n > (ptrdiff_t)room)
            abort();
        if (n > 0)
            buf_add(out, space, (size_t)n);
    } while (n == (ptrdiff_t)room && out->len < OUT_MAX);
    mem_free(space);
    if (n >= 0 && n < (ptrdiff_t)room && in.len > 0)
        abort(); /* it stopped without a reason */
    return n >= 0;
}

/* STEP bytes at a time. */
static bool
inflate_all(struct str bytes, size_t step, size_t room, struct buf *out)
{
    struct wsinflater *i = wsinflater_new(STR(""));
    bool good = true;
    for (size_t at = 0; at < bytes.len && good && out->len < OUT_MAX; at += step) {
        struct str piece = str_sub(bytes, at, step);
        char *copy = mem_alloc(piece.len);
        good = inflate_some(i, str_of(memcpy(copy, piece.ptr, piece.len), piece.len), room, out);
        mem_free(copy);
    }
    wsinflater_free(i);
    return good;
}

static void
check_foreign(struct str bytes, uint8_t how)
{
    struct buf whole = BUF_INIT(OUT_MAX + 65536), cut = BUF_INIT(OUT_MAX + 65536);
    bool good = inflate_all(bytes, bytes.len + 1, 65536, &whole);
    bool good_cut = inflate_all(bytes, 1 + (how & 15), (size_t)1 << (how >> 4), &cut);
    size_t n = whole.len < cut.len ? whole.len : cut.len;
    if (n > OUT_MAX)
        n = OUT_MAX;
    if (good != good_cut && whole.len < OUT_MAX && cut.len < OUT_MAX)
        abort();
    if (good && good_cut && whole.len != cut.len && n < OUT_MAX)
        abort();
    if (!str_eq(str_sub(buf_str(&whole), 0, n), str_sub(buf_str(&cut), 0, n)))
        abort();
    buf_clear(&whole);
    buf_clear(&cut);
}

/* One compressor without a reset: each piece may refer back, as messages of a peer with a context do. */
static void
check_own(struct str bytes, uint8_t how, size_t step)
{
    unsigned bits = WSDEFLATE_BITS_MIN + how % (WSDEFLATE_BITS - WSDEFLATE_BITS_MIN + 1);
    struct wsdeflater *d = wsdeflater_new(bits, how & 8);
    struct wsinflater *i = wsinflater_new(STR(""));
    struct buf packed = BUF_INIT(1 << 24), out = BUF_INIT(1 << 24);
    size_t at = 0;
    do {
        struct str piece = str_sub(bytes, at, step);
        size_t before = packed.len;
        if (wsdeflater_put(d, piece, false, &packed) != 0 || packed.len - before > wsdeflater_bound(piece.len))
            abort();
        if (!inflate_some(i, str_from(buf_str(&packed), before), 4096, &out))
            abort();
        at += step;
        if (how & 16) { /* after a flush nothing is half read: the window is all there is to know */
            size_t n = wsinflater_window(i, window);
            wsinflater_free(i);
            i = wsinflater_new(str_of(window, n));
        }
    } while (at < bytes.len);
    if (!str_eq(buf_str(&out), bytes))
        abort();
    wsdeflater_free(d);
    wsinflater_free(i);
    buf_clear(&packed);
    buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes;
    if (size < 3)
        return 0;
    bytes = str_of((const char *)data + 2, size - 2);
    check_foreign(bytes, data[0]);
    check_own(bytes, data[1], 1 + data[0]);
    return 0;
}
