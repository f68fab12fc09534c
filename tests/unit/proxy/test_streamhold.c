/* Streams that follow their links, before a client and an origin that the test plays itself: links_get() and the other
 * functions of proxy/links are defined here in place of the program's. */
#include "test.h"

#include "base/clock.h"
#include "base/log.h"
#include "grip/item.h"
#include "proxy/httphold.h"
#include "proxy/links.h"
#include "pub/channel.h"
#include "pub/fanout.h"

#include <stdio.h>

/* the client */

static struct {
    struct xchg x;
    struct buf got;
    size_t queued;
    bool ended, aborted;
} client;

static int
x_send(struct xchg *x, const struct xchg_piece *pieces, unsigned n)
{
    (void)x;
    for (unsigned i = 0; i < n; i++)
        buf_adds(&client.got, pieces[i].payload);
    return 0;
}

static void
x_end(struct xchg *x)
{
    x->user_ops = NULL;
    client.ended = true;
}

static void
x_abort(struct xchg *x)
{
    x->user_ops = NULL;
    client.aborted = true;
}

static size_t
x_queued(const struct xchg *x)
{
    (void)x;
    return client.queued;
}

static void
x_park(struct xchg *x)
{
    (void)x;
}

static struct str
x_peer(const struct xchg *x, char text[ADDRESS_TEXT_MAX])
{
    (void)x, (void)text;
    return STR("client");
}

static const struct xchg_ops xchg_ops = {
    .send = x_send, .end = x_end, .abort = x_abort, .queued = x_queued, .park = x_park, .peer = x_peer};

/* the origin */

struct link {
    const struct link_ops *ops;
    void *user;
};

static struct {
    struct link link;
    bool open, paused, shared;
    unsigned asked, gone;
    char url[200], last[200];
} origin;

struct link *
links_get(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user, bool *shared)
{
    (void)ls;
    CHECK(!origin.open);
    origin.link = (struct link){ops, user};
    origin.open = true;
    origin.paused = false;
    origin.asked++;
    snprintf(origin.url, sizeof origin.url, "%.*s", STR_ARG(spec->url));
    origin.last[0] = '\0';
    for (unsigned i = 0; i < spec->last->n; i++)
        snprintf(origin.last + strlen(origin.last), sizeof origin.last - strlen(origin.last), "%.*s ",
                 STR_ARG(spec->last->at[i].value));
    *shared = origin.shared;
    return &origin.link;
}

struct link *
links_post(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user)
{
    (void)ls, (void)spec, (void)ops, (void)user;
    return NULL;
}

void
link_pause(struct link *k, bool pause)
{
    (void)k;
    CHECK(origin.open);
    origin.paused = pause;
}

void
link_close(struct link *k)
{
    (void)k;
    CHECK(origin.open);
    origin.open = false;
}

void
links_gone(struct links *ls, const struct link_spec *spec)
{
    (void)ls;
    snprintf(origin.url, sizeof origin.url, "%.*s", STR_ARG(spec->url));
    origin.gone++;
}

void
links_put_origin(const struct link_spec *spec, struct buf *out)
{
    (void)spec;
    buf_adds(out, STR("origin"));
}

/* the hold */

static struct loop *loop;
static struct routes *routes;
static struct fanout *fanout;
static struct config config = {.connection_queue_max = 2000, .connection_subscription_max = 20};
static struct proxy proxy = {.config = &config};

static void
on_last(void *arg, struct channel *ch)
{
    (void)arg;
    fanout_channel_gone(fanout, ch);
}

/* "Name: value|Name: value" */
static void
set_headers(struct headers *h, const char *lines)
{
    struct str rest = str_c(lines), line;
    headers_init(h);
    while (rest.len > 0 && str_split(&rest, '|', &line)) {
        ptrdiff_t at = str_chr(line, ':');
        headers_add(h, str_sub(line, 0, (size_t)at), str_trim(str_from(line, (size_t)at + 1)));
    }
}

static void
begin(const char *lines)
{
    static const char *const route_lines[] = {"*,debug test"};
    static const struct channels_settings settings = {0, false};
    static const struct channels_ops ops = {.on_last = on_last};
    struct route_query q = {.host = STR("x"), .path = STR("/")};
    struct clientreq req = {.method = STR("GET"), .authority = STR("host.test"), .path = STR("/dir/page")};
    struct headers h;
    struct instruct in;
    struct err e;
    clock_fake(1000000);
    proxy.loop = loop = loop_new();
    proxy.channels = channels_new(loop, &settings);
    channels_listen(proxy.channels, &ops, NULL);
    fanout = fanout_new(loop, &(struct limit_settings){0});
    proxy.updates = updates_new(loop);
    routes = routes_new(NULL, route_lines, 1);
    CHECK_INT(routes_load(routes, NULL), 0);
    memset(&client, 0, sizeof client);
    memset(&origin, 0, sizeof origin);
    client.x.ops = &xchg_ops;
    buf_init(&client.got, 100000);
    set_headers(&h, lines);
    CHECK_INT(instruct_parse(200, STR("OK"), &h, STR(""), &in, &e), 0);
    headers_clear(&h);
    headers_init(&req.headers);
    {
        struct route *route = routes_find(routes, &q);
        struct httphold_begin b = {
            .x = &client.x, .route = route, .instruct = &in, .req = &req, .body = STR(""), .uri = STR("http://x/")};
        httphold_new(&proxy, &b);
        route_unref(route);
    }
    instruct_clear(&in);
}

