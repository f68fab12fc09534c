#include "conf/configset.h"

#include "base/mem.h"
#include "conf/configfile.h"
#include "conf/configtypes.h"

enum { MAX_VALUE = 1 << 20 }; /* bytes of a value with its variables replaced */

static void *
member(struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

/* TEXT becomes *AT's. */
static void
set_text(char **at, char *text)
{
    mem_free(*at);
    *at = text;
}

char *
config_expand(const struct config *c, char *text, struct err *e)
{
    const struct {
        struct str name;
        const char *value;
    } vars[] = {{STR("{libdir}"), c->libdir}, {STR("{rundir}"), c->rundir}, {STR("{ipc_prefix}"), c->ipc_prefix}};
    struct str rest = str_c(text);
    struct buf out = BUF_INIT(MAX_VALUE);
    int rc = 0;
    while (rest.len > 0 && rc == 0) {
        struct str piece = str_sub(rest, 0, 1);
        rest = str_from(rest, 1);
        for (size_t i = 0; i < countof(vars) && *piece.ptr == '{'; i++) {
            struct str at = str_of(piece.ptr, rest.len + 1);
            if (str_starts(at, vars[i].name) && vars[i].value != NULL) {
                piece = str_c(vars[i].value);
                rest = str_from(at, vars[i].name.len);
                break;
            }
        }
        rc = buf_adds(&out, piece);
    }
    mem_free(text);
    if (rc != 0) {
        err_set(e, "value is too long");
        buf_clear(&out);
        return NULL;
    }
    return buf_steal(&out);
}

static char *
text_of(const struct config *c, const char *raw, struct err *e)
{
    char *text = config_value_text(raw, e);
    return text != NULL ? config_expand(c, text, e) : NULL;
}

static int
list_of(const struct config *c, const char *raw, struct config_list *out, struct err *e)
{
    if (config_value_list(raw, out, e) != 0)
        return -1;
    for (unsigned i = 0; i < out->n; i++) {
        out->at[i] = config_expand(c, out->at[i], e);
        if (out->at[i] == NULL)
            return -1;
    }
    return 0;
}

static char *
spec_of(const struct config *c, const char *text, struct err *e)
{
    struct buf out = BUF_INIT(2 * MAX_VALUE);
    if (*text != '\0' && config_parse_spec(str_c(text), c->port_offset, &out, e) != 0) {
        buf_clear(&out);
        return NULL;
    }
    return buf_steal(&out);
}

void
config_add_listener(struct config *c, struct config_listener l)
{
    c->listeners = mem_realloc(c->listeners, (c->n_listeners + 1) * sizeof *c->listeners);
    c->listeners[c->n_listeners++] = l;
}

void
config_clear_listeners(struct config *c)
{
    for (unsigned i = 0; i < c->n_listeners; i++)
        config_listener_clear(&c->listeners[i]);
    mem_free(c->listeners);
    c->listeners = NULL;
    c->n_listeners = 0;
}

static int
add_listeners(struct config *c, enum key_type type, const struct config_list *texts, struct err *e)
{
    for (unsigned i = 0; i < texts->n; i++) {
        struct config_listener l = {.mode = -1, .tls = type == KEY_TLS_PORTS};
        struct str text = str_c(texts->at[i]);
        if (type == KEY_SOCKETS ? config_parse_socket(text, &l, e) != 0
                                : config_parse_port(text, &l.addr, &l.port, e) != 0) {
            config_listener_clear(&l);
            return -1;
        }
        config_add_listener(c, l);
    }
    return 0;
}

/* "PORT" stands for that port of every address. */
static int
mark_proxied(struct config *c, const struct config_list *texts, struct err *e)
{
    for (unsigned i = 0; i < texts->n; i++) {
        bool any = strchr(texts->at[i], ':') == NULL, found = false;
        uint16_t port;
        char *addr;
        if (config_parse_port(str_c(texts->at[i]), &addr, &port, e) != 0)
            return -1;
        for (unsigned k = 0; k < c->n_listeners; k++) {
            struct config_listener *l = &c->listeners[k];
            if (l->addr != NULL && l->port == port && (any || strcmp(l->addr, addr) == 0))
                found = l->proxy_protocol = true;
        }
        mem_free(addr);
        if (!found) {
            err_set(e, "'%.100s' is none of http_port and https_ports", texts->at[i]);
            return -1;
        }
    }
    return 0;
}

static int
set_ranges(struct config_ranges *to, const struct config_list *texts, struct err *e)
{
    mem_free(to->at);
    to->n = 0;
    to->at = mem_zalloc((texts->n + 1) * sizeof *to->at);
    for (unsigned i = 0; i < texts->n; i++) {
        if (address_range_parse(str_c(texts->at[i]), &to->at[to->n++]) != 0) {
            err_set(e, "'%.100s' is not an IP address or ADDR/BITS", texts->at[i]);
            return -1;
        }
    }
    return 0;
}

/* The types whose value is a list. */
static int
set_list(struct config *c, const struct config_key *k, enum key_type type, const char *raw, struct err *e)
{
    struct config_list list, *to = member(c, k);
    int rc = list_of(c, raw, &list, e);
    if (rc != 0 || (type != KEY_LIST && type != KEY_SPECS)) {
        if (rc == 0 && type == KEY_RANGES)
            rc = set_ranges(member(c, k), &list, e);
        else if (rc == 0)
            rc = type == KEY_PROXIED ? mark_proxied(c, &list, e) : add_listeners(c, type, &list, e);
        config_list_clear(&list);
        return rc;
    }
    for (unsigned i = 0; i < list.n && rc == 0 && type == KEY_SPECS; i++) {
        char *moved = spec_of(c, list.at[i], e);
        set_text(&list.at[i], moved);
        rc = moved != NULL ? 0 : -1;
    }
    config_list_clear(to);
    *to = list;
    return rc;
}

static int
set_int(struct config *c, const struct config_key *k, struct str text, struct err *e)
{
    int *to = member(c, k);
    if (text.len == 0)
        text = str_c(k->value);
    if (k->type == KEY_INT)
        return config_parse_int(text, k->min, k->max, to, e);
    if (k->type == KEY_LEVELS)
        return config_parse_levels(text, to, e);
    *to = -1;
    return text.len == 0 ? 0 : config_parse_octal(text, to, e);
}

static int
set_metrics(struct config_metrics *m, struct str text, struct err *e)
{
    uint16_t port = 0;
    set_text(&m->text, NULL);
    set_text(&m->addr, NULL);
    if (text.len == 0)
        return 0;
    if (str_starts(text, STR("ipc://")) && text.len > 6) {
        m->addr = str_dup(text);
    } else if (config_parse_port(text, &m->addr, &port, NULL) != 0) {
        err_set(e, "'%.*s' is not a port, ADDR:PORT, [IPV6]:PORT or ipc://PATH", (int)(text.len < 100 ? text.len : 100),
                text.ptr);
        return -1;
    }
    m->text = str_dup(text);
    m->port = port;
    return 0;
}

/* Words without a meaning of their own switch it off. */
static int
xfp_of(struct str text)
{
    if (str_ieq(text, STR("true")))
        return CONFIG_XFP_BOTH;
    return str_ieq(text, STR("proto-only")) ? CONFIG_XFP_PROTO_ONLY : CONFIG_XFP_OFF;
}

static int
set_from_text(struct config *c, const struct config_key *k, enum key_type type, char *owned, struct err *e)
{
    struct str text = str_c(owned);
    char *made = NULL;
    switch (type) {
    case KEY_TEXT:
        set_text(member(c, k), mem_strdup(owned));
        return 0;
    case KEY_SPEC:
        made = spec_of(c, owned, e);
        set_text(member(c, k), made);
        return made != NULL ? 0 : -1;
    case KEY_ADDRESS:
        set_text(member(c, k), NULL);
        return config_parse_address(text, member(c, k), e);
    case KEY_BOOL:
        *(bool *)member(c, k) = config_parse_bool(text);
        return 0;
    case KEY_IS_JSON:
        *(bool *)member(c, k) = str_eq(text, STR("json"));
        return 0;
    case KEY_XFP:
        *(int *)member(c, k) = xfp_of(text);
        return 0;
    case KEY_METRICS:
        return set_metrics(member(c, k), text, e);
    default:
        return set_int(c, k, text, e);
    }
}

int
config_set(struct config *c, const struct config_key *k, enum key_type type, const char *raw, struct err *e)
{
    char *text;
    int rc;
    if (raw == NULL)
        raw = k->value;
    switch (type) {
    case KEY_ELSEWHERE:
    case KEY_OLD:
        return 0;
    case KEY_LIST:
    case KEY_SPECS:
    case KEY_PORTS:
    case KEY_TLS_PORTS:
    case KEY_SOCKETS:
    case KEY_PROXIED:
    case KEY_RANGES:
        return set_list(c, k, type, raw, e);
    default:
        text = text_of(c, raw, e);
        rc = text != NULL ? set_from_text(c, k, type, text, e) : -1;
        mem_free(text);
        return rc;
    }
}

void
config_unset(struct config *c, const struct config_key *k)
{
    if (k->type == KEY_TEXT || k->type == KEY_SPEC || k->type == KEY_ADDRESS)
        set_text(member(c, k), NULL);
    else if (k->type == KEY_METRICS)
        set_metrics(member(c, k), STR(""), NULL);
    else if (k->type == KEY_LIST)
        config_list_clear(member(c, k));
    else if (k->type == KEY_RANGES)
        mem_free(((struct config_ranges *)member(c, k))->at);
}
