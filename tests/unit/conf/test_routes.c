#include "test.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct err e;
static char log_path[] = "/tmp/test_routes_XXXXXX", file_path[64];

static char *
logged(void)
{
    static char text[65536];
    FILE *f = fopen(log_path, "r");
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    CHECK_INT(truncate(log_path, 0), 0);
    return text;
}

static void
write_routes(const char *text, size_t len)
{
    FILE *f = fopen(file_path, "w");
    fwrite(text, 1, len, f);
    fclose(f);
}

static struct routes *
load(const char *text)
{
    struct routes *r;
    write_routes(text, strlen(text));
    logged();
    r = routes_new(file_path, NULL, 0);
    CHECK_INT(routes_load(r, NULL), 0);
    return r;
}

/* The only route of a text. */
static struct route *
load_one(const char *text, struct routes **r)
{
    struct route *route;
    *r = load(text);
    route = routes_find(*r, &(struct route_query){.host = STR("h"), .path = STR("/")});
    CHECK(route != NULL);
    return route;
}

static void
done(struct routes *r, struct route *route)
{
    route_unref(route);
    routes_free(r);
}

/* The text of the first target chosen for "[ws://|https://|wss://]HOST/PATH", or "" without a route. */
static const char *
ask(struct routes *r, const char *url)
{
    static char answer[256];
    struct route_query q = {.host = str_c(url)};
    struct route *route;
    ptrdiff_t at = str_find(q.host, STR("://"));
    q.ws = str_starts(q.host, STR("ws"));
    q.ssl = str_starts(q.host, STR("https://")) || str_starts(q.host, STR("wss://"));
    if (at >= 0)
        q.host = str_from(q.host, (size_t)at + 3);
    at = str_chr(q.host, '/');
    q.path = str_from(q.host, (size_t)at);
    q.host.len = (size_t)at;
    route = routes_find(r, &q);
    snprintf(answer, sizeof answer, "%s", route != NULL ? route->targets[0].text : "");
    route_unref(route);
    return answer;
}

static const char *
ask_id(struct routes *r, const char *id)
{
    static char answer[256];
    struct route_query q = {.host = STR("other"), .path = STR("/"), .id = str_c(id)};
    struct route *route = routes_find(r, &q);
    snprintf(answer, sizeof answer, "%s", route != NULL ? route->targets[0].text : "");
    route_unref(route);
    return answer;
}

struct question {
    const char *url, *want;
};

static void
check_answers(struct routes *r, const struct question *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(ask(r, q[i].url), q[i].want) != 0)
            print_error("%s:\n", q[i].url);
        CHECK_STR(str_c(ask(r, q[i].url)), q[i].want);
    }
}

TEST(rules_are_chosen_by_proto_then_path_then_ssl)
{
    static const char *const lines[] = {
        "h a:1",
        "h,path_beg=/a a:2",
        "h,path_beg=/a/b a:3",
        "h,ssl=no,path_beg=/s a:4",
        "h,path_beg=/s a:5",
        "h,proto=http,path_beg=/p a:6",
        "h,path_beg=/p/long a:7",
        "h,proto=ws a:8",
        "k,ssl=yes a:9",
        "k,proto=ws a:10",
        "* a:11",
        "g,path_beg=/x/y a:12",
        "g,ssl=no,path_beg=/x a:13",
    };
    static const struct question questions[] = {
        {"http://h/", "a:1"},      {"http://h/a", "a:2"},  {"http://h/ax", "a:2"},     {"http://h/a/b/c", "a:3"},
        {"http://h/s", "a:4"},     {"https://h/s", "a:5"}, {"http://h/p/long", "a:6"}, {"ws://h/a/b", "a:8"},
        {"http://k/", "a:11"},     {"https://k/", "a:9"},  {"ws://k/", "a:10"},        {"http://other/", "a:11"},
        {"http://g/x/y", "a:12"},  {"http://g/x", "a:13"}, {"https://g/x", "a:11"},    {"http://h./", "a:11"},
        {"wss://other/x", "a:11"},
    };
    const char *reversed[countof(lines)];
    struct routes *r = routes_new(NULL, lines, countof(lines));
    unsigned skipped = 99;
    CHECK_INT(routes_load(r, &skipped), 0);
    CHECK_INT(skipped, 0);
    CHECK(routes_path(r) == NULL);
    check_answers(r, questions, countof(questions));
    routes_free(r);
    for (size_t i = 0; i < countof(lines); i++)
        reversed[i] = lines[countof(lines) - 1 - i];
    r = routes_new(NULL, reversed, countof(reversed));
    CHECK_INT(routes_load(r, NULL), 0);
    check_answers(r, questions, countof(questions));
    routes_free(r);
}