static void
end(void)
{
    if (client.x.user_ops != NULL)
        client.x.user_ops->on_gone(&client.x, "left");
    CHECK(!origin.open);
    updates_free(proxy.updates);
    fanout_free(fanout);
    channels_free(proxy.channels);
    loop_poll(loop);
    routes_free(routes);
    loop_free(loop);
    buf_clear(&client.got);
}

/* IDs may be NULL. */
static void
publish_as(const char *channel, const char *id, const char *prev_id, const char *action, const char *content)
{
    struct err e;
    json_t *v = json_pack("{s:s, s:{s:{s:s, s:s}}, s:s*, s:s*}", "channel", channel, "formats", "http-stream", "action",
                          action, "content", content, "id", id, "prev-id", prev_id);
    struct item *i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    struct channel *ch = channels_find(proxy.channels, str_c(channel));
    CHECK(i != NULL && ch != NULL);
    fanout_item(fanout, ch, i);
    item_unref(i);
    json_decref(v);
    loop_poll(loop);
}

static void
publish(const char *id, const char *prev_id)
{
    publish_as("a", id, prev_id, "send", id);
}

static void
answer_head(int status, const char *lines)
{
    struct http1_head head = {.status = status, .reason = STR("")};
    CHECK(origin.open);
    set_headers(&head.headers, lines);
    origin.link.ops->on_head(origin.link.user, &head);
    headers_clear(&head.headers);
}

static void
answer_body(const char *body)
{
    origin.link.ops->on_body(origin.link.user, str_c(body));
}

static void
answer_end(void)
{
    CHECK(origin.open);
    origin.open = false;
    origin.link.ops->on_end(origin.link.user);
}

static void
answer(const char *lines, const char *body)
{
    answer_head(200, lines);
    if (*body != '\0')
        answer_body(body);
    answer_end();
}

static void
break_answer(void)
{
    CHECK(origin.open);
    origin.open = false;
    origin.link.ops->on_fail(origin.link.user, "broken");
}

static void
check_got(const char *want)
{
    CHECK_STR(buf_str(&client.got), want);
    client.got.len = 0;
}

static void
wait_until_asked(unsigned n)
{
    for (int i = 0; i < 2000 && origin.asked < n; i++)
        loop_advance(loop, 16);
    CHECK_INT(origin.asked, n);
}

#define HOLD_AT(id) "Grip-Hold: stream|Grip-Channel: a; prev-id=" id "|Grip-Link: </next>; rel=next; timeout=10"

TEST(items_that_follow_are_passed_on)
{
    begin(HOLD_AT("1"));
    publish("2", "1");
    publish("2", "1");
    publish("3", "2");
    check_got("23");
    CHECK_INT(origin.asked, 0);
    end();
}

TEST(a_gap_is_made_up_for_by_the_link)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    publish("4", "3");
    wait_until_asked(1);
    CHECK_STR(str_c(origin.url), "http://host.test/next");
    CHECK_STR(str_c(origin.last), "a; last-id=1 ");
    publish("5", "4");
    answer(HOLD_AT("3"), "[2][3]");
    check_got("[2][3]45");
    publish("6", "5");
    check_got("6");
    CHECK_INT(origin.asked, 1);
    end();
}

TEST(an_answer_that_has_more_than_was_published_is_enough)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    answer(HOLD_AT("9"), "[2-9]");
    publish("9", "8");
    check_got("[2-9]");
    loop_advance(loop, 1000);
    CHECK_INT(origin.asked, 1);
    end();
}

TEST(an_answer_that_may_be_older_than_the_queue_is_not_enough)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    publish("6", "5"); /* after it was asked: is 6 in the answer, or was 4 the last? */
    answer(HOLD_AT("4"), "[2-4]");
    wait_until_asked(2);
    CHECK_STR(str_c(origin.last), "a; last-id=4 ");
    answer(HOLD_AT("6"), "[5-6]");
    check_got("[2-4][5-6]");
    loop_advance(loop, 1000);
    CHECK_INT(origin.asked, 2);
    end();
}

