#include "crowd.h"

#include "pub/limit.h"

static struct limit *limit;
static struct routes *routes;
static unsigned delivered;

static void
deliver(void *arg, struct sub *sub, struct msg *m)
{
    CHECK(arg == &delivered);
    delivered++;
    sub->hold->ops->deliver(sub, &m, 1);
}

static void
on_dropped(void *arg, struct sub *sub)
{
    (void)arg;
    limit_forget(limit, sub);
}

static void
begin(int rate, int hwm, int block_size)
{
    static const struct channels_ops ops = {.on_dropped = on_dropped};
    static const char *const lines[] = {"a.com,id=first test", "b.com,id=second test", "* test"};
    struct channels_settings channel_settings = {0, false};
    struct limit_settings settings = {rate, hwm, block_size};
    begin_log();
    delivered = 0;
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &channel_settings);
    channels_listen(channels, &ops, NULL);
    routes = routes_new(NULL, lines, 3);
    CHECK_INT(routes_load(routes, NULL), 0);
    limit = limit_new(loop, &settings, deliver, &delivered);
}

static void
end(void)
{
    limit_free(limit);
    channels_free(channels);
    routes_free(routes);
    loop_free(loop);
    end_log();
}

static struct member *
member_of(const char *host)
{
    struct member *m = member_new(FORMAT_HTTP_STREAM);
    struct route_query q = {.host = str_c(host), .path = STR("/")};
    m->hold.route = routes_find(routes, &q);
    CHECK(m->hold.route != NULL);
    crowd_join(m, "c");
    return m;
}

static void
add(struct member *m, const char *content, unsigned times)
{
    struct item *i = item_new("c", content, NULL, NULL);
    struct msg *msg = msg_new(i, FORMAT_HTTP_STREAM, 0);
    while (times-- > 0)
        limit_add(limit, m->hold.subs, msg);
    msg_unref(msg);
    item_unref(i);
}

TEST(without_a_rate_it_is_not_active)
{
    begin(0, 0, 0);
    CHECK(!limit_active(limit));
    end();
    begin(-5, 0, 0);
    CHECK(!limit_active(limit));
    end();
    begin(1, 0, 0);
    CHECK(limit_active(limit));
    end();
}

TEST(the_rate_is_kept)
{
    static const int rates[] = {1, 10, 39, 40, 100, 2500};
    for (size_t i = 0; i < countof(rates); i++) {
        struct member *m;
        int rate = rates[i];
        begin(rate, 0, 0);
        m = member_of("x");
        add(m, "1", 20000);
        loop_advance(loop, WHEEL_TICK_MS + 1);
        CHECK(delivered > 0); /* the first ones at once */
        loop_advance(loop, 4000);
        CHECK((int)delivered >= 4 * rate * 9 / 10);
        CHECK((int)delivered <= 4 * rate * 11 / 10 + 4);
        member_free(m);
        end();
    }
}

/* A rate beyond all that can be counted is no reason to count wrongly. */
TEST(the_largest_rate)
{
    struct member *m;
    begin(INT32_MAX, 0, 0);
    m = member_of("x");
    add(m, "1", 1000);
    loop_advance(loop, 100);
    CHECK_INT(delivered, 1000);
    member_free(m);
    end();
}

TEST(the_first_ones_need_not_wait_for_the_clock)
{
    struct member *m;
    begin(100, 0, 0);
    m = member_of("x");
    add(m, "1", 20);
    loop_poll(loop);
    CHECK_INT(delivered, 3);
    member_free(m);
    end();
}

TEST(an_idle_time_is_not_saved_up)
{
    struct member *m;
    begin(100, 0, 0);
    m = member_of("x");
    add(m, "1", 1);
    loop_advance(loop, 60000);
    CHECK_INT(delivered, 1);
    add(m, "1", 1000);
    loop_advance(loop, 100);
    CHECK(delivered <= 20);
    member_free(m);
    end();
}

TEST(routes_have_their_own_rate)
{
    struct member *a, *b, *c, *d;
    begin(100, 0, 0);
    a = member_of("a.com");
    b = member_of("b.com");
    c = member_of("x");
    d = member_of("y"); /* shares with c: no route of its own */
    add(a, "1", 1000);
    add(b, "1", 1000);
    add(c, "1", 1000);
    add(d, "1", 1000);
    loop_advance(loop, 2000);
    CHECK(a->n_got >= 180 && a->n_got <= 220);
    CHECK(b->n_got >= 180 && b->n_got <= 220);
    CHECK(c->n_got >= 180 && c->n_got <= 220);
    CHECK_INT(d->n_got, 0);
    member_free(a);
    member_free(b);
    member_free(c);
    loop_advance(loop, 1000);
    CHECK(d->n_got >= 90 && d->n_got <= 110);
    member_free(d);
    end();
}

