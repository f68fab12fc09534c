#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

static uint64_t seed[2];

static void
seed_once(void)
{
    if ((seed[0] | seed[1]) != 0)
        return;
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed || (seed[0] | seed[1]) == 0)
        abort(); /* a guessable table is a door for anyone who names channels */
}

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))

static inline void
sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = ROTL(v[1], 13) ^ v[0], v[0] = ROTL(v[0], 32);
    v[2] += v[3], v[3] = ROTL(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = ROTL(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = ROTL(v[1], 17) ^ v[2], v[2] = ROTL(v[2], 32);
}

uint64_t
map_hash(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t v[4], word;
    size_t left = len;
    seed_once();
    v[0] = seed[0] ^ 0x736f6d6570736575;
    v[1] = seed[1] ^ 0x646f72616e646f6d;
    v[2] = seed[0] ^ 0x6c7967656e657261;
    v[3] = seed[1] ^ 0x7465646279746573;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (left > 0)
        memcpy(&word, p, left);
    word |= (uint64_t)len << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint32_t
hash_of(struct str key)
{
    return (uint32_t)map_hash(key.ptr, key.len);
}

static uint32_t
hash_of_node(const struct table_node *node)
{
    return container_of((struct table_node *)(uintptr_t)node, struct map_node, in_table)->hash;
}

void
map_init(struct map *m)
{
    table_init(&m->table, hash_of_node);
}

void
map_clear(struct map *m)
{
    table_clear(&m->table);
}

struct map_node *
map_find(const struct map *m, struct str key)
{
    uint32_t hash;
    if (map_count(m) == 0)
        return NULL;
    hash = hash_of(key);
    for (struct table_node *at = table_bucket(&m->table, hash); at != NULL; at = at->next) {
        struct map_node *node = container_of(at, struct map_node, in_table);
        if (node->hash == hash && str_eq(node->key, key))
            return node;
    }
    return NULL;
}

void
map_add(struct map *m, struct map_node *node)
{
    node->hash = hash_of(node->key);
    table_add(&m->table, &node->in_table);
}

void
map_remove(struct map *m, struct map_node *node)
{
    table_remove(&m->table, &node->in_table);
}

struct visit {
    void (*cb)(struct map_node *node, void *arg);
    void *arg;
};

static void
visit(struct table_node *node, void *arg)
{
    const struct visit *v = arg;
    v->cb(container_of(node, struct map_node, in_table), v->arg);
}

void
map_each(struct map *m, void (*cb)(struct map_node *node, void *arg), void *arg)
{
    struct visit v = {cb, arg};
    table_each(&m->table, visit, &v);
}

void
map_walk_begin(struct map *m)
{
    table_walk_begin(&m->table);
}

bool
map_walk(struct map *m, size_t *at, void (*cb)(struct map_node *node, void *arg), void *arg)
{
    struct visit v = {cb, arg};
    return table_walk(&m->table, at, visit, &v);
}

void
map_walk_end(struct map *m)
{
    table_walk_end(&m->table);
}

bool
map_shrink(struct map *m, size_t most)
{
    return table_shrink(&m->table, most);
}
