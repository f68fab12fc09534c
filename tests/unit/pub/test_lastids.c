#include "test.h"

#include "base/clock.h"
#include "pub/lastids.h"

#include <stdio.h>

TEST(a_pair_is_seen_once)
{
    struct lastids *l;
    clock_fake(1000);
    l = lastids_new(60000);
    CHECK(!lastids_seen(l, STR("c"), STR("1")));
    CHECK(lastids_seen(l, STR("c"), STR("1")));
    CHECK(!lastids_seen(l, STR("c"), STR("2")));
    CHECK(!lastids_seen(l, STR("d"), STR("1")));
    CHECK_INT(lastids_count(l), 3);
    lastids_free(l);
}

TEST(channel_and_id_do_not_run_into_each_other)
{
    struct lastids *l;
    clock_fake(1000);
    l = lastids_new(60000);
    CHECK(!lastids_seen(l, STR("ab"), STR("c")));
    CHECK(!lastids_seen(l, STR("a"), STR("bc")));
    CHECK(!lastids_seen(l, STR(""), STR("abc")));
    CHECK(!lastids_seen(l, STR("abc"), STR("")));
    CHECK(lastids_seen(l, STR("abc"), STR("")));
    lastids_free(l);
}

TEST(it_is_forgotten_in_time_and_seeing_it_again_adds_none)
{
    struct lastids *l;
    clock_fake(1000);
    l = lastids_new(60000);
    CHECK(!lastids_seen(l, STR("c"), STR("1")));
    clock_fake_advance(30000);
    CHECK(!lastids_seen(l, STR("c"), STR("2")));
    clock_fake_advance(29999);
    CHECK(lastids_seen(l, STR("c"), STR("1")));
    clock_fake_advance(1);
    CHECK(!lastids_seen(l, STR("c"), STR("1")));
    CHECK(lastids_seen(l, STR("c"), STR("2")));
    clock_fake_advance(70000);
    CHECK(!lastids_seen(l, STR("x"), STR("x")));
    CHECK_INT(lastids_count(l), 1); /* the memory of what is over is given back */
    lastids_free(l);
}

TEST(the_oldest_make_room)
{
    struct lastids *l;
    char id[20];
    clock_fake(1000);
    l = lastids_new(60000);
    for (int i = 0; i < LASTIDS_MAX + 10; i++) {
        snprintf(id, sizeof id, "%d", i);
        CHECK(!lastids_seen(l, STR("c"), str_c(id)));
    }
    CHECK_INT(lastids_count(l), LASTIDS_MAX);
    CHECK(lastids_seen(l, STR("c"), STR("100")));
    CHECK(!lastids_seen(l, STR("c"), STR("5")));
    lastids_free(l);
}

/* Of long ones a digest is remembered, and they are told apart all the same. */
TEST(long_pairs)
{
    enum { LONG = 100000 };
    static char a[LONG], b[LONG];
    struct lastids *l;
    clock_fake(1000);
    l = lastids_new(60000);
    memset(a, 'x', LONG);
    memset(b, 'x', LONG);
    b[LONG - 1] = 'y';
    CHECK(!lastids_seen(l, str_of(a, LONG), STR("1")));
    CHECK(!lastids_seen(l, str_of(b, LONG), STR("1")));
    CHECK(!lastids_seen(l, str_of(a, LONG), str_of(b, LONG)));
    CHECK(!lastids_seen(l, str_of(b, LONG), str_of(a, LONG)));
    CHECK(!lastids_seen(l, STR("1"), str_of(a, LONG)));
    CHECK(!lastids_seen(l, str_of(a, LONG - 1), STR("x1"))); /* cut at another place */
    CHECK(lastids_seen(l, str_of(a, LONG), STR("1")));
    CHECK(lastids_seen(l, str_of(b, LONG), str_of(a, LONG)));
    for (size_t n = 0; n <= 2 * LASTIDS_KEY_MAX; n++)
        CHECK(!lastids_seen(l, STR("c"), str_of(a, n)));
    for (size_t n = 0; n <= 2 * LASTIDS_KEY_MAX; n++)
        CHECK(lastids_seen(l, STR("c"), str_of(a, n)));
    lastids_free(l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_seen_once),
        cmocka_unit_test(channel_and_id_do_not_run_into_each_other),
        cmocka_unit_test(it_is_forgotten_in_time_and_seeing_it_again_adds_none),
        cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(long_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
