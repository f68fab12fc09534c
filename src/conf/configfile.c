#include "conf/configfile.h"

#include "base/buf.h"
#include "base/mem.h"
#include "conf/lines.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>

enum {
    MAX_FILE = 1 << 20, /* bytes */
    STAND_IN_NAME = 40, /* inih keeps 49 bytes of sections and names */
};

/* While inih reads. */
struct reading {
    struct config_file *f;
    struct lines lines;
    struct str line;       /* the current one, without leading white space */
    unsigned section_line; /* of the last section line */
    struct err *e;
    bool failed; /* E is set */
};

void
config_list_add(struct config_list *l, char *text)
{
    l->at = mem_realloc(l->at, (l->n + 1) * sizeof *l->at);
    l->at[l->n++] = text;
}

void
config_list_clear(struct config_list *l)
{
    for (unsigned i = 0; i < l->n; i++)
        mem_free(l->at[i]);
    mem_free(l->at);
    *l = (struct config_list){NULL, 0};
}

static bool
is_space(char c)
{
    return isspace((unsigned char)c) != 0;
}

static struct str
trim(struct str s)
{
    while (s.len > 0 && is_space(*s.ptr))
        s = str_from(s, 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* A line for inih that says no more than it needs: it must not meet a second separator or a comment in a name. */
static void
stand_in(const struct reading *r, char *out, size_t size)
{
    char name[STAND_IN_NAME + 1];
    ptrdiff_t eq = str_chr(r->line, '='), end = str_chr(r->line, ']');
    struct str s;
    size_t n = 0;
    if (r->line.len == 0 || *r->line.ptr == '#' || *r->line.ptr == ';') {
        snprintf(out, size, "\n");
    } else if (*r->line.ptr == '[') {
        s = trim(end < 0 ? STR("") : str_sub(r->line, 1, (size_t)end - 1));
        snprintf(out, size, "[%.*s%s\n", (int)(s.len < STAND_IN_NAME ? s.len : STAND_IN_NAME), s.ptr,
                 end < 0 ? "" : "]");
    } else if (eq <= 0) {
        snprintf(out, size, "?\n"); /* no "name=value": inih shall say so */
    } else {
        s = trim(str_sub(r->line, 0, (size_t)eq));
        for (; n < s.len && n < STAND_IN_NAME; n++)
            name[n] = isalnum((unsigned char)s.ptr[n]) ? s.ptr[n] : '_';
        name[n] = '\0';
        snprintf(out, size, "%s=%u\n", name, r->lines.n);
    }
}

static char *
stop(struct reading *r, const char *why)
{
    err_set(r->e, "%s:%u: %s", r->f->path, r->lines.n, why);
    r->failed = true;
    return NULL;
}

/* What inih calls in place of fgets(). */
static char *
next_line(char *out, int size, void *stream)
{
    struct reading *r = stream;
    switch (lines_next(&r->lines, &r->line)) {
    case LINES_LINE:
        break;
    case LINES_LONG:
        return stop(r, "line is longer than 65536 bytes");
    case LINES_FULL:
        return stop(r, "file is longer than 1048576 bytes");
    case LINES_END:
        return NULL;
    }
    if (str_chr(r->line, '\0') >= 0)
        return stop(r, "line contains a NUL byte");
    r->line = trim(r->line);
    if (r->line.len > 0 && *r->line.ptr == '[')
        r->section_line = r->lines.n;
    stand_in(r, out, (size_t)size);
    return out;
}

static int
on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    struct config_file *f = r->f;
    size_t eq = (size_t)str_chr(r->line, '=');
    (void)name;
    if (strtoul(value, NULL, 10) != r->lines.n)
        return 0; /* not the line that we gave it */
    if (f->n == f->cap) {
        f->cap = f->cap > 0 ? f->cap * 2 : 64;
        f->at = mem_realloc(f->at, f->cap * sizeof *f->at);
    }
    f->at[f->n++] = (struct config_entry){
        .section = mem_strdup(section),
        .name = str_dup(trim(str_sub(r->line, 0, eq))),
        .raw = str_dup(str_from(r->line, eq + 1)),
        .line = r->lines.n,
        .section_line = r->section_line,
    };
    return 1;
}

int
config_file_read(struct config_file *f, const char *path, FILE *stream, struct err *e)
{
    struct reading r = {.f = f, .e = e};
    int bad;
    *f = (struct config_file){.path = mem_strdup(path)};
    lines_init(&r.lines, stream, MAX_FILE);
    errno = 0;
    bad = ini_parse_stream(next_line, &r, on_key, &r);
    lines_clear(&r.lines);
    if (r.failed)
        return -1;
    if (ferror(stream)) {
        err_set(e, "failed to open %s: %s", path, strerror(errno != 0 ? errno : EIO));
        return -1;
    }
    if (bad != 0) {
        err_set(e, "%s:%d: expected [section] or key=value", path, bad);
        return -1;
    }
    return 0;
}

void
config_file_clear(struct config_file *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        mem_free(f->at[i].section);
        mem_free(f->at[i].name);
        mem_free(f->at[i].raw);
    }
    mem_free(f->at);
    mem_free(f->path);
    *f = (struct config_file){.path = NULL};
}

