#include "test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "conf/configload.h"
#include "proto/jwt.h"
#include "proxy/rewrite.h"
#include "requests.h"

#include <stdio.h>

static const char *peer; /* of the client */

static struct str
peer_of(const struct xchg *x, char text[ADDRESS_TEXT_MAX])
{
    (void)x;
    snprintf(text, ADDRESS_TEXT_MAX, "%s", peer);
    return str_c(text);
}

static const struct xchg_ops xchg_ops = {.peer = peer_of};

/* A request, what the proxy and the route say about it, and what the origin gets. */
struct row {
    const char *config; /* lines of [proxy] */
    const char *route;  /* headers to set */
    const char *lines;  /* the client's headers */
    const char *want;   /* those of the origin */
    bool orig_headers, trusted, secure;
};

static void
check(const struct row *row)
{
    const struct config_options options = {.id = -1};
    char text[1000];
    struct proxy p = {0};
    struct route route = {.no_grip = true, .orig_headers = row->orig_headers};
    struct clientreq c;
    struct http1_head head;
    struct headers out;
    struct xchg x = {.ops = &xchg_ops};
    struct config *config;
    struct err e;
    FILE *f;
    snprintf(text, sizeof text, "[proxy]\nset_x_forwarded_protocol=false\n%s\n", row->config);
    f = fmemopen(text, strlen(text), "r");
    p.config = config = config_from(f, "p.conf", &options, &e);
    fclose(f);
    CHECK(config != NULL);
    read_headers(&route.headers, row->route);
    read_head(&head, "GET", "/", row->lines);
    CHECK_INT(clientreq_init(&c, &head, row->secure, &e), 0);
    c.trusted = row->trusted;
    headers_init(&out);
    rewrite_request(&p, &route, &c, &x, &out);
    CHECK_STR(write_headers(&out), row->want);
    headers_clear(&out);
    headers_clear(&head.headers);
    headers_clear(&route.headers);
    clientreq_clear(&c);
    config_free(config);
}

TEST(what_is_between_two_hops_is_dropped)
{
    static const struct row rows[] = {
        {"", "", "Host: h\nAccept: a\ncookie: c\nX-A: 1\nx-a: 2", "Accept: a\ncookie: c\nX-A: 1\nx-a: 2", 0, 0, 0},
        {"", "",
         "Host: h\nConnection: keep-alive\nKeep-Alive: 5\nTE: trailers\nUpgrade: h2c\nProxy-Connection: x\nExpect: x\n"
         "Transfer-Encoding: chunked\nContent-Length: 5\nAccept-Encoding: gzip\nContent-Encoding: br\nTrailer: t\n"
         "Proxy-Authorization: p\nVia: v",
         "Content-Encoding: br\nTrailer: t\nProxy-Authorization: p\nVia: v", 0, 0, 0},
        {"", "", "Host: h\nconnection: X-A, close\nConnection: x-b\nX-A: 1\nX-B: 2\nX-C: 3", "X-C: 3", 0, 0, 0},
        {"", "",
         "Host: h\nConnection: a\nConnection: b\nConnection: c\nConnection: d\nConnection: e\nConnection: f\nA: 1\nE: "
         "2\nF: 3\nG: 4",
         "G: 4", 0, 0, 0},
        {"", "", "Host: h\nGrip-Sig: x\ngrip-any: y\nGripe: z", "Gripe: z", 0, 0, 0},
        {"", "", "Host: h\nGrip-Sig: x\ngrip-any: y", "Grip-Sig: x\ngrip-any: y", 0, true, 0},
        {"", "", "Host: h\neb9bf0f5-X: 1\nEB9BF0F5-Y: 2", "", 0, 0, 0},
        {"", "", "Host: h\nPushpin-Route: r", "Pushpin-Route: r", 0, 0, 0},
        {"accept_pushpin_route=true", "", "Host: h\nPushpin-Route: r", "", 0, 0, 0},
    };
    for (size_t i = 0; i < countof(rows); i++)
        check(&rows[i]);
}