TEST(a_shared_request_may_not_know_of_the_queue)
{
    begin(HOLD_AT("1"));
    origin.shared = true;
    publish("3", "2");
    wait_until_asked(1);
    origin.shared = false;
    answer(HOLD_AT("1"), "");
    wait_until_asked(2);
    answer(HOLD_AT("3"), "[2-3]");
    check_got("[2-3]");
    end();
}

TEST(the_link_is_asked_when_nothing_is_heard)
{
    begin(HOLD_AT("1"));
    loop_advance(loop, 6000);
    publish("2", "1");
    loop_advance(loop, 5500); /* its first time-out is over, but it had something */
    CHECK_INT(origin.asked, 0);
    loop_advance(loop, 12000);
    CHECK_INT(origin.asked, 1);
    answer("Grip-Hold: stream|Grip-Channel: a", "end of links ");
    loop_advance(loop, 60000);
    CHECK_INT(origin.asked, 1);
    publish_as("a", NULL, NULL, "hint", "");
    publish("9", NULL);
    check_got("2end of links 9");
    end();
}

TEST(a_hint_asks_at_once_and_does_not_count_as_received)
{
    begin(HOLD_AT("1"));
    publish_as("a", "2", "1", "hint", "");
    loop_poll(loop);
    CHECK_INT(origin.asked, 1);
    CHECK_STR(str_c(origin.last), "a; last-id=1 ");
    publish_as("a", "3", "2", "hint", ""); /* after it was asked */
    answer(HOLD_AT("2"), "[2]");
    loop_poll(loop);
    CHECK_INT(origin.asked, 2);
    answer(HOLD_AT("3"), "[3]");
    check_got("[2][3]");
    end();
}

TEST(parts_are_fetched_one_after_the_other)
{
    begin("Grip-Link: <more?2>; rel=next");
    CHECK_STR(str_c(origin.url), "http://host.test/dir/more?2");
    answer("Grip-Link: <x/more?3>; rel=next", "two ");
    CHECK_STR(str_c(origin.url), "http://host.test/dir/x/more?3");
    answer(HOLD_AT("3"), "three ");
    publish("4", "3");
    CHECK_INT(origin.asked, 2);
    publish("6", "5");
    wait_until_asked(3);
    answer("Grip-Link: </end>; rel=next|Grip-Channel: a; prev-id=5", "five ");
    CHECK_STR(str_c(origin.last), "a; last-id=5 ");
    answer("Grip-Link: </end>; rel=next", "");
    CHECK_STR(str_c(origin.last), "");
    answer("", "end");
    CHECK(client.ended);
    check_got("two three 4five end");
    end();
}

TEST(a_failed_link_is_asked_again_and_again)
{
    static const unsigned pauses[] = {1000, 2000, 4000, 8000, 16000, 16000, 16000};
    begin(HOLD_AT("1") "|Grip-Keep-Alive: k; timeout=3");
    publish("3", "2");
    wait_until_asked(1);
    for (unsigned i = 0; i < countof(pauses); i++) {
        break_answer();
        loop_advance(loop, pauses[i] - 50);
        CHECK_INT(origin.asked, i + 1);
        loop_advance(loop, 1300);
        CHECK_INT(origin.asked, i + 2);
    }
    CHECK(client.got.len > 10); /* keep-alives went on */
    client.got.len = 0;
    answer(HOLD_AT("3"), "[2-3]");
    check_got("[2-3]");
    end();
}

TEST(a_refusal_is_believed_after_five_retries)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    for (unsigned i = 1; i <= 6; i++) {
        wait_until_asked(i);
        CHECK(!client.ended);
        answer_head(404, "");
    }
    CHECK(client.ended);
    check_got("\n\nFailed to retrieve next link.\n");
    end();
}

TEST(an_answer_that_breaks_off_ends_the_stream)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    answer_head(200, HOLD_AT("3"));
    answer_body("[2");
    break_answer();
    CHECK(client.ended);
    end();
}

TEST(a_client_that_does_not_read_loses_nothing)
{
    char big[1500];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    begin(HOLD_AT("1"));
    client.queued = 1000;
    publish_as("a", "2", "1", "send", big); /* passes the limit */
    publish("3", "2");
    check_got("");
    loop_advance(loop, 30000);
    CHECK_INT(origin.asked, 0); /* not before it reads */
    client.queued = 0;
    client.x.user_ops->on_drained(&client.x);
    wait_until_asked(1);
    CHECK_STR(str_c(origin.last), "a; last-id=1 ");
    publish_as("a", "4", "3", "send", big);
    publish_as("a", "5", "4", "send", big); /* the queue is full: both are dropped */
    answer(HOLD_AT("3"), "[2-3]");
    wait_until_asked(2);
    CHECK_STR(str_c(origin.last), "a; last-id=3 ");
    answer(HOLD_AT("5"), "[4-5]");
    publish("6", "5");
    check_got("[2-3][4-5]6");
    CHECK(!client.aborted);
    end();
}

