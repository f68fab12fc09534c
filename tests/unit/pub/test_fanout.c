#include "crowd.h"

#include "pub/fanout.h"

static struct fanout *fanout;

static void
on_last(void *arg, struct channel *ch)
{
    (void)arg;
    fanout_channel_gone(fanout, ch);
}

static void
on_dropped(void *arg, struct sub *sub)
{
    (void)arg;
    fanout_sub_gone(fanout, sub);
}

static void
on_moved(void *arg, struct sub *from, struct sub *to)
{
    (void)arg;
    fanout_sub_moved(fanout, from, to);
}

static void
begin_limited(int rate)
{
    static const struct channels_ops ops = {.on_last = on_last, .on_dropped = on_dropped, .on_moved = on_moved};
    struct channels_settings settings = {0, false};
    struct limit_settings limits = {rate, 0, 0};
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &settings);
    channels_listen(channels, &ops, NULL);
    fanout = fanout_new(loop, &limits);
}

static void
begin(void)
{
    begin_limited(0);
}

static void
end(void)
{
    fanout_free(fanout);
    channels_free(channels);
    loop_free(loop);
}

static void
publish(const char *channel, const char *content)
{
    struct item *i = item_new(channel, content, NULL, NULL);
    struct channel *ch = channels_find(channels, str_c(channel));
    if (ch != NULL)
        fanout_item(fanout, ch, i);
    item_unref(i);
}

static void
publish_numbers(const char *channel, int from, int to)
{
    char text[20];
    for (int i = from; i <= to; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish(channel, text);
    }
}

static void
turn_all(void)
{
    for (int i = 0; fanout_busy(fanout); i++) {
        CHECK(i < 10000);
        loop_poll(loop);
    }
}

TEST(each_hold_gets_each_message_once_in_order_and_together)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM),
                  *other = member_new(FORMAT_HTTP_STREAM);
    begin();
    crowd_join(a, "c");
    crowd_join(b, "c");
    crowd_join(other, "d");
    publish_numbers("c", 1, 3);
    publish("nobody's", "x");
    CHECK_INT(a->calls, 0); /* with the tasks of the turn, not within the call */
    CHECK(fanout_busy(fanout));
    loop_poll(loop);
    CHECK(!fanout_busy(fanout));
    CHECK_STR(str_c(a->got), "1 2 3 ");
    CHECK_STR(str_c(b->got), "1 2 3 ");
    CHECK_INT(a->calls, 1);
    CHECK_STR(str_c(other->got), "");
    member_free(a);
    member_free(b);
    member_free(other);
    end();
}

TEST(a_hold_gets_the_format_of_its_kind)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_RESPONSE),
                  *c = member_new(FORMAT_WS_MESSAGE);
    begin();
    crowd_join(a, "c");
    crowd_join(b, "c");
    crowd_join(c, "c");
    publish("c", "x"); /* no ws-message in it */
    turn_all();
    CHECK_STR(str_c(a->got), "x ");
    CHECK_STR(str_c(b->got), "x ");
    CHECK_STR(str_c(c->got), "");
    member_free(a);
    member_free(b);
    member_free(c);
    end();
}

TEST(who_came_after_a_message_does_not_get_it)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM),
                  *c = member_new(FORMAT_HTTP_STREAM);
    begin();
    crowd_join(a, "c");
    publish_numbers("c", 1, 2);
    crowd_join(b, "c");
    publish_numbers("c", 3, 3);
    crowd_join(c, "c");
    turn_all();
    CHECK_STR(str_c(a->got), "1 2 3 ");
    CHECK_STR(str_c(b->got), "3 ");
    CHECK_STR(str_c(c->got), "");
    member_free(a);
    member_free(b);
    member_free(c);
    end();
}

TEST(who_leaves_between_publishing_and_delivery_leaves_the_others_alone)
{
    struct member *all[5];
    begin();
    for (int i = 0; i < 5; i++)
        crowd_join(all[i] = member_new(FORMAT_HTTP_STREAM), "c");
    publish("c", "1");
    crowd_leave(all[1]);
    crowd_leave(all[4]);
    publish("c", "2");
    turn_all();
    for (int i = 0; i < 5; i++)
        CHECK_STR(str_c(all[i]->got), i == 1 || i == 4 ? "" : "1 2 ");
    CHECK_INT(channels_find(channels, STR("c"))->crowd[FORMAT_HTTP_STREAM].many->n, 3);
    for (int i = 0; i < 5; i++)
        member_free(all[i]);
    end();
}

