#include "io/turns.h"
#include "proto/wstext.h"

#include "base/clock.h"
#include "proto/wsdeflate.h"
#include "ws/wsconnbase.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char key[4] = {1, 2, 3, 4};

static struct loop *loop;
static struct wsconns *conns;
static struct ws *ws;
static int peer;                     /* the other end, non-blocking; -1: closed */
static struct wsframe reader;        /* of what the peer gets */
static struct buf said, got;         /* what the endpoint told us, and what the peer got, in short */
static struct buf message, incoming; /* the ones under way */
static bool pause_after;             /* each message */
static bool pause_amid;              /* a message: each piece is counted, and no more wanted for now */
static size_t counted;               /* bytes of such pieces */
static unsigned ended;               /* such messages */

static void
on_message(struct ws *w, const struct ws_piece *p)
{
    struct wsframe_out out = {.opcode = p->opcode, .first = p->first, .last = p->last, .bytes = p->payload};
    CHECK(w == ws);
    if (pause_amid) {
        counted += p->payload.len;
        ended += p->last;
        ws_pause(w, true);
        return;
    }
    wstext_event(&said, &message, WSFRAME_DATA, &out);
    if (p->last && pause_after)
        ws_pause(w, true);
}

static void
on_control(struct ws *w, enum wsframe_opcode opcode, struct str payload)
{
    struct wsframe_out out = {.opcode = (uint8_t)opcode, .bytes = payload};
    CHECK(w == ws);
    wstext_event(&said, &message, WSFRAME_CONTROL, &out);
}

static void
on_close(struct ws *w, int code, struct str reason)
{
    CHECK(w == ws && w->close_received);
    buf_addf(&said, "%sclosed(%d,%.*s)", said.len > 0 ? " " : "", code, STR_ARG(reason));
}

static void
on_drained(struct ws *w)
{
    CHECK_INT(ws_queued(w), 0);
    buf_addf(&said, "%sdrained", said.len > 0 ? " " : "");
}

static void
on_gone(struct ws *w, const char *why)
{
    CHECK(w == ws && w->user_ops == NULL);
    buf_addf(&said, "%sgone(%s)", said.len > 0 ? " " : "", why);
}

static const struct ws_user_ops user_ops = {on_message, on_control, on_close, on_drained, on_gone};

static void
begin_with(enum wsconn_role role, struct wsconns_settings settings, const struct wsdeflate_params *params)
{
    int fds[2];
    loop = loop_new();
    conns = wsconns_new(loop, &settings);
    buf_init(&said, 1 << 24);
    buf_init(&got, 1 << 24);
    buf_init(&message, 1 << 24);
    buf_init(&incoming, 1 << 24);
    pause_after = pause_amid = false;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    peer = fds[1];
    ws = wsconn_new(conns, role, params);
    conn_open(wsconn_conn(ws), loop, fds[0], &wsconn_conn_ops);
    ws_join(ws, &user_ops, NULL);
    wsframe_init(&reader, role == WSCONN_CLIENT, NULL);
    if (params->bits > 0)
        wsframe_allow_deflate(&reader, false);
}

static void
begin(enum wsconn_role role)
{
    static const struct wsdeflate_params none = {0, false};
    begin_with(role, (struct wsconns_settings){.activity_timeout = 1800}, &none);
    wsconn_start(ws, STR(""));
}

static void
end(void)
{
    if (wsconns_count(conns) > 0)
        ws_leave(ws, WSFRAME_GOING_AWAY, STR(""));
    wsconns_free(conns);
    loop_poll(loop);
    loop_poll(loop);
    loop_free(loop);
    if (peer >= 0)
        close(peer);
    wsframe_clear(&reader);
    buf_clear(&said);
    buf_clear(&got);
    buf_clear(&message);
    buf_clear(&incoming);
}

static void
peer_says(struct str bytes)
{
    CHECK_INT(send(peer, bytes.ptr, bytes.len, 0), (ssize_t)bytes.len);
}

static void
peer_sends(const char *frames)
{
    struct buf b = BUF_INIT(1 << 20);
    wstext_frames(&b, str_c(frames), ws->ops == NULL || reader.from_client ? NULL : key);
    peer_says(buf_str(&b));
    buf_clear(&b);
}

