#include "proxy/updates.h"

#include "base/map.h"

struct update_group {
    struct map_node node;
    struct updates *all;
    struct list waiting; /* of update */
    struct timer timer;  /* set as long as the group exists */
    char key[];
};

struct update_origin {
    struct map_node node;
    unsigned active;     /* updates that have a place */
    unsigned users;      /* those and the ones that wait: it lives while there are any */
    struct list waiting; /* of update */
    char key[];
};

struct updates {
    struct loop *loop;  /* borrowed */
    struct list urgent; /* of update */
    struct list ready;  /* of update: there is a place now */
    struct task task;   /* starts both */
    struct map groups;  /* owned */
    struct map origins; /* owned */
};

static void
leave_list(struct update *u)
{
    if (list_in(&u->node))
        list_remove(u->list, &u->node);
    u->list = NULL;
}

static void
join_list(struct update *u, struct list *l)
{
    u->list = l;
    list_push_back(l, &u->node);
}

static struct update *
first(struct list *l)
{
    return list_empty(l) ? NULL : container_of(list_first(l), struct update, node);
}

/* places at origins */

static struct update_origin *
find_origin(struct updates *us, struct str key)
{
    struct map_node *node = map_find(&us->origins, key);
    struct update_origin *o;
    if (node != NULL)
        return container_of(node, struct update_origin, node);
    o = mem_zalloc(sizeof *o + key.len);
    memcpy(o->key, key.ptr, key.len);
    o->node.key = str_of(o->key, key.len);
    list_init(&o->waiting);
    map_add(&us->origins, &o->node);
    return o;
}

static void
leave_origin(struct updates *us, struct update *u)
{
    struct update_origin *o = u->place;
    struct update *next;
    if (o == NULL)
        return;
    if (u->has_place)
        o->active--;
    u->place = NULL;
    u->has_place = false;
    if (--o->users == 0) {
        map_remove(&us->origins, &o->node);
        mem_free(o);
        return;
    }
    while (o->active < UPDATES_AT_ORIGIN && (next = first(&o->waiting)) != NULL) {
        leave_list(next);
        next->has_place = true;
        o->active++;
        join_list(next, &us->ready);
        loop_later(us->loop, &us->task);
    }
}

/* Its turn in the group has come. */
static void
start(struct update *u)
{
    leave_list(u);
    if (u->place->active >= UPDATES_AT_ORIGIN) {
        join_list(u, &u->place->waiting);
        return;
    }
    u->place->active++;
    u->has_place = true;
    u->cb(u);
}

static void
on_task(struct task *t)
{
    struct updates *us = container_of(t, struct updates, task);
    struct update *u;
    for (unsigned n = 0; n < UPDATES_BATCH && (u = first(&us->urgent)) != NULL; n++) {
        leave_list(u);
        u->cb(u);
    }
    for (unsigned n = 0; n < UPDATES_BATCH && (u = first(&us->ready)) != NULL; n++) {
        leave_list(u);
        u->cb(u);
    }
    if (!list_empty(&us->urgent) || !list_empty(&us->ready))
        loop_later(us->loop, t);
}

/* groups */

static void
on_timer(struct timer *t)
{
    struct update_group *g = container_of(t, struct update_group, timer);
    struct updates *us = g->all;
    struct update *u;
    if (list_empty(&g->waiting)) {
        map_remove(&us->groups, &g->node);
        mem_free(g);
        return;
    }
    loop_timer(us->loop, t, UPDATES_PERIOD_MS); /* also when it is empty now: the next one waits its turn */
    for (unsigned n = 0; n < UPDATES_BATCH && (u = first(&g->waiting)) != NULL; n++)
        start(u);
}

static struct update_group *
find_group(struct updates *us, struct str key)
{
    struct map_node *node = map_find(&us->groups, key);
    struct update_group *g;
    if (node != NULL)
        return container_of(node, struct update_group, node);
    g = mem_zalloc(sizeof *g + key.len);
    g->all = us;
    memcpy(g->key, key.ptr, key.len);
    g->node.key = str_of(g->key, key.len);
    list_init(&g->waiting);
    timer_init(&g->timer, on_timer);
    map_add(&us->groups, &g->node);
    loop_timer(us->loop, &g->timer, UPDATES_PERIOD_MS);
    return g;
}

struct updates *
updates_new(struct loop *l)
{
    struct updates *us = mem_zalloc(sizeof *us);
    us->loop = l;
    list_init(&us->urgent);
    list_init(&us->ready);
    task_init(&us->task, on_task);
    map_init(&us->groups);
    map_init(&us->origins);
    return us;
}

static void
free_group(struct map_node *node, void *arg)
{
    struct updates *us = arg;
    struct update_group *g = container_of(node, struct update_group, node);
    loop_timer_stop(us->loop, &g->timer);
    map_remove(&us->groups, node);
    mem_free(g);
}

void
updates_free(struct updates *us)
{
    loop_cancel(us->loop, &us->task);
    map_each(&us->groups, free_group, us);
    map_clear(&us->groups);
    map_clear(&us->origins);
    mem_free(us);
}

void
updates_add(struct updates *us, struct update *u, bool urgent, struct str group, struct str origin)
{
    if (list_in(&u->node)) {
        if (u->urgent || !urgent)
            return;
        leave_list(u);
    }
    leave_origin(us, u);
    u->urgent = urgent;
    if (urgent) {
        join_list(u, &us->urgent);
        loop_later(us->loop, &us->task);
        return;
    }
    u->place = find_origin(us, origin);
    u->place->users++;
    join_list(u, &find_group(us, group)->waiting);
}

void
updates_done(struct updates *us, struct update *u)
{
    leave_list(u);
    leave_origin(us, u);
}