TEST(a_hold_that_follows_another_gets_what_was_on_its_way_to_that)
{
    static const int rates[] = {0, 1000};
    for (size_t i = 0; i < countof(rates); i++) {
        struct member *before = member_new(FORMAT_HTTP_RESPONSE), *old = member_new(FORMAT_HTTP_RESPONSE),
                      *new = member_new(FORMAT_HTTP_RESPONSE);
        begin_limited(rates[i]);
        crowd_join(before, "c");
        crowd_join(old, "c");
        publish_numbers("c", 1, 2);
        channels_move(old->hold.subs, crowd_join(new, "c"));
        crowd_leave(old);
        publish("c", "3");
        loop_advance(loop, 100);
        turn_all();
        CHECK_STR(str_c(before->got), "1 2 3 ");
        CHECK_STR(str_c(old->got), "");
        CHECK_STR(str_c(new->got), "1 2 3 ");
        CHECK_INT(new->hold.subs->limited, 0);
        member_free(before);
        member_free(old);
        member_free(new);
        end();
    }
}

static struct member *victim, *joiner;

static void
make_victim_leave(struct member *m, struct sub *sub)
{
    (void)m, (void)sub;
    if (victim != NULL && !victim->left)
        crowd_leave(victim);
}

TEST(a_delivery_may_end_other_holds_before_and_behind_it)
{
    struct member *all[5];
    for (int who = 0; who < 5; who++) {
        begin();
        for (int i = 0; i < 5; i++)
            crowd_join(all[i] = member_new(FORMAT_HTTP_STREAM), "c");
        all[2]->then = make_victim_leave;
        victim = all[who];
        publish_numbers("c", 1, 2);
        turn_all();
        for (int i = 0; i < 5; i++)
            CHECK_STR(str_c(all[i]->got), i == who && who > 2 ? "" : "1 2 ");
        publish_numbers("c", 3, 3);
        turn_all();
        for (int i = 0; i < 5; i++)
            CHECK_INT(all[i]->n_got, i != who ? 3 : who > 2 ? 0 : 2);
        for (int i = 0; i < 5; i++)
            member_free(all[i]);
        end();
    }
}

static void
publish_more_and_join(struct member *m, struct sub *sub)
{
    (void)sub;
    m->then = NULL;
    publish_numbers("c", 2, 3);
    if (joiner != NULL)
        crowd_join(joiner, "c");
    publish_numbers("c", 4, 4);
}

TEST(what_is_published_within_a_delivery_is_the_next_pass)
{
    struct member *all[3];
    begin();
    for (int i = 0; i < 3; i++)
        crowd_join(all[i] = member_new(FORMAT_HTTP_STREAM), "c");
    all[1]->then = publish_more_and_join;
    joiner = member_new(FORMAT_HTTP_STREAM);
    publish_numbers("c", 1, 1);
    turn_all();
    for (int i = 0; i < 3; i++) {
        CHECK_STR(str_c(all[i]->got), "1 2 3 4 ");
        CHECK_INT(all[i]->calls, 2);
        member_free(all[i]);
    }
    CHECK_STR(str_c(joiner->got), "4 ");
    member_free(joiner);
    joiner = NULL;
    end();
}

TEST(the_channel_may_end_within_a_delivery)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM);
    begin();
    crowd_join(a, "c");
    a->leave_after = 1;
    publish_numbers("c", 1, 3);
    turn_all();
    CHECK_STR(str_c(a->got), "1 ");
    CHECK_INT(channels_count(channels), 0);
    crowd_join(b, "c");
    publish_numbers("c", 4, 4);
    turn_all();
    CHECK_STR(str_c(b->got), "4 ");
    member_free(a);
    member_free(b);
    end();
}

TEST(a_delivery_may_end_another_channel_that_is_busy_too)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM);
    begin();
    crowd_join(a, "c");
    crowd_join(b, "d");
    a->then = make_victim_leave;
    victim = b;
    publish("c", "1");
    publish("d", "2");
    turn_all();
    CHECK_STR(str_c(a->got), "1 ");
    CHECK_STR(str_c(b->got), "");
    CHECK_INT(channels_count(channels), 1);
    member_free(a);
    member_free(b);
    end();
}

TEST(a_hold_on_several_busy_channels_may_leave_all_of_them)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM);
    begin();
    crowd_join(a, "c");
    crowd_join(a, "d");
    crowd_join(b, "d");
    crowd_join(a, "e");
    a->leave_after = 2;
    publish_numbers("c", 1, 2);
    publish_numbers("d", 3, 4);
    publish_numbers("e", 5, 6);
    turn_all();
    CHECK_STR(str_c(a->got), "1 2 ");
    CHECK_STR(str_c(b->got), "3 4 ");
    CHECK_INT(channels_count(channels), 1);
    member_free(a);
    member_free(b);
    end();
}

