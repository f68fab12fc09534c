#include "proxy/asker.h"

#include "base/clock.h"
#include "base/map.h"

#include <stdio.h>

enum {
    BURST = 10,      /* requests that may start together after a pause */
    PERIOD_MS = 20,  /* between two looks at what waits */
    SLICE = 64,      /* requests that are started in one turn */
    FORGET_MS = 1000 /* after which an unused URL's pace need not be known any more */
};

struct ask_bucket {
    struct map_node node;
    struct list_node in_list; /* all->busy: something waits; else all->unused */
    struct list queue;        /* of ask */
    unsigned active;          /* requests under way */
    double tokens;            /* requests that may start now */
    uint64_t filled_at;       /* ms */
    char url[];
};

struct askers {
    struct proxy *proxy; /* borrowed */
    struct map buckets;  /* owned; by URL */
    struct list busy, unused;
    unsigned active; /* requests under way */
    unsigned queued;
    struct timer timer; /* set while there is a bucket */
    struct task task;
};

/* buckets */

static struct ask_bucket *
find_bucket(struct askers *all, struct str url)
{
    struct map_node *node = map_find(&all->buckets, url);
    struct ask_bucket *b;
    if (node != NULL)
        return container_of(node, struct ask_bucket, node);
    b = mem_zalloc(sizeof *b + url.len);
    memcpy(b->url, url.ptr, url.len);
    b->node.key = str_of(b->url, url.len);
    b->tokens = BURST;
    b->filled_at = clock_now();
    list_init(&b->queue);
    map_add(&all->buckets, &b->node);
    list_push_back(&all->unused, &b->in_list);
    return b;
}

static void
move(struct ask_bucket *b, struct list *from, struct list *to)
{
    list_remove(from, &b->in_list);
    list_push_back(to, &b->in_list);
}

static void
fill(struct ask_bucket *b)
{
    uint64_t now = clock_now();
    b->tokens += (double)(now - b->filled_at) * ASKER_RATE / 1000;
    if (b->tokens > BURST)
        b->tokens = BURST;
    b->filled_at = now;
}

static void
bucket_free(struct askers *all, struct ask_bucket *b, struct list *in)
{
    map_remove(&all->buckets, &b->node);
    list_remove(in, &b->in_list);
    mem_free(b);
}

/* The pace of a bucket that was full again long ago is that of a new one. */
static void
forget_unused(struct askers *all)
{
    for (unsigned i = 0; i < SLICE && !list_empty(&all->unused); i++) {
        struct ask_bucket *b = container_of(list_first(&all->unused), struct ask_bucket, in_list);
        if (clock_now() - b->filled_at < FORGET_MS)
            return;
        if (b->active > 0)
            move(b, &all->unused, &all->unused);
        else
            bucket_free(all, b, &all->unused);
    }
}

/* asks */

/* The ask is over, in whatever way. */
static void
end(struct ask *a)
{
    struct askers *all = a->all;
    struct ask_bucket *b = a->bucket;
    a->all = NULL;
    a->link = NULL;
    a->bucket = NULL;
    loop_timer_stop(all->proxy->loop, &a->timer);
    if (list_in(&a->in_queue)) {
        list_remove(&b->queue, &a->in_queue);
        all->queued--;
        if (list_empty(&b->queue))
            move(b, &all->busy, &all->unused);
        return;
    }
    b->active--;
    all->active--;
    if (!list_empty(&all->busy))
        loop_later(all->proxy->loop, &all->task);
}

static void
fail(struct ask *a, const char *why)
{
    end(a);
    buf_clear(&a->content);
    a->ops->failed(a, why);
}

static void
on_head(void *user, const struct http1_head *head)
{
    struct ask *a = user;
    char why[64];
    a->status = head->status;
    a->drop = str_ieq(str_trim(headers_get(&head->headers, STR("Action"))), STR("drop"));
    if (head->status == 200 || head->status == 204)
        return;
    snprintf(why, sizeof why, "the server answers with status %d", head->status);
    link_close(a->link);
    fail(a, why);
}

static void
on_body(void *user, struct str piece)
{
    struct ask *a = user;
    if (!a->wants_content || a->drop || buf_adds(&a->content, piece) == 0)
        return;
    link_close(a->link);
    fail(a, "the server's content is longer than 100000 bytes");
}

static void
on_end(void *user)
{
    struct ask *a = user;
    struct buf content = a->content;
    bool replaced = a->wants_content && !a->drop && a->status == 200;
    a->content = BUF_INIT(ASKER_CONTENT_MAX);
    end(a);
    a->ops->answered(a, a->drop, !replaced ? str_of(NULL, 0) : content.len > 0 ? buf_str(&content) : STR(""));
    buf_clear(&content);
}

