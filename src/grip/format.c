#include "grip/formatread.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/jsonread.h"

#include <stdlib.h>

enum { WS_CONTROL_MAX = 125, WS_REASON_MAX = 123 }; /* bytes that a control frame, a close frame's reason can hold */

static const struct {
    const char *name, *where; /* where: as the messages call it */
} kinds[FORMAT_KINDS] = {
    [FORMAT_HTTP_RESPONSE] = {"http-response", "'http-response'"},
    [FORMAT_HTTP_STREAM] = {"http-stream", "'http-stream'"},
    [FORMAT_WS_MESSAGE] = {"ws-message", "'ws-message'"},
};

struct reader {
    const json_t *from;
    const char *where;
    enum item_source source;
    struct format *to;
    struct err *e;
};

const char *
format_name(enum format_kind kind)
{
    return kinds[kind].name;
}

static int
bad_value(struct reader *r, const char *key, const char *how)
{
    err_set(r->e, "%s contains '%s' with %s value", r->where, key, how);
    return -1;
}

static int
fail(struct reader *r, const char *text)
{
    err_set(r->e, "%s", text);
    return -1;
}

/* The index of S among N names, or -1. */
static int
choice(struct str s, const char *const names[], int n)
{
    for (int i = 0; i < n; i++)
        if (str_eq(s, str_c(names[i])))
            return i;
    return -1;
}

static int
read_action(struct reader *r)
{
    static const char *const names[] = {
        [ACTION_SEND] = "send", [ACTION_HINT] = "hint", [ACTION_CLOSE] = "close", [ACTION_REFRESH] = "refresh"};
    struct str text = STR("send");
    int i;
    if (jsonread_str(r->from, "action", r->where, &text, NULL, r->e) != 0)
        return -1;
    i = choice(text, names, countof(names));
    if (i < 0)
        return bad_value(r, "action", "unknown");
    r->to->action = (enum format_action)i;
    return 0;
}

static int
read_filters(struct reader *r)
{
    json_t *list = NULL;
    if (jsonread_array(r->from, "content-filters", r->where, &list, r->e) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return fail(r, "content-filters contains element with wrong type");
    r->to->content_filters = json_incref(list);
    return 0;
}

static void
keep(struct reader *r, struct str bytes)
{
    r->to->content = bytes.len > 0 ? str_dup(bytes) : NULL;
    r->to->content_len = bytes.len;
}

static void
keep_base64(struct reader *r, struct str text)
{
    struct buf b = BUF_INIT(text.len / 4 * 3 + 3);
    base64_decode(&b, text);
    r->to->content_len = b.len;
    if (b.len > 0)
        r->to->content = buf_steal(&b);
    buf_clear(&b);
}

/* The content: from BIN_KEY (may be NULL), which goes first, or from KEY. *USED: the key that was there, or NULL. */
static int
read_content(struct reader *r, const char *bin_key, const char *key, const char **used)
{
    struct str text;
    bool found = false;
    *used = NULL;
    if (bin_key != NULL && jsonread_str(r->from, bin_key, r->where, &text, &found, r->e) != 0)
        return -1;
    if (found) {
        *used = bin_key;
        if (r->source == ITEM_JSON)
            keep_base64(r, text);
        else
            keep(r, text);
        return 0;
    }
    if (jsonread_str(r->from, key, r->where, &text, &found, r->e) != 0)
        return -1;
    if (found) {
        *used = key;
        keep(r, text);
    }
    return 0;
}

/* Does the proxy say it itself, or keep it to itself? Grip-Expose-Headers is for whoever delivers. */
static bool
is_dropped(struct str name)
{
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive"};
    for (size_t i = 0; i < countof(framing); i++)
        if (str_ieq(name, str_c(framing[i])))
            return true;
    return str_istarts(name, STR("Grip-")) && !str_ieq(name, STR("Grip-Expose-Headers"));
}

static int
add_header(struct reader *r, struct str name, struct str value)
{
    if (!header_name_ok(name))
        return fail(r, "headers contains invalid name");
    if (!header_value_ok(value))
        return fail(r, "headers contains invalid value");
    if (!is_dropped(name))
        headers_add(&r->to->headers, name, value);
    return 0;
}

static int
read_header_pair(struct reader *r, const json_t *pair)
{
    const json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);
    if (!json_is_array(pair))
        return fail(r, "headers contains element with wrong type");
    if (json_array_size(pair) != 2)
        return fail(r, "headers contains list with wrong number of elements");
    if (!json_is_string(name))
        return fail(r, "header contains name element with wrong type");
    if (!json_is_string(value))
        return fail(r, "header contains value element with wrong type");
    return add_header(r, jsonread_text(name), jsonread_text(value));
}

