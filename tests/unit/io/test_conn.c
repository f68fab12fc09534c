#include "io/turns.h"

#include "io/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BIG = 4000000 };

static struct loop *loop;
static struct conn conn;
static int peer; /* the other end, non-blocking; -1: closed */
static char big[BIG];
static struct {
    char data[100000];
    size_t n_data;
    unsigned reads, eof, error, drained, connected;
    char why[80];
    enum { NOTHING, CLOSE, PAUSE } then; /* what on_data and the other callbacks do */
} seen;

static void
then(struct conn *c)
{
    if (seen.then == CLOSE)
        conn_close(c);
    if (seen.then == PAUSE)
        conn_pause(c);
}

static void
on_data(struct conn *c, struct str data)
{
    CHECK(c == &conn);
    CHECK(conn_is_open(c));
    seen.reads++;
    for (size_t i = 0; i < data.len && seen.n_data < sizeof seen.data; i++)
        seen.data[seen.n_data++] = data.ptr[i];
    then(c);
}

static void
on_eof(struct conn *c)
{
    CHECK(conn_is_open(c));
    seen.eof++;
    then(c);
}

static void
on_error(struct conn *c, const char *why)
{
    CHECK(conn_is_open(c));
    seen.error++;
    snprintf(seen.why, sizeof seen.why, "%s", why);
    then(c);
}

static void
on_drained(struct conn *c)
{
    CHECK_INT(conn_queued(c), 0);
    seen.drained++;
    then(c);
}

static void
on_connected(struct conn *c)
{
    CHECK(!c->connecting);
    seen.connected++;
}

static const struct conn_ops ops = {on_data, on_eof, on_error, on_drained, on_connected, NULL};

static void
set_nonblocking(int fd)
{
    CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static int
listen_tcp(struct address *a)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(fd, (void *)&in, sizeof in), 0);
    CHECK_INT(listen(fd, 10), 0);
    CHECK_INT(getsockname(fd, (void *)&in, &len), 0);
    CHECK(address_literal(STR("127.0.0.1"), ntohs(in.sin_port), a));
    return fd;
}

static void
begin_loop(void)
{
    memset(&seen, 0, sizeof seen);
    loop = loop_new();
    peer = -1;
}

static void
begin_unix(void)
{
    int fds[2];
    begin_loop();
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    peer = fds[1];
    conn_open(&conn, loop, fds[0], &ops);
}

static void
begin_tcp(void)
{
    struct address a;
    int listener, fd, few = 65536; /* else a kernel with room for all of BIG takes it */
    begin_loop();
    listener = listen_tcp(&a);
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    CHECK_INT(connect(peer, address_sockaddr(&a), a.len), 0);
    fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
    set_nonblocking(fd);
    set_nonblocking(peer);
    close(listener);
    conn_open(&conn, loop, fd, &ops);
}

static void
close_peer(void)
{
    close(peer);
    peer = -1;
}

