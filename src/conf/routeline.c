#include "conf/routeline.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/configfile.h"
#include "io/address.h"
#include "proto/uri.h"

#include <limits.h>

/* Whoever reads a property: the route or the target, and what its messages need. */
struct reading {
    struct route *route;
    struct target *target; /* NULL in the condition */
    const char *where, *dir;
    struct err *e;
};

enum prop_kind {
    PROP_FLAG, /* bool; on when the name is there */
    PROP_TEXT, /* char *; NULL when empty */
    PROP_CALL
};

struct prop_row {
    const char *name;
    enum prop_kind kind;
    size_t offset; /* into struct route or struct target */
    int (*read)(struct reading *r, struct str value);
};

static void
set_text(char **at, struct str value)
{
    mem_free(*at);
    *at = value.len > 0 ? str_dup(value) : NULL;
}

static void
set_default(char **at, const char *value)
{
    if (*at == NULL)
        *at = mem_strdup(value);
}

static int
bad(struct reading *r, const char *why)
{
    err_set(r->e, "%s", why);
    return -1;
}

static int
read_proto(struct reading *r, struct str value)
{
    if (str_eq(value, STR("http")))
        r->route->proto = ROUTE_HTTP;
    else if (str_eq(value, STR("ws")))
        r->route->proto = ROUTE_WS;
    else
        return bad(r, "proto must be set to 'http' or 'ws'");
    return 0;
}

static int
read_ssl(struct reading *r, struct str value)
{
    if (str_eq(value, STR("yes")))
        r->route->ssl = ROUTE_SSL_YES;
    else if (str_eq(value, STR("no")))
        r->route->ssl = ROUTE_SSL_NO;
    else
        return bad(r, "ssl must be set to 'yes' or 'no'");
    return 0;
}

static int
read_path_beg(struct reading *r, struct str value)
{
    if (value.len == 0)
        return bad(r, "path_beg cannot be empty");
    set_text(&r->route->path_beg, value);
    return 0;
}

static int
read_sig_key(struct reading *r, struct str value)
{
    if (r->route->sig_key != NULL) /* of an earlier sig_key */
        jwt_key_unref(r->route->sig_key);
    r->route->sig_key = NULL;
    r->route->no_sig = value.len == 0;
    if (value.len == 0)
        return 0;
    r->route->sig_key = jwt_key_new(value, r->dir, r->e);
    if (r->route->sig_key != NULL)
        return 0;
    err_prefix(r->e, "sig_key cannot be read: ");
    return -1;
}

/* HOST or HOST:PORT for the origin's eyes. */
static int
read_host(struct reading *r, struct str value, char **at, const char *why)
{
    struct str host;
    uint16_t port;
    if (value.len > 0 && uri_host_port(value, &host, &port) != 0)
        return bad(r, why);
    set_text(at, value);
    return 0;
}

static int
read_as_host(struct reading *r, struct str value)
{
    return read_host(r, value, &r->route->as_host, "as_host must use format 'host' or 'host:port'");
}

/* Numbers that are none count as the value that does nothing, as in Pushpin. */
static int
number(struct str value, int otherwise)
{
    int64_t n;
    return str_i64(value, &n) == 0 && n >= 0 && n <= INT_MAX ? (int)n : otherwise;
}

static int
read_path_rem(struct reading *r, struct str value)
{
    r->route->path_rem = number(value, 0);
    return 0;
}

static int
read_log_level(struct reading *r, struct str value)
{
    r->route->log_level = number(value, 3);
    return 0;
}

static int
read_replace_beg(struct reading *r, struct str value)
{
    mem_free(r->route->replace_beg);
    r->route->replace_beg = str_dup(value);
    return 0;
}

/* Of several for one name the first counts. */
static int
read_header(struct reading *r, struct str text)
{
    ptrdiff_t colon = str_chr(text, ':');
    struct str name = str_trim(str_sub(text, 0, colon < 0 ? 0 : (size_t)colon));
    struct str value = str_trim(str_from(text, (size_t)(colon + 1)));
    if (colon < 0 || !header_name_ok(name) || !header_value_ok(value))
        return bad(r, "header must use format 'name:value'");
    if (!headers_has(&r->route->headers, name))
        headers_add(&r->route->headers, name, value);
    return 0;
}

static int
read_jsonp_mode(struct reading *r, struct str value)
{
    if (str_eq(value, STR("basic")))
        r->route->jsonp_mode = JSONP_BASIC;
    else if (str_eq(value, STR("extended")))
        r->route->jsonp_mode = JSONP_EXTENDED;
    else
        return bad(r, "jsonp_mode must be set to 'basic' or 'extended'");
    return 0;
}

