#include "base/slab.h"

#include "base/list.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Under AddressSanitizer every object comes from its heap, so that it sees what is used after it was freed. */
#if defined(__SANITIZE_ADDRESS__)
#define FROM_HEAP 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FROM_HEAP 1
#endif
#endif
#ifndef FROM_HEAP
#define FROM_HEAP 0
#endif

enum { BLOCK = 65536, STEP = 8, CLASSES = SLAB_MAX / STEP + 1 };

/* At the beginning of each block. */
struct block {
    struct list_node node; /* in rooms[class] while it has room */
    void *free;            /* freed objects, linked through their first word */
    uint32_t used;         /* objects that are in use */
    uint32_t fresh;        /* offset behind the objects that were ever used */
};

static struct list rooms[CLASSES]; /* of block; those in which something is free */

static size_t
first_offset(void)
{
    return (sizeof(struct block) + STEP - 1) / STEP * STEP;
}

static struct block *
block_new(void)
{
    char *place = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;
    struct block *b;
    if (place == MAP_FAILED) {
        fprintf(stderr, "out of memory: cannot get %d bytes; the process ends\n", 2 * BLOCK);
        abort();
    }
    at = (char *)(((uintptr_t)place + BLOCK - 1) & ~(uintptr_t)(BLOCK - 1));
    if (at > place)
        munmap(place, (size_t)(at - place));
    munmap(at + BLOCK, (size_t)(place + BLOCK - at));
    b = (struct block *)(void *)at;
    b->fresh = (uint32_t)first_offset();
    return b;
}

static bool
is_full(const struct block *b, size_t size)
{
    return b->free == NULL && b->fresh + size > BLOCK;
}

static void
give_back(struct list *room, struct block *b)
{
    list_remove(room, &b->node);
    munmap(b, BLOCK);
}

void *
slab_alloc(size_t size)
{
    struct list *room;
    struct block *b;
    void *ptr;
    if (size > SLAB_MAX || FROM_HEAP)
        return mem_zalloc(size);
    room = &rooms[(size + STEP - 1) / STEP];
    size = (size + STEP - 1) / STEP * STEP;
    if (room->head.next == NULL)
        list_init(room);
    if (list_empty(room))
        list_push_front(room, &block_new()->node);
    b = container_of(list_first(room), struct block, node);
    ptr = b->free;
    if (ptr != NULL) {
        b->free = *(void **)ptr;
        memset(ptr, 0, size);
    } else {
        ptr = (char *)b + b->fresh; /* the system's pages are zero */
        b->fresh += (uint32_t)size;
    }
    b->used++;
    if (is_full(b, size))
        list_remove(room, &b->node);
    return ptr;
}

void
slab_free(void *ptr, size_t size)
{
    struct block *b = (struct block *)((uintptr_t)ptr & ~(uintptr_t)(BLOCK - 1));
    struct list *room;
    bool was_full;
    if (ptr == NULL || size > SLAB_MAX || FROM_HEAP) {
        mem_free(ptr);
        return;
    }
    room = &rooms[(size + STEP - 1) / STEP];
    size = (size + STEP - 1) / STEP * STEP;
    was_full = is_full(b, size);
    *(void **)ptr = b->free;
    b->free = ptr;
    b->used--;
    if (was_full)
        list_push_back(room, &b->node);
    if (b->used == 0 && room->n > 1) /* one block stays, so that a lone client costs no system call */
        give_back(room, b);
}

void
slab_trim(void)
{
    for (int i = 0; i < CLASSES; i++) {
        struct list *room = &rooms[i];
        struct block *b = room->n == 1 ? container_of(list_first(room), struct block, node) : NULL;
        if (b != NULL && b->used == 0)
            give_back(room, b);
    }
}
