#include "origin/failures.h"

#include "base/clock.h"
#include "base/mem.h"

enum { LATELY_MS = 5000 };

struct failure {
    struct map_node node;
    uint64_t until; /* ms */
    char key[];
};

void
failures_init(struct failures *f)
{
    map_init(&f->by_key);
}

static void
drop(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    mem_free(container_of(node, struct failure, node));
}

void
failures_clear(struct failures *f)
{
    map_each(&f->by_key, drop, &f->by_key);
    map_clear(&f->by_key);
}

static void
drop_old(struct map_node *node, void *arg)
{
    if (clock_now() >= container_of(node, struct failure, node)->until)
        drop(node, arg);
}

bool
failures_note(struct failures *f, struct str key)
{
    struct map_node *node = map_find(&f->by_key, key);
    struct failure *one = node != NULL ? container_of(node, struct failure, node) : NULL;
    bool known = one != NULL && clock_now() < one->until;
    if (one == NULL) {
        map_each(&f->by_key, drop_old, &f->by_key);
        one = mem_alloc(sizeof *one + key.len);
        memcpy(one->key, key.ptr, key.len);
        one->node.key = str_of(one->key, key.len);
        map_add(&f->by_key, &one->node);
    }
    one->until = clock_now() + LATELY_MS;
    return known;
}

bool
failures_has(struct failures *f, struct str key)
{
    struct map_node *node = map_find(&f->by_key, key);
    return node != NULL && clock_now() < container_of(node, struct failure, node)->until;
}
