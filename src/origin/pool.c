#include "origin/pool.h"

#include "base/map.h"

enum { KEPT_AT_TRIM = 8 }; /* idle connections */

struct pool_slot {
    struct map_node node;
    struct list idle; /* of h1client, by in_slot; the youngest first */
    char key[];
};

struct pool {
    struct loop *loop; /* borrowed */
    unsigned max_idle;
    struct map slots;   /* of pool_slot; owned; a slot lives while it has a connection */
    struct list by_age; /* of h1client; the oldest first; owned */
};

struct pool *
pool_new(struct loop *l, unsigned max_idle)
{
    struct pool *p = mem_zalloc(sizeof *p);
    p->loop = l;
    p->max_idle = max_idle;
    map_init(&p->slots);
    list_init(&p->by_age);
    return p;
}

void
pool_shed(struct pool *p)
{
    while (!list_empty(&p->by_age))
        h1client_close(container_of(list_first(&p->by_age), struct h1client, by_age));
}

void
pool_free(struct pool *p)
{
    pool_shed(p);
    map_clear(&p->slots);
    mem_free(p);
}

void
pool_forget(struct h1client *c)
{
    struct pool_slot *slot = c->slot;
    if (slot == NULL)
        return;
    loop_timer_stop(c->pool->loop, &c->timer);
    list_remove(&c->pool->by_age, &c->by_age);
    list_remove(&slot->idle, &c->in_slot);
    c->slot = NULL;
    if (list_empty(&slot->idle)) {
        map_remove(&c->pool->slots, &slot->node);
        mem_free(slot);
    }
}

struct h1client *
pool_take(struct pool *p, struct str key, const struct h1client_ops *ops, void *user)
{
    struct map_node *node = map_find(&p->slots, key);
    struct h1client *c;
    if (node == NULL)
        return NULL;
    c = container_of(list_first(&container_of(node, struct pool_slot, node)->idle), struct h1client, in_slot);
    pool_forget(c);
    c->ops = ops;
    c->user = user;
    return c;
}

static void
on_timer(struct timer *t)
{
    h1client_close(container_of(t, struct h1client, timer));
}

void
pool_put(struct pool *p, struct str key, struct h1client *c)
{
    struct map_node *node = map_find(&p->slots, key);
    struct pool_slot *slot;
    if (p->max_idle == 0) {
        h1client_close(c);
        return;
    }
    if (p->by_age.n >= p->max_idle) {
        h1client_close(container_of(list_first(&p->by_age), struct h1client, by_age));
        node = map_find(&p->slots, key);
    }
    if (node != NULL) {
        slot = container_of(node, struct pool_slot, node);
    } else {
        slot = mem_alloc(sizeof *slot + key.len);
        memcpy(slot->key, key.ptr, key.len);
        slot->node.key = str_of(slot->key, key.len);
        list_init(&slot->idle);
        map_add(&p->slots, &slot->node);
    }
    conn_resume(&c->conn); /* bytes that nobody asked for end it, a slow client's pause or not */
    c->ops = NULL;
    c->pool = p;
    c->slot = slot;
    list_push_front(&slot->idle, &c->in_slot);
    list_push_back(&p->by_age, &c->by_age);
    timer_init(&c->timer, on_timer);
    loop_timer(p->loop, &c->timer, POOL_IDLE_S * 1000);
}

void
pool_trim(struct pool *p)
{
    while (p->by_age.n > KEPT_AT_TRIM)
        h1client_close(container_of(list_first(&p->by_age), struct h1client, by_age));
    list_each (&p->by_age, node) {
        struct h1client *c = container_of(node, struct h1client, by_age);
        http1_free(c->parser);
        c->parser = NULL;
    }
}
