#include "proto/tnet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_LENGTH_DIGITS = 19, MAX_NUMBER = 64 }; /* bytes of a LENGTH that fits 64 bits, of a float's text */

/* One tnetstring whose outer form is checked: DATA lies within the text. */
struct element {
    char type;
    struct str data;
};

static json_t *
bad(struct err *e, const char *why)
{
    err_set(e, "bad tnetstring: %s", why);
    return NULL;
}

/* Cut the first tnetstring off *REST; 0 or -1. */
static int
cut(struct str *rest, struct element *out, struct err *e)
{
    ptrdiff_t colon = str_chr(str_sub(*rest, 0, MAX_LENGTH_DIGITS + 1), ':');
    uint64_t len;
    if (colon < 0 || str_u64(str_sub(*rest, 0, (size_t)colon), &len) != 0) {
        bad(e, "no length");
        return -1;
    }
    *rest = str_from(*rest, (size_t)colon + 1);
    if (len >= rest->len) { /* the type byte must be there too */
        bad(e, "shorter than it says");
        return -1;
    }
    out->data = str_sub(*rest, 0, len);
    out->type = rest->ptr[len];
    *rest = str_from(*rest, len + 1);
    return 0;
}

static json_t *
integer(struct str data, struct err *e)
{
    int64_t n;
    if (str_trim(data).len != data.len || str_i64(data, &n) != 0)
        return bad(e, "bad integer");
    return json_integer(n);
}

static json_t *
real(struct str data, struct err *e)
{
    char text[MAX_NUMBER + 1], *end;
    double d;
    if (data.len == 0 || data.len > MAX_NUMBER)
        return bad(e, "bad float");
    for (size_t i = 0; i < data.len; i++) { /* strtod() would take names, hexadecimal and white space as well */
        char c = data.ptr[i];
        if (!(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.' && c != 'e' && c != 'E')
            return bad(e, "bad float");
    }
    memcpy(text, data.ptr, data.len);
    text[data.len] = '\0';
    d = strtod(text, &end);
    if (*end != '\0' || !isfinite(d))
        return bad(e, "bad float");
    return json_real(d);
}

static json_t *value_of(struct element el, unsigned depth, struct err *e);

static json_t *
list(struct str rest, unsigned depth, struct err *e)
{
    json_t *out = json_array();
    while (rest.len > 0) {
        struct element el;
        json_t *v = cut(&rest, &el, e) == 0 ? value_of(el, depth, e) : NULL;
        if (v == NULL) {
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, v);
    }
    return out;
}

/* One key and its value from the front of *REST into MAP; 0 or -1. */
static int
entry(struct str *rest, json_t *map, unsigned depth, struct err *e)
{
    struct element key, el;
    json_t *v;
    if (cut(rest, &key, e) != 0)
        return -1;
    if (key.type != ',') {
        bad(e, "key is not a byte string");
        return -1;
    }
    if (cut(rest, &el, e) != 0 || (v = value_of(el, depth, e)) == NULL)
        return -1;
    json_object_setn_new_nocheck(map, key.data.ptr, key.data.len, v);
    return 0;
}

static json_t *
map_of(struct str rest, unsigned depth, struct err *e)
{
    json_t *out = json_object();
    while (rest.len > 0) {
        if (entry(&rest, out, depth, e) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* DEPTH: lists and maps around this value. */
static json_t *
value_of(struct element el, unsigned depth, struct err *e)
{
    switch (el.type) {
    case ',':
        return json_stringn_nocheck(el.data.ptr, el.data.len);
    case '#':
        return integer(el.data, e);
    case '^':
        return real(el.data, e);
    case '!':
        if (str_eq(el.data, STR("true")))
            return json_true();
        return str_eq(el.data, STR("false")) ? json_false() : bad(e, "bad boolean");
    case '~':
        return el.data.len == 0 ? json_null() : bad(e, "bad null");
    case '}':
    case ']':
        if (depth >= TNET_MAX_DEPTH)
            return bad(e, "nested too deeply");
        return el.type == '}' ? map_of(el.data, depth + 1, e) : list(el.data, depth + 1, e);
    default:
        return bad(e, "unknown type");
    }
}

json_t *
tnet_parse(struct str text, size_t *used, struct err *e)
{
    struct str rest = text;
    struct element el;
    json_t *v;
    if (cut(&rest, &el, e) != 0 || (v = value_of(el, 0, e)) == NULL)
        return NULL;
    if (used != NULL)
        *used = text.len - rest.len;
    return v;
}

static int
put_data(struct buf *b, struct str data, char type)
{
    return buf_addf(b, "%zu:", data.len) != 0 || buf_adds(b, data) != 0 ? -1 : buf_addc(b, type);
}

/* What stands from START on becomes the data of a list or map: its length, known only now, goes before it. */
static int
enclose(struct buf *b, size_t start, char type)
{
    size_t len = b->len - start;
    char head[MAX_LENGTH_DIGITS + 3];
    size_t n = (size_t)snprintf(head, sizeof head, "%zu:", len);
    if (buf_room(b, n + 1) == NULL)
        return -1;
    memmove(b->ptr + start + n, b->ptr + start, len);
    memcpy(b->ptr + start, head, n);
    b->len += n;
    return buf_addc(b, type);
}

static int put(struct buf *b, const json_t *value, unsigned depth);

static int
put_list(struct buf *b, const json_t *value, unsigned depth)
{
    size_t start = b->len;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (put(b, json_array_get(value, i), depth) != 0)
            return -1;
    return enclose(b, start, ']');
}

static int
put_map(struct buf *b, const json_t *value, unsigned depth)
{
    json_t *map = (json_t *)value; /* the iterator's type wants it; nothing is changed */
    size_t start = b->len;
    for (void *i = json_object_iter(map); i != NULL; i = json_object_iter_next(map, i)) {
        struct str key = str_of(json_object_iter_key(i), json_object_iter_key_len(i));
        if (put_data(b, key, ',') != 0 || put(b, json_object_iter_value(i), depth) != 0)
            return -1;
    }
    return enclose(b, start, '}');
}

static int
put(struct buf *b, const json_t *value, unsigned depth)
{
    char text[MAX_NUMBER];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return put_data(b, str_of(json_string_value(value), json_string_length(value)), ',');
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return put_data(b, str_c(text), '#');
    case JSON_REAL:
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
        return put_data(b, str_c(text), '^');
    case JSON_TRUE:
        return buf_adds(b, STR("4:true!"));
    case JSON_FALSE:
        return buf_adds(b, STR("5:false!"));
    case JSON_NULL:
        return buf_adds(b, STR("0:~"));
    case JSON_ARRAY:
        return depth < TNET_MAX_DEPTH ? put_list(b, value, depth + 1) : -1;
    case JSON_OBJECT:
        return depth < TNET_MAX_DEPTH ? put_map(b, value, depth + 1) : -1;
    }
    return -1;
}

int
tnet_put(struct buf *b, const json_t *value)
{
    size_t start = b->len;
    if (put(b, value, 0) == 0)
        return 0;
    b->len = start; /* no half of a value is left behind */
    return -1;
}
