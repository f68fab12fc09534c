#include "main/trim.h"

#include "base/slab.h"
#include "client/h1server.h"
#include "origin/origin.h"
#include "proxy/proxy.h"

#include <malloc.h>

enum {
    AFTER = 1000,   /* closed connections after which memory is given back */
    DELAY_MS = 100, /* and the quiet before that */
    TELLING = 100,  /* origins being told that a client has gone: more are no quiet */
    TELLING_MS = 1000
};

static void
on_timer(struct timer *timer)
{
    struct trim *t = container_of(timer, struct trim, timer);
    if (proxy_telling(t->proxy) > TELLING) {
        loop_timer(t->loop, timer, TELLING_MS);
    } else if (t->closed > 0) {
        t->closed = 0;
        h1server_trim(t->clients);
        origin_trim(t->origin);
        loop_timer(t->loop, timer, DELAY_MS); /* by then what this has closed is freed */
    } else {
        slab_trim();
        malloc_trim(0);
    }
}

void
trim_init(struct trim *t, struct loop *l, struct h1server *clients, struct origin *origin, const struct proxy *proxy)
{
    t->loop = l;
    t->clients = clients;
    t->origin = origin;
    t->proxy = proxy;
    t->closed = 0;
    timer_init(&t->timer, on_timer);
}

void
trim_note(struct trim *t)
{
    if (++t->closed >= AFTER)
        loop_timer(t->loop, &t->timer, DELAY_MS);
}

void
trim_stop(struct trim *t)
{
    if (t->loop != NULL)
        loop_timer_stop(t->loop, &t->timer);
}
