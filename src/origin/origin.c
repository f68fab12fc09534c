#include "origin/requestbase.h"

#include "io/tls.h"
#include "origin/demo.h"

struct origin *
origin_new(struct loop *l, const struct origin_settings *settings, struct resolver *resolver)
{
    struct origin *o = mem_zalloc(sizeof *o);
    o->loop = l;
    o->settings = *settings;
    o->resolver = resolver;
    o->pool = pool_new(l, settings->max_idle);
    o->tls = tls_client_new();
    failures_init(&o->failures);
    buf_init(&o->head, 1 << 24);
    buf_init(&o->key, 1 << 24);
    buf_init(&o->demo, 1 << 20);
    demo_put(settings->publish_port, &o->demo);
    return o;
}

void
origin_set_stats(struct origin *o, struct stats *s)
{
    o->stats = s;
}

void
origin_trim(struct origin *o)
{
    pool_trim(o->pool);
}

void
origin_shed(struct origin *o)
{
    pool_shed(o->pool);
}

void
origin_free(struct origin *o)
{
    pool_free(o->pool);
    failures_clear(&o->failures);
    buf_clear(&o->head);
    buf_clear(&o->key);
    buf_clear(&o->demo);
    tls_client_free(o->tls);
    mem_free(o);
}
