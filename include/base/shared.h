/* shared.h - bytes that many connections send, counted by reference.
 *
 * A block that embeds a struct shared as its first member is never changed once others can see it. Queues hold
 * references, never copies; the last shared_unref() calls FREE. One thread, so the count needs no atomics. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include "base/str.h"

struct shared {
    unsigned refs;
    void (*free)(struct shared *s);
};

static inline void
shared_init(struct shared *s, void (*free_cb)(struct shared *s))
{
    s->refs = 1;
    s->free = free_cb;
}

static inline struct shared *
shared_ref(struct shared *s)
{
    s->refs++;
    return s;
}

static inline void
shared_unref(struct shared *s)
{
    if (--s->refs == 0)
        s->free(s);
}

/* A block of plain bytes. */
struct shared_bytes {
    struct shared shared;
    size_t len;
    char data[];
};

struct shared_bytes *shared_bytes_new(struct str bytes);

#endif
