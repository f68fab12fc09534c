/* str.h - a borrowed view of bytes: compare, trim, split, to number.
 *
 * A str owns nothing and need not end in NUL; it is valid for as long as the bytes it looks at. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* bytes */
};

/* A string literal as a view. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, (s).ptr != NULL ? (s).ptr : ""

static inline struct str
str_of(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline struct str
str_c(const char *s)
{
    return (struct str){s, s != NULL ? strlen(s) : 0};
}

static inline bool
str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Equal when ASCII letters' case is ignored, as HTTP compares header names. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b);

/* The bytes from START on, at most LEN of them; never past the end. */
struct str str_sub(struct str s, size_t start, size_t len);
static inline struct str
str_from(struct str s, size_t start)
{
    return str_sub(s, start, s.len);
}

/* Offset of the first C, or -1. */
ptrdiff_t str_chr(struct str s, char c);
/* Offset of the first NEEDLE, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);

/* Without the spaces and tabs (HTTP's optional white space) around it. */
struct str str_trim(struct str s);

/* Cut *REST at the first SEP: true and the part before in *PART; false when nothing is left, which is when its ptr
 * is NULL. So "" has one empty part and "a," has two, the second of them empty. */
bool str_split(struct str *rest, char sep, struct str *part);

/* A whole decimal number without sign, space or anything else. 0, or -1 when it is none or does not fit. */
int str_u64(struct str s, uint64_t *out);
/* The same with an optional sign and white space around it. */
int str_i64(struct str s, int64_t *out);
/* A whole hexadecimal number. */
int str_hex(struct str s, uint64_t *out);

/* A copy that ends in NUL; mem_free() it. */
char *str_dup(struct str s);

/* Lower-case ASCII letters in place. */
void str_lower(char *ptr, size_t len);
/* The value of a hexadecimal digit, or -1. */
int str_hexdigit(char c);
/* Valid UTF-8 (RFC 3629: no surrogates, nothing over U+10FFFF, no overlong forms). */
bool str_utf8(struct str s);

#endif
