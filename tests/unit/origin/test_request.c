#include "server.h"

#include "base/log.h"
#include "io/loopbase.h"
#include "io/resolver.h"
#include "origin/request.h"

#include <sys/resource.h>

static struct resolver *resolver;
static struct origin *origin;
static struct routes *routes;
static struct route *route;
static struct headers headers;
static struct request_body body;
static struct request_spec spec;
static struct request *request; /* under way; NULL: over */
static char big[300000];

/* What the request's user was told: "head 200", "body hello", "end", "fail REASON: text". */
static struct {
    char text[2000];
    size_t body; /* bytes */
    unsigned heads, ends, fails, ready;
    bool cancel, pause; /* in the next callback */
} seen;

static void
note(const char *what, struct str text)
{
    size_t n = strlen(seen.text);
    snprintf(seen.text + n, sizeof seen.text - n, "%s%.*s|", what, STR_ARG(text));
}

static void
then(struct request *r)
{
    CHECK(r == request);
    if (seen.cancel) {
        request_cancel(r);
        request = NULL;
    } else if (seen.pause) {
        request_pause(r, true);
        seen.pause = false;
    }
}

static void
on_head(struct request *r, struct http1_head *head)
{
    char text[20];
    CHECK(request_user(r) == &seen);
    seen.heads++;
    snprintf(text, sizeof text, "%d", head->status);
    note("head ", str_c(text));
    then(r);
}

static void
on_body(struct request *r, struct str piece)
{
    seen.body += piece.len;
    note("body ", str_sub(piece, 0, 20));
    then(r);
}

static void
on_end(struct request *r)
{
    CHECK(r == request);
    seen.ends++;
    request = NULL;
    note("end", STR(""));
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    static const char *const names[] = {"unreachable ", "blocked ", "no name ", "lost ", "timeout ", "cut "};
    CHECK(r == request);
    seen.fails++;
    request = NULL;
    note(names[why], str_c(text));
}

static void
on_ready(struct request *r)
{
    (void)r;
    seen.ready++;
}

static const struct request_ops ops = {on_head, on_body, on_end, on_fail, on_ready};

/* TARGETS: how many of the servers, in order; 0: the built-in test. */
static void
begin(unsigned targets)
{
    struct origin_settings settings = {
        .max_head = 4096, .connect_timeout = 10, .response_timeout = 60, .activity_timeout = 300, .max_idle = 4};
    struct route_query q = {.host = STR("x"), .path = STR("/")};
    char text[200] = "*", *line = text;
    log_set_level(LOG_ERR);
    begin_servers();
    memset(&seen, 0, sizeof seen);
    for (unsigned i = 0; i < targets; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), " 127.0.0.1:%u", server_port[i]);
    if (targets == 0)
        strcat(text, " test");
    routes = routes_new(NULL, (const char *const *)&line, 1);
    CHECK_INT(routes_load(routes, NULL), 0);
    route = routes_find(routes, &q);
    CHECK(route != NULL);
    resolver = resolver_new(loop, NULL);
    origin = origin_new(loop, &settings, resolver);
    headers_init(&headers);
    headers_add(&headers, STR("X"), STR("y"));
    body = (struct request_body){.kept = BUF_INIT(400000), .complete = true};
    spec = (struct request_spec){.method = STR("GET"),
                                 .path = STR("/p?q"),
                                 .host = STR("example.com"),
                                 .headers = &headers,
                                 .body = &body,
                                 .targets = route->targets,
                                 .n_targets = route->n_targets};
    request = NULL;
}

static void
end(void)
{
    if (request != NULL)
        request_cancel(request);
    loop_poll(loop);
    origin_free(origin);
    resolver_free(resolver);
    for (int i = 0; i < 4; i++)
        loop_poll(loop);
    route_unref(route);
    routes_free(routes);
    headers_clear(&headers);
    buf_clear(&body.kept);
    end_servers();
}

