#include "crowd.h"

#include "conf/routes.h"

/* A stream on channels with filters, as an instruct makes it. */
struct listener {
    struct hold hold;
    const char *meta; /* "name=value name=value" */
};

static struct routes *routes;

static struct str
meta(const struct hold *h, struct str name)
{
    struct str rest = str_c(container_of(h, struct listener, hold)->meta), part;
    while (rest.len > 0 && str_split(&rest, ' ', &part)) {
        ptrdiff_t at = str_chr(part, '=');
        if (str_eq(str_sub(part, 0, (size_t)at), name))
            return str_from(part, (size_t)at + 1);
    }
    return str_of(NULL, 0);
}

static const struct hold_ops ops = {.meta = meta};

static struct sub *
listen_on(struct listener *l, const char *channel, const char *filters)
{
    struct sub *sub = channels_subscribe(channels, &l->hold, str_c(channel));
    struct str rest = str_c(filters), part;
    while (rest.len > 0 && str_split(&rest, ' ', &part)) {
        int f = filter_find(part);
        if (f >= 0)
            sub_more(sub)->filters[sub_more(sub)->n_filters++] = (uint8_t)f;
    }
    return sub;
}

static void
begin(struct listener *l, const char *text)
{
    static const char *const lines[] = {"*,prefix=p- test"};
    static const struct channels_settings settings = {0, false};
    struct route_query q = {.host = STR("x"), .path = STR("/")};
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &settings);
    routes = routes_new(NULL, lines, 1);
    CHECK_INT(routes_load(routes, NULL), 0);
    hold_init(&l->hold, &ops, FORMAT_HTTP_STREAM, routes_find(routes, &q), NULL);
    CHECK(l->hold.route != NULL);
    l->meta = text;
    begin_log();
}

static void
end(struct listener *l)
{
    end_log();
    hold_clear(&l->hold);
    channels_free(channels);
    routes_free(routes);
    loop_free(loop);
}

/* An item described in JSON with ' for ". */
static struct item *
item_of(const char *json)
{
    char text[600];
    struct item *i;
    struct err e;
    json_t *v;
    snprintf(text, sizeof text, "%s", json);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    v = json_loads(text, 0, NULL);
    CHECK(v != NULL);
    i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    CHECK(i != NULL);
    json_decref(v);
    return i;
}

static void
check_item(const struct sub *sub, struct item *i, enum filter_result want, const char *text)
{
    struct msg *m = msg_new(i, FORMAT_HTTP_STREAM, 0), *out = NULL;
    struct err e = {""};
    CHECK_INT(filter_message(sub, m, &out, &e), want);
    if (want == FILTER_PASS) {
        CHECK_STR(out->payload, text);
        if (out->payload.len > 0)
            CHECK(str_find(out->framed, out->payload) > 0);
        msg_unref(out);
    } else {
        CHECK(out == NULL);
        if (want == FILTER_FAIL)
            CHECK_STR(str_c(e.text), text);
    }
    CHECK_INT(m->shared.refs, 1);
    msg_unref(m);
}

static void
check(const struct sub *sub, const char *json, enum filter_result want, const char *text)
{
    struct item *i = item_of(json);
    check_item(sub, i, want, text);
    item_unref(i);
}

#define ITEM(more, content)                                                                                            \
    "{'channel': 'p-a', 'id': 'n7', " more " 'formats': {'http-stream': {'content': '" content "'}}}"

TEST(drops)
{
    struct listener l;
    struct sub *sub;
    begin(&l, "user=ann");
    sub = listen_on(&l, "p-a", "skip-self skip-users require-sub unknown");
    listen_on(&l, "p-b", "");
    check(sub, ITEM("", "x"), FILTER_PASS, "x");
    check(sub, ITEM("'meta': {'sender': 'ann'},", "x"), FILTER_DROP, NULL);
    check(sub, ITEM("'meta': {'sender': 'Ann'},", "x"), FILTER_PASS, "x");
    check(sub, ITEM("'meta': {'skip_users': 'bob , ann,'},", "x"), FILTER_DROP, NULL);
    check(sub, ITEM("'meta': {'skip_users': ',,bob,annie'},", "x"), FILTER_PASS, "x");
    check(sub, ITEM("'meta': {'require_sub': 'b'},", "x"), FILTER_PASS, "x");
    check(sub, ITEM("'meta': {'require_sub': 'p-b'},", "x"), FILTER_DROP, NULL);
    check(sub, ITEM("'meta': {'require_sub': 'c'},", "x"), FILTER_DROP, NULL);
    check(sub, ITEM("'meta': {'require_sub': ''},", "x"), FILTER_PASS, "x");
    end(&l);
}

