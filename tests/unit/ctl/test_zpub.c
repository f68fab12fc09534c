#include "ctl/peer.h"

#include "base/clock.h"
#include "ctl/zpub.h"

static struct zpub *zpub;

static int
open_zpub(bool pull, char **subs, unsigned n_subs, bool sub_connect, struct err *e)
{
    struct zpub_settings s = {
        .pull_spec = pull ? pull_spec : "", .sub_specs = {subs, n_subs}, .sub_connect = sub_connect, .ipc_mode = 0600};
    zpub = zpub_new(loop, context, &s, (struct publish *)&published, e);
    return zpub != NULL ? 0 : -1;
}

static void
begin_pull(void)
{
    begin_peer(ZMQ_PUSH);
    CHECK_INT(open_zpub(true, NULL, 0, false, NULL), 0);
    CHECK_INT(zmq_connect(peer, pull_spec), 0);
}

static void
begin_sub(void)
{
    char *subs[] = {sub_spec};
    begin_peer(ZMQ_XPUB);
    CHECK_INT(open_zpub(false, subs, 1, false, NULL), 0);
    CHECK_INT(zmq_connect(peer, sub_spec), 0);
}

static void
end(void)
{
    if (zpub != NULL)
        zpub_free(zpub);
    zpub = NULL;
    end_peer();
}

static void
push(const char *body)
{
    peer_send(body, strlen(body), 0);
}

static void
send_pair(const char *channel, const char *body)
{
    peer_send(channel, strlen(channel), ZMQ_SNDMORE);
    peer_send(body, strlen(body), 0);
}

#define TNET "61:7:channel,1:c,7:formats,33:11:http-stream,14:7:content,1:t,}}}"

TEST(pull_takes_every_encoding)
{
    begin_pull();
    push(TNET);
    push("T" TNET "and more");
    push("J{\"channel\":\"c\",\"http-stream\":{\"content-bin\":\"ag==\"}}");
    TURN_UNTIL(loop, n_published == 3);
    CHECK_STR(buf_str(&published), "c=t\nc=t\nc=j\n");
    end();
}

