#include "grip/instructparts.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/uri.h"

/* An integer of base 10 with sign and white space as may be. One of too many digits is clamped, since all that these
 * headers count ends long before. */
static int
read_int(struct str text, int64_t *out)
{
    bool minus;
    if (str_i64(text, out) == 0)
        return 0;
    text = str_trim(text);
    minus = str_starts(text, STR("-"));
    if (minus || str_starts(text, STR("+")))
        text = str_from(text, 1);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
    *out = minus ? INT64_MIN : INT64_MAX;
    return text.len > 0 ? 0 : -1;
}

static int
fail(struct err *e, const char *text)
{
    err_set(e, "%s", text);
    return -1;
}

/* Call READ with each element of all headers called NAME. */
static int
each_element(const struct headers *h, struct str name, int (*read)(struct str, struct instruct *, struct err *),
             struct instruct *out, struct err *e)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, name))
            continue;
        while (header_element(&rest, &element))
            if (read(element, out, e) != 0)
                return -1;
    }
    return 0;
}

static int
read_hold(const struct headers *h, struct instruct *out, struct err *e)
{
    struct str value = headers_get(h, STR("Grip-Hold"));
    if (value.ptr == NULL)
        return 0;
    if (str_eq(value, STR("response")))
        out->hold = HOLD_MODE_RESPONSE;
    else if (str_eq(value, STR("stream")))
        out->hold = HOLD_MODE_STREAM;
    else
        return fail(e, "Grip-Hold must be set to either 'response' or 'stream'");
    return 0;
}

static int
read_channel(struct str element, struct instruct *out, struct err *e)
{
    struct instruct_channel *c;
    struct header_params p;
    struct str prev_id;
    int rc = header_params_parse(element, &p);
    if (rc != 0 || instruct_has_nul(element)) {
        rc = rc != 0 ? 0 : fail(e, "failed to parse Grip-Channel");
        goto out;
    }
    c = instruct_add_channel(out, p.first);
    prev_id = header_param(&p, STR("prev-id"));
    instruct_set(&c->prev_id, prev_id);
    for (unsigned i = 0; i < p.n && rc == 0; i++)
        if (str_eq(p.at[i].name, STR("filter")))
            rc = instruct_add_filter(c, p.at[i].value, e);
out:
    header_params_clear(&p);
    return rc;
}

static int
read_timeout(const struct headers *h, struct instruct *out, struct err *e)
{
    struct str value = headers_get(h, STR("Grip-Timeout"));
    int64_t n;
    if (value.ptr == NULL)
        return 0;
    if (read_int(value, &n) != 0)
        return fail(e, "failed to parse Grip-Timeout");
    if (n < 0)
        return fail(e, "Grip-Timeout has invalid value");
    out->timeout = instruct_seconds(n, INSTRUCT_MIN_TIMEOUT);
    return 0;
}

/* The escapes \r, \n, \\ and \xHH; any other one stands for nothing. */
static int
decode_cstring(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int high, low;
        if (c == '\\') {
            if (++i == text.len)
                return -1;
            switch (text.ptr[i]) {
            case 'r':
                c = '\r';
                break;
            case 'n':
                c = '\n';
                break;
            case '\\':
                break;
            case 'x':
                if (text.len - i < 3)
                    return -1;
                high = str_hexdigit(text.ptr[i + 1]);
                low = str_hexdigit(text.ptr[i + 2]);
                if (high < 0 || low < 0)
                    return -1;
                c = (char)(high << 4 | low);
                i += 2;
                break;
            default:
                continue;
            }
        }
        buf_addc(out, c);
    }
    return 0;
}

static int
read_keep_alive_data(struct str text, struct str format, struct instruct *out, struct err *e)
{
    struct buf data = BUF_INIT(text.len + 3); /* base64_decode() wants a little more room than it uses */
    int rc = 0;
    if (format.ptr == NULL || str_eq(format, STR("raw"))) {
        buf_adds(&data, text);
    } else if (str_eq(format, STR("cstring"))) {
        if (decode_cstring(text, &data) != 0)
            rc = fail(e, "failed to parse Grip-Keep-Alive cstring format");
    } else if (str_eq(format, STR("base64"))) {
        base64_decode(&data, text);
    } else {
        err_set(e, "no such Grip-Keep-Alive format '%.*s'", STR_ARG(format));
        rc = -1;
    }
    if (rc == 0)
        instruct_set_keep_alive(out, buf_str(&data));
    buf_clear(&data);
    return rc;
}