TEST(large_ones_weigh_more)
{
    struct member *m;
    begin(100, 0, 10);
    m = member_of("x");
    add(m, "0123456789012345678901234567890123456789", 1000); /* four blocks */
    loop_advance(loop, 4000);
    CHECK(delivered >= 90 && delivered <= 110);
    member_free(m);
    end();
}

TEST(past_the_high_water_mark_it_is_dropped_and_said_once_a_second)
{
    struct member *m;
    begin(1, 10, 0);
    m = member_of("a.com");
    add(m, "1", 25);
    CHECK_INT(limit_waiting(limit, m->hold.subs), 10);
    CHECK_INT(logged("[WARN]"), 1);
    CHECK_INT(logged("exceeded publish hwm (10) for route first, dropping message\n"), 1);
    clock_fake_advance(1000);
    add(m, "1", 3);
    CHECK_INT(logged("dropping message (15 since the last warning)"), 1);
    CHECK_INT(logged("[WARN]"), 2);
    loop_advance(loop, 1100); /* the last ones are told of too, though nothing else is dropped */
    CHECK_INT(logged("for route first, dropping message (2 since the last warning)"), 1);
    loop_advance(loop, 5000);
    CHECK_INT(logged("[WARN]"), 3);
    member_free(m);
    m = member_of("x");
    add(m, "1", 11);
    CHECK_INT(logged("exceeded publish hwm (10), dropping message\n"), 1);
    member_free(m);
    end();
}

TEST(what_is_forgotten_is_not_delivered)
{
    struct member *a, *b;
    begin(1000, 0, 0);
    a = member_of("x");
    b = member_of("x");
    for (int i = 0; i < 100; i++) {
        add(a, "a", 1);
        add(b, "b", 1);
    }
    loop_advance(loop, 50);
    CHECK(a->n_got > 0 && a->n_got < 100);
    crowd_leave(a);
    CHECK_INT(limit_waiting(limit, b->hold.subs), 100 - b->n_got);
    loop_advance(loop, 1000);
    CHECK_INT(b->n_got, 100);
    CHECK_INT(limit_waiting(limit, b->hold.subs), 0);
    member_free(a);
    member_free(b);
    end();
}

/* The order in which the members were served. */
static struct {
    const struct member *of[4000];
    unsigned n;
} served;

static void
note(struct member *m, struct sub *sub)
{
    (void)sub;
    if (served.n < countof(served.of))
        served.of[served.n++] = m;
}

/* A route with a long queue takes no other's turn, be the rate as high as it likes. */
TEST(routes_take_turns)
{
    struct member *a, *b, *c;
    unsigned last = 0;
    begin(1000000, 0, 0);
    served.n = 0;
    a = member_of("a.com");
    b = member_of("b.com");
    c = member_of("x");
    a->then = b->then = c->then = note;
    add(a, "1", 3000);
    add(b, "1", 100);
    add(c, "1", 5);
    loop_advance(loop, 100);
    CHECK_INT(a->n_got, 3000);
    CHECK_INT(b->n_got, 100);
    CHECK_INT(c->n_got, 5);
    for (unsigned i = 0; i < served.n; i++)
        if (served.of[i] != a)
            last = i;
    CHECK(last < 2 * 100 + 5 + 64); /* while the others have something they get as much as it does */
    member_free(a);
    member_free(b);
    member_free(c);
    end();
}

/* A delivery that weighs more than there is leaves a debt, for its own route. */
TEST(a_heavy_one_is_paid_for_by_its_route)
{
    struct member *a, *b;
    begin(40, 0, 10); /* one each 25 ms */
    a = member_of("a.com");
    b = member_of("b.com");
    add(a, "0123456789012345678901234567890123456789", 2); /* 4 blocks */
    add(b, "1", 100);
    loop_advance(loop, WHEEL_TICK_MS + 1);
    CHECK_INT(a->n_got, 1);
    loop_advance(loop, 70);
    CHECK_INT(a->n_got, 1);
    CHECK(b->n_got >= 2);
    loop_advance(loop, 60);
    CHECK_INT(a->n_got, 2);
    member_free(a);
    member_free(b);
    end();
}