TEST(domains_fall_back_to_the_next_less_specific_one)
{
    static const struct question questions[] = {
        {"exact.wild.test/e", "exact:1"}, {"exact.wild.test/x", "wild:1"},
        {"a.wild.test/", "wild:1"},       {"a.b.wild.test/", "wild:1"},
        {"x.deep.wild.test/", "deep:1"},  {"x.deep.wild.test/w", "deep:1"},
        {"deep.wild.test/", "wild:1"},    {"wild.test/", "star:1"},
        {"xwild.test/", "star:1"},        {"ws://x.deep.wild.test/", "wild:1"},
        {".wild.test/", "star:1"},        {"upper.test/", "upper:1"},
        {"1.upper.test/", "upper:2"},     {"/", "star:1"},
        {"wild.test./", "star:1"},
    };
    struct routes *r =
        load("*.wild.test wild:1\n*.Deep.wild.test,proto=http deep:1\nexact.wild.test,path_beg=/e exact:1\n"
             "* star:1\nUPPER.Test upper:1\n*.UPPER.test upper:2\n");
    CHECK(strstr(logged(), "routes loaded with 6 entries\n") != NULL);
    check_answers(r, questions, countof(questions));
    routes_free(r);
    r = load("a b:1\n");
    CHECK_STR(str_c(ask(r, "b/")), "");
    routes_free(r);
}

TEST(tokens_may_be_quoted_and_parted_by_tabs)
{
    static const char text[] = "\xef\xbb\xbf# comment\r\n\r\n \t h,\"prefix=a, b#\"\t \ta\":1\" # x\r\n"
                               "mid\"qu ot\"ed.test,\"path_beg=/q,r\" b:1#x\r\n"
                               "first=1 c:1\n\"id=q\" d:1";
    struct routes *r;
    struct route *route = load_one(text, &r);
    char *log = logged();
    CHECK_STR(str_c(route->prefix), "a, b#");
    CHECK_STR(str_c(ask(r, "h/")), "a:1");
    CHECK_STR(str_c(ask(r, "midqu oted.test/q,r")), "b:1");
    CHECK_STR(str_c(ask_id(r, "q")), "d:1");
    CHECK(strstr(log, ":5: unknown property first\n") != NULL);
    CHECK(strstr(log, "routes loaded with 4 entries\n") != NULL);
    CHECK_INT(route->line, 3);
    done(r, route);
}

TEST(condition_properties_are_read)
{
    struct routes *r;
    struct route *route = load_one(
        "h,id=i\\d,sig_iss=me,sig_key=k,prefix=p-,as_host=o:81,path_rem=7,path_beg=/,replace_beg=/"
        "new,orig_headers,no_grip=no,"
        "session,aco,debug,jsonp_mode=basic,jsonp_cb=cb,jsonp_body=b,jsonp_defcb=d,sockjs=/s,sockjs_as_path=/t,"
        "\"header=X-A: a, \\\"b\\\"\\\\ #\",header=X-B:\"  two\",header=x-a:no,header=User-Agent:,log_level=1 "
        "a:1,ssl,insecure,host=b,trust_connect_host,untrusted,over_http,one_event,sub=c1,sub=\"c 2\" "
        "[::1]:2,ssl=no unix:/run/x,ssl=yes,ipc_file_mode=777 test#x\n",
        &r);
    CHECK(strstr(logged(), "[WARN]") == NULL);
    CHECK_STR(str_c(route->domain), "h");
    CHECK_STR(str_c(route->id), "i\\d");
    CHECK(route->explicit_id && route->sig_key != NULL && !route->no_sig);
    CHECK_STR(str_c(route->sig_iss), "me");
    CHECK_STR(str_c(route->prefix), "p-");
    CHECK_STR(str_c(route->as_host), "o:81");
    CHECK_INT(route->path_rem, 1);
    CHECK_STR(str_c(route->replace_beg), "/new");
    CHECK(route->orig_headers && route->no_grip && route->session && route->aco && route->debug);
    CHECK_INT(route->jsonp_mode, JSONP_BASIC);
    CHECK_STR(str_c(route->jsonp_callback), "cb");
    CHECK_STR(str_c(route->jsonp_body), "b");
    CHECK_STR(str_c(route->jsonp_defcb), "d");
    CHECK_STR(str_c(route->jsonp_defmethod), "POST");
    CHECK_STR(str_c(route->sockjs), "/s");
    CHECK_STR(str_c(route->sockjs_as_path), "/t");
    CHECK_INT(route->log_level, 1);
    CHECK_INT(route->headers.n, 3);
    CHECK_STR(headers_get(&route->headers, STR("X-A")), "a, \"b\"\\ #");
    CHECK_STR(headers_get(&route->headers, STR("X-B")), "two");
    CHECK_STR(headers_get(&route->headers, STR("User-Agent")), "");
    CHECK_INT(route->n_targets, 4);
    CHECK_INT(route->line, 1);
    done(r, route);
}

