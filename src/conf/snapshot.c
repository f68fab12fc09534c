#include "conf/snapshot.h"

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/routeline.h"

#include <stdlib.h>

struct domain {
    struct map_node node;      /* in exact or wild */
    struct list_node in_order; /* snapshot->domains */
    const char *name;          /* its first route's */
    struct route **routes;     /* owned array; best first once the snapshot is finished */
    unsigned n, cap;
};

struct id {
    struct map_node node;
    struct route *route; /* NULL: two routes have it, so it names none */
};

/* A condition that is taken. */
struct condition {
    struct map_node node;
    char *key; /* owned */
};

struct route_snapshot {
    unsigned refs;
    unsigned n;             /* routes */
    struct map exact, wild; /* of struct domain */
    struct domain *any;     /* "*", or NULL */
    struct list domains;    /* all of them, in file order; owned */
    size_t longest;         /* of wild's keys */
    struct map ids;         /* of struct id; owned */
    struct map conditions;  /* of struct condition; owned, empty once finished */
};

struct route_snapshot *
snapshot_new(void)
{
    struct route_snapshot *s = mem_zalloc(sizeof *s);
    s->refs = 1;
    map_init(&s->exact);
    map_init(&s->wild);
    map_init(&s->ids);
    map_init(&s->conditions);
    list_init(&s->domains);
    return s;
}

/* Is this the first route with its domain, proto, ssl and path_beg? Routes that only their id can choose have no
 * condition to share. */
static bool
take_condition(struct route_snapshot *s, const struct route *r)
{
    struct buf key = BUF_INIT(SIZE_MAX / 2);
    struct condition *c;
    struct str text;
    if (*r->domain == '\0' && r->explicit_id)
        return true;
    buf_addf(&key, "%d %d %d ", r->proto, r->ssl, r->path_beg != NULL);
    buf_addf(&key, "%zu ", strlen(r->domain));
    buf_adds(&key, str_c(r->domain));
    buf_adds(&key, str_c(r->path_beg));
    text = buf_str(&key);
    if (map_find(&s->conditions, text) != NULL) {
        buf_clear(&key);
        return false;
    }
    c = mem_zalloc(sizeof *c);
    c->key = key.ptr;
    c->node.key = text;
    map_add(&s->conditions, &c->node);
    return true;
}

static void
free_condition(struct map_node *node, void *arg)
{
    struct condition *c = container_of(node, struct condition, node);
    map_remove(arg, node);
    mem_free(c->key);
    mem_free(c);
}

static void
add_id(struct route_snapshot *s, struct route *r)
{
    struct map_node *node = map_find(&s->ids, str_c(r->id));
    struct id *id;
    if (node != NULL) {
        container_of(node, struct id, node)->route = NULL;
        return;
    }
    id = mem_zalloc(sizeof *id);
    id->node.key = str_c(r->id);
    id->route = r;
    map_add(&s->ids, &id->node);
}

static void
free_id(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    mem_free(container_of(node, struct id, node));
}

static struct domain *
domain_of(struct route_snapshot *s, const char *name)
{
    struct str key = str_c(name);
    bool is_any = strcmp(name, "*") == 0, is_wild = str_starts(key, STR("*."));
    struct map *map = is_wild ? &s->wild : &s->exact;
    struct map_node *node;
    struct domain *d;
    if (is_any && s->any != NULL)
        return s->any;
    if (is_wild)
        key = str_from(key, 1);
    node = is_any ? NULL : map_find(map, key);
    if (node != NULL)
        return container_of(node, struct domain, node);
    d = mem_zalloc(sizeof *d);
    d->name = name;
    d->node.key = key;
    list_push_back(&s->domains, &d->in_order);
    if (is_any)
        s->any = d;
    else
        map_add(map, &d->node);
    if (is_wild && key.len > s->longest)
        s->longest = key.len;
    return d;
}

bool
snapshot_add(struct route_snapshot *s, struct route *route)
{
    struct domain *d;
    if (!take_condition(s, route))
        return false;
    d = domain_of(s, route->domain);
    if (d->n == d->cap) {
        d->cap = d->cap > 0 ? 2 * d->cap : 1;
        d->routes = mem_realloc(d->routes, d->cap * sizeof *d->routes);
    }
    d->routes[d->n++] = route;
    route->snapshot = s;
    s->n++;
    add_id(s, route);
    return true;
}