TEST(content_is_rewritten_for_one_and_shared_by_others)
{
    struct listener l;
    struct sub *sub, *plain;
    struct item *i = item_of(ITEM("", "Hi %(user)s"));
    struct msg *m = msg_new(i, FORMAT_HTTP_STREAM, 0), *out;
    struct err e;
    begin(&l, "user=ann");
    sub = listen_on(&l, "p-a", "skip-self var-subst");
    plain = listen_on(&l, "p-b", "skip-self");
    CHECK_INT(filter_message(plain, m, &out, &e), FILTER_PASS);
    CHECK(out == m);
    msg_unref(out);
    CHECK_INT(filter_message(sub, m, &out, &e), FILTER_PASS);
    CHECK(out != m);
    msg_unref(m);
    CHECK_STR(out->payload, "Hi ann");
    CHECK_STR(out->framed, "6\r\nHi ann\r\n");
    msg_unref(out);
    check(sub, ITEM("", ""), FILTER_PASS, "");
    check(sub, "{'channel': 'p-a', 'formats': {'http-stream': {'action': 'close'}}}", FILTER_PASS, "");
    item_unref(i);
    end(&l);
}

TEST(ids_are_the_items_own_and_those_of_other_channels)
{
    struct listener l;
    struct sub *a, *b;
    begin(&l, "id_format=%(a)s-%(b)s id_encoding=hex");
    a = listen_on(&l, "p-a", "build-id");
    b = listen_on(&l, "p-b", "");
    check(a, ITEM("", "%I"), FILTER_FAIL,
          "filter error: build-id: failed to render ID: No such variable 'b' at position 10");
    sub_set_prev_id(b, STR("8"));
    sub_set_prev_id(a, STR("n6"));
    check(a, ITEM("", "[%I %(z)I]"), FILTER_PASS, "[6e372d38 7a]");
    end(&l);
}

TEST(filters_work_one_after_the_other)
{
    struct listener l;
    struct sub *sub;
    begin(&l, "user=ann tail=I id_format=x");
    sub = listen_on(&l, "p-a", "var-subst build-id skip-self");
    check(sub, ITEM("", "%%%(tail)s"), FILTER_PASS, "x");
    check(sub, ITEM("'meta': {'sender': 'ann'},", "%%%(tail)s"), FILTER_DROP, NULL);
    check(sub, ITEM("", "%%z"), FILTER_FAIL, "filter error: build-id: Unknown directive 'z' at position 1");
    end(&l);
}

TEST(a_failure_is_logged_once_for_an_item)
{
    struct listener l;
    struct sub *sub;
    struct item *i = item_of(ITEM("", "%(no)s"));
    begin(&l, "");
    sub = listen_on(&l, "p-a", "var-subst");
    for (int n = 0; n < 3; n++)
        check_item(sub, i, FILTER_FAIL, "filter error: var-subst: No such variable 'no' at position 5");
    CHECK_INT(logged("item skipped: channel=p-a id=n7: filter error: var-subst: No such variable"), 1);
    item_unref(i);
    end(&l);
}

#define MADE_FOR(list) "{'channel': 'p-a', 'formats': {'http-stream': {'content': 'x', 'content-filters': [" list "]}}}"

TEST(an_item_made_for_other_filters_is_skipped)
{
    struct listener l;
    struct sub *sub, *plain;
    begin(&l, "id_format=x");
    sub = listen_on(&l, "p-a", "build-id skip-self var-subst");
    plain = listen_on(&l, "p-b", "");
    check(sub, MADE_FOR("'build-id', 'var-subst'"), FILTER_PASS, "x");
    check(sub, MADE_FOR("'var-subst', 'build-id'"), FILTER_FAIL,
          "content filter mismatch: subscription=build-id,var-subst message=var-subst,build-id");
    check(sub, MADE_FOR("'build-id'"), FILTER_FAIL,
          "content filter mismatch: subscription=build-id,var-subst message=build-id");
    check(sub, MADE_FOR(""), FILTER_FAIL, "content filter mismatch: subscription=build-id,var-subst message=");
    check(plain, MADE_FOR(""), FILTER_PASS, "x");
    check(plain, MADE_FOR("'var-subst'"), FILTER_FAIL, "content filter mismatch: subscription= message=var-subst");
    end(&l);
}