static int
by_name(const void *a, const void *b)
{
    return str_cmp(((const struct header *)a)->name, ((const struct header *)b)->name);
}

/* An object has no order of its own, so that of the names is taken. */
static int
read_header_object(struct reader *r, json_t *object)
{
    struct header *sorted = mem_alloc(json_object_size(object) * sizeof *sorted);
    unsigned n = 0;
    int rc = 0;
    for (void *i = json_object_iter(object); i != NULL && rc == 0; i = json_object_iter_next(object, i)) {
        const json_t *v = json_object_iter_value(i);
        sorted[n].name = str_of(json_object_iter_key(i), json_object_iter_key_len(i));
        sorted[n++].value = jsonread_text(v);
        if (!json_is_string(v)) {
            err_set(r->e, "headers contains '%s' with wrong type", json_object_iter_key(i));
            rc = -1;
        }
    }
    if (n > 0)
        qsort(sorted, n, sizeof *sorted, by_name);
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = add_header(r, sorted[i].name, sorted[i].value);
    mem_free(sorted);
    return rc;
}

static int
read_headers(struct reader *r)
{
    json_t *v = json_object_get(r->from, "headers");
    if (v == NULL)
        return 0;
    if (json_is_object(v))
        return read_header_object(r, v);
    if (!json_is_array(v)) {
        err_set(r->e, "%s contains 'headers' with wrong type", r->where);
        return -1;
    }
    for (size_t i = 0; i < json_array_size(v); i++)
        if (read_header_pair(r, json_array_get(v, i)) != 0)
            return -1;
    return 0;
}

static int
read_status(struct reader *r)
{
    int64_t code = 200;
    struct str reason = STR("");
    if (jsonread_int(r->from, "code", r->where, &code, NULL, r->e) != 0)
        return -1;
    if (code < 200 || code > 999) /* an interim answer would break the client's connection */
        return bad_value(r, "code", "invalid");
    r->to->code = (int)code;
    if (jsonread_str(r->from, "reason", r->where, &reason, NULL, r->e) != 0)
        return -1;
    if (!header_value_ok(reason))
        return bad_value(r, "reason", "invalid");
    if (reason.len > 0)
        r->to->reason = str_dup(reason);
    return 0;
}

static int
read_body(struct reader *r)
{
    bool json = r->source == ITEM_JSON;
    json_t *patch = NULL;
    const char *used;
    if (read_content(r, json ? "body-bin" : NULL, "body", &used) != 0)
        return -1;
    if (used != NULL)
        return 0;
    if (jsonread_array(r->from, "body-patch", r->where, &patch, r->e) != 0)
        return -1;
    if (patch == NULL) {
        err_set(r->e, "%s does not contain %s", r->where,
                json ? "'body', 'body-bin', or 'body-patch'" : "'body' or 'body-patch'");
        return -1;
    }
    r->to->body_patch = json_incref(patch);
    return 0;
}

static int
read_response(struct reader *r)
{
    if (r->to->action != ACTION_SEND)
        return 0;
    return read_status(r) != 0 || read_headers(r) != 0 || read_filters(r) != 0 || read_body(r) != 0 ? -1 : 0;
}

static int
read_stream(struct reader *r)
{
    bool json = r->source == ITEM_JSON;
    const char *used;
    if (r->to->action != ACTION_SEND)
        return 0;
    if (read_filters(r) != 0 || read_content(r, json ? "content-bin" : NULL, "content", &used) != 0)
        return -1;
    if (used != NULL)
        return 0;
    err_set(r->e, "%s does not contain %s", r->where, json ? "'content' or 'content-bin'" : "'content'");
    return -1;
}

