#include "pub/channel.h"

enum { FIRST_SECOND_MS = 1000 };

struct channels {
    struct loop *loop; /* borrowed */
    struct channels_settings settings;
    struct channels_ops ops;
    void *arg;
    struct map map; /* of channel, by name; owned */
};

struct linger {
    struct timer timer;
    struct channel *channel;
};

static void channel_free(struct channel *ch);

struct channels *
channels_new(struct loop *l, const struct channels_settings *settings)
{
    struct channels *t = mem_zalloc(sizeof *t);
    t->loop = l;
    t->settings = *settings;
    map_init(&t->map);
    return t;
}

static void
free_one(struct map_node *node, void *arg)
{
    (void)arg;
    channel_free(container_of(node, struct channel, node));
}

void
channels_free(struct channels *t)
{
    map_each(&t->map, free_one, NULL);
    map_clear(&t->map);
    mem_free(t);
}

void
channels_listen(struct channels *t, const struct channels_ops *ops, void *arg)
{
    t->ops = *ops;
    t->arg = arg;
}

struct channel *
channels_find(struct channels *t, struct str name)
{
    struct map_node *node = map_find(&t->map, name);
    return node != NULL ? container_of(node, struct channel, node) : NULL;
}

size_t
channels_count(const struct channels *t)
{
    return t->map.n;
}

static bool
is_empty(const struct channel *ch)
{
    for (int k = 0; k < FORMAT_KINDS; k++)
        if (ch->subs[k].live > 0)
            return false;
    return true;
}

static void
stop_linger(struct channel *ch)
{
    if (ch->linger == NULL)
        return;
    loop_timer_stop(ch->table->loop, ch->linger);
    mem_free(container_of(ch->linger, struct linger, timer));
    ch->linger = NULL;
    ch->first_second = false;
}

static void
channel_free(struct channel *ch)
{
    struct channels *t = ch->table;
    stop_linger(ch);
    map_remove(&t->map, &ch->node);
    if (t->ops.on_last != NULL)
        t->ops.on_last(t->arg, ch);
    for (int k = 0; k < FORMAT_KINDS; k++)
        mem_free(ch->subs[k].at);
    channel_forget_id(ch);
    mem_free(ch);
}

void
channel_forget_id(struct channel *ch)
{
    if (ch->last_id != NULL)
        shared_unref(&ch->last_id->shared);
    ch->last_id = NULL;
}

static void
update_each(struct channel *ch, enum format_kind kind)
{
    struct subs *s = &ch->subs[kind];
    for (uint32_t i = 0; i < s->n; i++)
        if (s->at[i] != NULL)
            s->at[i]->hold->ops->update(s->at[i]->hold, UPDATE_LOW);
}

static void
on_linger(struct timer *timer)
{
    struct channel *ch = container_of(timer, struct linger, timer)->channel;
    bool first_second = ch->first_second;
    stop_linger(ch);
    if (!first_second) {
        channel_free(ch);
        return;
    }
    /* an update never changes the table within the call */
    update_each(ch, FORMAT_HTTP_RESPONSE);
    update_each(ch, FORMAT_HTTP_STREAM);
}

static void
start_linger(struct channel *ch, uint64_t ms, bool first_second)
{
    struct linger *linger = mem_alloc(sizeof *linger);
    stop_linger(ch);
    timer_init(&linger->timer, on_linger);
    linger->channel = ch;
    ch->linger = &linger->timer;
    ch->first_second = first_second;
    loop_timer(ch->table->loop, ch->linger, ms);
}

static struct channel *
channel_new(struct channels *t, struct str name)
{
    struct channel *ch = mem_zalloc(sizeof *ch + name.len);
    ch->table = t;
    if (name.len > 0)
        memcpy(ch->name, name.ptr, name.len);
    ch->node.key = str_of(ch->name, name.len);
    map_add(&t->map, &ch->node);
    if (t->settings.update_on_first)
        start_linger(ch, FIRST_SECOND_MS, true);
    if (t->ops.on_first != NULL)
        t->ops.on_first(t->arg, ch->node.key);
    return ch;
}

/* The first one lies in the hold itself. */
static struct sub *
sub_new(struct hold *h)
{
    struct sub *sub = h->first_used ? mem_alloc(sizeof *sub) : &h->first;
    if (sub == &h->first)
        h->first_used = true;
    *sub = (struct sub){.hold = h};
    return sub;
}

static void
sub_free(struct sub *sub)
{
    if (sub == &sub->hold->first)
        sub->hold->first_used = false;
    else
        mem_free(sub);
}

