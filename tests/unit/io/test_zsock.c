#include "io/turns.h"

#include "base/buf.h"
#include "io/zsock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

/* One zsock of ours and one plain socket of a peer in its own context. */
static struct loop *loop;
static struct zcontext *context;
static struct zsock *zsock;
static void *peer_context, *peer;
static char endpoint[256];

static struct {
    unsigned messages, frames; /* frames: of the last message */
    struct buf text;           /* the frames of all messages, "|" between frames, "\n" after a message */
    unsigned close_at;         /* close the zsock within this message; 0: never */
    bool echo;
} seen;

static void
on_message(const struct str *frames, unsigned n, void *arg)
{
    CHECK(arg == &seen);
    seen.messages++;
    seen.frames = n;
    if (seen.messages == seen.close_at) {
        zsock_close(zsock);
        zsock = NULL;
    }
    for (unsigned i = 0; i < n && i < ZSOCK_FRAMES; i++) {
        if (i > 0)
            buf_addc(&seen.text, '|');
        buf_adds(&seen.text, frames[i]);
    }
    buf_addc(&seen.text, '\n');
    if (seen.echo)
        CHECK_INT(zsock_send(zsock, frames, n), 0);
}

static const struct zsock_ops ops = {on_message};

static struct zsock *
open_zsock(enum zsock_type type, const struct zsock_options *options)
{
    struct err e;
    struct zsock *z = zsock_new(context, loop, type, options, &ops, &seen, &e);
    CHECK(z != NULL);
    return z;
}

static void
begin_with(enum zsock_type type, int peer_type, const char *spec, const struct zsock_options *options)
{
    struct err e;
    memset(&seen, 0, sizeof seen);
    seen.text = BUF_INIT(1 << 20);
    loop = loop_new();
    context = zsock_context_new();
    zsock = open_zsock(type, options);
    CHECK_INT(zsock_bind(zsock, spec, &e), 0);
    zsock_endpoint(zsock, endpoint, sizeof endpoint);
    peer_context = zmq_ctx_new();
    zmq_ctx_set(peer_context, ZMQ_BLOCKY, 0);
    peer = zmq_socket(peer_context, peer_type);
    CHECK_INT(zmq_connect(peer, endpoint), 0);
}

static void
begin(enum zsock_type type, int peer_type)
{
    begin_with(type, peer_type, "tcp://127.0.0.1:*", &ZSOCK_DEFAULTS);
}

static void
end(void)
{
    zmq_close(peer);
    zmq_ctx_term(peer_context);
    if (zsock != NULL)
        zsock_close(zsock);
    zsock = NULL;
    zsock_context_free(context);
    loop_free(loop);
    buf_clear(&seen.text);
}

static void
peer_send(const char *text, int flags)
{
    TURN_UNTIL(loop, zmq_send(peer, text, strlen(text), flags | ZMQ_DONTWAIT) >= 0);
}

/* The loop turns meanwhile: the sockets of a process with a blocked loop take no new peers in. */
static size_t
peer_recv(char *got, size_t size)
{
    int n = -1;
    TURN_UNTIL(loop, (n = zmq_recv(peer, got, size, ZMQ_DONTWAIT)) >= 0);
    return (size_t)n;
}

static void
peer_receives(const char *want)
{
    char got[256];
    CHECK_STR(str_of(got, peer_recv(got, sizeof got)), want);
}

TEST(pull_reads_a_burst_whole_and_in_bounded_batches)
{
    enum { N = 1000 }; /* as many as the peer queues without us */
    unsigned before = 0;
    begin(ZSOCK_PULL, ZMQ_PUSH);
    for (unsigned i = 0; i < N; i++)
        CHECK_INT(zmq_send(peer, "x", 1, 0), 1);
    while (seen.messages < N) {
        TURN_UNTIL(loop, seen.messages > before);
        CHECK(seen.messages - before <= 2 * 64); /* one batch for the descriptor and one for the task */
        before = seen.messages;
    }
    end();
}

