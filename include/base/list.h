/* list.h - intrusive, doubly linked list that knows its length.
 *
 * The node lives in the element, so adding takes no memory and leaving is O(1). A node that is in no list has
 * next == NULL when it was zeroed or removed. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/mem.h"

#include <stdbool.h>

struct list_node {
    struct list_node *prev, *next;
};

struct list {
    struct list_node head; /* head.next is the first, head.prev the last; itself when empty */
    size_t n;
};

static inline void
list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->n = 0;
}

static inline bool
list_empty(const struct list *l)
{
    return l->n == 0;
}

static inline bool
list_in(const struct list_node *node)
{
    return node->next != NULL;
}

static inline void
list_insert_before(struct list *l, struct list_node *at, struct list_node *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
    l->n++;
}

static inline void
list_push_back(struct list *l, struct list_node *node)
{
    list_insert_before(l, &l->head, node);
}

static inline void
list_push_front(struct list *l, struct list_node *node)
{
    list_insert_before(l, l->head.next, node);
}

static inline void
list_remove(struct list *l, struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
    l->n--;
}

/* The first node, or NULL. */
static inline struct list_node *
list_first(const struct list *l)
{
    return l->n > 0 ? l->head.next : NULL;
}

static inline struct list_node *
list_last(const struct list *l)
{
    return l->n > 0 ? l->head.prev : NULL;
}

static inline struct list_node *
list_pop_front(struct list *l)
{
    struct list_node *node = list_first(l);
    if (node != NULL)
        list_remove(l, node);
    return node;
}

/* Walk; the body may remove NODE itself only in the safe form. */
#define list_each(l, node) for (struct list_node *node = (l)->head.next; node != &(l)->head; node = node->next)
#define list_each_safe(l, node, after)                                                                                 \
    for (struct list_node *node = (l)->head.next, *after = node->next; node != &(l)->head;                             \
         node = after, after = after->next)

#endif
