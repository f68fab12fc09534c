#include "test.h"

#include "proxy/clientreq.h"
#include "proxy/jsonp.h"
#include "requests.h"

static int
init(struct clientreq *c, const char *method, const char *target, const char *lines, struct err *e)
{
    static struct http1_head head;
    headers_clear(&head.headers);
    read_head(&head, method, target, lines);
    return clientreq_init(c, &head, false, e);
}

TEST(targets_and_hosts)
{
    static const struct {
        const char *target, *headers, *authority, *host, *path;
        size_t path_len;
    } rows[] = {
        {"/", "Host: h", "h", "h", "/", 1},
        {"/a/../b?c#d", "Host: H.Example:81", "h.example:81", "h.example", "/b?c#d", 2},
        {"/%7e?", "Host: [::1]:7999", "[::1]:7999", "::1", "/~?", 2},
        {"/x", "", "localhost", "localhost", "/x", 2},
        {"http://A.b:1/x?y", "Host: c", "a.b:1", "a.b", "/x?y", 2},
        {"HTTPS://a", "Host: c", "a", "a", "/", 1},
        {"http://a?q=/", "Host: c", "a", "a", "/?q=/", 1},
        {"http://a#f", "Host: c", "a", "a", "/#f", 1},
        {"//a/b", "Host: h", "h", "h", "//a/b", 5},
        {"/x", "Host: h.", "h.", "h.", "/x", 2},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c;
        struct err e = {""};
        struct buf uri = BUF_INIT(1000), want = BUF_INIT(1000);
        CHECK_INT(init(&c, "GET", rows[i].target, rows[i].headers, &e), 0);
        CHECK_STR(c.authority, rows[i].authority);
        CHECK_STR(c.host, rows[i].host);
        CHECK_STR(c.path, rows[i].path);
        CHECK_INT(c.path_len, rows[i].path_len);
        clientreq_put_uri(&c, &uri);
        buf_addf(&want, "http://%s%s", rows[i].authority, rows[i].path);
        CHECK(str_eq(buf_str(&uri), buf_str(&want)));
        buf_clear(&uri);
        buf_clear(&want);
        clientreq_clear(&c);
    }
}

TEST(what_is_refused)
{
    static const struct {
        const char *method, *target, *headers;
        int status;
    } rows[] = {
        {"CONNECT", "a:80", "Host: a", 405},    {"OPTIONS", "*", "Host: a", 400},
        {"GET", "a/b", "Host: a", 400},         {"GET", "ftp://a/", "Host: a", 400},
        {"GET", "http:///x", "Host: a", 400},   {"GET", "http://u@a/", "Host: a", 400},
        {"GET", "http://a:0/", "Host: a", 400}, {"GET", "http://a:99999/", "Host: a", 400},
        {"GET", "/", "Host: a b", 400},         {"GET", "/", "Host: ", 400},
        {"GET", "/", "Host: u@a", 400},         {"GET", "/", "Host: a:x", 400},
        {"GET", "/", "Host: [::1", 400},        {"GET", "/", "Host: a/b", 400},
        {"GET", "http://a b/", "Host: a", 400}, {"GET", "", "Host: a", 400},
        {"GET", "?x", "Host: a", 400},          {"GET", "http:/x", "Host: a", 400},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c;
        struct err e = {""};
        CHECK_INT(init(&c, rows[i].method, rows[i].target, rows[i].headers, &e), rows[i].status);
        CHECK(e.text[0] != '\0' && c.memory == NULL && c.headers.n == 0);
    }
}

TEST(a_copy_owns_all_and_can_be_changed)
{
    struct clientreq c, copy;
    struct err e;
    CHECK_INT(init(&c, "PUT", "/a?b", "Host: H:1\nX-A: 1", &e), 0);
    clientreq_copy(&copy, &c);
    clientreq_clear(&c);
    init(&c, "X", "/", "Host: other\nX-B: overwritten", &e);
    CHECK_STR(copy.method, "PUT");
    CHECK_STR(copy.authority, "h:1");
    CHECK_STR(copy.host, "h");
    CHECK_STR(copy.path, "/a?b");
    CHECK_STR(write_headers(&copy.headers), "Host: H:1\nX-A: 1");
    clientreq_replace(&copy, STR("POST"), STR("/c"), 2);
    CHECK_STR(copy.method, "POST");
    CHECK_STR(copy.path, "/c");
    CHECK_STR(clientreq_pathname(&copy), "/c");
    CHECK_STR(copy.authority, "h:1");
    CHECK_STR(copy.host, "h");
    clientreq_clear(&copy);
    clientreq_clear(&c);
}

static int
clear_last(void **state)
{
    struct clientreq c;
    struct err e;
    (void)state;
    init(&c, "GET", "", "", &e); /* the headers of the head before */
    clientreq_clear(&c);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_and_hosts),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_copy_owns_all_and_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, clear_last);
}
