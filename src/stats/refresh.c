#include "stats/refresh.h"

enum { SLICE = 128, LOOKS = 8192 }; /* of one turn: entries, and places that were looked at */

static void
on_task(struct task *t)
{
    struct refresh *r = container_of(t, struct refresh, task);
    uint32_t end = live_end(r->live);
    unsigned told = 0, looks = 0;
    while (r->at < end && told < SLICE && looks++ < LOOKS) {
        struct live_entry *e = live_at(r->live, r->at);
        if (e != NULL) {
            r->cb(r->arg, r->at, e);
            told++;
        }
        r->at += r->period;
    }
    if (r->at >= end) {
        if (--r->due == 0)
            return;
        r->share = (r->share + 1) % r->period;
        r->at = r->share;
    }
    loop_later(r->loop, &r->task);
}

void
refresh_init(struct refresh *r, struct loop *l, const struct live *live, unsigned ttl,
             void (*cb)(void *arg, uint32_t number, struct live_entry *e), void *arg)
{
    *r = (struct refresh){.loop = l, .live = live, .cb = cb, .arg = arg, .period = ttl / 4 * 3 + ttl % 4 * 3 / 4};
    if (r->period == 0)
        r->period = 1;
    task_init(&r->task, on_task);
}

void
refresh_tick(struct refresh *r)
{
    if (r->due > 0) {
        if (r->due < r->period)
            r->due++;
        return;
    }
    r->due = 1;
    r->share = (r->share + 1) % r->period;
    r->at = r->share;
    loop_later(r->loop, &r->task);
}

void
refresh_stop(struct refresh *r)
{
    r->due = 0;
    loop_cancel(r->loop, &r->task);
}