static int
read_target_ssl(struct reading *r, struct str value)
{
    r->target->ssl = !str_eq(value, STR("no"));
    return 0;
}

static int
read_target_host(struct reading *r, struct str value)
{
    return read_host(r, value, &r->target->as_host, "host must use format 'host' or 'host:port'");
}

static int
read_sub(struct reading *r, struct str value)
{
    if (value.len > 0)
        config_list_add(&r->target->subs, str_dup(value));
    return 0;
}

/* Of sockets that there are none of here: ipc_file_mode. */
static int
ignore(struct reading *r, struct str value)
{
    (void)r;
    (void)value;
    return 0;
}

#define FLAG(name, type, member)                                                                                       \
    {                                                                                                                  \
        name, PROP_FLAG, offsetof(struct type, member), NULL                                                           \
    }
#define TEXT(name, type, member)                                                                                       \
    {                                                                                                                  \
        name, PROP_TEXT, offsetof(struct type, member), NULL                                                           \
    }
#define CALL(name, read)                                                                                               \
    {                                                                                                                  \
        name, PROP_CALL, 0, read                                                                                       \
    }

static const struct prop_row condition_props[] = {
    CALL("proto", read_proto),
    CALL("ssl", read_ssl),
    CALL("path_beg", read_path_beg),
    TEXT("id", route, id),
    TEXT("sig_iss", route, sig_iss),
    CALL("sig_key", read_sig_key),
    TEXT("prefix", route, prefix),
    CALL("as_host", read_as_host),
    CALL("path_rem", read_path_rem),
    CALL("replace_beg", read_replace_beg),
    CALL("header", read_header),
    FLAG("orig_headers", route, orig_headers),
    FLAG("no_grip", route, no_grip),
    FLAG("session", route, session),
    FLAG("aco", route, aco),
    CALL("jsonp_mode", read_jsonp_mode),
    TEXT("jsonp_cb", route, jsonp_callback),
    TEXT("jsonp_body", route, jsonp_body),
    TEXT("jsonp_defcb", route, jsonp_defcb),
    TEXT("jsonp_defmethod", route, jsonp_defmethod),
    TEXT("sockjs", route, sockjs),
    TEXT("sockjs_as_path", route, sockjs_as_path),
    FLAG("debug", route, debug),
    CALL("log_level", read_log_level),
};

static const struct prop_row target_props[] = {
    CALL("ssl", read_target_ssl),         FLAG("insecure", target, insecure),
    CALL("host", read_target_host),       FLAG("trust_connect_host", target, trust_connect_host),
    FLAG("untrusted", target, untrusted), FLAG("over_http", target, over_http),
    FLAG("one_event", target, one_event), CALL("sub", read_sub),
    CALL("ipc_file_mode", ignore),
};

static int
read_prop(struct reading *r, const struct route_prop *p)
{
    bool in_target = r->target != NULL;
    const struct prop_row *rows = in_target ? target_props : condition_props;
    size_t n = in_target ? countof(target_props) : countof(condition_props);
    char *base = in_target ? (char *)r->target : (char *)r->route;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(p->name, str_c(rows[i].name)))
            continue;
        if (rows[i].kind == PROP_CALL)
            return rows[i].read(r, p->value);
        if (rows[i].kind == PROP_FLAG)
            *(bool *)(base + rows[i].offset) = true;
        else
            set_text((char **)(void *)(base + rows[i].offset), p->value);
        return 0;
    }
    log_warn("%s: unknown property %.*s", r->where, STR_ARG(p->name));
    return 0;
}

/* HOST:PORT or [IPV6]:PORT. */
static int
read_tcp(struct reading *r, struct str text)
{
    bool bracket = str_starts(text, STR("["));
    ptrdiff_t end = str_find(text, bracket ? STR("]:") : STR(":"));
    struct str host, digits;
    uint64_t port;
    uint16_t none;
    if (end <= 0 || uri_host_port(str_sub(text, 0, (size_t)end + bracket), &host, &none) != 0 || host.len == 0)
        return bad(r, "target bad format");
    digits = str_from(text, (size_t)end + 1 + bracket);
    if (str_u64(digits, &port) != 0 || port < 1 || port > 65535)
        return bad(r, "target invalid port");
    r->target->kind = TARGET_TCP;
    r->target->host = str_dup(host);
    r->target->port = (uint16_t)port;
    return 0;
}