TEST(route_headers_replace_and_remove)
{
    static const struct row rows[] = {
        {"", "X-A: 1\nX-B: 2", "Host: h\nx-a: c\nX-C: 3", "X-C: 3\nX-A: 1\nX-B: 2", 0, 0, 0},
        {"", "X-A:", "Host: h\nX-A: 1\nX-B: 2", "X-B: 2", 0, 0, 0},
        {"", "Host: e\nContent-Length: 1\nTransfer-Encoding: chunked\nConnection: x\nX: y", "Host: h", "X: y", 0, 0, 0},
    };
    for (size_t i = 0; i < countof(rows); i++)
        check(&rows[i]);
}

TEST(original_headers_are_marked_in_order)
{
    static const struct row rows[] = {
        {"", "X-Set: r\nX-Gone:", "Host: h\nConnection: X-A\neb9bf0f5-Old: 1\nX-A: 2\nX-Set: c\nX-Gone: c\nX-B: 3",
         "X-B: 3\nX-Set: r\neb9bf0f5-Host: h\neb9bf0f5-Connection: X-A\neb9bf0f5-X-A: 2\neb9bf0f5-X-B: "
         "3\neb9bf0f5-X-Set: r\n"
         "eb9bf0f5-Old: 1",
         true, 0, 0},
        {"orig_headers_need_mark=x-a,Host", "", "Host: h\nX-A: 1\nX-B: 2", "X-A: 1\nX-B: 2\neb9bf0f5-X-B: 2", true, 0,
         0},
        {"", "", "Host: h\nX-A: 1\neb9bf0f5-B: 2", "X-A: 1\neb9bf0f5-B: 2", true, true, 0},
    };
    for (size_t i = 0; i < countof(rows); i++)
        check(&rows[i]);
}

TEST(loops_and_forwarded_protocols)
{
    static const struct row rows[] = {
        {"", "", "Host: h\nCDN-Loop: a", "CDN-Loop: a", 0, 0, 0},
        {"cdn_loop=me", "", "Host: h", "CDN-Loop: me", 0, 0, 0},
        {"cdn_loop=me", "", "Host: h\nCDN-Loop: a\nX: y\ncdn-loop: b;c=\"d,e\"", "X: y\nCDN-Loop: a, b;c=\"d,e\", me",
         0, 0, 0},
        {"cdn_loop=me", "CDN-Loop: r", "Host: h\nCDN-Loop: a", "CDN-Loop: r, me", 0, 0, 0},
        {"", "", "Host: h\nX-Forwarded-Proto: https", "X-Forwarded-Proto: https", 0, 0, true},
        {"set_x_forwarded_protocol=proto-only", "", "Host: h\nX-Forwarded-Proto: x\nX-Forwarded-Protocol: x", "", 0, 0,
         0},
        {"set_x_forwarded_protocol=proto-only", "", "Host: h\nX-Forwarded-Proto: x", "X-Forwarded-Proto: https", 0, 0,
         true},
        {"set_x_forwarded_protocol=true", "", "Host: h", "X-Forwarded-Proto: https\nX-Forwarded-Protocol: https", 0, 0,
         true},
        {"accept_x_forwarded_protocol=true", "", "Host: h\nX-Forwarded-Protocol: x", "", 0, 0, true},
    };
    for (size_t i = 0; i < countof(rows); i++)
        check(&rows[i]);
}