static void
let_a_millisecond_pass(struct member *m, struct sub *sub)
{
    (void)m, (void)sub;
    clock_fake_advance(1);
}

TEST(a_slice_is_bounded_and_channels_take_turns)
{
    enum { N = 300 };
    static struct member *big[N];
    struct member *small = member_new(FORMAT_HTTP_STREAM);
    unsigned after_one = 0, done = 0;
    int turns;
    begin();
    for (int i = 0; i < N; i++) {
        crowd_join(big[i] = member_new(FORMAT_HTTP_STREAM), "big");
        big[i]->then = let_a_millisecond_pass;
    }
    crowd_join(small, "small");
    publish("big", "1");
    publish("small", "2");
    loop_poll(loop);
    for (int i = 0; i < N; i++)
        after_one += big[i]->n_got;
    CHECK(after_one > 0 && after_one <= 64);
    loop_poll(loop);
    CHECK_STR(str_c(small->got), "2 "); /* long before the big one is done */
    CHECK(fanout_busy(fanout));
    for (turns = 0; fanout_busy(fanout); turns++)
        loop_poll(loop);
    CHECK(turns >= 3);
    for (int i = 0; i < N; i++) {
        done += big[i]->n_got;
        member_free(big[i]);
    }
    CHECK_INT(done, N);
    member_free(small);
    end();
}

TEST(joining_and_leaving_between_slices)
{
    enum { N = 200 };
    static struct member *all[N];
    struct member *late = member_new(FORMAT_HTTP_STREAM);
    begin();
    for (int i = 0; i < N; i++) {
        crowd_join(all[i] = member_new(FORMAT_HTTP_STREAM), "c");
        all[i]->then = let_a_millisecond_pass;
    }
    publish("c", "1");
    loop_poll(loop);
    CHECK(all[0]->n_got == 1 && all[N - 1]->n_got == 0);
    crowd_leave(all[0]);
    crowd_leave(all[N - 1]);
    crowd_leave(all[N / 2]);
    crowd_join(late, "c");
    publish("c", "2");
    turn_all();
    for (int i = 0; i < N; i++)
        CHECK_STR(str_c(all[i]->got), i == 0 ? "1 " : i == N / 2 || i == N - 1 ? "" : "1 2 ");
    CHECK_STR(str_c(late->got), "2 ");
    for (int i = 0; i < N; i++)
        member_free(all[i]);
    member_free(late);
    end();
}

static struct member *churn[5000];
static unsigned n_churn;

static void
keep_it_busy(struct member *m, struct sub *sub)
{
    (void)m, (void)sub;
    clock_fake_advance(1);
    publish("c", "x");
}

/* A channel that always has something to deliver does not remember all who ever were there. */
TEST(holes_of_a_busy_channel_do_not_pile_up)
{
    struct member *first = member_new(FORMAT_HTTP_STREAM), *last = member_new(FORMAT_HTTP_STREAM);
    const struct subs *s;
    begin();
    crowd_join(first, "c");
    first->then = keep_it_busy;
    publish("c", "x");
    s = first->hold.subs->channel->crowd[FORMAT_HTTP_STREAM].many;
    for (n_churn = 0; n_churn < countof(churn); n_churn++) {
        struct member *m = churn[n_churn] = member_new(FORMAT_HTTP_STREAM);
        crowd_join(m, "c");
        loop_poll(loop);
        loop_poll(loop);
        CHECK(fanout_busy(fanout));
        CHECK(m->n_got > 0);
        crowd_leave(m);
        CHECK(s->n < 2000);
    }
    first->then = NULL;
    crowd_join(last, "c");
    publish("c", "end");
    turn_all();
    CHECK_STR(str_c(last->got), "end ");
    while (n_churn > 0)
        member_free(churn[--n_churn]);
    member_free(first);
    member_free(last);
    end();
}

static struct item *
item_with_meta(const char *content, const char *name, const char *value)
{
    struct err e;
    json_t *v = json_pack("{s:s, s:{s:{s:s}}, s:{s:s}}", "channel", "c", "formats", "http-stream", "content", content,
                          "meta", name, value);
    struct item *i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    CHECK(i != NULL);
    json_decref(v);
    return i;
}

