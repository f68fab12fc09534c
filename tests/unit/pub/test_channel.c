#include "crowd.h"

#include "pub/walk.h"

static struct {
    char first[100], last[100]; /* names, each with a space */
    unsigned dropped;
} seen;

static void
add(char *to, struct str name)
{
    size_t n = strlen(to);
    snprintf(to + n, 100 - n, "%.*s ", STR_ARG(name));
}

static void
on_first(void *arg, struct str name)
{
    CHECK(arg == &seen);
    add(seen.first, name);
}

static void
on_last(void *arg, struct channel *ch)
{
    CHECK(arg == &seen);
    add(seen.last, ch->node.key);
}

static void
on_dropped(void *arg, struct sub *sub)
{
    CHECK(arg == &seen);
    seen.dropped += sub->limited;
}

static void
begin(unsigned linger, bool update_on_first)
{
    static const struct channels_ops ops = {.on_first = on_first, .on_last = on_last, .on_dropped = on_dropped};
    struct channels_settings settings = {linger, update_on_first};
    memset(&seen, 0, sizeof seen);
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &settings);
    channels_listen(channels, &ops, &seen);
}

static void
end(void)
{
    channels_free(channels);
    loop_free(loop);
}

/* The array of stream holds of a channel as text: "0 1 . 3". */
static const char *
layout(struct channel *ch, struct member **all, unsigned n)
{
    static char text[200];
    unsigned live = 0;
    uint32_t n_at;
    struct sub *const *at = channel_subs(ch, FORMAT_HTTP_STREAM, &n_at);
    text[0] = '\0';
    for (uint32_t i = 0; i < n_at; i++) {
        size_t used = strlen(text);
        unsigned k = 0;
        if (at[i] == NULL) {
            snprintf(text + used, sizeof text - used, ". ");
            continue;
        }
        while (k < n && &all[k]->hold != at[i]->hold)
            k++;
        CHECK(k < n);
        CHECK_INT(at[i]->index, i);
        snprintf(text + used, sizeof text - used, "%u ", k);
        live++;
    }
    CHECK_INT(live, channel_receivers(ch, FORMAT_HTTP_STREAM));
    return text;
}

TEST(first_and_last_are_told)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_STREAM);
    begin(60, false);
    crowd_join(a, "one");
    crowd_join(b, "one");
    crowd_join(b, "two");
    CHECK_STR(str_c(seen.first), "one two ");
    CHECK_INT(channels_count(channels), 2);
    member_free(a);
    CHECK_STR(str_c(seen.last), "");
    member_free(b);
    CHECK_INT(strlen(seen.last), 8); /* both, in whatever order; streams do not linger */
    CHECK_INT(channels_count(channels), 0);
    CHECK(channels_find(channels, STR("one")) == NULL);
    end();
}

TEST(subscribing_again_is_the_same_subscription)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    struct sub *sub;
    begin(0, false);
    sub = crowd_join(a, "one");
    CHECK(crowd_join(a, "one") == sub);
    CHECK_INT(a->hold.n_subs, 1);
    CHECK_INT(channel_receivers(sub->channel, FORMAT_HTTP_STREAM), 1);
    CHECK_INT(channel_receivers(sub->channel, FORMAT_HTTP_RESPONSE), 0);
    CHECK(hold_find(&a->hold, STR("one")) == sub);
    CHECK(hold_find(&a->hold, STR("two")) == NULL);
    CHECK_STR(hold_channel(&a->hold), "one");
    member_free(a);
    end();
}

TEST(the_first_subscription_lies_in_the_hold_and_is_used_again)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    struct sub *one, *two, *three;
    begin(0, false);
    one = crowd_join(a, "one");
    two = crowd_join(a, "two");
    CHECK(one == &a->hold.first && two != &a->hold.first);
    channels_unsubscribe(one);
    CHECK_STR(hold_channel(&a->hold), "two");
    three = crowd_join(a, "three");
    CHECK(three == &a->hold.first);
    CHECK_INT(a->hold.n_subs, 2);
    channels_unsubscribe(two);
    CHECK(hold_find(&a->hold, STR("three")) == three);
    member_free(a);
    end();
}