TEST(forwarded_addresses)
{
    static const struct row rows[] = {
        {"", "", "Host: h", "", 0, 0, 0},
        {"", "", "Host: h\nX-Forwarded-For: a,b\nX: y\nx-forwarded-for: c", "X: y\nX-Forwarded-For: a, b, c", 0, 0, 0},
        {"x_forwarded_for=append", "", "Host: h", "X-Forwarded-For: 1.2.3.4", 0, 0, 0},
        {"x_forwarded_for=append", "", "Host: h\nX-Forwarded-For: a", "X-Forwarded-For: a, 1.2.3.4", 0, 0, 0},
        {"x_forwarded_for=truncate:0,append", "", "Host: h\nX-Forwarded-For: a,b", "X-Forwarded-For: 1.2.3.4", 0, 0, 0},
        {"x_forwarded_for=append,truncate:1", "", "Host: h\nX-Forwarded-For: a,b", "X-Forwarded-For: b, 1.2.3.4", 0, 0,
         0},
        {"x_forwarded_for=truncate:2", "", "Host: h\nX-Forwarded-For: a,b,c", "X-Forwarded-For: b, c", 0, 0, 0},
        {"x_forwarded_for=truncate:9", "", "Host: h\nX-Forwarded-For: a,b,c", "X-Forwarded-For: a, b, c", 0, 0, 0},
        {"x_forwarded_for=truncate:0", "", "Host: h\nX-Forwarded-For: a", "", 0, 0, 0},
        {"x_forwarded_for=truncate:x,append", "", "Host: h\nX-Forwarded-For: a", "X-Forwarded-For: a", 0, 0, 0},
        {"x_forwarded_for=nonsense,append", "", "Host: h\nX-Forwarded-For: ,", "", 0, 0, 0},
        {"x_forwarded_for_trusted=append", "", "Host: h", "X-Forwarded-For: 1.2.3.4", 0, true, 0},
        {"x_forwarded_for_trusted=append", "", "Host: h", "", 0, 0, 0},
        {"x_forwarded_for=append", "X-Forwarded-For: r", "Host: h\nX-Forwarded-For: a", "X-Forwarded-For: r, 1.2.3.4",
         0, 0, 0},
        {"", "X-Forwarded-For:", "Host: h\nX-Forwarded-For: a", "", 0, 0, 0},
    };
    static const struct row unix_peer = {"x_forwarded_for=append", "", "Host: h", "X-Forwarded-For: ", 0, 0, 0};
    for (size_t i = 0; i < countof(rows); i++)
        check(&rows[i]);
    peer = "";
    check(&unix_peer);
    peer = "1.2.3.4";
}

