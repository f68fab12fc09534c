#include "pub/walk.h"

#include "base/clock.h"
#include "pub/channel.h"

enum {
    SLICE_US = 1000, /* what others wait at most for their turn */
    SLICE = 4096,    /* buckets in one turn, at most */
    CHECK_EVERY = 8, /* buckets between two looks at the clock */
    SHRINK = 1024    /* buckets that are given back in one turn */
};

static void
visit(struct map_node *node, void *arg)
{
    const struct walk *w = arg;
    w->cb(container_of(node, struct channel, node), w->arg);
}

/* true: all have been visited. */
static bool
visit_some(struct walk *w)
{
    struct map *map = channels_map(w->table);
    uint64_t deadline = clock_exact_us() + SLICE_US;
    for (unsigned n = 1; map_walk(map, &w->at, visit, w); n++)
        if (n >= SLICE || (n % CHECK_EVERY == 0 && clock_exact_us() >= deadline))
            return false;
    return true;
}

static void
on_task(struct task *t)
{
    struct walk *w = container_of(t, struct walk, task);
    struct map *map = channels_map(w->table);
    if (!w->over && visit_some(w)) {
        map_walk_end(map);
        w->over = true;
    }
    if (!w->over || map_shrink(map, SHRINK)) {
        loop_later(w->loop, t);
    } else if (w->again) {
        struct channels *table = w->table;
        w->table = NULL;
        walk_start(w, table);
    } else {
        w->table = NULL;
        if (w->on_end != NULL)
            w->on_end(w->arg);
    }
}

void
walk_init(struct walk *w, struct loop *l, void (*cb)(struct channel *ch, void *arg), void (*on_end)(void *arg),
          void *arg)
{
    *w = (struct walk){.loop = l, .cb = cb, .on_end = on_end, .arg = arg};
    task_init(&w->task, on_task);
}

void
walk_start(struct walk *w, struct channels *t)
{
    if (w->table != NULL) {
        w->again = true;
        return;
    }
    w->table = t;
    w->at = 0;
    w->again = w->over = false;
    map_walk_begin(channels_map(t));
    loop_later(w->loop, &w->task);
}

void
walk_stop(struct walk *w)
{
    loop_cancel(w->loop, &w->task);
    if (w->table != NULL && !w->over)
        map_walk_end(channels_map(w->table));
    w->table = NULL;
}
