#include "base/shared.h"

#include "base/mem.h"

static void
bytes_free(struct shared *s)
{
    mem_free(s);
}

struct shared_bytes *
shared_bytes_new(struct str bytes)
{
    struct shared_bytes *b = mem_alloc(sizeof *b + bytes.len);
    shared_init(&b->shared, bytes_free);
    b->len = bytes.len;
    if (bytes.len > 0)
        memcpy(b->data, bytes.ptr, bytes.len);
    return b;
}
