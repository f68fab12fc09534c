/* Response holds that ask again, before a client and an exchange that the test plays itself: exchange_retry() is
 * defined here in place of the program's, and httphold_new() stands for its answer. */
#include "test.h"

#include "base/clock.h"
#include "base/log.h"
#include "grip/item.h"
#include "proxy/exchange.h"
#include "proxy/httphold.h"
#include "proxy/links.h"
#include "pub/channel.h"
#include "pub/fanout.h"
#include "pub/seq.h"

#include <stdio.h>

static struct {
    struct xchg x;
    struct buf got; /* "200:body" */
    bool ended;
} client;

static struct {
    struct httphold *old; /* that asks; NULL: none */
    unsigned asked, gone;
    char last[200];
} origin;

static struct loop *loop;
static struct routes *routes;
static struct route *route;
static struct fanout *fanout;
static struct seq *seq;
static struct config config = {.connection_queue_max = 2000, .connection_subscription_max = 20};
static struct proxy proxy = {.config = &config};

/* the client */

static void
x_start(struct xchg *x, int status, struct str reason, const struct headers *h, int64_t length)
{
    (void)reason, (void)h, (void)length;
    x->started = true;
    buf_addf(&client.got, "%d:", status);
}

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

static size_t
x_queued(const struct xchg *x)
{
    (void)x;
    return 0;
}

static void
x_park(struct xchg *x)
{
    (void)x;
}

static const struct xchg_ops xchg_ops = {
    .start = x_start, .send = x_send, .end = x_end, .queued = x_queued, .park = x_park};

/* the origin */

void
exchange_begin(struct proxy *p, struct xchg *x, struct clientreq *req, struct str body, struct route *r)
{
    (void)p, (void)x, (void)req, (void)body, (void)r;
}

void
exchange_retry(struct proxy *p, struct httphold *old, struct xchg *x, const struct clientreq *req,
               const struct headers *last, struct str body, struct route *r)
{
    (void)p, (void)x, (void)body, (void)r;
    CHECK(origin.old == NULL);
    CHECK_STR(req->method, "GET");
    origin.old = old;
    origin.asked++;
    origin.last[0] = '\0';
    for (unsigned i = 0; i < last->n; i++)
        snprintf(origin.last + strlen(origin.last), sizeof origin.last - strlen(origin.last), "%.*s ",
                 STR_ARG(last->at[i].value));
}

void
links_gone(struct links *ls, const struct link_spec *spec)
{
    (void)ls;
    CHECK_STR(spec->url, "http://host.test/gone");
    origin.gone++;
}

/* Streams alone use the rest of proxy/links. */
struct link *
links_get(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user, bool *shared)
{
    (void)ls, (void)spec, (void)ops, (void)user, (void)shared;
    return NULL;
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
    (void)k, (void)pause;
}

void
link_close(struct link *k)
{
    (void)k;
}

