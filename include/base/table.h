/* table.h - a hash table of intrusive nodes of one pointer; their owner knows their hashes.
 *
 *   segs[0] -> 16 buckets, segs[1] -> 16, segs[2] -> 32, segs[3] -> 64 ...   each bucket a chain of nodes
 *
 * It compares nothing: who looks for an element walks the nodes of its bucket, a few. Hashes of what comes from outside
 * are made with map_hash(), or nobody outside can choose them. It is a linear hash table: one bucket is split for each
 * element added beyond one a bucket, and merged again as they leave, so that no call ever stops to rehash a million
 * elements, and the memory is given back. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next; /* in the bucket */
};

struct table {
    uint32_t (*hash)(const struct table_node *node); /* the same as long as the node is in the table */
    struct table_node **segs[30];                    /* owned; allocated as needed */
    size_t n;                                        /* elements */
    size_t buckets;                                  /* in use */
    unsigned walks;                                  /* walks under way: no buckets are merged */
};

void table_init(struct table *t, uint32_t (*hash)(const struct table_node *node));
/* The elements are not touched: they are their owners' to free. */
void table_clear(struct table *t);

/* The first node of the bucket in which those with that hash are, among others; NULL: there is none. */
struct table_node *table_bucket(const struct table *t, uint32_t hash);

void table_add(struct table *t, struct table_node *node);
void table_remove(struct table *t, struct table_node *node);

/* Call CB for every element. It may remove the element that it was given, and add none. */
void table_each(struct table *t, void (*cb)(struct table_node *node, void *arg), void *arg);

/* In steps, and giving back what a walk has kept: as in map.h. */
void table_walk_begin(struct table *t);
bool table_walk(struct table *t, size_t *at, void (*cb)(struct table_node *node, void *arg), void *arg);
void table_walk_end(struct table *t);
bool table_shrink(struct table *t, size_t most);

#endif