static void
ask(const char *method)
{
    seen.text[0] = '\0';
    spec.method = str_c(method);
    request = request_new(origin, &spec, &ops, (void *)&seen);
    CHECK_STR(str_c(seen.text), "");
}

static void
check_seen(const char *want)
{
    TURN_UNTIL(loop, request == NULL);
    CHECK_STR(str_c(seen.text), want);
}

#define GET "GET /p?q HTTP/1.1\r\nHost: example.com\r\nX: y\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* One whole GET; the connection afterwards, idle. */
static int
one_get(void)
{
    int fd;
    ask("GET");
    fd = server_accept(0);
    CHECK_STR(str_c(server_read(fd, "\r\n\r\n")), GET);
    server_write(fd, OK);
    check_seen("head 200|body ok|end|");
    return fd;
}

TEST(a_request_and_its_answer_and_another_on_the_same_connection)
{
    int fd;
    begin(1);
    fd = one_get();
    ask("GET");
    CHECK(request_is_sent(request)); /* at once */
    CHECK_STR(str_c(server_read(fd, "\r\n\r\n")), GET);
    server_write(fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    check_seen("head 204|end|");
    server_is_closed(fd);
    server_is_left_alone(0);
    end();
}

TEST(the_body_goes_with_its_length)
{
    int fd;
    begin(1);
    buf_adds(&body.kept, STR("hello"));
    body.total = 5;
    ask("POST");
    fd = server_accept(0);
    CHECK_STR(str_c(server_read(fd, "hello")),
              "POST /p?q HTTP/1.1\r\nHost: example.com\r\nX: y\r\nContent-Length: 5\r\n\r\nhello");
    close(fd);
    check_seen("lost connection closed before response|");
    body.total = 0;
    body.kept.len = 0;
    ask("POST");
    fd = server_accept(0);
    CHECK(str_ends(str_c(server_read(fd, "\r\n\r\n")), STR("X: y\r\nContent-Length: 0\r\n\r\n")));
    close(fd);
    end();
}

static void
give(const char *piece, bool last)
{
    body.total += strlen(piece);
    body.complete = last;
    buf_adds(&body.kept, str_c(piece));
    request_send(request, str_c(piece));
}

TEST(a_body_of_unknown_length_goes_in_chunks)
{
    int fd;
    begin(1);
    body.complete = false;
    body.length = -1;
    buf_adds(&body.kept, STR("one"));
    body.total = 3;
    ask("PUT");
    CHECK(request_full(request)); /* nothing is sent yet */
    give("two", false);
    fd = server_accept(0);
    CHECK(
        str_ends(str_c(server_read(fd, "6\r\nonetwo\r\n")), STR("Transfer-Encoding: chunked\r\n\r\n6\r\nonetwo\r\n")));
    CHECK_INT(seen.ready, 1);
    CHECK(!request_full(request));
    give("three", false);
    give("", true);
    CHECK_STR(str_c(server_read(fd, "0\r\n\r\n")), "5\r\nthree\r\n0\r\n\r\n");
    server_write(fd, OK);
    check_seen("head 200|body ok|end|");
    close(fd);
    end();
}

TEST(an_origin_that_does_not_read_makes_the_sender_wait)
{
    enum { PIECES = 100 };
    static char some[1 << 20];
    size_t got = 0, total = PIECES * sizeof big;
    unsigned sent = 0, waits = 0;
    int fd;
    begin(1);
    body.complete = false;
    body.length = (int64_t)total;
    ask("PUT");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    TURN_UNTIL(loop, seen.ready);
    body.overflow = true;
    while (sent < PIECES) {
        while (sent < PIECES && !request_full(request)) {
            body.total += sizeof big;
            body.complete = ++sent == PIECES;
            request_send(request, str_of(big, sizeof big));
        }
        if (sent == PIECES)
            break;
        waits++;
        seen.ready = 0;
        TURN_UNTIL(loop, ({
                       ssize_t n = read(fd, some, sizeof some);
                       got += n > 0 ? (size_t)n : 0;
                       seen.ready > 0;
                   }));
    }
    CHECK(waits > 0);
    TURN_UNTIL(loop, ({
                   ssize_t n = read(fd, some, sizeof some);
                   got += n > 0 ? (size_t)n : 0;
                   got == total;
               }));
    server_write(fd, OK);
    check_seen("head 200|body ok|end|");
    close(fd);
    end();
}

TEST(answers_of_all_framings)
{
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(
        fd,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2\r\nab\r\n");
    TURN_UNTIL(loop, seen.body == 2);
    server_write(fd, "1\r\nc\r\n0\r\n\r\n");
    check_seen("head 200|body ab|body c|end|");
    ask("HEAD");
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    check_seen("head 200|end|");
    ask("HEAD");
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    check_seen("head 200|end|");
    close(fd);
    ask("GET");
    fd = server_accept(0); /* the body might have come all the same */
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 200 OK\r\n\r\nuntil");
    TURN_UNTIL(loop, seen.body > 5);
    server_write(fd, " close");
    close(fd);
    check_seen("head 200|body until|body  close|end|");
    end();
}

TEST(answers_byte_by_byte)
{
    static const char text[] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    for (const char *c = text; *c != '\0'; c++) {
        CHECK_INT(write(fd, c, 1), 1);
        loop_poll(loop);
        loop_poll(loop);
    }
    check_seen("head 200|body a|body b|end|");
    close(fd);
    end();
}

TEST(answers_that_are_none)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"", "lost connection closed before response|"},
        {"HTTP/1.1 200 O", "lost connection closed before response|"},
        {"GARBAGE\r\n\r\n", "lost invalid response: "},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         "lost invalid response: unexpected 101|"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "lost connection closed before response|"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "head 200|body abc|cut "},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
         "head 200|body abc|cut invalid response: "},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "head 200|body abc|cut "},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        int fd;
        begin(1);
        ask("GET");
        fd = server_accept(0);
        server_read(fd, "\r\n\r\n");
        if (rows[i].in[0] != '\0')
            server_write(fd, rows[i].in);
        close(fd);
        TURN_UNTIL(loop, request == NULL);
        if (!str_starts(str_c(seen.text), str_c(rows[i].want)))
            fail_msg("row %zu: %s", i, seen.text);
        server_is_left_alone(0); /* it was a fresh connection: no second try */
        end();
    }
}