struct sub *
channels_subscribe(struct channels *t, struct hold *h, struct str name)
{
    struct channel *ch = channels_find(t, name);
    struct sub *sub = ch != NULL ? hold_find(h, name) : NULL;
    struct subs *s;
    if (sub != NULL)
        return sub;
    if (ch == NULL)
        ch = channel_new(t, name);
    else if (ch->linger != NULL && !ch->first_second)
        stop_linger(ch);
    s = &ch->subs[h->kind];
    if (s->n == s->cap) {
        s->cap = s->cap > 0 ? s->cap + s->cap / 2 + 1 : 1;
        s->at = mem_realloc(s->at, s->cap * sizeof(struct sub *));
    }
    sub = sub_new(h);
    sub->channel = ch;
    sub->index = s->n;
    sub->next = h->subs;
    h->subs = sub;
    h->n_subs++;
    s->at[s->n++] = sub;
    s->live++;
    if (t->ops.on_count != NULL)
        t->ops.on_count(t->arg, ch, h->kind);
    return sub;
}

static void
leave_hold(struct sub *sub)
{
    struct sub **at = &sub->hold->subs;
    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    sub->hold->n_subs--;
}

static void
shrink(struct subs *s)
{
    if (s->n == 0) {
        mem_free(s->at);
        s->at = NULL;
        s->cap = 0;
    } else if (s->cap > 64 && s->n < s->cap / 4) {
        s->cap = s->cap / 2;
        s->at = mem_realloc(s->at, s->cap * sizeof(struct sub *));
    }
}

void
channels_unsubscribe(struct sub *sub)
{
    struct channel *ch = sub->channel;
    enum format_kind kind = sub->hold->kind;
    struct subs *s = &ch->subs[kind];
    leave_hold(sub);
    s->live--;
    if (s->outbox != NULL) {
        s->at[sub->index] = NULL;
    } else {
        struct sub *last = s->at[--s->n];
        s->at[sub->index] = last;
        last->index = sub->index;
        shrink(s);
    }
    if (sub->actions > 0)
        ch->table->ops.on_dropped(ch->table->arg, sub);
    if (ch->table->ops.on_count != NULL)
        ch->table->ops.on_count(ch->table->arg, ch, kind);
    sub_set_prev_id(sub, str_of(NULL, 0));
    mem_free(sub->more);
    sub_free(sub);
    if (!is_empty(ch))
        return;
    if (kind == FORMAT_HTTP_RESPONSE && ch->table->settings.linger > 0)
        start_linger(ch, (uint64_t)ch->table->settings.linger * 1000, false);
    else
        channel_free(ch);
}

void
subs_compact(struct subs *s, uint32_t *marks, unsigned n_marks)
{
    uint32_t kept = 0;
    unsigned m = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        for (; m < n_marks && marks[m] <= i; m++)
            marks[m] = kept;
        if (s->at[i] == NULL)
            continue;
        s->at[kept] = s->at[i];
        s->at[kept]->index = kept;
        kept++;
    }
    for (; m < n_marks; m++)
        marks[m] = kept;
    s->n = kept;
    shrink(s);
}

void
subs_settle(struct channel *ch, enum format_kind kind)
{
    struct subs *s = &ch->subs[kind];
    s->outbox = NULL;
    if (subs_holes(s) > 0)
        subs_compact(s, NULL, 0);
}

unsigned
channel_receivers(const struct channel *ch, enum format_kind kind)
{
    return ch->subs[kind].live;
}

struct walk {
    void (*cb)(struct hold *h, void *arg);
    void (*on_channel)(struct channel *ch, void *arg);
    void *arg;
};

static void
walk_channel(struct map_node *node, void *arg)
{
    struct channel *ch = container_of(node, struct channel, node);
    struct walk *w = arg;
    if (w->on_channel != NULL) {
        w->on_channel(ch, w->arg);
        return;
    }
    for (int k = 0; k < FORMAT_KINDS; k++)
        for (uint32_t i = 0; i < ch->subs[k].n; i++)
            if (ch->subs[k].at[i] != NULL)
                w->cb(ch->subs[k].at[i]->hold, w->arg);
}

void
channels_each_hold(struct channels *t, void (*cb)(struct hold *h, void *arg), void *arg)
{
    struct walk w = {cb, NULL, arg};
    map_each(&t->map, walk_channel, &w);
}

void
channels_each(struct channels *t, void (*cb)(struct channel *ch, void *arg), void *arg)
{
    struct walk w = {NULL, cb, arg};
    map_each(&t->map, walk_channel, &w);
}
