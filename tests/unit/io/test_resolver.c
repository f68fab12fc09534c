#include "io/turns.h"

#include "base/buf.h"
#include "base/clock.h"
#include "io/loopbase.h"
#include "io/resolver.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A resolver whose only name server is a small one of ours on the same loop. */
static struct loop *loop;
static struct resolver *resolver;
static struct evdns_server_port *server;
static struct evdns_server_request *unanswered[8];
static unsigned n_unanswered, n_asked;
static struct {
    unsigned calls, n;
    struct buf text; /* "1.2.3.4:80 [::1]:80 ", or WHY */
    bool refind;     /* look up again within the callback */
} seen;

static void
answer(struct evdns_server_request *req, const struct evdns_server_question *q)
{
    struct in6_addr six = IN6ADDR_LOOPBACK_INIT;
    unsigned char four[20][4];
    const char *name = q->name;
    bool a = q->type == EVDNS_TYPE_A, aaaa = q->type == EVDNS_TYPE_AAAA;
    for (int i = 0; i < 20; i++) {
        unsigned char bytes[4] = {10, 0, 0, (unsigned char)(i + 1)};
        memcpy(four[i], bytes, 4);
    }
    if (a && (strcasecmp(name, "four.test") == 0 || strcasecmp(name, "both.test") == 0))
        evdns_server_request_add_a_reply(req, name, 2, four, 60);
    else if (a && strcasecmp(name, "many.test") == 0)
        evdns_server_request_add_a_reply(req, name, 20, four, 60);
    else if (aaaa && (strcasecmp(name, "six.test") == 0 || strcasecmp(name, "both.test") == 0))
        evdns_server_request_add_aaaa_reply(req, name, 1, &six, 60);
}

static void
on_question(struct evdns_server_request *req, void *arg)
{
    const struct evdns_server_question *q = req->questions[0];
    (void)arg;
    n_asked++;
    if (strcasecmp(q->name, "silent.test") == 0 && n_unanswered < countof(unanswered)) {
        unanswered[n_unanswered++] = req;
        return;
    }
    answer(req, q);
    evdns_server_request_respond(req, strcasecmp(q->name, "none.test") == 0 ? DNS_ERR_NOTEXIST : 0);
}

static void
begin(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    char path[] = "/tmp/test_resolver.XXXXXX", line[64];
    int file = mkstemp(path), fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), n;
    memset(&seen, 0, sizeof seen);
    seen.text = BUF_INIT(4096);
    n_unanswered = n_asked = 0;
    loop = loop_new();
    CHECK(file >= 0 && fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    server = evdns_add_server_port_with_base(loop_base(loop), fd, 0, on_question, NULL);
    n = snprintf(line, sizeof line, "nameserver 127.0.0.1:%u\n", ntohs(in.sin_port));
    CHECK_INT(write(file, line, (size_t)n), n);
    close(file);
    resolver = resolver_new(loop, path);
    unlink(path);
}

static void
end(void)
{
    for (unsigned i = 0; i < n_unanswered; i++)
        evdns_server_request_drop(unanswered[i]);
    if (resolver != NULL)
        resolver_free(resolver);
    resolver = NULL;
    evdns_close_server_port(server);
    for (int i = 0; i < 8; i++)
        loop_poll(loop);
    loop_free(loop);
    buf_clear(&seen.text);
}

static void
on_found(const struct address *addresses, unsigned n, const char *why, void *arg)
{
    char text[INET6_ADDRSTRLEN];
    CHECK(arg == &seen);
    seen.calls++;
    seen.n = n;
    for (unsigned i = 0; i < n; i++) {
        const struct sockaddr *sa = address_sockaddr(&addresses[i]);
        const struct sockaddr_in *in = (const void *)sa;
        const struct sockaddr_in6 *in6 = (const void *)sa;
        bool six = sa->sa_family == AF_INET6;
        CHECK_INT(addresses[i].len, six ? sizeof *in6 : sizeof *in);
        inet_ntop(sa->sa_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text, sizeof text);
        buf_addf(&seen.text, six ? "[%s]:%u " : "%s:%u ", text, ntohs(six ? in6->sin6_port : in->sin_port));
    }
    if (n == 0)
        buf_addf(&seen.text, "%s ", why);
    if (seen.refind) {
        seen.refind = false;
        resolver_find(resolver, STR("127.0.0.1"), 7, on_found, &seen);
    }
}

static struct resolver_lookup *
find(const char *name)
{
    unsigned before = seen.calls;
    struct resolver_lookup *q = resolver_find(resolver, str_c(name), 80, on_found, &seen);
    CHECK(q != NULL);
    CHECK_INT(seen.calls, before);
    return q;
}

static void
finds(const char *name, const char *want)
{
    unsigned before = seen.calls;
    buf_consume(&seen.text, seen.text.len);
    find(name);
    TURN_UNTIL(loop, seen.calls > before);
    CHECK_STR(buf_str(&seen.text), want);
}

TEST(literals_need_nobody)
{
    static const struct {
        const char *host;
        bool good;
    } rows[] = {
        {"127.0.0.1", true},
        {"::1", true},
        {"2001:db8::1:2", true},
        {"::ffff:1.2.3.4", true},
        {"", false},
        {"localhost", false},
        {"[::1]", false},
        {"1.2.3", false},
        {"1.2.3.4.", false},
        {"01.2.3.4x", false},
        {"fe80::1%lo", false},
        {"1.2.3.4 ", false},
        {"0x7f.1", false},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000", false},
    };
    struct address a;
    for (size_t i = 0; i < countof(rows); i++)
        CHECK_INT(address_literal(str_c(rows[i].host), 80, &a), rows[i].good);
    CHECK(!address_literal(STR("1.2.3.4\0"), 80, &a));
    begin();
    finds("192.0.2.7", "192.0.2.7:80 ");
    finds("2001:db8::1", "[2001:db8::1]:80 ");
    CHECK_INT(n_asked, 0);
    end();
}

