#include "stats/parts.h"
#include "stats/recorder.h"

TEST(a_connection_is_told_of_from_its_beginning_to_its_end)
{
    struct stats_conn c = {.who = "10.0.0.1", .slot = 3, .route = "r1", .secure = true};
    uint32_t conn;
    begin_settings();
    begin_stats();
    subscribe("conn ", true);
    conn = stats_conn_start(stats, &c);
    CHECK_SENT(
        "conn J{\"from\":\"PID\",\"id\":\"connmgr:0-1-1\",\"peer-address\":\"10.0.0.1\",\"route\":\"r1\",\"ssl\":true,"
        "\"ttl\":120,\"type\":\"http\"}\n");
    stats_conn_again(stats, conn);
    CHECK_INT(sent_lines(), 1);
    sent.len = 0;
    stats_conn_end(stats, 3, &conn, STATS_CLOSED_DONE);
    CHECK_INT(conn, 0);
    CHECK_SENT("conn J{\"from\":\"PID\",\"id\":\"connmgr:0-1-1\",\"route\":\"r1\",\"unavailable\":true}\n");
    stats_conn_end(stats, 3, &conn, STATS_CLOSED_DONE);
    CHECK_SENT("");
    CHECK_INT(stats->groups[3]->n[STATS_CLOSED_DONE], 1);
    CHECK_INT(stats->groups[3]->connections, 0);
    end();
}

TEST(a_connection_may_bring_its_own_id_and_address)
{
    struct stats_conn ws = {.who = "10.0.0.1", .ws = true};
    struct stats_conn forwarded = {.who = "10.0.0.1", .address = STR("192.0.2.1")};
    uint32_t a, b;
    char id[STATS_ID_MAX];
    begin_settings();
    begin_stats();
    subscribe("", true);
    a = stats_conn_start(stats, &ws);
    CHECK_SENT("conn J{\"from\":\"PID\",\"id\":\"id-of-10.0.0.1\",\"peer-address\":\"10.0.0.1\",\"ttl\":120,"
               "\"type\":\"ws\"}\n");
    b = stats_conn_start(stats, &forwarded);
    CHECK_SENT("conn J{\"from\":\"PID\",\"id\":\"connmgr:0-2-2\",\"peer-address\":\"192.0.2.1\",\"ttl\":120,"
               "\"type\":\"http\"}\n");
    CHECK_STR(stats_conn_id(stats, a, id), "id-of-10.0.0.1");
    CHECK_STR(stats_conn_id(stats, b, id), "connmgr:0-2-2");
    stats_conn_end(stats, 0, &a, STATS_CLOSED_DONE);
    end(); /* with one that is alive */
}

TEST(a_peer_without_an_address_has_none)
{
    begin_settings();
    begin_stats();
    subscribe("conn", true);
    begin_conn("", 0, NULL);
    CHECK_SENT("conn J{\"from\":\"PID\",\"id\":\"connmgr:0-1-1\",\"ttl\":120,\"type\":\"http\"}\n");
    end();
}

TEST(nothing_is_sent_to_nobody)
{
    uint32_t conn;
    begin_settings();
    begin_stats();
    subscribe("sub ", true);
    conn = begin_conn("a", 0, NULL);
    loop_advance(loop, 200000);
    CHECK_SENT("");
    subscribe("conn ", true);
    stats_conn_again(stats, conn);
    CHECK_INT(sent_lines(), 1);
    subscribe("conn ", false);
    sent.len = 0;
    stats_conn_end(stats, 0, &conn, STATS_CLOSED_DONE);
    loop_advance(loop, 200000);
    CHECK_SENT("");
    end();
}

TEST(the_loop_sleeps_while_nobody_listens)
{
    begin_settings();
    begin_stats();
    begin_conn("a", 0, NULL);
    CHECK(!timer_is_set(&stats->parts->tick));
    subscribe("conn ", true);
    CHECK(timer_is_set(&stats->parts->tick));
    subscribe("conn ", false);
    loop_advance(loop, 2000);
    CHECK(!timer_is_set(&stats->parts->tick));
    CHECK_INT(stats->groups[0]->n[STATS_MINUTES], 1);
    end();
}

TEST(without_a_socket_connections_are_counted_all_the_same)
{
    uint32_t conn;
    char id[STATS_ID_MAX];
    begin_settings();
    settings.spec = "";
    begin_stats();
    conn = begin_conn("a", 0, NULL);
    CHECK(conn != 0);
    CHECK_INT(stats->groups[0]->connections, 1);
    CHECK_STR(stats_conn_id(stats, conn, id), "");
    stats_conn_end(stats, 0, &conn, STATS_CLOSED_CLIENT);
    CHECK_INT(stats->groups[0]->connections, 0);
    CHECK_INT(stats->groups[0]->n[STATS_CLOSED_CLIENT], 1);
    end();
}