static void
reset_peer(void)
{
    struct linger now = {1, 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close_peer();
}

static void
end(void)
{
    conn_close(&conn);
    loop_poll(loop);
    if (peer >= 0)
        close(peer);
    loop_free(loop);
}

static void
peer_send(const char *text)
{
    CHECK_INT(write(peer, text, strlen(text)), strlen(text));
}

/* What the peer has got so far, at most SIZE bytes of it. -1: it was reset. */
static ssize_t
peer_read(void *to, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(peer, (char *)to + got, size - got);
        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* Bytes that the peer reads until it has WANTED, the loop turning. Each byte is its number. */
static void
peer_gets(size_t wanted)
{
    static unsigned char bytes[BIG];
    size_t got = 0;
    time_t start = real_seconds();
    while (got < wanted) {
        ssize_t n = peer_read(bytes, wanted - got);
        CHECK(n >= 0);
        for (ssize_t i = 0; i < n; i++)
            if (bytes[i] != (unsigned char)big[got + (size_t)i])
                fail_msg("byte %zu is wrong", got + (size_t)i);
        got += (size_t)n;
        loop_poll(loop);
        CHECK(real_seconds() <= start + 10);
    }
    CHECK_INT(got, wanted);
}

/* CPU time of the process, in microseconds. */
static uint64_t
cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
on_alarm(struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

/* Does the loop sleep when nothing happens? Run it for a tenth of a second and see how much of that it computes. */
static void
check_no_spin(void)
{
    struct timer t;
    uint64_t before;
    loop_poll(loop);
    loop_poll(loop);
    before = cpu_us();
    timer_init(&t, on_alarm);
    loop_timer(loop, &t, 100);
    loop_run(loop);
    CHECK(cpu_us() - before < 50000);
}

/* a block of shared bytes that tells when it is freed */

static unsigned freed;

static void
on_block_freed(struct shared *s)
{
    (void)s;
    freed++;
}

static struct shared block;

static void
begin_block(void)
{
    freed = 0;
    shared_init(&block, on_block_freed);
}

TEST(data_and_the_end_are_told)
{
    begin_unix();
    peer_send("hello");
    TURN_UNTIL(loop, seen.n_data == 5);
    CHECK_STR(str_of(seen.data, seen.n_data), "hello");
    CHECK_INT(shutdown(peer, SHUT_WR), 0);
    TURN_UNTIL(loop, seen.eof);
    check_no_spin();
    CHECK_INT(seen.eof, 1);
    CHECK_INT(conn_send(&conn, STR("bye")), 0);
    CHECK_INT(peer_read(seen.data, 10), 3);
    CHECK_INT(seen.error, 0);
    end();
}

TEST(what_the_kernel_takes_is_not_queued)
{
    char got[10];
    begin_unix();
    CHECK_INT(conn_send(&conn, STR("a")), 0);
    CHECK_INT(conn_send(&conn, STR("")), 0);
    CHECK_INT(conn_sendv(&conn, (struct conn_piece[]){{STR("b"), NULL}, {STR(""), NULL}, {STR("c"), NULL}}, 3), 0);
    CHECK_INT(conn_sendv(&conn, NULL, 0), 0);
    CHECK_INT(conn_queued(&conn), 0);
    CHECK(conn.more == NULL);
    CHECK_INT(peer_read(got, sizeof got), 3);
    CHECK_STR(str_of(got, 3), "abc");
    loop_poll(loop);
    CHECK_INT(seen.drained, 0);
    end();
}

TEST(the_rest_is_queued_and_goes_out_in_order)
{
    size_t half = BIG / 2;
    begin_unix();
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 >> 8);
    CHECK_INT(conn_send(&conn, str_of(big, half)), 0);
    CHECK(conn_queued(&conn) > 0);
    for (size_t at = half; at < BIG; at += 1000)
        CHECK_INT(conn_send(&conn, str_of(big + at, BIG - at < 1000 ? BIG - at : 1000)), 0);
    CHECK_INT(seen.drained, 0);
    peer_gets(BIG);
    TURN_UNTIL(loop, seen.drained);
    CHECK_INT(seen.drained, 1);
    CHECK(conn.more == NULL);
    CHECK(conn.moved);
    check_no_spin();
    end();
}

TEST(many_pieces_of_one_call_arrive_whole)
{
    enum { N = 1000 };
    static struct conn_piece pieces[N];
    begin_unix();
    for (int i = 0; i < N; i++)
        pieces[i] = (struct conn_piece){str_of(big + i * (BIG / N), BIG / N), NULL};
    CHECK_INT(conn_sendv(&conn, pieces, N), 0);
    CHECK(conn_queued(&conn) > 0);
    peer_gets(BIG);
    end();
}

TEST(shared_bytes_are_queued_without_a_copy)
{
    struct conn_piece piece = {str_of(big, BIG), &block};
    begin_unix();
    begin_block();
    CHECK_INT(conn_sendv(&conn, &piece, 1), 0);
    CHECK_INT(block.refs, 2);
    CHECK_INT(conn_sendv(&conn, &piece, 1), 0);
    CHECK_INT(block.refs, 3);
    CHECK(conn_queued(&conn) > BIG && conn_queued(&conn) < 2 * BIG);
    shared_unref(&block);
    peer_gets(BIG); /* the first; a reference goes with the last byte */
    CHECK_INT(freed, 0);
    peer_gets(BIG);
    TURN_UNTIL(loop, seen.drained);
    CHECK_INT(freed, 1);
    end();
}

TEST(closing_lets_go_of_what_was_queued)
{
    struct conn_piece piece = {str_of(big, BIG), &block};
    begin_unix();
    begin_block();
    conn_sendv(&conn, &piece, 1);
    CHECK_INT(block.refs, 2);
    conn_close(&conn);
    conn_close(&conn);
    CHECK_INT(block.refs, 1);
    CHECK_INT(conn_queued(&conn), 0);
    CHECK_INT(conn_send(&conn, STR("x")), -1);
    CHECK(!conn_is_open(&conn));
    loop_poll(loop);
    CHECK_INT(seen.drained + seen.eof + seen.error, 0);
    end();
}

TEST(a_callback_may_close)
{
    begin_unix();
    seen.then = CLOSE;
    peer_send("x");
    close_peer();
    TURN_UNTIL(loop, seen.reads);
    loop_poll(loop);
    CHECK_INT(seen.reads + seen.eof + seen.error, 1);
    end();
}

TEST(on_drained_may_close)
{
    begin_unix();
    seen.then = CLOSE;
    conn_send(&conn, str_of(big, BIG));
    peer_gets(BIG);
    TURN_UNTIL(loop, seen.drained);
    loop_poll(loop);
    CHECK(!conn_is_open(&conn));
    end();
}

TEST(a_broken_connection_is_told_once_and_later)
{
    begin_tcp();
    conn_send(&conn, str_of(big, BIG));
    CHECK(conn_queued(&conn) > 0);
    reset_peer();
    TURN_UNTIL(loop, seen.error);
    CHECK_INT(conn_send(&conn, STR("x")), -1);
    check_no_spin();
    CHECK_INT(seen.error, 1);
    CHECK_INT(seen.drained, 0);
    CHECK(strlen(seen.why) > 0);
    end();
}

TEST(sending_to_who_is_gone_tells_of_it_from_the_loop)
{
    begin_unix();
    conn_pause(&conn);
    close_peer();
    CHECK_INT(conn_send(&conn, STR("x")), -1); /* EPIPE */
    CHECK_INT(seen.error, 0);
    CHECK_INT(conn_send(&conn, STR("x")), -1);
    TURN_UNTIL(loop, seen.error);
    loop_poll(loop);
    CHECK_INT(seen.error, 1);
    CHECK_INT(seen.eof, 0);
    end();
}

TEST(paused_bytes_stay_in_the_kernel)
{
    begin_unix();
    conn_pause(&conn);
    conn_pause(&conn);
    peer_send("hello");
    check_no_spin();
    CHECK_INT(seen.reads, 0);
    CHECK(conn_has_input(&conn));
    conn_resume(&conn);
    conn_resume(&conn);
    TURN_UNTIL(loop, seen.n_data == 5);
    CHECK(!conn_has_input(&conn));
    peer_send(" again");
    TURN_UNTIL(loop, seen.n_data == 11);
    end();
}

TEST(pausing_in_on_data_holds_for_the_next_read)
{
    begin_unix();
    seen.then = PAUSE;
    peer_send("1");
    TURN_UNTIL(loop, seen.reads == 1);
    peer_send("2");
    loop_poll(loop);
    loop_poll(loop);
    CHECK_INT(seen.reads, 1);
    conn_resume(&conn);
    TURN_UNTIL(loop, seen.reads == 2);
    CHECK_STR(str_of(seen.data, seen.n_data), "12");
    end();
}

static void
check_end_while_paused(void)
{
    seen.then = PAUSE;
    peer_send("x");
    TURN_UNTIL(loop, seen.reads);
    check_no_spin();
    close_peer();
    TURN_UNTIL(loop, seen.eof + seen.error > 0);
    CHECK_INT(seen.eof, 1);
    check_no_spin();
    CHECK_INT(seen.eof + seen.error, 1);
    end();
}

TEST(the_end_is_noticed_while_paused)
{
    begin_tcp();
    check_end_while_paused();
    begin_unix();
    check_end_while_paused();
}

/* A sender that closes behind its last bytes has not taken them back. */
TEST(the_end_behind_unread_bytes_waits_for_them)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        if (tcp)
            begin_tcp();
        else
            begin_unix();
        conn_pause(&conn);
        peer_send("last words");
        if (tcp)
            close_peer();
        else
            shutdown(peer, SHUT_WR);
        check_no_spin();
        CHECK_INT(seen.eof + seen.error, 0);
        conn_resume(&conn);
        TURN_UNTIL(loop, seen.eof);
        CHECK_STR(str_of(seen.data, seen.n_data), "last words");
        end();
    }
}