void
links_put_origin(const struct link_spec *spec, struct buf *out)
{
    (void)spec, (void)out;
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

/* The origin's answer, first or to being asked again, is a hold. */
static void
answer(const char *lines)
{
    struct clientreq req = {.method = STR("GET"), .authority = STR("host.test"), .path = STR("/page")};
    struct httphold_begin b = {
        .x = &client.x, .route = route, .req = &req, .body = STR(""), .uri = STR("http://x/"), .old = origin.old};
    struct headers h;
    struct instruct in;
    struct err e;
    headers_init(&req.headers);
    set_headers(&h, lines);
    CHECK_INT(instruct_parse(200, STR("OK"), &h, STR("nothing"), &in, &e), 0);
    headers_clear(&h);
    b.instruct = &in;
    origin.old = NULL;
    httphold_new(&proxy, &b);
    if (b.old != NULL)
        httphold_close(b.old);
    instruct_clear(&in);
}

static void
on_last(void *arg, struct channel *ch)
{
    (void)arg;
    seq_channel_gone(seq, ch);
    fanout_channel_gone(fanout, ch);
}

static void
fan_out(void *arg, struct channel *ch, struct item *item)
{
    (void)arg;
    fanout_item(fanout, ch, item);
}

static void
begin(const char *lines)
{
    static const char *const route_lines[] = {"*,debug test"};
    static const struct channels_settings settings = {0, false};
    static const struct channels_ops ops = {.on_last = on_last};
    struct route_query q = {.host = STR("x"), .path = STR("/")};
    clock_fake(1000000);
    proxy.loop = loop = loop_new();
    proxy.channels = channels_new(loop, &settings);
    channels_listen(proxy.channels, &ops, NULL);
    fanout = fanout_new(loop, &(struct limit_settings){0});
    seq = seq_new(loop, 1000, fan_out, NULL);
    proxy.updates = updates_new(loop);
    routes = routes_new(NULL, route_lines, 1);
    CHECK_INT(routes_load(routes, NULL), 0);
    route = routes_find(routes, &q);
    proxy.routes = routes;
    memset(&client, 0, sizeof client);
    memset(&origin, 0, sizeof origin);
    client.x.ops = &xchg_ops;
    buf_init(&client.got, 100000);
    answer(lines);
}

static void
end(void)
{
    if (origin.old != NULL)
        httphold_close(origin.old); /* as its exchange does when the client has left */
    else if (client.x.user_ops != NULL)
        client.x.user_ops->on_gone(&client.x, "left");
    updates_free(proxy.updates);
    fanout_free(fanout);
    channels_free(proxy.channels);
    seq_free(seq);
    loop_poll(loop);
    route_unref(route);
    routes_free(routes);
    loop_free(loop);
    buf_clear(&client.got);
}

static void
publish_as(const char *id, const char *prev_id, const char *action, const char *body)
{
    struct err e;
    json_t *v = json_pack("{s:s, s:{s:{s:s, s:s}}, s:s*, s:s*, s:{s:s}}", "channel", "a", "formats", "http-response",
                          "action", action, "body", body, "id", id, "prev-id", prev_id, "meta", "sender", body);
    struct item *i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    struct channel *ch = channels_find(proxy.channels, STR("a"));
    CHECK(i != NULL && ch != NULL);
    seq_add(seq, ch, i);
    item_unref(i);
    json_decref(v);
    loop_poll(loop);
}

static void
publish(const char *id, const char *prev_id)
{
    publish_as(id, prev_id, "send", id);
}

static void
check_got(const char *want)
{
    CHECK_STR(buf_str(&client.got), want);
    client.got.len = 0;
}

#define HOLD_AT(id) "Grip-Hold: response|Grip-Channel: a; prev-id=" id

TEST(an_item_that_follows_answers)
{
    begin(HOLD_AT("1"));
    publish("2", "1");
    check_got("200:2");
    CHECK(client.ended);
    CHECK_INT(origin.asked, 0);
    end();
}

TEST(a_gap_asks_the_origin_in_its_turn)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    CHECK_INT(origin.asked, 0);
    loop_advance(loop, 120);
    CHECK_INT(origin.asked, 1);
    CHECK_STR(str_c(origin.last), "a; last-id=1 ");
    answer(HOLD_AT("3"));
    publish("4", "3");
    check_got("200:4");
    end();
}

TEST(an_item_that_the_client_has_is_passed_over)
{
    begin(HOLD_AT("3"));
    publish("3", "2");
    loop_advance(loop, 1000);
    CHECK_INT(origin.asked, 0);
    check_got("");
    end();
}

TEST(an_item_that_follows_answers_while_an_update_waits)
{
    struct hold *h;
    uint32_t n;
    begin(HOLD_AT("1"));
    h = channel_subs(channels_find(proxy.channels, STR("a")), FORMAT_HTTP_RESPONSE, &n)[0]->hold;
    h->ops->update(h, UPDATE_LOW);
    publish("2", "1");
    check_got("200:2");
    loop_advance(loop, 300);
    CHECK_INT(origin.asked, 0);
    end();
}

TEST(a_hint_asks_at_once)
{
    begin(HOLD_AT("1"));
    publish_as("2", "1", "hint", "");
    loop_poll(loop);
    CHECK_INT(origin.asked, 1);
    CHECK_STR(str_c(origin.last), "a; last-id=1 ");
    end();
}

