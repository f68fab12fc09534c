#include "conf/configtypes.h"

#include "base/mem.h"
#include "io/address.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

/* For messages, which are short. */
#define SHOW(s) (int)((s).len < 100 ? (s).len : 100), (s).ptr != NULL ? (s).ptr : ""

bool
config_parse_bool(struct str text)
{
    return !(text.len == 0 || str_eq(text, STR("0")) || str_ieq(text, STR("false")));
}

int
config_parse_int(struct str text, int min, int max, int *out, struct err *e)
{
    int64_t n;
    if (str_i64(text, &n) != 0) {
        err_set(e, "'%.*s' is not an integer", SHOW(text));
        return -1;
    }
    if (n < min || n > max) {
        if (max == INT_MAX)
            err_set(e, "'%.*s' is less than %d", SHOW(text), min);
        else
            err_set(e, "'%.*s' is not an integer from %d to %d", SHOW(text), min, max);
        return -1;
    }
    *out = (int)n;
    return 0;
}

int
config_parse_octal(struct str text, int *out, struct err *e)
{
    int mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7' || (mode = mode * 8 + (text.ptr[i] - '0')) > 07777) {
            mode = -1;
            break;
        }
    }
    if (text.len == 0 || mode < 0) {
        err_set(e, "'%.*s' is not octal permissions such as 660", SHOW(text));
        return -1;
    }
    *out = mode;
    return 0;
}

enum { SERVICES = 4 };

/* Which of the four parts of Pushpin, or -1. */
static int
service_of(struct str name)
{
    static const struct {
        const char *name;
        int service;
    } known[] = {
        {"runner", 0},        {"connmgr", 1}, {"condure", 1},         {"proxy", 2},
        {"pushpin-proxy", 2}, {"handler", 3}, {"pushpin-handler", 3},
    };
    for (size_t i = 0; i < countof(known); i++)
        if (str_eq(name, str_c(known[i].name)))
            return known[i].service;
    return -1;
}

/* A level of 0 or more; what is more than any level is only talkative. */
static int
parse_level(struct str text, int *out)
{
    int64_t n;
    if (str_i64(text, &n) != 0 || n < 0)
        return -1;
    *out = n < 100 ? (int)n : 100;
    return 0;
}

int
config_parse_levels(struct str text, int *highest, struct err *e)
{
    int all = 2, of[SERVICES] = {-1, -1, -1, -1}, level, service;
    struct str part;
    while (str_split(&text, ',', &part)) {
        ptrdiff_t colon = str_chr(part = str_trim(part), ':');
        struct str name = str_sub(part, 0, colon < 0 ? 0 : (size_t)colon);
        if (part.len == 0) {
            err_set(e, "log level component cannot be empty");
            return -1;
        }
        if (colon == 0) {
            err_set(e, "log level component name cannot be empty");
            return -1;
        }
        if (parse_level(str_from(part, (size_t)(colon + 1)), &level) != 0) {
            if (colon < 0)
                err_set(e, "log level must be greater than or equal to 0");
            else
                err_set(e, "log level for service %.*s must be greater than or equal to 0", SHOW(name));
            return -1;
        }
        service = service_of(name);
        if (colon < 0)
            all = level;
        else if (service >= 0)
            of[service] = level;
    }
    *highest = 0;
    for (int i = 0; i < SERVICES; i++) {
        level = of[i] >= 0 ? of[i] : all;
        *highest = level > *highest ? level : *highest;
    }
    return 0;
}

static bool
is_ip(struct str text, bool v6)
{
    struct address a;
    return address_literal(text, 0, &a) && (str_chr(text, ':') >= 0) == v6;
}

int
config_parse_port(struct str text, char **addr, uint16_t *port, struct err *e)
{
    struct str host = STR("0.0.0.0"), digits = text;
    bool ok = true;
    uint64_t n = 0;
    if (str_starts(text, STR("["))) {
        ptrdiff_t end = str_find(text, STR("]:"));
        host = str_sub(text, 1, end > 0 ? (size_t)end - 1 : 0);
        digits = str_from(text, end > 0 ? (size_t)end + 2 : text.len);
        ok = is_ip(host, true);
    } else if (str_chr(text, ':') >= 0) {
        size_t colon = (size_t)str_chr(text, ':');
        host = str_sub(text, 0, colon);
        digits = str_from(text, colon + 1);
        ok = is_ip(host, false);
    }
    if (!ok || str_u64(digits, &n) != 0 || n < 1 || n > 65535) {
        err_set(e, "'%.*s' is not a port, ADDR:PORT or [IPV6]:PORT", SHOW(text));
        return -1;
    }
    *addr = str_dup(host);
    *port = (uint16_t)n;
    return 0;
}