TEST(a_reset_is_noticed_while_paused)
{
    for (int unread = 0; unread < 2; unread++) {
        begin_tcp();
        conn_pause(&conn);
        if (unread) {
            peer_send("unread");
            check_no_spin();
        }
        reset_peer();
        TURN_UNTIL(loop, seen.error);
        CHECK_STR(str_c(seen.why), strerror(ECONNRESET));
        check_no_spin();
        CHECK_INT(seen.error, 1);
        CHECK_INT(seen.eof, 0);
        end();
    }
}

/* Reading is paused with bytes unread, and the peer does not read either: nothing to do, whatever came first. */
TEST(paused_with_unread_bytes_and_a_full_queue_does_not_spin)
{
    for (int order = 0; order < 3; order++) {
        begin_tcp();
        if (order == 0)
            conn_send(&conn, str_of(big, BIG));
        conn_pause(&conn);
        peer_send("unread");
        if (order == 1)
            conn_send(&conn, str_of(big, BIG));
        check_no_spin();
        if (order == 2)
            conn_send(&conn, str_of(big, BIG));
        CHECK(conn_queued(&conn) > 0);
        check_no_spin();
        peer_send("more");
        check_no_spin();
        peer_gets(BIG);
        TURN_UNTIL(loop, seen.drained);
        check_no_spin();
        CHECK_INT(seen.reads, 0);
        conn_resume(&conn);
        TURN_UNTIL(loop, seen.n_data == 10);
        end();
    }
}

