/* item.h - a published item from JSON or tnetstring values (spec: publishing 1, 2, 4.4). */
#ifndef GRIP_ITEM_H
#define GRIP_ITEM_H

#include "base/err.h"
#include "grip/format.h"

struct item {
    unsigned refs;      /* item_ref, item_unref */
    struct str channel; /* views into memory that the item owns */
    struct str id;      /* ptr NULL when absent; an empty id is an id */
    struct str prev_id; /* ptr NULL when absent */
    bool no_seq;
    bool warned;                          /* pub/filter has told that it cannot be filtered: once for all */
    int64_t size;                         /* -1 when absent */
    json_t *meta;                         /* reference held: object of strings; NULL when absent */
    struct format *formats[FORMAT_KINDS]; /* owned; NULL where the item has no such format */
};

/* How the value came: base64 keys (body-bin, content-bin as base64) exist in JSON only; in tnetstrings null counts as
 * absent for id and prev-id, and ws-message's content-bin is raw bytes. */
enum item_source { ITEM_JSON, ITEM_TNET };

/* Build an item. CHANNEL, unless empty, replaces the value's own channel (ZeroMQ SUB). NULL with E set to the message
 * of publishing 4.4. The caller may drop the value afterwards, but not change it: meta, content filters and patch are
 * references into it. */
struct item *item_parse(const json_t *value, enum item_source source, struct str channel, struct err *e);

static inline struct item *
item_ref(struct item *i)
{
    i->refs++;
    return i;
}
void item_unref(struct item *i);

/* A format lives as long as its item; a msg that refers to one holds a reference to the item. */

#endif
