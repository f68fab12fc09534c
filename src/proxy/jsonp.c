#include "proxy/jsonp.h"

#include "proto/jsonread.h"
#include "proto/uri.h"

#include <ctype.h>
#include <stdlib.h>

/* What the query says; texts decoded, in buffers of their own. */
struct params {
    struct buf callback, method, headers, body, query; /* QUERY: what is left of it */
    bool has_callback, has_method, has_headers, has_body;
};

/* The names of the parameters, as the route has them. */
struct names {
    struct str callback, body, fallback, method; /* BODY, FALLBACK: ptr NULL: none */
    bool basic;
};

static struct names
names_of(const struct route *r)
{
    if (r == NULL)
        return (struct names){STR("callback"), {NULL, 0}, {NULL, 0}, STR("GET"), false};
    return (struct names){str_c(r->jsonp_callback), str_c(r->jsonp_body), str_c(r->jsonp_defcb),
                          str_c(r->jsonp_defmethod), r->jsonp_mode == JSONP_BASIC};
}

static void
params_clear(struct params *p)
{
    buf_clear(&p->callback);
    buf_clear(&p->method);
    buf_clear(&p->headers);
    buf_clear(&p->body);
    buf_clear(&p->query);
}

static bool
is_named(struct str name, struct str want)
{
    struct buf decoded = BUF_INIT(name.len + 1);
    bool same;
    if (want.ptr == NULL)
        return false;
    uri_decode(name, false, &decoded);
    same = str_eq(buf_str(&decoded), want);
    buf_clear(&decoded);
    return same;
}

static void
take(struct str value, struct buf *out, bool *has)
{
    if (*has)
        return; /* the first counts */
    *has = true;
    uri_decode(value, false, out);
}

static void
read_query(struct str query, const struct names *n, struct params *p)
{
    struct str pair;
    size_t max = query.len + 1;
    *p = (struct params){BUF_INIT(max), BUF_INIT(max), BUF_INIT(max), BUF_INIT(max), BUF_INIT(max), 0, 0, 0, 0};
    while (str_split(&query, '&', &pair)) {
        ptrdiff_t at = str_chr(pair, '=');
        struct str name = at < 0 ? pair : str_sub(pair, 0, (size_t)at);
        struct str value = at < 0 ? STR("") : str_from(pair, (size_t)at + 1);
        if (is_named(name, n->callback)) {
            take(value, &p->callback, &p->has_callback);
        } else if (str_eq(name, STR("_method"))) {
            take(value, &p->method, &p->has_method);
        } else if (str_eq(name, STR("_headers"))) {
            take(value, &p->headers, &p->has_headers);
        } else if (is_named(name, n->body.ptr != NULL ? n->body : STR("_body"))) {
            take(value, &p->body, &p->has_body);
        } else {
            if (p->query.len > 0)
                buf_addc(&p->query, '&');
            buf_adds(&p->query, pair);
        }
    }
}

bool
jsonp_is_callback(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool first = c < 0x80 && (isalpha(c) || c == '_' || c == '$');
        if (!first && (i == 0 || c >= 0x80 || (!isdigit(c) && c != '.' && c != '[' && c != ']')))
            return false;
    }
    return s.len > 0;
}

static bool
is_method(struct str s)
{
    return header_name_ok(s) && !str_eq(s, STR("CONNECT")); /* a token, as names are */
}

