#include "grip/instruct.h"
#include "grip/instructparts.h"

#include "base/map.h"
#include "base/mem.h"

enum { YEAR = 365 * 24 * 3600 }; /* seconds; a longer timeout is as good as none, and an int holds it */

bool
instruct_is_json(const struct headers *h)
{
    struct str type = headers_get(h, STR("Content-Type"));
    ptrdiff_t at = str_chr(type, ';');
    return str_eq(at < 0 ? type : str_sub(type, 0, (size_t)at), STR("application/grip-instruct"));
}

bool
instruct_present(const struct headers *h)
{
    for (unsigned i = 0; i < h->n; i++)
        if (str_istarts(h->at[i].name, STR("Grip-")))
            return true;
    return instruct_is_json(h);
}

void
instruct_init(struct instruct *in)
{
    *in = (struct instruct){
        .timeout = INSTRUCT_TIMEOUT, .keep_alive_timeout = INSTRUCT_TIMEOUT, .next_timeout = INSTRUCT_NEXT_TIMEOUT};
    headers_init(&in->headers);
}

static void
clear_channel(struct instruct_channel *c)
{
    for (unsigned i = 0; i < c->n_filters; i++)
        mem_free(c->filters[i]);
    mem_free(c->name);
    mem_free(c->prev_id);
}

static void
clear_meta(struct instruct_meta *m)
{
    mem_free(m->name);
    mem_free(m->value);
}

void
instruct_clear(struct instruct *in)
{
    for (unsigned i = 0; i < in->n_channels; i++)
        clear_channel(&in->channels[i]);
    for (unsigned i = 0; i < in->n_meta; i++)
        clear_meta(&in->meta[i]);
    mem_free(in->channels);
    mem_free(in->meta);
    mem_free(in->keep_alive);
    mem_free(in->next_link);
    mem_free(in->gone_link);
    mem_free(in->reason);
    mem_free(in->body);
    headers_clear(&in->headers);
    instruct_init(in);
}

const struct instruct_channel *
instruct_prev_id(const struct instruct *in)
{
    for (unsigned i = 0; i < in->n_channels; i++)
        if (in->channels[i].prev_id != NULL)
            return &in->channels[i];
    return NULL;
}

const char *
instruct_get_meta(const struct instruct *in, const char *name)
{
    for (unsigned i = 0; i < in->n_meta; i++)
        if (strcmp(in->meta[i].name, name) == 0)
            return in->meta[i].value;
    return NULL;
}

/* The array AT of N elements, with room for one more. It grows at powers of two, so that it needs no field for its
 * capacity. */
static void *
grown(void *at, unsigned n, size_t size)
{
    return (n & (n - 1)) == 0 ? mem_realloc(at, (n > 0 ? (size_t)n * 2 : 1) * size) : at;
}

struct instruct_channel *
instruct_add_channel(struct instruct *in, struct str name)
{
    struct instruct_channel *c;
    in->channels = grown(in->channels, in->n_channels, sizeof *in->channels);
    c = &in->channels[in->n_channels++];
    *c = (struct instruct_channel){.name = str_dup(name), .name_len = name.len};
    return c;
}

void
instruct_add_meta(struct instruct *in, struct str name, struct str value)
{
    in->meta = grown(in->meta, in->n_meta, sizeof *in->meta);
    in->meta[in->n_meta++] = (struct instruct_meta){str_dup(name), str_dup(value)};
}

int
instruct_add_filter(struct instruct_channel *c, struct str filter, struct err *e)
{
    if (c->n_filters == INSTRUCT_MAX_FILTERS) {
        err_set(e, "too many filters for channel '%.*s'", (int)c->name_len, c->name);
        return -1;
    }
    c->filters[c->n_filters++] = str_dup(filter);
    return 0;
}

void
instruct_set(char **field, struct str text)
{
    mem_free(*field);
    *field = text.ptr != NULL ? str_dup(text) : NULL;
}

void
instruct_set_keep_alive(struct instruct *in, struct str data)
{
    instruct_set(&in->keep_alive, data.len > 0 ? data : str_of(NULL, 0));
    in->keep_alive_len = data.len;
}

int
instruct_seconds(int64_t n, int min)
{
    return n < min ? min : n > YEAR ? YEAR : (int)n;
}

