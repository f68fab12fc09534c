#include "base/wheel.h"

enum { BITS = 6, MASK = WHEEL_SLOTS - 1, TOP = WHEEL_LEVELS * BITS };

static uint64_t
tick_of(const struct wheel *w, uint64_t ms)
{
    return ms > w->start ? (ms - w->start) / WHEEL_TICK_MS : 0;
}

void
wheel_init(struct wheel *w, uint64_t now_ms)
{
    w->start = now_ms;
    w->now = 0;
    w->n = 0;
    w->firing = false;
    for (int i = 0; i < WHEEL_LEVELS; i++)
        w->used[i] = 0;
    for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++)
        w->slots[i].prev = w->slots[i].next = &w->slots[i];
}

static void
link_timer(struct wheel *w, struct timer *t)
{
    uint32_t far = t->due - (uint32_t)w->now;
    unsigned level = far < 1u << BITS ? 0 : far < 1u << 2 * BITS ? 1 : far < 1u << 3 * BITS ? 2 : 3;
    unsigned slot = t->due >> level * BITS & MASK;
    struct timer *head = &w->slots[level * WHEEL_SLOTS + slot];
    t->slot = level * WHEEL_SLOTS + slot;
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
    w->used[level] |= (uint64_t)1 << slot;
}

static void
unlink_timer(struct wheel *w, struct timer *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
    if (t->next == t->prev && t->next == &w->slots[t->slot])
        w->used[t->slot / WHEEL_SLOTS] &= ~((uint64_t)1 << (t->slot & MASK));
    t->prev = t->next = NULL;
}

void
wheel_set(struct wheel *w, struct timer *t, uint64_t now_ms, uint64_t ms)
{
    uint64_t most = (1u << TOP) - (1u << (TOP - BITS)), due; /* ticks: the top level never laps itself */
    if (timer_is_set(t))
        unlink_timer(w, t);
    else
        w->n++;
    if (w->n == 1 && !w->firing)
        w->now = tick_of(w, now_ms); /* nothing to fire in between */
    due = ((now_ms > w->start ? now_ms - w->start : 0) + (ms < UINT32_MAX ? ms : UINT32_MAX) + WHEEL_TICK_MS - 1) /
          WHEEL_TICK_MS;
    if (due <= w->now)
        due = w->now + 1; /* this tick's slot has been emptied already */
    if (due > w->now + most)
        due = w->now + most;
    t->due = (uint32_t)due;
    link_timer(w, t);
}

void
wheel_stop(struct wheel *w, struct timer *t)
{
    if (!timer_is_set(t))
        return;
    unlink_timer(w, t);
    w->n--;
}

/* Empty a slot of an upper level into the levels below. */
static void
cascade(struct wheel *w, unsigned level)
{
    struct timer *head = &w->slots[level * WHEEL_SLOTS + (w->now >> level * BITS & MASK)];
    while (head->next != head) {
        struct timer *t = head->next;
        unlink_timer(w, t);
        link_timer(w, t);
    }
}

/* The next tick after w->now at which a slot of level 0 fires or an upper slot comes down. */
static uint64_t
next_tick(const struct wheel *w)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        unsigned at = (unsigned)(w->now >> level * BITS & MASK);
        uint64_t later = at == MASK ? 0 : w->used[level] >> (at + 1) << (at + 1);
        uint64_t round = w->now >> (level + 1) * BITS << (level + 1) * BITS;
        if (later != 0)
            return round + ((uint64_t)__builtin_ctzll(later) << level * BITS);
        if (w->used[level] != 0) /* in the next round of this level */
            return round + (1u << (level + 1) * BITS);
    }
    return w->now + (1u << TOP);
}

void
wheel_advance(struct wheel *w, uint64_t now_ms)
{
    uint64_t target = tick_of(w, now_ms);
    w->firing = true;
    while (w->now < target) {
        uint64_t next = w->n > 0 ? next_tick(w) : target;
        struct timer *head;
        if (next > target)
            next = target;
        w->now = next;
        for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--)
            if ((w->now & ((1u << level * BITS) - 1)) == 0)
                cascade(w, level);
        head = &w->slots[w->now & MASK];
        while (head->next != head) {
            struct timer *t = head->next;
            unlink_timer(w, t);
            w->n--;
            t->cb(t);
        }
    }
    w->firing = false;
}

uint64_t
wheel_next(const struct wheel *w, uint64_t now_ms)
{
    uint64_t at;
    if (w->n == 0)
        return UINT64_MAX;
    at = w->start + next_tick(w) * WHEEL_TICK_MS;
    return at > now_ms ? at - now_ms : 0;
}
