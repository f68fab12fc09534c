/* msg.h - one format of an item, rendered once and shared by reference.
 *
 *   data:   35 0d 0a  h e l l o  0d 0a
 *           '---------framed--------'      a chunk, for chunked streams
 *                     'payload'            the same bytes: HTTP/1.0
 *
 * A ws-message has its frame's head there, and no CR LF: servers do not mask, so all clients share it. One that is
 * longer than a frame may be has several in FRAMED, and its PAYLOAD lies elsewhere. What clients with compression get
 * is made when the first of them asks, and shared too. Unchanged after msg_new() but for that. PAYLOAD is the content
 * to send; the format's own may have been rewritten. Who sends a msg passes &m->shared as the owner of the bytes. */
#ifndef PUB_MSG_H
#define PUB_MSG_H

#include "base/shared.h"
#include "grip/item.h"
#include "proto/wsframe.h"

struct msg {
    struct shared shared;        /* first; msg_ref(), msg_unref() */
    struct item *item;           /* reference held */
    const struct format *format; /* of the item: for a hold that writes its own head */
    struct str payload, framed;  /* views into data, or into the item */
    struct shared_bytes *packed; /* reference held; the frames with the payload compressed; NULL: nobody asked yet */
    uint64_t at;                 /* us; when it was made */
    size_t frame_max;            /* bytes of a WebSocket's frame; 0: any number */
    char data[];
};

struct msg *msg_new(struct item *item, enum format_kind kind, size_t frame_max);
/* A ws-message's frames, compressed with a window of WSDEFLATE_BITS. */
struct shared_bytes *msg_packed(struct msg *m);
/* The frame's opcode. */
enum wsframe_opcode msg_opcode(const struct format *f);
/* What an item counts for when F of it is sent: its size in blocks of BLOCK_SIZE bytes, more than 0. */
unsigned msg_blocks(const struct item *item, const struct format *f, int block_size);
/* M with other content, for one client. */
struct msg *msg_rewrite(const struct msg *m, struct str content);

static inline struct msg *
msg_ref(struct msg *m)
{
    shared_ref(&m->shared);
    return m;
}

static inline void
msg_unref(struct msg *m)
{
    shared_unref(&m->shared);
}

#endif
