#include "grip/wscontrol.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/jsonread.h"

static const char where[] = "grip control object";

static const struct {
    const char *name;
    enum wscontrol_type type;
} types[] = {
    {"subscribe", WSCONTROL_SUBSCRIBE},
    {"unsubscribe", WSCONTROL_UNSUBSCRIBE},
    {"detach", WSCONTROL_DETACH},
    {"session", WSCONTROL_SESSION},
    {"set-meta", WSCONTROL_SET_META},
    {"keep-alive", WSCONTROL_KEEP_ALIVE},
    {"send-delayed", WSCONTROL_SEND_DELAYED},
    {"flush-delayed", WSCONTROL_FLUSH_DELAYED},
};

static int
bad_value(const char *key, struct err *e)
{
    err_set(e, "%s contains '%s' with invalid value", where, key);
    return -1;
}

static int
read_type(struct wscontrol *c, struct err *e)
{
    struct str text = STR("");
    bool found = false;
    if (jsonread_str(c->doc, "type", where, &text, &found, e) != 0)
        return -1;
    if (!found) {
        err_set(e, "%s does not contain 'type'", where);
        return -1;
    }
    for (size_t i = 0; i < countof(types); i++) {
        if (!str_eq(text, str_c(types[i].name)))
            continue;
        c->type = types[i].type;
        return 0;
    }
    err_set(e, "'type' contains unknown value: %.*s", STR_ARG(text));
    return -1;
}

/* A string that must be there and not be empty. */
static int
read_name(const struct wscontrol *c, const char *key, struct str *out, struct err *e)
{
    bool found = false;
    if (jsonread_str(c->doc, key, where, out, &found, e) != 0)
        return -1;
    if (!found) {
        err_set(e, "%s does not contain '%s'", where, key);
        return -1;
    }
    return out->len > 0 ? 0 : bad_value(key, e);
}

static int
read_filters(struct wscontrol *c, struct err *e)
{
    json_t *list = NULL;
    if (jsonread_array(c->doc, "filters", where, &list, e) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_is_string(json_array_get(list, i)))
            continue;
        err_set(e, "filters contains value with wrong type");
        return -1;
    }
    c->filters = list;
    return 0;
}

static int
read_content(struct wscontrol *c, bool *binary, struct err *e)
{
    struct str text = STR("");
    if (jsonread_str(c->doc, "content-bin", where, &text, binary, e) != 0)
        return -1;
    if (*binary) {
        struct buf b = BUF_INIT(text.len / 4 * 3 + 3);
        base64_decode(&b, text);
        c->has_content = true;
        c->content_len = b.len;
        c->content = b.len > 0 ? buf_steal(&b) : NULL;
        buf_clear(&b);
        return 0;
    }
    if (jsonread_str(c->doc, "content", where, &text, &c->has_content, e) != 0)
        return -1;
    c->content_len = text.len;
    c->content = text.len > 0 ? str_dup(text) : NULL;
    return 0;
}

static int
read_opcode(struct wscontrol *c, bool binary, struct err *e)
{
    static const struct {
        const char *name;
        enum wsframe_opcode opcode;
    } names[] = {{"text", WSFRAME_TEXT}, {"binary", WSFRAME_BINARY}, {"ping", WSFRAME_PING}, {"pong", WSFRAME_PONG}};
    struct str text = STR("");
    bool found = false;
    size_t i = 0;
    c->opcode = binary ? WSFRAME_BINARY : WSFRAME_TEXT;
    if (jsonread_str(c->doc, "message-type", where, &text, &found, e) != 0)
        return -1;
    if (!found)
        return 0;
    while (i < countof(names) && !str_eq(text, str_c(names[i].name)))
        i++;
    if (i == countof(names))
        return bad_value("message-type", e);
    c->opcode = names[i].opcode;
    return 0;
}

/* What RFC 6455 does not let us send. */
static int
check_content(const struct wscontrol *c, bool binary, struct err *e)
{
    const char *key = binary ? "content-bin" : "content";
    if (c->opcode >= WSFRAME_CLOSE && c->content_len > WSFRAME_CONTROL_MAX)
        return bad_value(key, e);
    if (c->opcode == WSFRAME_TEXT && binary && !str_utf8(str_of(c->content, c->content_len)))
        return bad_value(key, e);
    return 0;
}

