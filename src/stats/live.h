/* live.h - a table of what is alive: entries of 16 bytes, found by a small number that never moves.
 *
 *   chunks[0] -> 256 entries, chunks[1] -> 256, chunks[2] -> NULL (all of its entries are gone), ...
 *   number = 1 + 256 * chunk + place
 *
 * Where each is told about again and again, the numbers are what that is spread by; see refresh. */
#ifndef STATS_LIVE_H
#define STATS_LIVE_H

#include "base/list.h"

#include <stdint.h>

enum { LIVE_CHUNK = 256, LIVE_MAX = 1 << 26 }; /* LIVE_MAX: all numbers are below it */

struct live_entry {
    const void *who; /* the user's; NULL: the place is free */
    uint32_t value;  /* the user's; the next free place while it is free */
    uint16_t slot;   /* the user's */
    uint16_t flags;  /* the user's */
};

struct live_chunk;

struct live {
    struct live_chunk **chunks; /* owned; NULL where there is none */
    uint32_t n_chunks;
    struct list roomy; /* of chunks that have room */
    size_t n;          /* entries */
};

void live_init(struct live *l);
void live_clear(struct live *l);

/* A new entry for WHO, not NULL. Returns its number, 0 when the table is full. */
uint32_t live_add(struct live *l, const void *who);
void live_remove(struct live *l, uint32_t number);
/* NULL: there is none. Stays where it is. */
struct live_entry *live_at(const struct live *l, uint32_t number);

/* All numbers are below it. */
static inline uint32_t
live_end(const struct live *l)
{
    return l->n_chunks * LIVE_CHUNK + 1;
}

#endif
