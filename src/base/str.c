#include "base/str.h"

#include "base/mem.h"

static inline unsigned char
lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool
same_ignoring_case(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool
str_ieq(struct str a, struct str b)
{
    return a.len == b.len && same_ignoring_case(a.ptr, b.ptr, a.len);
}

bool
str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_of(s.ptr, prefix.len), prefix);
}

bool
str_istarts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && same_ignoring_case(s.ptr, prefix.ptr, prefix.len);
}

bool
str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

int
str_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int rc = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
}

struct str
str_sub(struct str s, size_t start, size_t len)
{
    if (start > s.len)
        start = s.len;
    if (len > s.len - start)
        len = s.len - start;
    return (struct str){s.ptr != NULL ? s.ptr + start : NULL, len};
}

ptrdiff_t
str_chr(struct str s, char c)
{
    const char *p = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return p != NULL ? p - s.ptr : -1;
}

ptrdiff_t
str_find(struct str s, struct str needle)
{
    const char *p;
    if (needle.len == 0)
        return 0;
    p = s.len > 0 ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return p != NULL ? p - s.ptr : -1;
}

struct str
str_trim(struct str s)
{
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t'))
        s.ptr++, s.len--;
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool
str_split(struct str *rest, char sep, struct str *part)
{
    ptrdiff_t at;
    if (rest->ptr == NULL)
        return false;
    at = str_chr(*rest, sep);
    if (at < 0) {
        *part = *rest;
        *rest = (struct str){NULL, 0};
    } else {
        *part = str_sub(*rest, 0, (size_t)at);
        *rest = str_from(*rest, (size_t)at + 1);
    }
    return true;
}

int
str_u64(struct str s, uint64_t *out)
{
    uint64_t n = 0;
    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (d > 9 || n > (UINT64_MAX - d) / 10)
            return -1;
        n = n * 10 + d;
    }
    *out = n;
    return 0;
}

int
str_i64(struct str s, int64_t *out)
{
    bool minus = false;
    uint64_t n;
    s = str_trim(s);
    if (s.len > 0 && (*s.ptr == '-' || *s.ptr == '+')) {
        minus = *s.ptr == '-';
        s = str_from(s, 1);
    }
    if (str_u64(s, &n) != 0 || n > (uint64_t)INT64_MAX + minus)
        return -1;
    *out = !minus ? (int64_t)n : n > 0 ? -(int64_t)(n - 1) - 1 : 0; /* the lowest has no positive counterpart */
    return 0;
}

int
str_hexdigit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int
str_hex(struct str s, uint64_t *out)
{
    uint64_t n = 0;
    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        int d = str_hexdigit(s.ptr[i]);
        if (d < 0 || n >> 60 != 0)
            return -1;
        n = n << 4 | (unsigned)d;
    }
    *out = n;
    return 0;
}

char *
str_dup(struct str s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

void
str_lower(char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ptr[i] = (char)lower(ptr[i]);
}

bool
str_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr, *end;
    if (s.len == 0)
        return true; /* p may be NULL, from which nothing can be counted */
    end = p + s.len;
    while (p < end) {
        unsigned char c = *p++;
        unsigned more, low = 0x80, high = 0xbf;
        if (c < 0x80)
            continue;
        if (c < 0xc2 || c > 0xf4)
            return false;
        more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0xe0)
            low = 0xa0;
        else if (c == 0xed)
            high = 0x9f;
        else if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f;
        if ((size_t)(end - p) < more || *p < low || *p > high)
            return false;
        for (p++; --more > 0; p++)
            if (*p < 0x80 || *p > 0xbf)
                return false;
    }
    return true;
}
