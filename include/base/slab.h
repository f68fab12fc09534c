/* slab.h - memory for what a parked connection keeps.
 *
 *   block, 64 KiB, aligned:  [ header | object | object | (free) | object | never used ... ]
 *
 * The common heap is full of what comes and goes with each request, and one forgotten block in a page keeps the page.
 * Objects that stay for long live in blocks of objects of their size, apart from the heap: no header each, and a block
 * goes back to the system when its last object has gone. Sizes are rounded up to 8, which is how they are aligned; at
 * most SLAB_MAX. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

enum { SLAB_MAX = 1024 };

/* Zeroed. Larger sizes come from the heap; slab_free() is told which by the same SIZE. */
void *slab_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void slab_free(void *ptr, size_t size);
/* Give back the last empty block of each size, too. */
void slab_trim(void);

#endif
