/* buf.h - growable bytes with a maximum fixed at birth.
 *
 *   ptr [ data, len bytes | room ]  cap <= max
 *
 * Memory is taken when the first byte comes and doubled as needed; buf_add() refuses what would pass MAX. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

struct buf {
    char *ptr;  /* owned; NULL while nothing was ever added */
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* never more than this */
};

#define BUF_INIT(maximum) ((struct buf){NULL, 0, 0, (maximum)})

static inline void
buf_init(struct buf *b, size_t max)
{
    *b = BUF_INIT(max);
}
/* Free the memory; the buffer is empty and usable again. */
void buf_clear(struct buf *b);

static inline struct str
buf_str(const struct buf *b)
{
    return (struct str){b->ptr, b->len};
}

/* 0, or -1 with nothing added when it would pass the maximum. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline int
buf_adds(struct buf *b, struct str s)
{
    return buf_add(b, s.ptr, s.len);
}

/* Room for LEN more bytes at the end, to be written by the caller and then counted with b->len += n.
 * NULL when that would pass the maximum. */
char *buf_room(struct buf *b, size_t len);

/* Drop LEN bytes from the front. */
void buf_consume(struct buf *b, size_t len);

/* Hand the bytes over, NUL added behind them: the caller mem_free()s them, the buffer is empty.
 * One byte past the maximum may be allocated for the NUL. */
char *buf_steal(struct buf *b);

#endif