TEST(a_reset_is_a_loss)
{
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_reset(fd);
    TURN_UNTIL(loop, request == NULL);
    CHECK(str_starts(str_c(seen.text), STR("lost ")));
    end();
}

/* idle connections */

TEST(an_idle_connection_that_the_origin_closed_is_not_used)
{
    begin(1);
    close(one_get());
    for (int i = 0; i < 5; i++)
        loop_poll(loop);
    close(one_get()); /* a new one */
    close(one_get()); /* the loop has not seen the end yet */
    CHECK_INT(seen.fails, 0);
    end();
}

TEST(an_idle_connection_that_breaks_under_a_get_is_replaced_once)
{
    int fd, second;
    begin(1);
    fd = one_get();
    ask("GET");
    server_read(fd, "\r\n\r\n");
    close(fd);
    second = server_accept(0);
    CHECK_STR(str_c(server_read(second, "\r\n\r\n")), GET);
    close(second);
    check_seen("lost connection closed before response|");
    server_is_left_alone(0);
    end();
}

TEST(a_post_is_never_sent_twice)
{
    int fd;
    begin(1);
    fd = one_get();
    ask("POST");
    server_read(fd, "\r\n\r\n");
    close(fd);
    check_seen("lost connection closed before response|");
    server_is_left_alone(0);
    fd = one_get();
    close(fd); /* but where the end is seen before it is sent, it goes elsewhere */
    ask("POST");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(fd, OK);
    check_seen("head 200|body ok|end|");
    close(fd);
    end();
}