static int
read_ws_type(struct reader *r, bool *given)
{
    static const char *const names[] = {
        [WS_TEXT] = "text", [WS_BINARY] = "binary", [WS_PING] = "ping", [WS_PONG] = "pong"};
    struct str text;
    int i;
    if (jsonread_str(r->from, "type", r->where, &text, given, r->e) != 0)
        return -1;
    if (!*given)
        return 0;
    i = choice(text, names, countof(names));
    if (i < 0)
        return bad_value(r, "type", "unknown");
    r->to->ws_type = (enum format_ws_type)i;
    return 0;
}

/* What RFC 6455 does not let us send would cost every subscriber its connection. */
static int
check_ws_content(struct reader *r, const char *key, bool known_utf8)
{
    const struct format *f = r->to;
    if (f->ws_type == WS_TEXT && !known_utf8 && !str_utf8(format_content(f)))
        return bad_value(r, key, "invalid");
    if ((f->ws_type == WS_PING || f->ws_type == WS_PONG) && f->content_len > WS_CONTROL_MAX)
        return bad_value(r, key, "invalid");
    return 0;
}

static int
read_ws_send(struct reader *r)
{
    static const char bin_key[] = "content-bin";
    struct format *f = r->to;
    const char *used;
    bool typed, bin;
    if (read_ws_type(r, &typed) != 0 || read_filters(r) != 0 || read_content(r, bin_key, "content", &used) != 0)
        return -1;
    bin = used == bin_key;
    if (!typed)
        f->ws_type = bin ? WS_BINARY : WS_TEXT;
    if (used != NULL)
        return check_ws_content(r, used, r->source == ITEM_JSON && !bin);
    if (f->ws_type == WS_PING || f->ws_type == WS_PONG)
        return 0;
    err_set(r->e, "%s does not contain 'content' or 'content-bin'", r->where);
    return -1;
}

/* RFC 6455, 7.4: the codes that may stand in a close frame. */
static bool
may_be_sent(int64_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* At most MAX bytes of S, no character cut in two. */
static struct str
cut(struct str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return str_sub(s, 0, max);
}

static int
read_ws_close(struct reader *r)
{
    struct format *f = r->to;
    struct str reason = STR("");
    int64_t code = 0;
    if (jsonread_int(r->from, "code", r->where, &code, &f->has_close_code, r->e) != 0)
        return -1;
    if (f->has_close_code && !may_be_sent(code))
        return bad_value(r, "code", "invalid");
    f->close_code = (int)code;
    if (jsonread_str(r->from, "reason", r->where, &reason, NULL, r->e) != 0)
        return -1;
    if (!str_utf8(reason) || str_chr(reason, '\0') >= 0)
        return bad_value(r, "reason", "invalid");
    if (reason.len > 0)
        f->close_reason = str_dup(cut(reason, WS_REASON_MAX));
    return 0;
}

static int
read_ws(struct reader *r)
{
    if (r->to->action == ACTION_SEND)
        return read_ws_send(r);
    return r->to->action == ACTION_CLOSE ? read_ws_close(r) : 0;
}

struct format *
format_read(enum format_kind kind, const json_t *value, enum item_source source, struct err *e)
{
    static int (*const read_kind[FORMAT_KINDS])(struct reader *) = {
        [FORMAT_HTTP_RESPONSE] = read_response, [FORMAT_HTTP_STREAM] = read_stream, [FORMAT_WS_MESSAGE] = read_ws};
    struct reader r = {value, kinds[kind].where, source, NULL, e};
    if (!json_is_object(value)) {
        err_set(e, "%s is not an object", r.where);
        return NULL;
    }
    r.to = mem_zalloc(sizeof *r.to);
    r.to->kind = kind;
    r.to->code = 200;
    headers_init(&r.to->headers);
    if (read_action(&r) == 0 && read_kind[kind](&r) == 0)
        return r.to;
    format_free(r.to);
    return NULL;
}

void
format_free(struct format *f)
{
    if (f == NULL)
        return;
    mem_free(f->content);
    json_decref(f->content_filters);
    mem_free(f->reason);
    headers_clear(&f->headers);
    json_decref(f->body_patch);
    mem_free(f->close_reason);
    mem_free(f);
}