TEST(targets_are_read)
{
    struct routes *r;
    struct route *route =
        load_one("h a:1,host=b:443,ssl,insecure,trust_connect_host,untrusted,over_http,one_event,sub=c1,sub=\"c 2\" "
                 "[::1]:2,ssl=no,host=b:80 unix:/run/x,ssl=yes,host=b:80 test\n",
                 &r);
    const struct target *t = route->targets;
    CHECK_INT(route->n_targets, 4);
    CHECK_INT(t->kind, TARGET_TCP);
    CHECK_STR(str_c(t->text), "a:1");
    CHECK_STR(str_c(t->host), "a");
    CHECK_INT(t->port, 1);
    CHECK(t->ssl && t->insecure && t->trust_connect_host && t->untrusted && t->over_http && t->one_event);
    CHECK_STR(str_c(t->as_host), "b");
    CHECK_INT(t->subs.n, 2);
    CHECK_STR(str_c(t->subs.at[1]), "c 2");
    CHECK_STR(str_c(t[1].text), "[::1]:2");
    CHECK_STR(str_c(t[1].host), "::1");
    CHECK(!t[1].ssl && t[2].ssl);
    CHECK_STR(str_c(t[1].as_host), "b"); /* without the default port */
    CHECK_STR(str_c(t[2].as_host), "b:80");
    CHECK_INT(t[2].kind, TARGET_UNIX);
    CHECK_STR(str_c(t[2].path), "/run/x");
    CHECK_INT(t[3].kind, TARGET_TEST);
    CHECK_STR(str_c(route->id), "h,*,*,*");
    CHECK(!route->explicit_id && route->slot == 0 && route->sig_key == NULL && route->path_beg == NULL);
    CHECK_STR(str_c(route->jsonp_callback), "callback");
    CHECK_STR(str_c(route->jsonp_defmethod), "GET");
    CHECK_STR(str_c(route->prefix), "");
    CHECK_INT(route->log_level, 3);
    done(r, route);
}

TEST(empty_sig_key_means_no_signature)
{
    struct routes *r;
    struct route *route = load_one("h,sig_key=,sig_iss= a:1\n", &r);
    CHECK(route->no_sig && route->sig_key == NULL && route->sig_iss == NULL);
    done(r, route);
}

TEST(bad_lines_are_skipped_with_a_warning)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"h", ": must specify condition and at least one target"},
        {"\"h\" # x", ": must specify condition and at least one target"},
        {"h,\"x a:1", ": unterminated quoted section"},
        {"h \"a\\", ": unterminated escape sequence"},
        {"h,\"x\\n\" a:1", ": unexpected escape character: n"},
        {"h,,debug a:1", ": expecting prop"},
        {"h, a:1", ": expecting prop"},
        {"h a:1,", ": expecting prop"},
        {"h,# a:1", ": expecting prop"},
        {"h,=x a:1", ": empty prop name"},
        {"=x a:1", ": empty prop name"},
        {"h,\"\" a:1", ": empty prop name"},
        {"h,proto=foo a:1", ": proto must be set to 'http' or 'ws'"},
        {"h,ssl a:1", ": ssl must be set to 'yes' or 'no'"},
        {"h,path_beg a:1", ": path_beg cannot be empty"},
        {"h,header=foo a:1", ": header must use format 'name:value'"},
        {"h,jsonp_mode=x a:1", ": jsonp_mode must be set to 'basic' or 'extended'"},
        {"h,as_host=a_b:x a:1", ": as_host must use format 'host' or 'host:port'"},
        {"h,sig_key=file:no-such-file a:1", ": sig_key cannot be read: "},
        {"h a:1 localhost", ": target bad format"},
        {"h :1", ": target bad format"},
        {"h [::1", ": target bad format"},
        {"h [::1]", ": target bad format"},
        {"h [x]:1", ": target bad format"},
        {"h a/b:1", ": target bad format"},
        {"h ::1:80", ": target bad format"},
        {"h unix:x", ": target bad format"},
        {"h ,ssl", ": target bad format"},
        {"h \"a b\":1", ": target bad format"},
        {"h a:", ": target invalid port"},
        {"h a:0", ": target invalid port"},
        {"h a:65536", ": target invalid port"},
        {"h a:80x", ": target invalid port"},
        {"h zhttp/tcp://127.0.0.1:1", ": zhttp and zhttpreq targets are not supported"},
        {"h a:1 zhttpreq/ipc:///x", ": zhttp and zhttpreq targets are not supported"},
        {"good,ssl=no a:1", " skipping duplicate condition"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char text[300], want[300];
        unsigned skipped;
        struct routes *r;
        snprintf(text, sizeof text, "good,ssl=no g:1\n\n%s\n* s:1", rows[i].line);
        snprintf(want, sizeof want, " %s:3%s", file_path, rows[i].want);
        r = load(text);
        CHECK_INT(routes_load(r, &skipped), 0);
        CHECK_INT(skipped, 1);
        CHECK_STR(str_c(ask(r, "h/")), "s:1");
        CHECK_STR(str_c(ask(r, "good/")), "g:1");
        if (strstr(logged(), want) == NULL)
            fail_msg("no warning \"%s\"", want);
        routes_free(r);
    }
}