TEST(pull_takes_frames_apart_and_together)
{
    begin(ZSOCK_PULL, ZMQ_PUSH);
    peer_send("one", ZMQ_SNDMORE);
    peer_send("", ZMQ_SNDMORE);
    peer_send("three", 0);
    peer_send("single", 0);
    TURN_UNTIL(loop, seen.messages == 2);
    CHECK_STR(buf_str(&seen.text), "one||three\nsingle\n");
    end();
}

TEST(pull_throws_away_frames_beyond_the_limit)
{
    begin(ZSOCK_PULL, ZMQ_PUSH);
    for (int i = 0; i < 5000; i++)
        peer_send("f", ZMQ_SNDMORE);
    peer_send("last", 0);
    TURN_UNTIL(loop, seen.messages == 1);
    CHECK_INT(seen.frames, 5001);
    CHECK_INT(seen.text.len, ZSOCK_FRAMES * 2);
    buf_consume(&seen.text, seen.text.len);
    peer_send("next", 0);
    TURN_UNTIL(loop, seen.messages == 2);
    CHECK_STR(buf_str(&seen.text), "next\n");
    end();
}

TEST(pull_keeps_no_more_of_a_message_than_of_a_frame)
{
    enum { LONG = 50000 };
    static char text[LONG + 1];
    struct zsock_options o = ZSOCK_DEFAULTS;
    o.max_message = LONG;
    memset(text, 'x', LONG);
    begin_with(ZSOCK_PULL, ZMQ_PUSH, "tcp://127.0.0.1:*", &o);
    for (int i = 0; i < 10; i++)
        peer_send(text, ZMQ_SNDMORE);
    peer_send("last", 0);
    peer_send(text, 0);
    TURN_UNTIL(loop, seen.messages == 2);
    CHECK_INT(seen.text.len, 2 * LONG + 11 + strlen("last") + LONG + 1); /* two whole ones, and the ends of eleven */
    end();
}

TEST(pull_cuts_off_who_sends_too_much)
{
    struct zsock_options o = ZSOCK_DEFAULTS;
    char big[1001];
    o.max_message = 1000;
    memset(big, 'b', sizeof big);
    begin_with(ZSOCK_PULL, ZMQ_PUSH, "tcp://127.0.0.1:*", &o);
    CHECK_INT(zmq_send(peer, big, sizeof big - 1, 0), sizeof big - 1);
    CHECK_INT(zmq_send(peer, big, sizeof big, 0), sizeof big);
    TURN_UNTIL(loop, seen.messages == 1);
    CHECK_INT(seen.text.len, sizeof big);
    /* what was queued for the connection may go with it */
    TURN_UNTIL(loop, zmq_send(peer, "after", 5, ZMQ_DONTWAIT) == 5 && seen.messages > 1);
    CHECK_STR(str_sub(buf_str(&seen.text), sizeof big, 6), "after\n");
    end();
}

TEST(router_answers_every_request)
{
    begin(ZSOCK_ROUTER, ZMQ_REQ);
    seen.echo = true;
    for (unsigned i = 1; i <= 300; i++) {
        char text[32];
        snprintf(text, sizeof text, "request %u", i);
        peer_send(text, 0);
        TURN_UNTIL(loop, seen.messages == i);
        CHECK_INT(seen.frames, 3);
        peer_receives(text);
    }
    end();
}

/* Each send takes in what ZMQ_FD would tell: nothing may be left lying. */
TEST(router_reads_on_while_it_sends)
{
    enum { N = 500 };
    begin(ZSOCK_ROUTER, ZMQ_DEALER);
    seen.echo = true;
    for (int i = 0; i < N; i++)
        peer_send("d", 0);
    TURN_UNTIL(loop, seen.messages == N);
    for (int i = 0; i < N; i++)
        peer_receives("d");
    end();
}