struct config_entry *
config_file_find(const struct config_file *f, const char *section, const char *name)
{
    for (unsigned i = f->n; i-- > 0;)
        if (strcmp(f->at[i].name, name) == 0 && strcmp(f->at[i].section, section) == 0)
            return &f->at[i];
    return NULL;
}

/* The text of one element while it is put together. */
struct element {
    struct buf text;
    size_t keep; /* this much of it was quoted or escaped in part, so white space in it stays */
    bool begun;  /* something has come, be it an empty pair of quotes */
};

/* The escape at P, behind its backslash; what is none keeps its backslash. Returns what follows it. */
static const char *
unescape(struct element *el, const char *p)
{
    static const char from[] = "nt\\\"", to[] = "\n\t\\\"";
    const char *at = *p != '\0' ? strchr(from, *p) : NULL;
    if (at != NULL) {
        buf_addc(&el->text, to[at - from]);
        return p + 1;
    }
    if (*p == 'x' && str_hexdigit(p[1]) >= 0) {
        int c = str_hexdigit(*++p);
        if (str_hexdigit(*++p) >= 0)
            c = c * 16 + str_hexdigit(*p++);
        if (c >= 0x80) { /* a code point, as in Qt's files: UTF-8 */
            buf_addc(&el->text, (char)(0xc0 | c >> 6));
            c = 0x80 | (c & 0x3f);
        }
        if (c != 0)
            buf_addc(&el->text, (char)c);
        return p;
    }
    buf_addc(&el->text, '\\');
    return p;
}

static char *
take(struct element *el)
{
    while (el->text.len > el->keep && is_space(el->text.ptr[el->text.len - 1]))
        el->text.len--;
    el->keep = 0;
    el->begun = false;
    return buf_steal(&el->text);
}

/* Read one element from *P on, up to a comment, the end, or (with LISTS) a comma. NULL: a quote has no end. */
static char *
next_element(const char **p, bool lists, struct err *e)
{
    struct element el = {BUF_INIT(2 * LINES_MAX_LINE), 0, false};
    bool quoted = false;
    const char *at = *p;
    while (*at != '\0' && (quoted || (*at != ';' && !(lists && *at == ',')))) {
        char c = *at++;
        if (c == '"')
            quoted = !quoted;
        else if (c == '\\')
            at = unescape(&el, at);
        else if (quoted || el.begun || !is_space(c))
            buf_addc(&el.text, c);
        if (quoted || c == '"' || c == '\\')
            el.keep = el.text.len;
        el.begun = el.begun || !is_space(c);
    }
    *p = at;
    if (quoted) {
        err_set(e, "a closing \" is missing");
        buf_clear(&el.text);
        return NULL;
    }
    return take(&el);
}

char *
config_value_text(const char *raw, struct err *e)
{
    return next_element(&raw, false, e);
}

int
config_value_list(const char *raw, struct config_list *out, struct err *e)
{
    *out = (struct config_list){NULL, 0};
    for (;;) {
        char *text = next_element(&raw, true, e);
        if (text == NULL)
            return -1;
        if (*text != '\0')
            config_list_add(out, text);
        else
            mem_free(text);
        if (*raw != ',')
            return 0;
        raw++;
    }
}