TEST(an_answer_that_began_is_not_asked_for_again)
{
    int fd;
    begin(1);
    fd = one_get();
    ask("GET");
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 2");
    close(fd);
    check_seen("lost connection closed before response|");
    server_is_left_alone(0);
    end();
}

static int order[2]; /* a pipe: who writes to it first is served first */

static void
on_order(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    ask("GET");
}

/* Bytes that nobody asked for must never be the next request's answer, not even when both come in one turn. */
TEST(what_an_idle_connection_says_is_nobodys_answer)
{
    for (int how = 0; how < 3; how++) {
        int fd, second;
        begin(1);
        if (how == 2) { /* reading was paused when its answer ended */
            ask("GET");
            fd = server_accept(0);
            server_read(fd, "\r\n\r\n");
            seen.pause = true;
            server_write(fd, OK);
            check_seen("head 200|body ok|end|");
        } else {
            fd = one_get();
        }
        if (how == 0) {
            loop_poll(loop); /* so that epoll has forgotten what came before */
            loop_poll(loop);
            CHECK_INT(pipe(order), 0);
            event_base_once(loop_base(loop), order[0], EV_READ, on_order, NULL, NULL);
            CHECK_INT(write(order[1], "x", 1), 1);
        }
        server_write(fd, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 3\r\n\r\nbad");
        if (how > 0) {
            server_is_closed(fd);
            ask("GET");
        } else {
            TURN_UNTIL(loop, request != NULL);
            close(order[0]);
            close(order[1]);
        }
        second = server_accept(0);
        server_read(second, "\r\n\r\n");
        server_write(second, OK);
        check_seen("head 200|body ok|end|");
        close(second);
        if (how == 0)
            close(fd);
        end();
    }
}

TEST(bytes_behind_an_answer_end_the_connection)
{
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(fd, OK "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
    check_seen("head 200|body ok|end|");
    server_is_closed(fd);
    end();
}

TEST(an_answer_before_the_whole_request_ends_the_connection)
{
    int fd;
    begin(1);
    body.complete = false;
    body.length = 10;
    ask("POST");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(fd, OK);
    check_seen("head 200|body ok|end|");
    server_is_closed(fd);
    end();
}

/* several targets */

TEST(targets_are_tried_in_order_and_what_failed_comes_last)
{
    int fd;
    begin(3);
    server_close(0);
    ask("GET");
    fd = server_accept(1);
    server_read(fd, "\r\n\r\n");
    CHECK_STR(str_c(request_target(request)->text), spec.targets[1].text);
    server_write(fd, "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
    check_seen("head 204|end|");
    close(fd);
    server_close(1);
    ask("GET");
    fd = server_accept(2);
    server_read(fd, "\r\n\r\n");
    close(fd);
    check_seen("lost connection closed before response|"); /* it was sent: no further target */
    server_close(2);
    ask("GET");
    TURN_UNTIL(loop, request == NULL);
    CHECK(str_starts(str_c(seen.text), STR("unreachable Unable to connect to any targets. Tried: 127.0.0.1:")));
    end();
}

TEST(a_target_that_failed_is_tried_again_later)
{
    int fd;
    begin(2);
    server_close(0);
    ask("GET");
    fd = server_accept(1);
    request_cancel(request);
    close(fd);
    for (int back = 0; back < 2; back++) {
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons((uint16_t)server_port[0])};
        int on = 1;
        if (!back) {
            server_fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            setsockopt(server_fd[0], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            CHECK_INT(bind(server_fd[0], (void *)&in, sizeof in), 0);
            CHECK_INT(listen(server_fd[0], 10), 0);
        } else {
            clock_fake_advance(6000);
        }
        ask("GET");
        fd = server_accept(back ? 0 : 1);
        request_cancel(request);
        request = NULL;
        close(fd);
    }
    end();
}

/* time */

TEST(an_origin_that_never_answers)
{
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    loop_advance(loop, 59000);
    CHECK(request != NULL);
    loop_advance(loop, 2000);
    check_seen("timeout no response in time|");
    server_is_closed(fd);
    end();
}

TEST(an_answer_that_stalls_has_the_longer_time)
{
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na");
    TURN_UNTIL(loop, seen.body == 1);
    loop_advance(loop, 250000);
    server_write(fd, "b");
    TURN_UNTIL(loop, seen.body == 2);
    loop_advance(loop, 250000);
    CHECK(request != NULL);
    loop_advance(loop, 60000);
    check_seen("head 200|body a|body b|timeout no response in time|");
    close(fd);
    end();
}

/* descriptors */

static void
set_descriptor_limit(rlim_t n)
{
    struct rlimit r;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &r), 0);
    r.rlim_cur = n > 0 ? n : r.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &r), 0);
}

