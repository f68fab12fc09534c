#include "test.h"

#include "origin/wsqueue.h"

static struct wsqueue q;

static void
check_offer(bool one, const char *want)
{
    struct buf b = BUF_INIT(1000);
    wsqueue_offer(&q, one, &b);
    CHECK_STR(b.ptr != NULL ? buf_str(&b) : STR(""), want);
    buf_clear(&b);
}

TEST(all_is_accepted)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR("one"));
    wsqueue_add(&q, WSEVENT_PING, STR(""));
    CHECK_INT(q.bytes, 3);
    check_offer(false, "TEXT 3\r\none\r\nPING\r\n");
    wsqueue_add(&q, WSEVENT_TEXT, STR("later"));
    CHECK_INT(wsqueue_accept(&q, UINT64_MAX), 0);
    CHECK_INT(q.replayed, 0);
    check_offer(false, "TEXT 5\r\nlater\r\n");
    CHECK_INT(wsqueue_accept(&q, 5), 0);
    CHECK(wsqueue_empty(&q) && q.bytes == 0);
    check_offer(false, "");
    CHECK_INT(wsqueue_accept(&q, 0), 0);
}

TEST(one_at_a_time)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR(""));
    wsqueue_add(&q, WSEVENT_TEXT, STR("b"));
    check_offer(true, "TEXT\r\n");
    CHECK_INT(wsqueue_accept(&q, UINT64_MAX), 0);
    check_offer(true, "TEXT 1\r\nb\r\n");
    wsqueue_add(&q, WSEVENT_TEXT, STR("c"));
    check_offer(true, "TEXT 1\r\nb\r\n");
    CHECK_INT(wsqueue_accept(&q, 0), -1); /* not all was offered: there would be no progress */
    wsqueue_clear(&q);
}

TEST(what_came_meanwhile_is_not_held_back)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR("one"));
    check_offer(false, "TEXT 3\r\none\r\n");
    wsqueue_add(&q, WSEVENT_TEXT, STR("two"));
    CHECK_INT(wsqueue_accept(&q, 0), 0);
    CHECK(!q.held_back && q.replayed == 3);
    check_offer(false, "TEXT 3\r\none\r\nTEXT 3\r\ntwo\r\n");
    CHECK_INT(wsqueue_accept(&q, 0), 0);
    CHECK(q.held_back && q.replayed == 6);
    wsqueue_clear(&q);
}

TEST(a_request_has_a_bounded_body)
{
    static char large[WSQUEUE_OFFER_MAX];
    struct buf b = BUF_INIT(1 << 20);
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, str_of(large, 10));
    wsqueue_add(&q, WSEVENT_BINARY, str_of(large, sizeof large));
    wsqueue_add(&q, WSEVENT_PING, STR(""));
    wsqueue_add(&q, WSEVENT_PING, STR("x"));
    wsqueue_offer(&q, false, &b);
    CHECK(q.offered == 1 && !q.offered_last);
    CHECK_INT(wsqueue_accept(&q, UINT64_MAX), 0);
    CHECK(!q.held_back);
    wsqueue_offer(&q, false, &b);
    CHECK(q.offered == 2 && !q.offered_last && q.offered_bytes == sizeof large);
    buf_clear(&b);
    wsqueue_clear(&q);
}

TEST(a_part_is_accepted)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR("bcd"));
    wsqueue_add(&q, WSEVENT_PING, STR(""));
    wsqueue_add(&q, WSEVENT_BINARY, STR("efg"));
    check_offer(false, "TEXT 3\r\nbcd\r\nPING\r\nBINARY 3\r\nefg\r\n");
    CHECK_INT(wsqueue_accept(&q, 4), 0);
    CHECK(q.held_back && q.replayed == 2 && q.bytes == 2);
    check_offer(false, "BINARY 2\r\nfg\r\n");
    CHECK_INT(wsqueue_accept(&q, 0), 0);
    CHECK(q.held_back && q.replayed == 2);
    wsqueue_add(&q, WSEVENT_PING, STR(""));
    CHECK(!q.held_back);
    check_offer(false, "BINARY 2\r\nfg\r\nPING\r\n");
    CHECK_INT(wsqueue_accept(&q, 2), 0);
    CHECK(wsqueue_empty(&q) && q.replayed == 0);
}

TEST(more_than_was_offered_cannot_be)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR("a"));
    check_offer(false, "TEXT 1\r\na\r\n");
    CHECK_INT(wsqueue_accept(&q, 2), -1);
    wsqueue_clear(&q);
}

TEST(a_close_is_accepted_with_the_data_or_later)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR("ab"));
    wsqueue_add(&q, WSEVENT_CLOSE, STR("\x03\xe8"));
    check_offer(false, "TEXT 2\r\nab\r\nCLOSE 2\r\n\x03\xe8\r\n");
    CHECK_INT(wsqueue_accept(&q, 1), 0);
    check_offer(false, "TEXT 1\r\nb\r\nCLOSE 2\r\n\x03\xe8\r\n");
    CHECK_INT(wsqueue_accept(&q, 1), -1); /* all data, but not the close */
    wsqueue_clear(&q);
}

TEST(what_came_meanwhile_is_new)
{
    wsqueue_init(&q);
    wsqueue_add(&q, WSEVENT_TEXT, STR("one"));
    check_offer(false, "TEXT 3\r\none\r\n");
    wsqueue_add(&q, WSEVENT_BINARY, STR("two"));
    CHECK_INT(wsqueue_accept(&q, 0), 0);
    CHECK(!q.held_back && q.replayed == 3);
    check_offer(false, "TEXT 3\r\none\r\nBINARY 3\r\ntwo\r\n");
    CHECK_INT(wsqueue_accept(&q, 4), 0);
    CHECK(q.held_back && q.bytes == 2);
    wsqueue_clear(&q);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_accepted),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(what_came_meanwhile_is_not_held_back),
        cmocka_unit_test(a_request_has_a_bounded_body),
        cmocka_unit_test(a_part_is_accepted),
        cmocka_unit_test(more_than_was_offered_cannot_be),
        cmocka_unit_test(a_close_is_accepted_with_the_data_or_later),
        cmocka_unit_test(what_came_meanwhile_is_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
