#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

enum { FIRST = 16 }; /* buckets of the first segment; a power of two */

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

void
map_init(struct map *m)
{
    memset(m, 0, sizeof *m);
    m->buckets = FIRST;
}

void
map_clear(struct map *m)
{
    for (size_t i = 0; i < countof(m->segs); i++)
        mem_free(m->segs[i]);
    map_init(m);
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

static struct map_node **
bucket(const struct map *m, size_t index)
{
    unsigned seg = segment_of(index);
    return &m->segs[seg][index - segment_start(seg)];
}

/* Buckets 0 to buckets-1 exist; those that were not split in this round yet are found with one bit less. */
static size_t
index_of(const struct map *m, uint32_t hash)
{
    size_t top = (size_t)1 << (63 - __builtin_clzll(m->buckets)); /* the largest power of two <= buckets */
    size_t index = hash & (2 * top - 1);
    return index < m->buckets ? index : index - top;
}

struct map_node *
map_find(const struct map *m, struct str key)
{
    uint32_t hash;
    if (m->n == 0)
        return NULL;
    hash = (uint32_t)map_hash(key.ptr, key.len);
    for (struct map_node *node = *bucket(m, index_of(m, hash)); node != NULL; node = node->next)
        if (node->hash == hash && str_eq(node->key, key))
            return node;
    return NULL;
}

static void
split_one(struct map *m)
{
    size_t fresh = m->buckets, top = (size_t)1 << (63 - __builtin_clzll(fresh)), old = fresh - top;
    unsigned seg = segment_of(fresh);
    struct map_node **from, **to;
    if (seg >= countof(m->segs))
        return;
    if (m->segs[seg] == NULL)
        m->segs[seg] = mem_zalloc(segment_size(seg) * sizeof *m->segs[seg]);
    m->buckets++;
    from = bucket(m, old);
    to = bucket(m, fresh);
    while (*from != NULL) {
        struct map_node *node = *from;
        if ((node->hash & (2 * top - 1)) == fresh) {
            *from = node->next;
            node->next = *to;
            *to = node;
        } else {
            from = &node->next;
        }
    }
}

static void
merge_one(struct map *m)
{
    size_t last = m->buckets - 1, top = (size_t)1 << (63 - __builtin_clzll(last)), into = last - top;
    unsigned seg = segment_of(last);
    struct map_node **from = bucket(m, last), **to = bucket(m, into);
    while (*to != NULL)
        to = &(*to)->next;
    *to = *from;
    *from = NULL;
    m->buckets--;
    if (last == segment_start(seg)) {
        mem_free(m->segs[seg]);
        m->segs[seg] = NULL;
    }
}

static void
shrink(struct map *m, size_t most)
{
    while (most-- > 0 && m->buckets > FIRST && m->n < m->buckets / 2)
        merge_one(m);
}

void
map_add(struct map *m, struct map_node *node)
{
    struct map_node **at;
    if (m->segs[0] == NULL)
        m->segs[0] = mem_zalloc(FIRST * sizeof *m->segs[0]);
    if (m->n >= m->buckets)
        split_one(m);
    node->hash = (uint32_t)map_hash(node->key.ptr, node->key.len);
    at = bucket(m, index_of(m, node->hash));
    node->next = *at;
    *at = node;
    m->n++;
}

void
map_remove(struct map *m, struct map_node *node)
{
    struct map_node **at = bucket(m, index_of(m, node->hash));
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    m->n--;
    if (m->walks == 0)
        shrink(m, 2); /* two for one, so that the table gets small in time */
}

static void
visit(struct map *m, size_t index, void (*cb)(struct map_node *node, void *arg), void *arg)
{
    struct map_node *next;
    for (struct map_node *node = *bucket(m, index); node != NULL; node = next) {
        next = node->next;
        cb(node, arg);
    }
}

void
map_each(struct map *m, void (*cb)(struct map_node *node, void *arg), void *arg)
{
    if (m->n == 0)
        return;
    m->walks++; /* a walk within a walk leaves the shrinking to the outer one */
    for (size_t i = 0; i < m->buckets; i++)
        visit(m, i, cb, arg);
    m->walks--;
    map_shrink(m, m->buckets);
}

void
map_walk_begin(struct map *m)
{
    m->walks++;
}

/* Splitting a bucket moves elements to one behind all others, so none of them is missed. */
bool
map_walk(struct map *m, size_t *at, void (*cb)(struct map_node *node, void *arg), void *arg)
{
    if (m->segs[0] == NULL || *at >= m->buckets)
        return false;
    visit(m, (*at)++, cb, arg);
    return true;
}

void
map_walk_end(struct map *m)
{
    m->walks--;
}

bool
map_shrink(struct map *m, size_t most)
{
    if (m->walks == 0)
        shrink(m, most);
    return m->walks == 0 && m->buckets > FIRST && m->n < m->buckets / 2;
}