TEST(a_taken_address_is_an_error)
{
    struct err e;
    begin_settings();
    settings.spec = "taken";
    CHECK(stats_new(loop, NULL, &settings, &ops, &rooms, &e) == NULL);
    CHECK_STR(str_c(e.text), "unable to bind to taken");
    loop_free(loop);
}

/* "conn J{...,"id":"connmgr:0-N-N",...}": N of each line, in order. */
static unsigned
sent_ids(unsigned *out)
{
    unsigned n = 0, serial, number;
    struct str rest = buf_str(&sent), line;
    while (str_split(&rest, '\n', &line)) {
        ptrdiff_t at = str_find(line, STR("connmgr:0-"));
        if (at >= 0 && sscanf(line.ptr + at, "connmgr:0-%u-%u", &serial, &number) == 2)
            out[n++] = number;
    }
    sent.len = 0;
    return n;
}

TEST(connections_are_told_of_again_in_time_and_not_all_at_once)
{
    enum { N = 1000, PERIOD = 6 };
    uint32_t last[N + 1];
    unsigned ids[N + 1];
    begin_settings();
    settings.conn_ttl = 8;
    begin_stats();
    subscribe("conn ", true);
    for (unsigned i = 0; i < N; i++)
        begin_conn("a", 0, NULL);
    for (unsigned i = 1; i <= N; i++)
        last[i] = 0;
    CHECK_INT(sent_ids(ids), N);
    loop_advance(loop, 100); /* off the seconds, at which it happens */
    for (uint32_t second = 1; second <= 5 * PERIOD; second++) {
        unsigned n;
        loop_advance(loop, 1000);
        n = sent_ids(ids);
        CHECK(n >= N / PERIOD && n <= N / PERIOD + 1);
        for (unsigned i = 0; i < n; i++) {
            CHECK(second - last[ids[i]] <= PERIOD);
            CHECK(last[ids[i]] == 0 || second - last[ids[i]] == PERIOD);
            last[ids[i]] = second;
        }
    }
    for (unsigned i = 1; i <= N; i++)
        CHECK(last[i] > 4 * PERIOD);
    end();
}

TEST(an_id_is_found_while_its_connection_lives)
{
    uint32_t a, b;
    static const char *const none[] = {"",
                                       "connmgr:0-1-0",
                                       "connmgr:0-1-2",
                                       "connmgr:0-2-1",
                                       "connmgr:0-1-01",
                                       "1",
                                       "x-1",
                                       "connmgr:0-1-",
                                       "connmgr:0-1--1",
                                       "connmgr:0-1-1 ",
                                       "nope",
                                       "-",
                                       "a-1-1-1",
                                       "connmgr:0-1-99999999999999999999"};
    begin_settings();
    begin_stats();
    a = begin_conn("a", 0, NULL);
    CHECK(stats_conn_exists(stats, STR("connmgr:0-1-1")));
    for (size_t i = 0; i < countof(none); i++)
        CHECK(!stats_conn_exists(stats, str_c(none[i])));
    stats_conn_end(stats, 0, &a, STATS_CLOSED_DONE);
    CHECK(!stats_conn_exists(stats, STR("connmgr:0-1-1")));
    b = begin_conn("b", 0, NULL); /* in the same place, under another name */
    CHECK(!stats_conn_exists(stats, STR("connmgr:0-1-1")));
    CHECK(stats_conn_exists(stats, STR("connmgr:0-2-1")));
    CHECK(!stats_conn_exists(NULL, STR("connmgr:0-2-1")));
    stats_conn_end(stats, 0, &b, STATS_CLOSED_DONE);
    end();
}

TEST(connections_may_be_kept_silent)
{
    uint32_t conn;
    begin_settings();
    settings.send_conns = false;
    begin_stats();
    subscribe("conn ", true);
    conn = begin_conn("a", 0, NULL);
    stats_conn_again(stats, conn);
    stats_conn_end(stats, 0, &conn, STATS_CLOSED_DONE);
    CHECK_SENT("");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_told_of_from_its_beginning_to_its_end),
        cmocka_unit_test(a_connection_may_bring_its_own_id_and_address),
        cmocka_unit_test(a_peer_without_an_address_has_none),
        cmocka_unit_test(nothing_is_sent_to_nobody),
        cmocka_unit_test(the_loop_sleeps_while_nobody_listens),
        cmocka_unit_test(without_a_socket_connections_are_counted_all_the_same),
        cmocka_unit_test(a_taken_address_is_an_error),
        cmocka_unit_test(connections_are_told_of_again_in_time_and_not_all_at_once),
        cmocka_unit_test(an_id_is_found_while_its_connection_lives),
        cmocka_unit_test(connections_may_be_kept_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
