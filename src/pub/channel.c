#include "pub/channel.h"

#include "base/clock.h"
#include "base/slab.h"
#include "pub/walk.h"

enum {
    FIRST_SECOND_MS = 1000,
    LINGER_MOST_MS = 3 * 24 * 3600 * 1000, /* so that a time's low 32 bits are enough */
    SLICE = 128,                           /* channels, or holds, that are seen to in one turn */
    ERAS_MAX = 255
};

/* Channels that all wait for the same time: the first to come is the first to go, and a million of them need no timer
 * each. */
struct line {
    struct list list; /* of channel, by in_line */
    struct timer timer;
    struct task task; /* more have come to their time than are seen to in one turn */
    struct channels *table;
    uint32_t wait; /* ms */
    /* of a large channel whose holds are being updated: up to where. NULL: of none */
    const struct channel *large;
    unsigned kind;
    uint32_t left;
};

struct channels {
    struct loop *loop; /* borrowed */
    struct channels_settings settings;
    struct channels_ops ops;
    void *arg;
    struct map map; /* of channel, by name; owned */
    struct line first_second, linger;
    size_t several; /* holds with more than one subscription */
    struct walk recovery;
    uint8_t era;   /* of the last ids: it ends with channels_recover() */
    unsigned eras; /* that may be found in channels, besides the present one */
};

static void channel_free(struct channel *ch);
static void on_line_timer(struct timer *t);
static void on_line_task(struct task *t);
static void recover_channel(struct channel *ch, void *arg);
static void on_recovered(void *arg);

static void
line_init(struct line *line, struct channels *t, uint64_t wait)
{
    list_init(&line->list);
    timer_init(&line->timer, on_line_timer);
    task_init(&line->task, on_line_task);
    line->table = t;
    line->wait = wait < LINGER_MOST_MS ? (uint32_t)wait : LINGER_MOST_MS;
}

static void
line_stop(struct line *line)
{
    loop_timer_stop(line->table->loop, &line->timer);
    loop_cancel(line->table->loop, &line->task);
}

struct channels *
channels_new(struct loop *l, const struct channels_settings *settings)
{
    struct channels *t = mem_zalloc(sizeof *t);
    t->loop = l;
    t->settings = *settings;
    map_init(&t->map);
    line_init(&t->first_second, t, FIRST_SECOND_MS);
    line_init(&t->linger, t, (uint64_t)settings->linger * 1000);
    walk_init(&t->recovery, l, recover_channel, on_recovered, t);
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
    walk_stop(&t->recovery);
    map_each(&t->map, free_one, NULL);
    map_clear(&t->map);
    line_stop(&t->first_second);
    line_stop(&t->linger);
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
    return map_count(&t->map);
}

bool
channels_overlap(const struct channels *t)
{
    return t->several > 0;
}

struct map *
channels_map(struct channels *t)
{
    return &t->map;
}

static bool
is_empty(const struct channel *ch)
{
    for (int k = 0; k < FORMAT_KINDS; k++)
        if (channel_receivers(ch, k) > 0)
            return false;
    return true;
}

static size_t
channel_size(size_t name_len)
{
    return offsetof(struct channel, name) + name_len > sizeof(struct channel)
               ? offsetof(struct channel, name) + name_len
               : sizeof(struct channel);
}

static void
leave_line(struct channel *ch)
{
    struct channels *t = ch->table;
    if (t->first_second.large == ch)
        t->first_second.large = NULL;
    if (list_in(&ch->in_line))
        list_remove(ch->first_second ? &t->first_second.list : &t->linger.list, &ch->in_line);
    ch->first_second = false;
}

static void
join_line(struct channel *ch, struct line *line)
{
    leave_line(ch);
    ch->first_second = line == &ch->table->first_second;
    ch->due = (uint32_t)clock_now() + line->wait;
    list_push_back(&line->list, &ch->in_line);
    if (!timer_is_set(&line->timer))
        loop_timer(ch->table->loop, &line->timer, line->wait);
}

static void
channel_free(struct channel *ch)
{
    struct channels *t = ch->table;
    leave_line(ch);
    map_remove(&t->map, &ch->node);
    if (t->ops.on_last != NULL)
        t->ops.on_last(t->arg, ch);
    for (int k = 0; k < FORMAT_KINDS; k++) {
        if ((ch->many & 1 << k) == 0)
            continue;
        mem_free(ch->crowd[k].many->at);
        slab_free(ch->crowd[k].many, sizeof(struct subs));
    }
    channel_forget_id(ch);
    slab_free(ch, channel_size(ch->node.key.len));
}

struct str
channel_last_id(const struct channel *ch)
{
    if (ch->id_len == CHANNEL_ID_NONE || ch->era != ch->table->era)
        return str_of(NULL, 0);
    if (ch->id_len == CHANNEL_ID_FAR)
        return str_of(ch->last_id.far->data, ch->last_id.far->len);
    return str_of(ch->last_id.near, ch->id_len);
}