static int
read_message(struct wscontrol *c, int timeout, struct err *e)
{
    struct str mode = STR("idle");
    int64_t seconds = 0;
    bool binary = false;
    if (read_content(c, &binary, e) != 0 || read_opcode(c, binary, e) != 0 || check_content(c, binary, e) != 0 ||
        jsonread_int(c->doc, "timeout", where, &seconds, NULL, e) != 0)
        return -1;
    if (seconds < 0)
        return bad_value("timeout", e);
    c->timeout = seconds == 0 ? timeout : seconds > 86400 ? 86400 : (int)seconds;
    if (c->type != WSCONTROL_KEEP_ALIVE)
        return 0;
    if (jsonread_str(c->doc, "mode", where, &mode, NULL, e) != 0)
        return -1;
    c->interval = str_eq(mode, STR("interval"));
    return c->interval || str_eq(mode, STR("idle")) ? 0 : bad_value("mode", e);
}

static int
read_fields(struct wscontrol *c, struct err *e)
{
    if (read_type(c, e) != 0)
        return -1;
    switch (c->type) {
    case WSCONTROL_SUBSCRIBE:
        return read_name(c, "channel", &c->channel, e) != 0 ? -1 : read_filters(c, e);
    case WSCONTROL_UNSUBSCRIBE:
        return read_name(c, "channel", &c->channel, e);
    case WSCONTROL_SESSION:
        return jsonread_str(c->doc, "id", where, &c->id, NULL, e);
    case WSCONTROL_SET_META:
        return read_name(c, "name", &c->name, e) != 0 ? -1 : jsonread_str(c->doc, "value", where, &c->value, NULL, e);
    case WSCONTROL_KEEP_ALIVE:
        return read_message(c, WSCONTROL_KEEP_ALIVE_S, e);
    case WSCONTROL_SEND_DELAYED:
        return read_message(c, WSCONTROL_DELAYED_S, e);
    case WSCONTROL_DETACH:
    case WSCONTROL_FLUSH_DELAYED:
        break;
    }
    return 0;
}

int
wscontrol_parse(struct str text, struct wscontrol *out, struct err *e)
{
    *out = (struct wscontrol){.doc = jsonread_parse(text, NULL)};
    if (out->doc == NULL) {
        err_set(e, "grip control message is not valid json");
        return -1;
    }
    if (!json_is_object(out->doc))
        err_set(e, "grip control packet is not an object");
    else if (read_fields(out, e) == 0)
        return 0;
    wscontrol_clear(out);
    return -1;
}

void
wscontrol_clear(struct wscontrol *c)
{
    mem_free(c->content);
    json_decref(c->doc);
    c->content = NULL;
    c->doc = NULL;
}

/* The parameter's value, of which an empty one must be quoted. 0, or -1 when it is malformed. */
static int
read_prefix(struct str element, struct buf *prefix)
{
    struct header_params p;
    int rc = header_params_parse(element, &p);
    struct str value = rc == 0 ? header_param(&p, STR("message-prefix")) : str_of(NULL, 0);
    if (rc == 0 && value.ptr == NULL) {
        buf_adds(prefix, STR("m:"));
    } else if (rc == 0) {
        bool quoted = value.ptr >= p.memory && value.ptr <= p.memory + element.len;
        if (value.len == 0 && !quoted)
            rc = -1;
        else
            buf_adds(prefix, value);
    }
    header_params_clear(&p);
    return rc;
}

bool
wscontrol_extension(const struct headers *h, struct str *element, struct buf *prefix)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value;
        if (!str_ieq(h->at[i].name, STR("Sec-WebSocket-Extensions")))
            continue;
        while (header_element(&rest, element)) {
            ptrdiff_t end = str_chr(*element, ';');
            if (!str_eq(str_trim(end < 0 ? *element : str_sub(*element, 0, (size_t)end)), STR("grip")))
                continue;
            return read_prefix(*element, prefix) == 0;
        }
    }
    return false;
}
