/* utf8.h - UTF-8 (RFC 3629) that comes in pieces: is what came so far the beginning of something valid? */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include "base/str.h"

struct utf8 {
    uint8_t left;      /* bytes of the present character that are to come */
    uint8_t low, high; /* what the next of them must lie between */
};

static inline void
utf8_init(struct utf8 *u)
{
    *u = (struct utf8){0, 0x80, 0xbf};
}

/* false as soon as nothing that follows can make it valid. */
bool utf8_feed(struct utf8 *u, struct str s);

/* May the text end here? */
static inline bool
utf8_complete(const struct utf8 *u)
{
    return u->left == 0;
}

#endif
