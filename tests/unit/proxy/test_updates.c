#include "test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/updates.h"

#include <stdio.h>

enum { MANY = 250 };

static struct loop *loop;
static struct updates *updates;
static struct update all[MANY];
static unsigned started;

static void
on_start(struct update *u)
{
    (void)u;
    started++;
}

static void
begin(void)
{
    clock_fake(1000000);
    loop = loop_new();
    updates = updates_new(loop);
    started = 0;
    for (unsigned i = 0; i < MANY; i++)
        update_init(&all[i], on_start);
}

static void
end(void)
{
    for (unsigned i = 0; i < MANY; i++)
        updates_done(updates, &all[i]);
    updates_free(updates);
    loop_free(loop);
}

/* Queue updates FROM to TO-1. */
static void
add(unsigned from, unsigned to, const char *group, const char *origin)
{
    for (unsigned i = from; i < to; i++)
        updates_add(updates, &all[i], false, str_c(group), str_c(origin));
}

static void
finish(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        updates_done(updates, &all[i]);
}

TEST(a_hundred_of_a_group_start_every_tenth_of_a_second)
{
    begin();
    add(0, 250, "g", "o");
    loop_advance(loop, 80);
    CHECK_INT(started, 0);
    loop_advance(loop, 40);
    CHECK_INT(started, 100);
    finish(0, 100);
    loop_advance(loop, 50);
    CHECK_INT(started, 100);
    loop_advance(loop, 70);
    CHECK_INT(started, 200);
    finish(100, 200);
    loop_advance(loop, 120);
    CHECK_INT(started, 250);
    end();
}

TEST(groups_do_not_wait_for_each_other)
{
    begin();
    for (unsigned i = 0; i < 90; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%u", i);
        add(i, i + 1, name, "o");
    }
    loop_advance(loop, 120);
    CHECK_INT(started, 90);
    end();
}

TEST(a_hundred_at_most_are_under_way_at_one_origin)
{
    begin();
    add(0, 80, "g1", "o");
    add(80, 160, "g2", "o");
    add(160, 170, "g3", "elsewhere");
    loop_advance(loop, 400);
    CHECK_INT(started, 110);
    finish(0, 30);
    CHECK_INT(started, 110); /* never within the call */
    loop_advance(loop, 1);
    loop_poll(loop);
    CHECK_INT(started, 140);
    updates_done(updates, &all[159]); /* one that waits leaves */
    finish(30, 80);
    loop_advance(loop, 20);
    CHECK_INT(started, 169);
    end();
}

TEST(urgent_ones_do_not_wait)
{
    begin();
    add(0, 200, "g", "o");
    updates_add(updates, &all[150], true, STR("g"), STR("o"));
    updates_add(updates, &all[150], false, STR("g"), STR("o")); /* no way back */
    loop_advance(loop, 1);
    CHECK_INT(started, 1);
    loop_advance(loop, 150);
    CHECK_INT(started, 101);
    end();
}

TEST(what_is_over_may_come_again)
{
    begin();
    for (unsigned round = 1; round < 4; round++) {
        add(0, 1, "g", "o");
        add(0, 1, "g", "o");
        loop_advance(loop, 220);
        CHECK_INT(started, round);
        if (round == 2)
            finish(0, 1);
    }
    add(0, 1, "g", "o");
    finish(0, 1);
    loop_advance(loop, 300);
    CHECK_INT(started, 3);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_of_a_group_start_every_tenth_of_a_second),
        cmocka_unit_test(groups_do_not_wait_for_each_other),
        cmocka_unit_test(a_hundred_at_most_are_under_way_at_one_origin),
        cmocka_unit_test(urgent_ones_do_not_wait),
        cmocka_unit_test(what_is_over_may_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
