/* loop.h - the one event loop: timers, tasks for later, signals, and the reaper of closed objects.
 *
 *   one turn:  events of descriptors  >  due timers  >  tasks queued so far  >  memory of what was closed
 *
 * Everything of ours runs on this loop, in one thread. Tests use the same loop without descriptors: with a faked clock
 * loop_advance() moves time and runs what is due. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/wheel.h"

struct loop;

struct loop *loop_new(void);
/* Closed objects that wait for the reaper are freed first. */
void loop_free(struct loop *l);
/* Until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Fire T's callback once, MS from now, at most a tick (16 ms) late. Moves a timer that is set. */
void loop_timer(struct loop *l, struct timer *t, uint64_t ms);
void loop_timer_stop(struct loop *l, struct timer *t);

/* Something to do in the next turn, after the events. Queued once however often it is asked for. */
struct task {
    struct list_node node;      /* in the loop's queue; not in it: next == NULL */
    void (*cb)(struct task *t); /* constant */
};
static inline void
task_init(struct task *t, void (*cb)(struct task *t))
{
    t->node.prev = t->node.next = NULL;
    t->cb = cb;
}
void loop_later(struct loop *l, struct task *t);
void loop_cancel(struct loop *l, struct task *t);

/* Free PTR with FREE_CB when this turn is over: nothing on the stack uses it any more then. */
void loop_reap(struct loop *l, void *ptr, void (*free_cb)(void *ptr));

/* CB runs on the loop when the signal has come. A signal is watched once. */
void loop_on_signal(struct loop *l, int signo, void (*cb)(int signo, void *arg), void *arg);

/* For tests: let MS pass on the faked clock, a tick at a time, and run timers, tasks and the reaper as they come. */
void loop_advance(struct loop *l, uint64_t ms);
/* For tests: one turn that does not wait. */
void loop_poll(struct loop *l);

#endif
