#include "origin/failures.h"

#include "base/clock.h"
#include "base/mem.h"

enum { FAILED_MS = 5000 };

struct failure {
    struct map_node node;
    uint64_t until; /* ms */
    char key[];
};

void
failures_init(struct failures *f)
{
    map_init(&f->targets);
}

static void
remove_one(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    mem_free(container_of(node, struct failure, node));
}

void
failures_clear(struct failures *f)
{
    map_each(&f->targets, remove_one, &f->targets);
    map_clear(&f->targets);
}

void
failures_note(struct failures *f, struct str target)
{
    struct map_node *node = map_find(&f->targets, target);
    struct failure *one;
    if (node == NULL) {
        one = mem_alloc(sizeof *one + target.len);
        memcpy(one->key, target.ptr, target.len);
        one->node.key = str_of(one->key, target.len);
        map_add(&f->targets, &one->node);
    } else {
        one = container_of(node, struct failure, node);
    }
    one->until = clock_now() + FAILED_MS;
}

bool
failures_lately(struct failures *f, struct str target)
{
    struct map_node *node = map_find(&f->targets, target);
    if (node == NULL)
        return false;
    if (clock_now() < container_of(node, struct failure, node)->until)
        return true;
    remove_one(node, &f->targets);
    return false;
}
