#include "grip/instructparts.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/jsonread.h"

static int
fail(struct err *e, const char *text)
{
    err_set(e, "%s", text);
    return -1;
}

static int
wrong_type(struct err *e, const char *where, const char *key)
{
    err_set(e, "%s contains '%s' with wrong type", where, key);
    return -1;
}

/* Text that will be a C string: one with a NUL inside is none. */
static int
read_text(const json_t *o, const char *key, const char *where, struct str *out, bool *found, struct err *e)
{
    if (jsonread_str(o, key, where, out, found, e) != 0)
        return -1;
    return *found && instruct_has_nul(*out) ? wrong_type(e, where, key) : 0;
}

/* Bytes: the base64 text BIN_KEY, or else the string KEY. *FOUND: one of them is there. */
static int
read_bytes(const json_t *o, const char *bin_key, const char *key, const char *where, struct buf *out, bool *found,
           struct err *e)
{
    struct str text;
    if (jsonread_str(o, bin_key, where, &text, found, e) != 0)
        return -1;
    if (*found) {
        *out = BUF_INIT(text.len + 3); /* base64_decode() wants a little more room than it uses */
        return base64_decode(out, text);
    }
    if (jsonread_str(o, key, where, &text, found, e) != 0)
        return -1;
    if (*found) {
        *out = BUF_INIT(text.len);
        buf_adds(out, text);
    }
    return 0;
}

static int
read_mode(const json_t *hold, struct instruct *out, struct err *e)
{
    struct str mode = STR("response");
    if (jsonread_str(hold, "mode", "hold", &mode, NULL, e) != 0)
        return -1;
    if (str_eq(mode, STR("response")))
        out->hold = HOLD_MODE_RESPONSE;
    else if (str_eq(mode, STR("stream")))
        out->hold = HOLD_MODE_STREAM;
    else
        return fail(e, "hold 'mode' must be set to either 'response' or 'stream'");
    return 0;
}

static int
read_filters(const json_t *filters, struct instruct_channel *c, struct err *e)
{
    size_t i;
    const json_t *value;
    json_array_foreach(filters, i, value)
    {
        if (!json_is_string(value) || instruct_has_nul(jsonread_text(value)))
            return fail(e, "filters contains value with wrong type");
        if (instruct_add_filter(c, jsonread_text(value), e) != 0)
            return -1;
    }
    return 0;
}

static int
read_channel(const json_t *value, struct instruct *out, struct err *e)
{
    struct instruct_channel *c;
    struct str name, prev_id = {NULL, 0};
    json_t *filters = NULL;
    bool found;
    if (!json_is_object(value))
        return fail(e, "channel is not an object");
    if (read_text(value, "name", "channel", &name, &found, e) != 0)
        return -1;
    if (!found)
        return fail(e, "channel does not contain 'name'");
    c = instruct_add_channel(out, name);
    if (read_text(value, "prev-id", "channel", &prev_id, &found, e) != 0 ||
        jsonread_array(value, "filters", "channel", &filters, e) != 0)
        return -1;
    instruct_set(&c->prev_id, prev_id);
    return read_filters(filters, c, e);
}

static int
read_channels(const json_t *hold, struct instruct *out, struct err *e)
{
    json_t *channels = NULL;
    size_t i;
    const json_t *value;
    if (jsonread_array(hold, "channels", "hold", &channels, e) != 0)
        return -1;
    if (channels == NULL)
        return fail(e, "hold does not contain 'channels'");
    json_array_foreach(channels, i, value)
    {
        if (read_channel(value, out, e) != 0)
            return -1;
    }
    return 0;
}

static int
read_timeout(const json_t *o, const char *where, int min, int *out, bool *found, struct err *e)
{
    int64_t n = 0;
    if (jsonread_int(o, "timeout", where, &n, found, e) != 0)
        return -1;
    if (n < 0) {
        err_set(e, "%s contains 'timeout' with invalid value", where);
        return -1;
    }
    if (*found)
        *out = instruct_seconds(n, min);
    return 0;
}

static int
read_keep_alive(const json_t *hold, struct instruct *out, struct err *e)
{
    json_t *keep_alive = NULL;
    struct str mode = STR("idle");
    struct buf data = BUF_INIT(0);
    bool found;
    int rc = -1;
    if (jsonread_object(hold, "keep-alive", "hold", &keep_alive, e) != 0)
        return -1;
    if (keep_alive == NULL)
        return 0;
    if (read_bytes(keep_alive, "content-bin", "content", "keep-alive", &data, &found, e) != 0)
        goto out;
    if (found)
        instruct_set_keep_alive(out, buf_str(&data));
    out->keep_alive_timeout = INSTRUCT_TIMEOUT;
    if (read_timeout(keep_alive, "keep-alive", INSTRUCT_MIN_KEEP_ALIVE, &out->keep_alive_timeout, &found, e) != 0 ||
        jsonread_str(keep_alive, "mode", "keep-alive", &mode, NULL, e) != 0)
        goto out;
    if (!str_eq(mode, STR("idle")) && !str_eq(mode, STR("interval"))) {
        fail(e, "keep-alive 'mode' must be set to either 'idle' or 'interval'");
        goto out;
    }
    out->keep_alive_mode = str_eq(mode, STR("idle")) ? KEEP_ALIVE_IDLE : KEEP_ALIVE_INTERVAL;
    rc = 0;
out:
    buf_clear(&data);
    return rc;
}

