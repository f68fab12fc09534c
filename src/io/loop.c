#include "io/loop.h"

#include "base/clock.h"
#include "io/loopbase.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SIGNALS = 8 };

struct dead {
    void *ptr;
    void (*free_cb)(void *ptr);
};

struct signal_watch {
    struct loop *loop;
    struct event *event; /* owned */
    void (*cb)(int signo, void *arg);
    void *arg;
};

struct loop {
    struct event_base *base; /* owned */
    struct event *alarm;     /* owned; wakes the loop for the wheel */
    uint64_t alarm_at;       /* ms when it rings; 0: not set */
    struct wheel wheel;
    struct list tasks; /* of struct task; borrowed */
    struct dead *dead; /* owned */
    size_t n_dead, cap_dead;
    struct signal_watch signals[SIGNALS];
    unsigned n_signals;
    bool stop;
    bool stale; /* the clock has not been read in this turn yet */
    char read_buffer[LOOP_READ_SIZE];
};

static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    (void)fd, (void)what;
    l->alarm_at = 0;
    loop_woke(l);
}

/* libevent keeps a record of 16 bytes for each descriptor number, for ever. In the common heap these would lie between
 * what connections use and hold every page of it after they have gone; so small blocks of libevent's have a place of
 * their own, reserved at start and filled page by page. */
enum { CELL = 16, CELLS = 1 << 20 };

static char *cells;       /* CELLS of CELL bytes; NULL: there is no such place */
static size_t cells_used; /* handed out at least once */
static void *free_cell;   /* list through the first word */

static bool
is_cell(const void *ptr)
{
    return cells != NULL && (const char *)ptr >= cells && (const char *)ptr < cells + (size_t)CELL * CELLS;
}

static void *
event_alloc(size_t size)
{
    void *cell = free_cell;
    if (size > CELL || cells == NULL || (cell == NULL && cells_used == CELLS))
        return malloc(size);
    if (cell != NULL)
        free_cell = *(void **)cell;
    else
        cell = cells + CELL * cells_used++;
    return cell;
}

static void
event_release(void *ptr)
{
    if (!is_cell(ptr)) {
        free(ptr);
        return;
    }
    *(void **)ptr = free_cell;
    free_cell = ptr;
}

static void *
event_resize(void *ptr, size_t size)
{
    void *fresh;
    if (ptr != NULL && !is_cell(ptr))
        return realloc(ptr, size);
    if (ptr != NULL && size <= CELL)
        return ptr;
    fresh = event_alloc(size);
    if (fresh != NULL && ptr != NULL) {
        memcpy(fresh, ptr, CELL);
        event_release(ptr);
    }
    return fresh;
}