TEST(unknown_property_is_warned_about_and_the_line_stays)
{
    struct routes *r = load("h,foo=1,over_http a:1,bar,path_beg=/\n");
    const char *names[] = {"foo", "over_http", "bar", "path_beg"};
    char *log = logged();
    for (size_t i = 0; i < countof(names); i++) {
        char want[200];
        snprintf(want, sizeof want, "%s:1: unknown property %s\n", file_path, names[i]);
        CHECK(strstr(log, want) != NULL);
    }
    CHECK_STR(str_c(ask(r, "h/")), "a:1");
    routes_free(r);
}

TEST(ids_select_a_rule_whatever_its_conditions)
{
    struct routes *r = load(",id=by-id a:1\nid=bare a:2\nn.test,id=named,proto=ws,path_beg=/x a:3\n"
                            "t1,id=twice a:4\nt2,id=twice a:5\nauto,proto=http,ssl=yes,path_beg=/p a:6\n"
                            "auto,ssl=no a:7\n* a:8\nx,id=\"*,*,*,*\" a:9\n,path_beg=/nothing a:10\n");
    CHECK(strstr(logged(), "routes loaded with 10 entries\n") != NULL);
    CHECK_STR(str_c(ask_id(r, "by-id")), "a:1");
    CHECK_STR(str_c(ask_id(r, "bare")), "a:2");
    CHECK_STR(str_c(ask_id(r, "named")), "a:3");
    CHECK_STR(str_c(ask_id(r, "twice")), "a:8"); /* names none: as if it were not there */
    CHECK_STR(str_c(ask_id(r, "auto,http,ssl,/p")), "a:6");
    CHECK_STR(str_c(ask_id(r, "auto,*,no-ssl,*")), "a:7");
    CHECK_STR(str_c(ask_id(r, "*,*,*,*")), "a:8");
    CHECK_STR(str_c(ask_id(r, "*,*,*,/nothing")), "a:10");
    CHECK_STR(str_c(ask_id(r, "nope")), "");
    CHECK_STR(str_c(ask_id(r, "")), "a:8");
    CHECK_STR(str_c(ask(r, "/")), "a:8");
    routes_free(r);
}

TEST(slots_stay_with_their_ids_over_reloads)
{
    struct routes *r;
    struct route *old = load_one("h,id=one a:1\nk,id=two a:2\n", &r), *fresh;
    struct route_query q = {.host = STR("h"), .path = STR("/")};
    CHECK_INT(old->slot, 1);
    CHECK_INT(routes_slots(r), 3);
    write_routes("a,id=three a:1\nb a:1\nh,id=two a:22\n", 36);
    CHECK_INT(routes_load(r, NULL), 0);
    fresh = routes_find(r, &q);
    CHECK_INT(fresh->slot, 2);
    CHECK_STR(str_c(fresh->targets[0].text), "a:22");
    CHECK_INT(routes_slots(r), 4);
    CHECK_STR(str_c(old->targets[0].text), "a:1"); /* whoever has it keeps it */
    CHECK(route_ref(old) == old);
    route_unref(old);
    route_unref(fresh);
    routes_free(r);
    CHECK_STR(str_c(old->id), "one");
    route_unref(old);
}

