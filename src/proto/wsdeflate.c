#include "proto/wsdeflate.h"

#include "base/mem.h"

#include <zlib.h>

enum {
    LEVEL = 6,
    MEM_LEVEL = 8, /* with a window of 15 bits 268 KB */
    ZLIB_BITS_MIN = 9,
    LIGHT_BITS = 12,
    LIGHT_MEM_LEVEL = 5 /* 32 KB */
};

static const struct str name = {"permessage-deflate", 18};

struct wsdeflater {
    z_stream z;
    unsigned bits;
    bool flushed; /* nothing has come since the last flush: a further one would say nothing */
};

struct wsinflater {
    z_stream z;
};

/* sending */

struct wsdeflater *
wsdeflater_new(unsigned bits, bool light)
{
    struct wsdeflater *d = mem_zalloc(sizeof *d);
    d->bits = bits;
    unsigned window = light && bits > LIGHT_BITS ? LIGHT_BITS : bits;
    int level = light ? LIGHT_MEM_LEVEL : MEM_LEVEL;
    int strategy = Z_DEFAULT_STRATEGY;
    if (window < ZLIB_BITS_MIN) { /* zlib cannot do 8: repeats of one byte alone refer back by no more than that */
        window = ZLIB_BITS_MIN;
        strategy = Z_RLE;
    }
    if (deflateInit2(&d->z, LEVEL, Z_DEFLATED, -(int)window, level, strategy) != Z_OK)
        __builtin_trap(); /* out of memory */
    return d;
}

void
wsdeflater_free(struct wsdeflater *d)
{
    deflateEnd(&d->z);
    mem_free(d);
}

unsigned
wsdeflater_bits(const struct wsdeflater *d)
{
    return d->bits;
}

size_t
wsdeflater_bound(size_t len)
{
    return len + (len >> 3) + (len >> 6) + 64; /* of deflateBound(), for small windows too */
}

int
wsdeflater_put(struct wsdeflater *d, struct str piece, bool last, struct buf *out)
{
    size_t begin = out->len;
    d->z.next_in = (unsigned char *)(uintptr_t)piece.ptr;
    d->z.avail_in = (unsigned)piece.len;
    do {
        size_t room = wsdeflater_bound(d->z.avail_in);
        char *to = buf_room(out, room);
        if (to == NULL)
            return -1;
        d->z.next_out = (unsigned char *)to;
        d->z.avail_out = (unsigned)room;
        deflate(&d->z, Z_SYNC_FLUSH);
        out->len += room - d->z.avail_out;
    } while (d->z.avail_out == 0);
    if (!last)
        return 0;
    if (out->len - begin >= 4)
        out->len -= 4; /* 00 00 ff ff, which the receiver adds */
    else if (buf_addc(out, 0) != 0)
        return -1; /* nothing new to flush: an empty block, less its 00 00 ff ff */
    deflateReset(&d->z);
    return 0;
}

/* receiving */

struct wsinflater *
wsinflater_new(struct str window)
{
    struct wsinflater *i = mem_zalloc(sizeof *i);
    if (inflateInit2(&i->z, -WSDEFLATE_BITS) != Z_OK)
        __builtin_trap(); /* out of memory */
    if (window.len > 0)
        inflateSetDictionary(&i->z, (const unsigned char *)window.ptr, (unsigned)window.len);
    return i;
}

void
wsinflater_free(struct wsinflater *i)
{
    inflateEnd(&i->z);
    mem_free(i);
}

size_t
wsinflater_window(struct wsinflater *i, char out[WSDEFLATE_WINDOW])
{
    unsigned n = 0;
    inflateGetDictionary(&i->z, (unsigned char *)out, &n);
    return n;
}

/* A block was marked as the last one: more may follow all the same, and may refer back (RFC 7692, 7.2.3.5). */
static void
go_on(struct wsinflater *i)
{
    char *window = mem_alloc(WSDEFLATE_WINDOW);
    size_t n = wsinflater_window(i, window);
    inflateReset(&i->z);
    inflateSetDictionary(&i->z, (unsigned char *)window, (unsigned)n);
    mem_free(window);
}

ptrdiff_t
wsinflater_get(struct wsinflater *i, struct str *in, char *out, size_t size)
{
    int rc;
    i->z.next_in = (unsigned char *)(uintptr_t)in->ptr;
    i->z.avail_in = (unsigned)in->len;
    i->z.next_out = (unsigned char *)out;
    i->z.avail_out = (unsigned)size;
    do {
        rc = inflate(&i->z, Z_SYNC_FLUSH);
        if (rc == Z_STREAM_END)
            go_on(i);
    } while (rc == Z_STREAM_END && i->z.avail_in > 0 && i->z.avail_out > 0);
    *in = str_from(*in, in->len - i->z.avail_in);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return -1;
    return (ptrdiff_t)(size - i->z.avail_out);
}

/* agreeing */