TEST(names_may_hold_any_byte_and_be_empty)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    struct sub *sub;
    begin(0, false);
    sub = channels_subscribe(channels, &a->hold, str_of("a\0b", 3));
    CHECK(channels_find(channels, str_of("a\0b", 3)) == sub->channel);
    CHECK(channels_find(channels, STR("a")) == NULL);
    sub = crowd_join(a, "");
    CHECK(channels_find(channels, STR("")) == sub->channel);
    member_free(a);
    CHECK_INT(channels_count(channels), 0);
    end();
}

TEST(the_last_one_takes_the_place_of_who_leaves)
{
    struct member *all[5];
    struct channel *ch = NULL;
    begin(0, false);
    for (int i = 0; i < 5; i++) {
        all[i] = member_new(FORMAT_HTTP_STREAM);
        ch = crowd_join(all[i], "c")->channel;
    }
    crowd_leave(all[1]);
    CHECK_STR(str_c(layout(ch, all, 5)), "0 4 2 3 ");
    crowd_leave(all[3]);
    CHECK_STR(str_c(layout(ch, all, 5)), "0 4 2 ");
    crowd_leave(all[0]);
    CHECK_STR(str_c(layout(ch, all, 5)), "2 4 ");
    for (int i = 0; i < 5; i++)
        member_free(all[i]);
    end();
}

TEST(while_messages_are_on_their_way_holes_are_left_and_closed_later)
{
    struct member *all[6];
    struct channel *ch = NULL;
    uint32_t marks[] = {0, 1, 3, 3, 5, 6};
    static const uint32_t after[] = {0, 0, 1, 1, 2, 3};
    begin(0, false);
    for (int i = 0; i < 5; i++) {
        all[i] = member_new(FORMAT_HTTP_STREAM);
        ch = crowd_join(all[i], "c")->channel;
    }
    subs_of(ch, FORMAT_HTTP_STREAM)->outbox = (struct outbox *)all; /* any */
    crowd_leave(all[0]);
    crowd_leave(all[2]);
    crowd_leave(all[3]);
    all[5] = member_new(FORMAT_HTTP_STREAM);
    crowd_join(all[5], "c");
    CHECK_STR(str_c(layout(ch, all, 6)), ". 1 . . 4 5 ");
    subs_compact(subs_of(ch, FORMAT_HTTP_STREAM), marks, countof(marks));
    CHECK_STR(str_c(layout(ch, all, 6)), "1 4 5 ");
    for (size_t i = 0; i < countof(marks); i++)
        CHECK_INT(marks[i], after[i]);
    crowd_leave(all[1]);
    subs_settle(ch, FORMAT_HTTP_STREAM);
    CHECK_STR(str_c(layout(ch, all, 6)), "4 5 ");
    CHECK(subs_of(ch, FORMAT_HTTP_STREAM)->outbox == NULL);
    for (int i = 0; i < 6; i++)
        member_free(all[i]);
    end();
}

TEST(the_array_grows_and_shrinks)
{
    enum { N = 10000 };
    static struct member *all[N];
    struct channel *ch = NULL;
    begin(0, false);
    for (int i = 0; i < N; i++) {
        all[i] = member_new(FORMAT_HTTP_STREAM);
        ch = crowd_join(all[i], "c")->channel;
    }
    CHECK_INT(channel_receivers(ch, FORMAT_HTTP_STREAM), N);
    CHECK(subs_of(ch, FORMAT_HTTP_STREAM)->cap >= N);
    for (int i = 0; i < N - 2; i++)
        member_free(all[i]);
    CHECK_INT(channel_receivers(ch, FORMAT_HTTP_STREAM), 2);
    CHECK(ch->crowd[FORMAT_HTTP_STREAM].many->cap <= 128);
    member_free(all[N - 2]);
    CHECK(ch->many == 0 && ch->crowd[FORMAT_HTTP_STREAM].one == all[N - 1]->hold.subs); /* without an array */
    member_free(all[N - 1]);
    CHECK_INT(channels_count(channels), 0);
    end();
}

