/* Filters that ask a server, before servers that the test plays itself: links_post() and link_close() are defined here
 * in place of the program's. */
#include "test.h"

#include "base/clock.h"
#include "base/log.h"
#include "grip/item.h"
#include "proxy/asker.h"
#include "proxy/links.h"
#include "proxy/netfilter.h"
#include "pub/channel.h"

#include <stdio.h>

/* the servers */

enum { LINKS = 12000 };

struct link {
    const struct link_ops *ops; /* NULL: over */
    void *user;
    char url[80], sub_meta[200], pub_meta[100], body[40];
};

static struct link links[LINKS];
static unsigned n_links, n_open, n_last;
static bool refuse;

struct link *
links_post(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user)
{
    struct link *k = &links[n_links];
    (void)ls;
    if (refuse)
        return NULL;
    CHECK(n_links++ < LINKS);
    n_open++;
    *k = (struct link){.ops = ops, .user = user};
    snprintf(k->url, sizeof k->url, "%.*s", STR_ARG(spec->url));
    snprintf(k->body, sizeof k->body, "%.*s", STR_ARG(spec->body));
    snprintf(k->sub_meta, sizeof k->sub_meta, "%.*s", STR_ARG(headers_get(spec->last, STR("Sub-Meta"))));
    snprintf(k->pub_meta, sizeof k->pub_meta, "%.*s", STR_ARG(headers_get(spec->last, STR("Pub-Meta"))));
    n_last = headers_count(spec->last, STR("Grip-Last"));
    CHECK_STR(spec->home, "http://host.test/dir/page");
    return k;
}

void
link_close(struct link *k)
{
    CHECK(k->ops != NULL);
    k->ops = NULL;
    n_open--;
}

static void
answer(struct link *k, int status, const char *action, const char *body)
{
    const struct link_ops *ops = k->ops;
    struct http1_head head = {.status = status};
    CHECK(ops != NULL);
    headers_init(&head.headers);
    if (action != NULL)
        headers_add(&head.headers, STR("action"), str_c(action));
    ops->on_head(k->user, &head);
    headers_clear(&head.headers);
    if (k->ops != NULL && body != NULL)
        ops->on_body(k->user, str_c(body));
    if (k->ops == NULL)
        return;
    k->ops = NULL;
    n_open--;
    ops->on_end(k->user);
}

static struct link *
last_link(void)
{
    CHECK(n_links > 0);
    return &links[n_links - 1];
}

/* the hold */

struct listener {
    struct hold hold;
    struct netfilter *n;
    struct buf got; /* "content " of what passed, "-" of what was dropped, "!" of what failed */
    const char *url;
    char why[256];
    bool closes; /* with the next that comes through */
};

static struct loop *loop;
static struct channels *channels;
static struct config config = {.connection_queue_max = 1000};
static struct proxy proxy = {.config = &config};

static struct str
meta(const struct hold *h, struct str name)
{
    return str_eq(name, STR("url")) ? str_c(container_of(h, struct listener, hold)->url) : str_of(NULL, 0);
}

static void
put_uri(const struct hold *h, struct buf *out)
{
    (void)h;
    buf_adds(out, STR("http://host.test/dir/page"));
}

static void
put_meta(const struct hold *h, json_t *out)
{
    (void)h;
    json_object_set_new(out, "user", json_string("b\xc3\xb6"));
    json_object_set_new(out, "bad", json_string("\xff"));
}

static void
put_last(const struct hold *h, struct headers *out)
{
    (void)h;
    headers_add(out, STR("Grip-Last"), STR("a; last-id=1"));
}

static void
close_listener(struct listener *l)
{
    netfilter_stop(l->n);
    hold_clear(&l->hold);
}

static void
on_filtered(struct hold *h, struct msg *m, enum filter_result result, struct msg *passed, struct err *e)
{
    struct listener *l = container_of(h, struct listener, hold);
    CHECK(m->shared.refs > 0);
    if (result == FILTER_PASS)
        buf_addf(&l->got, "%.*s ", STR_ARG(passed->payload));
    else
        buf_adds(&l->got, result == FILTER_DROP ? STR("- ") : STR("! "));
    if (result == FILTER_FAIL)
        snprintf(l->why, sizeof l->why, "%s", e->text);
    if (passed != NULL)
        msg_unref(passed);
    if (l->closes)
        close_listener(l);
}

static void
on_turn(struct hold *h, struct msg *m, unsigned how)
{
    struct listener *l = container_of(h, struct listener, hold);
    struct msg *passed = NULL;
    struct sub *sub = hold_find(h, m->item->channel);
    enum filter_result result;
    struct err e;
    CHECK_INT(how, 7);
    result = sub != NULL ? netfilter_run(l->n, sub, m, &passed, &e) : FILTER_DROP;
    if (result != FILTER_ASK)
        on_filtered(h, m, result, passed, &e);
}

