/* jsonwrite.h - JSON strings, written straight into a buffer: in one go, or in pieces as they come.
 *
 * Characters may be cut anywhere between pieces. What is not UTF-8 becomes U+FFFD, one for each broken character;
 * U+2028 and U+2029, which end a line in older scripts, are escaped too. */
#ifndef PROTO_JSONWRITE_H
#define PROTO_JSONWRITE_H

#include "base/buf.h"

struct jsonwrite {
    char rest[4]; /* the beginning of a character whose end has not come */
    unsigned n;   /* bytes of that */
};

static inline void
jsonwrite_init(struct jsonwrite *w)
{
    w->n = 0;
}

/* Append a piece of a string, without quotes. */
void jsonwrite_piece(struct jsonwrite *w, struct str piece, struct buf *out);
/* The string is over. */
void jsonwrite_end(struct jsonwrite *w, struct buf *out);
/* Append a whole string with its quotes. */
void jsonwrite_string(struct str text, struct buf *out);

#endif
