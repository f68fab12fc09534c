#include "proxy/rewrite.h"

#include "base/clock.h"
#include "proto/uri.h"

#define MARK "eb9bf0f5-"

static const char features[] =
    "status, session, link:next, link:gone, filter:skip-self, filter:skip-users, filter:require-sub, filter:build-id, "
    "filter:var-subst, filter:http-check, filter:http-modify";

int
rewrite_path(const struct route *route, const struct clientreq *c, struct buf *out)
{
    struct str path = clientreq_pathname(c), query = str_from(c->path, c->path_len);
    size_t remove = route->path_rem > 0 ? (size_t)route->path_rem : 0, start = out->len;
    if (route->replace_beg != NULL) {
        remove = route->path_beg != NULL ? strlen(route->path_beg) : 0;
        buf_adds(out, str_c(route->replace_beg));
    }
    buf_adds(out, str_from(path, remove));
    if (out->len == start && remove >= path.len)
        buf_addc(out, '/');
    buf_adds(out, query);
    return out->len > start && out->ptr[start] == '/' ? 0 : -1;
}

size_t
rewrite_test_prefix(const struct route *route)
{
    size_t n = route->path_beg != NULL ? strlen(route->path_beg) : 0;
    return n > 0 && route->path_beg[n - 1] == '/' ? n - 1 : n;
}

struct str
rewrite_host(const struct route *route, const struct clientreq *c)
{
    struct str host = route->as_host != NULL ? str_c(route->as_host) : c->authority;
    struct str port = c->secure ? STR(":443") : STR(":80");
    return str_ends(host, port) ? str_sub(host, 0, host.len - port.len) : host;
}

/* What never goes from one hop to the next (RFC 9110, 7.6.1), and what is made anew. */
static bool
is_hop(struct str name)
{
    static const struct str names[] = {
        {"Connection", 10},
        {"Keep-Alive", 10},
        {"Content-Length", 14},
        {"Transfer-Encoding", 17},
    };
    for (size_t i = 0; i < countof(names); i++)
        if (name.len == names[i].len && str_ieq(name, names[i]))
            return true;
    return false;
}

/* Is NAME one of the tokens of Connection? Host and framing cannot be taken away so. */
static bool
is_named(struct str connection, struct str name)
{
    struct str token;
    while (str_split(&connection, ',', &token))
        if (str_ieq(str_trim(token), name))
            return true;
    return false;
}

/* All Connection headers but those that say nothing else than keep-alive or close; a list of views. */
struct connection {
    struct str values[4];
    unsigned n;
    bool more; /* there are more: ask the whole list */
};

static void
read_connection(const struct headers *h, struct connection *c)
{
    c->n = 0;
    c->more = false;
    for (unsigned i = 0; i < h->n; i++) {
        struct str v = h->at[i].value;
        if (h->at[i].name.len != 10 || !str_ieq(h->at[i].name, STR("Connection")))
            continue;
        if (str_ieq(v, STR("keep-alive")) || str_ieq(v, STR("close")))
            continue;
        if (c->n == countof(c->values))
            c->more = true;
        else
            c->values[c->n++] = v;
    }
}

static bool
is_dropped(const struct headers *h, const struct connection *c, struct str name)
{
    if (is_hop(name))
        return true;
    for (unsigned i = 0; i < c->n; i++)
        if (is_named(c->values[i], name))
            return true;
    return c->more && headers_list_has(h, STR("Connection"), name);
}

static bool
is_marked_away(const struct proxy *p, struct str name)
{
    const struct config_list *l = &p->config->orig_headers_need_mark;
    for (unsigned i = 0; i < l->n; i++)
        if (str_ieq(str_c(l->at[i]), name))
            return true;
    return false;
}

static bool
is_forwarded_proto(struct str name)
{
    return str_ieq(name, STR("X-Forwarded-Proto")) || str_ieq(name, STR("X-Forwarded-Protocol"));
}

/* Headers of the client that are made anew further down, or are not the origin's business. */
static bool
is_ours(const struct proxy *p, const struct route *route, const struct clientreq *c, struct str name)
{
    const struct config *config = p->config;
    if (name.len == 0)
        return true;
    switch (*name.ptr | 0x20) {
    case 'h':
        return str_ieq(name, STR("Host"));
    case 'a':
        return str_ieq(name, STR("Accept-Encoding"));
    case 't':
        return str_ieq(name, STR("TE"));
    case 'u':
        return str_ieq(name, STR("Upgrade"));
    case 'e':
        return str_ieq(name, STR("Expect")) || (!route->orig_headers && str_istarts(name, STR(MARK)));
    case 'p':
        return str_ieq(name, STR("Proxy-Connection")) ||
               (config->accept_pushpin_route && str_ieq(name, STR("Pushpin-Route")));
    case 'g':
        return !c->trusted && str_istarts(name, STR("Grip-"));
    case 'c':
        return *config->cdn_loop != '\0' && str_ieq(name, STR("CDN-Loop"));
    case 'x':
        return str_ieq(name, STR("X-Forwarded-For")) ||
               ((config->accept_x_forwarded_protocol || config->set_x_forwarded_protocol != CONFIG_XFP_OFF) &&
                is_forwarded_proto(name));
    default:
        return false;
    }
}

