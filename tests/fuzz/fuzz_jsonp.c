/* "QUERY LF BODY": a query that is unwrapped gives a request that can be sent, and the body wrapped in pieces is the
 * body wrapped whole: JSON between the parentheses. */
#include "base/mem.h"
#include "proto/jsonread.h"
#include "proxy/jsonp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_request(const struct clientreq *c)
{
    if (!header_name_ok(c->method) || c->path.len == 0 || *c->path.ptr != '/' || c->path_len > c->path.len)
        abort();
    for (unsigned i = 0; i < c->headers.n; i++)
        if (!header_name_ok(c->headers.at[i].name) || !header_value_ok(c->headers.at[i].value))
            abort();
}

static void
wrap(struct jsonp *j, const struct headers *h, struct str body, size_t step, struct buf *out)
{
    jsonp_begin(j, 200, STR("OK"), h, out);
    for (size_t at = 0; at < body.len; at += step)
        jsonp_piece(j, str_sub(body, at, step), out);
    jsonp_end(j, out);
}

static void
check_script(struct jsonp *j, struct str script)
{
    struct str json = str_from(script, 5 + j->callback_len);
    json_t *value;
    if (!str_ends(json, STR(");\n")))
        abort();
    value = jsonread_parse(str_sub(json, 0, json.len - 3), NULL);
    if (!j->basic && json_object_size(value) != 4)
        abort();
    json_decref(value);
}

static void
check_answers(struct jsonp *j, const struct headers *h, struct str body)
{
    struct buf whole = BUF_INIT(1 << 24);
    wrap(j, h, body, body.len + 1, &whole);
    check_script(j, buf_str(&whole));
    for (size_t step = 1; step <= 4; step++) {
        struct buf b = BUF_INIT(1 << 24);
        wrap(j, h, body, step, &b);
        if (!str_eq(buf_str(&b), buf_str(&whole)))
            abort();
        buf_clear(&b);
    }
    whole.len = 0;
    jsonp_held(j, 200, STR("OK"), h, body, &whole);
    check_script(j, buf_str(&whole));
    buf_clear(&whole);
}

static char text_0[] = "cb", text_1[] = "POST", text_2[] = "b", text_3[] = "d"; /* of routes, which own theirs */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct route basic = {.jsonp_mode = JSONP_BASIC,
                                 .jsonp_callback = text_0,
                                 .jsonp_defmethod = text_1,
                                 .jsonp_body = text_2,
                                 .jsonp_defcb = text_3};
    struct str rest = str_of((const char *)data, size), query = STR("");
    struct buf target = BUF_INIT(1 << 20);
    struct http1_head head = {.method = STR("GET")};
    str_split(&rest, '\n', &query);
    buf_adds(&target, STR("/?"));
    buf_adds(&target, query);
    head.target = buf_str(&target);
    for (int i = 0; i < 2; i++) {
        struct buf body = BUF_INIT(1 << 20);
        struct clientreq c;
        struct err e;
        if (clientreq_init(&c, &head, false, &e) == 0 &&
            jsonp_unwrap(i ? &basic : NULL, &c, &body, &e) == JSONP_UNWRAPPED) {
            check_request(&c);
            check_answers(c.jsonp, &c.headers, rest);
        }
        buf_clear(&body);
        clientreq_clear(&c);
    }
    buf_clear(&target);
    return 0;
}
