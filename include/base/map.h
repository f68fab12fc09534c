/* map.h - string-keyed hash table, seeded per process since keys come from outside: a table (base/table) whose nodes
 * have keys.
 *
 * The node lives in the element and borrows the element's key. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"
#include "base/table.h"

struct map_node {
    struct table_node in_table;
    uint32_t hash;
    struct str key; /* borrowed from the element; constant while in the map */
};

struct map {
    struct table table;
};

void map_init(struct map *m);
/* The elements are not touched: they are their owners' to free. */
void map_clear(struct map *m);
static inline size_t
map_count(const struct map *m)
{
    return m->table.n;
}

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