TEST(hosts_file_comes_first)
{
    begin();
    find("localhost");
    TURN_UNTIL(loop, seen.calls == 1);
    CHECK(seen.n > 0);
    CHECK(str_find(buf_str(&seen.text), STR("127.0.0.1:80")) >= 0 ||
          str_find(buf_str(&seen.text), STR("[::1]:80")) >= 0);
    CHECK_INT(n_asked, 0);
    end();
}

TEST(name_server_is_asked_for_both_families)
{
    begin();
    finds("four.test", "10.0.0.1:80 10.0.0.2:80 ");
    finds("six.test", "[::1]:80 ");
    finds("both.test.", "10.0.0.1:80 10.0.0.2:80 [::1]:80 ");
    CHECK_INT(n_asked, 6);
    end();
}

TEST(answer_is_cut_at_the_limit)
{
    begin();
    find("many.test");
    TURN_UNTIL(loop, seen.calls == 1);
    CHECK_INT(seen.n, RESOLVER_ADDRESSES);
    end();
}

TEST(unknown_name_has_no_address)
{
    begin();
    finds("none.test", "no such name ");
    finds("empty.test", "lookup failed "); /* libevent tells a name without addresses from no other failure */
    end();
}

TEST(bad_names_are_asked_of_nobody)
{
    static const char *const names[] = {"", ".", "a..b", ".a", "a b", "a\nb", "a/\177", "\xc3\xa9.test"};
    char text[300];
    begin();
    for (size_t i = 0; i < countof(names); i++)
        finds(names[i], "bad name ");
    memset(text, 'a', 64);
    strcpy(text + 64, ".test");
    finds(text, "bad name ");
    for (int i = 0; i < 254; i++)
        text[i] = i % 50 == 49 ? '.' : 'a';
    text[254] = '\0';
    finds(text, "bad name ");
    seen.calls = 0;
    resolver_find(resolver, STR("a\0.test"), 80, on_found, &seen);
    TURN_UNTIL(loop, seen.calls == 1);
    CHECK_INT(n_asked, 0);
    text[253] = '\0';
    finds(text, "lookup failed ");
    CHECK(n_asked > 0);
    end();
}

TEST(cancelled_lookups_are_not_told)
{
    struct resolver_lookup *asked, *literal;
    begin();
    asked = find("silent.test");
    literal = find("127.0.0.1");
    resolver_cancel(literal);
    TURN_UNTIL(loop, n_unanswered == 2);
    resolver_cancel(asked);
    finds("four.test", "10.0.0.1:80 10.0.0.2:80 ");
    CHECK_INT(seen.calls, 1);
    end();
}

TEST(freeing_the_resolver_cancels_lookups)
{
    begin();
    find("silent.test");
    find("127.0.0.1");
    find("four.test");
    resolver_free(resolver);
    resolver = NULL;
    for (int i = 0; i < 5; i++)
        loop_poll(loop);
    CHECK_INT(seen.calls, 0);
    end();
}

TEST(callback_may_look_up_again)
{
    begin();
    seen.refind = true;
    find("four.test");
    TURN_UNTIL(loop, seen.calls == 2);
    CHECK_STR(buf_str(&seen.text), "10.0.0.1:80 10.0.0.2:80 127.0.0.1:7 ");
    end();
}

TEST(missing_file_is_no_reason_to_stop)
{
    struct resolver *other;
    begin();
    other = resolver_new(loop, "/nonexistent/resolv.conf");
    resolver_find(other, STR("localhost"), 80, on_found, &seen);
    TURN_UNTIL(loop, seen.calls == 1);
    CHECK(seen.n > 0);
    resolver_find(other, STR("four.test"), 80, on_found, &seen);
    resolver_free(other);
    end();
}

/* The last: the clock stands still from here on. */
TEST(silent_name_server_is_given_up)
{
    clock_fake(1000000);
    begin();
    find("silent.test");
    TURN_UNTIL(loop, n_unanswered == 2);
    clock_fake_advance(RESOLVER_TIME - 100);
    loop_poll(loop);
    CHECK_INT(seen.calls, 0);
    clock_fake_advance(100 + WHEEL_TICK_MS);
    loop_poll(loop);
    CHECK_INT(seen.calls, 1);
    CHECK_STR(buf_str(&seen.text), "lookup timed out ");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_need_nobody),
        cmocka_unit_test(hosts_file_comes_first),
        cmocka_unit_test(name_server_is_asked_for_both_families),
        cmocka_unit_test(answer_is_cut_at_the_limit),
        cmocka_unit_test(unknown_name_has_no_address),
        cmocka_unit_test(bad_names_are_asked_of_nobody),
        cmocka_unit_test(cancelled_lookups_are_not_told),
        cmocka_unit_test(freeing_the_resolver_cancels_lookups),
        cmocka_unit_test(callback_may_look_up_again),
        cmocka_unit_test(missing_file_is_no_reason_to_stop),
        cmocka_unit_test(silent_name_server_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