TEST(a_close_that_was_dropped_ends_the_stream_after_the_answer)
{
    char big[1950];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    publish_as("a", "4", "3", "send", big);
    publish_as("a", "5", "4", "close", "");
    answer(HOLD_AT("3"), "[2-3]");
    CHECK(!client.ended);
    wait_until_asked(2);
    answer(HOLD_AT("4"), "[4]");
    CHECK(client.ended);
    check_got("[2-3][4]");
    end();
}

TEST(the_link_pauses_for_a_slow_client)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    answer_head(200, HOLD_AT("3"));
    client.queued = 100000;
    answer_body("[2");
    CHECK(origin.paused);
    client.queued = 0;
    client.x.user_ops->on_drained(&client.x);
    CHECK(!origin.paused);
    answer_body("-3]");
    answer_end();
    check_got("[2-3]");
    end();
}

TEST(channels_of_the_answer_replace_those_before)
{
    begin(HOLD_AT("1") "|Grip-Channel: b");
    publish("3", "2");
    wait_until_asked(1);
    answer("Grip-Hold: stream|Grip-Channel: c; prev-id=7|Grip-Channel: b|Grip-Link: </next>; rel=next", "x");
    CHECK(channels_find(proxy.channels, STR("a")) == NULL);
    publish_as("c", "8", "7", "send", "c8");
    publish_as("b", NULL, NULL, "send", "b");
    check_got("xc8b");
    end();
}

TEST(ids_of_a_body_are_put_in_across_pieces)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    answer_head(200, HOLD_AT("3; filter=build-id") "|Grip-Set-Meta: id_format=\"v%(a)s\"");
    answer_body("one %");
    answer_body("I two %(x");
    answer_body(")I");
    answer_end();
    check_got("one v3 two x");
    publish_as("a", "4", "3", "send", "%I.");
    check_got("v4.");
    end();
}

TEST(the_gone_link_of_the_first_answer_is_told_once)
{
    begin(HOLD_AT("1") "|Grip-Link: <gone>; rel=gone");
    publish("3", "2");
    wait_until_asked(1);
    answer(HOLD_AT("3") "|Grip-Link: </other>; rel=gone", "");
    CHECK_INT(origin.gone, 0);
    end();
    CHECK_INT(origin.gone, 1);
    CHECK_STR(str_c(origin.url), "http://host.test/dir/gone");
}

TEST(what_cannot_be_held_ends_the_stream_with_words)
{
    static const struct {
        const char *lines, *why;
    } rows[] = {
        {"Grip-Hold: response|Grip-Channel: a", "Next link returned non-stream hold."},
        {"Grip-Hold: stream", "hold has no channels"},
        {"Grip-Hold: what", "Grip-Hold must be set to either 'response' or 'stream'"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char want[200];
        begin(HOLD_AT("1"));
        publish("3", "2");
        wait_until_asked(1);
        answer_head(200, rows[i].lines);
        snprintf(want, sizeof want, "\n\n%s\n", rows[i].why);
        check_got(want);
        CHECK(client.ended);
        end();
    }
    begin(HOLD_AT("1"));
    publish("3", "2");
    wait_until_asked(1);
    answer("Grip-Hold: stream|Grip-Channel: a; prev-id=3", "x");
    check_got("x\n\nchannel 'a' specifies prev-id, but no next link found\n");
    CHECK(client.ended);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_that_follow_are_passed_on),
        cmocka_unit_test(a_gap_is_made_up_for_by_the_link),
        cmocka_unit_test(an_answer_that_has_more_than_was_published_is_enough),
        cmocka_unit_test(an_answer_that_may_be_older_than_the_queue_is_not_enough),
        cmocka_unit_test(a_shared_request_may_not_know_of_the_queue),
        cmocka_unit_test(the_link_is_asked_when_nothing_is_heard),
        cmocka_unit_test(a_hint_asks_at_once_and_does_not_count_as_received),
        cmocka_unit_test(parts_are_fetched_one_after_the_other),
        cmocka_unit_test(a_failed_link_is_asked_again_and_again),
        cmocka_unit_test(a_refusal_is_believed_after_five_retries),
        cmocka_unit_test(an_answer_that_breaks_off_ends_the_stream),
        cmocka_unit_test(a_client_that_does_not_read_loses_nothing),
        cmocka_unit_test(a_close_that_was_dropped_ends_the_stream_after_the_answer),
        cmocka_unit_test(the_link_pauses_for_a_slow_client),
        cmocka_unit_test(channels_of_the_answer_replace_those_before),
        cmocka_unit_test(ids_of_a_body_are_put_in_across_pieces),
        cmocka_unit_test(the_gone_link_of_the_first_answer_is_told_once),
        cmocka_unit_test(what_cannot_be_held_ends_the_stream_with_words),
    };
    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