/* Read what there is for the peer; true when TEXT is at the end of all it got. "eof" is the end. */
static bool
peer_got(const char *text)
{
    char *room = mem_alloc(WSFRAME_ROOM), data[65536];
    ssize_t n = recv(peer, data, sizeof data, MSG_DONTWAIT);
    struct wsframe_in in = {data, n > 0 ? (size_t)n : 0, room};
    struct wsframe_out out;
    enum wsframe_event event;
    while (n > 0 && (event = wsframe_next(&reader, &in, &out)) != WSFRAME_MORE) {
        wstext_event(&got, &incoming, event, &out);
        if (event == WSFRAME_BAD)
            break;
    }
    mem_free(room);
    if (n == 0 && !str_ends(buf_str(&got), STR("eof")))
        buf_addf(&got, "%seof", got.len > 0 ? " " : "");
    return str_ends(buf_str(&got), str_c(text));
}

static bool
was_said(const char *text)
{
    return str_ends(buf_str(&said), str_c(text));
}

static void
say(const char *text)
{
    struct ws_piece p = {.payload = str_c(text), .opcode = WSFRAME_TEXT, .first = true, .last = true};
    ws_send(ws, &p, 1);
}

TEST(messages_go_both_ways)
{
    for (enum wsconn_role role = WSCONN_SERVER; role <= WSCONN_CLIENT; role++) {
        begin(role);
        peer_sends("81:hello|02:a|89:p|80:b|8a:q");
        TURN_UNTIL(loop, was_said("pong(q)"));
        CHECK_STR(buf_str(&said), "text(hello) ping(p) binary(ab) pong(q)");
        say("one");
        struct ws_piece pieces[] = {{.payload = STR("t"), .opcode = WSFRAME_BINARY, .first = true},
                                    {.payload = STR("wo"), .opcode = WSFRAME_BINARY, .last = true},
                                    {.payload = STR("p"), .opcode = WSFRAME_PING, .first = true, .last = true}};
        ws_send(ws, pieces, 3);
        TURN_UNTIL(loop, peer_got("ping(p)"));
        CHECK_STR(buf_str(&got), "text(one) binary(two) ping(p)");
        end();
    }
}

TEST(ready_frames_go_out_as_they_are)
{
    struct shared_bytes *frame = shared_bytes_new(STR("\x81\x02hi"));
    struct ws_piece p = {.payload = STR("not looked at"),
                         .framed = str_of(frame->data, frame->len),
                         .owner = &frame->shared,
                         .opcode = WSFRAME_TEXT,
                         .first = true,
                         .last = true};
    struct ws_piece mixed[3] = {p, {.payload = STR("x"), .opcode = WSFRAME_TEXT, .first = true, .last = true}, p};
    begin(WSCONN_SERVER);
    ws_send(ws, mixed, 3);
    TURN_UNTIL(loop, peer_got("text(hi)"));
    TURN_UNTIL(loop, peer_got("text(hi) text(x) text(hi)"));
    CHECK_INT(frame->shared.refs, 1);
    shared_unref(&frame->shared);
    end();
}

TEST(messages_are_compressed_where_that_was_agreed)
{
    static const struct wsdeflate_params params = {15, true};
    begin_with(WSCONN_SERVER, (struct wsconns_settings){.activity_timeout = 10}, &params);
    wsconn_start(ws, STR(""));
    CHECK_INT(ws_bits(ws), 15);
    say("hello, hello, hello");
    struct ws_piece pieces[] = {{.payload = STR("in "), .opcode = WSFRAME_TEXT, .first = true},
                                {.payload = STR("pieces"), .opcode = WSFRAME_TEXT},
                                {.payload = STR(""), .opcode = WSFRAME_TEXT, .last = true}};
    ws_send(ws, pieces, 3);
    peer_says(STR("\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00"));
    TURN_UNTIL(loop, was_said("text(Hello)"));
    TURN_UNTIL(loop, peer_got("text(hello, hello, hello) text(in pieces)"));
    end();
}

TEST(input_from_before_is_read_first)
{
    static const struct wsdeflate_params none = {0, false};
    struct buf b = BUF_INIT(100);
    wstext_frames(&b, STR("81:early|01:ha"), key);
    begin_with(WSCONN_SERVER, (struct wsconns_settings){.activity_timeout = 10}, &none);
    wsconn_start(ws, buf_str(&b));
    CHECK_INT(said.len, 0); /* not within the call */
    peer_sends("80:lf");
    TURN_UNTIL(loop, was_said("text(early) text(half)"));
    buf_clear(&b);
    end();
}

