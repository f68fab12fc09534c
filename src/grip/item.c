#include "grip/item.h"

#include "base/mem.h"
#include "grip/formatread.h"
#include "proto/jsonread.h"

static const char where[] = "publish item object";

/* A copy of S at *TO, which moves on. What is absent stays so. */
static struct str
keep(char **to, struct str s)
{
    struct str kept = {s.ptr != NULL ? *to : NULL, s.len};
    if (s.len > 0)
        memcpy(*to, s.ptr, s.len);
    *to += s.len;
    return kept;
}

/* The strings lie behind the item, in the same block. */
static struct item *
item_new(struct str channel, struct str id, struct str prev_id)
{
    struct item *i = mem_zalloc(sizeof *i + channel.len + id.len + prev_id.len);
    char *to = (char *)(i + 1);
    i->refs = 1;
    i->size = -1;
    i->channel = keep(&to, channel);
    i->id = keep(&to, id);
    i->prev_id = keep(&to, prev_id);
    return i;
}

static int
read_channel(const json_t *value, struct str *out, struct err *e)
{
    bool found;
    if (jsonread_str(value, "channel", where, out, &found, e) != 0)
        return -1;
    if (found)
        return 0;
    err_set(e, "%s does not contain 'channel'", where);
    return -1;
}

static int
read_id(const json_t *value, const char *key, enum item_source source, struct str *out, struct err *e)
{
    if (source == ITEM_TNET && json_is_null(json_object_get(value, key)))
        return 0;
    return jsonread_str(value, key, where, out, NULL, e);
}

static int
read_formats(struct item *i, const json_t *value, enum item_source source, struct err *e)
{
    json_t *formats = NULL;
    bool any;
    if (jsonread_object(value, "formats", where, &formats, e) != 0)
        return -1;
    any = json_object_size(formats) > 0; /* formats that we do not know are formats too */
    for (int kind = 0; kind < FORMAT_KINDS; kind++) {
        const json_t *v = json_object_get(formats != NULL ? formats : value, format_name((enum format_kind)kind));
        if (v == NULL)
            continue;
        any = true;
        i->formats[kind] = format_read((enum format_kind)kind, v, source, e);
        if (i->formats[kind] == NULL)
            return -1;
    }
    if (any)
        return 0;
    err_set(e, "no formats specified");
    return -1;
}

static int
read_meta(struct item *i, const json_t *value, struct err *e)
{
    json_t *meta = NULL;
    if (jsonread_object(value, "meta", where, &meta, e) != 0)
        return -1;
    for (void *at = json_object_iter(meta); at != NULL; at = json_object_iter_next(meta, at)) {
        if (!json_is_string(json_object_iter_value(at))) {
            err_set(e, "'meta' contains '%s' with wrong type", json_object_iter_key(at));
            return -1;
        }
    }
    i->meta = json_incref(meta);
    return 0;
}

static int
read_size(struct item *i, const json_t *value, struct err *e)
{
    bool found;
    if (jsonread_int(value, "size", where, &i->size, &found, e) != 0)
        return -1;
    if (!found || i->size >= 0)
        return 0;
    err_set(e, "%s contains 'size' with invalid value", where);
    return -1;
}

struct item *
item_parse(const json_t *value, enum item_source source, struct str channel, struct err *e)
{
    struct str id = {NULL, 0}, prev_id = {NULL, 0};
    struct item *i;
    if (!json_is_object(value)) {
        err_set(e, "%s is not an object", where);
        return NULL;
    }
    if ((channel.len == 0 && read_channel(value, &channel, e) != 0) || read_id(value, "id", source, &id, e) != 0 ||
        read_id(value, "prev-id", source, &prev_id, e) != 0)
        return NULL;
    i = item_new(channel, id, prev_id);
    if (read_formats(i, value, source, e) == 0 && read_meta(i, value, e) == 0 && read_size(i, value, e) == 0 &&
        jsonread_bool(value, "no-seq", where, &i->no_seq, NULL, e) == 0)
        return i;
    item_unref(i);
    return NULL;
}

void
item_unref(struct item *i)
{
    if (--i->refs > 0)
        return;
    for (int kind = 0; kind < FORMAT_KINDS; kind++)
        format_free(i->formats[kind]);
    json_decref(i->meta);
    mem_free(i);
}
