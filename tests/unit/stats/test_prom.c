#include "stats/recorder.h"

#include "stats/prom.h"

#include <stdlib.h>

static struct buf text;

static void
begin(void)
{
    begin_settings();
    settings.spec = NULL;
    begin_stats();
    text = BUF_INIT(1 << 20);
}

static void
put(const char *prefix)
{
    buf_clear(&text);
    prom_put(stats, prefix, true, &text);
}

static void
end_text(void)
{
    buf_clear(&text);
    end();
}

static bool
has(const char *line)
{
    struct str rest = buf_str(&text), one;
    while (str_split(&rest, '\n', &one))
        if (str_eq(one, str_c(line)))
            return true;
    return false;
}

TEST(without_messages_their_numbers_stay_0)
{
    uint32_t a;
    begin();
    a = begin_conn("a", 0, NULL);
    stats_item(stats, 0);
    stats_add(stats, 0, STATS_SENT, 5);
    prom_put(stats, "", false, &text);
    CHECK(has("message_received 0"));
    CHECK(has("message_sent{transport=\"http-response\"} 0"));
    CHECK(has("request_received 1"));
    stats_conn_end(stats, 0, &a, STATS_CLOSED_CLIENT);
    end_text();
}

TEST(the_old_names_are_there_for_one_group_as_they_were)
{
    uint32_t a, b;
    begin();
    a = begin_conn("a", 0, NULL);
    b = begin_conn("b", 0, NULL);
    stats_conn_end(stats, 0, &b, STATS_CLOSED_CLIENT);
    stats_item(stats, 0);
    put("p_");
    CHECK(has("# HELP p_request_received Number of requests received"));
    CHECK(has("# TYPE p_request_received counter"));
    CHECK(has("p_request_received 2"));
    CHECK(has("# TYPE p_connection_connected gauge"));
    CHECK(has("p_connection_connected 1"));
    CHECK(has("p_connection_minute 2"));
    CHECK(has("p_message_received 1"));
    CHECK(has("p_connection_closed{reason=\"client\"} 1"));
    CHECK(has("p_connection_closed{reason=\"done\"} 0"));
    CHECK(has("p_connection_held{transport=\"http-stream\"} 0"));
    stats_conn_end(stats, 0, &a, STATS_CLOSED_DONE);
    end_text();
}

TEST(routes_have_a_label)
{
    uint32_t a;
    begin();
    a = begin_conn("a", 7, "x\"\\\n");
    stats_add(stats, 7, STATS_SENT + STATS_HTTP_STREAM, 3);
    stats_add(stats, 99, STATS_SENT + STATS_HTTP_STREAM, 4); /* a route that nobody has asked for */
    stats_held(stats, 7, STATS_HTTP_STREAM, 1);
    put("");
    CHECK(has("message_sent{route=\"x\\\"\\\\\\n\",transport=\"http-stream\"} 3"));
    CHECK(has("message_sent{transport=\"http-stream\"} 4"));
    CHECK(has("connection_connected{route=\"x\\\"\\\\\\n\"} 1"));
    CHECK(has("connection_held{route=\"x\\\"\\\\\\n\",transport=\"http-stream\"} 1"));
    CHECK(!has("message_received{route=\"x\\\"\\\\\\n\"} 0"));
    stats_conn_end(stats, 7, &a, STATS_CLOSED_DONE);
    end_text();
}

TEST(histograms_are_cumulative)
{
    begin();
    stats_delivered(stats, 0, STATS_HTTP_STREAM, 100, 2);
    stats_delivered(stats, 0, STATS_HTTP_STREAM, 101, 3);
    stats_delivered(stats, 0, STATS_HTTP_STREAM, 60000000, 1);
    stats_origin_answer(stats, 0, 204, 1500);
    stats_origin_answer(stats, 0, 700, 1500);
    put("");
    CHECK(has("# TYPE message_delivery_seconds histogram"));
    CHECK(has("message_delivery_seconds_bucket{transport=\"http-stream\",le=\"0.0001\"} 2"));
    CHECK(has("message_delivery_seconds_bucket{transport=\"http-stream\",le=\"0.00025\"} 5"));
    CHECK(has("message_delivery_seconds_bucket{transport=\"http-stream\",le=\"10\"} 5"));
    CHECK(has("message_delivery_seconds_bucket{transport=\"http-stream\",le=\"+Inf\"} 6"));
    CHECK(has("message_delivery_seconds_sum{transport=\"http-stream\"} 60.000503"));
    CHECK(has("message_delivery_seconds_count{transport=\"http-stream\"} 6"));
    CHECK(has("origin_response_seconds_bucket{le=\"0.001\"} 0"));
    CHECK(has("origin_response_seconds_bucket{le=\"0.0025\"} 2"));
    CHECK(has("origin_result{result=\"2xx\"} 1"));
    CHECK(has("origin_result{result=\"other\"} 1"));
    end_text();
}

TEST(resident_memory_is_told)
{
    ptrdiff_t at;
    begin();
    put("p_");
    at = str_find(buf_str(&text), STR("\np_process_resident_memory_bytes "));
    CHECK(at >= 0);
    CHECK(strtoull(text.ptr + at + 33, NULL, 10) > 100000);
    end_text();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_messages_their_numbers_stay_0),
        cmocka_unit_test(the_old_names_are_there_for_one_group_as_they_were),
        cmocka_unit_test(routes_have_a_label),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(resident_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