/* An object of strings. */
static json_t *
read_headers(const struct params *p)
{
    struct err e;
    json_t *object = jsonread_parse(buf_str(&p->headers), &e), *value;
    const char *name;
    bool good = json_is_object(object);
    if (good)
        json_object_foreach(object, name, value) good =
            good && json_is_string(value) && header_name_ok(str_c(name)) &&
            header_value_ok(str_of(json_string_value(value), json_string_length(value)));
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

/* Those of the parameter, Accept, then the client's others. */
static void
put_headers(struct clientreq *c, const json_t *given, bool json_body)
{
    struct headers h;
    const char *name;
    json_t *value;
    headers_init(&h);
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        struct str n = str_c(name);
        if (str_ieq(n, STR("Host")) || str_ieq(n, STR("Accept")) || (json_body && str_ieq(n, STR("Content-Type"))))
            continue;
        headers_add(&h, n, str_trim(str_of(json_string_value(value), json_string_length(value))));
    }
    if (json_body)
        headers_view(&h, STR("Content-Type"), STR("application/json"));
    headers_view(&h, STR("Accept"), STR("*/*"));
    for (unsigned i = 0, n = h.n; i < c->headers.n; i++) {
        bool replaced = false;
        for (unsigned k = 0; k < n && !replaced; k++)
            replaced = str_ieq(h.at[k].name, c->headers.at[i].name);
        if (!replaced)
            headers_view(&h, c->headers.at[i].name, c->headers.at[i].value);
    }
    headers_clear(&c->headers);
    c->headers = h;
}

static void
put_target(struct clientreq *c, const struct params *p, struct str method)
{
    struct buf path = BUF_INIT(c->path.len + 1);
    ptrdiff_t fragment = str_chr(c->path, '#');
    buf_adds(&path, clientreq_pathname(c));
    if (p->query.len > 0)
        buf_addc(&path, '?');
    buf_adds(&path, buf_str(&p->query));
    if (fragment >= 0)
        buf_adds(&path, str_from(c->path, (size_t)fragment));
    clientreq_replace(c, method, buf_str(&path), c->path_len);
    buf_clear(&path);
}

static struct jsonp *
jsonp_new(struct str callback, bool basic)
{
    struct jsonp *j = mem_zalloc(sizeof *j + callback.len);
    j->basic = basic;
    j->callback_len = callback.len;
    memcpy(j->callback, callback.ptr, callback.len);
    return j;
}

struct jsonp *
jsonp_copy(const struct jsonp *j)
{
    struct jsonp *copy = mem_alloc(sizeof *j + j->callback_len);
    memcpy(copy, j, sizeof *j + j->callback_len);
    return copy;
}

/* NULL, or the name of what is wrong. */
static const char *
unwrap(const struct names *n, struct params *p, struct clientreq *c)
{
    json_t *headers = NULL;
    struct str callback = p->has_callback ? buf_str(&p->callback) : n->fallback;
    if (p->has_callback && !jsonp_is_callback(callback))
        return "callback";
    if (p->has_method && !is_method(buf_str(&p->method)))
        return "_method";
    if (p->has_body && !str_utf8(buf_str(&p->body)))
        return n->body.ptr != NULL ? "body" : "_body";
    if (p->has_headers && (headers = read_headers(p)) == NULL)
        return "_headers";
    put_headers(c, headers, p->has_body && n->body.ptr != NULL);
    put_target(c, p, p->has_method ? buf_str(&p->method) : n->method);
    c->jsonp = jsonp_new(callback, n->basic);
    json_decref(headers);
    return NULL;
}

enum jsonp_result
jsonp_unwrap(const struct route *route, struct clientreq *c, struct buf *body, struct err *e)
{
    struct names n = names_of(route);
    struct params p;
    struct str query = str_from(c->path, c->path_len);
    ptrdiff_t fragment = str_chr(query, '#');
    enum jsonp_result result = JSONP_NONE;
    const char *bad;
    if (query.len == 0 || *query.ptr != '?' || !str_eq(c->method, STR("GET")))
        return JSONP_NONE;
    read_query(str_sub(query, 1, fragment < 0 ? query.len : (size_t)fragment - 1), &n, &p);
    if (p.has_callback || (n.fallback.ptr != NULL && n.body.ptr != NULL && p.has_body)) {
        bad = unwrap(&n, &p, c);
        result = bad != NULL ? JSONP_BAD : JSONP_UNWRAPPED;
        if (bad != NULL)
            err_set(e, "Invalid %s parameter.\n", bad);
        else
            buf_adds(body, buf_str(&p.body));
    }
    params_clear(&p);
    return result;
}

/* answers */

static int
by_name(const void *a, const void *b)
{
    const struct header *x = a, *y = b;
    int order = str_cmp(x->name, y->name);
    return order != 0 ? order : x->value.ptr < y->value.ptr ? -1 : 1;
}