TEST(what_came_while_the_origin_was_asked_is_not_lost)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    loop_advance(loop, 120);
    publish("4", "3"); /* the answer may or may not know of it */
    answer(HOLD_AT("3"));
    loop_poll(loop);
    CHECK_INT(origin.asked, 2); /* the channel's last id says that it does not */
    CHECK_STR(str_c(origin.last), "a; last-id=3 ");
    answer(HOLD_AT("3")); /* a second answer of the kind is believed */
    loop_advance(loop, 300);
    CHECK_INT(origin.asked, 2);
    end();
}

TEST(what_was_kept_answers_when_nobody_knows_the_last_id)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    loop_advance(loop, 120);
    publish("4", "3");
    channel_forget_id(channels_find(proxy.channels, STR("a"))); /* as another hold may do */
    answer(HOLD_AT("3"));
    check_got("200:4");
    end();
}

TEST(an_answer_that_may_be_older_than_what_was_kept_is_not_enough)
{
    begin(HOLD_AT("1"));
    publish("3", "2");
    loop_advance(loop, 120);
    publish("5", "4");
    loop_advance(loop, 2100); /* it waits for 4, which does not come */
    channel_forget_id(channels_find(proxy.channels, STR("a")));
    answer(HOLD_AT("3"));
    loop_advance(loop, 120);
    CHECK_INT(origin.asked, 2);
    end();
}

TEST(items_without_ids_that_came_meanwhile_answer)
{
    begin("Grip-Hold: response|Grip-Channel: a");
    publish_as(NULL, NULL, "hint", "");
    loop_poll(loop);
    CHECK_INT(origin.asked, 1);
    publish_as(NULL, NULL, "send", "kept");
    check_got("");
    answer("Grip-Hold: response|Grip-Channel: a");
    check_got("200:kept");
    end();
}

TEST(a_filtered_item_counts_as_received)
{
    begin(HOLD_AT("1; filter=skip-self") "|Grip-Set-Meta: user=2");
    publish("2", "1"); /* sent by the user "2" */
    check_got("");
    publish("3", "2");
    check_got("200:3");
    CHECK_INT(origin.asked, 0);
    end();
}

TEST(the_gone_link_is_told_when_the_request_ends_not_when_it_is_asked_again)
{
    begin(HOLD_AT("1") "|Grip-Link: </gone>; rel=gone");
    publish("3", "2");
    loop_advance(loop, 120);
    answer(HOLD_AT("3") "|Grip-Link: </gone>; rel=gone");
    CHECK_INT(origin.gone, 0);
    publish("4", "3");
    CHECK(client.ended);
    CHECK_INT(origin.gone, 1);
    end();
    CHECK_INT(origin.gone, 1);
}

TEST(a_time_out_answers_with_what_the_origin_said)
{
    begin("Grip-Hold: response|Grip-Channel: a|Grip-Timeout: 7|Grip-Status: 204");
    loop_advance(loop, 6900);
    CHECK(!client.ended);
    loop_advance(loop, 200);
    CHECK(client.ended);
    CHECK(str_starts(buf_str(&client.got), STR("204:")));
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_that_follows_answers),
        cmocka_unit_test(a_gap_asks_the_origin_in_its_turn),
        cmocka_unit_test(an_item_that_the_client_has_is_passed_over),
        cmocka_unit_test(an_item_that_follows_answers_while_an_update_waits),
        cmocka_unit_test(a_hint_asks_at_once),
        cmocka_unit_test(what_came_while_the_origin_was_asked_is_not_lost),
        cmocka_unit_test(what_was_kept_answers_when_nobody_knows_the_last_id),
        cmocka_unit_test(an_answer_that_may_be_older_than_what_was_kept_is_not_enough),
        cmocka_unit_test(items_without_ids_that_came_meanwhile_answer),
        cmocka_unit_test(a_filtered_item_counts_as_received),
        cmocka_unit_test(the_gone_link_is_told_when_the_request_ends_not_when_it_is_asked_again),
        cmocka_unit_test(a_time_out_answers_with_what_the_origin_said),
    };
    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