static void
set_filter(struct sub *sub, const char *name)
{
    int f = filter_find(str_c(name));
    CHECK(f >= 0);
    sub_more(sub)->filters[sub_more(sub)->n_filters++] = (uint8_t)f;
}

static void
publish_meta(const char *content, const char *name, const char *value)
{
    struct item *i = item_with_meta(content, name, value);
    fanout_item(fanout, channels_find(channels, STR("c")), i);
    item_unref(i);
}

TEST(filters_drop_what_they_drop)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM),
                  *c = member_new(FORMAT_HTTP_STREAM), *d = member_new(FORMAT_HTTP_STREAM);
    begin();
    set_filter(crowd_join(a, "c"), "skip-self");
    set_filter(crowd_join(b, "c"), "skip-users");
    set_filter(crowd_join(c, "c"), "require-sub");
    crowd_join(c, "extra");
    set_filter(crowd_join(d, "c"), "require-sub");
    set_filter(d->hold.subs, "skip-self");
    a->user = b->user = d->user = "joe";
    publish_meta("1", "sender", "joe");
    publish_meta("2", "sender", "ann");
    publish_meta("3", "skip_users", "ann, joe");
    publish_meta("4", "skip_users", "joey");
    publish_meta("5", "require_sub", "extra");
    publish("c", "6");
    turn_all();
    CHECK_STR(str_c(a->got), "2 3 4 5 6 ");
    CHECK_STR(str_c(b->got), "1 2 4 5 6 ");
    CHECK_STR(str_c(c->got), "1 2 3 4 5 6 ");
    CHECK_STR(str_c(d->got), "2 3 4 6 ");
    CHECK_INT(filter_find(STR("no-such")), -1);
    member_free(a);
    member_free(b);
    member_free(c);
    member_free(d);
    end();
}

/* Filtered messages go out in groups; the first group may end the hold, and with it the channel. */
TEST(a_filtered_hold_may_end_with_its_channel_before_all_is_delivered)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b;
    begin();
    set_filter(crowd_join(a, "c"), "skip-self");
    a->leave_after = 5;
    publish_numbers("c", 1, 40);
    turn_all();
    CHECK_STR(str_c(a->got), "1 2 3 4 5 ");
    CHECK_INT(channels_count(channels), 0);
    member_free(a);
    a = member_new(FORMAT_HTTP_STREAM);
    b = member_new(FORMAT_HTTP_STREAM);
    set_filter(crowd_join(a, "c"), "skip-self");
    set_filter(crowd_join(b, "c"), "skip-self");
    a->leave_after = 16;
    publish_numbers("c", 1, 40);
    turn_all();
    CHECK_INT(a->n_got, 16);
    CHECK_INT(b->n_got, 40);
    CHECK_INT(b->calls, 3);
    member_free(a);
    member_free(b);
    end();
}

TEST(with_a_rate_deliveries_come_in_time)
{
    struct member *all[10];
    unsigned n = 0;
    begin_limited(100);
    for (int i = 0; i < 10; i++)
        crowd_join(all[i] = member_new(FORMAT_HTTP_STREAM), "c");
    publish_numbers("c", 1, 10); /* 100 deliveries: a second */
    loop_advance(loop, 500);
    for (int i = 0; i < 10; i++)
        n += all[i]->n_got;
    CHECK(n >= 45 && n <= 58);
    crowd_leave(all[3]);
    loop_advance(loop, 700);
    for (int i = 0; i < 10; i++) {
        if (i != 3)
            CHECK_STR(str_c(all[i]->got), "1 2 3 4 5 6 7 8 9 10 ");
        member_free(all[i]);
    }
    end();
}

TEST(with_a_rate_a_delivery_may_end_holds_and_channels)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM);
    begin_limited(1000);
    crowd_join(a, "c");
    crowd_join(b, "d");
    a->leave_after = 2;
    a->then = make_victim_leave;
    victim = b;
    publish_numbers("c", 1, 5);
    publish_numbers("d", 1, 5);
    loop_advance(loop, 100);
    CHECK_STR(str_c(a->got), "1 2 ");
    CHECK_STR(str_c(b->got), "");
    CHECK_INT(channels_count(channels), 0);
    member_free(a);
    member_free(b);
    end();
}

TEST(ending_with_messages_on_their_way_leaks_nothing)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    begin();
    crowd_join(a, "c");
    publish_numbers("c", 1, 5);
    fanout_free(fanout);
    fanout = fanout_new(loop, &(struct limit_settings){0, 0, 0});
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "");
    member_free(a);
    end();
}

