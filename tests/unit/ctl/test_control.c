#include "io/turns.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/h1server.h"
#include "ctl/bearer.h"
#include "ctl/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct control *control;
static struct h1server *server;
static int client[2]; /* the publishers' ends */
static struct buf published;
static unsigned recovered;

unsigned
publish_item(struct publish *p, struct item *item)
{
    CHECK(p == (struct publish *)&published);
    buf_addf(&published, "%.*s ", STR_ARG(item->channel));
    return 2;
}

static void
on_recover(void *arg)
{
    CHECK(arg == &recovered);
    recovered++;
}

static void
begin(void)
{
    static const struct control_ops ops = {on_recover};
    static const struct h1server_ops server_ops = {control_request, control_bad_text, NULL};
    struct control_settings settings = {.max_body = 1000};
    struct h1server_settings server_settings = {
        .max_head = 1000, .idle_timeout = 60, .activity_timeout = 30, .allow_no_host = true};
    log_set_level(LOG_WARN);
    clock_fake(1000000);
    loop = loop_new();
    published = BUF_INIT(10000);
    recovered = 0;
    control = control_new(loop, &settings, (struct publish *)&published, &ops, &recovered);
    server = h1server_new(loop, &server_settings, &server_ops, control);
    for (int i = 0; i < 2; i++) {
        int fds[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        client[i] = fds[1];
        h1server_accept(server, fds[0], NULL);
    }
}

static void
end(void)
{
    h1server_free(server);
    control_free(control);
    loop_poll(loop);
    loop_free(loop);
    buf_clear(&published);
    close(client[0]);
    close(client[1]);
}

static void
put(int i, const char *text)
{
    CHECK_INT(write(client[i], text, strlen(text)), strlen(text));
    loop_poll(loop);
    loop_poll(loop);
}

/* What client I has got; "closed" when that is all. */
static const char *
get(int i)
{
    static char got[4096];
    ssize_t n;
    for (int k = 0; k < 4; k++)
        loop_poll(loop);
    n = read(client[i], got, sizeof got - 1);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return "closed";
    got[n > 0 ? n : 0] = '\0';
    return got;
}

#define ITEM(channel) "{\"items\":[{\"channel\":\"" channel "\",\"formats\":{\"http-stream\":{\"content\":\"x\"}}}]}"
#define PUBLISH(length) "POST /publish HTTP/1.1\r\nContent-Length: " length "\r\nConnection: keep-alive\r\n\r\n"

TEST(items_are_published_and_counted)
{
    begin();
    put(0, "POST /publish/ HTTP/1.1\r\nAccept: application/json\r\nContent-Length: 69\r\n\r\n" ITEM("c"));
    CHECK(str_ends(str_c(get(0)), STR("\r\n\r\n{\"message\":\"Published\",\"receivers\":2}\n")));
    CHECK_STR(buf_str(&published), "c ");
    end();
}

/* Byte by byte, and then nothing: thirty seconds for the body, however it drips in, and nobody else waits. */
TEST(a_body_that_drips_in_has_thirty_seconds)
{
    begin();
    put(0, PUBLISH("900"));
    for (int i = 0; i < 29; i++) {
        put(0, "x");
        loop_advance(loop, 1000);
    }
    CHECK_STR(str_c(get(0)), "");
    put(1, PUBLISH("69") ITEM("d"));
    CHECK(str_ends(str_c(get(1)), STR("Published\n")));
    put(0, "x");
    loop_advance(loop, 1100);
    CHECK_STR(str_c(get(0)), "closed");
    end();
}

TEST(an_idle_publisher_has_sixty_seconds)
{
    begin();
    put(0, PUBLISH("69") ITEM("c"));
    CHECK(str_ends(str_c(get(0)), STR("Published\n")));
    put(1, "POST /publ"); /* counted from the accept, and not prolonged by this */
    loop_advance(loop, 59000);
    CHECK_STR(str_c(get(0)), "");
    CHECK_STR(str_c(get(1)), "");
    loop_advance(loop, 2000);
    CHECK_STR(str_c(get(0)), "closed");
    CHECK_STR(str_c(get(1)), "closed");
    end();
}

TEST(who_leaves_within_a_body_publishes_nothing)
{
    begin();
    put(0, PUBLISH("70") ITEM("c"));
    shutdown(client[0], SHUT_WR);
    CHECK_STR(str_c(get(0)), "closed");
    CHECK_INT(published.len, 0);
    loop_advance(loop, 40000);
    end();
}

TEST(while_paused_publishers_wait_in_order_and_others_are_answered)
{
    begin();
    control_pause(control, true);
    put(0, PUBLISH("69") ITEM("a"));
    put(1, PUBLISH("69") ITEM("b"));
    loop_advance(loop, 10000);
    CHECK_INT(published.len, 0);
    control_pause(control, false);
    CHECK(str_ends(str_c(get(0)), STR("Published\n")));
    CHECK(str_ends(str_c(get(1)), STR("Published\n")));
    CHECK_STR(buf_str(&published), "a b ");
    control_pause(control, true);
    put(0, PUBLISH("69") ITEM("c"));
    put(1, "POST /recover HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    CHECK(str_ends(str_c(get(1)), STR("Updated\n")));
    CHECK_INT(recovered, 1);
    close(client[0]); /* gone while it waits */
    client[0] = dup(client[1]);
    loop_poll(loop);
    loop_poll(loop);
    control_pause(control, false);
    loop_poll(loop);
    CHECK_STR(buf_str(&published), "a b ");
    end();
}

TEST(ending_while_publishers_wait)
{
    begin();
    control_pause(control, true);
    put(0, PUBLISH("69") ITEM("a"));
    put(1, PUBLISH("900") "x");
    end();
}

/* Refused from the head alone, before the body is there. */
TEST(a_stranger_is_told_what_to_bring)
{
    static const char *const strange[] = {
        "POST /publish HTTP/1.1\r\nContent-Length: 69\r\n\r\n",
        "POST /publish HTTP/1.1\r\nAuthorization: Bearer wrong\r\nContent-Length: 999999\r\n\r\n",
        "POST /recover HTTP/1.1\r\nAccept: image/png\r\n\r\n",
        "OPTIONS /publish HTTP/1.1\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 69\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 69\r\n\r\n"};
    struct str want = STR("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Type: text/plain\r\n");
    for (size_t i = 0; i < countof(strange); i++) {
        begin();
        control_set_bearer(control, bearer_new(STR("t"), NULL, NULL));
        put(0, strange[i]);
        CHECK(str_starts(str_c(get(0)), want));
        put(1, "POST /publish HTTP/1.1\r\nAuthorization: bearer t\r\nContent-Length: 69\r\n\r\n" ITEM("c"));
        CHECK(str_ends(str_c(get(1)), STR("Published\n")));
        CHECK_STR(buf_str(&published), "c ");
        CHECK_INT(recovered, 0);
        end();
    }
}

TEST(anybody_may_look_at_the_root_and_everything_when_the_token_is_gone)
{
    begin();
    control_set_bearer(control, bearer_new(STR("t"), NULL, NULL));
    put(0, "GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n");
    CHECK(str_ends(str_c(get(0)), STR("Pushpin API\n")));
    put(0, PUBLISH("69") ITEM("c"));
    CHECK(str_starts(str_c(get(0)), STR("HTTP/1.1 401 ")));
    CHECK_INT(published.len, 0);
    control_set_bearer(control, NULL);
    put(1, PUBLISH("69") ITEM("d"));
    CHECK(str_ends(str_c(get(1)), STR("Published\n")));
    CHECK_STR(buf_str(&published), "d ");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_published_and_counted),
        cmocka_unit_test(a_body_that_drips_in_has_thirty_seconds),
        cmocka_unit_test(an_idle_publisher_has_sixty_seconds),
        cmocka_unit_test(who_leaves_within_a_body_publishes_nothing),
        cmocka_unit_test(while_paused_publishers_wait_in_order_and_others_are_answered),
        cmocka_unit_test(ending_while_publishers_wait),
        cmocka_unit_test(a_stranger_is_told_what_to_bring),
        cmocka_unit_test(anybody_may_look_at_the_root_and_everything_when_the_token_is_gone),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
