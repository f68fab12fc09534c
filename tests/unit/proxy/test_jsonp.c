#include "test.h"

#include "proto/jsonread.h"
#include "proxy/answer.h"
#include "proxy/cors.h"
#include "proxy/jsonp.h"
#include "requests.h"

static char text_0[] = "callback", text_1[] = "GET", text_2[] = "cb[]", text_3[] = "POST", text_4[] = "bp",
            text_5[] = "jcb"; /* of routes, which own theirs */
static struct route extended = {.jsonp_callback = text_0, .jsonp_defmethod = text_1};
static struct route basic = {.jsonp_mode = JSONP_BASIC,
                             .jsonp_callback = text_2,
                             .jsonp_defmethod = text_3,
                             .jsonp_body = text_4,
                             .jsonp_defcb = text_5};

static enum jsonp_result
unwrap(const struct route *r, const char *method, const char *target, const char *lines, struct clientreq *c,
       struct buf *body, struct err *e)
{
    static struct http1_head head;
    headers_clear(&head.headers);
    read_head(&head, method, target, lines);
    CHECK_INT(clientreq_init(c, &head, false, e), 0);
    *body = BUF_INIT(10000);
    return jsonp_unwrap(r, c, body, e);
}

TEST(requests_are_unwrapped)
{
    static const struct {
        struct route *route;
        const char *target, *callback, *method, *path, *headers, *body;
    } rows[] = {
        {NULL, "/x?callback=f", "f", "GET", "/x", "Accept: */*\nHost: h\nX-A: 1", ""},
        {&extended, "/x?a=b&callback=$f.g[0]_&c=d&e", "$f.g[0]_", "GET", "/x?a=b&c=d&e", "Accept: */*\nHost: h\nX-A: 1",
         ""},
        {&extended, "/x?callback=f&callback=g#top", "f", "GET", "/x#top", "Accept: */*\nHost: h\nX-A: 1", ""},
        {&extended, "/x?callback=f&_method=PUT&_body=a%20+%26%c3%a9", "f", "PUT", "/x", "Accept: */*\nHost: h\nX-A: 1",
         "a +&\xc3\xa9"},
        {&extended, "/x?callback=f&_headers={%22x-a%22:%22+2%22,%22Host%22:%22e%22,%22Accept%22:%22e%22}", "f", "GET",
         "/x", "x-a: +2\nAccept: */*\nHost: h", ""},
        {&basic, "/x?cb%5B%5D=f&bp=%7B%7D&_body=y", "f", "POST", "/x?_body=y",
         "Content-Type: application/json\nAccept: */*\nHost: h\nX-A: 1", "{}"},
        {&basic, "/x?bp=1", "jcb", "POST", "/x", "Content-Type: application/json\nAccept: */*\nHost: h\nX-A: 1", "1"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c;
        struct buf body;
        struct err e = {""};
        CHECK_INT(unwrap(rows[i].route, "GET", rows[i].target, "Host: h\nAccept: x/y\nX-A: 1", &c, &body, &e),
                  JSONP_UNWRAPPED);
        CHECK_STR(str_of(c.jsonp->callback, c.jsonp->callback_len), rows[i].callback);
        CHECK_STR(c.method, rows[i].method);
        CHECK_STR(c.path, rows[i].path);
        CHECK_STR(c.host, "h");
        CHECK_INT(c.path_len, 2);
        CHECK_STR(write_headers(&c.headers), rows[i].headers);
        CHECK_STR(buf_str(&body), rows[i].body);
        buf_clear(&body);
        clientreq_clear(&c);
    }
}

TEST(other_requests_are_left_alone)
{
    static const struct {
        struct route *route;
        const char *method, *target;
    } rows[] = {
        {&extended, "POST", "/x?callback=f"}, {&extended, "GET", "/x"},        {&extended, "GET", "/x?"},
        {&extended, "GET", "/x?_body=f"},     {&extended, "GET", "/x?call=f"}, {&extended, "GET", "/x#?callback=f"},
        {&basic, "GET", "/x?callback=f"},     {&basic, "GET", "/x?_body=f"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c;
        struct buf body;
        struct err e = {""};
        CHECK_INT(unwrap(rows[i].route, rows[i].method, rows[i].target, "Host: h", &c, &body, &e), JSONP_NONE);
        CHECK(c.jsonp == NULL && body.len == 0);
        CHECK_STR(c.method, rows[i].method);
        clientreq_clear(&c);
    }
}

TEST(bad_parameters_are_named)
{
    static const struct {
        struct route *route;
        const char *query, *want;
    } rows[] = {
        {&extended, "callback", "Invalid callback parameter.\n"},
        {&extended, "callback=", "Invalid callback parameter.\n"},
        {&extended, "callback=a(b", "Invalid callback parameter.\n"},
        {&extended, "callback=a%0a", "Invalid callback parameter.\n"},
        {&extended, "callback=a%00", "Invalid callback parameter.\n"},
        {&extended, "callback=.a", "Invalid callback parameter.\n"},
        {&extended, "callback=0a", "Invalid callback parameter.\n"},
        {&extended, "callback=%c3%a9", "Invalid callback parameter.\n"},
        {&extended, "callback=a&_method=", "Invalid _method parameter.\n"},
        {&extended, "callback=a&_method=A%20B", "Invalid _method parameter.\n"},
        {&extended, "callback=a&_method=GET%0d%0a", "Invalid _method parameter.\n"},
        {&extended, "callback=a&_method=CONNECT", "Invalid _method parameter.\n"},
        {&extended, "callback=a&_headers=", "Invalid _headers parameter.\n"},
        {&extended, "callback=a&_headers=[]", "Invalid _headers parameter.\n"},
        {&extended, "callback=a&_headers={%22a%22:1}", "Invalid _headers parameter.\n"},
        {&extended, "callback=a&_headers={%22a%20b%22:%22c%22}", "Invalid _headers parameter.\n"},
        {&extended, "callback=a&_headers={%22a%22:%22b%5cr%5cnc%22}", "Invalid _headers parameter.\n"},
        {&extended, "callback=a&_body=%ff", "Invalid _body parameter.\n"},
        {&basic, "bp=%ff", "Invalid body parameter.\n"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c;
        struct buf body, target = BUF_INIT(1000);
        struct err e = {""};
        buf_addf(&target, "/x?%s%c", rows[i].query, '\0');
        CHECK_INT(unwrap(rows[i].route, "GET", target.ptr, "Host: h", &c, &body, &e), JSONP_BAD);
        CHECK_STR(str_c(e.text), rows[i].want);
        CHECK(c.jsonp == NULL);
        CHECK_STR(c.method, "GET");
        buf_clear(&target);
        buf_clear(&body);
        clientreq_clear(&c);
    }
}

static struct jsonp *
script(struct route *r, struct clientreq *c)
{
    struct buf body;
    struct err e;
    CHECK_INT(unwrap(r, "GET", r == &basic ? "/?cb[]=f" : "/?callback=f", "Host: h", c, &body, &e), JSONP_UNWRAPPED);
    buf_clear(&body);
    return c->jsonp;
}

TEST(answers_are_wrapped_wherever_they_are_cut)
{
    static const struct {
        struct route *route;
        struct str body;
        const char *want;
    } rows[] = {
        {&extended,
         {"a\"\xc3\xa9\r\n\0", 7},
         "/**/f({\"code\": 404, \"reason\": \"Not \\\"\", \"headers\": {\"A\":\"1\",\"b\":\"2\"}, \"body\": "
         "\"a\\\"\xc3\xa9\\r\\n\\u0000\"});\n"},
        {&extended,
         {"", 0},
         "/**/f({\"code\": 404, \"reason\": \"Not \\\"\", \"headers\": {\"A\":\"1\",\"b\":\"2\"}, \"body\": \"\"});\n"},
        {&basic, {"{}", 2}, "/**/f({});\n"},
        {&basic, {"{}\n", 3}, "/**/f({});\n"},
        {&basic, {"{}\r\n", 4}, "/**/f({});\n"},
        {&basic, {"{}\n\n", 4}, "/**/f({}\n);\n"},
        {&basic, {"\r\n\r\nx\r", 6}, "/**/f(\r\n\r\nx\r);\n"},
        {&basic, {"x\r\r\n", 4}, "/**/f(x\r);\n"},
        {&basic, {"", 0}, "/**/f();\n"},
    };
    struct headers h;
    read_headers(&h, "b: 2\nA: 1\nB: 3");
    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t step = 1; step <= rows[i].body.len + 1; step++) {
            struct clientreq c;
            struct buf out = BUF_INIT(1000);
            struct jsonp *j = script(rows[i].route, &c);
            jsonp_begin(j, 404, STR("Not \""), &h, &out);
            for (size_t at = 0; at < rows[i].body.len; at += step)
                jsonp_piece(j, str_sub(rows[i].body, at, step), &out);
            jsonp_end(j, &out);
            CHECK_STR(buf_str(&out), rows[i].want);
            buf_clear(&out);
            clientreq_clear(&c);
        }
    }
    headers_clear(&h);
}

TEST(what_holds_send_is_wrapped_in_another_order)
{
    struct clientreq c;
    struct headers h;
    struct buf out = BUF_INIT(1000);
    read_headers(&h, "b: 2\nA: 1\nB: 3");
    jsonp_held(script(&extended, &c), 201, STR("Created"), &h, STR("x\n"), &out);
    CHECK_STR(buf_str(&out), "/**/f({\"body\":\"x\\n\",\"code\":201,\"headers\":{\"A\":\"1\",\"b\":\"2, "
                             "3\"},\"reason\":\"Created\"});\n");
    out.len = 0;
    clientreq_clear(&c);
    jsonp_held(script(&basic, &c), 201, STR("Created"), &h, STR("x\n"), &out);
    CHECK_STR(buf_str(&out), "/**/f(x);\n");
    buf_clear(&out);
    headers_clear(&h);
    clientreq_clear(&c);
}

TEST(cross_origin_headers_are_added_where_they_are_missing)
{
    static const struct {
        const char *request, *before, *after;
    } rows[] = {
        {"", "",
         "Access-Control-Allow-Methods: OPTIONS, HEAD, GET, POST, PUT, DELETE\nAccess-Control-Allow-Credentials: true\n"
         "Access-Control-Allow-Origin: *\nAccess-Control-Max-Age: 3600"},
        {"Origin: http://a\nAccess-Control-Request-Method: PUT\nAccess-Control-Request-Headers: X-A,X-B\n"
         "access-control-request-headers: X-C",
         "Content-Type: t\nX-D: 1\nETag: 2\nx-d: 3\nPragma: p\nGrip-X: g",
         "Content-Type: t\nX-D: 1\nETag: 2\nx-d: 3\nPragma: p\nGrip-X: g\nAccess-Control-Allow-Methods: PUT\n"
         "Access-Control-Allow-Headers: X-A, X-B, X-C\nAccess-Control-Expose-Headers: X-D, ETag\n"
         "Access-Control-Allow-Credentials: true\nAccess-Control-Allow-Origin: http://a\nAccess-Control-Max-Age: 3600"},
        {"Origin: a", "access-control-allow-origin: b\nAccess-Control-Expose-Headers: c\nAccess-Control-Max-Age: 1",
         "access-control-allow-origin: b\nAccess-Control-Expose-Headers: c\nAccess-Control-Max-Age: 1\n"
         "Access-Control-Allow-Methods: OPTIONS, HEAD, GET, POST, PUT, DELETE\nAccess-Control-Allow-Credentials: true"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers request, h;
        read_headers(&request, rows[i].request);
        read_headers(&h, rows[i].before);
        cors_add(&request, &h);
        CHECK_STR(write_headers(&h), rows[i].after);
        headers_clear(&request);
        headers_clear(&h);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_unwrapped),
        cmocka_unit_test(other_requests_are_left_alone),
        cmocka_unit_test(bad_parameters_are_named),
        cmocka_unit_test(answers_are_wrapped_wherever_they_are_cut),
        cmocka_unit_test(what_holds_send_is_wrapped_in_another_order),
        cmocka_unit_test(cross_origin_headers_are_added_where_they_are_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