TEST(growth_is_bounded)
{
    struct listener l;
    struct sub *sub;
    static char content[400 * 1000 + 1], value[9000];
    json_t *v;
    struct item *i;
    struct err e;
    memset(value, 'v', sizeof value - 1);
    memcpy(value, "a=", 2);
    for (size_t n = 0; n + 5 < sizeof content; n += 5)
        memcpy(content + n, "%(a)s", 5);
    begin(&l, value);
    sub = listen_on(&l, "p-a", "var-subst");
    v = json_pack("{s:s, s:{s:{s:s}}}", "channel", "p-a", "formats", "http-stream", "content", content);
    i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    check_item(sub, i, FILTER_FAIL, "filter error: var-subst: result is too long");
    json_decref(v);
    item_unref(i);
    end(&l);
}

/* The filters before it see what was published, those behind it what the server has made of it. */
TEST(asking_stops_on_the_way)
{
    struct listener l;
    struct filtering f;
    struct sub *sub;
    struct item *i = item_of(ITEM("", "Hi %(user)s"));
    struct msg *m = msg_new(i, FORMAT_HTTP_STREAM, 0);
    struct err e;
    begin(&l, "user=ann");
    sub = listen_on(&l, "p-a", "var-subst http-check http-modify var-subst");
    CHECK(filter_asks(filter_find(STR("http-check"))) && !filter_asks(filter_find(STR("skip-self"))));
    CHECK_INT(filter_begin(sub, m, &f, &e), FILTER_ASK);
    CHECK(!filter_modifies(&f));
    CHECK_STR(f.m->payload, "Hi ann");
    sub->more->n_filters = 0; /* what is under way does not mind */
    filter_answered(&f, str_of(NULL, 0));
    CHECK_INT(filter_go_on(sub, &f, &e), FILTER_ASK);
    CHECK(filter_modifies(&f));
    filter_answered(&f, STR("Bye %(user)s"));
    CHECK_INT(filter_go_on(sub, &f, &e), FILTER_PASS);
    CHECK_STR(f.m->payload, "Bye ann");
    CHECK_STR(f.m->framed, "7\r\nBye ann\r\n");
    msg_unref(f.m);
    sub->more->n_filters = 4;
    CHECK_INT(filter_begin(sub, m, &f, &e), FILTER_ASK);
    err_set(&e, "nobody there");
    CHECK_INT(filter_fail(&f, &e), FILTER_FAIL);
    CHECK_STR(str_c(e.text), "filter error: http-check: nobody there");
    CHECK_INT(filter_begin(sub, m, &f, &e), FILTER_ASK);
    CHECK_INT(filter_drop(&f), FILTER_DROP);
    CHECK_INT(m->shared.refs, 1);
    msg_unref(m);
    item_unref(i);
    check(sub, ITEM("", "x"), FILTER_FAIL, "filter error: http-check: nobody can be asked here");
    end(&l);
}

/* What has no content is not modified, and is checked all the same. */
TEST(asking_about_an_item_without_content)
{
    struct listener l;
    struct filtering f;
    struct sub *a, *b;
    struct item *i = item_of("{'channel': 'p-a', 'formats': {'http-stream': {'action': 'close'}}}");
    struct msg *m = msg_new(i, FORMAT_HTTP_STREAM, 0);
    struct err e;
    begin(&l, "");
    a = listen_on(&l, "p-a", "http-modify");
    b = listen_on(&l, "p-b", "http-check");
    CHECK_INT(filter_begin(a, m, &f, &e), FILTER_PASS);
    msg_unref(f.m);
    CHECK_INT(filter_begin(b, m, &f, &e), FILTER_ASK);
    filter_answered(&f, str_of(NULL, 0));
    CHECK_INT(filter_go_on(b, &f, &e), FILTER_PASS);
    msg_unref(f.m);
    msg_unref(m);
    item_unref(i);
    end(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops),
        cmocka_unit_test(content_is_rewritten_for_one_and_shared_by_others),
        cmocka_unit_test(ids_are_the_items_own_and_those_of_other_channels),
        cmocka_unit_test(filters_work_one_after_the_other),
        cmocka_unit_test(a_failure_is_logged_once_for_an_item),
        cmocka_unit_test(an_item_made_for_other_filters_is_skipped),
        cmocka_unit_test(growth_is_bounded),
        cmocka_unit_test(asking_stops_on_the_way),
        cmocka_unit_test(asking_about_an_item_without_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