/* Ten thousand of them are held at a time: what a quiet one keeps matters. */
TEST(a_quiet_one_keeps_little)
{
    static const char frame[] = "\x81\x85\0\0\0\0hello";
    static const char squeezed[] = "\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07";
    static const struct wsdeflate_params context = {15, true};
    CHECK(sizeof(struct wsconn) <= 248);
    begin(WSCONN_SERVER);
    CHECK(wsconn_of(ws)->more == NULL);
    peer_says(str_of(frame, 8));
    TURN_UNTIL(loop, wsconn_of(ws)->more != NULL);
    peer_says(str_of(frame + 8, 3));
    TURN_UNTIL(loop, was_said("text(hello)"));
    CHECK(wsconn_of(ws)->more == NULL);
    end();

    begin_with(WSCONN_SERVER, (struct wsconns_settings){.activity_timeout = 1800}, &context);
    wsconn_start(ws, STR(""));
    CHECK(wsconn_of(ws)->more == NULL);
    peer_says(str_of(squeezed, 13));
    TURN_UNTIL(loop, was_said("text(Hello)"));
    CHECK(wsconn_of(ws)->more != NULL && wsconn_of(ws)->more->reading);
    end();
}

TEST(peer_closes)
{
    begin(WSCONN_SERVER);
    peer_sends("81:last|88:\x0f\xa0why|81:late");
    TURN_UNTIL(loop, was_said("closed(4000,why)"));
    CHECK_STR(buf_str(&said), "text(last) closed(4000,why)");
    say("still allowed");
    ws_close(ws, 4000, STR("ok"));
    CHECK(ws->user_ops == NULL);
    say("not any more");
    TURN_UNTIL(loop, peer_got("eof"));
    CHECK_STR(buf_str(&got), "text(still allowed) close(4000,ok) eof");
    close(peer);
    peer = -1;
    TURN_UNTIL(loop, wsconns_count(conns) == 0);
    end();
}

TEST(we_close)
{
    begin(WSCONN_CLIENT);
    ws_close(ws, WSFRAME_NO_CODE, STR(""));
    TURN_UNTIL(loop, peer_got("close(1000,)"));
    peer_sends("81:crossed|88:\x03\xe8");
    TURN_UNTIL(loop, was_said("text(crossed) closed(1000,)"));
    CHECK(ws->user_ops == NULL);
    TURN_UNTIL(loop, peer_got("eof"));
    end();
}

TEST(close_handshake_has_its_time)
{
    clock_fake(1000000);
    begin(WSCONN_SERVER);
    ws_close(ws, 1000, STR(""));
    loop_advance(loop, 9000);
    CHECK_INT(said.len, 0);
    loop_advance(loop, 1100);
    CHECK_STR(buf_str(&said), "gone(close handshake timed out)");
    CHECK_INT(wsconns_count(conns), 0);
    end();
}

TEST(who_leaves_hears_no_more)
{
    begin(WSCONN_SERVER);
    ws_leave(ws, 1001, STR(""));
    peer_sends("81:a|89:b|88:\x03\xe9");
    TURN_UNTIL(loop, peer_got("eof"));
    CHECK_STR(buf_str(&got), "close(1001,) eof");
    CHECK_INT(said.len, 0);
    end();
}

TEST(broken_rules_end_it)
{
    begin(WSCONN_SERVER);
    peer_sends("81:good|83:bad|81:late");
    TURN_UNTIL(loop, was_said("gone(reserved opcode)"));
    CHECK_STR(buf_str(&said), "text(good) gone(reserved opcode)");
    TURN_UNTIL(loop, peer_got("eof"));
    CHECK_STR(buf_str(&got), "close(1002,) eof");
    end();
}

TEST(end_without_a_close_frame)
{
    begin(WSCONN_SERVER);
    peer_sends("81:last words");
    close(peer);
    peer = -1;
    TURN_UNTIL(loop, wsconns_count(conns) == 0);
    CHECK_STR(buf_str(&said), "text(last words) gone(connection closed without a close frame)");
    end();
}