TEST(a_channel_lingers_after_its_last_response_hold)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE), *b = member_new(FORMAT_HTTP_RESPONSE);
    struct channel *ch;
    begin(60, false);
    ch = crowd_join(a, "c")->channel;
    member_free(a);
    loop_advance(loop, 59000);
    CHECK(channels_find(channels, STR("c")) == ch);
    CHECK_INT(channel_receivers(ch, FORMAT_HTTP_RESPONSE), 0);
    CHECK_STR(str_c(seen.last), "");
    crowd_join(b, "c"); /* the next poll: it is no first subscription */
    CHECK_STR(str_c(seen.first), "c ");
    loop_advance(loop, 600000);
    CHECK(channels_find(channels, STR("c")) == ch);
    member_free(b);
    loop_advance(loop, 61000);
    CHECK(channels_find(channels, STR("c")) == NULL);
    CHECK_STR(str_c(seen.last), "c ");
    end();
}

TEST(without_linger_a_channel_ends_at_once)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE);
    begin(0, false);
    crowd_join(a, "c");
    member_free(a);
    CHECK_STR(str_c(seen.last), "c ");
    end();
}

TEST(all_are_updated_a_second_after_the_first_subscription)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE), *b = member_new(FORMAT_HTTP_STREAM);
    begin(60, true);
    crowd_join(a, "c");
    loop_advance(loop, 500);
    crowd_join(b, "c");
    CHECK_INT(a->low + b->low, 0);
    loop_advance(loop, 600);
    CHECK_INT(a->low, 1);
    CHECK_INT(b->low, 1);
    loop_advance(loop, 10000);
    CHECK_INT(a->low + b->low, 2);
    crowd_leave(a);
    crowd_leave(b); /* a stream is the last to leave: the channel ends */
    CHECK_INT(channels_count(channels), 0);
    member_free(a);
    member_free(b);
    end();
}

TEST(who_leaves_in_the_first_second_begins_the_linger_time)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE);
    begin(60, true);
    crowd_join(a, "c");
    loop_advance(loop, 500);
    member_free(a);
    loop_advance(loop, 58000);
    CHECK_STR(str_c(seen.last), "");
    loop_advance(loop, 3000);
    CHECK_STR(str_c(seen.last), "c ");
    end();
}

TEST(what_waits_in_the_limiter_is_dropped_with_its_subscription)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    begin(0, false);
    crowd_join(a, "one")->limited = 3;
    crowd_join(a, "two");
    member_free(a);
    CHECK_INT(seen.dropped, 3);
    end();
}

/* recovery */

enum { MANY = 3000 };

/* Turns until nothing has happened for a while. */
static void
turn(unsigned n)
{
    while (n-- > 0)
        loop_poll(loop);
}

TEST(recovering_forgets_all_ids_at_once_and_updates_the_http_holds)
{
    struct member *all[3];
    struct channel *ch;
    begin(0, false);
    for (int i = 0; i < 3; i++) {
        all[i] = member_new((enum format_kind[]){FORMAT_HTTP_STREAM, FORMAT_HTTP_RESPONSE, FORMAT_WS_MESSAGE}[i]);
        crowd_join(all[i], "c");
    }
    ch = channels_find(channels, STR("c"));
    channel_set_last_id(ch, STR("an id that is longer than sixteen bytes"));
    channels_recover(channels);
    CHECK(channel_last_id(ch).ptr == NULL);
    CHECK_INT(all[0]->low, 0); /* later */
    channel_set_last_id(ch, STR("2"));
    turn(3);
    CHECK_STR(channel_last_id(ch), "2"); /* it is of after the recovery */
    CHECK_INT(all[0]->low, 1);
    CHECK_INT(all[1]->low, 1);
    CHECK_INT(all[2]->low, 0); /* not a WebSocket */
    for (int i = 0; i < 3; i++)
        member_free(all[i]);
    end();
}