TEST(sub_takes_what_it_subscribed_to)
{
    char got[8];
    begin(ZSOCK_SUB, ZMQ_XPUB);
    zsock_subscribe(zsock, STR("a"));
    peer_receives("\001a");
    peer_send("b", 0);
    peer_send("a", ZMQ_SNDMORE);
    peer_send("body", 0);
    TURN_UNTIL(loop, seen.messages == 1);
    CHECK_STR(buf_str(&seen.text), "a|body\n");
    zsock_unsubscribe(zsock, STR("a"));
    CHECK_INT(peer_recv(got, sizeof got), 2);
    CHECK(got[0] == 0 && got[1] == 'a');
    end();
}

TEST(sub_forgets_no_subscription_of_many)
{
    enum { N = 5000 };
    struct zsock_options o = ZSOCK_DEFAULTS;
    o.send_hwm = 0;
    begin_with(ZSOCK_SUB, ZMQ_XPUB, "tcp://127.0.0.1:*", &o);
    zsock_subscribe(zsock, STR("first"));
    peer_receives("\001first");
    for (int i = 0; i < N; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "c%04d", i);
        zsock_subscribe(zsock, str_of(name, (size_t)n));
    }
    for (int i = 0; i < N; i++) {
        char got[16];
        CHECK_INT(peer_recv(got, sizeof got), 6);
    }
    end();
}

TEST(xpub_hears_of_subscribers_and_sends_to_them)
{
    struct str frame = STR("topic J{}");
    begin(ZSOCK_XPUB, ZMQ_SUB);
    zmq_setsockopt(peer, ZMQ_SUBSCRIBE, "topic ", 6);
    TURN_UNTIL(loop, seen.messages == 1);
    CHECK_STR(buf_str(&seen.text), "\001topic \n");
    CHECK_INT(zsock_send(zsock, &frame, 1), 0);
    peer_receives("topic J{}");
    CHECK_INT(zsock_dropped(zsock), 0);
    end();
}

/* The peer hears of nothing but what was sent after its subscription was taken in, though PUB reads nothing. */
/* PUB reads nothing, and all the same takes in who subscribes. */
TEST(pub_sends_to_who_subscribes)
{
    char got[8];
    struct str frame = STR("news");
    begin(ZSOCK_PUB, ZMQ_SUB);
    zmq_setsockopt(peer, ZMQ_SUBSCRIBE, "news", 4);
    TURN_UNTIL(loop, zsock_send(zsock, &frame, 1) == 0 && zmq_recv(peer, got, sizeof got, ZMQ_DONTWAIT) == 4);
    CHECK_INT(seen.messages, 0);
    end();
}

TEST(push_without_a_peer_drops_and_counts)
{
    struct err e;
    struct str frames[2] = {STR("a"), STR("b")};
    begin(ZSOCK_PULL, ZMQ_PUSH);
    zsock_close(zsock);
    zsock = open_zsock(ZSOCK_PUSH, &ZSOCK_DEFAULTS);
    CHECK_INT(zsock_send(zsock, frames, 2), -1);
    CHECK_INT(zsock_dropped(zsock), 1);
    CHECK_INT(zsock_connect(zsock, "nonsense", &e), -1);
    CHECK_STR(str_c(e.text), "unable to connect to nonsense: Invalid argument");
    end();
}

TEST(two_zsocks_talk_within_the_process)
{
    struct err e;
    struct zsock *push;
    struct str frames[2] = {STR("a"), STR("b")};
    begin_with(ZSOCK_PULL, ZMQ_PUSH, "tcp://127.0.0.1:*", &ZSOCK_DEFAULTS);
    CHECK_INT(zsock_bind(zsock, "inproc://here", &e), 0);
    push = open_zsock(ZSOCK_PUSH, &ZSOCK_DEFAULTS);
    CHECK_INT(zsock_connect(push, "inproc://here", &e), 0);
    for (int i = 0; i < 200; i++)
        CHECK_INT(zsock_send(push, frames, 2), 0);
    TURN_UNTIL(loop, seen.messages == 200);
    zsock_close(push);
    end();
}

