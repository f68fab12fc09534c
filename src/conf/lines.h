/* lines.h - a text file line by line, each line and the whole bounded. Both of our files are read through it. */
#ifndef CONF_LINES_H
#define CONF_LINES_H

#include "base/buf.h"

#include <stdio.h>

enum { LINES_MAX_LINE = 65536 }; /* bytes, without the line end */

enum lines_event {
    LINES_LINE,
    LINES_LONG, /* longer than LINES_MAX_LINE: skipped up to its end */
    LINES_FULL, /* there is more, but the file's limit is reached */
    LINES_END   /* also when reading failed: ask ferror() */
};

struct lines {
    FILE *file;      /* borrowed */
    struct buf text; /* the current line; owned */
    unsigned n;      /* its number, from 1 */
    size_t left;     /* bytes that may still be read */
};

/* MAX: bytes of the whole file. */
void lines_init(struct lines *l, FILE *file, size_t max);
void lines_clear(struct lines *l);
/* *LINE is without LF or CRLF and without a byte order mark; valid until the next call. */
enum lines_event lines_next(struct lines *l, struct str *line);

#endif
