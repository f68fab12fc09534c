#include "base/table.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { FIRST = 16 }; /* buckets of the first segment; a power of two */

void
table_init(struct table *t, uint32_t (*hash)(const struct table_node *node))
{
    memset(t, 0, sizeof *t);
    t->hash = hash;
    t->buckets = FIRST;
}

void
table_clear(struct table *t)
{
    for (size_t i = 0; i < countof(t->segs); i++)
        mem_free(t->segs[i]);
    table_init(t, t->hash);
}

static unsigned
segment_of(size_t index)
{
    return index < FIRST ? 0 : (unsigned)(63 - __builtin_clzll(index)) - 3;
}

static size_t
segment_start(unsigned seg)
{
    return seg == 0 ? 0 : (size_t)FIRST << (seg - 1);
}

static size_t
segment_size(unsigned seg)
{
    return seg == 0 ? FIRST : (size_t)FIRST << (seg - 1);
}

static struct table_node **
bucket(const struct table *t, size_t index)
{
    unsigned seg = segment_of(index);
    return &t->segs[seg][index - segment_start(seg)];
}

/* Buckets 0 to buckets-1 exist; those that were not split in this round yet are found with one bit less. */
static size_t
index_of(const struct table *t, uint32_t hash)
{
    size_t top = (size_t)1 << (63 - __builtin_clzll(t->buckets)); /* the largest power of two <= buckets */
    size_t index = hash & (2 * top - 1);
    return index < t->buckets ? index : index - top;
}

struct table_node *
table_bucket(const struct table *t, uint32_t hash)
{
    return t->n > 0 ? *bucket(t, index_of(t, hash)) : NULL;
}

static void
split_one(struct table *t)
{
    size_t fresh = t->buckets, top = (size_t)1 << (63 - __builtin_clzll(fresh)), old = fresh - top;
    unsigned seg = segment_of(fresh);
    struct table_node **from, **to;
    if (seg >= countof(t->segs))
        return;
    if (t->segs[seg] == NULL)
        t->segs[seg] = mem_zalloc(segment_size(seg) * sizeof *t->segs[seg]);
    t->buckets++;
    from = bucket(t, old);
    to = bucket(t, fresh);
    while (*from != NULL) {
        struct table_node *node = *from;
        if ((t->hash(node) & (2 * top - 1)) == fresh) {
            *from = node->next;
            node->next = *to;
            *to = node;
        } else {
            from = &node->next;
        }
    }
}

static void
merge_one(struct table *t)
{
    size_t last = t->buckets - 1, top = (size_t)1 << (63 - __builtin_clzll(last)), into = last - top;
    unsigned seg = segment_of(last);
    struct table_node **from = bucket(t, last), **to = bucket(t, into);
    while (*to != NULL)
        to = &(*to)->next;
    *to = *from;
    *from = NULL;
    t->buckets--;
    if (last == segment_start(seg)) {
        mem_free(t->segs[seg]);
        t->segs[seg] = NULL;
    }
}

static void
shrink(struct table *t, size_t most)
{
    while (most-- > 0 && t->buckets > FIRST && t->n < t->buckets / 2)
        merge_one(t);
}

void
table_add(struct table *t, struct table_node *node)
{
    struct table_node **at;
    if (t->segs[0] == NULL)
        t->segs[0] = mem_zalloc(FIRST * sizeof *t->segs[0]);
    if (t->n >= t->buckets)
        split_one(t);
    at = bucket(t, index_of(t, t->hash(node)));
    node->next = *at;
    *at = node;
    t->n++;
}

void
table_remove(struct table *t, struct table_node *node)
{
    struct table_node **at = bucket(t, index_of(t, t->hash(node)));
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    t->n--;
    if (t->walks == 0)
        shrink(t, 2); /* two for one, so that the table gets small in time */
}

static void
visit(struct table *t, size_t index, void (*cb)(struct table_node *node, void *arg), void *arg)
{
    struct table_node *next;
    for (struct table_node *node = *bucket(t, index); node != NULL; node = next) {
        next = node->next;
        cb(node, arg);
    }
}

void
table_each(struct table *t, void (*cb)(struct table_node *node, void *arg), void *arg)
{
    if (t->n == 0)
        return;
    t->walks++; /* a walk within a walk leaves the shrinking to the outer one */
    for (size_t i = 0; i < t->buckets; i++)
        visit(t, i, cb, arg);
    t->walks--;
    table_shrink(t, t->buckets);
}

void
table_walk_begin(struct table *t)
{
    t->walks++;
}

/* Splitting a bucket moves elements to one behind all others, so none of them is missed. */
bool
table_walk(struct table *t, size_t *at, void (*cb)(struct table_node *node, void *arg), void *arg)
{
    if (t->segs[0] == NULL || *at >= t->buckets)
        return false;
    visit(t, (*at)++, cb, arg);
    return true;
}

void
table_walk_end(struct table *t)
{
    t->walks--;
}

bool
table_shrink(struct table *t, size_t most)
{
    if (t->walks == 0)
        shrink(t, most);
    return t->walks == 0 && t->buckets > FIRST && t->n < t->buckets / 2;
}
