#include "test.h"

#include <stdio.h>

#include "base/mem.h"
#include "origin/wsterms.h"
#include "proto/wsframe.h"

static void
read_terms(struct wsterms *t, const char *name, const char *value)
{
    struct headers h;
    headers_init(&h);
    headers_view(&h, str_c(name), str_c(value));
    wsterms_read(t, &h, "target");
    headers_clear(&h);
}

/* "Meta-A=x Meta-B=y" */
static void
check_meta(const struct wsterms *t, const char *want)
{
    struct buf text = BUF_INIT(1000);
    struct headers h;
    headers_init(&h);
    wsterms_put_meta(t, &h);
    for (unsigned i = 0; i < h.n; i++)
        buf_addf(&text, "%s%.*s=%.*s", i > 0 ? " " : "", STR_ARG(h.at[i].name), STR_ARG(h.at[i].value));
    CHECK_STR(text.ptr != NULL ? buf_str(&text) : STR(""), want);
    headers_clear(&h);
    buf_clear(&text);
}

static unsigned
count_meta(const struct wsterms *t)
{
    struct headers h;
    unsigned n;
    headers_init(&h);
    wsterms_put_meta(t, &h);
    n = h.n;
    headers_clear(&h);
    return n;
}

TEST(meta_is_set_replaced_and_removed)
{
    struct wsterms t;
    wsterms_init(&t);
    read_terms(&t, "Set-Meta-User", "bob");
    read_terms(&t, "set-meta-group", "x");
    read_terms(&t, "Set-Meta-", "nothing");
    check_meta(&t, "Meta-User=bob Meta-group=x");
    read_terms(&t, "SET-META-USER", "carl");
    check_meta(&t, "Meta-group=x Meta-USER=carl");
    read_terms(&t, "Set-Meta-User", "carl: with colon");
    check_meta(&t, "Meta-group=x Meta-User=carl: with colon");
    read_terms(&t, "Set-Meta-Group", "");
    check_meta(&t, "Meta-User=carl: with colon");
    read_terms(&t, "Set-Meta-User", "");
    CHECK(t.meta == NULL && wsterms_empty(&t));
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "Set-Meta-N%d", i);
        read_terms(&t, name, "v");
    }
    CHECK_INT(count_meta(&t), 64);
    wsterms_clear(&t);
}

TEST(keep_alive_interval)
{
    static const struct {
        const char *value;
        int seconds;
    } rows[] = {{"30", 30}, {"20", 20}, {"19", 20}, {"1", 20},          {"0", 0},
                {"-5", 0},  {"x", 0},   {"", 0},    {"99999999", 86400}};
    struct wsterms t;
    wsterms_init(&t);
    for (size_t i = 0; i < countof(rows); i++) {
        read_terms(&t, "Keep-Alive-Interval", rows[i].value);
        CHECK_INT(t.keep_alive, rows[i].seconds);
        read_terms(&t, "X-Other", "1"); /* absent: unchanged */
        CHECK_INT(t.keep_alive, rows[i].seconds);
    }
    wsterms_clear(&t);
}

TEST(content_types_of_events)
{
    static const struct {
        const char *type;
        bool ok;
    } rows[] = {{"application/websocket-events", true},
                {"Application/WebSocket-Events ; charset=utf-8", true},
                {"application/websocket-events-2", false},
                {"text/plain", false},
                {"", false}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers h;
        headers_init(&h);
        CHECK(!wsterms_is_events(&h));
        headers_view(&h, STR("content-type"), str_c(rows[i].type));
        CHECK_INT(wsterms_is_events(&h), rows[i].ok);
        headers_clear(&h);
    }
}

TEST(close_codes_that_may_be_passed_on)
{
    static const struct {
        const char *content;
        size_t len;
        int code;
        const char *reason;
    } rows[] = {
        {"", 0, WSFRAME_NO_CODE, ""},
        {"\x03\xe8"
         "bye",
         5, 1000, "bye"},
        {"\x0f\xa0", 2, 4000, ""},
        {"\0\0", 2, 1000, ""}, /* what close() of the GRIP libraries writes */
        {"\x03", 1, 1011, ""},
        {"\x03\xed"
         "x",
         3, 1011, ""},
        {"\x03\xe8\xff", 3, 1011, ""},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct str reason;
        CHECK_INT(wsterms_close_code(str_of(rows[i].content, rows[i].len), &reason), rows[i].code);
        CHECK(str_eq(reason, str_c(rows[i].reason)));
    }
}

TEST(events_that_may_be_passed_on)
{
    char ping[200] = "PING 7e\r\n";
    CHECK(wsterms_may_pass(STR("OPEN\r\nTEXT 2\r\n\xc3\xa4\r\nBINARY 1\r\n\xff\r\n")));
    CHECK(!wsterms_may_pass(STR("TEXT 1\r\n\xff\r\n")));
    CHECK(!wsterms_may_pass(STR("TEXT 3\r\nm:x\r\nfoo")));
    memset(ping + 9, 'p', 126);
    CHECK(!wsterms_may_pass(str_of(ping, 9 + 126)));
    ping[6] = 'd';
    ping[5] = '7';
    CHECK(wsterms_may_pass(str_of(ping, 9 + 125)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_is_set_replaced_and_removed), cmocka_unit_test(keep_alive_interval),
        cmocka_unit_test(content_types_of_events),          cmocka_unit_test(close_codes_that_may_be_passed_on),
        cmocka_unit_test(events_that_may_be_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