/* What a compressed message says may come when all of its bytes have been read. */
TEST(pause_amid_a_compressed_message)
{
    static const struct wsdeflate_params params = {WSDEFLATE_BITS, true};
    enum { MOST = 2 * WSFRAME_ROOM + 1500 };
    char *content = mem_zalloc(MOST);
    begin_with(WSCONN_SERVER, (struct wsconns_settings){.activity_timeout = 1800}, &params);
    wsconn_start(ws, STR(""));
    pause_amid = true;
    for (size_t len = 2 * WSFRAME_ROOM - 20; len < MOST; len += 7) {
        struct wsframe_spec spec = {.opcode = WSFRAME_BINARY, .last = true, .compressed = true, .key = key};
        struct wsdeflater *d = wsdeflater_new(WSDEFLATE_BITS, false);
        struct buf packed = BUF_INIT(1 << 20), frame = BUF_INIT(1 << 20);
        char head[WSFRAME_HEAD_MAX];
        size_t n;
        wsdeflater_put(d, str_of(content, len), true, &packed);
        wsdeflater_free(d);
        n = wsframe_head(head, &spec, packed.len);
        wsframe_mask(packed.ptr, packed.len, key, 0);
        buf_add(&frame, head, n);
        buf_adds(&frame, buf_str(&packed));
        counted = ended = 0;
        peer_says(buf_str(&frame));
        for (int i = 0; i < 20 && ended == 0; i++) {
            loop_poll(loop);
            ws_pause(ws, false);
        }
        CHECK_INT(ended, 1);
        CHECK_INT(counted, len);
        buf_clear(&packed);
        buf_clear(&frame);
    }
    mem_free(content);
    end();
}

TEST(paused_input_waits_and_comes_in_order)
{
    begin(WSCONN_SERVER);
    pause_after = true;
    peer_sends("81:1|81:2|81:3");
    TURN_UNTIL(loop, was_said("text(1)"));
    peer_sends("81:4");
    close(peer);
    peer = -1;
    for (int i = 0; i < 5; i++)
        loop_poll(loop);
    CHECK_STR(buf_str(&said), "text(1)");
    ws_pause(ws, false);
    TURN_UNTIL(loop, was_said("text(2)"));
    ws_pause(ws, false);
    TURN_UNTIL(loop, was_said("text(3)"));
    ws_pause(ws, false);
    TURN_UNTIL(loop, was_said("text(4)"));
    ws_pause(ws, false);
    TURN_UNTIL(loop, was_said("gone(connection closed without a close frame)"));
    end();
}

TEST(slow_peer_gets_all)
{
    enum { SIZE = 3000000 };
    char *big = mem_zalloc(SIZE + 1);
    memset(big, 'x', SIZE);
    begin(WSCONN_CLIENT);
    say(big);
    CHECK(ws_queued(ws) > 0);
    TURN_UNTIL(loop, peer_got(")"));
    TURN_UNTIL(loop, was_said("drained"));
    CHECK_INT(got.len, SIZE + 6);
    mem_free(big);
    end();
}

TEST(silence_ends_it)
{
    clock_fake(1000000);
    begin(WSCONN_SERVER);
    loop_advance(loop, 1700 * 1000);
    say("still here");
    loop_advance(loop, 1700 * 1000);
    CHECK_INT(said.len, 0);
    loop_advance(loop, 101 * 1000);
    CHECK_STR(buf_str(&said), "gone(timed out)");
    CHECK(peer_got("close(1001,)"));
    end();
}

TEST(pings_ask_for_a_sign_of_life)
{
    static const struct wsdeflate_params none = {0, false};
    clock_fake(1000000);
    begin_with(WSCONN_SERVER, (struct wsconns_settings){.ping_interval = 30}, &none);
    wsconn_start(ws, STR(""));
    loop_advance(loop, 31 * 1000);
    CHECK(peer_got("ping(pushpind)"));
    peer_sends("8a:pushpind");
    loop_poll(loop);
    loop_poll(loop);
    CHECK_INT(said.len, 0); /* the answer is ours */
    loop_advance(loop, 31 * 1000);
    CHECK(peer_got("ping(pushpind) ping(pushpind)"));
    loop_advance(loop, 31 * 1000);
    CHECK_STR(buf_str(&said), "gone(timed out)");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_both_ways),
        cmocka_unit_test(ready_frames_go_out_as_they_are),
        cmocka_unit_test(messages_are_compressed_where_that_was_agreed),
        cmocka_unit_test(input_from_before_is_read_first),
        cmocka_unit_test(a_quiet_one_keeps_little),
        cmocka_unit_test(peer_closes),
        cmocka_unit_test(we_close),
        cmocka_unit_test(who_leaves_hears_no_more),
        cmocka_unit_test(broken_rules_end_it),
        cmocka_unit_test(end_without_a_close_frame),
        cmocka_unit_test(paused_input_waits_and_comes_in_order),
        cmocka_unit_test(pause_amid_a_compressed_message),
        cmocka_unit_test(slow_peer_gets_all),
        cmocka_unit_test(close_handshake_has_its_time), /* from here on the clock is faked */
        cmocka_unit_test(silence_ends_it),
        cmocka_unit_test(pings_ask_for_a_sign_of_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
