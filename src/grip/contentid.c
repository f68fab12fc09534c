#include "grip/contentid.h"

#include "base/mem.h"

enum { MAX_ID = 65536 }; /* bytes of a default id */

enum found { FOUND_TEXT, FOUND_DIRECTIVE, FOUND_CUT, FOUND_BAD };

/* What stands at the beginning of a text. */
struct token {
    struct str text;    /* FOUND_TEXT: bytes to copy */
    size_t len;         /* bytes of the template that it takes */
    char directive;     /* FOUND_DIRECTIVE */
    size_t at;          /* where that character stands */
    bool has_arg;       /* "%(ARG)X" */
    struct str raw_arg; /* with its escapes */
};

static enum found
bad(struct err *e, const char *what, size_t at)
{
    err_set(e, "%s at position %zu", what, at);
    return FOUND_BAD;
}

/* "(ARG)" from position I on. */
static enum found
read_arg(struct str s, size_t *i, struct token *t, size_t base, struct err *e)
{
    size_t open = *i, n = open + 1;
    if (n == s.len)
        return bad(e, "Expected character after '('", base + open);
    while (n < s.len && s.ptr[n] != ')') {
        if (s.ptr[n] == '\\' && ++n == s.len)
            return bad(e, "Expected character after '\\'", base + n - 1);
        n++;
    }
    if (n == s.len)
        return bad(e, "Unterminated field starting", base + open);
    if (n + 1 == s.len)
        return bad(e, "Expected directive after ')'", base + n);
    t->has_arg = true;
    t->raw_arg = str_sub(s, open + 1, n - open - 1);
    *i = n + 1;
    return FOUND_DIRECTIVE;
}

/* BASE: position of S in the whole. MORE: S may be cut off anywhere. */
static enum found
next_token(struct str s, size_t base, bool more, struct token *t, struct err *e)
{
    const char *percent = memchr(s.ptr, '%', s.len);
    size_t i = 1;
    enum found found = FOUND_DIRECTIVE;
    *t = (struct token){.len = s.len, .text = s};
    if (percent != s.ptr) {
        if (percent != NULL)
            t->text = str_sub(s, 0, t->len = (size_t)(percent - s.ptr));
        return FOUND_TEXT;
    }
    if (i == s.len)
        found = bad(e, "Expected directive after '%'", base);
    else if (s.ptr[i] == '(')
        found = read_arg(s, &i, t, base, e);
    if (found == FOUND_BAD)
        return more ? FOUND_CUT : FOUND_BAD; /* every one of these errors is about the end */
    t->directive = s.ptr[i];
    t->at = base + i;
    t->len = i + 1;
    if (t->directive == '%' && !t->has_arg) {
        t->text = STR("%");
        return FOUND_TEXT;
    }
    return FOUND_DIRECTIVE;
}

/* An error about a name from outside. */
static int
bad_name(struct err *e, const char *what, struct str name, size_t at)
{
    err_set(e, "%s '%.*s' at position %zu", what, (int)(name.len < 128 ? name.len : 128), name.len > 0 ? name.ptr : "",
            at);
    return -1;
}

/* The argument without its escapes; buf_clear() it. */
static struct buf
plain_arg(const struct token *t)
{
    struct buf arg = BUF_INIT(t->raw_arg.len);
    for (size_t i = 0; i < t->raw_arg.len; i++) {
        if (t->raw_arg.ptr[i] == '\\')
            i++;
        buf_addc(&arg, t->raw_arg.ptr[i]);
    }
    return arg;
}

static int
too_long(struct err *e)
{
    err_set(e, "result is too long");
    return -1;
}

static int
put_variable(const struct token *t, contentid_lookup *lookup, void *arg, struct buf *out, struct err *e)
{
    struct buf name;
    struct str value;
    int rc;
    if (t->directive != 's')
        return bad_name(e, "Unknown directive", str_of(&t->directive, 1), t->at);
    if (!t->has_arg) {
        err_set(e, "Directive 's' requires argument at position %zu", t->at);
        return -1;
    }
    name = plain_arg(t);
    value = lookup(arg, name.len > 0 ? buf_str(&name) : STR(""));
    if (value.ptr == NULL)
        rc = bad_name(e, "No such variable", buf_str(&name), t->at);
    else
        rc = buf_adds(out, value) == 0 ? 0 : too_long(e);
    buf_clear(&name);
    return rc;
}

int
contentid_subst(struct str text, contentid_lookup *lookup, void *arg, struct buf *out, struct err *e)
{
    struct token t;
    for (size_t at = 0; at < text.len; at += t.len) {
        enum found found = next_token(str_from(text, at), at, false, &t, e);
        if (found == FOUND_BAD)
            return -1;
        if (found == FOUND_TEXT && buf_adds(out, t.text) != 0)
            return too_long(e);
        if (found == FOUND_DIRECTIVE && put_variable(&t, lookup, arg, out, e) != 0)
            return -1;
    }
    return 0;
}