static void
put_mark(struct proxy *p, struct header h, struct headers *out)
{
    struct buf marked = BUF_INIT(sizeof MARK + h.name.len);
    if (is_marked_away(p, h.name))
        return;
    buf_adds(&marked, STR(MARK));
    buf_adds(&marked, h.name);
    headers_add(out, buf_str(&marked), h.value);
    buf_clear(&marked);
}

/* The client's headers and the route's under their marked names, then those that were marked before. */
static void
put_marked(struct proxy *p, const struct route *route, const struct clientreq *c, struct headers *out)
{
    const struct headers *h = &c->headers, *set = &route->headers;
    for (unsigned i = 0; i < h->n; i++)
        if (!str_istarts(h->at[i].name, STR(MARK)) && !headers_has(set, h->at[i].name))
            put_mark(p, h->at[i], out);
    for (unsigned i = 0; i < set->n; i++)
        if (set->at[i].value.len > 0)
            put_mark(p, set->at[i], out);
    for (unsigned i = 0; i < h->n; i++)
        if (str_istarts(h->at[i].name, STR(MARK)) && !headers_has(set, h->at[i].name))
            headers_view(out, h->at[i].name, h->at[i].value);
}

/* What is made of the client's headers, or of the route's in their place. */
static bool
is_made(struct str name)
{
    return str_ieq(name, STR("Host")) || str_ieq(name, STR("CDN-Loop")) || str_ieq(name, STR("X-Forwarded-For"));
}

/* The headers that NAME is to be made from. */
static const struct headers *
source(const struct route *route, const struct clientreq *c, struct str name)
{
    return route->headers.n > 0 && headers_has(&route->headers, name) ? &route->headers : &c->headers;
}

static void
put_route_headers(const struct route *route, struct headers *out)
{
    for (unsigned i = 0; i < route->headers.n; i++) {
        struct str name = route->headers.at[i].name;
        if (route->headers.at[i].value.len > 0 && !is_made(name) && !is_hop(name))
            headers_view(out, name, route->headers.at[i].value);
    }
}

static void
put_cdn_loop(struct proxy *p, const struct route *route, const struct clientreq *c, struct headers *out)
{
    struct buf b = BUF_INIT(1 << 21);
    const struct headers *from = source(route, c, STR("CDN-Loop"));
    if (*p->config->cdn_loop == '\0' && from == &c->headers)
        return;
    headers_join(from, STR("CDN-Loop"), &b);
    if (b.len > 0 && *p->config->cdn_loop != '\0')
        buf_adds(&b, STR(", "));
    buf_adds(&b, str_c(p->config->cdn_loop));
    if (b.len > 0)
        headers_add(out, STR("CDN-Loop"), buf_str(&b));
    buf_clear(&b);
}

/* value.ptr NULL: there is none. A view. */
static struct header
signature_of(struct proxy *p, const struct route *route)
{
    struct jwt_key *key = route->no_sig ? NULL : route->sig_key != NULL ? route->sig_key : p->sig_key;
    const char *iss = route->sig_iss != NULL ? route->sig_iss : p->config->sig_iss;
    struct header h = {STR("Grip-Sig"), {NULL, 0}};
    if (!route->no_grip && key != NULL && *iss != '\0')
        h.value = jwt_make(key, str_c(iss), clock_wall() / 1000);
    return h;
}

void
rewrite_sign(struct proxy *p, const struct route *route, struct headers *out)
{
    struct header signature = signature_of(p, route);
    if (signature.value.ptr != NULL)
        headers_view(out, signature.name, signature.value);
    headers_view(out, STR("Grip-Feature"), str_of(features, sizeof features - 1));
}

/* The last N of the comma-separated values. */
static struct str
keep_last(struct str values, uint64_t n)
{
    size_t at = values.len;
    if (n == 0)
        return STR("");
    while (at > 0)
        if (values.ptr[--at] == ',' && --n == 0)
            return str_trim(str_from(values, at + 1));
    return values;
}

