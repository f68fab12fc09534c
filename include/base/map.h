/* map.h - string-keyed hash table, seeded per process since keys come from outside.
 *
 *   segs[0] -> 16 buckets, segs[1] -> 16, segs[2] -> 32, segs[3] -> 64 ...   each bucket a chain of nodes
 *
 * The node lives in the element and borrows the element's key. It is a linear hash table: one bucket is split for
 * each element added beyond one a bucket, and merged again as they leave, so that no call ever stops to rehash a
 * million elements, and the memory is given back. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_node {
    struct map_node *next; /* in the bucket */
    struct str key;        /* borrowed from the element; constant while in the map */
    uint32_t hash;
};

struct map {
    struct map_node **segs[30]; /* owned; allocated as needed */
    size_t n;                   /* elements */
    size_t buckets;             /* in use */
    unsigned walks;             /* walks under way: no buckets are merged */
};

void map_init(struct map *m);
/* The elements are not touched: they are their owners' to free. */
void map_clear(struct map *m);

struct map_node *map_find(const struct map *m, struct str key);
/* NODE->key is set by the caller; the key must not be in the map. */
void map_add(struct map *m, struct map_node *node);
void map_remove(struct map *m, struct map_node *node);

/* Call CB for every element. It may remove the element that it was given, and add none. */
void map_each(struct map *m, void (*cb)(struct map_node *node, void *arg), void *arg);

/* The same in steps, with anything happening to the map in between: map_walk_begin(), map_walk() with *AT 0 at first,
 * which calls CB for the elements of one bucket, until it is false; map_walk_end(). Who is in the map all the time gets
 * its call, and may get two. CB may remove the element that it was given, and add none. */
void map_walk_begin(struct map *m);
bool map_walk(struct map *m, size_t *at, void (*cb)(struct map_node *node, void *arg), void *arg);
void map_walk_end(struct map *m);
/* Give back up to MOST buckets of those that are no longer needed, and were kept for a walk. false: there are no more.
 */
bool map_shrink(struct map *m, size_t most);

/* SipHash-1-3 under the process's own random key. */
uint64_t map_hash(const void *data, size_t len);

#endif
