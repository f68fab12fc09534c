#include "proto/utf8.h"

/* What a first byte promises; false: it is none. The second byte is narrowed where the whole range would let overlong
 * forms, surrogates or numbers over U+10FFFF in. */
static bool
begin(struct utf8 *u, unsigned char c)
{
    u->low = 0x80;
    u->high = 0xbf;
    if (c < 0xc2 || c > 0xf4)
        return false;
    u->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0xe0)
        u->low = 0xa0;
    else if (c == 0xed)
        u->high = 0x9f;
    else if (c == 0xf0)
        u->low = 0x90;
    else if (c == 0xf4)
        u->high = 0x8f;
    return true;
}

bool
utf8_feed(struct utf8 *u, struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr, *end = p + s.len;
    while (p < end) {
        uint64_t word;
        if (u->left > 0) {
            if (*p < u->low || *p > u->high)
                return false;
            u->low = 0x80;
            u->high = 0xbf;
            u->left--;
            p++;
            continue;
        }
        while (end - p >= 8) { /* plain ASCII, a word at a time */
            memcpy(&word, p, sizeof word);
            if (word & UINT64_C(0x8080808080808080))
                break;
            p += 8;
        }
        while (p < end && *p < 0x80)
            p++;
        if (p < end && !begin(u, *p++))
            return false;
    }
    return true;
}
