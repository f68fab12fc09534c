#include "stats/recorder.h"

#include "proto/tnet.h"

static void
begin(const char *topic)
{
    begin_settings();
    settings.report_interval = 10;
    begin_stats();
    subscribe(topic, true);
}

/* A field of the last report that has ROUTE ("": none), -1 when it is not there; -2: there is no such report. */
static int64_t
reported(const char *route, const char *key)
{
    struct str rest = buf_str(&sent), line;
    int64_t value = -2;
    while (str_split(&rest, '\n', &line)) {
        json_t *doc = str_starts(line, STR("report J")) ? json_loadb(line.ptr + 8, line.len - 8, 0, NULL) : NULL;
        const char *has = json_string_value(json_object_get(doc, "route"));
        json_t *field = json_object_get(doc, key);
        if (doc != NULL && strcmp(has != NULL ? has : "", route) == 0)
            value = field != NULL ? json_integer_value(field) : -1;
        json_decref(doc);
    }
    return value;
}

TEST(an_idle_daemon_reports_zeros)
{
    begin("report ");
    loop_advance(loop, 9000);
    CHECK_SENT("");
    loop_advance(loop, 1016);
    CHECK_INT(sent_lines(), 1);
    CHECK_INT(reported("", "connections"), 0);
    CHECK_INT(reported("", "received"), 0);
    CHECK_INT(reported("", "sent"), 0);
    CHECK_INT(reported("", "dropped"), 0);
    CHECK_INT(reported("", "blocks-sent"), -1);
    CHECK(reported("", "duration") >= 10000 && reported("", "duration") < 10100);
    sent.len = 0;
    loop_advance(loop, 30050);
    CHECK_INT(sent_lines(), 3);
    end();
}

TEST(no_interval_no_reports)
{
    begin_settings();
    settings.report_interval = -1;
    begin_stats();
    subscribe("report ", true);
    loop_advance(loop, 100000);
    CHECK_SENT("");
    end();
}

TEST(a_report_is_of_its_interval)
{
    uint32_t a, b;
    begin("report ");
    a = begin_conn("a", 0, NULL);
    b = begin_conn("b", 0, NULL);
    stats_conn_end(stats, 0, &b, STATS_CLOSED_DONE);
    stats_item(stats, 7);
    stats_add(stats, 0, STATS_SENT + STATS_HTTP_STREAM, 5);
    stats_add(stats, 0, STATS_SENT + STATS_HTTP_RESPONSE, 2);
    stats_add(stats, 0, STATS_DROPPED_FILTER, 1);
    stats_add(stats, 0, STATS_DROPPED_QUEUE, 1);
    stats_add(stats, 0, STATS_CLIENT_CONTENT_SENT, 100);
    loop_advance(loop, 10016);
    CHECK_INT(reported("", "connections"), 2);
    CHECK_INT(reported("", "connections-opened"), 2);
    CHECK_INT(reported("", "connections-closed"), 1);
    CHECK_INT(reported("", "minutes"), 2);
    CHECK_INT(reported("", "received"), 1);
    CHECK_INT(reported("", "sent"), 7);
    CHECK_INT(reported("", "http-response-sent"), 2);
    CHECK_INT(reported("", "dropped"), 2);
    CHECK_INT(reported("", "client-content-bytes-sent"), 100);
    CHECK_INT(reported("", "blocks-received"), -1); /* not configured */
    loop_advance(loop, 10000);
    CHECK_INT(reported("", "connections"), 1);
    CHECK_INT(reported("", "connections-opened"), 0);
    CHECK_INT(reported("", "sent"), 0);
    stats_conn_end(stats, 0, &a, STATS_CLOSED_DONE);
    end();
}

TEST(minutes_are_counted_for_each_connection_from_its_own_beginning)
{
    uint32_t a, b;
    begin("");
    a = begin_conn("a", 0, NULL);
    loop_advance(loop, 30000);
    b = begin_conn("b", 2, "r");
    loop_advance(loop, 29000);
    CHECK_INT(stats->groups[0]->n[STATS_MINUTES], 1);
    loop_advance(loop, 2000); /* 61 s, 31 s */
    CHECK_INT(stats->groups[0]->n[STATS_MINUTES], 2);
    CHECK_INT(stats->groups[2]->n[STATS_MINUTES], 1);
    loop_advance(loop, 60000); /* 121 s, 91 s */
    CHECK_INT(stats->groups[0]->n[STATS_MINUTES], 3);
    CHECK_INT(stats->groups[2]->n[STATS_MINUTES], 2);
    stats_conn_end(stats, 0, &a, STATS_CLOSED_DONE);
    stats_conn_end(stats, 2, &b, STATS_CLOSED_DONE);
    loop_advance(loop, 600000);
    CHECK_INT(stats->groups[0]->n[STATS_MINUTES], 3);
    CHECK_INT(stats->groups[2]->n[STATS_MINUTES], 2);
    end();
}

TEST(a_route_is_reported_until_it_is_idle)
{
    uint32_t a;
    begin("report ");
    loop_advance(loop, 5000);
    a = begin_conn("a", 4, "r1");
    loop_advance(loop, 5016);
    CHECK_INT(reported("r1", "connections"), 1);
    CHECK_INT(reported("r1", "received"), -1);
    CHECK(reported("r1", "duration") >= 5000 && reported("r1", "duration") < 5100); /* since it came to life */
    stats_conn_end(stats, 4, &a, STATS_CLOSED_DONE);
    sent.len = 0;
    loop_advance(loop, 10000);
    CHECK_INT(reported("r1", "connections"), 1); /* the most in the interval */
    sent.len = 0;
    loop_advance(loop, 10000);
    CHECK_INT(reported("r1", "connections"), 0);
    sent.len = 0;
    loop_advance(loop, 10000);
    CHECK_INT(reported("r1", "connections"), -2); /* forgotten */
    CHECK_INT(reported("", "connections"), 0);
    stats_activity(stats, 4, 1);
    loop_advance(loop, 10000);
    CHECK_INT(reported("r1", "connections"), 0);
    end();
}

