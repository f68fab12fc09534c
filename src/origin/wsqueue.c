#include "origin/wsqueue.h"

struct event {
    struct list_node node;
    enum wsevent_type type;
    size_t at, len; /* the content that is left is data[at..len] */
    char data[];
};

void
wsqueue_init(struct wsqueue *q)
{
    *q = (struct wsqueue){.bytes = 0};
    list_init(&q->events);
}

static struct event *
first(const struct wsqueue *q)
{
    return container_of(list_first(&q->events), struct event, node);
}

static void
drop_first(struct wsqueue *q)
{
    struct event *e = first(q);
    q->bytes -= e->len - e->at;
    list_remove(&q->events, &e->node);
    mem_free(e);
}

void
wsqueue_clear(struct wsqueue *q)
{
    while (!list_empty(&q->events))
        drop_first(q);
}

void
wsqueue_add(struct wsqueue *q, enum wsevent_type type, struct str content)
{
    struct event *e = mem_alloc(sizeof *e + content.len);
    *e = (struct event){.type = type, .len = content.len};
    if (content.len > 0)
        memcpy(e->data, content.ptr, content.len);
    list_push_back(&q->events, &e->node);
    q->bytes += content.len;
    q->held_back = false;
}

void
wsqueue_offer(struct wsqueue *q, bool one, struct buf *body)
{
    q->offered = 0;
    q->offered_bytes = 0;
    list_each (&q->events, node) {
        const struct event *e = container_of(node, struct event, node);
        if (q->offered > 0 && (one || q->offered_bytes + (e->len - e->at) > WSQUEUE_OFFER_MAX))
            break;
        if (wsevents_put(body, e->type, str_of(e->data + e->at, e->len - e->at)) != 0)
            break;
        q->offered++;
        q->offered_bytes += e->len - e->at;
    }
    q->offered_last = q->offered == q->events.n;
}

int
wsqueue_accept(struct wsqueue *q, uint64_t n)
{
    bool all = n == UINT64_MAX || n == q->offered_bytes;
    if (!all && n > q->offered_bytes)
        return -1;
    if (!all && n == 0 && !q->offered_last)
        return -1;
    q->replayed = all ? 0 : q->offered_bytes - (size_t)n;
    q->held_back = !all && q->offered == q->events.n; /* else something new has come meanwhile */
    for (; q->offered > 0; q->offered--) {            /* events without content go with what stands before them */
        struct event *e = first(q);
        size_t len = e->len - e->at;
        if (!all && (len > n || n == 0))
            break;
        if (!all)
            n -= len;
        drop_first(q);
    }
    if (q->offered == 0 || all)
        return 0;
    if (first(q)->type == WSEVENT_CLOSE)
        return -1; /* all data, but not the close */
    first(q)->at += (size_t)n;
    q->bytes -= (size_t)n;
    return 0;
}