/* It is not said in Host. */
static void
drop_default_port(struct target *t)
{
    struct str host = str_c(t->as_host), port = t->ssl ? STR(":443") : STR(":80");
    if (str_ends(host, port))
        t->as_host[host.len - port.len] = '\0';
}

static int
read_target(struct reading *r, const struct route_section *s)
{
    struct str path;
    int rc = 0;
    r->target->text = str_dup(s->first);
    if (str_starts(s->first, STR("zhttp/")) || str_starts(s->first, STR("zhttpreq/")))
        return bad(r, "zhttp and zhttpreq targets are not supported");
    if (str_eq(s->first, STR("test"))) {
        r->target->kind = TARGET_TEST;
    } else if (str_starts(s->first, STR("unix:"))) {
        path = str_from(s->first, 5);
        if (path.len < 2 || *path.ptr != '/' || path.len > ADDRESS_PATH_MAX)
            return bad(r, "target bad format");
        r->target->kind = TARGET_UNIX;
        r->target->path = str_dup(path);
    } else {
        rc = read_tcp(r, s->first);
    }
    for (unsigned i = 0; i < s->n_props && rc == 0; i++)
        rc = read_prop(r, &s->props[i]);
    if (rc == 0)
        drop_default_port(r->target);
    return rc;
}

/* DOMAIN,PROTO,SSL,PATH, a '*' for each that is not set. */
static char *
automatic_id(const struct route *r)
{
    static const char *const protos[] = {"*", "http", "ws"}, *const ssls[] = {"*", "ssl", "no-ssl"};
    struct buf id = BUF_INIT(SIZE_MAX / 2);
    buf_adds(&id, str_c(*r->domain != '\0' ? r->domain : "*"));
    buf_addf(&id, ",%s,%s,", protos[r->proto], ssls[r->ssl]);
    buf_adds(&id, str_c(r->path_beg != NULL ? r->path_beg : "*"));
    return buf_steal(&id);
}

static int
read_condition(struct reading *r, const struct route_section *s)
{
    struct route *route = r->route;
    route->domain = str_dup(s->first);
    str_lower(route->domain, s->first.len);
    route->log_level = 3;
    for (unsigned i = 0; i < s->n_props; i++)
        if (read_prop(r, &s->props[i]) != 0)
            return -1;
    if (route->replace_beg != NULL)
        route->path_rem = route->path_beg != NULL ? (int)strlen(route->path_beg) : 0;
    set_default(&route->prefix, "");
    set_default(&route->jsonp_callback, "callback");
    set_default(&route->jsonp_defmethod, route->jsonp_mode == JSONP_EXTENDED ? "GET" : "POST");
    route->explicit_id = route->id != NULL;
    if (route->id == NULL)
        route->id = automatic_id(route);
    return 0;
}

struct route *
route_from_line(const struct route_line *l, const char *where, const char *dir, struct err *e)
{
    struct route *route = mem_zalloc(sizeof *route);
    struct reading r = {.route = route, .where = where, .dir = dir, .e = e};
    headers_init(&route->headers);
    if (read_condition(&r, &l->sections[0]) != 0)
        goto bad;
    route->targets = mem_zalloc((l->n - 1) * sizeof *route->targets);
    for (unsigned i = 1; i < l->n; i++) {
        r.target = &route->targets[route->n_targets++];
        if (read_target(&r, &l->sections[i]) != 0)
            goto bad;
    }
    return route;
bad:
    route_free(route);
    return NULL;
}

static void
target_clear(struct target *t)
{
    mem_free(t->text);
    mem_free(t->host);
    mem_free(t->path);
    mem_free(t->as_host);
    config_list_clear(&t->subs);
}

void
route_free(struct route *r)
{
    char *texts[] = {r->domain,          r->id,          r->path_beg,       r->sig_iss,    r->prefix,
                     r->as_host,         r->replace_beg, r->jsonp_callback, r->jsonp_body, r->jsonp_defcb,
                     r->jsonp_defmethod, r->sockjs,      r->sockjs_as_path};
    for (size_t i = 0; i < countof(texts); i++)
        mem_free(texts[i]);
    for (unsigned i = 0; i < r->n_targets; i++)
        target_clear(&r->targets[i]);
    mem_free(r->targets);
    headers_clear(&r->headers);
    if (r->sig_key != NULL)
        jwt_key_unref(r->sig_key);
    mem_free(r);
}
