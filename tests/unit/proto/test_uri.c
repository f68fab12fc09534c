#include "test.h"

#include "base/mem.h"
#include "proto/uri.h"

#include <stdlib.h>

static struct buf out = BUF_INIT(1 << 20);

/* ptr NULL where WANT is. */
static void
check_part(struct str part, const char *want)
{
    CHECK_INT(part.ptr == NULL, want == NULL);
    if (want != NULL)
        CHECK_STR(part, want);
}

TEST(uris_are_split)
{
    static const struct {
        const char *text, *scheme, *authority, *host, *path, *query, *fragment;
        int port;
    } rows[] = {
        {"http://a", "http", "a", "a", "", NULL, NULL, 0},
        {"HTTP://u:p@a.b:81/c/d?e?f#g#h", "HTTP", "a.b:81", "a.b", "/c/d", "e?f", "g#h", 81},
        {"https://[::1]:443?q", "https", "[::1]:443", "::1", "", "q", NULL, 443},
        {"https://[::1]/", "https", "[::1]", "::1", "/", NULL, NULL, 0},
        {"http://a:/", "http", "a:", "a", "/", NULL, NULL, 0},
        {"http://@a/", "http", "a", "a", "/", NULL, NULL, 0},
        {"http:///x", "http", "", "", "/x", NULL, NULL, 0},
        {"//h/p", NULL, "h", "h", "/p", NULL, NULL, 0},
        {"/p/:x?", NULL, NULL, NULL, "/p/:x", "", NULL, 0},
        {"p", NULL, NULL, NULL, "p", NULL, NULL, 0},
        {"1:2", NULL, NULL, NULL, "1:2", NULL, NULL, 0},
        {"", NULL, NULL, NULL, "", NULL, NULL, 0},
        {"#", NULL, NULL, NULL, "", NULL, "", 0},
        {"?a/b:c@d", NULL, NULL, NULL, "", "a/b:c@d", NULL, 0},
        {"a+b-c.1:x/y", "a+b-c.1", NULL, NULL, "x/y", NULL, NULL, 0},
        {"/caf\xc3\xa9", NULL, NULL, NULL, "/caf\xc3\xa9", NULL, NULL, 0},
        {"http://b\xc3\xbc"
         "cher.example/",
         "http",
         "b\xc3\xbc"
         "cher.example",
         "b\xc3\xbc"
         "cher.example",
         "/", NULL, NULL, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct uri u;
        CHECK_INT(uri_split(str_c(rows[i].text), &u), 0);
        check_part(u.scheme, rows[i].scheme);
        check_part(u.authority, rows[i].authority);
        check_part(u.host, rows[i].host);
        check_part(u.path, rows[i].path);
        check_part(u.query, rows[i].query);
        check_part(u.fragment, rows[i].fragment);
        CHECK_INT(u.port, rows[i].port);
    }
}

TEST(what_is_no_uri_is_not_split)
{
    static const char *const rows[] = {
        "http://a b/",   "/a b",          "/a\tb",          "/\x7f",         "http://a:0/",   "http://a:65536/",
        "http://a:8x/",  "http://a:-1/",  "http://[::1/",   "http://[::1]8", "http://[::g]/", "http://[a]/",
        "http://a@b@c/", "http://a\\@b/", "http://a\\b/",   "http://a[b/",   "http://a:1:2/", "http://a\"/",
        "http://a<b/",   "http://a\n/",   "http://[v1.a]/",
    };
    struct uri u;
    for (size_t i = 0; i < countof(rows); i++)
        if (uri_split(str_c(rows[i]), &u) != -1)
            fail_msg("\"%s\" was split", rows[i]);
    CHECK_INT(uri_split(str_of("a\0b", 3), &u), -1);
    CHECK_INT(uri_split(str_of(NULL, 0), &u), 0);
    check_part(u.path, "");
}

#define L10 "abcdefghij"
#define L60 L10 L10 L10 L10 L10 L10
#define L63 L60 "abc"

TEST(host_and_port_are_split)
{
    static const struct {
        const char *text, *host;
        int port;
    } rows[] = {
        {"example.com", "example.com", 0},
        {"example.com.", "example.com.", 0},
        {"A-b_C.1:7999", "A-b_C.1", 7999},
        {"a:1", "a", 1},
        {"a:65535", "a", 65535},
        {"127.0.0.1:80", "127.0.0.1", 80},
        {"[::1]", "::1", 0},
        {"[::1]:7999", "::1", 7999},
        {"[::]", "::", 0},
        {"[1::]", "1::", 0},
        {"[1:2:3:4:5:6:7:8]:1", "1:2:3:4:5:6:7:8", 1},
        {"[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7::", 0},
        {"[FE80::a:b]", "FE80::a:b", 0},
        {"[::ffff:1.2.3.4]", "::ffff:1.2.3.4", 0},
        {"[1:2:3:4:5:6:1.2.3.255]", "1:2:3:4:5:6:1.2.3.255", 0},
        {L63 "." L63 "." L63 "." L60 "a", L63 "." L63 "." L63 "." L60 "a", 0},
    };
    struct str host;
    uint16_t port;
    for (size_t i = 0; i < countof(rows); i++) {
        CHECK_INT(uri_host_port(str_c(rows[i].text), &host, &port), 0);
        CHECK_STR(host, rows[i].host);
        CHECK_INT(port, rows[i].port);
    }
}

TEST(what_is_no_host_is_refused)
{
    static const char *const rows[] = {
        "",
        " ",
        "a b",
        "a ",
        ":80",
        "a:",
        "a:0",
        "a:65536",
        "a:000080",
        "a:80x",
        "a:+1",
        "a:80:80",
        "u@a",
        "a/b",
        "a?",
        "a%41",
        "a..b",
        ".a",
        ".",
        "a..",
        "::1",
        "[]",
        "[::1",
        "[::1]a",
        "[::1]:",
        "[:::]",
        "[:1]",
        "[1:]",
        "[1::2::3]",
        "[1:2]",
        "[12345::]",
        "[::1%1]",
        "[::1.2.3]",
        "[::1.2.3.256]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7::8]x",
        "[::1.2.3.4:5]",
        "[1:2:3:4:5:6:7:1.2.3.4]",
        "[1.2.3.4]",
        "[1:2:3:4:5:6:7:8::]",
        "a\xc3\xa4",
        L63 "a.b",
        L63 "." L63 "." L63 "." L60 "ab",
        "a,b",
        "*",
    };
    struct str host;
    uint16_t port;
    for (size_t i = 0; i < countof(rows); i++)
        if (uri_host_port(str_c(rows[i]), &host, &port) != -1)
            fail_msg("\"%s\" was taken", rows[i]);
    CHECK_INT(uri_host_port(str_of("a\0b", 3), &host, &port), -1);
    CHECK_INT(uri_host_port(str_of(NULL, 0), &host, &port), -1);
}

TEST(targets_are_normalised)
{
    static const struct {
        const char *target, *path, *rest;
    } rows[] = {
        {"/", "/", ""},
        {"/a/%7e/%61%2D%5f", "/a/~/a-_", ""},
        {"/a%2fb%c3%a9%20", "/a%2Fb%C3%A9%20", ""},
        {"/\"<>\\^`{|}\xc3\xa9", "/%22%3C%3E%5C%5E%60%7B%7C%7D%C3%A9", ""},
        {"/[a]!$&'()*+,;=:@", "/[a]!$&'()*+,;=:@", ""},
        {"/a%zz%41?%41", "/a%25zz%2541", "?A"},
        {"/%41?%41%4", "/A", "?%2541%254"},
        {"/%", "/%25", ""},
        {"/a?", "/a", "?"},
        {"/a??", "/a", "??"},
        {"/a?b#c", "/a", "?b#c"},
        {"/a#c?d#e", "/a", "#c?d%23e"},
        {"/a#%7e%zz", "/a", "#%257e%25zz"},
        {"/a/./b/../c", "/a/c", ""},
        {"/a/..", "/", ""},
        {"/a/b/.", "/a/b/", ""},
        {"/..", "/", ""},
        {"/../../a", "/a", ""},
        {"/a/%2e%2E/b", "/b", ""},
        {"/a/.%2e/b/%2e", "/b/", ""},
        {"/a/%2e%2e%2fb", "/a/..%2Fb", ""},
        {"/a/...", "/a/...", ""},
        {"/a/..b/.c/d.", "/a/..b/.c/d.", ""},
        {"//x//y/..//z", "//x///z", ""},
        {"/..//x", "//x", ""},
        {"/a/%252e%252e/b", "/a/%252e%252e/b", ""},
        {"/a/%2e%2e/%zz", "/a/%252e%252e/%25zz", ""},
        {"/a?x=/../y&z=%2e", "/a", "?x=/../y&z=."},
        {"/a b\t", "/a%20b%09", ""},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        size_t n;
        out.len = 0;
        buf_adds(&out, STR("http://x"));
        CHECK_INT(uri_normalise(str_c(rows[i].target), &out, &n), 0);
        CHECK_STR(str_sub(buf_str(&out), 0, 8), "http://x");
        CHECK_STR(str_sub(buf_str(&out), 8, n), rows[i].path);
        CHECK_STR(str_from(buf_str(&out), 8 + n), rows[i].rest);
    }
}

TEST(normalising_twice_changes_nothing)
{
    static const char alphabet[] = "/.%2eEfF?#aA\"\xff";
    struct buf first = BUF_INIT(1000);
    char text[24] = "/";
    srand(1);
    for (int i = 0; i < 20000; i++) {
        size_t n = 1 + (size_t)rand() % 20, len;
        for (size_t k = 1; k < n; k++)
            text[k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        first.len = out.len = 0;
        CHECK_INT(uri_normalise(str_of(text, n), &first, &len), 0);
        CHECK(str_find(str_sub(buf_str(&first), 0, len), STR("/../")) < 0);
        CHECK(!str_ends(str_sub(buf_str(&first), 0, len), STR("/..")));
        CHECK_INT(uri_normalise(buf_str(&first), &out, &len), 0);
        CHECK(str_eq(buf_str(&first), buf_str(&out)));
    }
    buf_clear(&first);
}

TEST(only_origin_form_is_normalised_and_only_into_what_has_room)
{
    struct buf small = BUF_INIT(6);
    size_t n;
    CHECK_INT(uri_normalise(STR(""), &small, &n), -1);
    CHECK_INT(uri_normalise(STR("*"), &small, &n), -1);
    CHECK_INT(uri_normalise(STR("http://a/"), &small, &n), -1);
    CHECK_INT(uri_normalise(STR("/abcd?e"), &small, &n), -1);
    CHECK_INT(small.len, 0);
    CHECK_INT(uri_normalise(STR("/abc\xff"), &small, &n), -1);
    CHECK_INT(uri_normalise(STR("/abc?e"), &small, &n), 0);
    buf_clear(&small);
}

/* RFC 3986, 5.4.1 and 5.4.2, without the fragments. */
TEST(references_are_resolved_as_the_rfc_says)
{
    static const char *const rows[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g"},
        {"g#s/../x", "http://a/b/c/g"},
        {"http:g", "http:g"},
        {"?", "http://a/b/c/d;p?"},
        {"https://u@b:1/../c?", "https://b:1/c?"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        out.len = 0;
        CHECK_INT(uri_resolve(STR("http://a/b/c/d;p?q"), str_c(rows[i][0]), &out), 0);
        CHECK_STR(buf_str(&out), rows[i][1]);
    }
}

TEST(references_are_resolved_against_odd_bases)
{
    static const char *const rows[][3] = {
        {"http://a", "g", "http://a/g"},
        {"http://a?q", "", "http://a?q"},
        {"http://a", "?y", "http://a?y"},
        {"http://a#f", "../g", "http://a/g"},
        {"mid:x/y", "z", "mid:x/z"},
        {"mid:x", "../../z", "mid:z"},
        {"http://u@[::1]:8/x", "/y", "http://[::1]:8/y"},
        {"http://a/../b/./c", "", "http://a/../b/./c"},
    };
    struct buf small = BUF_INIT(9);
    for (size_t i = 0; i < countof(rows); i++) {
        out.len = 0;
        CHECK_INT(uri_resolve(str_c(rows[i][0]), str_c(rows[i][1]), &out), 0);
        CHECK_STR(buf_str(&out), rows[i][2]);
    }
    CHECK_INT(uri_resolve(STR("/a"), STR("b"), &out), -1);
    CHECK_INT(uri_resolve(STR("http://a/"), STR("b c"), &out), -1);
    CHECK_INT(uri_resolve(STR("http://a/"), STR("//b:0"), &out), -1);
    CHECK_INT(uri_resolve(STR("a:/b"), STR("/.//evil"), &out), -1);
    CHECK_INT(uri_resolve(STR("http://a/"), STR("b"), &small), -1);
    CHECK_INT(small.len, 0);
    buf_clear(&small);
}

TEST(queries_are_walked)
{
    static const char *const want[][2] = {{"a", "b=c"}, {"d", ""}, {"e", ""}, {"", "f"}, {"g%41", "+"}};
    struct str rest = STR("&a=b=c&&d&e=&=f&g%41=+&"), name, value;
    for (size_t i = 0; i < countof(want); i++) {
        CHECK(uri_query_next(&rest, &name, &value));
        CHECK_STR(name, want[i][0]);
        CHECK_STR(value, want[i][1]);
    }
    CHECK(!uri_query_next(&rest, &name, &value));
    CHECK(!uri_query_next(&rest, &name, &value));
    rest = STR("");
    CHECK(!uri_query_next(&rest, &name, &value));
}

TEST(escapes_are_decoded)
{
    static const struct {
        const char *text;
        bool plus;
        const char *want;
    } rows[] = {
        {"a%20b+c", true, "a b c"},    {"a%20b+c", false, "a b+c"}, {"%2B", true, "+"},
        {"%c3%A9", false, "\xc3\xa9"}, {"%", false, "%"},           {"%4", false, "%4"},
        {"%4g%41", false, "%4gA"},     {"%2541", false, "%41"},     {"", true, ""},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        out.len = 0;
        uri_decode(str_c(rows[i].text), rows[i].plus, &out);
        CHECK_STR(buf_str(&out), rows[i].want);
    }
    out.len = 0;
    uri_decode(str_of(NULL, 0), true, &out);
    uri_decode(STR("%00"), true, &out);
    CHECK(str_eq(buf_str(&out), STR("\0")));
}

TEST(schemes_have_default_ports)
{
    CHECK_INT(uri_default_port(STR("http")), 80);
    CHECK_INT(uri_default_port(STR("WS")), 80);
    CHECK_INT(uri_default_port(STR("Https")), 443);
    CHECK_INT(uri_default_port(STR("wss")), 443);
    CHECK_INT(uri_default_port(STR("ftp")), 0);
    CHECK_INT(uri_default_port(str_of(NULL, 0)), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris_are_split),
        cmocka_unit_test(what_is_no_uri_is_not_split),
        cmocka_unit_test(host_and_port_are_split),
        cmocka_unit_test(what_is_no_host_is_refused),
        cmocka_unit_test(targets_are_normalised),
        cmocka_unit_test(normalising_twice_changes_nothing),
        cmocka_unit_test(only_origin_form_is_normalised_and_only_into_what_has_room),
        cmocka_unit_test(references_are_resolved_as_the_rfc_says),
        cmocka_unit_test(references_are_resolved_against_odd_bases),
        cmocka_unit_test(queries_are_walked),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(schemes_have_default_ports),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&out);
    return rc;
}
