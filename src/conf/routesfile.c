#include "conf/routesfile.h"

#include "base/mem.h"

/* What is left of a line, and where its unquoted bytes go. */
struct cursor {
    struct str rest;
    char *to;
};

static bool
is_separator(char c)
{
    return c == ' ' || c == '\t';
}

static void
skip_space(struct cursor *c)
{
    while (c->rest.len > 0 && is_separator(*c->rest.ptr))
        c->rest = str_from(c->rest, 1);
    if (c->rest.len > 0 && *c->rest.ptr == '#')
        c->rest.len = 0;
}

/* Read up to and with the closing quote; the opening one is gone. */
static int
read_quoted(struct cursor *c, struct err *e)
{
    for (size_t i = 0; i < c->rest.len; i++) {
        char byte = c->rest.ptr[i];
        if (byte == '"') {
            c->rest = str_from(c->rest, i + 1);
            return 0;
        }
        if (byte == '\\') {
            if (++i == c->rest.len) {
                err_set(e, "unterminated escape sequence");
                return -1;
            }
            byte = c->rest.ptr[i];
            if (byte != '\\' && byte != '"') {
                err_set(e, "unexpected escape character: %c", byte);
                return -1;
            }
        }
        *c->to++ = byte;
    }
    err_set(e, "unterminated quoted section");
    return -1;
}

/* Read up to a comma, a separator, a comment or the end, none of which is taken. *EMPTY: there was not even "". */
static int
read_token(struct cursor *c, struct str *token, bool *empty, struct err *e)
{
    char *start = c->to;
    const char *from = c->rest.ptr;
    while (c->rest.len > 0) {
        char byte = *c->rest.ptr;
        if (byte == ',' || byte == '#' || is_separator(byte))
            break;
        c->rest = str_from(c->rest, 1);
        if (byte != '"')
            *c->to++ = byte;
        else if (read_quoted(c, e) != 0)
            return -1;
    }
    *token = str_of(start, (size_t)(c->to - start));
    *empty = c->rest.ptr == from;
    return 0;
}

static int
add_prop(struct route_section *s, struct str token, struct err *e)
{
    ptrdiff_t eq = str_chr(token, '=');
    struct route_prop p = {token, STR("")};
    if (eq >= 0)
        p = (struct route_prop){str_sub(token, 0, (size_t)eq), str_from(token, (size_t)eq + 1)};
    if (p.name.len == 0) {
        err_set(e, "empty prop name");
        return -1;
    }
    if ((s->n_props & (s->n_props - 1)) == 0) /* full at 0, 1, 2, 4, 8 ... */
        s->props = mem_realloc(s->props, (s->n_props > 0 ? 2 * s->n_props : 1) * sizeof *s->props);
    s->props[s->n_props++] = p;
    return 0;
}

static int
read_section(struct cursor *c, struct route_section *s, struct err *e)
{
    struct str token;
    bool empty;
    if (read_token(c, &token, &empty, e) != 0)
        return -1;
    s->first = STR("");
    if (str_chr(token, '=') < 0)
        s->first = token;
    else if (add_prop(s, token, e) != 0)
        return -1;
    while (c->rest.len > 0 && *c->rest.ptr == ',') {
        c->rest = str_from(c->rest, 1);
        if (read_token(c, &token, &empty, e) != 0)
            return -1;
        if (empty) {
            err_set(e, "expecting prop");
            return -1;
        }
        if (add_prop(s, token, e) != 0)
            return -1;
    }
    return 0;
}

int
route_line_parse(struct str text, struct route_line *out, struct err *e)
{
    struct cursor c = {text, NULL};
    *out = (struct route_line){NULL, 0, NULL};
    c.to = out->memory = mem_alloc(text.len + 1);
    if (str_chr(text, '\0') >= 0) {
        err_set(e, "line contains a NUL byte");
        return -1;
    }
    for (skip_space(&c); c.rest.len > 0; skip_space(&c)) {
        if ((out->n & (out->n - 1)) == 0)
            out->sections = mem_realloc(out->sections, (out->n > 0 ? 2 * out->n : 1) * sizeof *out->sections);
        out->sections[out->n] = (struct route_section){.n_props = 0};
        if (read_section(&c, &out->sections[out->n++], e) != 0)
            return -1;
    }
    if (out->n == 1) {
        err_set(e, "must specify condition and at least one target");
        return -1;
    }
    return 0;
}

void
route_line_clear(struct route_line *l)
{
    for (unsigned i = 0; i < l->n; i++)
        mem_free(l->sections[i].props);
    mem_free(l->sections);
    mem_free(l->memory);
    *l = (struct route_line){NULL, 0, NULL};
}