void
channel_set_last_id(struct channel *ch, struct str id)
{
    struct shared_bytes *old = ch->id_len == CHANNEL_ID_FAR ? ch->last_id.far : NULL;
    ch->era = ch->table->era;
    if (id.ptr == NULL) {
        ch->id_len = CHANNEL_ID_NONE;
    } else if (id.len > CHANNEL_ID_NEAR) {
        ch->last_id.far = shared_bytes_new(id);
        ch->id_len = CHANNEL_ID_FAR;
    } else {
        memmove(ch->last_id.near, id.ptr, id.len);
        ch->id_len = (uint8_t)id.len;
    }
    if (old != NULL)
        shared_unref(&old->shared);
}

/* Update the holds of one kind in front of *LEFT, from behind, at most *MOST of them. An update never changes the table
 * within the call; between two, who leaves may be replaced by one that was updated already. true: all are. */
static bool
update_some(struct channel *ch, enum format_kind kind, uint32_t *left, unsigned *most)
{
    uint32_t n;
    struct sub *const *at = channel_subs(ch, kind, &n);
    for (*left = *left < n ? *left : n; *left > 0 && *most > 0; --*most) {
        const struct sub *sub = at[--*left];
        if (sub != NULL)
            sub->hold->ops->update(sub->hold, UPDATE_LOW);
    }
    return *left == 0;
}

/* Go on with the channel at the front of the line. true: all of its HTTP holds are updated. */
static bool
update_holds(struct line *line, struct channel *ch, unsigned *most)
{
    static const enum format_kind kinds[] = {FORMAT_HTTP_RESPONSE, FORMAT_HTTP_STREAM};
    if (line->large != ch) {
        line->large = ch;
        line->kind = 0;
        line->left = UINT32_MAX;
    }
    while (line->kind < countof(kinds)) {
        if (!update_some(ch, kinds[line->kind], &line->left, most))
            return false;
        line->kind++;
        line->left = UINT32_MAX;
    }
    return true;
}

/* See to those whose time has come, so many of them that the turn stays short. */
static void
serve_line(struct line *line)
{
    struct loop *l = line->table->loop;
    uint32_t now = (uint32_t)clock_now();
    unsigned most = SLICE;
    while (!list_empty(&line->list)) {
        struct channel *ch = container_of(list_first(&line->list), struct channel, in_line);
        if ((int32_t)(ch->due - now) > 0) {
            loop_timer(l, &line->timer, ch->due - now);
            return;
        }
        if (most == 0 || (ch->first_second && !update_holds(line, ch, &most))) {
            loop_later(l, &line->task);
            return;
        }
        most -= most > 0;
        if (ch->first_second)
            leave_line(ch);
        else
            channel_free(ch);
    }
}

static void
on_line_timer(struct timer *t)
{
    serve_line(container_of(t, struct line, timer));
}

static void
on_line_task(struct task *t)
{
    serve_line(container_of(t, struct line, task));
}

