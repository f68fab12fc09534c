#include "pub/msg.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proto/http1.h"

static void
msg_free(struct shared *s)
{
    struct msg *m = container_of(s, struct msg, shared);
    item_unref(m->item);
    mem_free(m);
}

struct msg *
msg_new(struct item *item, enum format_kind kind)
{
    const struct format *f = item->formats[kind];
    bool rendered = kind == FORMAT_HTTP_STREAM && f->content_len > 0;
    char size[18];
    size_t head = rendered ? http1_chunk_head(size, f->content_len) : 0;
    struct msg *m = mem_alloc(sizeof *m + (rendered ? head + f->content_len + 2 : 0));
    shared_init(&m->shared, msg_free);
    m->item = item_ref(item);
    m->format = f;
    m->at = clock_exact_us();
    m->payload = format_content(f);
    m->framed = str_of(NULL, 0);
    if (rendered) {
        memcpy(m->data, size, head);
        memcpy(m->data + head, f->content, f->content_len);
        memcpy(m->data + head + f->content_len, "\r\n", 2);
        m->framed = str_of(m->data, head + f->content_len + 2);
        m->payload = str_of(m->data + head, f->content_len);
    }
    return m;
}

unsigned
msg_blocks(const struct item *item, const struct format *f, int block_size)
{
    uint64_t size = item->size >= 0 ? (uint64_t)item->size : f->content_len, block = (uint64_t)block_size;
    uint64_t n = size / block + (size % block > 0);
    return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}