static const struct hold_ops hold_ops = {.meta = meta};
static const struct netfilter_ops ops = {put_uri, put_meta, put_last, on_filtered, on_turn};

static void
listen_on(struct listener *l, const char *channel, const char *filter)
{
    struct sub *sub = channels_subscribe(channels, &l->hold, str_c(channel));
    if (filter != NULL)
        sub_more(sub)->filters[sub_more(sub)->n_filters++] = (uint8_t)filter_find(str_c(filter));
}

static void
listener_init(struct listener *l, const char *url)
{
    *l = (struct listener){.url = url, .got = BUF_INIT(100000)};
    hold_init(&l->hold, &hold_ops, FORMAT_HTTP_STREAM, NULL, NULL);
    l->n = netfilter_new(&proxy, &l->hold, &ops);
}

static void
listener_clear(struct listener *l)
{
    close_listener(l);
    netfilter_free(l->n);
    buf_clear(&l->got);
}

static void
publish(struct listener *l, const char *channel, const char *content)
{
    struct err e;
    json_t *v = json_pack("{s:s, s:s, s:{s:s}, s:{s:{s:s}}}", "channel", channel, "id", content, "meta", "n", content,
                          "formats", "http-stream", "content", content);
    struct item *i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    struct msg *m = msg_new(i, FORMAT_HTTP_STREAM, 0);
    if (netfilter_busy(l->n))
        netfilter_keep(l->n, m, 7);
    else
        on_turn(&l->hold, m, 7);
    msg_unref(m);
    item_unref(i);
    json_decref(v);
    loop_poll(loop);
}

static void
begin(struct listener *l, const char *filter)
{
    static const struct channels_settings settings = {0, false};
    clock_fake(1000000);
    log_set_level(LOG_ERR);
    proxy.loop = loop = loop_new();
    proxy.channels = channels = channels_new(loop, &settings);
    proxy.askers = askers_new(&proxy);
    n_links = n_open = 0;
    refuse = false;
    listener_init(l, "ask?x=1");
    listen_on(l, "a", filter);
}

static void
end(struct listener *l)
{
    listener_clear(l);
    CHECK_INT(n_open, 0);
    askers_free(proxy.askers);
    channels_free(channels);
    loop_free(loop);
}

#define CHECK_GOT(l, text) CHECK_STR(buf_str(&(l)->got), text)

TEST(check_says_what_it_is_about)
{
    struct listener l;
    begin(&l, "http-check");
    publish(&l, "a", "one");
    CHECK_STR(str_c(last_link()->url), "http://host.test/dir/ask?x=1");
    CHECK_STR(str_c(last_link()->body), "");
    CHECK_STR(str_c(last_link()->sub_meta), "{\"user\":\"b\\u00F6\"}"); /* what is not UTF-8 is left out */
    CHECK_STR(str_c(last_link()->pub_meta), "{\"n\":\"one\"}");
    CHECK_INT(n_last, 1);
    CHECK_GOT(&l, "");
    answer(last_link(), 200, NULL, "ignored");
    CHECK_GOT(&l, "one ");
    publish(&l, "a", "two");
    answer(last_link(), 204, "DROP", NULL);
    publish(&l, "a", "three");
    answer(last_link(), 204, "keep", NULL);
    CHECK_GOT(&l, "one - three ");
    end(&l);
}

TEST(modify_takes_the_answers_content)
{
    struct listener l;
    begin(&l, "http-modify");
    publish(&l, "a", "one");
    CHECK_STR(str_c(last_link()->body), "one");
    answer(last_link(), 200, NULL, "ONE");
    publish(&l, "a", "two");
    answer(last_link(), 204, NULL, NULL);
    publish(&l, "a", "three");
    answer(last_link(), 200, NULL, NULL);
    CHECK_GOT(&l, "ONE two  ");
    end(&l);
}

TEST(what_comes_meanwhile_waits_in_order)
{
    struct listener l;
    begin(&l, "http-check");
    listen_on(&l, "b", NULL);
    publish(&l, "a", "1");
    publish(&l, "b", "2");
    publish(&l, "a", "3");
    publish(&l, "b", "4");
    CHECK_INT(n_links, 1);
    CHECK_GOT(&l, "");
    answer(last_link(), 204, NULL, NULL);
    CHECK_GOT(&l, "1 ");
    CHECK(netfilter_busy(l.n)); /* until they have had their turn */
    publish(&l, "b", "5");
    loop_poll(loop);
    CHECK_GOT(&l, "1 2 ");
    CHECK_INT(n_links, 2);
    answer(last_link(), 500, NULL, NULL);
    loop_poll(loop);
    CHECK_GOT(&l, "1 2 ! 4 5 ");
    CHECK(!netfilter_busy(l.n));
    end(&l);
}

