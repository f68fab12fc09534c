#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *ptr, size_t size)
{
    if (ptr == NULL) {
        fprintf(stderr, "out of memory: cannot get %zu bytes; the process ends\n", size);
        abort();
    }
    return ptr;
}

void *
mem_alloc(size_t size)
{
    return checked(malloc(size > 0 ? size : 1), size);
}

void *
mem_zalloc(size_t size)
{
    return checked(calloc(1, size > 0 ? size : 1), size);
}

void *
mem_realloc(void *ptr, size_t size)
{
    return checked(realloc(ptr, size > 0 ? size : 1), size);
}

char *
mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mem_alloc(n), s, n);
}

void
mem_free(void *ptr)
{
    free(ptr);
}