TEST(many_channels_are_recovered_in_slices_while_they_come_and_go)
{
    static struct member *all[2 * MANY];
    char name[20];
    unsigned turns = 0, missed = 0;
    begin(0, false);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "c%u", i);
        crowd_join(all[i] = member_new(FORMAT_HTTP_STREAM), name);
    }
    channels_recover(channels);
    for (unsigned i = 0; i < MANY; i++, turns++) { /* half leave, twice as many come */
        if (i % 2 == 0)
            crowd_leave(all[i]);
        snprintf(name, sizeof name, "later%u", i);
        crowd_join(all[MANY + i] = member_new(FORMAT_HTTP_STREAM), name);
        if (i % 100 == 0)
            turn(1);
    }
    turn(200);
    for (unsigned i = 1; i < MANY; i += 2)
        missed += all[i]->low == 0;
    CHECK_INT(missed, 0);
    for (unsigned i = 0; i < 2 * MANY; i++)
        member_free(all[i]);
    end();
}

TEST(the_holds_of_a_large_channel_are_updated_in_slices)
{
    static struct member *all[MANY];
    unsigned missed = 0, some = 0;
    begin(0, true);
    for (unsigned i = 0; i < MANY; i++)
        crowd_join(all[i] = member_new(i % 2 ? FORMAT_HTTP_STREAM : FORMAT_HTTP_RESPONSE), "c");
    clock_fake_advance(1000 + 2 * WHEEL_TICK_MS);
    turn(1);
    for (unsigned i = 0; i < MANY; i++)
        some += all[i]->low > 0;
    CHECK(some > 0 && some < 300);
    for (unsigned i = 0; i < MANY; i += 7)
        crowd_leave(all[i]);
    turn(60);
    for (unsigned i = 0; i < MANY; i++)
        missed += all[i]->low == 0 && !all[i]->left;
    CHECK_INT(missed, 0);
    for (unsigned i = 0; i < MANY; i++)
        all[i]->low = 0;
    channels_recover(channels); /* the same when it is recovered */
    turn(1);
    turn(60);
    for (unsigned i = 0; i < MANY; i++)
        missed += all[i]->low == 0 && !all[i]->left;
    CHECK_INT(missed, 0);
    for (unsigned i = 0; i < MANY; i++)
        member_free(all[i]);
    end();
}

TEST(recovering_again_and_again)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    struct channel *ch;
    begin(0, false);
    crowd_join(a, "c");
    ch = channels_find(channels, STR("c"));
    channel_set_last_id(ch, STR("1"));
    for (unsigned i = 0; i < 1000; i++) {
        channels_recover(channels);
        CHECK(channel_last_id(ch).ptr == NULL); /* an era that comes round again is another */
    }
    turn(5);
    CHECK(a->low >= 1 && a->low <= 2);
    for (unsigned i = 0; i < 1000; i++) {
        channel_set_last_id(ch, STR("1"));
        channels_recover(channels);
        turn(2);
        CHECK(channel_last_id(ch).ptr == NULL);
    }
    member_free(a);
    end();
}

static void
count_channel(struct channel *ch, void *arg)
{
    CHECK(ch->table == channels);
    ++*(unsigned *)arg;
}

static void
set_flag(void *arg)
{
    *(unsigned *)arg += 1000;
}

TEST(a_walk_visits_all_and_can_be_stopped)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    struct walk w;
    unsigned n = 0;
    begin(0, false);
    walk_init(&w, loop, count_channel, set_flag, &n);
    walk_start(&w, channels); /* of nothing */
    turn(1);
    CHECK_INT(n, 1000);
    crowd_join(a, "one");
    crowd_join(a, "two");
    walk_start(&w, channels);
    CHECK_INT(n, 1000);
    turn(1);
    CHECK_INT(n, 2002);
    walk_start(&w, channels);
    walk_start(&w, channels); /* once more when it has come to its end */
    turn(2);
    CHECK_INT(n, 3006);
    walk_start(&w, channels);
    walk_stop(&w);
    walk_stop(&w);
    turn(1);
    CHECK_INT(n, 3006);
    member_free(a);
    end();
}