TEST(a_client_is_believed_to_be_elsewhere_only_where_the_operator_says_so)
{
    static const struct {
        const char *rules, *trusted_rules; /* one each */
        const char *lines;
        const char *want; /* "": the peer */
        bool trusted;
    } rows[] = {
        {NULL, NULL, "X-Forwarded-For: a", "", false},
        {"append", NULL, "X-Forwarded-For: a", "", false},
        {"truncate:0", NULL, "X-Forwarded-For: a", "", false},
        {"truncate:1", NULL, "X-Forwarded-For: a, b", "b", false},
        {"truncate:2", NULL, "X-Forwarded-For: a, b\nX-Forwarded-For: c", "b", false},
        {"truncate:9", NULL, "X-Forwarded-For: a, b", "a", false},
        {"truncate:1", NULL, "X-Forwarded-For: ", "", false},
        {"truncate:1", NULL, "X: y", "", false},
        {"nonsense", NULL, "X-Forwarded-For: a", "", false},
        {NULL, NULL, "X-Forwarded-For: a, b", "a", true},
        {NULL, "truncate:1", "X-Forwarded-For: a, b", "b", true},
        {NULL, "truncate:0", "X-Forwarded-For: a, b", "", true},
        {"truncate:1", NULL, "X-Forwarded-For: a, b", "a", true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *rule = (char *)(uintptr_t)rows[i].rules, *trusted_rule = (char *)(uintptr_t)rows[i].trusted_rules;
        struct config config = {.x_forwarded_for = {&rule, rule != NULL},
                                .x_forwarded_for_trusted = {&trusted_rule, trusted_rule != NULL}};
        struct proxy p = {.config = &config};
        struct clientreq c = {.trusted = rows[i].trusted};
        struct buf out = BUF_INIT(100);
        read_headers(&c.headers, rows[i].lines);
        rewrite_client_address(&p, &c, &out);
        CHECK_STR(buf_str(&out), rows[i].want);
        headers_clear(&c.headers);
        buf_clear(&out);
    }
}

TEST(paths_and_hosts)
{
    static const struct {
        const char *target, *path_beg, *replace_beg;
        int path_rem;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"/a?b", NULL, NULL, 0, "/a?b"},   {"/vx?q", "/v", "/w", 0, "/wx?q"},    {"/abc", "/a", "/zz", 0, "/zzbc"},
        {"/a", "/a", "", 0, "/"},          {"/a?q", "/a", "", 0, "/?q"},         {"/ab", "/a", "", 0, NULL},
        {"/api/x", "/api", NULL, 4, "/x"}, {"/abc", NULL, NULL, 2, NULL},        {"/abc", NULL, NULL, 9, "/"},
        {"/x", NULL, "/p", 0, "/p/x"},     {"/x?a=/", NULL, NULL, -1, "/x?a=/"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c = {.path = str_c(rows[i].target)};
        struct route route = {.path_beg = (char *)(uintptr_t)rows[i].path_beg,
                              .replace_beg = (char *)(uintptr_t)rows[i].replace_beg,
                              .path_rem = rows[i].path_rem};
        struct buf out = BUF_INIT(100);
        ptrdiff_t query = str_chr(c.path, '?');
        c.path_len = query < 0 ? c.path.len : (size_t)query;
        CHECK_INT(rewrite_path(&route, &c, &out), rows[i].want != NULL ? 0 : -1);
        if (rows[i].want != NULL)
            CHECK_STR(buf_str(&out), rows[i].want);
        buf_clear(&out);
    }
}

TEST(default_ports_are_left_off)
{
    static const struct {
        const char *authority, *as_host;
        bool secure;
        const char *want;
    } rows[] = {
        {"h", NULL, false, "h"},
        {"h:80", NULL, false, "h"},
        {"h:80", NULL, true, "h:80"},
        {"h:443", NULL, true, "h"},
        {"h:443", NULL, false, "h:443"},
        {"h:8080", NULL, false, "h:8080"},
        {"[::1]:80", NULL, false, "[::1]"},
        {"h:1", "o:81", false, "o:81"},
        {"h:1", "o:80", false, "o"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct clientreq c = {.authority = str_c(rows[i].authority), .secure = rows[i].secure};
        struct route route = {.as_host = (char *)(uintptr_t)rows[i].as_host};
        CHECK_STR(rewrite_host(&route, &c), rows[i].want);
    }
}

TEST(response_headers_keep_what_is_the_origins)
{
    struct headers from, to;
    read_headers(&from,
                 "Server: s\nConnection: keep-alive, X-Hop\nKeep-Alive: 5\nX-Hop: 1\nContent-Length: 5\nUpgrade: h2c\n"
                 "TE: t\nTransfer-Encoding: chunked\nset-cookie: a\nSet-Cookie: b\nContent-Encoding: gzip\nTrailer: X");
    headers_init(&to);
    rewrite_response(&from, &to);
    CHECK_STR(write_headers(&to),
              "Server: s\nUpgrade: h2c\nTE: t\nset-cookie: a\nSet-Cookie: b\nContent-Encoding: gzip\nTrailer: X");
    headers_clear(&from);
    headers_clear(&to);
}

TEST(who_is_trusted)
{
    struct err e;
    struct proxy p = {0};
    struct headers h;
    struct jwt_key *key = jwt_key_new(STR("k"), ".", &e), *other = jwt_key_new(STR("o"), ".", &e);
    clock_fake(1000000000000);
    headers_init(&h);
    CHECK(!rewrite_trusted(&p, &h));
    headers_add(&h, STR("grip-sig"), jwt_make(key, STR("someone"), clock_wall() / 1000));
    CHECK(!rewrite_trusted(&p, &h)); /* without a key nobody is */
    p.upstream_key = other;
    CHECK(!rewrite_trusted(&p, &h));
    p.upstream_key = key;
    CHECK(rewrite_trusted(&p, &h));
    clock_fake_advance(3600 * 1000);
    CHECK(!rewrite_trusted(&p, &h));
    headers_clear(&h);
    jwt_key_unref(key);
    jwt_key_unref(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_between_two_hops_is_dropped),
        cmocka_unit_test(route_headers_replace_and_remove),
        cmocka_unit_test(original_headers_are_marked_in_order),
        cmocka_unit_test(loops_and_forwarded_protocols),
        cmocka_unit_test(forwarded_addresses),
        cmocka_unit_test(a_client_is_believed_to_be_elsewhere_only_where_the_operator_says_so),
        cmocka_unit_test(paths_and_hosts),
        cmocka_unit_test(default_ports_are_left_off),
        cmocka_unit_test(response_headers_keep_what_is_the_origins),
        cmocka_unit_test(who_is_trusted),
    };
    peer = "1.2.3.4";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
