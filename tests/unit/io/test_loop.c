#include "io/turns.h"

#include "base/clock.h"
#include "io/loopbase.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static struct loop *loop;
static char letter[128][2]; /* a letter's own place, to be pointed at */
static char order[64];      /* one letter for each thing that happened */

static void
note(char c)
{
    size_t n = strlen(order);
    CHECK(n + 1 < sizeof order);
    order[n] = c;
    order[n + 1] = '\0';
}

static char *
place(char c)
{
    letter[(int)c][0] = c;
    return letter[(int)c];
}

static void
begin(void)
{
    order[0] = '\0';
    clock_fake(1000000);
    loop = loop_new();
}

static struct timer timer_a, timer_b;
static struct task task_a, task_b;

static void
on_timer_a(struct timer *t)
{
    CHECK(t == &timer_a);
    note('A');
}

static void
on_timer_b(struct timer *t)
{
    note('B');
    loop_timer(loop, t, 1000);
}

static void
on_task_a(struct task *t)
{
    CHECK(t == &task_a);
    note('a');
}

static void
on_task_b(struct task *t)
{
    note('b');
    loop_later(loop, &task_a);
    if (strlen(order) < 6)
        loop_later(loop, t);
}

static void
on_freed(void *ptr)
{
    note(*(char *)ptr);
}

TEST(a_timer_fires_once_and_not_early)
{
    begin();
    timer_init(&timer_a, on_timer_a);
    loop_timer(loop, &timer_a, 100);
    loop_advance(loop, 99);
    CHECK_STR(str_c(order), "");
    loop_advance(loop, WHEEL_TICK_MS + 1);
    CHECK_STR(str_c(order), "A");
    loop_advance(loop, 10000);
    CHECK_STR(str_c(order), "A");
    loop_free(loop);
}

TEST(a_timer_can_be_moved_stopped_and_set_in_its_callback)
{
    begin();
    timer_init(&timer_a, on_timer_a);
    timer_init(&timer_b, on_timer_b);
    loop_timer(loop, &timer_a, 100);
    loop_timer(loop, &timer_a, 5000);
    loop_timer(loop, &timer_b, 1000);
    loop_advance(loop, 3500);
    CHECK_STR(str_c(order), "BBB");
    loop_timer_stop(loop, &timer_a);
    loop_timer_stop(loop, &timer_a);
    loop_timer_stop(loop, &timer_b);
    loop_advance(loop, 10000);
    CHECK_STR(str_c(order), "BBB");
    loop_free(loop);
}

TEST(a_task_is_queued_once_and_what_it_queues_runs_in_the_next_turn)
{
    begin();
    task_init(&task_a, on_task_a);
    task_init(&task_b, on_task_b);
    loop_later(loop, &task_b);
    loop_later(loop, &task_b);
    loop_poll(loop);
    CHECK_STR(str_c(order), "b");
    loop_poll(loop);
    CHECK_STR(str_c(order), "bab");
    loop_cancel(loop, &task_a);
    loop_cancel(loop, &task_a);
    loop_cancel(loop, &task_b);
    loop_poll(loop);
    CHECK_STR(str_c(order), "bab");
    loop_free(loop);
}

TEST(a_turn_is_events_timers_tasks_reaper)
{
    begin();
    timer_init(&timer_a, on_timer_a);
    task_init(&task_a, on_task_a);
    loop_reap(loop, place('r'), on_freed);
    loop_later(loop, &task_a);
    loop_timer(loop, &timer_a, 0);
    clock_fake_advance(WHEEL_TICK_MS);
    loop_poll(loop);
    CHECK_STR(str_c(order), "Aar");
    loop_free(loop);
}

static void
on_freed_more(void *ptr)
{
    note(*(char *)ptr);
    for (int i = 0; i < 3; i++)
        loop_reap(loop, place('x'), on_freed);
}

TEST(what_is_closed_while_freeing_is_freed_in_the_same_turn)
{
    begin();
    for (int i = 0; i < 10; i++)
        loop_reap(loop, place('y'), on_freed_more);
    loop_poll(loop);
    CHECK_STR(str_c(order), "yyyyyyyyyyxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    loop_free(loop);
}

TEST(loop_free_reaps)
{
    begin();
    loop_reap(loop, place('r'), on_freed);
    loop_free(loop);
    CHECK_STR(str_c(order), "r");
}

static void
on_signal(int signo, void *arg)
{
    CHECK_INT(signo, SIGUSR1);
    CHECK(arg == order);
    note('S');
}

TEST(a_signal_comes_on_the_loop)
{
    begin();
    loop_on_signal(loop, SIGUSR1, on_signal, order);
    kill(getpid(), SIGUSR1);
    CHECK_STR(str_c(order), "");
    TURN_UNTIL(loop, order[0] != '\0');
    kill(getpid(), SIGUSR1);
    TURN_UNTIL(loop, strlen(order) == 2);
    CHECK_STR(str_c(order), "SS");
    loop_free(loop);
}

static void
on_stop_timer(struct timer *t)
{
    (void)t;
    note('T');
    loop_stop(loop);
}

TEST(loop_run_goes_on_until_stopped)
{
    begin();
    timer_init(&timer_a, on_stop_timer);
    task_init(&task_a, on_task_a);
    loop_later(loop, &task_a);
    loop_timer(loop, &timer_a, 0);
    clock_fake_advance(WHEEL_TICK_MS);
    loop_run(loop);
    CHECK_STR(str_c(order), "Ta");
    loop_free(loop);
}

static struct event *events[2];

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    note(*(char *)arg);
    loop_later(loop, &task_a);
    event_del(*(char *)arg == '1' ? events[0] : events[1]);
}

/* What libevent keeps for a descriptor comes and goes. */
TEST(many_descriptors_come_and_go)
{
    int fds[2], kept[250], n = 0;
    begin();
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    task_init(&task_a, on_task_a);
    events[0] = event_new(loop_base(loop), fds[0], EV_READ | EV_PERSIST, on_readable, place('1'));
    event_add(events[0], NULL);
    loop_poll(loop);
    CHECK_STR(str_c(order), "1a");
    event_free(events[0]);
    for (int i = 0; i < 500; i++) {
        int copy = fcntl(fds[0], F_DUPFD, 10 + i % 300);
        CHECK(copy >= 0);
        events[1] = event_new(loop_base(loop), copy, EV_READ | EV_PERSIST, on_readable, place('2'));
        event_add(events[1], NULL);
        order[0] = '\0';
        loop_poll(loop);
        CHECK_STR(str_c(order), "2a");
        event_free(events[1]);
        if (i % 2 == 0)
            close(copy);
        else
            kept[n++] = copy;
    }
    while (n > 0)
        close(kept[--n]);
    close(fds[0]);
    close(fds[1]);
    loop_free(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_not_early),
        cmocka_unit_test(a_timer_can_be_moved_stopped_and_set_in_its_callback),
        cmocka_unit_test(a_task_is_queued_once_and_what_it_queues_runs_in_the_next_turn),
        cmocka_unit_test(a_turn_is_events_timers_tasks_reaper),
        cmocka_unit_test(what_is_closed_while_freeing_is_freed_in_the_same_turn),
        cmocka_unit_test(loop_free_reaps),
        cmocka_unit_test(a_signal_comes_on_the_loop),
        cmocka_unit_test(loop_run_goes_on_until_stopped),
        cmocka_unit_test(many_descriptors_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
