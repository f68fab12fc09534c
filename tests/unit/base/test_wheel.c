#include "test.h"

#include "base/wheel.h"

#include <stdlib.h>

struct thing {
    struct timer timer;
    uint64_t due, fired;
};

static struct wheel wheel;
static uint64_t now;
static int fired;

static void
on_fire(struct timer *t)
{
    struct thing *x = container_of(t, struct thing, timer);
    x->fired = now;
    fired++;
}

static void
set(struct thing *x, uint64_t ms)
{
    x->due = now + ms;
    x->fired = 0;
    wheel_set(&wheel, &x->timer, now, ms);
}

static void
begin(void)
{
    now = 12345;
    fired = 0;
    wheel_init(&wheel, now);
}

TEST(timers_fire_at_most_a_tick_late_and_never_early)
{
    enum { N = 5000 };
    static struct thing things[N];
    begin();
    srand(1);
    for (int i = 0; i < N; i++) {
        timer_init(&things[i].timer, on_fire);
        set(&things[i], (uint64_t)rand() % (i % 4 == 0 ? 50 : i % 4 == 1 ? 5000 : i % 4 == 2 ? 200000 : 9000000));
    }
    while (fired < N) {
        uint64_t wait = wheel_next(&wheel, now);
        CHECK(wait != UINT64_MAX);
        now += wait > 0 ? wait : 1;
        wheel_advance(&wheel, now);
    }
    for (int i = 0; i < N; i++)
        CHECK(things[i].fired >= things[i].due && things[i].fired <= things[i].due + WHEEL_TICK_MS);
    CHECK(wheel_next(&wheel, now) == UINT64_MAX);
}

TEST(stopped_timer_does_not_fire_and_a_moved_one_fires_once)
{
    struct thing a, b;
    begin();
    timer_init(&a.timer, on_fire);
    timer_init(&b.timer, on_fire);
    set(&a, 100);
    set(&b, 100);
    set(&b, 100000);
    wheel_stop(&wheel, &a.timer);
    CHECK(!timer_is_set(&a.timer));
    now += 99000;
    wheel_advance(&wheel, now);
    CHECK_INT(fired, 0);
    now += 2000;
    wheel_advance(&wheel, now);
    CHECK_INT(fired, 1);
}

TEST(wheel_that_slept_long_fires_all_at_once)
{
    struct thing a, b;
    begin();
    timer_init(&a.timer, on_fire);
    timer_init(&b.timer, on_fire);
    set(&a, 20);
    set(&b, 80000000);
    now += 90000000;
    wheel_advance(&wheel, now);
    CHECK_INT(fired, 2);
}

static struct thing again;
static void
on_again(struct timer *t)
{
    if (++fired < 5)
        wheel_set(&wheel, t, now, 0);
}

TEST(timer_set_from_its_own_callback_waits_for_the_next_tick)
{
    begin();
    timer_init(&again.timer, on_again);
    wheel_set(&wheel, &again.timer, now, 0);
    for (int i = 1; i <= 5; i++) {
        now += WHEEL_TICK_MS;
        wheel_advance(&wheel, now);
        CHECK_INT(fired, i);
    }
}

static void
on_period(struct timer *t)
{
    CHECK(fired < 10);
    on_fire(t);
    wheel_set(&wheel, t, now, 1000); /* 63 ticks: with the one that we are late by a whole round of the lowest level */
}

TEST(only_timer_that_is_late_and_sets_itself_again_fires_once)
{
    for (uint64_t late = WHEEL_TICK_MS; late < 200; late++) {
        struct thing x;
        begin();
        timer_init(&x.timer, on_period);
        set(&x, 1000);
        now += 1000 + late;
        wheel_advance(&wheel, now);
        CHECK_INT(fired, 1);
        now += 1000 + WHEEL_TICK_MS;
        wheel_advance(&wheel, now);
        CHECK_INT(fired, 2);
        wheel_stop(&wheel, &x.timer);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_at_most_a_tick_late_and_never_early),
        cmocka_unit_test(stopped_timer_does_not_fire_and_a_moved_one_fires_once),
        cmocka_unit_test(wheel_that_slept_long_fires_all_at_once),
        cmocka_unit_test(only_timer_that_is_late_and_sets_itself_again_fires_once),
        cmocka_unit_test(timer_set_from_its_own_callback_waits_for_the_next_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