static struct channel *
channel_new(struct channels *t, struct str name)
{
    struct channel *ch = slab_alloc(channel_size(name.len));
    ch->table = t;
    ch->id_len = CHANNEL_ID_NONE;
    if (name.len > 0)
        memcpy(ch->name, name.ptr, name.len);
    ch->node.key = str_of(ch->name, name.len);
    map_add(&t->map, &ch->node);
    if (t->settings.update_on_first)
        join_line(ch, &t->first_second);
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

static void
push(struct subs *s, struct sub *sub)
{
    if (s->n == s->cap) {
        s->cap = s->cap > 0 ? s->cap + s->cap / 2 + 1 : 3;
        s->at = mem_realloc(s->at, s->cap * sizeof(struct sub *));
    }
    sub->index = s->n;
    s->at[s->n++] = sub;
    s->live++;
}

struct subs *
subs_of(struct channel *ch, enum format_kind kind)
{
    union crowd *c = &ch->crowd[kind];
    struct sub *one = c->one;
    if (ch->many & 1 << kind)
        return c->many;
    c->many = slab_alloc(sizeof *c->many);
    ch->many |= (uint8_t)(1 << kind);
    if (one != NULL)
        push(c->many, one);
    return c->many;
}

/* Without the array, when one is enough and nothing is on its way. */
static void
simplify(struct channel *ch, enum format_kind kind)
{
    union crowd *c = &ch->crowd[kind];
    struct subs *s = c->many;
    if ((ch->many & 1 << kind) == 0 || s->outbox != NULL || s->n > 1)
        return;
    c->one = s->n > 0 ? s->at[0] : NULL;
    ch->many &= (uint8_t) ~(1 << kind);
    mem_free(s->at);
    slab_free(s, sizeof *s);
}

struct sub *
channels_subscribe(struct channels *t, struct hold *h, struct str name)
{
    struct channel *ch = channels_find(t, name);
    struct sub *sub = ch != NULL ? hold_find(h, name) : NULL;
    if (sub != NULL)
        return sub;
    if (ch == NULL)
        ch = channel_new(t, name);
    else if (!ch->first_second)
        leave_line(ch);
    sub = sub_new(h);
    sub->channel = ch;
    sub->next = h->subs;
    h->subs = sub;
    if (++h->n_subs == 2)
        t->several++;
    if ((ch->many & 1 << h->kind) == 0 && ch->crowd[h->kind].one == NULL)
        ch->crowd[h->kind].one = sub;
    else
        push(subs_of(ch, h->kind), sub);
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
    if (--sub->hold->n_subs == 1)
        sub->channel->table->several--;
}

static void
shrink(struct subs *s)
{
    if (s->cap > 64 && s->n < s->cap / 4) {
        s->cap = s->cap / 2;
        s->at = mem_realloc(s->at, s->cap * sizeof(struct sub *));
    }
}

static void
leave_channel(struct channel *ch, enum format_kind kind, const struct sub *sub)
{
    struct subs *s = ch->crowd[kind].many;
    if ((ch->many & 1 << kind) == 0) {
        ch->crowd[kind].one = NULL;
        return;
    }
    s->live--;
    if (s->outbox != NULL) {
        s->at[sub->index] = NULL;
    } else {
        struct sub *last = s->at[--s->n];
        s->at[sub->index] = last;
        last->index = sub->index;
        shrink(s);
        simplify(ch, kind);
    }
}

void
channels_move(struct sub *from, struct sub *to)
{
    struct channel *ch = from->channel;
    enum format_kind kind = from->hold->kind;
    struct subs *s = (ch->many & 1 << kind) != 0 ? ch->crowd[kind].many : NULL;
    uint32_t index = from->index;
    if (from->limited != 0 && ch->table->ops.on_moved != NULL)
        ch->table->ops.on_moved(ch->table->arg, from, to);
    if (s == NULL || s->outbox == NULL)
        return;
    from->index = to->index; /* behind the marks of what is on its way, as if it had come now */
    to->index = index;
    s->at[from->index] = from;
    s->at[to->index] = to;
}

void
channels_unsubscribe(struct sub *sub)
{
    struct channel *ch = sub->channel;
    enum format_kind kind = sub->hold->kind;
    leave_hold(sub);
    leave_channel(ch, kind, sub);
    if (sub->limited != 0)
        ch->table->ops.on_dropped(ch->table->arg, sub);
    if (ch->table->ops.on_count != NULL)
        ch->table->ops.on_count(ch->table->arg, ch, kind);
    sub_set_prev_id(sub, str_of(NULL, 0));
    mem_free(sub->more);
    sub_free(sub);
    if (!is_empty(ch))
        return;
    if (kind == FORMAT_HTTP_RESPONSE && ch->table->settings.linger > 0)
        join_line(ch, &ch->table->linger);
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
    struct subs *s = ch->crowd[kind].many;
    s->outbox = NULL;
    if (subs_holes(s) > 0)
        subs_compact(s, NULL, 0);
    simplify(ch, kind);
}

unsigned
channel_receivers(const struct channel *ch, enum format_kind kind)
{
    return ch->many & 1 << kind ? ch->crowd[kind].many->live : ch->crowd[kind].one != NULL;
}

/* recovery */

/* The next to be served in the line of those whose holds are updated. */
static void
push_in(struct channel *ch)
{
    struct line *line = &ch->table->first_second;
    leave_line(ch);
    ch->first_second = true;
    ch->due = (uint32_t)clock_now();
    list_push_front(&line->list, &ch->in_line);
    loop_later(line->table->loop, &line->task);
}

static void
recover_channel(struct channel *ch, void *arg)
{
    struct channels *t = arg;
    uint32_t left[2] = {UINT32_MAX, UINT32_MAX};
    unsigned most = UINT32_MAX;
    if (ch->era != t->era)
        channel_forget_id(ch);
    if (channel_receivers(ch, FORMAT_HTTP_RESPONSE) + channel_receivers(ch, FORMAT_HTTP_STREAM) <= SLICE) {
        update_some(ch, FORMAT_HTTP_RESPONSE, &left[0], &most);
        update_some(ch, FORMAT_HTTP_STREAM, &left[1], &most);
    } else if (!ch->first_second) {
        push_in(ch); /* else they are going to be updated anyway */
    }
}

static void
on_recovered(void *arg)
{
    struct channels *t = arg;
    t->eras = 0;
}

static void
forget_old(struct map_node *node, void *arg)
{
    struct channel *ch = container_of(node, struct channel, node);
    (void)arg;
    if (ch->era != ch->table->era)
        channel_forget_id(ch);
}

void
channels_recover(struct channels *t)
{
    t->era++;
    if (++t->eras >= ERAS_MAX) { /* before one of them comes round again */
        map_each(&t->map, forget_old, NULL);
        t->eras = 0;
    }
    walk_start(&t->recovery, t);
}
