#include "proxy/wsmeta.h"

#include "base/mem.h"

struct wsmeta {
    struct wsmeta *next;
    char *name, *value; /* owned */
};

static void
drop_first(struct wsmeta **at)
{
    struct wsmeta *m = *at;
    *at = m->next;
    mem_free(m->name);
    mem_free(m->value);
    mem_free(m);
}

void
wsmeta_clear(struct wsmeta **meta)
{
    while (*meta != NULL)
        drop_first(meta);
}

struct str
wsmeta_get(const struct wsmeta *meta, struct str name)
{
    for (; meta != NULL; meta = meta->next)
        if (str_eq(str_c(meta->name), name))
            return str_c(meta->value);
    return str_of(NULL, 0);
}

void
wsmeta_set(struct wsmeta **meta, struct str name, struct str value)
{
    struct wsmeta **at = meta, *fresh;
    unsigned n = 0;
    for (; *at != NULL && !str_eq(str_c((*at)->name), name); at = &(*at)->next)
        n++;
    if (*at != NULL)
        drop_first(at);
    if (value.ptr == NULL || n >= WSMETA_MAX)
        return;
    fresh = mem_alloc(sizeof *fresh);
    *fresh = (struct wsmeta){*meta, str_dup(name), str_dup(value)};
    *meta = fresh;
}

void
wsmeta_put(const struct wsmeta *meta, json_t *out)
{
    for (; meta != NULL; meta = meta->next)
        json_object_set_new(out, meta->name, json_string(meta->value));
}