/* For each of N names the place of its first occurrence when repetitions are left out. mem_free() it. A table rather
 * than comparing all with all, since an origin's document may list thousands. */
static unsigned *
places(const struct str *names, unsigned n)
{
    struct map_node *nodes = mem_zalloc(n * sizeof *nodes);
    unsigned *place = mem_alloc(n * sizeof *place), used = 0;
    struct map seen;
    map_init(&seen);
    for (unsigned i = 0; i < n; i++) {
        struct map_node *before = map_find(&seen, names[i]);
        if (before != NULL) {
            place[i] = place[before - nodes];
            continue;
        }
        nodes[i].key = names[i];
        map_add(&seen, &nodes[i]);
        place[i] = used++;
    }
    map_clear(&seen);
    mem_free(nodes);
    return place;
}

/* Each channel once, where it was named first, as it was described last. */
static void
merge_channels(struct instruct *in)
{
    struct str *names = mem_alloc(in->n_channels * sizeof *names);
    unsigned *place, n = 0;
    for (unsigned i = 0; i < in->n_channels; i++)
        names[i] = str_of(in->channels[i].name, in->channels[i].name_len);
    place = places(names, in->n_channels);
    for (unsigned i = 0; i < in->n_channels; i++) {
        if (place[i] < n)
            clear_channel(&in->channels[place[i]]);
        else
            n++;
        in->channels[place[i]] = in->channels[i];
    }
    in->n_channels = n;
    mem_free(place);
    mem_free(names);
}

static void
merge_meta(struct instruct *in)
{
    struct str *names = mem_alloc(in->n_meta * sizeof *names);
    unsigned *place, n = 0;
    for (unsigned i = 0; i < in->n_meta; i++)
        names[i] = str_c(in->meta[i].name);
    place = places(names, in->n_meta);
    for (unsigned i = 0; i < in->n_meta; i++) {
        if (place[i] < n)
            clear_meta(&in->meta[place[i]]);
        else
            n++;
        in->meta[place[i]] = in->meta[i];
    }
    in->n_meta = n;
    mem_free(place);
    mem_free(names);
}

/* Does NAME concern only the hop between the origin and us? */
static bool
is_hop_by_hop(const struct headers *h, struct str name)
{
    static const char *const names[] = {
        "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Content-Length",
        "Trailer",    "TE",         "Upgrade"};
    for (size_t i = 0; i < countof(names); i++)
        if (str_ieq(name, str_c(names[i])))
            return true;
    return headers_list_has(h, STR("Connection"), name);
}

/* Is NAME listed in Grip-Expose-Headers? Also when these list no name at all. */
static bool
is_exposed(const struct headers *h, struct str name)
{
    bool any = false;
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, STR("Grip-Expose-Headers")))
            continue;
        while (header_element(&rest, &element)) {
            if (str_ieq(element, name))
                return true;
            any = true;
        }
    }
    return !any;
}

/* The client gets the origin's own response. */
static void
take_response(int status, struct str reason, const struct headers *h, struct str body, struct instruct *out)
{
    if (out->status == 0) {
        out->status = status;
        out->reason = str_dup(reason);
    }
    for (unsigned i = 0; i < h->n; i++) {
        struct str name = h->at[i].name;
        if (!str_istarts(name, STR("Grip-")) && !is_hop_by_hop(h, name) && is_exposed(h, name))
            headers_add(&out->headers, name, h->at[i].value);
    }
    out->body = body.len > 0 ? str_dup(body) : NULL;
    out->body_len = body.len;
}

int
instruct_parse(int status, struct str reason, const struct headers *h, struct str body, struct instruct *out,
               struct err *e)
{
    int rc = -1;
    instruct_init(out);
    if (instruct_read_headers(h, out, e) != 0)
        goto out;
    if (instruct_is_json(h)) {
        if (status != 200) {
            err_set(e, "response code for application/grip-instruct content must be 200");
            goto out;
        }
        if (instruct_read_json(body, out, e) != 0)
            goto out;
    } else {
        take_response(status, reason, h, body, out);
    }
    if (out->n_channels > 1)
        merge_channels(out);
    if (out->n_meta > 1)
        merge_meta(out);
    rc = 0;
out:
    if (rc != 0)
        instruct_clear(out);
    return rc;
}