/* Before libevent allocates anything. */
static void
place_cells(void)
{
    void *place;
    if (cells != NULL)
        return;
    place =
        mmap(NULL, (size_t)CELL * CELLS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return;
    cells = place;
    event_set_mem_functions(event_alloc, event_resize, event_release);
}

struct loop *
loop_new(void)
{
    struct loop *l = mem_zalloc(sizeof *l);
    struct event_config *config;
    place_cells();
    config = event_config_new();
    if (config == NULL)
        abort();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    if (l->base == NULL || (l->alarm = evtimer_new(l->base, on_alarm, l)) == NULL)
        abort(); /* no epoll descriptor at start: there is nothing to serve with */
    clock_update();
    wheel_init(&l->wheel, clock_now());
    list_init(&l->tasks);
    return l;
}

static void
reap(struct loop *l)
{
    /* freeing may close more: those wait in the same array */
    for (size_t i = 0; i < l->n_dead; i++) {
        struct dead d = l->dead[i];
        d.free_cb(d.ptr);
    }
    l->n_dead = 0;
    if (l->cap_dead > 256) {
        mem_free(l->dead);
        l->dead = NULL;
        l->cap_dead = 0;
    }
}

void
loop_free(struct loop *l)
{
    reap(l);
    for (unsigned i = 0; i < l->n_signals; i++)
        event_free(l->signals[i].event);
    event_free(l->alarm);
    event_base_free(l->base);
    mem_free(l->dead);
    mem_free(l);
}

static void
run_tasks(struct loop *l)
{
    size_t n = l->tasks.n; /* what these queue runs in the next turn */
    while (n-- > 0 && !list_empty(&l->tasks)) {
        struct task *t = container_of(list_pop_front(&l->tasks), struct task, node);
        t->cb(t);
    }
}

static void
finish_turn(struct loop *l)
{
    loop_woke(l);
    wheel_advance(&l->wheel, clock_now());
    run_tasks(l);
    reap(l);
}

static void
set_alarm(struct loop *l)
{
    uint64_t now = clock_now(), wait = wheel_next(&l->wheel, now);
    struct timeval tv;
    if (wait == UINT64_MAX || (l->alarm_at != 0 && l->alarm_at <= now + wait))
        return; /* it rings early enough already */
    if (wait > 86400000)
        wait = 86400000;
    tv = (struct timeval){.tv_sec = (time_t)(wait / 1000), .tv_usec = (suseconds_t)(wait % 1000 * 1000)};
    l->alarm_at = now + wait;
    evtimer_add(l->alarm, &tv);
}

static void
turn(struct loop *l, int flags)
{
    if (list_empty(&l->tasks))
        set_alarm(l);
    else
        flags |= EVLOOP_NONBLOCK;
    l->stale = true;
    event_base_loop(l->base, EVLOOP_ONCE | flags);
    finish_turn(l);
}

void
loop_run(struct loop *l)
{
    l->stop = false;
    finish_turn(l);
    while (!l->stop)
        turn(l, 0);
}

void
loop_stop(struct loop *l)
{
    l->stop = true;
    event_base_loopbreak(l->base);
}

void
loop_woke(struct loop *l)
{
    if (l->stale) {
        l->stale = false;
        clock_update();
    }
}

void
loop_timer(struct loop *l, struct timer *t, uint64_t ms)
{
    wheel_set(&l->wheel, t, clock_now(), ms);
}

void
loop_timer_stop(struct loop *l, struct timer *t)
{
    wheel_stop(&l->wheel, t);
}

void
loop_later(struct loop *l, struct task *t)
{
    if (!list_in(&t->node))
        list_push_back(&l->tasks, &t->node);
}

void
loop_cancel(struct loop *l, struct task *t)
{
    if (list_in(&t->node))
        list_remove(&l->tasks, &t->node);
}

void
loop_reap(struct loop *l, void *ptr, void (*free_cb)(void *ptr))
{
    if (l->n_dead == l->cap_dead) {
        l->cap_dead = l->cap_dead > 0 ? l->cap_dead * 2 : 64;
        l->dead = mem_realloc(l->dead, l->cap_dead * sizeof *l->dead);
    }
    l->dead[l->n_dead++] = (struct dead){ptr, free_cb};
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct signal_watch *w = arg;
    (void)what;
    loop_woke(w->loop);
    w->cb((int)signo, w->arg);
}

void
loop_on_signal(struct loop *l, int signo, void (*cb)(int signo, void *arg), void *arg)
{
    struct signal_watch *w = &l->signals[l->n_signals];
    if (l->n_signals == SIGNALS)
        abort();
    *w = (struct signal_watch){l, NULL, cb, arg};
    w->event = evsignal_new(l->base, signo, on_signal, w);
    if (w->event == NULL || event_add(w->event, NULL) != 0)
        abort();
    l->n_signals++;
}

struct event_base *
loop_base(struct loop *l)
{
    return l->base;
}

char *
loop_read_buffer(struct loop *l)
{
    return l->read_buffer;
}

void
loop_advance(struct loop *l, uint64_t ms)
{
    finish_turn(l);
    while (ms > 0) {
        uint64_t step = ms < WHEEL_TICK_MS ? ms : WHEEL_TICK_MS;
        clock_fake_advance(step);
        ms -= step;
        finish_turn(l);
        while (!list_empty(&l->tasks))
            finish_turn(l);
    }
}

void
loop_poll(struct loop *l)
{
    turn(l, EVLOOP_NONBLOCK);
}
