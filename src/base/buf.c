#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>

void
buf_clear(struct buf *b)
{
    mem_free(b->ptr);
    *b = BUF_INIT(b->max);
}

char *
buf_room(struct buf *b, size_t len)
{
    if (len > b->max - b->len)
        return NULL;
    if (b->cap - b->len < len || b->ptr == NULL) {
        size_t cap = b->cap > 0 ? b->cap : 64;
        while (cap < b->len + len)
            cap = cap <= SIZE_MAX / 2 ? cap * 2 : b->len + len;
        if (cap > b->max)
            cap = b->max;
        b->ptr = mem_realloc(b->ptr, cap);
        b->cap = cap;
    }
    return b->ptr + b->len;
}

int
buf_add(struct buf *b, const void *data, size_t len)
{
    char *room;
    if (len == 0)
        return 0;
    room = buf_room(b, len);
    if (room == NULL)
        return -1;
    memcpy(room, data, len);
    b->len += len;
    return 0;
}

int
buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int
buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    char small[512], *room;
    int n;
    va_start(args, format);
    n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return -1;
    if ((size_t)n < sizeof small)
        return buf_add(b, small, (size_t)n);
    if ((size_t)n > b->max - b->len)
        return -1;
    room = mem_alloc((size_t)n + 1); /* vsnprintf() wants a byte for a NUL that we do not keep */
    va_start(args, format);
    vsnprintf(room, (size_t)n + 1, format, args);
    va_end(args);
    buf_add(b, room, (size_t)n);
    mem_free(room);
    return 0;
}

void
buf_consume(struct buf *b, size_t len)
{
    if (len > b->len)
        len = b->len;
    b->len -= len;
    if (b->len > 0 && len > 0)
        memmove(b->ptr, b->ptr + len, b->len);
}

char *
buf_steal(struct buf *b)
{
    char *bytes = mem_realloc(b->ptr, b->len + 1);
    bytes[b->len] = '\0';
    *b = BUF_INIT(b->max);
    return bytes;
}