TEST(a_reset_is_noticed_with_unread_bytes_and_a_queue)
{
    begin_tcp();
    conn_pause(&conn);
    peer_send("unread");
    check_no_spin();
    conn_send(&conn, str_of(big, BIG));
    reset_peer();
    TURN_UNTIL(loop, seen.error);
    check_no_spin();
    CHECK_INT(seen.error, 1);
    end();
}

TEST(lingering_says_the_end_after_the_queue_and_throws_input_away)
{
    begin_tcp();
    conn_send(&conn, str_of(big, BIG));
    conn_pause(&conn);
    peer_send("not wanted");
    conn_linger(&conn);
    peer_gets(BIG);
    TURN_UNTIL(loop, recv(peer, seen.data, 1, MSG_DONTWAIT) == 0);
    peer_send("still not");
    loop_poll(loop);
    CHECK_INT(seen.reads + seen.drained + seen.eof, 0);
    close_peer();
    TURN_UNTIL(loop, seen.eof);
    CHECK_INT(seen.reads + seen.error, 0);
    end();
}

TEST(lingering_without_a_queue_says_the_end_at_once)
{
    begin_tcp();
    conn_linger(&conn);
    CHECK_INT(recv(peer, seen.data, 1, 0) < 0 && errno == EAGAIN ? 1 : 0, 0);
    close_peer();
    TURN_UNTIL(loop, seen.eof);
    conn_linger(&conn);
    end();
}

TEST(abort_is_a_reset)
{
    char byte;
    begin_tcp();
    conn_abort(&conn);
    CHECK(read(peer, &byte, 1) < 0);
    CHECK_INT(errno, ECONNRESET);
    conn_abort(&conn);
    end();
}