TEST(prev_ids_are_set_replaced_and_taken_away)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE);
    struct sub *sub;
    begin(0, false);
    sub = crowd_join(a, "c");
    sub_set_prev_id(sub, str_of(NULL, 0));
    CHECK(sub->more == NULL);
    sub_set_prev_id(sub, STR("1"));
    sub_set_prev_id(sub, STR(""));
    CHECK_INT(sub->more->prev_id->len, 0);
    sub_set_prev_id(sub, STR("22"));
    CHECK_STR(str_of(sub->more->prev_id->data, sub->more->prev_id->len), "22");
    member_free(a);
    end();
}

TEST(last_ids_of_any_length_are_remembered)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE);
    struct channel *ch;
    char text[300];
    memset(text, 'x', sizeof text);
    begin(0, false);
    ch = crowd_join(a, "c")->channel;
    CHECK(channel_last_id(ch).ptr == NULL);
    for (size_t len = 0; len <= sizeof text; len++) {
        channel_set_last_id(ch, str_of(text, len));
        CHECK(str_eq(channel_last_id(ch), str_of(text, len)));
        CHECK(channel_last_id(ch).ptr != NULL);
        if (len % 3 == 0)
            channel_set_last_id(ch, str_of(NULL, 0));
    }
    channel_set_last_id(ch, STR("1"));
    CHECK_STR(channel_last_id(ch), "1");
    channel_set_last_id(ch, str_of(text, sizeof text)); /* goes with the channel */
    member_free(a);
    end();
}

/* Many that are due at once are seen to in several turns, none too early. */
TEST(a_thousand_channels_linger_and_end)
{
    enum { N = 1000 };
    static struct member *all[N];
    begin(60, false);
    channels_listen(channels, &(struct channels_ops){0}, NULL);
    for (int i = 0; i < N; i++) {
        char name[20];
        snprintf(name, sizeof name, "c%d", i);
        crowd_join(all[i] = member_new(FORMAT_HTTP_RESPONSE), name);
        if (i == N / 2)
            loop_advance(loop, 1000);
    }
    for (int i = 0; i < N; i++)
        member_free(all[i]);
    crowd_join(all[0] = member_new(FORMAT_HTTP_RESPONSE), "c7");
    CHECK_INT(channels_count(channels), N);
    loop_advance(loop, 59900);
    CHECK_INT(channels_count(channels), N);
    loop_advance(loop, 400);
    CHECK_INT(channels_count(channels), 1);
    member_free(all[0]);
    loop_advance(loop, 59900);
    CHECK_INT(channels_count(channels), 1);
    loop_advance(loop, 200);
    CHECK_INT(channels_count(channels), 0);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_and_last_are_told),
        cmocka_unit_test(subscribing_again_is_the_same_subscription),
        cmocka_unit_test(the_first_subscription_lies_in_the_hold_and_is_used_again),
        cmocka_unit_test(names_may_hold_any_byte_and_be_empty),
        cmocka_unit_test(the_last_one_takes_the_place_of_who_leaves),
        cmocka_unit_test(while_messages_are_on_their_way_holes_are_left_and_closed_later),
        cmocka_unit_test(the_array_grows_and_shrinks),
        cmocka_unit_test(a_channel_lingers_after_its_last_response_hold),
        cmocka_unit_test(without_linger_a_channel_ends_at_once),
        cmocka_unit_test(all_are_updated_a_second_after_the_first_subscription),
        cmocka_unit_test(who_leaves_in_the_first_second_begins_the_linger_time),
        cmocka_unit_test(what_waits_in_the_limiter_is_dropped_with_its_subscription),
        cmocka_unit_test(recovering_forgets_all_ids_at_once_and_updates_the_http_holds),
        cmocka_unit_test(many_channels_are_recovered_in_slices_while_they_come_and_go),
        cmocka_unit_test(the_holds_of_a_large_channel_are_updated_in_slices),
        cmocka_unit_test(recovering_again_and_again),
        cmocka_unit_test(a_walk_visits_all_and_can_be_stopped),
        cmocka_unit_test(prev_ids_are_set_replaced_and_taken_away),
        cmocka_unit_test(last_ids_of_any_length_are_remembered),
        cmocka_unit_test(a_thousand_channels_linger_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
