#include "io/turns.h"

#include "base/clock.h"
#include "base/log.h"
#include "client/h1server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 4, OUT_MAX = 4000000 };

static struct loop *loop;
static struct h1server *server;
static int client[CLIENTS]; /* the clients' ends; -1: closed */
static char out[OUT_MAX];   /* what a client got, NUL behind it */
static char big[OUT_MAX];

/* The scripted user: does what the request's path says. */
static struct user {
    struct xchg *x; /* NULL: not joined */
    char events[2000];
    char body[200000]; /* of the request */
    size_t n_body;
    unsigned requests, drained, gone, ends, closed;
    bool more_input;
} u;

static void
note(const char *text, struct str more)
{
    size_t n = strlen(u.events);
    snprintf(u.events + n, sizeof u.events - n, "%s%.*s ", text, STR_ARG(more));
}

static void
answer(struct xchg *x, const char *body)
{
    u.x = NULL;
    xchg_respond_text(x, 200, str_c(body));
}

static void
on_body(struct xchg *x, struct str piece)
{
    CHECK(x == u.x);
    CHECK(u.n_body + piece.len <= sizeof u.body);
    memcpy(u.body + u.n_body, piece.ptr, piece.len);
    u.n_body += piece.len;
}

static void
on_body_end(struct xchg *x)
{
    CHECK(x == u.x);
    CHECK(x->body_complete);
    u.ends++;
    u.more_input = xchg_more_input(x);
    note("end", STR(""));
    if (str_eq(str_c(x->user), STR("echo"))) {
        u.x = NULL;
        xchg_respond_text(x, 200, str_of(u.body, u.n_body));
    } else if (str_eq(str_c(x->user), STR("now"))) {
        answer(x, "now");
    }
}

static void
on_drained(struct xchg *x)
{
    CHECK(x == u.x);
    CHECK_INT(xchg_queued(x), 0);
    u.drained++;
}

static void
on_gone(struct xchg *x, const char *why)
{
    CHECK(x == u.x);
    CHECK(why != NULL);
    u.gone++;
    u.x = NULL;
    note("gone", STR(""));
}

static void
on_shutdown(struct xchg *x)
{
    CHECK(x == u.x);
    note("shutdown", STR(""));
    if (x->started) {
        u.x = NULL;
        xchg_end(x);
    } else if (str_eq(str_c(x->user), STR("park"))) {
        answer(x, "timeout");
    }
}

static const struct xchg_user_ops user_ops = {on_body, on_body_end, on_drained, on_gone, on_shutdown};

static void
on_request(void *arg, struct xchg *x)
{
    struct http1_head *head = xchg_head(x);
    static const char *const names[] = {"wait", "echo", "now", "park", "stream"};
    struct str path = str_from(head->target, 1);
    CHECK(arg == &u);
    CHECK(u.x == NULL);
    u.requests++;
    note("", head->target);
    u.n_body = 0;
    if (str_eq(path, STR("early"))) { /* an answer that does not wait for the body */
        xchg_respond_text(x, 200, STR("early"));
        return;
    }
    if (x->body_complete && (str_eq(path, STR("now")) || str_eq(path, STR("")))) {
        xchg_respond_text(x, 200, STR("now"));
        return;
    }
    u.x = x;
    xchg_join(x, &user_ops, (void *)(uintptr_t) "wait");
    for (size_t i = 0; i < countof(names); i++)
        if (str_eq(path, str_c(names[i])))
            x->user = (void *)(uintptr_t)names[i];
    if (str_eq(path, STR("park")))
        xchg_park(x);
    if (str_eq(path, STR("stream"))) {
        xchg_start(x, 200, STR("OK"), NULL, XCHG_LENGTH_UNKNOWN);
        xchg_send_str(x, STR("open"));
        xchg_park(x);
    }
}

static void
bad_text(void *arg, int status, const char *why, bool in_body, struct buf *text)
{
    CHECK(arg == &u);
    (void)status;
    buf_addf(text, "%s%s", why, in_body ? " (body)" : "");
}

static void
on_closed(void *arg)
{
    CHECK(arg == &u);
    u.closed++;
}

static void
accept_client(int i)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client[i] = fds[1];
    h1server_accept(server, fds[0], NULL);
}