static void
on_fail(void *user, const char *why)
{
    char text[200];
    snprintf(text, sizeof text, "the server cannot be asked: %s", why);
    fail(user, text);
}

static void
on_slow(void *user)
{
    (void)user; /* nobody shares a POST */
}

static const struct link_ops link_ops = {on_head, on_body, on_end, on_fail, on_slow};

static void
on_timeout(struct timer *t)
{
    struct ask *a = container_of(t, struct ask, timer);
    link_close(a->link);
    fail(a, "the server has not answered in 10 seconds");
}

static void
start(struct ask *a)
{
    struct askers *all = a->all;
    struct ask_bucket *b = a->bucket;
    struct headers headers;
    struct link_spec spec = {.url = b->node.key, .last = &headers};
    const char *why = NULL;
    list_remove(&b->queue, &a->in_queue);
    all->queued--;
    all->active++;
    b->active++;
    headers_init(&headers);
    if (a->ops->prepare(a, &spec, &headers) != 0)
        why = "the meta is longer than 65536 bytes";
    else if ((a->link = links_post(all->proxy->links, &spec, &link_ops, a)) == NULL)
        why = "the url is none that can be asked";
    headers_clear(&headers);
    loop_timer(all->proxy->loop, &a->timer, ASKER_TIMEOUT_MS);
    if (why != NULL)
        fail(a, why);
}

/* turns */

/* Start what may be started, one of each URL after the other. */
static void
run(struct askers *all)
{
    unsigned started = 0;
    size_t visits = 0; /* without a start */
    while (!list_empty(&all->busy) && visits < all->busy.n && started < SLICE && all->active < ASKER_AT_ONCE) {
        struct ask_bucket *b = container_of(list_first(&all->busy), struct ask_bucket, in_list);
        struct ask *a = container_of(list_first(&b->queue), struct ask, in_queue);
        bool last = b->queue.n == 1;
        fill(b);
        if (b->tokens < 1 || b->active >= ASKER_URL_AT_ONCE) {
            move(b, &all->busy, &all->busy);
            visits++;
            continue;
        }
        b->tokens -= 1;
        started++;
        visits = 0;
        move(b, &all->busy, last ? &all->unused : &all->busy);
        start(a);
    }
    if (started == SLICE)
        loop_later(all->proxy->loop, &all->task);
}

static void
on_task(struct task *t)
{
    run(container_of(t, struct askers, task));
}

static void
on_timer(struct timer *t)
{
    struct askers *all = container_of(t, struct askers, timer);
    forget_unused(all);
    run(all);
    if (map_count(&all->buckets) > 0)
        loop_timer(all->proxy->loop, t, PERIOD_MS);
}

int
ask_begin(struct askers *all, struct ask *a, struct str url, bool wants_content)
{
    struct ask_bucket *b;
    if (all->queued >= ASKER_QUEUE)
        return -1;
    b = find_bucket(all, url);
    if (b->queue.n >= ASKER_URL_QUEUE)
        return -1;
    if (list_empty(&b->queue))
        move(b, &all->unused, &all->busy);
    if (!timer_is_set(&all->timer))
        loop_timer(all->proxy->loop, &all->timer, PERIOD_MS);
    a->all = all;
    a->bucket = b;
    a->wants_content = wants_content;
    a->status = 0;
    a->drop = false;
    list_push_back(&b->queue, &a->in_queue);
    all->queued++;
    loop_later(all->proxy->loop, &all->task);
    return 0;
}

void
ask_cancel(struct ask *a)
{
    struct link *k = a->link;
    if (a->all == NULL)
        return;
    end(a);
    if (k != NULL)
        link_close(k);
    buf_clear(&a->content);
}

void
ask_init(struct ask *a, const struct ask_ops *ops)
{
    *a = (struct ask){.ops = ops, .content = BUF_INIT(ASKER_CONTENT_MAX)};
    timer_init(&a->timer, on_timeout);
}

struct askers *
askers_new(struct proxy *p)
{
    struct askers *all = mem_zalloc(sizeof *all);
    all->proxy = p;
    map_init(&all->buckets);
    list_init(&all->busy);
    list_init(&all->unused);
    timer_init(&all->timer, on_timer);
    task_init(&all->task, on_task);
    return all;
}

void
askers_free(struct askers *all)
{
    loop_timer_stop(all->proxy->loop, &all->timer);
    loop_cancel(all->proxy->loop, &all->task);
    while (!list_empty(&all->unused))
        bucket_free(all, container_of(list_first(&all->unused), struct ask_bucket, in_list), &all->unused);
    map_clear(&all->buckets);
    mem_free(all);
}