static int
read_keep_alive_params(const struct header_params *p, struct instruct *out, struct err *e)
{
    struct str mode = header_param(p, STR("mode")), timeout = header_param(p, STR("timeout"));
    int64_t n = INSTRUCT_TIMEOUT;
    if (p->first.len == 0)
        return fail(e, "Grip-Keep-Alive cannot be empty");
    if (mode.ptr != NULL && str_eq(mode, STR("interval"))) {
        out->keep_alive_mode = KEEP_ALIVE_INTERVAL;
    } else if (mode.ptr != NULL && !str_eq(mode, STR("idle"))) {
        err_set(e, "no such Grip-Keep-Alive mode '%.*s'", STR_ARG(mode));
        return -1;
    }
    if (timeout.ptr != NULL && read_int(timeout, &n) != 0)
        return fail(e, "failed to parse Grip-Keep-Alive timeout value");
    if (n < 0)
        return fail(e, "Grip-Keep-Alive timeout has invalid value");
    out->keep_alive_timeout = instruct_seconds(n, INSTRUCT_MIN_KEEP_ALIVE);
    return read_keep_alive_data(p->first, header_param(p, STR("format")), out, e);
}

/* The header is not split at commas: they are data. */
static int
read_keep_alive(const struct headers *h, struct instruct *out, struct err *e)
{
    struct str value = headers_get(h, STR("Grip-Keep-Alive"));
    struct header_params p;
    int rc = 0;
    if (value.ptr == NULL)
        return 0;
    if (header_params_parse(value, &p) == 0)
        rc = read_keep_alive_params(&p, out, e);
    header_params_clear(&p);
    return rc;
}

/* NAME=VALUE stands where other elements have their first part, but is read as a parameter is. */
static int
read_meta(struct str element, struct instruct *out, struct err *e)
{
    struct buf text = BUF_INIT(element.len + 1);
    struct header_params p;
    int rc = 0;
    buf_addc(&text, ';');
    buf_adds(&text, element);
    if (*element.ptr == '=' || *element.ptr == ';' || instruct_has_nul(element))
        rc = fail(e, "Grip-Set-Meta cannot be empty");
    if (header_params_parse(buf_str(&text), &p) == 0 && rc == 0)
        instruct_add_meta(out, p.at[0].name, p.at[0].value);
    header_params_clear(&p);
    buf_clear(&text);
    return rc;
}

static int
read_status(const struct headers *h, struct instruct *out, struct err *e)
{
    struct str value = headers_get(h, STR("Grip-Status")), code = value, reason = {NULL, 0};
    ptrdiff_t at = str_chr(value, ' ');
    int64_t n;
    if (value.ptr == NULL)
        return 0;
    if (at >= 0) {
        code = str_sub(value, 0, (size_t)at);
        reason = str_from(value, (size_t)at + 1);
    }
    if (str_i64(code, &n) != 0 || !instruct_status_ok(n))
        return fail(e, "Grip-Status contains invalid status code");
    out->status = (int)n;
    instruct_set(&out->reason, reason);
    return 0;
}

static int
read_next(const struct header_params *p, struct str url, struct instruct *out, struct err *e)
{
    struct str timeout = header_param(p, STR("timeout"));
    int64_t n = INSTRUCT_NEXT_TIMEOUT;
    if (timeout.ptr != NULL && read_int(timeout, &n) != 0)
        return fail(e, "failed to parse Grip-Link timeout value");
    if (n < 0)
        return fail(e, "Grip-Link timeout has invalid value");
    out->next_timeout = instruct_seconds(n, 0);
    instruct_set(&out->next_link, url);
    return 0;
}

static int
read_link_params(const struct header_params *p, struct instruct *out, struct err *e)
{
    struct str first = p->first, url = str_sub(first, 1, first.len - 2), rel = header_param(p, STR("rel"));
    struct uri uri;
    if (first.len <= 2 || first.ptr[0] != '<' || first.ptr[first.len - 1] != '>')
        return fail(e, "failed to parse Grip-Link value");
    if (uri_split(url, &uri) != 0)
        return fail(e, "Grip-Link contains invalid link");
    if (str_eq(rel, STR("next")))
        return read_next(p, url, out, e);
    if (str_eq(rel, STR("gone")))
        instruct_set(&out->gone_link, url);
    return 0;
}

static int
read_link(struct str element, struct instruct *out, struct err *e)
{
    struct header_params p;
    int rc = 0;
    if (header_params_parse(element, &p) == 0 && p.n > 0)
        rc = read_link_params(&p, out, e);
    header_params_clear(&p);
    return rc;
}

int
instruct_read_headers(const struct headers *h, struct instruct *out, struct err *e)
{
    if (read_hold(h, out, e) != 0 || each_element(h, STR("Grip-Channel"), read_channel, out, e) != 0 ||
        read_timeout(h, out, e) != 0 || read_keep_alive(h, out, e) != 0 ||
        each_element(h, STR("Grip-Set-Meta"), read_meta, out, e) != 0 || read_status(h, out, e) != 0 ||
        each_element(h, STR("Grip-Link"), read_link, out, e) != 0)
        return -1;
    return 0;
}
