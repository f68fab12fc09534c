#include "stats/recorder.h"

#define UP(mode, n)                                                                                                    \
    "sub J{\"channel\":\"a\",\"from\":\"PID\",\"mode\":\"" mode "\",\"subscribers\":" #n ",\"ttl\":60}\n"
#define GONE(mode) "sub J{\"channel\":\"a\",\"from\":\"PID\",\"mode\":\"" mode "\",\"unavailable\":true}\n"

static struct room *const a = &rooms[0];

static void
begin(void)
{
    begin_settings();
    begin_stats();
    subscribe("sub ", true);
    a->name = "a";
}

TEST(the_first_and_last_stream_are_told_at_once)
{
    begin();
    change(a, STATS_HTTP_STREAM, 1);
    CHECK_SENT(UP("stream", 1));
    change(a, STATS_WS_MESSAGE, 1);
    CHECK_SENT(UP("ws", 1));
    change(a, STATS_HTTP_STREAM, 0);
    CHECK_SENT(GONE("stream"));
    change(a, STATS_WS_MESSAGE, 0);
    CHECK_SENT(GONE("ws"));
    stats_sub_gone(stats, &a->entry);
    CHECK_SENT("");
    CHECK_INT(a->entry, 0);
    end();
}

TEST(a_changed_number_is_told_within_a_second)
{
    begin();
    change(a, STATS_HTTP_STREAM, 1);
    sent.len = 0;
    for (unsigned n = 2; n <= 500; n++)
        change(a, STATS_HTTP_STREAM, n);
    CHECK_SENT("");
    loop_advance(loop, 1016);
    CHECK_SENT_TOO(UP("stream", 500));
    loop_advance(loop, 40000);
    CHECK_SENT("");
    end();
}

TEST(response_holds_linger)
{
    begin();
    change(a, STATS_HTTP_RESPONSE, 1);
    CHECK_SENT(UP("response", 1));
    change(a, STATS_HTTP_RESPONSE, 0);
    loop_advance(loop, 30000);
    CHECK(sent_lines() <= 1); /* a refresh */
    sent.len = 0;
    change(a, STATS_HTTP_RESPONSE, 1); /* the client polls again */
    CHECK_SENT(UP("response", 1));
    loop_advance(loop, 44000);
    CHECK_SENT(UP("response", 1));
    change(a, STATS_HTTP_RESPONSE, 0);
    subscribe("sub ", true); /* a second peer, by another topic */
    sent.len = 0;
    loop_advance(loop, 60000);
    CHECK(str_find(buf_str(&sent), STR("unavailable")) < 0);
    sent.len = 0;
    loop_advance(loop, 1016);
    CHECK_SENT(GONE("response"));
    loop_advance(loop, 120000);
    CHECK_SENT("");
    end();
}

TEST(a_channel_that_ends_takes_its_lingering_modes_along)
{
    begin();
    change(a, STATS_HTTP_RESPONSE, 1);
    change(a, STATS_HTTP_RESPONSE, 0);
    sent.len = 0;
    stats_sub_gone(stats, &a->entry);
    CHECK_SENT(GONE("response"));
    loop_advance(loop, 200000);
    CHECK_SENT("");
    end();
}

TEST(a_place_that_is_used_again_is_not_taken_for_the_old_one)
{
    begin();
    change(a, STATS_HTTP_STREAM, 1);
    change(a, STATS_HTTP_STREAM, 2); /* pending */
    change(a, STATS_HTTP_STREAM, 0);
    stats_sub_gone(stats, &a->entry);
    rooms[1].name = "b";
    change(&rooms[1], STATS_HTTP_STREAM, 1);
    CHECK_INT(rooms[1].entry, 1);
    sent.len = 0;
    loop_advance(loop, 1016);
    CHECK(sent_lines() <= 1); /* a refresh */
    CHECK(str_find(buf_str(&sent), STR("\"a\"")) < 0);
    end();
}

TEST(subscriptions_are_refreshed_in_three_quarters_of_their_time)
{
    begin();
    change(a, STATS_HTTP_STREAM, 1);
    sent.len = 0;
    loop_advance(loop, 45016);
    CHECK_SENT(UP("stream", 1));
    for (int i = 0; i < 3; i++) {
        loop_advance(loop, 45000);
        CHECK_SENT(UP("stream", 1));
    }
    end();
}

TEST(who_comes_late_is_told_what_there_is)
{
    begin_settings();
    begin_stats();
    a->name = "a";
    change(a, STATS_HTTP_STREAM, 3);
    CHECK_INT(a->entry, 0); /* nobody wants to know */
    subscribe("sub J{\"channel\":\"a\"", true);
    CHECK(a->entry != 0);
    loop_advance(loop, 1016);
    CHECK_SENT_TOO(UP("stream", 3));
    subscribe("sub J{\"channel\":\"a\"", false);
    loop_advance(loop, 100000);
    change(a, STATS_HTTP_STREAM, 4);
    CHECK_SENT("");
    stats_sub_gone(stats, &a->entry);
    CHECK_INT(a->entry, 0);
    end();
}

TEST(many_channels_are_told_in_slices)
{
    enum { N = 1000 };
    static struct room many[N];
    begin();
    for (unsigned i = 0; i < N; i++) {
        many[i] = (struct room){.name = "a"};
        change(&many[i], STATS_HTTP_STREAM, 1);
        change(&many[i], STATS_HTTP_STREAM, 2);
    }
    CHECK_INT(sent_lines(), N);
    sent.len = 0;
    loop_advance(loop, 1016);
    CHECK(sent_lines() >= N);
    for (unsigned i = 0; i < N; i++)
        stats_sub_gone(stats, &many[i].entry);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_last_stream_are_told_at_once),
        cmocka_unit_test(a_changed_number_is_told_within_a_second),
        cmocka_unit_test(response_holds_linger),
        cmocka_unit_test(a_channel_that_ends_takes_its_lingering_modes_along),
        cmocka_unit_test(a_place_that_is_used_again_is_not_taken_for_the_old_one),
        cmocka_unit_test(subscriptions_are_refreshed_in_three_quarters_of_their_time),
        cmocka_unit_test(who_comes_late_is_told_what_there_is),
        cmocka_unit_test(many_channels_are_told_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
