/* mem.h - memory, or the end of the process.
 *
 * Nobody checks for NULL: a program that runs out of memory in the middle of a hundred thousand connections
 * has no better plan than to stop and be started again. So a size that comes from outside is bounded before it
 * is allocated. All blocks are given back with mem_free(). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_realloc(void *ptr, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
void mem_free(void *ptr);

/* The object that embeds MEMBER at PTR. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define countof(array) (sizeof(array) / sizeof((array)[0]))

#endif