int
contentid_init(struct contentid *c, struct str format, struct str encoding, contentid_lookup *lookup, void *arg,
               bool lenient, struct err *e)
{
    struct buf id = BUF_INIT(MAX_ID);
    *c = (struct contentid){.id = NULL};
    buf_init(&c->cut, CONTENTID_MAX_FIELD);
    if (format.ptr == NULL) {
        err_set(e, "no sub meta 'id_format'");
        return -1;
    }
    if (encoding.ptr != NULL && !str_eq(encoding, STR("hex"))) {
        err_set(e, "unsupported encoding: %.*s", (int)(encoding.len < 128 ? encoding.len : 128), encoding.ptr);
        return -1;
    }
    c->hex = encoding.ptr != NULL;
    if (contentid_subst(format, lookup, arg, &id, e) == 0) {
        c->id_len = id.len;
        c->id = buf_steal(&id);
        return 0;
    }
    buf_clear(&id);
    if (!lenient)
        err_prefix(e, "failed to render ID: ");
    return lenient ? 0 : -1;
}

void
contentid_clear(struct contentid *c)
{
    mem_free(c->id);
    c->id = NULL;
    buf_clear(&c->cut);
}

static int
put_id(const struct contentid *c, struct str id, struct buf *out, struct err *e)
{
    static const char digits[] = "0123456789abcdef";
    if (!c->hex)
        return buf_adds(out, id) == 0 ? 0 : too_long(e);
    for (size_t i = 0; i < id.len; i++) {
        char two[2] = {digits[(unsigned char)id.ptr[i] >> 4], digits[(unsigned char)id.ptr[i] & 15]};
        if (buf_add(out, two, 2) != 0)
            return too_long(e);
    }
    return 0;
}

static int
put_directive(const struct contentid *c, const struct token *t, struct buf *out, struct err *e)
{
    struct buf arg;
    int rc;
    if (t->directive != 'I')
        return bad_name(e, "Unknown directive", str_of(&t->directive, 1), t->at);
    if (!t->has_arg && c->id == NULL) {
        err_set(e, "No ID specified and no default ID in context at position %zu", t->at);
        return -1;
    }
    if (!t->has_arg)
        return put_id(c, str_of(c->id, c->id_len), out, e);
    arg = plain_arg(t);
    rc = put_id(c, buf_str(&arg), out, e);
    buf_clear(&arg);
    return rc;
}

/* All of TEXT but a directive at its end that is cut off; *USED: how much. */
static int
put_text(struct contentid *c, struct str text, bool more, size_t *used, struct buf *out, struct err *e)
{
    struct token t;
    for (*used = 0; *used < text.len; *used += t.len) {
        switch (next_token(str_from(text, *used), c->at + *used, more, &t, e)) {
        case FOUND_TEXT:
            if (buf_adds(out, t.text) != 0)
                return too_long(e);
            break;
        case FOUND_DIRECTIVE:
            if (put_directive(c, &t, out, e) != 0)
                return -1;
            break;
        case FOUND_CUT:
            return 0;
        case FOUND_BAD:
            return -1;
        }
    }
    return 0;
}

/* Bytes of PIECE that complete, or might complete, the directive in C->CUT: one at a time, there are few. */
static int
put_cut(struct contentid *c, struct str *piece, bool last, struct buf *out, struct err *e)
{
    size_t used;
    do {
        bool inside = c->cut.len > 1 && c->cut.ptr[c->cut.len - 1] != ')';
        if (piece->len > 0 && buf_addc(&c->cut, *piece->ptr) != 0) {
            err_set(e, "Unterminated field starting at position %zu", c->at + 1);
            return -1;
        }
        *piece = str_from(*piece, 1);
        if (inside && piece->len > 0)
            continue; /* only what follows a ')' can be the directive */
        if (put_text(c, buf_str(&c->cut), !last || piece->len > 0, &used, out, e) != 0)
            return -1;
        if (used > 0) {
            c->at += used;
            c->cut.len = 0;
        }
    } while (c->cut.len > 0 && piece->len > 0);
    return 0;
}

int
contentid_put(struct contentid *c, struct str piece, bool last, struct buf *out, struct err *e)
{
    size_t used = 0;
    if (c->cut.len > 0 && put_cut(c, &piece, last, out, e) != 0)
        return -1;
    if (piece.len == 0)
        return 0;
    if (put_text(c, piece, !last, &used, out, e) != 0)
        return -1;
    c->at += used;
    if (buf_adds(&c->cut, str_from(piece, used)) != 0) {
        err_set(e, "Unterminated field starting at position %zu", c->at + 1);
        return -1;
    }
    return 0;
}