TEST(activity_and_counts_follow_the_first_event_soon)
{
    uint32_t a, b;
    begin("");
    a = begin_conn("a", 0, NULL);
    b = begin_conn("b", 1, "r1");
    stats_activity(stats, 1, 2);
    sent.len = 0;
    loop_advance(loop, 150);
    CHECK_SENT("");
    loop_advance(loop, 70);
    CHECK_SENT("activity J{\"count\":1,\"from\":\"PID\"}\nactivity J{\"count\":3,\"from\":\"PID\",\"route\":\"r1\"}\n"
               "counts J{\"from\":\"PID\",\"requests-received\":2}\n");
    stats_activity(stats, 1, 1);
    loop_advance(loop, 220);
    CHECK_SENT("activity J{\"count\":1,\"from\":\"PID\",\"route\":\"r1\"}\n");
    stats_conn_end(stats, 0, &a, STATS_CLOSED_DONE);
    stats_conn_end(stats, 1, &b, STATS_CLOSED_DONE);
    end();
}

TEST(a_message_tells_of_its_receivers)
{
    struct stats_message m = {
        .channel = STR("a\nb"), .item_id = STR("i"), .how = STATS_HTTP_STREAM, .count = 3, .blocks = 4};
    begin("message ");
    stats_message(stats, &m);
    CHECK_SENT(
        "message "
        "J{\"channel\":\"a\\nb\",\"count\":3,\"from\":\"PID\",\"item-id\":\"i\",\"transport\":\"http-stream\"}\n");
    end();
    begin_settings();
    settings.block_size = 10;
    begin_stats();
    subscribe("m", true);
    m.item_id = str_of(NULL, 0);
    m.channel = STR("\xff\xc3\xa4\xe2\x82"); /* not UTF-8, so not JSON either */
    stats_message(stats, &m);
    CHECK_SENT("message J{\"blocks\":12,\"channel\":\"\xEF\xBF\xBD\xc3\xa4\xEF\xBF\xBD\xEF\xBF\xBD\",\"count\":3,"
               "\"from\":\"PID\",\"transport\":\"http-stream\"}\n");
    end();
}

TEST(messages_are_tnetstrings_where_json_was_not_asked_for)
{
    struct stats_message m = {.channel = STR("\xff\n"), .how = STATS_WS_MESSAGE, .count = 1};
    json_t *doc, *want;
    ptrdiff_t at;
    begin_settings();
    settings.json = false;
    begin_stats();
    subscribe("message T", true);
    stats_message(stats, &m);
    CHECK(str_starts(buf_str(&sent), STR("message T")));
    at = str_find(buf_str(&sent), STR("PID")); /* shorter than what its length says: put it back */
    CHECK(at > 0);
    doc = json_object();
    {
        struct buf whole = BUF_INIT(4096);
        char from[32];
        snprintf(from, sizeof from, "handler_%d", (int)getpid());
        buf_add(&whole, sent.ptr + 9, (size_t)at - 9);
        buf_adds(&whole, str_c(from));
        buf_add(&whole, sent.ptr + at + 3, sent.len - (size_t)at - 3);
        json_decref(doc);
        doc = tnet_parse(buf_str(&whole), NULL, NULL);
        CHECK(doc != NULL);
        want = json_pack("{s:s, s:i, s:s}", "from", from, "count", 1, "transport", "ws-message");
        json_object_set_new(want, "channel", json_stringn_nocheck("\xff\n", 2));
        buf_clear(&whole);
    }
    CHECK(json_equal(doc, want));
    json_decref(doc);
    json_decref(want);
    end();
}

TEST(nothing_is_counted_without_stats)
{
    struct stats_conn c = {.who = "a"};
    uint32_t conn = 0, entry = 0;
    char id[STATS_ID_MAX];
    CHECK_INT(stats_conn_start(NULL, &c), 0);
    stats_conn_again(NULL, 0);
    stats_conn_end(NULL, 0, &conn, STATS_CLOSED_DONE);
    stats_add(NULL, 0, STATS_REQUESTS, 1);
    stats_delivered(NULL, 0, STATS_HTTP_STREAM, 1, 1);
    stats_held(NULL, 0, STATS_HTTP_STREAM, 1);
    stats_origin_answer(NULL, 0, 200, 1);
    stats_activity(NULL, 0, 1);
    stats_item(NULL, 0);
    stats_message(NULL, &(struct stats_message){.count = 1});
    stats_sub(NULL, &entry, "a", STATS_HTTP_STREAM, 1);
    stats_sub_gone(NULL, &entry);
    CHECK_STR(stats_conn_id(NULL, 0, id), "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_daemon_reports_zeros),
        cmocka_unit_test(no_interval_no_reports),
        cmocka_unit_test(a_report_is_of_its_interval),
        cmocka_unit_test(minutes_are_counted_for_each_connection_from_its_own_beginning),
        cmocka_unit_test(a_route_is_reported_until_it_is_idle),
        cmocka_unit_test(activity_and_counts_follow_the_first_event_soon),
        cmocka_unit_test(a_message_tells_of_its_receivers),
        cmocka_unit_test(messages_are_tnetstrings_where_json_was_not_asked_for),
        cmocka_unit_test(nothing_is_counted_without_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
