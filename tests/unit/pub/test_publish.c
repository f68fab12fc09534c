#include "crowd.h"

#include "pub/fanout.h"
#include "pub/publish.h"

static struct fanout *fanout;
static struct publish *publish;

static void
on_last(void *arg, struct channel *ch)
{
    (void)arg;
    publish_channel_gone(publish, ch);
}

static void
begin(int id_cache_ttl)
{
    static const struct channels_ops ops = {.on_last = on_last};
    struct channels_settings channel_settings = {60, false};
    struct limit_settings limits = {0, 0, 0};
    struct publish_settings settings = {id_cache_ttl, 5000};
    begin_log();
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &channel_settings);
    channels_listen(channels, &ops, NULL);
    fanout = fanout_new(loop, &limits);
    publish = publish_new(loop, &settings, channels, fanout);
}

static void
end(void)
{
    fanout_free(fanout);
    channels_free(channels);
    publish_free(publish);
    loop_free(loop);
    end_log();
}

static unsigned
send_item(const char *channel, const char *id, const char *prev_id, bool no_seq)
{
    struct item *i = item_new(channel, id != NULL ? id : "-", id, prev_id);
    unsigned n;
    i->no_seq = no_seq;
    n = publish_item(publish, i);
    item_unref(i);
    return n;
}

TEST(an_item_goes_to_who_is_there_and_says_to_how_many)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM), *b = member_new(FORMAT_HTTP_RESPONSE),
                  *c = member_new(FORMAT_WS_MESSAGE);
    begin(0);
    crowd_join(a, "c");
    crowd_join(b, "c");
    crowd_join(c, "c");
    CHECK_INT(send_item("c", "1", NULL, false), 2);
    CHECK_INT(send_item("d", "1", NULL, false), 0);
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "1 ");
    CHECK_STR(str_c(b->got), "1 ");
    CHECK_INT(logged("publish channel=c receivers=2\n"), 1);
    CHECK_INT(logged("publish channel=d receivers=0\n"), 1);
    member_free(a);
    member_free(b);
    member_free(c);
    end();
}

TEST(a_repeated_id_is_dropped_with_and_without_subscribers_and_order)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    begin(60);
    send_item("c", "1", NULL, false);
    crowd_join(a, "c");
    CHECK_INT(send_item("c", "1", NULL, false), 0);
    CHECK_INT(send_item("c", "1", NULL, true), 0);
    CHECK_INT(logged("drop channel=c id=1 reason=duplicate\n"), 2);
    CHECK_INT(send_item("c", "2", NULL, false), 1);
    CHECK_INT(send_item("c", NULL, NULL, false), 1);
    CHECK_INT(send_item("c", NULL, NULL, false), 1);
    clock_fake_advance(61000);
    CHECK_INT(send_item("c", "1", NULL, false), 1);
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "2 - - 1 ");
    member_free(a);
    end();
}

TEST(early_items_count_as_published)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    begin(0);
    crowd_join(a, "c");
    send_item("c", "1", NULL, false);
    CHECK_INT(send_item("c", "3", "2", false), 1);
    CHECK_INT(send_item("c", "3", "2", false), 1);
    CHECK_INT(logged("drop channel=c id=3 reason=sequence\n"), 1);
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "1 ");
    CHECK_INT(send_item("c", "2", "1", false), 1);
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "1 2 3 ");
    member_free(a);
    end();
}

TEST(an_item_without_order_leaves_the_last_id_alone)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    begin(0);
    crowd_join(a, "c");
    send_item("c", "1", NULL, false);
    send_item("c", "9", "8", true);
    send_item("c", "2", "1", false);
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "1 9 2 ");
    member_free(a);
    end();
}

TEST(recovering_forgets_last_ids)
{
    struct member *a = member_new(FORMAT_HTTP_STREAM);
    begin(0);
    crowd_join(a, "c");
    send_item("c", "1", NULL, false);
    channels_recover(channels); /* at once, also for what it has not come to yet */
    send_item("c", "9", "8", false);
    loop_poll(loop);
    CHECK_STR(str_c(a->got), "1 9 ");
    member_free(a);
    end();
}

TEST(a_lingering_channel_keeps_order_and_one_that_ended_forgets)
{
    struct member *a = member_new(FORMAT_HTTP_RESPONSE), *b = member_new(FORMAT_HTTP_RESPONSE),
                  *c = member_new(FORMAT_HTTP_RESPONSE);
    begin(0);
    crowd_join(a, "c");
    send_item("c", "1", NULL, false);
    loop_poll(loop);
    member_free(a);
    send_item("c", "3", "2", false);
    crowd_join(b, "c");
    send_item("c", "2", "1", false);
    loop_poll(loop);
    CHECK_STR(str_c(b->got), "2 3 ");
    send_item("c", "5", "4", false);
    member_free(b);
    loop_advance(loop, 70000);
    CHECK_INT(channels_count(channels), 0);
    crowd_join(c, "c");
    send_item("c", "9", "8", false);
    loop_poll(loop);
    CHECK_STR(str_c(c->got), "9 ");
    member_free(c);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_goes_to_who_is_there_and_says_to_how_many),
        cmocka_unit_test(a_repeated_id_is_dropped_with_and_without_subscribers_and_order),
        cmocka_unit_test(early_items_count_as_published),
        cmocka_unit_test(an_item_without_order_leaves_the_last_id_alone),
        cmocka_unit_test(recovering_forgets_last_ids),
        cmocka_unit_test(a_lingering_channel_keeps_order_and_one_that_ended_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
