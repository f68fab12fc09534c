#include "pub/lastids.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

struct seen {
    struct map_node node;    /* the key is: length of the channel, channel, id */
    struct list_node by_age; /* oldest first */
    uint64_t until;          /* ms */
    char key[];
};

struct lastids {
    uint64_t ttl;
    struct map map;
    struct list by_age;
};

struct lastids *
lastids_new(uint64_t ttl)
{
    struct lastids *l = mem_zalloc(sizeof *l);
    l->ttl = ttl;
    map_init(&l->map);
    list_init(&l->by_age);
    return l;
}

static void
forget(struct lastids *l, struct seen *s)
{
    map_remove(&l->map, &s->node);
    list_remove(&l->by_age, &s->by_age);
    mem_free(s);
}

void
lastids_free(struct lastids *l)
{
    while (!list_empty(&l->by_age))
        forget(l, container_of(list_first(&l->by_age), struct seen, by_age));
    map_clear(&l->map);
    mem_free(l);
}

bool
lastids_seen(struct lastids *l, struct str channel, struct str id)
{
    uint64_t now = clock_now();
    size_t len = sizeof channel.len + channel.len + id.len;
    struct seen *s;
    struct map_node *found;
    while (!list_empty(&l->by_age)) {
        s = container_of(list_first(&l->by_age), struct seen, by_age);
        if (s->until > now && map_count(&l->map) < LASTIDS_MAX)
            break;
        forget(l, s);
    }
    s = mem_alloc(sizeof *s + len);
    memcpy(s->key, &channel.len, sizeof channel.len);
    if (channel.len > 0)
        memcpy(s->key + sizeof channel.len, channel.ptr, channel.len);
    if (id.len > 0)
        memcpy(s->key + sizeof channel.len + channel.len, id.ptr, id.len);
    s->node.key = str_of(s->key, len);
    found = map_find(&l->map, s->node.key);
    if (found != NULL) {
        mem_free(s);
        return true;
    }
    s->until = now + l->ttl;
    map_add(&l->map, &s->node);
    list_push_back(&l->by_age, &s->by_age);
    return false;
}

size_t
lastids_count(const struct lastids *l)
{
    return map_count(&l->map);
}