static int
read_meta(json_t *hold, struct instruct *out, struct err *e)
{
    json_t *meta = NULL, *value;
    const char *name;
    if (jsonread_object(hold, "meta", "hold", &meta, e) != 0)
        return -1;
    json_object_foreach(meta, name, value)
    {
        if (!json_is_string(value) || instruct_has_nul(jsonread_text(value)))
            return wrong_type(e, "'meta'", name);
        instruct_add_meta(out, str_c(name), jsonread_text(value));
    }
    return 0;
}

static int
read_hold(json_t *hold, struct instruct *out, struct err *e)
{
    bool found;
    if (hold == NULL)
        return 0;
    if (read_mode(hold, out, e) != 0 || read_channels(hold, out, e) != 0 ||
        read_timeout(hold, "hold", INSTRUCT_MIN_TIMEOUT, &out->timeout, &found, e) != 0 ||
        read_keep_alive(hold, out, e) != 0 || read_meta(hold, out, e) != 0)
        return -1;
    return 0;
}

/* A code or reason replaces that of Grip-Status. */
static int
read_status(const json_t *response, struct instruct *out, struct err *e)
{
    int64_t code = 0;
    struct str reason = {NULL, 0};
    bool has_code, has_reason;
    if (jsonread_int(response, "code", "response", &code, &has_code, e) != 0)
        return -1;
    if (has_code && !instruct_status_ok(code))
        return fail(e, "response contains 'code' with invalid value");
    if (jsonread_str(response, "reason", "response", &reason, &has_reason, e) != 0)
        return -1;
    if (has_reason && !header_value_ok(reason)) /* it would end the status line */
        return fail(e, "response contains 'reason' with invalid value");
    if (has_code)
        out->status = (int)code;
    if (has_code || has_reason)
        instruct_set(&out->reason, reason);
    return 0;
}

/* Framing is ours, and the body is not encoded. */
static int
add_header(struct instruct *out, struct str name, struct str value, struct err *e)
{
    static const char *const ours[] = {"Content-Length", "Connection", "Keep-Alive", "Content-Encoding",
                                       "Transfer-Encoding"};
    if (!header_name_ok(name))
        return fail(e, "headers contains invalid name");
    if (!header_value_ok(value)) {
        err_set(e, "headers contains '%.*s' with invalid value", STR_ARG(name));
        return -1;
    }
    for (size_t i = 0; i < countof(ours); i++)
        if (str_ieq(name, str_c(ours[i])))
            return 0;
    headers_add(&out->headers, name, value);
    return 0;
}

static int
read_header_object(json_t *headers, struct instruct *out, struct err *e)
{
    const char *name;
    json_t *value;
    json_object_foreach(headers, name, value)
    {
        if (!json_is_string(value))
            return wrong_type(e, "headers", name);
        if (add_header(out, str_c(name), jsonread_text(value), e) != 0)
            return -1;
    }
    return 0;
}

static int
read_header_list(const json_t *headers, struct instruct *out, struct err *e)
{
    size_t i;
    const json_t *pair;
    json_array_foreach(headers, i, pair)
    {
        const json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);
        if (!json_is_array(pair))
            return fail(e, "headers contains element with wrong type");
        if (json_array_size(pair) != 2)
            return fail(e, "headers contains list with wrong number of elements");
        if (!json_is_string(name))
            return fail(e, "header contains name element with wrong type");
        if (!json_is_string(value))
            return fail(e, "header contains value element with wrong type");
        if (add_header(out, jsonread_text(name), jsonread_text(value), e) != 0)
            return -1;
    }
    return 0;
}

static int
read_body(const json_t *response, struct instruct *out, struct err *e)
{
    struct buf body = BUF_INIT(0);
    bool found;
    if (read_bytes(response, "body-bin", "body", "response", &body, &found, e) != 0)
        return -1;
    if (body.len > 0) {
        out->body_len = body.len;
        out->body = buf_steal(&body);
    }
    buf_clear(&body);
    return 0;
}

static int
read_response(json_t *response, struct instruct *out, struct err *e)
{
    json_t *headers = json_object_get(response, "headers");
    int rc = 0;
    if (response == NULL)
        return 0;
    if (!json_is_object(response))
        return fail(e, ""); /* as it has always been */
    if (read_status(response, out, e) != 0)
        return -1;
    if (json_is_object(headers))
        rc = read_header_object(headers, out, e);
    else if (json_is_array(headers))
        rc = read_header_list(headers, out, e);
    else if (headers != NULL)
        rc = wrong_type(e, "response", "headers");
    return rc == 0 ? read_body(response, out, e) : -1;
}

int
instruct_read_json(struct str body, struct instruct *out, struct err *e)
{
    json_t *doc = body.ptr != NULL ? jsonread_parse(body, NULL) : NULL, *hold = NULL;
    int rc = -1;
    out->from_json = true;
    if (doc == NULL)
        fail(e, "failed to parse application/grip-instruct content as JSON");
    else if (!json_is_object(doc))
        fail(e, "instruct must be an object");
    else if (jsonread_object(doc, "hold", "instruct", &hold, e) == 0 && read_hold(hold, out, e) == 0)
        rc = read_response(json_object_get(doc, "response"), out, e);
    if (out->status == 0)
        out->status = 200;
    json_decref(doc);
    return rc;
}