/* What a bucket may hold is counted in blocks too. */
TEST(the_high_water_mark_counts_blocks)
{
    struct member *m;
    begin(1, 10, 10);
    m = member_of("x");
    add(m, "0123456789012345678901234567890123456789", 5);
    CHECK_INT(limit_waiting(limit, m->hold.subs), 2);
    add(m, "1", 5);
    CHECK_INT(limit_waiting(limit, m->hold.subs), 4);
    member_free(m);
    end();
}

/* Channels of one route share its queue: first come, first served. */
TEST(channels_of_a_route_are_served_as_they_came)
{
    struct member *m[3];
    begin(100, 0, 0);
    served.n = 0;
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('c' + i), '\0'};
        m[i] = member_of("x");
        m[i]->then = note;
        crowd_join(m[i], name);
    }
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < 3; i++)
            add(m[i], "1", 1);
    loop_advance(loop, 1000);
    CHECK_INT(served.n, 30);
    for (unsigned i = 0; i < served.n; i++)
        CHECK(served.of[i] == m[i % 3]);
    for (int i = 0; i < 3; i++)
        member_free(m[i]);
    end();
}

/* Thousands that leave while much waits for each of them: each looks at its own alone. */
TEST(a_mass_exit)
{
    enum { CROWD = 20000 };
    static struct member *m[CROWD];
    begin(1, 0, 0);
    for (int i = 0; i < CROWD; i++)
        m[i] = member_of(i % 2 ? "a.com" : "x");
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CROWD; i++)
            add(m[i], "1", 1);
    for (int i = CROWD - 1; i > 0; i--) /* were it to look at all, this would take hours */
        crowd_leave(m[i]);
    CHECK_INT(limit_waiting(limit, m[0]->hold.subs), 3);
    CHECK(limit_busy(limit));
    loop_advance(loop, 5000);
    CHECK_INT(m[0]->n_got, 3);
    CHECK_INT(delivered, 3);
    CHECK(!limit_busy(limit));
    for (int i = 0; i < CROWD; i++)
        member_free(m[i]);
    end();
}

TEST(who_leaves_while_it_is_served)
{
    struct member *a, *b;
    begin(1000, 0, 0);
    a = member_of("x");
    b = member_of("x");
    a->leave_after = 2;
    for (int i = 0; i < 10; i++) {
        add(a, "a", 1);
        add(b, "b", 1);
    }
    loop_advance(loop, 200);
    CHECK_INT(a->n_got, 2);
    CHECK_INT(b->n_got, 10);
    member_free(a);
    member_free(b);
    end();
}

TEST(in_a_hurry_nothing_waits_for_its_time)
{
    struct member *m;
    begin(1, 0, 0);
    m = member_of("x");
    add(m, "1", 5000);
    loop_advance(loop, WHEEL_TICK_MS + 1);
    CHECK_INT(m->n_got, 1);
    limit_hurry(limit);
    for (int i = 0; i < 10; i++)
        loop_poll(loop);
    CHECK_INT(m->n_got, 5000);
    add(m, "1", 1);
    loop_advance(loop, WHEEL_TICK_MS + 1);
    CHECK_INT(m->n_got, 5001);
    member_free(m);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rate_it_is_not_active),
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(the_largest_rate),
        cmocka_unit_test(the_first_ones_need_not_wait_for_the_clock),
        cmocka_unit_test(an_idle_time_is_not_saved_up),
        cmocka_unit_test(routes_have_their_own_rate),
        cmocka_unit_test(large_ones_weigh_more),
        cmocka_unit_test(past_the_high_water_mark_it_is_dropped_and_said_once_a_second),
        cmocka_unit_test(what_is_forgotten_is_not_delivered),
        cmocka_unit_test(routes_take_turns),
        cmocka_unit_test(a_heavy_one_is_paid_for_by_its_route),
        cmocka_unit_test(the_high_water_mark_counts_blocks),
        cmocka_unit_test(channels_of_a_route_are_served_as_they_came),
        cmocka_unit_test(a_mass_exit),
        cmocka_unit_test(who_leaves_while_it_is_served),
        cmocka_unit_test(in_a_hurry_nothing_waits_for_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