TEST(pull_skips_bad_messages_with_a_warning)
{
    static const struct {
        const char *body, *warning;
    } rows[] = {
        {"junk", " (tnetstring parse failed), skipping"},
        {"", " (tnetstring parse failed), skipping"},
        {"T", " (tnetstring parse failed), skipping"},
        {"5:abc,", " (tnetstring parse failed), skipping"},
        {"J{", " (json parse failed), skipping"},
        {"J[]", " (not a valid json object), skipping"},
        {"J1", " (not a valid json object), skipping"},
        {"4:1:1#]", ": publish item object is not an object, skipping"},
        {"14:7:channel,1:a,}", ": no formats specified, skipping"},
        {"J{\"http-stream\":{\"content\":\"x\"}}", ": publish item object does not contain 'channel', skipping"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char want[200];
        begin_pull();
        push(rows[i].body);
        push(TNET);
        TURN_UNTIL(loop, n_published == 1);
        snprintf(want, sizeof want, "IN pull: received message with invalid format%s", rows[i].warning);
        CHECK_INT(logged("[WARN]", want), 1);
        end();
    }
}

TEST(pull_takes_one_frame_only)
{
    begin_pull();
    send_pair(TNET, TNET);
    push(TNET);
    TURN_UNTIL(loop, n_published == 1);
    CHECK_INT(logged("[WARN]", "IN pull: received message with parts != 1, skipping"), 1);
    end();
}

TEST(messages_are_shown_at_debug_level)
{
    char *subs[] = {sub_spec};
    begin_peer(ZMQ_XPUB);
    log_set_level(LOG_DEBUG);
    CHECK_INT(open_zpub(false, subs, 1, false, NULL), 0);
    CHECK_INT(zmq_connect(peer, sub_spec), 0);
    zpub_subscribe(zpub, STR("room"));
    CHECK_STR(peer_recv(), "\001room");
    send_pair("room", "J{\"http-stream\":{\"content\":\"x\\n\"}}");
    TURN_UNTIL(loop, n_published == 1);
    CHECK_INT(logged("[DEBUG]", "SUB socket subscribe: room"), 1);
    CHECK_INT(logged("[DEBUG]", "IN sub: channel=room { \"http-stream\": { \"content\": \"x\\n\" } }"), 1);
    end();
}

TEST(sub_follows_the_channels)
{
    struct str got;
    begin_sub();
    zpub_subscribe(zpub, STR("a"));
    CHECK_STR(peer_recv(), "\001a");
    send_pair("b", TNET);
    send_pair("a", TNET);
    TURN_UNTIL(loop, n_published == 1);
    zpub_unsubscribe(zpub, STR("a"));
    got = peer_recv();
    CHECK(got.len == 2 && got.ptr[0] == 0 && got.ptr[1] == 'a');
    zpub_subscribe(zpub, STR("b"));
    CHECK_STR(peer_recv(), "\001b");
    send_pair("a", TNET);
    send_pair("b", TNET);
    TURN_UNTIL(loop, n_published == 2);
    CHECK_STR(buf_str(&published), "a=t\nb=t\n");
    end();
}

TEST(sub_takes_the_channel_of_the_frame)
{
    begin_sub();
    zpub_subscribe(zpub, STR(""));
    CHECK_STR(peer_recv(), "\001");
    send_pair("frame", "J{\"http-stream\":{\"content\":\"x\"}}");
    send_pair("frame", TNET);
    send_pair("", TNET);
    TURN_UNTIL(loop, n_published == 3);
    CHECK_STR(buf_str(&published), "frame=x\nframe=t\nc=t\n");
    peer_send("single", 6, 0);
    send_pair("c", "junk");
    send_pair("c", TNET);
    TURN_UNTIL(loop, n_published == 4);
    CHECK_INT(logged("[WARN]", "IN sub: received message with parts != 2, skipping"), 1);
    CHECK_INT(logged("[WARN]", "IN sub: received message with invalid format (tnetstring parse failed), skipping"), 1);
    end();
}

TEST(sub_connects_where_it_is_told_to)
{
    char *subs[] = {sub_spec};
    begin_peer(ZMQ_XPUB);
    CHECK_INT(zmq_bind(peer, sub_spec), 0);
    CHECK_INT(open_zpub(false, subs, 1, true, NULL), 0);
    zpub_subscribe(zpub, STR("c"));
    CHECK_STR(peer_recv(), "\001c");
    send_pair("c", TNET);
    TURN_UNTIL(loop, n_published == 1);
    end();
}

TEST(both_inputs_are_bound_and_every_spec)
{
    char second[] = "inproc://second", *subs[] = {sub_spec, second};
    struct stat st;
    begin_peer(ZMQ_PUSH);
    CHECK_INT(open_zpub(true, subs, 2, false, NULL), 0);
    CHECK_INT(stat(pull_spec + strlen("ipc://"), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(stat(sub_spec + strlen("ipc://"), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    end();
}

TEST(failed_bind_closes_all)
{
    char bad[] = "tcp://no.such.interface:1", *subs[] = {bad};
    struct err e;
    begin_peer(ZMQ_PUSH);
    CHECK_INT(open_zpub(true, subs, 1, false, &e), -1);
    CHECK(str_starts(str_c(e.text), STR("unable to bind to tcp://no.such.interface:1: ")));
    CHECK_INT(open_zpub(true, NULL, 0, false, &e), 0);
    zpub_subscribe(zpub, STR("without a SUB socket"));
    zpub_unsubscribe(zpub, STR("without a SUB socket"));
    end();
}

/* The last: the clock stands still from here on. */
TEST(flood_of_garbage_is_not_as_many_lines)
{
    static const char line[] = "IN pull: received message with invalid format (tnetstring parse failed), skipping";
    clock_fake(1000000);
    begin_pull();
    for (int i = 0; i < 500; i++)
        push("junk");
    push(TNET);
    TURN_UNTIL(loop, n_published == 1);
    CHECK_INT(logged("[WARN]", line), 100);
    clock_fake_advance(1000 + WHEEL_TICK_MS);
    loop_poll(loop);
    CHECK_INT(logged("[WARN]", "IN pull: 400 more warnings left out"), 1);
    push("junk");
    TURN_UNTIL(loop, logged("[WARN]", line) == 101);
    clock_fake_advance(1000 + WHEEL_TICK_MS);
    loop_poll(loop);
    CHECK_INT(logged("[WARN]", "IN pull: 0 more warnings left out"), 0);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_takes_every_encoding),        cmocka_unit_test(pull_skips_bad_messages_with_a_warning),
        cmocka_unit_test(pull_takes_one_frame_only),        cmocka_unit_test(messages_are_shown_at_debug_level),
        cmocka_unit_test(sub_follows_the_channels),         cmocka_unit_test(sub_takes_the_channel_of_the_frame),
        cmocka_unit_test(sub_connects_where_it_is_told_to), cmocka_unit_test(both_inputs_are_bound_and_every_spec),
        cmocka_unit_test(failed_bind_closes_all),           cmocka_unit_test(flood_of_garbage_is_not_as_many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