TEST(without_a_descriptor_a_request_waits_for_one)
{
    int fd, lowest;
    begin(1);
    lowest = dup(0);
    close(lowest);
    set_descriptor_limit((rlim_t)lowest);
    ask("GET");
    loop_advance(loop, 3000);
    CHECK(request != NULL);
    set_descriptor_limit(0);
    loop_advance(loop, 200);
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
    check_seen("head 204|end|");
    close(fd);
    end();
}

TEST(but_not_for_ever)
{
    int lowest;
    begin(1);
    lowest = dup(0);
    close(lowest);
    set_descriptor_limit((rlim_t)lowest);
    ask("GET");
    loop_advance(loop, 9900);
    CHECK(request != NULL);
    loop_advance(loop, 300);
    CHECK(request == NULL);
    CHECK(str_starts(str_c(seen.text), STR("unreachable ")));
    set_descriptor_limit(0);
    end();
}

TEST(idle_connections_give_theirs_to_who_needs_one)
{
    int fd, lowest;
    begin(2);
    fd = one_get();
    lowest = dup(0);
    close(lowest);
    spec.targets++;
    spec.n_targets--;
    set_descriptor_limit((rlim_t)lowest);
    ask("GET");
    loop_advance(loop, 200);
    set_descriptor_limit(0);
    server_is_closed(fd);
    fd = server_accept(1);
    close(fd);
    end();
}

/* giving up, pausing */

TEST(cancelling_at_any_time_calls_nobody_back)
{
    for (int when = 0; when < 5; when++) {
        int fd = -1;
        begin(1);
        ask("GET");
        if (when > 0)
            fd = server_accept(0);
        if (when > 1)
            server_read(fd, "\r\n\r\n");
        if (when > 2) {
            seen.cancel = true; /* in on_head, or on_body */
            server_write(fd, when == 3 ? OK : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
            TURN_UNTIL(loop, request == NULL);
            CHECK_STR(str_c(seen.text), "head 200|");
        } else {
            request_cancel(request);
            request = NULL;
        }
        for (int i = 0; i < 5; i++)
            loop_poll(loop);
        CHECK_INT(seen.ends + seen.fails, 0);
        if (fd >= 0)
            server_is_closed(fd);
        end();
    }
}

/* A slow client's pause does not lose what the origin said before it closed. */
TEST(a_paused_answer_is_whole_though_the_origin_closes)
{
    enum { LENGTH = 30000 }; /* fits between the two: the end comes behind it at once */
    int fd;
    begin(1);
    ask("GET");
    fd = server_accept(0);
    server_read(fd, "\r\n\r\n");
    server_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n");
    seen.pause = true;
    TURN_UNTIL(loop, seen.heads);
    CHECK_INT(write(fd, big, LENGTH), LENGTH);
    close(fd);
    for (int i = 0; i < 20; i++)
        loop_poll(loop);
    CHECK_INT(seen.fails, 0);
    CHECK_INT(seen.body, 0);
    request_pause(request, false);
    TURN_UNTIL(loop, request == NULL);
    CHECK_INT(seen.ends, 1);
    CHECK_INT(seen.body, LENGTH);
    end();
}

/* the built-in target */

static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    loop_stop(loop);
}

