#include "crowd.h"

#include "pub/seq.h"

static struct seq *seq;
static struct member *member;
static char sent[2000]; /* "c:1 c:2 " */

static void
deliver(void *arg, struct channel *ch, struct item *item)
{
    size_t n = strlen(sent);
    CHECK(arg == sent);
    CHECK(str_eq(ch->node.key, item->channel));
    snprintf(sent + n, sizeof sent - n, "%.*s:%.*s ", STR_ARG(item->channel),
             STR_ARG(format_content(item->formats[FORMAT_HTTP_STREAM])));
}

static void
on_last(void *arg, struct channel *ch)
{
    (void)arg;
    seq_channel_gone(seq, ch);
}

static void
begin(void)
{
    static const struct channels_ops ops = {.on_last = on_last};
    struct channels_settings settings = {0, false};
    sent[0] = '\0';
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &settings);
    channels_listen(channels, &ops, NULL);
    seq = seq_new(loop, 5000, deliver, sent);
    member = member_new(FORMAT_HTTP_STREAM);
    crowd_join(member, "c");
    crowd_join(member, "d");
}

static void
end(void)
{
    member_free(member);
    channels_free(channels);
    seq_free(seq);
    loop_free(loop);
}

/* An item whose content is its id. */
static bool
add(const char *channel, const char *id, const char *prev_id)
{
    struct item *i = item_new(channel, id != NULL ? id : "-", id, prev_id);
    bool rc = seq_add(seq, channels_find(channels, str_c(channel)), i);
    item_unref(i);
    return rc;
}

TEST(the_first_item_is_delivered_whatever_its_prev_id)
{
    begin();
    CHECK(add("c", "5", "4"));
    CHECK_STR(str_c(sent), "c:5 ");
    end();
}

TEST(early_items_wait_for_what_is_before_them)
{
    begin();
    CHECK(add("c", "1", NULL));
    CHECK(add("c", "4", "3"));
    CHECK(add("c", "5", "4"));
    CHECK(add("c", "3", "2"));
    CHECK_STR(str_c(sent), "c:1 ");
    CHECK(add("c", "2", "1"));
    CHECK_STR(str_c(sent), "c:1 c:2 c:3 c:4 c:5 ");
    end();
}

TEST(channels_do_not_wait_for_each_other)
{
    begin();
    add("c", "1", NULL);
    add("c", "3", "2");
    add("d", "1", NULL);
    add("d", "2", "1");
    CHECK_STR(str_c(sent), "c:1 d:1 d:2 ");
    end();
}

TEST(an_item_without_prev_id_is_in_order)
{
    begin();
    add("c", "1", NULL);
    add("c", "9", NULL);
    add("c", NULL, NULL); /* no id: the last one is unknown now */
    add("c", "7", "6");
    CHECK_STR(str_c(sent), "c:1 c:9 c:- c:7 ");
    end();
}

TEST(a_second_item_for_the_same_place_is_dropped)
{
    begin();
    add("c", "1", NULL);
    CHECK(add("c", "3", "2"));
    CHECK(!add("c", "3b", "2"));
    add("c", "2", "1");
    CHECK_STR(str_c(sent), "c:1 c:2 c:3 ");
    end();
}

TEST(at_most_a_hundred_items_of_a_channel_wait)
{
    char id[20], prev[20];
    begin();
    add("c", "0", NULL);
    for (int i = 0; i < SEQ_WAITING_MAX; i++) {
        snprintf(prev, sizeof prev, "%d", 2 * i + 1);
        snprintf(id, sizeof id, "%d", 2 * i + 2);
        CHECK(add("c", id, prev));
    }
    CHECK(!add("c", "1000", "999"));
    add("d", "0", NULL);
    CHECK(add("d", "2", "1")); /* another channel has its own hundred */
    CHECK(add("c", "1", "0"));
    CHECK_STR(str_c(sent), "c:0 d:0 c:1 c:2 ");
    CHECK(add("c", "1000", "999"));
    end();
}

TEST(who_waits_too_long_goes_without_its_predecessor_and_brings_its_followers)
{
    begin();
    add("c", "1", NULL);
    add("c", "3", "2");
    loop_advance(loop, 2000);
    add("c", "4", "3");
    add("d", "1", NULL);
    add("d", "3", "2");
    loop_advance(loop, 2900);
    CHECK_STR(str_c(sent), "c:1 d:1 ");
    loop_advance(loop, 1200);
    CHECK_STR(str_c(sent), "c:1 d:1 c:3 c:4 ");
    CHECK(add("c", "5", "4"));
    loop_advance(loop, 2000);
    CHECK_STR(str_c(sent), "c:1 d:1 c:3 c:4 c:5 d:3 ");
    CHECK(!channels_find(channels, STR("c"))->waited);
    add("c", "2", "1"); /* too late: it waits in vain */
    CHECK(channels_find(channels, STR("c"))->waited);
    end();
}

TEST(what_waits_in_a_channel_goes_with_it)
{
    begin();
    add("c", "1", NULL);
    add("c", "3", "2");
    add("d", "1", NULL);
    add("d", "3", "2");
    channels_unsubscribe(hold_find(&member->hold, STR("c")));
    loop_advance(loop, 10000);
    CHECK_STR(str_c(sent), "c:1 d:1 d:3 ");
    end();
}

TEST(a_forgotten_id_lets_the_next_item_pass)
{
    begin();
    add("c", "1", NULL);
    channel_forget_id(channels_find(channels, STR("c")));
    add("c", "9", "8");
    CHECK_STR(str_c(sent), "c:1 c:9 ");
    end();
}

TEST(an_empty_id_is_an_id)
{
    begin();
    add("c", "", NULL);
    add("c", "2", "1");
    CHECK_STR(str_c(sent), "c: ");
    add("c", "1", "");
    CHECK_STR(str_c(sent), "c: c:1 c:2 ");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_item_is_delivered_whatever_its_prev_id),
        cmocka_unit_test(early_items_wait_for_what_is_before_them),
        cmocka_unit_test(channels_do_not_wait_for_each_other),
        cmocka_unit_test(an_item_without_prev_id_is_in_order),
        cmocka_unit_test(a_second_item_for_the_same_place_is_dropped),
        cmocka_unit_test(at_most_a_hundred_items_of_a_channel_wait),
        cmocka_unit_test(who_waits_too_long_goes_without_its_predecessor_and_brings_its_followers),
        cmocka_unit_test(what_waits_in_a_channel_goes_with_it),
        cmocka_unit_test(a_forgotten_id_lets_the_next_item_pass),
        cmocka_unit_test(an_empty_id_is_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