/* Who listens to several channels gets what is published to them in one order. */
static void
check_order_over_channels(int rate)
{
    struct member *both = member_new(FORMAT_HTTP_STREAM), *a = member_new(FORMAT_HTTP_STREAM);
    begin_limited(rate);
    crowd_join(both, "a");
    crowd_join(both, "b");
    crowd_join(a, "a");
    publish("a", "1");
    publish("a", "2");
    publish("b", "3");
    publish("a", "4");
    publish("b", "5");
    publish("b", "6");
    publish("a", "7");
    loop_advance(loop, 100);
    CHECK_STR(str_c(both->got), "1 2 3 4 5 6 7 ");
    CHECK_STR(str_c(a->got), "1 2 4 7 ");
    crowd_leave(both);
    publish("a", "8"); /* nobody is on two any more: what there is of a channel goes together */
    publish("a", "9");
    a->calls = 0;
    loop_advance(loop, 100);
    CHECK_STR(str_c(a->got), "1 2 4 7 8 9 ");
    CHECK(rate > 0 || a->calls == 1);
    member_free(both);
    member_free(a);
    end();
}

TEST(order_over_channels)
{
    check_order_over_channels(0);
    check_order_over_channels(100000);
}

/* Many channels with a message each and more: all in the order of publishing. */
TEST(order_over_many_channels)
{
    enum { CHANNELS = 50, ROUNDS = 6 };
    struct member *m = member_new(FORMAT_HTTP_STREAM);
    char expected[CHANNELS * ROUNDS * 4 + 1] = "", name[8], text[8];
    unsigned n = 0;
    begin();
    for (unsigned i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%u", i);
        crowd_join(m, name);
    }
    for (unsigned i = 0; i < 90; i++) {
        snprintf(name, sizeof name, "%u", i * i % CHANNELS);
        snprintf(text, sizeof text, "%u", i);
        publish(name, text);
        n += (unsigned)snprintf(expected + n, sizeof expected - n, "%u ", i);
        if (i % 37 == 36)
            loop_poll(loop);
    }
    turn_all();
    CHECK_STR(str_c(m->got), expected);
    member_free(m);
    end();
}

TEST(what_the_limiter_holds_back_keeps_the_fan_out_busy_until_there_is_a_hurry)
{
    struct member *m = member_new(FORMAT_HTTP_STREAM);
    begin_limited(1);
    crowd_join(m, "c");
    publish_numbers("c", 1, 20);
    loop_advance(loop, 100);
    CHECK_STR(str_c(m->got), "1 ");
    CHECK(fanout_busy(fanout));
    fanout_hurry(fanout);
    loop_poll(loop);
    CHECK(!fanout_busy(fanout));
    CHECK_INT(m->n_got, 20);
    member_free(m);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hold_gets_each_message_once_in_order_and_together),
        cmocka_unit_test(a_hold_gets_the_format_of_its_kind),
        cmocka_unit_test(who_came_after_a_message_does_not_get_it),
        cmocka_unit_test(who_leaves_between_publishing_and_delivery_leaves_the_others_alone),
        cmocka_unit_test(a_delivery_may_end_other_holds_before_and_behind_it),
        cmocka_unit_test(what_is_published_within_a_delivery_is_the_next_pass),
        cmocka_unit_test(the_channel_may_end_within_a_delivery),
        cmocka_unit_test(a_delivery_may_end_another_channel_that_is_busy_too),
        cmocka_unit_test(a_hold_on_several_busy_channels_may_leave_all_of_them),
        cmocka_unit_test(a_slice_is_bounded_and_channels_take_turns),
        cmocka_unit_test(joining_and_leaving_between_slices),
        cmocka_unit_test(holes_of_a_busy_channel_do_not_pile_up),
        cmocka_unit_test(filters_drop_what_they_drop),
        cmocka_unit_test(a_filtered_hold_may_end_with_its_channel_before_all_is_delivered),
        cmocka_unit_test(a_hold_that_follows_another_gets_what_was_on_its_way_to_that),
        cmocka_unit_test(with_a_rate_deliveries_come_in_time),
        cmocka_unit_test(with_a_rate_a_delivery_may_end_holds_and_channels),
        cmocka_unit_test(ending_with_messages_on_their_way_leaks_nothing),
        cmocka_unit_test(order_over_channels),
        cmocka_unit_test(order_over_many_channels),
        cmocka_unit_test(what_the_limiter_holds_back_keeps_the_fan_out_busy_until_there_is_a_hurry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