/* What the loop computes while it runs for that long. The timer is not slowed down by the faked clock: the loop sleeps
 * until it rings, but if there is always something to do it turns. */
static uint64_t
cpu_us_of_a_tenth_of_a_second(void)
{
    struct timespec before, after;
    struct timeval tv = {0, 100000};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    event_base_once(loop_base(loop), -1, EV_TIMEOUT, on_alarm, NULL, &tv);
    loop_run(loop);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    return (uint64_t)((after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000);
}

TEST(the_test_target_answers)
{
    begin(0);
    spec.path = STR("/response?channel=a");
    ask("GET");
    check_seen("head 200|body nothing for now\n|end|");
    spec.path = STR("/none");
    ask("HEAD");
    check_seen("head 404|end|");
    end();
}

TEST(the_test_target_waits_for_the_body_without_turning_the_loop)
{
    begin(0);
    spec.path = STR("/");
    body.complete = false;
    body.length = 10;
    ask("POST");
    TURN_UNTIL(loop, seen.ready);
    CHECK(cpu_us_of_a_tenth_of_a_second() < 50000);
    CHECK(request != NULL);
    CHECK_INT(seen.ready, 1);
    give("12345", false);
    loop_poll(loop);
    CHECK(request != NULL);
    give("67890", false);
    give("", true);
    check_seen("head 200|body Hello from the pushp|end|");
    CHECK_INT(seen.ready, 1);
    end();
}

TEST(the_test_target_takes_no_endless_body)
{
    begin(0);
    spec.path = STR("/");
    body.complete = false;
    body.length = -1;
    ask("POST");
    TURN_UNTIL(loop, seen.ready);
    body.total = sizeof big;
    body.overflow = true;
    request_send(request, str_of(big, sizeof big));
    check_seen("head 400|body request too large\n|end|");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer_and_another_on_the_same_connection),
        cmocka_unit_test(the_body_goes_with_its_length),
        cmocka_unit_test(a_body_of_unknown_length_goes_in_chunks),
        cmocka_unit_test(an_origin_that_does_not_read_makes_the_sender_wait),
        cmocka_unit_test(answers_of_all_framings),
        cmocka_unit_test(answers_byte_by_byte),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(a_reset_is_a_loss),
        cmocka_unit_test(an_idle_connection_that_the_origin_closed_is_not_used),
        cmocka_unit_test(an_idle_connection_that_breaks_under_a_get_is_replaced_once),
        cmocka_unit_test(a_post_is_never_sent_twice),
        cmocka_unit_test(an_answer_that_began_is_not_asked_for_again),
        cmocka_unit_test(what_an_idle_connection_says_is_nobodys_answer),
        cmocka_unit_test(bytes_behind_an_answer_end_the_connection),
        cmocka_unit_test(an_answer_before_the_whole_request_ends_the_connection),
        cmocka_unit_test(targets_are_tried_in_order_and_what_failed_comes_last),
        cmocka_unit_test(a_target_that_failed_is_tried_again_later),
        cmocka_unit_test(an_origin_that_never_answers),
        cmocka_unit_test(an_answer_that_stalls_has_the_longer_time),
        cmocka_unit_test(without_a_descriptor_a_request_waits_for_one),
        cmocka_unit_test(but_not_for_ever),
        cmocka_unit_test(idle_connections_give_theirs_to_who_needs_one),
        cmocka_unit_test(cancelling_at_any_time_calls_nobody_back),
        cmocka_unit_test(a_paused_answer_is_whole_though_the_origin_closes),
        cmocka_unit_test(the_test_target_answers),
        cmocka_unit_test(the_test_target_waits_for_the_body_without_turning_the_loop),
        cmocka_unit_test(the_test_target_takes_no_endless_body),
    };
    signal(SIGPIPE, SIG_IGN);
    memset(big, 'x', sizeof big);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