void
config_listener_clear(struct config_listener *l)
{
    mem_free(l->addr);
    mem_free(l->path);
    mem_free(l->user);
    mem_free(l->group);
    *l = (struct config_listener){.mode = -1};
}

static void
set_once(char **at, struct str value)
{
    mem_free(*at);
    *at = value.len > 0 ? str_dup(value) : NULL;
}

static int
socket_param(struct str param, struct config_listener *out, struct err *e)
{
    if (str_starts(param, STR("mode=")))
        return config_parse_octal(str_from(param, 5), &out->mode, e);
    if (str_starts(param, STR("user=")))
        set_once(&out->user, str_from(param, 5));
    else if (str_starts(param, STR("group=")))
        set_once(&out->group, str_from(param, 6));
    else if (param.len > 0) {
        err_set(e, "'%.*s' is none of mode=OCTAL, user=USER and group=GROUP", SHOW(param));
        return -1;
    }
    return 0;
}

int
config_parse_socket(struct str text, struct config_listener *out, struct err *e)
{
    ptrdiff_t at = str_chr(text, '?');
    struct str path = at < 0 ? text : str_sub(text, 0, (size_t)at), param;
    struct str rest = at < 0 ? str_of(NULL, 0) : str_from(text, (size_t)at + 1);
    *out = (struct config_listener){.mode = -1};
    if (path.len == 0 || path.len > ADDRESS_PATH_MAX) {
        err_set(e, "'%.*s' is not PATH[?mode=OCTAL&user=USER&group=GROUP] with a path of at most 107 bytes",
                SHOW(text));
        return -1;
    }
    while (str_split(&rest, '&', &param))
        if (socket_param(param, out, e) != 0)
            return -1;
    out->path = str_dup(path);
    return 0;
}

static char *
look_up(const char *name, struct err *e)
{
    char text[ADDRESS_TEXT_MAX];
    if (address_lookup(name, text, e) == 0)
        return mem_strdup(text);
    err_prefix(e, "'%.100s' is neither an IP address nor a name that can be looked up: ", name);
    return NULL;
}

int
config_parse_address(struct str text, char **out, struct err *e)
{
    char *name;
    if (str_starts(text, STR("[")) && str_ends(text, STR("]")))
        text = str_sub(text, 1, text.len - 2);
    if (text.len == 0 || str_ieq(text, STR("localhost")))
        text = STR("127.0.0.1");
    else if (str_eq(text, STR("*")))
        text = STR("0.0.0.0");
    name = str_dup(text);
    if (is_ip(text, false) || is_ip(text, true)) {
        *out = name;
        return 0;
    }
    *out = look_up(name, e);
    mem_free(name);
    return *out != NULL ? 0 : -1;
}

/* TEXT begins behind "tcp://". Append HOST:PORT with the port moved; *USED: how much of TEXT that was. */
static int
move_port(struct str text, int offset, struct buf *out, size_t *used)
{
    ptrdiff_t colon = str_find(text, str_starts(text, STR("[")) ? STR("]:") : STR(":"));
    size_t start, n = 0;
    int port = 0;
    if (colon <= 0)
        return -1;
    start = (size_t)colon + (text.ptr[colon] == ']' ? 2 : 1);
    while (start + n < text.len && isdigit((unsigned char)text.ptr[start + n]) && port <= 65535)
        port = port * 10 + (text.ptr[start + n++] - '0');
    *used = start + n;
    buf_adds(out, str_sub(text, 0, start));
    if (n == 0) /* ZeroMQ's own "any port" */
        return str_starts(str_from(text, start), STR("*")) || str_starts(str_from(text, start), STR("!")) ? 0 : -1;
    if (start + n < text.len && isalnum((unsigned char)text.ptr[start + n]))
        return -1;
    port = port > 0 ? port + offset : 0;
    if (port > 65535)
        return -1;
    buf_addf(out, "%d", port);
    return 0;
}

int
config_parse_spec(struct str text, int offset, struct buf *out, struct err *e)
{
    struct str rest = text;
    ptrdiff_t at = str_find(text, STR("://"));
    if (at <= 0 || (size_t)at + 3 == text.len) {
        err_set(e, "'%.*s' is not a spec such as tcp://127.0.0.1:5560 or ipc:///path", SHOW(text));
        return -1;
    }
    while ((at = str_find(rest, STR("tcp://"))) >= 0) {
        size_t used = 0;
        buf_adds(out, str_sub(rest, 0, (size_t)at + 6));
        rest = str_from(rest, (size_t)at + 6);
        if (move_port(rest, offset, out, &used) != 0) {
            err_set(e, "'%.*s' is not tcp://HOST:PORT with a port, port_offset %d added, of at most 65535", SHOW(text),
                    offset);
            return -1;
        }
        rest = str_from(rest, used);
    }
    buf_adds(out, rest);
    return 0;
}
