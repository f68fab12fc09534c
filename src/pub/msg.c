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

static struct msg *
render(struct item *item, const struct format *f, struct str content, bool copied)
{
    bool framed = f->kind == FORMAT_HTTP_STREAM && content.len > 0;
    char size[18];
    size_t head = framed ? http1_chunk_head(size, content.len) : 0;
    size_t room = framed ? head + content.len + 2 : copied ? content.len : 0;
    struct msg *m = mem_alloc(sizeof *m + room);
    shared_init(&m->shared, msg_free);
    m->item = item_ref(item);
    m->format = f;
    m->at = 0;
    m->payload = content;
    m->framed = str_of(NULL, 0);
    if (room == 0)
        return m;
    memcpy(m->data + head, content.ptr, content.len);
    m->payload = str_of(m->data + head, content.len);
    if (framed) {
        memcpy(m->data, size, head);
        memcpy(m->data + head + content.len, "\r\n", 2);
        m->framed = str_of(m->data, room);
    }
    return m;
}

struct msg *
msg_new(struct item *item, enum format_kind kind)
{
    struct msg *m = render(item, item->formats[kind], format_content(item->formats[kind]), false);
    m->at = clock_exact_us();
    return m;
}

struct msg *
msg_rewrite(const struct msg *m, struct str content)
{
    return render(m->item, m->format, content, true);
}

unsigned
msg_blocks(const struct item *item, const struct format *f, int block_size)
{
    uint64_t size = item->size >= 0 ? (uint64_t)item->size : f->content_len, block = (uint64_t)block_size;
    uint64_t n = size / block + (size % block > 0);
    return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}
