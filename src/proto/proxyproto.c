#include "proto/proxyproto.h"

#include <stdio.h>

enum {
    FIXED = 16,    /* bytes of version 2 before the addresses */
    V4_BYTES = 12, /* two addresses and two ports */
    V6_BYTES = 36
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
enum { SIGNATURE_LEN = sizeof signature - 1 };
static const char word[] = "PROXY ";
enum { WORD_LEN = sizeof word - 1 };

void
proxyproto_init(struct proxyproto *p)
{
    *p = (struct proxyproto){.family = PROXYPROTO_NONE};
}

static bool
is_v2(const struct proxyproto *p)
{
    return p->len > 0 && p->bytes[0] == (unsigned char)signature[0];
}

/* Do the bytes so far begin one of the two versions? */
static bool
begins_well(const struct proxyproto *p)
{
    const char *want = is_v2(p) ? signature : word;
    unsigned n = is_v2(p) ? SIGNATURE_LEN : WORD_LEN;
    return memcmp(p->bytes, want, p->len < n ? p->len : n) == 0;
}

/* version 1 */

/* Only what an address is made of. Whether it is one is for those who know sockets. */
static bool
is_address(struct str s, enum proxyproto_family family)
{
    size_t max = family == PROXYPROTO_IPV4 ? 15 : 39;
    if (s.len < 2 || s.len > max || (str_chr(s, ':') >= 0) != (family == PROXYPROTO_IPV6))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (str_hexdigit(s.ptr[i]) < 0 && s.ptr[i] != ':' && s.ptr[i] != '.')
            return false;
    return true;
}

static bool
is_port(struct str s)
{
    uint64_t n;
    return s.len <= 5 && str_u64(s, &n) == 0 && n <= 65535;
}

static enum proxyproto_result
read_line(struct proxyproto *p, struct err *e)
{
    struct str rest = str_of((const char *)p->bytes + WORD_LEN, p->len - WORD_LEN - 2), part[5];
    unsigned n = 0;
    if (str_eq(rest, STR("UNKNOWN")) || str_starts(rest, STR("UNKNOWN ")))
        return PROXYPROTO_DONE; /* whatever follows is to be ignored */
    while (n < 5 && str_split(&rest, ' ', &part[n]))
        n++;
    if (n == 5 && rest.ptr == NULL && (str_eq(part[0], STR("TCP4")) || str_eq(part[0], STR("TCP6")))) {
        enum proxyproto_family family = part[0].ptr[3] == '4' ? PROXYPROTO_IPV4 : PROXYPROTO_IPV6;
        if (is_address(part[1], family) && is_address(part[2], family) && is_port(part[3]) && is_port(part[4])) {
            p->family = family;
            snprintf(p->source, sizeof p->source, "%.*s", STR_ARG(part[1]));
            return PROXYPROTO_DONE;
        }
    }
    err_set(e, "invalid PROXY line");
    return PROXYPROTO_BAD;
}

static enum proxyproto_result
add_to_line(struct proxyproto *p, struct str in, size_t *used, struct err *e)
{
    while (*used < in.len) {
        if (p->len == PROXYPROTO_LINE_MAX) {
            err_set(e, "PROXY line longer than %d bytes", PROXYPROTO_LINE_MAX);
            return PROXYPROTO_BAD;
        }
        p->bytes[p->len++] = (unsigned char)in.ptr[(*used)++];
        if (!begins_well(p) || p->bytes[p->len - 1] == '\0') {
            err_set(e, "no PROXY header");
            return PROXYPROTO_BAD;
        }
        if (p->bytes[p->len - 1] != '\n')
            continue;
        if (p->len > WORD_LEN + 2 && p->bytes[p->len - 2] == '\r')
            return read_line(p, e);
        err_set(e, "invalid end of the PROXY line");
        return PROXYPROTO_BAD;
    }
    return PROXYPROTO_MORE;
}

/* version 2 */

static enum proxyproto_result
bad_header(struct err *e, const char *what)
{
    err_set(e, "invalid PROXY header: %s", what);
    return PROXYPROTO_BAD;
}

/* The fixed part is there. */
static enum proxyproto_result
read_fixed(struct proxyproto *p, struct err *e)
{
    const unsigned char *b = p->bytes;
    unsigned command = b[12], family = b[13] >> 4, protocol = b[13] & 15, len = (unsigned)b[14] << 8 | b[15];
    if (command >> 4 != 2)
        return bad_header(e, "unknown version");
    if ((command & 15) > 1)
        return bad_header(e, "unknown command");
    if (family > 3 || protocol > 2)
        return bad_header(e, "unknown address family");
    if (FIXED + len > PROXYPROTO_MAX)
        return bad_header(e, "too long");
    p->size = FIXED + len;
    if ((command & 15) == 0)
        return PROXYPROTO_MORE; /* the proxy's own connection, such as a health check */
    if ((family == 1 && len < V4_BYTES) || (family == 2 && len < V6_BYTES))
        return bad_header(e, "addresses cut short");
    p->family = family == 1 ? PROXYPROTO_IPV4 : family == 2 ? PROXYPROTO_IPV6 : PROXYPROTO_NONE;
    return PROXYPROTO_MORE;
}

static enum proxyproto_result
finish(struct proxyproto *p)
{
    const unsigned char *b = p->bytes + FIXED;
    size_t n = 0;
    if (p->family == PROXYPROTO_IPV4)
        snprintf(p->source, sizeof p->source, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    for (unsigned i = 0; p->family == PROXYPROTO_IPV6 && i < 16; i += 2)
        n += (size_t)snprintf(p->source + n, sizeof p->source - n, "%s%x", i > 0 ? ":" : "",
                              (unsigned)b[i] << 8 | b[i + 1]);
    return PROXYPROTO_DONE;
}

static enum proxyproto_result
add_to_header(struct proxyproto *p, struct str in, size_t *used, struct err *e)
{
    while (*used < in.len) {
        if (p->len < sizeof p->bytes)
            p->bytes[p->len] = (unsigned char)in.ptr[*used];
        ++*used;
        p->len++;
        if (p->len <= SIGNATURE_LEN && !begins_well(p)) {
            err_set(e, "no PROXY header");
            return PROXYPROTO_BAD;
        }
        if (p->len == FIXED && read_fixed(p, e) == PROXYPROTO_BAD)
            return PROXYPROTO_BAD;
        if (p->len >= FIXED && p->len == p->size)
            return finish(p);
    }
    return PROXYPROTO_MORE;
}

enum proxyproto_result
proxyproto_read(struct proxyproto *p, struct str in, size_t *used, struct err *e)
{
    *used = 0;
    if (in.len == 0)
        return PROXYPROTO_MORE;
    if (is_v2(p) || (p->len == 0 && in.ptr[0] == signature[0]))
        return add_to_header(p, in, used, e);
    return add_to_line(p, in, used, e);
}
