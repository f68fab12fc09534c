#include "pub/hold.h"

#include "pub/channel.h"

void
hold_init(struct hold *h, const struct hold_ops *ops, enum format_kind kind, struct route *route, void *client)
{
    h->ops = ops;
    h->subs = NULL;
    h->route = route;
    h->kind = (uint8_t)kind;
    h->n_subs = 0;
    h->client = client;
    h->first_used = h->filters_itself = false;
}

void
hold_clear(struct hold *h)
{
    while (h->subs != NULL)
        channels_unsubscribe(h->subs);
    route_unref(h->route);
    h->route = NULL;
}

struct sub_more *
sub_more(struct sub *sub)
{
    if (sub->more == NULL)
        sub->more = mem_zalloc(sizeof *sub->more);
    return sub->more;
}

void
sub_set_prev_id(struct sub *sub, struct str id)
{
    struct shared_bytes *old = sub->more != NULL ? sub->more->prev_id : NULL;
    if (id.ptr == NULL && old == NULL)
        return;
    sub_more(sub)->prev_id = id.ptr != NULL ? shared_bytes_new(id) : NULL;
    if (old != NULL)
        shared_unref(&old->shared);
}

struct sub *
hold_find(const struct hold *h, struct str channel)
{
    for (struct sub *s = h->subs; s != NULL; s = s->next)
        if (str_eq(s->channel->node.key, channel))
            return s;
    return NULL;
}

struct str
hold_channel(const struct hold *h)
{
    return h->subs != NULL ? h->subs->channel->node.key : STR("");
}
