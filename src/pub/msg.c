#include "pub/msg.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proto/http1.h"
#include "proto/wsdeflate.h"

enum { FRAME_MAX = 18 }; /* bytes before the content: a chunk's head or a WebSocket frame's */

static void
msg_free(struct shared *s)
{
    struct msg *m = container_of(s, struct msg, shared);
    item_unref(m->item);
    if (m->packed != NULL)
        shared_unref(&m->packed->shared);
    mem_free(m);
}

enum wsframe_opcode
msg_opcode(const struct format *f)
{
    static const enum wsframe_opcode opcodes[] = {
        [WS_TEXT] = WSFRAME_TEXT, [WS_BINARY] = WSFRAME_BINARY, [WS_PING] = WSFRAME_PING, [WS_PONG] = WSFRAME_PONG};
    return opcodes[f->ws_type];
}

/* What stands before the content where all clients get the same bytes; 0: nothing is rendered. */
static size_t
put_head(const struct format *f, size_t len, char out[FRAME_MAX])
{
    struct wsframe_spec spec = {.last = true};
    if (f->kind == FORMAT_HTTP_STREAM)
        return len > 0 ? http1_chunk_head(out, len) : 0;
    if (f->kind != FORMAT_WS_MESSAGE || f->action != ACTION_SEND)
        return 0;
    spec.opcode = (uint8_t)msg_opcode(f);
    return wsframe_head(out, &spec, len);
}

/* A ws-message in several frames. COPIED: the content is not the item's. */
static struct msg *
render_cut(const struct format *f, struct str content, bool copied, size_t frame_max)
{
    struct wsframe_spec spec = {.opcode = (uint8_t)msg_opcode(f), .last = true};
    struct buf frames = BUF_INIT(2 * content.len + FRAME_MAX);
    struct msg *m;
    buf_room(&frames, content.len + (content.len / frame_max + 1) * WSFRAME_HEAD_MAX);
    wsframe_put(&frames, spec, content, frame_max);
    m = mem_alloc(sizeof *m + frames.len + (copied ? content.len : 0));
    memcpy(m->data, frames.ptr, frames.len);
    if (copied)
        memcpy(m->data + frames.len, content.ptr, content.len);
    m->framed = str_of(m->data, frames.len);
    m->payload = copied ? str_of(m->data + frames.len, content.len) : content;
    buf_clear(&frames);
    return m;
}

static struct msg *
render_whole(const struct format *f, struct str content, bool copied)
{
    char head[FRAME_MAX];
    size_t head_len = put_head(f, content.len, head), tail_len = f->kind == FORMAT_HTTP_STREAM ? 2 : 0;
    bool framed = head_len > 0;
    size_t room = framed ? head_len + content.len + tail_len : copied ? content.len : 0;
    struct msg *m = mem_alloc(sizeof *m + room);
    m->payload = copied ? STR("") : content;
    m->framed = str_of(NULL, 0);
    if (room == 0)
        return m;
    if (content.len > 0)
        memcpy(m->data + head_len, content.ptr, content.len);
    m->payload = str_of(m->data + head_len, content.len);
    if (framed) {
        memcpy(m->data, head, head_len);
        memcpy(m->data + head_len + content.len, "\r\n", tail_len);
        m->framed = str_of(m->data, room);
    }
    return m;
}

static struct msg *
render(struct item *item, const struct format *f, struct str content, bool copied, size_t frame_max)
{
    bool cut = f->kind == FORMAT_WS_MESSAGE && f->action == ACTION_SEND && frame_max > 0 && content.len > frame_max;
    struct msg *m = cut ? render_cut(f, content, copied, frame_max) : render_whole(f, content, copied);
    shared_init(&m->shared, msg_free);
    m->item = item_ref(item);
    m->format = f;
    m->packed = NULL;
    m->at = 0;
    m->frame_max = frame_max;
    return m;
}

struct shared_bytes *
msg_packed(struct msg *m)
{
    struct wsframe_spec spec = {.opcode = (uint8_t)msg_opcode(m->format), .last = true, .compressed = true};
    struct buf out = BUF_INIT(wsdeflater_bound(m->payload.len) * 2 + WSFRAME_HEAD_MAX), frames;
    struct wsdeflater *d;
    if (m->packed != NULL)
        return m->packed;
    d = wsdeflater_new(WSDEFLATE_BITS, false);
    wsdeflater_put(d, m->payload, true, &out);
    wsdeflater_free(d);
    buf_init(&frames, 2 * out.len + WSFRAME_HEAD_MAX);
    wsframe_put(&frames, spec, buf_str(&out), m->frame_max);
    m->packed = shared_bytes_new(buf_str(&frames));
    buf_clear(&out);
    buf_clear(&frames);
    return m->packed;
}

struct msg *
msg_new(struct item *item, enum format_kind kind, size_t frame_max)
{
    struct msg *m = render(item, item->formats[kind], format_content(item->formats[kind]), false, frame_max);
    m->at = clock_exact_us();
    return m;
}

struct msg *
msg_rewrite(const struct msg *m, struct str content)
{
    return render(m->item, m->format, content, true, m->frame_max);
}

unsigned
msg_blocks(const struct item *item, const struct format *f, int block_size)
{
    uint64_t size = item->size >= 0 ? (uint64_t)item->size : f->content_len, block = (uint64_t)block_size;
    uint64_t n = size / block + (size % block > 0);
    return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}
