#include "base/uuid.h"

#include <stdlib.h>
#include <sys/random.h>

static const char digits[] = "0123456789abcdef";

void
uuid_make(unsigned char out[UUID_BYTES])
{
    if (getrandom(out, UUID_BYTES, 0) != UUID_BYTES)
        for (unsigned i = 0; i < UUID_BYTES; i++) /* too early after boot */
            out[i] = (unsigned char)random();
    out[6] = (unsigned char)((out[6] & 0x0f) | 0x40);
    out[8] = (unsigned char)((out[8] & 0x3f) | 0x80);
}

static bool
dash_before(unsigned byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

struct str
uuid_text(const unsigned char id[UUID_BYTES], char out[UUID_SIZE])
{
    size_t at = 0;
    for (unsigned i = 0; i < UUID_BYTES; i++) {
        if (dash_before(i))
            out[at++] = '-';
        out[at++] = digits[id[i] >> 4];
        out[at++] = digits[id[i] & 15];
    }
    out[at] = '\0';
    return str_of(out, at);
}

int
uuid_parse(struct str text, unsigned char out[UUID_BYTES])
{
    char again[UUID_SIZE];
    size_t at = 0;
    if (text.len != UUID_SIZE - 1)
        return -1;
    for (unsigned i = 0; i < UUID_BYTES; i++) {
        int high, low;
        at += dash_before(i);
        high = str_hexdigit(text.ptr[at]);
        low = str_hexdigit(text.ptr[at + 1]);
        if (high < 0 || low < 0)
            return -1;
        out[i] = (unsigned char)(high << 4 | low);
        at += 2;
    }
    return str_eq(uuid_text(out, again), text) ? 0 : -1; /* the dashes, lower case */
}