static void
begin(void)
{
    static const struct h1server_ops ops = {on_request, bad_text, on_closed};
    struct h1server_settings settings = {.max_head = 1000, .idle_timeout = 60, .activity_timeout = 1800};
    log_set_level(LOG_WARN);
    memset(&u, 0, sizeof u);
    clock_fake(1000000);
    loop = loop_new();
    server = h1server_new(loop, &settings, &ops, &u);
    for (int i = 0; i < CLIENTS; i++)
        client[i] = -1;
    accept_client(0);
}

static void
end(void)
{
    h1server_free(server);
    CHECK(u.x == NULL); /* whoever was joined has been told */
    loop_poll(loop);
    loop_free(loop);
    for (int i = 0; i < CLIENTS; i++)
        if (client[i] >= 0)
            close(client[i]);
}

static void
put(int i, const char *text)
{
    CHECK_INT(write(client[i], text, strlen(text)), strlen(text));
}

static void
turns(int n)
{
    while (n-- > 0)
        loop_poll(loop);
}

/* All that client I gets until nothing more comes. *CLOSED: and then the end. */
static const char *
get(int i, bool *closed)
{
    size_t n = 0;
    int quiet = 0;
    bool over = false;
    turns(3);
    while (quiet < 4 && !over) {
        ssize_t got = read(client[i], out + n, sizeof out - n - 1);
        if (got > 0)
            n += (size_t)got;
        over = got == 0 || (got < 0 && errno != EAGAIN);
        quiet = got > 0 ? 0 : quiet + 1;
        loop_poll(loop);
    }
    out[n] = '\0';
    if (closed != NULL)
        *closed = over;
    return out;
}

static void
check_get(int i, const char *want, bool want_closed)
{
    bool closed;
    CHECK_STR(str_c(get(i, &closed)), want);
    CHECK_INT(closed, want_closed);
}

static bool
is_closed(int i)
{
    bool closed;
    CHECK_STR(str_c(get(i, &closed)), "");
    return closed;
}

#define NOW "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nnow"
#define NOW_CLOSE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 3\r\n\r\nnow"
#define H "Host: h\r\n"

/* keep-alive */

TEST(http_1_1_is_kept_open_unless_close_is_said)
{
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "\r\n");
    check_get(0, NOW, false);
    put(0, "GET /now HTTP/1.1\r\n" H "Connection: x, CLOSE\r\n\r\n");
    check_get(0, NOW_CLOSE, true);
    CHECK_INT(u.requests, 2);
    end();
}