TEST(ten_seconds_are_the_limit)
{
    struct listener l;
    begin(&l, "http-check");
    publish(&l, "a", "1");
    loop_advance(loop, 9900);
    CHECK_GOT(&l, "");
    CHECK_INT(n_open, 1);
    loop_advance(loop, 200);
    CHECK_GOT(&l, "! ");
    CHECK_INT(n_open, 0);
    CHECK_STR(str_c(l.why), "filter error: http-check: the server has not answered in 10 seconds");
    publish(&l, "a", "2");
    loop_poll(loop);
    answer(last_link(), 204, NULL, NULL);
    CHECK_GOT(&l, "! 2 ");
    end(&l);
}

TEST(what_cannot_be_asked_fails_by_itself)
{
    struct listener l;
    begin(&l, "http-check");
    refuse = true;
    publish(&l, "a", "1");
    CHECK_GOT(&l, "! ");
    CHECK_STR(str_c(l.why), "filter error: http-check: the url is none that can be asked");
    refuse = false;
    l.url = NULL;
    publish(&l, "a", "2"); /* there is nobody to ask */
    CHECK_GOT(&l, "! 2 ");
    l.url = "http://host.test:port/";
    publish(&l, "a", "3");
    CHECK_GOT(&l, "! 2 ! ");
    CHECK_INT(n_links, 0);
    end(&l);
}

TEST(content_has_a_limit)
{
    static char body[ASKER_CONTENT_MAX + 2];
    struct listener l;
    begin(&l, "http-modify");
    memset(body, 'x', ASKER_CONTENT_MAX + 1);
    publish(&l, "a", "1");
    answer(last_link(), 200, NULL, body);
    CHECK_GOT(&l, "! ");
    CHECK_INT(n_open, 0);
    body[ASKER_CONTENT_MAX] = '\0';
    buf_clear(&l.got);
    l.got.max = 2 * ASKER_CONTENT_MAX;
    publish(&l, "a", "2");
    answer(last_link(), 200, NULL, body);
    CHECK_INT(l.got.len, ASKER_CONTENT_MAX + 1);
    end(&l);
}

TEST(what_waits_for_a_hold_is_bounded)
{
    struct listener l;
    char text[20];
    begin(&l, "http-check");
    listen_on(&l, "b", NULL);
    publish(&l, "a", "first");
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "%02d", i);
        publish(&l, "b", text);
    }
    answer(last_link(), 204, NULL, NULL);
    loop_poll(loop);
    CHECK_INT(l.got.len, strlen("first ") + 15 * 3); /* 15 * (2 + 64) bytes are below a thousand */
    end(&l);
}

TEST(closing_a_hold_ends_its_request)
{
    struct listener l;
    begin(&l, "http-check");
    publish(&l, "a", "1");
    publish(&l, "a", "2");
    CHECK_INT(n_open, 1);
    close_listener(&l);
    CHECK_INT(n_open, 0);
    loop_advance(loop, 20000);
    CHECK_GOT(&l, "");
    end(&l);
    begin(&l, "http-check");
    l.closes = true; /* in the callback */
    publish(&l, "a", "1");
    publish(&l, "a", "2");
    answer(last_link(), 204, NULL, NULL);
    loop_advance(loop, 100);
    CHECK_GOT(&l, "1 ");
    CHECK_INT(n_links, 1);
    end(&l);
}

TEST(what_is_given_back_is_in_order_and_asked_about_no_more)
{
    struct listener l;
    struct msg *m;
    char got[20] = "";
    begin(&l, "http-check");
    publish(&l, "a", "1");
    publish(&l, "a", "2");
    publish(&l, "a", "3");
    CHECK_INT(netfilter_next(l.n), 7);
    while ((m = netfilter_give_back(l.n)) != NULL) {
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s", STR_ARG(m->payload));
        msg_unref(m);
    }
    CHECK_STR(str_c(got), "123");
    CHECK_INT(n_open, 0);
    CHECK(!netfilter_busy(l.n));
    CHECK_INT(netfilter_next(l.n), 0);
    publish(&l, "a", "4");
    answer(last_link(), 204, NULL, NULL);
    CHECK_GOT(&l, "4 ");
    end(&l);
}

TEST(a_subscription_that_ends_meanwhile_gets_nothing)
{
    struct listener l;
    begin(&l, "http-check");
    publish(&l, "a", "1");
    channels_unsubscribe(l.hold.subs);
    answer(last_link(), 204, NULL, NULL);
    CHECK_GOT(&l, "- ");
    end(&l);
}

/* turns of the URLs */

static struct listener crowd[ASKER_URL_QUEUE + 200];

static void
crowd_init(unsigned n, const char *url)
{
    for (unsigned i = 0; i < n; i++) {
        listener_init(&crowd[i], url);
        listen_on(&crowd[i], "a", "http-check");
    }
}