static void
put_forwarded_for(struct proxy *p, const struct route *route, const struct clientreq *c, struct xchg *x,
                  struct headers *out)
{
    const struct config_list *rules = c->trusted ? &p->config->x_forwarded_for_trusted : &p->config->x_forwarded_for;
    const struct headers *from = source(route, c, STR("X-Forwarded-For"));
    struct buf b = BUF_INIT(1 << 21), result = BUF_INIT(1 << 21);
    struct str values;
    bool append = false;
    if (rules->n == 0 && !headers_has(from, STR("X-Forwarded-For")))
        return;
    headers_join(from, STR("X-Forwarded-For"), &b);
    values = buf_str(&b);
    for (unsigned i = 0; i < rules->n; i++) {
        struct str rule = str_c(rules->at[i]);
        uint64_t n;
        if (str_eq(rule, STR("append")))
            append = true;
        else if (str_starts(rule, STR("truncate:")) && str_u64(str_from(rule, 9), &n) == 0)
            values = keep_last(values, n);
        else
            break;
    }
    buf_adds(&result, values);
    if (append) {
        char peer[ADDRESS_TEXT_MAX];
        if (result.len > 0)
            buf_adds(&result, STR(", "));
        buf_adds(&result, xchg_peer(x, peer));
    }
    if (result.len > 0 || append)
        headers_add(out, STR("X-Forwarded-For"), buf_str(&result));
    buf_clear(&b);
    buf_clear(&result);
}

void
rewrite_client_address(const struct proxy *p, const struct clientreq *c, struct buf *out)
{
    const struct config_list *rules = c->trusted ? &p->config->x_forwarded_for_trusted : &p->config->x_forwarded_for;
    bool believed = c->trusted;
    struct buf b = BUF_INIT(65536);
    struct str values, first;
    if ((!believed && rules->n == 0) || !headers_has(&c->headers, STR("X-Forwarded-For")))
        return;
    headers_join(&c->headers, STR("X-Forwarded-For"), &b);
    values = buf_str(&b);
    for (unsigned i = 0; i < rules->n; i++) {
        struct str rule = str_c(rules->at[i]);
        uint64_t n;
        if (str_starts(rule, STR("truncate:")) && str_u64(str_from(rule, 9), &n) == 0) {
            values = keep_last(values, n);
            believed = true;
        } else if (!str_eq(rule, STR("append"))) {
            break;
        }
    }
    if (believed && str_split(&values, ',', &first))
        buf_adds(out, str_trim(first));
    buf_clear(&b);
}

static void
put_forwarded_proto(struct proxy *p, const struct clientreq *c, struct headers *out)
{
    int set = p->config->set_x_forwarded_protocol;
    if (!c->secure || set == CONFIG_XFP_OFF)
        return;
    headers_view(out, STR("X-Forwarded-Proto"), c->ws ? STR("wss") : STR("https"));
    if (set == CONFIG_XFP_BOTH)
        headers_view(out, STR("X-Forwarded-Protocol"), c->ws ? STR("wss") : STR("https"));
}

void
rewrite_request(struct proxy *p, const struct route *route, const struct clientreq *c, struct xchg *x,
                struct headers *out)
{
    struct connection connection;
    bool marks = route->orig_headers && !c->trusted;
    read_connection(&c->headers, &connection);
    for (unsigned i = 0; i < c->headers.n; i++) {
        struct str name = c->headers.at[i].name;
        if (is_ours(p, route, c, name) || is_dropped(&c->headers, &connection, name))
            continue;
        if (route->headers.n > 0 && headers_has(&route->headers, name))
            continue;
        if (marks && str_istarts(name, STR(MARK)))
            continue; /* they follow with the marked ones */
        headers_view(out, name, c->headers.at[i].value);
    }
    put_route_headers(route, out);
    if (marks)
        put_marked(p, route, c, out);
    put_cdn_loop(p, route, c, out);
    if (!c->trusted && !route->no_grip)
        rewrite_sign(p, route, out);
    put_forwarded_proto(p, c, out);
    put_forwarded_for(p, route, c, x, out);
}

void
rewrite_response(const struct headers *from, struct headers *out)
{
    struct connection connection;
    read_connection(from, &connection);
    for (unsigned i = 0; i < from->n; i++)
        if (!is_dropped(from, &connection, from->at[i].name))
            headers_view(out, from->at[i].name, from->at[i].value);
}

bool
rewrite_trusted(struct proxy *p, const struct headers *h)
{
    struct str token;
    if (p->upstream_key == NULL)
        return false;
    token = headers_get(h, STR("Grip-Sig"));
    return token.ptr != NULL && jwt_verify(p->upstream_key, token, clock_wall() / 1000);
}
