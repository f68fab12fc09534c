#include "proxy/updates.h"

enum { PERIOD_MS = 100, BATCH = 100 };

struct updates {
    struct loop *loop;       /* borrowed */
    struct list urgent, low; /* of update */
    struct task task;
    struct timer timer;
};

static void
start(struct list *l, size_t most)
{
    while (most-- > 0 && !list_empty(l)) {
        struct update *u = container_of(list_pop_front(l), struct update, node);
        u->cb(u);
    }
}

static void
on_task(struct task *t)
{
    struct updates *us = container_of(t, struct updates, task);
    start(&us->urgent, BATCH);
    if (!list_empty(&us->urgent))
        loop_later(us->loop, t);
}

static void
on_timer(struct timer *t)
{
    struct updates *us = container_of(t, struct updates, timer);
    start(&us->low, BATCH);
    if (!list_empty(&us->low))
        loop_timer(us->loop, t, PERIOD_MS);
}

struct updates *
updates_new(struct loop *l)
{
    struct updates *us = mem_zalloc(sizeof *us);
    us->loop = l;
    list_init(&us->urgent);
    list_init(&us->low);
    task_init(&us->task, on_task);
    timer_init(&us->timer, on_timer);
    return us;
}

void
updates_free(struct updates *us)
{
    loop_cancel(us->loop, &us->task);
    loop_timer_stop(us->loop, &us->timer);
    mem_free(us);
}

void
updates_add(struct updates *us, struct update *u, bool urgent)
{
    if (list_in(&u->node)) {
        if (u->urgent || !urgent)
            return;
        updates_remove(us, u);
    }
    u->urgent = urgent;
    list_push_back(urgent ? &us->urgent : &us->low, &u->node);
    if (urgent)
        loop_later(us->loop, &us->task);
    else if (!timer_is_set(&us->timer))
        loop_timer(us->loop, &us->timer, PERIOD_MS);
}

void
updates_remove(struct updates *us, struct update *u)
{
    if (list_in(&u->node))
        list_remove(u->urgent ? &us->urgent : &us->low, &u->node);
}