static void
crowd_clear(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        listener_clear(&crowd[i]);
}

TEST(a_url_is_asked_a_hundred_times_a_second)
{
    struct listener l, other;
    unsigned before;
    begin(&l, "http-check");
    crowd_init(300, "/same");
    for (unsigned i = 0; i < 300; i++)
        publish(&crowd[i], "a", "x");
    CHECK(n_links >= 10 && n_links <= 15); /* a burst */
    listener_init(&other, "/other");
    listen_on(&other, "a", "http-check");
    before = n_links;
    publish(&other, "a", "x"); /* another URL need not wait */
    CHECK_INT(n_links, before + 1);
    CHECK_STR(str_c(last_link()->url), "http://host.test/other");
    for (unsigned second = 0; second < 2; second++) {
        before = n_links;
        for (unsigned i = 0; i < 50; i++) {
            loop_advance(loop, 20);
            for (unsigned k = 0; k < n_links; k++)
                if (links[k].ops != NULL)
                    answer(&links[k], 204, NULL, NULL);
        }
        CHECK(n_links - before >= 90 && n_links - before <= 110);
    }
    listener_clear(&other);
    crowd_clear(300);
    end(&l);
}

TEST(a_url_is_asked_so_many_times_at_a_time)
{
    struct listener l;
    begin(&l, "http-check");
    crowd_init(300, "/same");
    for (unsigned i = 0; i < 300; i++)
        publish(&crowd[i], "a", "x");
    loop_advance(loop, 5000);
    CHECK_INT(n_open, ASKER_URL_AT_ONCE);
    answer(&links[0], 204, NULL, NULL);
    loop_advance(loop, 100);
    CHECK_INT(n_open, ASKER_URL_AT_ONCE);
    CHECK_INT(n_links, ASKER_URL_AT_ONCE + 1);
    crowd_clear(300);
    CHECK_INT(n_open, 0);
    end(&l);
}

TEST(all_urls_together_are_asked_so_many_times_at_a_time)
{
    enum { URLS = 700 };
    static char urls[URLS][16];
    struct listener l;
    begin(&l, "http-check");
    for (unsigned i = 0; i < URLS; i++) {
        snprintf(urls[i], sizeof urls[i], "/%u", i);
        listener_init(&crowd[i], urls[i]);
        listen_on(&crowd[i], "a", "http-check");
        publish(&crowd[i], "a", "x");
    }
    loop_advance(loop, 100);
    CHECK_INT(n_open, ASKER_AT_ONCE);
    loop_advance(loop, 2000); /* what has been there for a while is not forgotten while it is under way */
    while (n_open > 0) {
        for (unsigned k = 0; k < n_links; k++)
            if (links[k].ops != NULL)
                answer(&links[k], 204, NULL, NULL);
        loop_advance(loop, 100);
    }
    CHECK_INT(n_links, URLS);
    for (unsigned i = 0; i < URLS; i++)
        CHECK_GOT(&crowd[i], "x ");
    crowd_clear(URLS);
    loop_advance(loop, 3000);
    end(&l);
}

TEST(too_many_that_wait_for_a_url_fail)
{
    enum { N = ASKER_URL_QUEUE + 200 };
    struct listener l;
    unsigned failed = 0;
    begin(&l, "http-check");
    crowd_init(N, "/same");
    for (unsigned i = 0; i < N; i++) {
        publish(&crowd[i], "a", "x");
        failed += crowd[i].why[0] != '\0';
    }
    CHECK_INT(failed, N - ASKER_URL_QUEUE - n_open);
    CHECK_STR(str_c(crowd[N - 1].why), "filter error: http-check: too many requests wait");
    crowd_clear(N);
    end(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_says_what_it_is_about),
        cmocka_unit_test(modify_takes_the_answers_content),
        cmocka_unit_test(what_comes_meanwhile_waits_in_order),
        cmocka_unit_test(ten_seconds_are_the_limit),
        cmocka_unit_test(what_cannot_be_asked_fails_by_itself),
        cmocka_unit_test(content_has_a_limit),
        cmocka_unit_test(what_waits_for_a_hold_is_bounded),
        cmocka_unit_test(closing_a_hold_ends_its_request),
        cmocka_unit_test(what_is_given_back_is_in_order_and_asked_about_no_more),
        cmocka_unit_test(a_subscription_that_ends_meanwhile_gets_nothing),
        cmocka_unit_test(a_url_is_asked_a_hundred_times_a_second),
        cmocka_unit_test(a_url_is_asked_so_many_times_at_a_time),
        cmocka_unit_test(all_urls_together_are_asked_so_many_times_at_a_time),
        cmocka_unit_test(too_many_that_wait_for_a_url_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