TEST(missing_file_leaves_the_old_routes)
{
    struct routes *r = load("h a:1\n");
    char want[200];
    unlink(file_path);
    logged();
    CHECK_INT(routes_load(r, NULL), -1);
    snprintf(want, sizeof want, "unable to open routes file: %s\n", file_path);
    CHECK(strstr(logged(), want) != NULL);
    CHECK_STR(str_c(ask(r, "h/")), "a:1");
    write_routes("", 0);
    CHECK_INT(routes_load(r, NULL), 0);
    CHECK(strstr(logged(), "routes loaded with 0 entries\n") != NULL);
    CHECK_STR(str_c(ask(r, "h/")), "");
    routes_free(r);
    r = routes_new(NULL, NULL, 0);
    CHECK_INT(routes_load(r, NULL), 0);
    CHECK_STR(str_c(ask(r, "h/")), "");
    routes_free(r);
}

TEST(lines_of_the_command_line_replace_the_file)
{
    static const char *const lines[] = {"h a:1 # c", "k,proto=x a:1"};
    struct routes *r = routes_new(file_path, lines, 2);
    unsigned skipped;
    char *log;
    logged();
    CHECK_INT(routes_load(r, &skipped), 0);
    CHECK_INT(skipped, 1);
    CHECK(routes_path(r) == NULL);
    log = logged();
    CHECK(strstr(log, " <route>:1: proto must be set to 'http' or 'ws'\n") != NULL);
    CHECK(strstr(log, "routes loaded") == NULL);
    CHECK_STR(str_c(ask(r, "h/")), "a:1");
    routes_free(r);
}

TEST(routes_are_listed_by_domain_at_debug_level)
{
    struct routes *r;
    char *log;
    log_set_level(LOG_DEBUG);
    r = load("* s:1\nh,path_beg=/a a:1 a:2,ssl\nh,path_beg=/bb b:1\n*.w w:1\n");
    log = logged();
    log_set_level(LOG_INFO);
    CHECK(strstr(log, " routes by domain:\n") != NULL);
    CHECK(strstr(log, "   (default): s:1\n") != NULL);
    CHECK(strstr(log, "   h: b:1 a:1;a:2\n") != NULL);
    CHECK(strstr(log, "   *.w: w:1\n") != NULL);
    routes_free(r);
}

TEST(too_long_line_is_skipped)
{
    size_t n = 70000;
    char *text = mem_alloc(n + 100), want[200];
    struct routes *r;
    memset(text, 'x', n);
    memcpy(text, "h a:1\n", 6);
    memcpy(text + n, "\nk a:2\nz\0z a:3\n", 16);
    write_routes(text, n + 16);
    mem_free(text);
    logged();
    r = routes_new(file_path, NULL, 0);
    CHECK_INT(routes_load(r, NULL), 0);
    text = logged();
    snprintf(want, sizeof want, "%s:2: line is longer than 65536 bytes\n", file_path);
    CHECK(strstr(text, want) != NULL);
    snprintf(want, sizeof want, "%s:4: line contains a NUL byte\n", file_path);
    CHECK(strstr(text, want) != NULL);
    CHECK_STR(str_c(ask(r, "k/")), "a:2");
    routes_free(r);
}

static int
remove_files(void **state)
{
    (void)state;
    unlink(file_path);
    return unlink(log_path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_chosen_by_proto_then_path_then_ssl),
        cmocka_unit_test(domains_fall_back_to_the_next_less_specific_one),
        cmocka_unit_test(tokens_may_be_quoted_and_parted_by_tabs),
        cmocka_unit_test(condition_properties_are_read),
        cmocka_unit_test(targets_are_read),
        cmocka_unit_test(empty_sig_key_means_no_signature),
        cmocka_unit_test(bad_lines_are_skipped_with_a_warning),
        cmocka_unit_test(unknown_property_is_warned_about_and_the_line_stays),
        cmocka_unit_test(ids_select_a_rule_whatever_its_conditions),
        cmocka_unit_test(slots_stay_with_their_ids_over_reloads),
        cmocka_unit_test(missing_file_leaves_the_old_routes),
        cmocka_unit_test(lines_of_the_command_line_replace_the_file),
        cmocka_unit_test(routes_are_listed_by_domain_at_debug_level),
        cmocka_unit_test(too_long_line_is_skipped),
    };
    int fd = mkstemp(log_path);
    if (fd < 0 || close(fd) != 0 || log_open(log_path, &e) != 0)
        return 1;
    snprintf(file_path, sizeof file_path, "%s.routes", log_path);
    return cmocka_run_group_tests(tests, NULL, remove_files);
}