TEST(connecting_queues_and_then_sends)
{
    struct address a;
    struct pollfd p;
    char got[10];
    int listener;
    begin_loop();
    listener = listen_tcp(&a);
    CHECK_INT(conn_connect(&conn, loop, &a, &ops), 0);
    CHECK_INT(seen.connected, 0);
    CHECK_INT(conn_send(&conn, STR("early")), 0);
    CHECK_INT(conn_queued(&conn), 5);
    TURN_UNTIL(loop, seen.connected && seen.drained);
    peer = accept(listener, NULL, NULL);
    p = (struct pollfd){peer, POLLIN, 0};
    CHECK_INT(poll(&p, 1, 10000), 1);
    CHECK_INT(read(peer, got, sizeof got), 5);
    CHECK_STR(str_of(got, 5), "early");
    CHECK_INT(seen.connected, 1);
    close(listener);
    check_no_spin();
    end();
}

TEST(connecting_to_nobody_is_an_error_from_the_loop)
{
    struct address a;
    begin_loop();
    close(listen_tcp(&a));
    if (conn_connect(&conn, loop, &a, &ops) == 0) {
        conn_send(&conn, STR("x"));
        CHECK_INT(seen.error, 0);
        TURN_UNTIL(loop, seen.error);
        CHECK_STR(str_c(seen.why), strerror(ECONNREFUSED));
        CHECK_INT(seen.connected, 0);
        conn_close(&conn);
    }
    loop_free(loop);
}

TEST(connecting_to_a_path_without_a_socket_fails_at_once)
{
    struct address a;
    begin_loop();
    CHECK(address_unix(STR("/nonexistent/socket"), &a));
    CHECK_INT(conn_connect(&conn, loop, &a, &ops), -1);
    CHECK_INT(errno, ENOENT);
    loop_free(loop);
}

TEST(the_peer_has_a_name)
{
    char text[ADDRESS_TEXT_MAX];
    begin_tcp();
    CHECK_STR(conn_peer(&conn, text), "127.0.0.1");
    end();
    CHECK_STR(conn_peer(&conn, text), "");
    begin_unix();
    CHECK_STR(conn_peer(&conn, text), "");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_and_the_end_are_told),
        cmocka_unit_test(what_the_kernel_takes_is_not_queued),
        cmocka_unit_test(the_rest_is_queued_and_goes_out_in_order),
        cmocka_unit_test(many_pieces_of_one_call_arrive_whole),
        cmocka_unit_test(shared_bytes_are_queued_without_a_copy),
        cmocka_unit_test(closing_lets_go_of_what_was_queued),
        cmocka_unit_test(a_callback_may_close),
        cmocka_unit_test(on_drained_may_close),
        cmocka_unit_test(a_broken_connection_is_told_once_and_later),
        cmocka_unit_test(sending_to_who_is_gone_tells_of_it_from_the_loop),
        cmocka_unit_test(paused_bytes_stay_in_the_kernel),
        cmocka_unit_test(pausing_in_on_data_holds_for_the_next_read),
        cmocka_unit_test(the_end_is_noticed_while_paused),
        cmocka_unit_test(the_end_behind_unread_bytes_waits_for_them),
        cmocka_unit_test(a_reset_is_noticed_while_paused),
        cmocka_unit_test(paused_with_unread_bytes_and_a_full_queue_does_not_spin),
        cmocka_unit_test(a_reset_is_noticed_with_unread_bytes_and_a_queue),
        cmocka_unit_test(lingering_says_the_end_after_the_queue_and_throws_input_away),
        cmocka_unit_test(lingering_without_a_queue_says_the_end_at_once),
        cmocka_unit_test(abort_is_a_reset),
        cmocka_unit_test(connecting_queues_and_then_sends),
        cmocka_unit_test(connecting_to_nobody_is_an_error_from_the_loop),
        cmocka_unit_test(connecting_to_a_path_without_a_socket_fails_at_once),
        cmocka_unit_test(the_peer_has_a_name),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
