#include "proto/jsonpatch.h"

#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <string.h>

/* A short patch can ask for endless work: each copy of the root into itself doubles the document. So everything that
 * is copied is counted, a unit for each value and for each UNIT_BYTES of text, and depth has the JSON parser's limit,
 * so that whoever walks or frees the result may recurse. */
enum { MAX_OPS = 10000, MAX_DEPTH = 2048, MAX_UNITS = 1000000, UNIT_BYTES = 64, SHOWN = 100 };

struct patching {
    json_t *root; /* owned: the copy that is changed */
    size_t units; /* copied so far, at most MAX_UNITS */
    struct err *e;
};

/* Where a pointer leads: to the entry KEY of PARENT, which may not exist yet, or to the root. */
struct place {
    json_t *parent;   /* borrowed; NULL: the root */
    struct str key;   /* within SCRATCH or the pointer's text */
    unsigned depth;   /* lists and objects around the entry */
    char *scratch;    /* owned: unescaped tokens; NULL when none had an escape */
    struct str shown; /* the pointer, for messages; cut when long */
};

static int
charge(struct patching *p, size_t bytes)
{
    size_t units = 1 + bytes / UNIT_BYTES;
    if (units > MAX_UNITS - p->units) {
        err_set(p->e, "too much is copied");
        return -1;
    }
    p->units += units;
    return 0;
}

static int
charge_text(struct patching *p, struct str s)
{
    if (!str_utf8(s)) { /* a tnetstring may bring it; the result could not be written as JSON */
        err_set(p->e, "text is not UTF-8");
        return -1;
    }
    return charge(p, s.len);
}

static int
check_depth(struct patching *p, unsigned depth)
{
    if (depth < MAX_DEPTH)
        return 0;
    err_set(p->e, "nested too deeply");
    return -1;
}

static json_t *copy(struct patching *p, const json_t *v, unsigned depth);

static int
copy_members(struct patching *p, const json_t *from, json_t *to, unsigned depth)
{
    json_t *object = (json_t *)from; /* the iterator's type wants it; nothing is changed */
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        struct str key = str_of(json_object_iter_key(i), json_object_iter_key_len(i));
        json_t *v = charge_text(p, key) == 0 ? copy(p, json_object_iter_value(i), depth) : NULL;
        if (v == NULL)
            return -1;
        json_object_setn_new_nocheck(to, key.ptr, key.len, v);
    }
    return 0;
}

static int
copy_elements(struct patching *p, const json_t *from, json_t *to, unsigned depth)
{
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *v = copy(p, json_array_get(from, i), depth);
        if (v == NULL)
            return -1;
        json_array_append_new(to, v);
    }
    return 0;
}

/* A copy of V to be put at DEPTH; NULL when it would be too much. Strings and numbers, which nobody changes, are
 * shared. */
static json_t *
copy(struct patching *p, const json_t *v, unsigned depth)
{
    json_t *out;
    int rc;
    if (!json_is_array(v) && !json_is_object(v)) {
        rc = json_is_string(v) ? charge_text(p, str_of(json_string_value(v), json_string_length(v))) : charge(p, 0);
        return rc == 0 ? json_incref((json_t *)v) : NULL;
    }
    if (check_depth(p, depth) != 0 || charge(p, 0) != 0)
        return NULL;
    out = json_is_array(v) ? json_array() : json_object();
    rc = json_is_array(v) ? copy_elements(p, v, out, depth + 1) : copy_members(p, v, out, depth + 1);
    if (rc == 0)
        return out;
    json_decref(out);
    return NULL;
}

/* May V be moved to DEPTH? The walk counts as work. */
static int
check_move(struct patching *p, json_t *v, unsigned depth)
{
    if (!json_is_array(v) && !json_is_object(v))
        return 0;
    if (check_depth(p, depth) != 0 || charge(p, 0) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (check_move(p, json_array_get(v, i), depth + 1) != 0)
            return -1;
    for (void *i = json_object_iter(v); i != NULL; i = json_object_iter_next(v, i))
        if (check_move(p, json_object_iter_value(i), depth + 1) != 0)
            return -1;
    return 0;
}

/* RFC 6902, 4.6: numbers are equal when their values are, so 1 is 1.0. */
static bool
same_number(const json_t *a, const json_t *b)
{
    double d;
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (json_is_real(a) && json_is_real(b))
        return json_real_value(a) == json_real_value(b);
    if (json_is_integer(b))
        return same_number(b, a);
    d = json_real_value(b); /* compared as integers: a double does not tell 2^53 from 2^53 + 1 */
    return d >= -0x1p63 && d < 0x1p63 && (double)(json_int_t)d == d && (json_int_t)d == json_integer_value(a);
}

static bool same(const json_t *a, const json_t *b);

static bool
same_members(const json_t *a, const json_t *b)
{
    json_t *object = (json_t *)a;
    if (json_object_size(a) != json_object_size(b))
        return false;
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        const json_t *other = json_object_getn(b, json_object_iter_key(i), json_object_iter_key_len(i));
        if (other == NULL || !same(json_object_iter_value(i), other))
            return false;
    }
    return true;
}

