#include "pub/lastids.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/digest.h"

enum { DIGEST = 20 };

struct seen {
    struct map_node node;    /* the key is: length of the channel, channel, id; or no such length and a digest */
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

static struct seen *
seen_new(const size_t *length, const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct seen *s = mem_alloc(sizeof *s + sizeof *length + a_len + b_len);
    memcpy(s->key, length, sizeof *length);
    if (a_len > 0)
        memcpy(s->key + sizeof *length, a, a_len);
    if (b_len > 0)
        memcpy(s->key + sizeof *length + a_len, b, b_len);
    s->node.key = str_of(s->key, sizeof *length + a_len + b_len);
    return s;
}

/* So that what is remembered is bounded in bytes, however long the ids are. */
static struct seen *
seen_digest(struct str channel, struct str id)
{
    unsigned char digests[2 * DIGEST], digest[DIGEST];
    size_t none = SIZE_MAX;
    sha1(channel, digests);
    sha1(id, digests + DIGEST);
    sha1(str_of((const char *)digests, sizeof digests), digest);
    return seen_new(&none, digest, DIGEST, NULL, 0);
}

bool
lastids_seen(struct lastids *l, struct str channel, struct str id)
{
    uint64_t now = clock_now();
    struct seen *s;
    while (!list_empty(&l->by_age)) {
        s = container_of(list_first(&l->by_age), struct seen, by_age);
        if (s->until > now && map_count(&l->map) < LASTIDS_MAX)
            break;
        forget(l, s);
    }
    if (channel.len + id.len > LASTIDS_KEY_MAX)
        s = seen_digest(channel, id);
    else
        s = seen_new(&channel.len, channel.ptr, channel.len, id.ptr, id.len);
    if (map_find(&l->map, s->node.key) != NULL) {
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
