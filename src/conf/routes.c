#include "conf/routes.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/lines.h"
#include "conf/routeline.h"
#include "conf/snapshot.h"

#include <stdio.h>

enum { MAX_FILE = 16 << 20 }; /* bytes */

/* An explicit id and its slot, for as long as the process lives. */
struct slot {
    struct map_node node;
    char *id; /* owned */
    unsigned slot;
};

struct routes {
    char *path;   /* owned; NULL: none */
    char *dir;    /* owned; where file: keys are */
    char **lines; /* owned; in place of the file */
    unsigned n_lines;
    struct map slots;               /* of struct slot; owned */
    unsigned n_slots;               /* 0 is everybody's without an explicit id */
    struct route_snapshot *current; /* reference held */
};

/* One reading of the file or of the lines. */
struct load {
    struct routes *r;
    struct route_snapshot *fresh;
    unsigned skipped;
};

struct routes *
routes_new(const char *path, const char *const *lines, unsigned n)
{
    struct routes *r = mem_zalloc(sizeof *r);
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    r->path = path != NULL && n == 0 ? mem_strdup(path) : NULL;
    r->dir = slash == NULL ? mem_strdup(".") : str_dup(str_of(path, slash == path ? 1 : (size_t)(slash - path)));
    r->lines = n > 0 ? mem_zalloc(n * sizeof *r->lines) : NULL;
    for (; r->n_lines < n; r->n_lines++)
        r->lines[r->n_lines] = mem_strdup(lines[r->n_lines]);
    map_init(&r->slots);
    r->n_slots = 1;
    r->current = snapshot_new();
    return r;
}

static void
free_slot(struct map_node *node, void *arg)
{
    struct slot *s = container_of(node, struct slot, node);
    map_remove(arg, node);
    mem_free(s->id);
    mem_free(s);
}

void
routes_free(struct routes *r)
{
    if (r == NULL)
        return;
    snapshot_unref(r->current);
    map_each(&r->slots, free_slot, &r->slots);
    map_clear(&r->slots);
    for (unsigned i = 0; i < r->n_lines; i++)
        mem_free(r->lines[i]);
    mem_free(r->lines);
    mem_free(r->path);
    mem_free(r->dir);
    mem_free(r);
}

static unsigned
slot_of(struct routes *r, const char *id)
{
    struct map_node *node = map_find(&r->slots, str_c(id));
    struct slot *s;
    if (node != NULL)
        return container_of(node, struct slot, node)->slot;
    s = mem_zalloc(sizeof *s);
    s->id = mem_strdup(id);
    s->node.key = str_c(s->id);
    s->slot = r->n_slots++;
    map_add(&r->slots, &s->node);
    return s->slot;
}

static void
load_line(struct load *l, const char *file, unsigned n, struct str text)
{
    struct buf where = BUF_INIT(SIZE_MAX / 2);
    struct route *route = NULL;
    struct route_line line;
    struct err e;
    bool ok = route_line_parse(text, &line, &e) == 0;
    buf_addf(&where, "%s:%u", file, n);
    buf_addc(&where, '\0');
    if (ok && line.n > 0) {
        route = route_from_line(&line, where.ptr, l->r->dir, &e);
        ok = route != NULL;
    }
    if (!ok) {
        log_warn("%s: %s", where.ptr, e.text);
    } else if (route != NULL) {
        route->line = n;
        ok = snapshot_add(l->fresh, route);
        if (ok && route->explicit_id)
            route->slot = slot_of(l->r, route->id);
        if (!ok) {
            log_warn("%s skipping duplicate condition", where.ptr);
            route_free(route);
        }
    }
    l->skipped += !ok;
    route_line_clear(&line);
    buf_clear(&where);
}

/* Read all of FILE. 0, or -1 when reading failed. */
static int
load_file(struct load *l, FILE *file)
{
    const char *path = l->r->path;
    enum lines_event event;
    struct lines lines;
    struct str text;
    lines_init(&lines, file, MAX_FILE);
    while ((event = lines_next(&lines, &text)) == LINES_LINE || event == LINES_LONG) {
        if (event == LINES_LINE) {
            load_line(l, path, lines.n, text);
        } else {
            log_warn("%s:%u: line is longer than %d bytes", path, lines.n, LINES_MAX_LINE);
            l->skipped++;
        }
    }
    if (event == LINES_FULL) {
        log_warn("%s:%u: file is longer than %d bytes, the rest is not read", path, lines.n, MAX_FILE);
        l->skipped++;
    }
    lines_clear(&lines);
    return ferror(file) ? -1 : 0;
}

static int
open_and_load(struct load *l)
{
    const char *path = l->r->path;
    FILE *file = fopen(path, "re");
    int rc = file != NULL ? load_file(l, file) : -1;
    if (file != NULL)
        fclose(file);
    if (rc != 0)
        log_warn("unable to open routes file: %s", path);
    return rc;
}

int
routes_load(struct routes *r, unsigned *skipped)
{
    struct load l = {r, snapshot_new(), 0};
    if (r->path != NULL && open_and_load(&l) != 0) {
        snapshot_unref(l.fresh);
        return -1;
    }
    for (unsigned i = 0; i < r->n_lines; i++)
        load_line(&l, "<route>", 1, str_c(r->lines[i]));
    snapshot_finish(l.fresh);
    snapshot_unref(r->current);
    r->current = l.fresh;
    if (r->path != NULL)
        log_info("routes loaded with %u entries", snapshot_count(r->current));
    snapshot_log(r->current);
    if (skipped != NULL)
        *skipped = l.skipped;
    return 0;
}

const char *
routes_path(const struct routes *r)
{
    return r->path;
}

struct route *
routes_find(struct routes *r, const struct route_query *q)
{
    struct route *route = snapshot_find(r->current, q);
    return route != NULL ? route_ref(route) : NULL;
}

struct route *
routes_current(struct routes *r, struct route *old)
{
    struct route_query q = {.id = str_c(old->id)};
    struct route *now = old->explicit_id ? routes_find(r, &q) : NULL;
    return now != NULL ? now : route_ref(old);
}

struct route *
route_ref(struct route *r)
{
    snapshot_ref(r->snapshot);
    return r;
}

void
route_unref(struct route *r)
{
    if (r != NULL)
        snapshot_unref(r->snapshot);
}

unsigned
routes_slots(const struct routes *r)
{
    return r->n_slots;
}