/* An object of H's names, sorted. Of several values the first counts, or all are JOINED. */
static void
put_object(const struct headers *h, bool joined, struct buf *out)
{
    struct header *sorted = mem_alloc((h->n + 1) * sizeof *sorted);
    unsigned n = 0;
    for (unsigned i = 0; i < h->n; i++) {
        bool seen = false;
        for (unsigned k = 0; k < n && !seen; k++)
            seen = str_ieq(sorted[k].name, h->at[i].name);
        if (!seen)
            sorted[n++] = h->at[i];
    }
    qsort(sorted, n, sizeof *sorted, by_name);
    buf_addc(out, '{');
    for (unsigned i = 0; i < n; i++) {
        struct buf value = BUF_INIT(1 << 20);
        if (i > 0)
            buf_addc(out, ',');
        jsonwrite_string(sorted[i].name, out);
        buf_addc(out, ':');
        if (joined)
            for (unsigned k = 0; k < h->n; k++) {
                if (!str_ieq(h->at[k].name, sorted[i].name))
                    continue;
                if (value.len > 0)
                    buf_adds(&value, STR(", "));
                buf_adds(&value, h->at[k].value);
            }
        jsonwrite_string(joined ? buf_str(&value) : sorted[i].value, out);
        buf_clear(&value);
    }
    buf_addc(out, '}');
    mem_free(sorted);
}

static void
put_call(const struct jsonp *j, struct buf *out)
{
    buf_adds(out, STR("/**/"));
    buf_add(out, j->callback, j->callback_len);
    buf_addc(out, '(');
}

void
jsonp_begin(struct jsonp *j, int status, struct str reason, const struct headers *h, struct buf *out)
{
    jsonwrite_init(&j->body);
    j->n_end = 0;
    put_call(j, out);
    if (j->basic)
        return;
    buf_addf(out, "{\"code\": %d, \"reason\": ", status);
    jsonwrite_string(reason, out);
    buf_adds(out, STR(", \"headers\": "));
    put_object(h, false, out);
    buf_adds(out, STR(", \"body\": \""));
}

/* The bytes of S that are no line end at its end. */
static size_t
without_line_end(struct str s)
{
    size_t n = s.len;
    if (n > 0 && s.ptr[n - 1] == '\n')
        n--;
    if (n > 0 && s.ptr[n - 1] == '\r')
        n--;
    return n;
}

void
jsonp_piece(struct jsonp *j, struct str piece, struct buf *out)
{
    size_t n;
    if (!j->basic) {
        jsonwrite_piece(&j->body, piece, out);
        return;
    }
    if (piece.len == 0)
        return;
    if (j->n_end == 1 && *j->end == '\r' && str_eq(piece, STR("\n"))) {
        j->end[j->n_end++] = '\n';
        return;
    }
    buf_add(out, j->end, j->n_end);
    n = without_line_end(piece);
    buf_add(out, piece.ptr, n);
    j->n_end = (unsigned)(piece.len - n);
    memcpy(j->end, piece.ptr + n, j->n_end);
}

void
jsonp_end(struct jsonp *j, struct buf *out)
{
    if (j->basic) {
        if (j->n_end == 1 && *j->end == '\r')
            buf_addc(out, '\r'); /* that was none */
        buf_adds(out, STR(");\n"));
        return;
    }
    jsonwrite_end(&j->body, out);
    buf_adds(out, STR("\"});\n"));
}

void
jsonp_held(struct jsonp *j, int status, struct str reason, const struct headers *h, struct str body, struct buf *out)
{
    if (j->basic) {
        jsonp_begin(j, status, reason, h, out);
        jsonp_piece(j, body, out);
        jsonp_end(j, out);
        return;
    }
    put_call(j, out);
    buf_adds(out, STR("{\"body\":"));
    jsonwrite_string(body, out);
    buf_addf(out, ",\"code\":%d,\"headers\":", status);
    put_object(h, true, out);
    buf_adds(out, STR(",\"reason\":"));
    jsonwrite_string(reason, out);
    buf_adds(out, STR("});\n"));
}