static bool
same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return same_number(a, b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_object(a))
        return same_members(a, b);
    if (!json_is_array(a))
        return json_equal(a, b);
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return true;
}

static int
fail_at(struct patching *p, struct str shown, const char *why)
{
    err_set(p->e, "path \"%.*s\" %s", STR_ARG(shown), why);
    return -1;
}

/* "0", "1", "10": RFC 6901, 4 allows no leading zeros. */
static bool
array_index(struct str token, size_t *out)
{
    uint64_t n;
    if (str_u64(token, &n) != 0 || (token.len > 1 && *token.ptr == '0'))
        return false;
    *out = n;
    return true;
}

/* The entry KEY of CONTAINER, borrowed; NULL when there is none. */
static json_t *
child(const json_t *container, struct str key)
{
    size_t i;
    if (json_is_object(container))
        return json_object_getn(container, key.ptr, key.len);
    return json_is_array(container) && array_index(key, &i) ? json_array_get(container, i) : NULL;
}

/* Undo ~0 and ~1; 0, or -1 for another ~. Writes to *TO when there is anything to undo. */
static int
unescape(struct str *token, char **to)
{
    char *start = *to;
    if (str_chr(*token, '~') < 0)
        return 0;
    assert(start != NULL);
    for (size_t i = 0; i < token->len; i++) {
        char c = token->ptr[i];
        if (c == '~') {
            if (++i == token->len || (token->ptr[i] != '0' && token->ptr[i] != '1'))
                return -1;
            c = token->ptr[i] == '0' ? '~' : '/';
        }
        *(*to)++ = c;
    }
    *token = str_of(start, (size_t)(*to - start));
    return 0;
}

/* Follow a pointer to its last token. 0 or -1; place_clear() in either case. */
static int
locate(struct patching *p, struct str path, struct place *out)
{
    struct str rest = str_from(path, 1), token;
    json_t *at = NULL;
    char *to;
    *out = (struct place){.key = STR(""), .shown = str_sub(path, 0, SHOWN)};
    if (path.len == 0)
        return 0;
    if (*path.ptr != '/')
        return fail_at(p, out->shown, "does not begin with a slash");
    to = out->scratch = str_chr(path, '~') >= 0 ? mem_alloc(path.len) : NULL;
    while (str_split(&rest, '/', &token)) {
        if (unescape(&token, &to) != 0)
            return fail_at(p, out->shown, "has a bad escape");
        at = out->depth++ == 0 ? p->root : child(out->parent, out->key);
        if (!json_is_array(at) && !json_is_object(at))
            return fail_at(p, out->shown, "leads nowhere");
        out->parent = at;
        out->key = token;
    }
    return 0;
}

static void
place_clear(struct place *at)
{
    mem_free(at->scratch);
}

/* What is there, borrowed; NULL with a message. */
static json_t *
look(struct patching *p, const struct place *at)
{
    json_t *v = at->parent != NULL ? child(at->parent, at->key) : p->root;
    if (v == NULL)
        fail_at(p, at->shown, "does not exist");
    return v;
}

static int
insert(struct patching *p, const struct place *at, json_t *v)
{
    size_t size = json_array_size(at->parent), i = size;
    if ((!str_eq(at->key, STR("-")) && !array_index(at->key, &i)) || i > size) {
        json_decref(v);
        return fail_at(p, at->shown, "is not an index of the array");
    }
    json_array_insert_new(at->parent, i, v);
    return 0;
}

/* Put V, a reference that is taken over, there; what was an object's member or the root goes. 0 or -1. */
static int
put(struct patching *p, const struct place *at, json_t *v)
{
    if (at->parent == NULL) {
        json_decref(p->root);
        p->root = v;
        return 0;
    }
    if (json_is_array(at->parent))
        return insert(p, at, v);
    if (!str_utf8(at->key)) {
        json_decref(v);
        return fail_at(p, STR(""), "is not UTF-8");
    }
    json_object_setn_new_nocheck(at->parent, at->key.ptr, at->key.len, v);
    return 0;
}

/* Take what is known to be there out of its parent, which must not be NULL. */
static void
take_out(const struct place *at)
{
    size_t i;
    if (json_is_object(at->parent))
        json_object_deln(at->parent, at->key.ptr, at->key.len);
    else if (array_index(at->key, &i))
        json_array_remove(at->parent, i);
}

static int
op_add(struct patching *p, struct str path, const json_t *value)
{
    struct place at;
    int rc = locate(p, path, &at);
    json_t *v = rc == 0 ? copy(p, value, at.depth) : NULL;
    rc = v != NULL ? put(p, &at, v) : -1;
    place_clear(&at);
    return rc;
}

static int
op_remove(struct patching *p, struct str path)
{
    struct place at;
    int rc = locate(p, path, &at);
    if (rc == 0 && look(p, &at) == NULL)
        rc = -1;
    if (rc == 0 && at.parent == NULL)
        rc = fail_at(p, at.shown, "is the root, which can only be replaced");
    if (rc == 0)
        take_out(&at);
    place_clear(&at);
    return rc;
}