TEST(http_1_0_is_closed_unless_keep_alive_is_said)
{
    begin();
    put(0, "GET /now HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    check_get(0,
              "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nnow",
              false);
    put(0, "GET /now HTTP/1.0\r\n\r\n");
    check_get(0, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nnow", true);
    end();
}

TEST(an_answer_of_unknown_length)
{
    begin();
    put(0, "GET /stream HTTP/1.1\r\n" H "\r\n");
    check_get(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nopen\r\n", false);
    xchg_send_str(u.x, STR("")); /* an empty chunk would be the last */
    xchg_send_str(u.x, STR("0123456789abcdef"));
    xchg_end(u.x);
    u.x = NULL;
    check_get(0, "10\r\n0123456789abcdef\r\n0\r\n\r\n", false);
    put(0, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    check_get(0, "HTTP/1.0 200 OK\r\n\r\nopen", false);
    xchg_end(u.x);
    u.x = NULL;
    CHECK(is_closed(0));
    end();
}

TEST(no_body_where_none_may_be)
{
    begin();
    put(0, "HEAD /now HTTP/1.1\r\n" H "\r\n");
    check_get(0, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n", false);
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_respond(u.x, 304, STR(""), NULL, STR("never sent"));
    u.x = NULL;
    check_get(0, "HTTP/1.1 304 \r\n\r\n", false);
    end();
}

TEST(a_shared_piece_goes_out_in_its_own_frame)
{
    struct xchg_piece pieces[30];
    struct shared_bytes *b = shared_bytes_new(STR("5\r\nhello\r\n"));
    for (size_t i = 0; i < countof(pieces); i++)
        pieces[i] = i % 3 == 2 ? (struct xchg_piece){STR("xy"), {NULL, 0}, NULL}
                               : (struct xchg_piece){str_of(b->data + 3, 5), str_of(b->data, b->len), &b->shared};
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_start(u.x, 200, STR("OK"), NULL, XCHG_LENGTH_UNKNOWN);
    xchg_send(u.x, pieces, countof(pieces));
    xchg_end(u.x);
    u.x = NULL;
    get(0, NULL);
    CHECK(str_starts(
        str_c(out),
        STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhello\r\n2\r\nxy\r\n")));
    CHECK_INT(strlen(out), 47 + 10 * (10 + 10 + 7) + 5);
    CHECK_INT(b->shared.refs, 1);
    shared_unref(&b->shared);
    put(0, "GET /wait HTTP/1.0\r\n\r\n");
    turns(2);
    xchg_start(u.x, 200, STR("OK"), NULL, XCHG_LENGTH_UNKNOWN);
    xchg_send(u.x, &(struct xchg_piece){STR("hello"), STR("5\r\nhello\r\n"), NULL}, 1);
    xchg_end(u.x);
    u.x = NULL;
    check_get(0, "HTTP/1.0 200 OK\r\n\r\nhello", true);
    end();
}

/* the head waits for company: only one connection at a time may have it */
TEST(heads_of_several_connections_do_not_mix)
{
    struct xchg *first;
    begin();
    accept_client(1);
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    first = u.x;
    u.x = NULL;
    put(1, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_start(first, 201, STR("A"), NULL, 1);
    xchg_start(u.x, 202, STR("B"), NULL, 1);
    xchg_send_str(first, STR("a"));
    xchg_send_str(u.x, STR("b"));
    xchg_end(first);
    xchg_end(u.x);
    u.x = NULL;
    check_get(0, "HTTP/1.1 201 A\r\nContent-Length: 1\r\n\r\na", false);
    check_get(1, "HTTP/1.1 202 B\r\nContent-Length: 1\r\n\r\nb", false);
    end();
}

TEST(a_head_alone_goes_out_in_the_same_turn)
{
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_start(u.x, 200, STR("OK"), NULL, 5);
    check_get(0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false);
    end();
}

/* pipelining */

TEST(pipelined_requests_are_answered_in_order)
{
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "\r\n\r\nPOST /echo HTTP/1.1\r\n" H
           "Content-Length: 2\r\n\r\nhiGET /wait HTTP/1.1\r\n" H "\r\nGET /now HTTP/1.1\r\n" H "\r\n");
    check_get(0, NOW "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", false);
    CHECK_STR(str_c(u.events), "/now /echo end /wait end ");
    CHECK(u.more_input);
    answer(u.x, "now");
    check_get(0, NOW NOW, false);
    end();
}

TEST(many_pipelined_requests_in_one_read)
{
    enum { N = 500 };
    static const char one[] = "GET / HTTP/1.1\r\n" H "\r\n";
    char *all = mem_alloc(N * sizeof one);
    begin();
    all[0] = '\0';
    for (int i = 0; i < N; i++)
        strcat(all, one);
    put(0, all);
    TURN_UNTIL(loop, u.requests == N);
    CHECK_INT(strlen(get(0, NULL)), N * strlen(NOW));
    mem_free(all);
    end();
}

TEST(what_is_pipelined_behind_a_held_request_is_bounded)
{
    size_t sent = 0;
    begin();
    put(0, "GET /park HTTP/1.1\r\n" H "\r\n");
    turns(2);
    memset(big, 'x', sizeof big);
    for (int i = 0; i < 200; i++) {
        ssize_t n = write(client[0], big, 65536);
        sent += n > 0 ? (size_t)n : 0;
        loop_poll(loop);
    }
    CHECK(sent < 1000000); /* and then the sender waits */
    CHECK_INT(u.gone, 0);
    answer(u.x, "now");
    get(0, NULL);
    CHECK(str_starts(str_c(out), STR(NOW "HTTP/1.1 4"))); /* 400 or 414: it was no request */
    end();
}

TEST(nothing_is_read_behind_a_request_that_said_close)
{
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /now HTTP/1.1\r\n" H "\r\n");
    check_get(0, NOW_CLOSE, true);
    CHECK_INT(u.requests, 1);
    end();
}

/* reading */

TEST(byte_by_byte)
{
    static const char text[] =
        "\r\nPOST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n"
        "T: x\r\n\r\nGET /now HTTP/1.1\r\n" H "\r\n";
    begin();
    for (size_t i = 0; text[i] != '\0'; i++) {
        CHECK_INT(write(client[0], text + i, 1), 1);
        turns(2);
    }
    check_get(0, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nabcde" NOW, false);
    CHECK_STR(str_c(u.events), "/echo end /now ");
    end();
}

TEST(what_is_no_request_is_refused)
{
    static const struct {
        const char *in;
        const char *status;
    } rows[] = {
        {"\x16\x03\x01\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/3.0\r\n" H "\r\n", "505 "},
        {"GET / HTTP/1.1\r\n" H "X: ", NULL}, /* too long, below */
        {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char want[100];
        bool closed;
        begin();
        put(0, rows[i].in);
        if (rows[i].status == NULL) {
            memset(big, 'x', 2000);
            CHECK_INT(write(client[0], big, 2000), 2000);
        }
        snprintf(want, sizeof want, "HTTP/1.1 %s", rows[i].status != NULL ? rows[i].status : "431 ");
        get(0, &closed);
        CHECK(str_starts(str_c(out), str_c(want)));
        CHECK(str_find(str_c(out), STR("\r\nConnection: close\r\n")) > 0);
        CHECK(closed);
        CHECK_INT(u.requests, 0);
        end();
    }
}

/* The answer before it has been given: that is no reason to be silent now. */
TEST(a_second_request_that_is_none_is_refused_too)
{
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "\r\n");
    check_get(0, NOW, false);
    put(0, "GET / HTTP/1.1\r\n\r\n");
    get(0, NULL);
    CHECK(str_starts(str_c(out), STR("HTTP/1.1 400 Bad Request\r\n")));
    end();
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "\r\nNONSENSE\r\n\r\n");
    get(0, NULL);
    CHECK(str_starts(str_c(out), STR(NOW "HTTP/1.1 400 Bad Request\r\n")));
    end();
}

TEST(a_body_that_breaks_off_its_rules)
{
    bool closed;
    begin();
    put(0, "POST /wait HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n");
    get(0, &closed);
    CHECK(str_starts(str_c(out), STR("HTTP/1.1 400 Bad Request\r\n")));
    CHECK(str_find(str_c(out), STR("(body)")) > 0);
    CHECK(closed);
    CHECK_STR(str_c(u.events), "/wait gone ");
    end();
}

TEST(continue_is_said_when_the_body_has_not_come)
{
    begin();
    put(0, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    check_get(0, "HTTP/1.1 100 Continue\r\n\r\n", false);
    put(0, "hi");
    check_get(0, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", false);
    put(0, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"); /* it has */
    check_get(0, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", false);
    put(0, "POST /early HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"); /* nobody wants it */
    check_get(0, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly",
              true);
    end();
}

TEST(an_early_answer_ends_the_connection_and_the_body_is_read_over)
{
    begin();
    put(0, "POST /early HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\nxxx");
    get(0, NULL);
    CHECK(str_find(str_c(out), STR("\r\nConnection: close\r\n")) > 0);
    put(0, "yyy GET /now HTTP/1.1\r\n" H "\r\n");
    turns(3);
    CHECK_INT(u.requests, 1);
    CHECK_INT(u.n_body, 0);
    close(client[0]);
    client[0] = -1;
    TURN_UNTIL(loop, h1server_count(server) == 0);
    end();
}

TEST(a_paused_body_waits)
{
    begin();
    put(0, "POST /wait HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nabc");
    turns(3);
    CHECK_INT(u.n_body, 3);
    xchg_pause(u.x, true);
    put(0, "def");
    turns(5);
    CHECK_INT(u.n_body, 3);
    xchg_pause(u.x, false);
    turns(3);
    CHECK_STR(str_of(u.body, u.n_body), "abcdef");
    CHECK_INT(u.ends, 1);
    end();
}

/* A request may be parked, or a stream begun, before its body is there: the rest of it is not the next request. */
TEST(a_body_goes_on_behind_a_parked_request)
{
    static const char *const paths[] = {"park", "stream"};
    for (size_t i = 0; i < countof(paths); i++) {
        char head[100];
        bool closed;
        begin();
        snprintf(head, sizeof head, "POST /%s HTTP/1.1\r\n" H "Content-Length: 60\r\n\r\n", paths[i]);
        put(0, head);
        turns(3);
        CHECK(u.x != NULL);
        put(0, "GET /now HTTP/1.1\r\n" H "\r\n"); /* 30 bytes of the body */
        turns(3);
        put(0, "GET /now HTTP/1.1\r\n" H "\r\n");
        turns(3);
        CHECK_INT(u.requests, 1);
        CHECK_INT(u.ends, 1);
        CHECK(u.x != NULL);
        get(0, NULL);
        if (i == 0)
            answer(u.x, "now");
        else
            xchg_end(u.x);
        u.x = NULL;
        CHECK_STR(str_c(get(0, &closed)), i == 0 ? NOW : "0\r\n\r\n");
        CHECK_INT(closed, i == 1); /* that one had to say close */
        end();
    }
}

/* the client leaves */

TEST(the_end_of_input_while_waiting_means_gone)
{
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    shutdown(client[0], SHUT_WR);
    turns(2);
    CHECK_STR(str_c(u.events), "/wait end gone ");
    CHECK_INT(h1server_count(server), 0);
    CHECK_INT(u.closed, 1);
    end();
}

TEST(but_not_to_who_said_close_and_has_no_answer_yet)
{
    for (int started = 0; started < 2; started++) {
        begin();
        put(0, "GET /wait HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
        turns(2);
        if (started)
            xchg_start(u.x, 200, STR("OK"), NULL, 3);
        shutdown(client[0], SHUT_WR);
        turns(3);
        CHECK_INT(u.gone, started);
        if (!started) {
            answer(u.x, "now");
            check_get(0, NOW_CLOSE, true);
        }
        end();
    }
}

TEST(the_end_of_input_behind_a_whole_request_in_one_read)
{
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    shutdown(client[0], SHUT_WR);
    check_get(0, NOW_CLOSE, true);
    CHECK_INT(h1server_count(server), 0);
    end();
}

TEST(for_a_parked_request_the_end_of_input_means_gone)
{
    begin();
    put(0, "GET /park HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /now HTTP/1.1\r\n" H "\r\n");
    turns(2);
    CHECK_INT(u.gone, 0);
    shutdown(client[0], SHUT_WR);
    turns(2);
    CHECK_INT(u.gone, 1);
    end();
}

TEST(who_leaves_within_a_head_or_body_is_closed_without_a_word)
{
    begin();
    put(0, "GET /wait HTT");
    turns(2);
    shutdown(client[0], SHUT_WR);
    CHECK(is_closed(0));
    accept_client(1);
    put(1, "POST /wait HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    turns(2);
    shutdown(client[1], SHUT_WR);
    CHECK(is_closed(1));
    CHECK_INT(u.gone, 1);
    CHECK_INT(h1server_count(server), 0);
    end();
}

TEST(pipelined_requests_are_served_though_the_client_says_no_more)
{
    begin();
    put(0, "GET /now HTTP/1.1\r\n" H "\r\nGET /now HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    shutdown(client[0], SHUT_WR);
    check_get(0, NOW NOW_CLOSE, true);
    end();
}

/* slow readers */

TEST(a_slow_reader_is_waited_for)
{
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_start(u.x, 200, STR("OK"), NULL, OUT_MAX);
    xchg_send_str(u.x, str_of(big, OUT_MAX / 2));
    CHECK(xchg_queued(u.x) > 0);
    turns(3);
    CHECK_INT(u.drained, 0);
    CHECK_INT(strlen(get(0, NULL)), OUT_MAX / 2 + 44);
    CHECK_INT(u.drained, 1);
    xchg_send_str(u.x, str_of(big, OUT_MAX / 2));
    xchg_end(u.x); /* the queue goes out all the same, and the next request is taken meanwhile */
    u.x = NULL;
    put(0, "GET /now HTTP/1.1\r\n" H "\r\n");
    CHECK_INT(strlen(get(0, NULL)), OUT_MAX / 2 + strlen(NOW));
    end();
}

TEST(the_last_answer_reaches_a_slow_reader_before_the_end)
{
    bool closed;
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    turns(2);
    xchg_respond(u.x, 200, STR("OK"), NULL, str_of(big, OUT_MAX / 2));
    u.x = NULL;
    turns(3);
    get(0, &closed);
    CHECK_INT(strlen(out), OUT_MAX / 2 + 63);
    CHECK(closed);
    end();
}

TEST(abort_loses_what_is_queued_and_tells_nobody)
{
    begin();
    put(0, "GET /stream HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_send_str(u.x, str_of(big, OUT_MAX / 2));
    xchg_abort(u.x);
    u.x = NULL;
    CHECK_INT(h1server_count(server), 0);
    CHECK_INT(u.closed, 1);
    turns(2);
    CHECK_INT(u.gone, 0);
    end();
}

/* time */

TEST(an_idle_connection_is_closed_after_its_time)
{
    begin();
    loop_advance(loop, 59000);
    CHECK(!is_closed(0));
    put(0, "GET /now HTTP/1.1\r\n" H "\r\n");
    check_get(0, NOW, false);
    loop_advance(loop, 59000);
    CHECK(!is_closed(0));
    loop_advance(loop, 2000);
    CHECK(is_closed(0));
    end();
}

TEST(a_head_that_drips_in_gets_no_more_time)
{
    begin();
    for (int i = 0; i < 59; i++) {
        put(0, i == 0 ? "GET /now HTTP/1.1\r\n" : "A: b\r\n");
        turns(1);
        loop_advance(loop, 1000);
    }
    CHECK(!is_closed(0));
    loop_advance(loop, 2000);
    CHECK(is_closed(0));
    end();
}

TEST(a_request_without_progress_ends_after_its_time)
{
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(2);
    loop_advance(loop, 1799000);
    CHECK_INT(u.gone, 0);
    loop_advance(loop, 4000);
    CHECK_INT(u.gone, 1);
    end();
}

TEST(what_is_sent_is_progress)
{
    begin();
    put(0, "GET /stream HTTP/1.1\r\n" H "\r\n");
    turns(2);
    for (int i = 0; i < 4; i++) {
        loop_advance(loop, 1000000);
        xchg_send_str(u.x, STR("x"));
    }
    CHECK_INT(u.gone, 0);
    loop_advance(loop, 1804000);
    CHECK_INT(u.gone, 1);
    end();
}

/* Less than the whole queue each time, but more than nothing. */
TEST(a_slow_reader_that_reads_is_alive)
{
    char some[50000];
    begin();
    put(0, "GET /stream HTTP/1.1\r\n" H "\r\n");
    turns(2);
    xchg_send_str(u.x, str_of(big, OUT_MAX));
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 3; k++)
            if (read(client[0], some, sizeof some) > 0)
                turns(2);
        loop_advance(loop, 1000000);
    }
    CHECK_INT(u.gone, 0);
    CHECK(xchg_queued(u.x) > 0);
    loop_advance(loop, 3700000);
    CHECK_INT(u.gone, 1);
    end();
}

TEST(who_does_not_close_after_the_last_answer_is_closed)
{
    begin();
    put(0, "POST /early HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n");
    turns(3);
    CHECK_INT(h1server_count(server), 1);
    loop_advance(loop, 2100);
    CHECK_INT(h1server_count(server), 0);
    end();
}

/* shutdown */

TEST(shutdown_closes_the_idle_and_tells_the_others)
{
    begin();
    accept_client(1);
    accept_client(2);
    put(1, "GET /wait HTTP/1.1\r\n" H "\r\n");
    put(2, "GET /wait HTT"); /* half a head is none */
    turns(3);
    h1server_shutdown(server);
    CHECK_STR(str_c(u.events), "/wait end shutdown ");
    CHECK(is_closed(0));
    CHECK(is_closed(2));
    CHECK_INT(h1server_count(server), 1);
    answer(u.x, "now");
    check_get(1, NOW_CLOSE, true);
    end();
}

TEST(shutdown_ends_streams_and_held_requests)
{
    begin();
    put(0, "GET /stream HTTP/1.1\r\n" H "\r\n");
    turns(3);
    h1server_shutdown(server);
    check_get(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nopen\r\n0\r\n\r\n", true);
    end();
    begin();
    put(0, "GET /park HTTP/1.1\r\n" H "\r\n");
    turns(3);
    h1server_shutdown(server);
    get(0, NULL);
    CHECK(str_ends(str_c(out), STR("timeout")));
    end();
}

/* Its answer comes while we stop, and is a hold. */
TEST(what_is_parked_during_shutdown_is_told_too)
{
    begin();
    put(0, "GET /wait HTTP/1.1\r\n" H "\r\n");
    turns(3);
    h1server_shutdown(server);
    CHECK_STR(str_c(u.events), "/wait end shutdown ");
    u.x->user = (void *)(uintptr_t) "park";
    xchg_park(u.x);
    CHECK(u.x != NULL); /* not within the call */
    get(0, NULL);
    CHECK(str_ends(str_c(out), STR("timeout")));
    CHECK_STR(str_c(u.events), "/wait end shutdown shutdown ");
    end();
}

TEST(freeing_the_server_tells_all_users)
{
    begin();
    put(0, "GET /stream HTTP/1.1\r\n" H "\r\n");
    turns(3);
    end();
    CHECK_INT(u.gone, 1);
    CHECK_INT(u.closed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_1_1_is_kept_open_unless_close_is_said),
        cmocka_unit_test(http_1_0_is_closed_unless_keep_alive_is_said),
        cmocka_unit_test(an_answer_of_unknown_length),
        cmocka_unit_test(no_body_where_none_may_be),
        cmocka_unit_test(a_shared_piece_goes_out_in_its_own_frame),
        cmocka_unit_test(heads_of_several_connections_do_not_mix),
        cmocka_unit_test(a_head_alone_goes_out_in_the_same_turn),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(many_pipelined_requests_in_one_read),
        cmocka_unit_test(what_is_pipelined_behind_a_held_request_is_bounded),
        cmocka_unit_test(nothing_is_read_behind_a_request_that_said_close),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(a_second_request_that_is_none_is_refused_too),
        cmocka_unit_test(a_body_that_breaks_off_its_rules),
        cmocka_unit_test(continue_is_said_when_the_body_has_not_come),
        cmocka_unit_test(an_early_answer_ends_the_connection_and_the_body_is_read_over),
        cmocka_unit_test(a_paused_body_waits),
        cmocka_unit_test(a_body_goes_on_behind_a_parked_request),
        cmocka_unit_test(the_end_of_input_while_waiting_means_gone),
        cmocka_unit_test(but_not_to_who_said_close_and_has_no_answer_yet),
        cmocka_unit_test(the_end_of_input_behind_a_whole_request_in_one_read),
        cmocka_unit_test(for_a_parked_request_the_end_of_input_means_gone),
        cmocka_unit_test(who_leaves_within_a_head_or_body_is_closed_without_a_word),
        cmocka_unit_test(pipelined_requests_are_served_though_the_client_says_no_more),
        cmocka_unit_test(a_slow_reader_is_waited_for),
        cmocka_unit_test(the_last_answer_reaches_a_slow_reader_before_the_end),
        cmocka_unit_test(abort_loses_what_is_queued_and_tells_nobody),
        cmocka_unit_test(an_idle_connection_is_closed_after_its_time),
        cmocka_unit_test(a_head_that_drips_in_gets_no_more_time),
        cmocka_unit_test(a_request_without_progress_ends_after_its_time),
        cmocka_unit_test(what_is_sent_is_progress),
        cmocka_unit_test(a_slow_reader_that_reads_is_alive),
        cmocka_unit_test(who_does_not_close_after_the_last_answer_is_closed),
        cmocka_unit_test(shutdown_closes_the_idle_and_tells_the_others),
        cmocka_unit_test(shutdown_ends_streams_and_held_requests),
        cmocka_unit_test(what_is_parked_during_shutdown_is_told_too),
        cmocka_unit_test(freeing_the_server_tells_all_users),
    };
    signal(SIGPIPE, SIG_IGN);
    memset(big, 'x', sizeof big);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