/* "15" as zlib can do it; 0: it is no such number. */
static unsigned
read_bits(struct str text, unsigned min)
{
    uint64_t n;
    if (text.len == 0 || text.ptr[0] == '0' || str_u64(text, &n) != 0 || n < min || n > WSDEFLATE_BITS)
        return 0;
    return (unsigned)n;
}

enum { SERVER_FRESH = 1, CLIENT_FRESH = 2, SERVER_BITS = 4, CLIENT_BITS = 8 };

/* The parameters of one element. 0, or -1: one is unknown, is there twice, or has a value it cannot have. */
static int
read_params(const struct header_params *p, unsigned *seen, unsigned *server_bits)
{
    static const struct str names[] = {{"server_no_context_takeover", 26},
                                       {"client_no_context_takeover", 26},
                                       {"server_max_window_bits", 22},
                                       {"client_max_window_bits", 22}};
    *seen = 0;
    *server_bits = WSDEFLATE_BITS;
    for (unsigned i = 0; i < p->n; i++) {
        struct str value = p->at[i].value;
        unsigned which = 0;
        while (which < countof(names) && !str_ieq(p->at[i].name, names[which]))
            which++;
        if (which == countof(names) || *seen & 1u << which)
            return -1;
        *seen |= 1u << which;
        if (which < 2 && value.len > 0)
            return -1;
        if (which == 2 && (*server_bits = read_bits(value, WSDEFLATE_BITS_MIN)) == 0)
            return -1;
        if (which == 3 && value.len > 0 && read_bits(value, WSDEFLATE_BITS_MIN) == 0)
            return -1;
    }
    return 0;
}

static bool
accept_one(struct str element, struct wsdeflate_params *params, struct buf *answer)
{
    struct header_params p;
    unsigned seen, bits;
    bool ok = header_params_parse(element, &p) == 0 && str_ieq(p.first, name) && read_params(&p, &seen, &bits) == 0;
    header_params_clear(&p);
    if (!ok)
        return false;
    params->bits = (uint8_t)bits;
    params->their_context = !(seen & CLIENT_FRESH);
    buf_adds(answer, name);
    buf_adds(answer, STR("; server_no_context_takeover"));
    if (seen & CLIENT_FRESH)
        buf_adds(answer, STR("; client_no_context_takeover"));
    if (seen & SERVER_BITS)
        buf_addf(answer, "; server_max_window_bits=%u", bits);
    return true;
}

static const struct str extensions = {"Sec-WebSocket-Extensions", 24};

bool
wsdeflate_accept(const struct headers *h, struct wsdeflate_params *params, struct buf *answer)
{
    *params = (struct wsdeflate_params){0, false};
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, extensions))
            continue;
        while (header_element(&rest, &element))
            if (accept_one(element, params, answer))
                return true;
    }
    return false;
}

int
wsdeflate_agreed(const struct headers *h, struct wsdeflate_params *params)
{
    *params = (struct wsdeflate_params){0, false};
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, extensions))
            continue;
        while (header_element(&rest, &element)) {
            struct header_params p;
            unsigned seen = 0, bits;
            bool ours = header_params_parse(element, &p) == 0 && str_ieq(p.first, name);
            bool ok = !ours || (params->bits == 0 && read_params(&p, &seen, &bits) == 0 && !(seen & CLIENT_BITS));
            header_params_clear(&p);
            if (!ok)
                return -1;
            if (ours)
                *params = (struct wsdeflate_params){WSDEFLATE_BITS, !(seen & SERVER_FRESH)};
        }
    }
    return 0;
}

/* Take a token off, and the blanks around it. */
static bool
take_token(struct str *rest)
{
    size_t n = 0;
    *rest = str_trim(*rest);
    while (n < rest->len && header_name_ok(str_sub(*rest, n, 1)))
        n++;
    *rest = str_trim(str_from(*rest, n));
    return n > 0;
}

static bool
take_quoted(struct str *rest)
{
    size_t n = 1;
    if (!str_starts(*rest, STR("\"")))
        return false;
    while (n < rest->len && rest->ptr[n] != '"')
        n += rest->ptr[n] == '\\' ? 2 : 1;
    if (n >= rest->len)
        return false;
    *rest = str_trim(str_from(*rest, n + 1));
    return true;
}

/* One element: a token, and parameters each of which has a token for its name and, behind a '=', a token or a quoted
 * text. A ';' at the end is let pass. */
static bool
element_ok(struct str rest)
{
    if (!take_token(&rest))
        return false;
    while (rest.len > 0) {
        if (*rest.ptr != ';')
            return false;
        rest = str_trim(str_from(rest, 1));
        if (rest.len > 0 && !take_token(&rest))
            return false;
        if (!str_starts(rest, STR("=")))
            continue;
        rest = str_trim(str_from(rest, 1));
        if (!take_token(&rest) && !take_quoted(&rest))
            return false;
    }
    return true;
}

bool
wsdeflate_offers_ok(const struct headers *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, extensions))
            continue;
        while (header_element(&rest, &element))
            if (!element_ok(element))
                return false;
    }
    return true;
}