static int
by_rank(const void *pa, const void *pb)
{
    const struct route *a = *(struct route *const *)pa, *b = *(struct route *const *)pb;
    size_t path_a = str_c(a->path_beg).len, path_b = str_c(b->path_beg).len;
    if ((a->proto != ROUTE_ANY_PROTO) != (b->proto != ROUTE_ANY_PROTO))
        return a->proto != ROUTE_ANY_PROTO ? -1 : 1;
    if (path_a != path_b)
        return path_a > path_b ? -1 : 1;
    if ((a->ssl != ROUTE_ANY_SSL) != (b->ssl != ROUTE_ANY_SSL))
        return a->ssl != ROUTE_ANY_SSL ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

void
snapshot_finish(struct route_snapshot *s)
{
    map_each(&s->conditions, free_condition, &s->conditions);
    map_clear(&s->conditions);
    list_each (&s->domains, node) {
        struct domain *d = container_of(node, struct domain, in_order);
        qsort(d->routes, d->n, sizeof *d->routes, by_rank);
    }
}

void
snapshot_ref(struct route_snapshot *s)
{
    s->refs++;
}

void
snapshot_unref(struct route_snapshot *s)
{
    if (--s->refs > 0)
        return;
    map_each(&s->conditions, free_condition, &s->conditions);
    map_clear(&s->conditions);
    map_each(&s->ids, free_id, &s->ids);
    map_clear(&s->ids);
    map_clear(&s->exact);
    map_clear(&s->wild);
    list_each_safe (&s->domains, node, after) {
        struct domain *d = container_of(node, struct domain, in_order);
        for (unsigned i = 0; i < d->n; i++)
            route_free(d->routes[i]);
        mem_free(d->routes);
        mem_free(d);
    }
    mem_free(s);
}

unsigned
snapshot_count(const struct route_snapshot *s)
{
    return s->n;
}

static bool
accepts(const struct route *r, const struct route_query *q)
{
    return (r->proto == ROUTE_ANY_PROTO || (r->proto == ROUTE_WS) == q->ws) &&
           (r->ssl == ROUTE_ANY_SSL || (r->ssl == ROUTE_SSL_YES) == q->ssl) &&
           (r->path_beg == NULL || str_starts(q->path, str_c(r->path_beg)));
}

static struct route *
find_in(const struct domain *d, const struct route_query *q)
{
    for (unsigned i = 0; d != NULL && i < d->n; i++)
        if (accepts(d->routes[i], q))
            return d->routes[i];
    return NULL;
}

static struct route *
find_in_map(const struct map *m, struct str key, const struct route_query *q)
{
    struct map_node *node = map_find(m, key);
    return node != NULL ? find_in(container_of(node, struct domain, node), q) : NULL;
}

struct route *
snapshot_find(const struct route_snapshot *s, const struct route_query *q)
{
    struct map_node *node = q->id.len > 0 ? map_find(&s->ids, q->id) : NULL;
    struct route *r = NULL;
    if (node != NULL)
        r = container_of(node, struct id, node)->route;
    if (r != NULL || (q->id.len > 0 && node == NULL))
        return r;
    if (q->host.len > 0)
        r = find_in_map(&s->exact, q->host, q);
    for (size_t i = 1; i < q->host.len && r == NULL && map_count(&s->wild) > 0; i++)
        if (q->host.ptr[i] == '.' && q->host.len - i <= s->longest)
            r = find_in_map(&s->wild, str_from(q->host, i), q);
    return r != NULL ? r : find_in(s->any, q);
}

/* "TARGET;TARGET TARGET": routes are parted by spaces. */
static void
log_domain(const struct domain *d)
{
    const char *name = strcmp(d->name, "*") == 0 ? "(default)" : *d->name == '\0' ? "(by id)" : d->name;
    struct buf text = BUF_INIT(SIZE_MAX / 2);
    for (unsigned i = 0; i < d->n; i++)
        for (unsigned j = 0; j < d->routes[i]->n_targets; j++) {
            if (i + j > 0)
                buf_addc(&text, j > 0 ? ';' : ' ');
            buf_adds(&text, str_c(d->routes[i]->targets[j].text));
        }
    log_debug("  %s: %.*s", name, STR_ARG(buf_str(&text)));
    buf_clear(&text);
}

void
snapshot_log(const struct route_snapshot *s)
{
    if (!log_on(LOG_DEBUG))
        return;
    log_debug("routes by domain:");
    list_each (&s->domains, node)
        log_domain(container_of(node, struct domain, in_order));
}