static int
op_replace(struct patching *p, struct str path, const json_t *value)
{
    struct place at;
    int rc = locate(p, path, &at);
    json_t *v = rc == 0 && look(p, &at) != NULL ? copy(p, value, at.depth) : NULL;
    size_t i;
    if (v == NULL)
        rc = -1;
    else if (json_is_array(at.parent) && array_index(at.key, &i))
        json_array_set_new(at.parent, i, v);
    else
        rc = put(p, &at, v);
    place_clear(&at);
    return rc;
}

static int
op_test(struct patching *p, struct str path, const json_t *value)
{
    struct place at;
    int rc = locate(p, path, &at);
    const json_t *v = rc == 0 ? look(p, &at) : NULL;
    if (v == NULL)
        rc = -1;
    else if (!same(value, v))
        rc = fail_at(p, at.shown, "is not as tested");
    place_clear(&at);
    return rc;
}

static int
op_copy(struct patching *p, struct str from, struct str path)
{
    struct place at;
    int rc = locate(p, from, &at);
    const json_t *v = rc == 0 ? look(p, &at) : NULL;
    place_clear(&at);
    return v != NULL ? op_add(p, path, v) : -1;
}

/* Is there a pointer to a child of FROM in PATH? Both are valid, and then every token is written in one way only. */
static bool
leads_below(struct str from, struct str path)
{
    return path.len > from.len && str_starts(path, from) && path.ptr[from.len] == '/';
}

/* Put V, a reference that is taken over and that was at depth WAS, at PATH. */
static int
move_to(struct patching *p, struct str path, json_t *v, unsigned was)
{
    struct place to;
    int rc = locate(p, path, &to);
    if (rc == 0 && to.depth > was)
        rc = check_move(p, v, to.depth);
    if (rc == 0)
        rc = put(p, &to, v);
    else
        json_decref(v);
    place_clear(&to);
    return rc;
}

static int
op_move(struct patching *p, struct str from, struct str path)
{
    struct place at;
    int rc = locate(p, from, &at);
    json_t *v = rc == 0 ? look(p, &at) : NULL;
    if (v == NULL)
        rc = -1;
    else if (leads_below(from, path))
        rc = fail_at(p, at.shown, "cannot be moved into itself");
    else if (!str_eq(from, path)) {
        json_incref(v);
        take_out(&at); /* it is not the root: every other path leads below that */
        rc = move_to(p, path, v, at.depth);
    }
    place_clear(&at);
    return rc;
}

/* The pointer KEY of an operation; "/" is the root, as Pushpin writes it. 0 or -1. */
static int
read_pointer(struct patching *p, const json_t *op, const char *key, struct str *out)
{
    const json_t *v = json_object_get(op, key);
    if (!json_is_string(v)) {
        err_set(p->e, "'%s' %s", key, v != NULL ? "has wrong type" : "is missing");
        return -1;
    }
    *out = str_of(json_string_value(v), json_string_length(v));
    if (str_eq(*out, STR("/")))
        *out = STR("");
    return 0;
}

static int
apply_with_value(struct patching *p, const json_t *op, struct str name, struct str path)
{
    const json_t *value = json_object_get(op, "value");
    if (value == NULL) {
        err_set(p->e, "'value' is missing");
        return -1;
    }
    if (str_eq(name, STR("add")))
        return op_add(p, path, value);
    return str_eq(name, STR("replace")) ? op_replace(p, path, value) : op_test(p, path, value);
}

static int
apply_one(struct patching *p, const json_t *op)
{
    const json_t *v = json_object_get(op, "op");
    struct str name = str_of(json_string_value(v), json_string_length(v)), path, from;
    if (!json_is_object(op)) {
        err_set(p->e, "not an object");
        return -1;
    }
    if (read_pointer(p, op, "path", &path) != 0)
        return -1;
    if (str_eq(name, STR("add")) || str_eq(name, STR("replace")) || str_eq(name, STR("test")))
        return apply_with_value(p, op, name, path);
    if (str_eq(name, STR("remove")))
        return op_remove(p, path);
    if (str_eq(name, STR("move")) || str_eq(name, STR("copy"))) {
        if (read_pointer(p, op, "from", &from) != 0)
            return -1;
        return *name.ptr == 'm' ? op_move(p, from, path) : op_copy(p, from, path);
    }
    err_set(p->e, "unknown 'op'");
    return -1;
}

json_t *
jsonpatch_apply(const json_t *doc, const json_t *patch, struct err *e)
{
    struct patching p = {NULL, 0, e};
    if (!json_is_array(patch) || json_array_size(patch) > MAX_OPS) {
        err_set(e, "patch is not a list of at most %d operations", MAX_OPS);
        return NULL;
    }
    p.root = copy(&p, doc, 0);
    for (size_t i = 0; p.root != NULL && i < json_array_size(patch); i++) {
        if (apply_one(&p, json_array_get(patch, i)) != 0) {
            err_prefix(e, "operation %zu: ", i);
            json_decref(p.root);
            p.root = NULL;
        }
    }
    return p.root;
}
