/* octet.h - which bytes may stand where: the character classes of RFC 9110 and RFC 3986. */
#ifndef PROTO_OCTET_H
#define PROTO_OCTET_H

#include <stdbool.h>
#include <stdint.h>

/* tchar (RFC 9110, 5.6.2): methods, header names. One bit for each of the first 128 octets. */
static inline bool
octet_is_token(char c)
{
    static const uint32_t bits[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0};
    return (bits[(unsigned char)c >> 5] >> ((unsigned char)c & 31) & 1) != 0;
}

/* What a field value or a reason phrase is made of (5.5): no control character but tab. */
static inline bool
octet_is_text(char c)
{
    return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t';
}

/* What we let pass in a request target: no space, no control character. */
static inline bool
octet_is_visible(char c)
{
    return (unsigned char)c > 0x20 && c != 0x7f;
}

static inline bool
octet_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool
octet_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986, 2.3: with or without its escape it means the same. */
static inline bool
octet_is_unreserved(char c)
{
    return octet_is_alpha(c) || octet_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

#endif