TEST(closing_within_a_callback_ends_the_batch)
{
    begin(ZSOCK_PULL, ZMQ_PUSH);
    seen.close_at = 2;
    for (int i = 0; i < 100; i++)
        peer_send("still readable", 0);
    TURN_UNTIL(loop, zsock == NULL);
    loop_poll(loop);
    CHECK_INT(seen.messages, 2);
    CHECK_STR(buf_str(&seen.text), "still readable\nstill readable\n");
    end();
}

TEST(closing_in_the_middle_of_a_message_frees_it)
{
    begin(ZSOCK_PULL, ZMQ_PUSH);
    for (int i = 0; i < 20000; i++)
        peer_send("f", ZMQ_SNDMORE);
    peer_send("last", 0);
    for (int i = 0; i < 3; i++)
        loop_poll(loop);
    end();
}

TEST(ipc_socket_has_the_permissions_asked_for)
{
    char dir[] = "/tmp/test_zsock.XXXXXX", spec[64];
    struct zsock_options o = ZSOCK_DEFAULTS;
    struct stat st;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(spec, sizeof spec, "ipc://%s/sock", dir);
    o.ipc_mode = 0617;
    begin_with(ZSOCK_PULL, ZMQ_PUSH, spec, &o);
    CHECK_INT(stat(spec + 6, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0617);
    peer_send("x", 0);
    TURN_UNTIL(loop, seen.messages == 1);
    end();
    unlink(spec + 6);
    CHECK_INT(rmdir(dir), 0);
}

TEST(failed_bind_says_why)
{
    struct err e;
    struct zsock *other;
    char want[300];
    begin(ZSOCK_PULL, ZMQ_PUSH);
    other = open_zsock(ZSOCK_PULL, &ZSOCK_DEFAULTS);
    CHECK_INT(zsock_bind(other, endpoint, &e), -1);
    snprintf(want, sizeof want, "unable to bind to %s: Address already in use", endpoint);
    CHECK_STR(str_c(e.text), want);
    CHECK_INT(zsock_bind(other, "ipc:///nonexistent/dir/sock", &e), -1);
    CHECK_STR(str_c(e.text), "unable to bind to ipc:///nonexistent/dir/sock: No such file or directory");
    CHECK_INT(zsock_bind(other, "", &e), -1);
    zsock_close(other);
    end();
}

static void
on_stop(struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

TEST(idle_socket_costs_nothing)
{
    struct timer stop;
    clock_t before;
    begin(ZSOCK_ROUTER, ZMQ_REQ);
    seen.echo = true;
    peer_send("x", 0);
    TURN_UNTIL(loop, seen.messages == 1);
    peer_receives("x");
    timer_init(&stop, on_stop);
    loop_timer(loop, &stop, 300);
    before = clock();
    loop_run(loop);
    CHECK(clock() - before < CLOCKS_PER_SEC * 3 / 20); /* half of the time that it waited would be a loop that spins */
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_reads_a_burst_whole_and_in_bounded_batches),
        cmocka_unit_test(pull_takes_frames_apart_and_together),
        cmocka_unit_test(pull_throws_away_frames_beyond_the_limit),
        cmocka_unit_test(pull_keeps_no_more_of_a_message_than_of_a_frame),
        cmocka_unit_test(pull_cuts_off_who_sends_too_much),
        cmocka_unit_test(router_answers_every_request),
        cmocka_unit_test(router_reads_on_while_it_sends),
        cmocka_unit_test(sub_takes_what_it_subscribed_to),
        cmocka_unit_test(sub_forgets_no_subscription_of_many),
        cmocka_unit_test(xpub_hears_of_subscribers_and_sends_to_them),
        cmocka_unit_test(pub_sends_to_who_subscribes),
        cmocka_unit_test(push_without_a_peer_drops_and_counts),
        cmocka_unit_test(two_zsocks_talk_within_the_process),
        cmocka_unit_test(closing_within_a_callback_ends_the_batch),
        cmocka_unit_test(closing_in_the_middle_of_a_message_frees_it),
        cmocka_unit_test(ipc_socket_has_the_permissions_asked_for),
        cmocka_unit_test(failed_bind_says_why),
        cmocka_unit_test(idle_socket_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
