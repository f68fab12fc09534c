#include "stats/live.h"

#include "base/mem.h"

struct live_chunk {
    struct list_node node; /* in live->roomy while there is room */
    uint32_t number;       /* index in live->chunks */
    uint32_t n, free;      /* used entries; the first free place, LIVE_CHUNK: none */
    struct live_entry entries[LIVE_CHUNK];
};

void
live_init(struct live *l)
{
    *l = (struct live){.chunks = NULL};
    list_init(&l->roomy);
}

void
live_clear(struct live *l)
{
    for (uint32_t i = 0; i < l->n_chunks; i++)
        mem_free(l->chunks[i]);
    mem_free(l->chunks);
    live_init(l);
}

static struct live_chunk *
chunk_new(struct live *l)
{
    struct live_chunk *c;
    uint32_t number = 0;
    while (number < l->n_chunks && l->chunks[number] != NULL)
        number++;
    if ((number + 1) * LIVE_CHUNK >= LIVE_MAX)
        return NULL;
    if (number == l->n_chunks) {
        l->chunks = mem_realloc(l->chunks, (number + 1) * sizeof(struct live_chunk *));
        l->n_chunks++;
    }
    c = l->chunks[number] = mem_zalloc(sizeof *c);
    c->number = number;
    for (uint32_t i = 0; i < LIVE_CHUNK; i++)
        c->entries[i].value = i + 1;
    list_push_back(&l->roomy, &c->node);
    return c;
}

static void
chunk_free(struct live *l, struct live_chunk *c)
{
    list_remove(&l->roomy, &c->node);
    l->chunks[c->number] = NULL;
    while (l->n_chunks > 0 && l->chunks[l->n_chunks - 1] == NULL)
        l->n_chunks--;
    mem_free(c);
}

uint32_t
live_add(struct live *l, const void *who)
{
    struct list_node *first = list_first(&l->roomy);
    struct live_chunk *c = first != NULL ? container_of(first, struct live_chunk, node) : chunk_new(l);
    uint32_t place;
    if (c == NULL)
        return 0;
    place = c->free;
    c->free = c->entries[place].value;
    c->entries[place] = (struct live_entry){.who = who};
    c->n++;
    l->n++;
    if (c->n == LIVE_CHUNK)
        list_remove(&l->roomy, &c->node);
    return 1 + c->number * LIVE_CHUNK + place;
}

void
live_remove(struct live *l, uint32_t number)
{
    uint32_t place = (number - 1) % LIVE_CHUNK;
    struct live_chunk *c = l->chunks[(number - 1) / LIVE_CHUNK];
    if (c->n == LIVE_CHUNK)
        list_push_back(&l->roomy, &c->node);
    c->entries[place].who = NULL;
    c->entries[place].value = c->free;
    c->free = place;
    c->n--;
    l->n--;
    if (c->n == 0 && (l->roomy.n > 1 || l->n == 0))
        chunk_free(l, c);
}

struct live_entry *
live_at(const struct live *l, uint32_t number)
{
    struct live_entry *e;
    if (number == 0 || number >= live_end(l) || l->chunks[(number - 1) / LIVE_CHUNK] == NULL)
        return NULL;
    e = &l->chunks[(number - 1) / LIVE_CHUNK]->entries[(number - 1) % LIVE_CHUNK];
    return e->who != NULL ? e : NULL;
}
