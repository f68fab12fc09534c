#include "test.h"

#include "base/mem.h"
#include "proto/wsevents.h"

/* "TEXT(hello) PING() !" */
static void
describe(struct str body, struct buf *line)
{
    static const char *const names[] = {"OPEN", "TEXT", "BINARY", "PING", "PONG", "CLOSE", "DISCONNECT", "?"};
    struct wsevent e;
    enum wsevents_result r;
    while ((r = wsevents_next(&body, &e)) == WSEVENTS_EVENT) {
        buf_addf(line, "%s%s(", line->len > 0 ? " " : "", names[e.type]);
        buf_adds(line, e.content);
        buf_addc(line, ')');
    }
    if (r == WSEVENTS_BAD)
        buf_adds(line, line->len > 0 ? STR(" !") : STR("!"));
}

static const struct {
    const char *body, *want;
} rows[] = {
    {"", ""},
    {"OPEN\r\n", "OPEN()"},
    {"OPEN 0\r\n\r\n", "OPEN()"},
    {"OPEN 3\r\nabc\r\n", "OPEN(abc)"},
    {"TEXT 5\r\nhello\r\n", "TEXT(hello)"},
    {"TEXT C\r\nhello, world\r\n", "TEXT(hello, world)"},
    {"TEXT 000c\r\nhello, world\r\n", "TEXT(hello, world)"},
    {"TEXT 4\r\na\r\nb\r\n", "TEXT(a\r\nb)"},
    {"TEXT\r\nBINARY 2\r\n\x01\xff\r\nPING\r\nPONG 1\r\nx\r\nCLOSE 5\r\n\x03\xe8"
     "bye\r\nDISCONNECT\r\n",
     "TEXT() BINARY(\x01\xff) PING() PONG(x) CLOSE(\x03\xe8"
     "bye) DISCONNECT()"},
    {"FOO\r\nbar 2\r\nxy\r\ntext 1\r\nz\r\n", "?() ?(xy) ?(z)"},
    {"TEXT 3\r\nm:x", "TEXT(m:x)"}, /* the last line's end may be missing */
    {"OPEN", "!"},
    {"OPEN\n", "!"},
    {"\r\n", "!"},
    {"\n", "!"},
    {"{}", "!"},
    {" 3\r\nabc\r\n", "!"},
    {"TEXT 3", "!"},
    {"TEXT \r\nm:x\r\n", "!"},
    {"TEXT q\r\nm:x\r\n", "!"},
    {"TEXT -3\r\nm:x\r\n", "!"},
    {"TEXT +3\r\nm:x\r\n", "!"},
    {"TEXT 0x3\r\nm:x\r\n", "!"},
    {"TEXT 3 foo\r\nm:x\r\n", "!"},
    {"TEXT  3\r\nm:x\r\n", "!"},
    {"TEXT 10\r\nm:x\r\n", "!"},
    {"TEXT ffffffffffffffff\r\nm:x\r\n", "!"},
    {"TEXT 11111111111111111\r\nm:x\r\n", "!"},
    {"TEXT 3\r\nm:xYYTEXT 3\r\nm:y\r\n", "!"},
    {"TEXT 3\r\nm:x\r", "!"},
    {"TEXT 3\r\nm:x\r\nfoo", "TEXT(m:x) !"},
};

TEST(bodies_are_read)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf line = BUF_INIT(1000);
        struct str body = str_c(rows[i].body);
        describe(body, &line);
        CHECK_STR(line.ptr != NULL ? buf_str(&line) : STR(""), rows[i].want);
        CHECK_INT(wsevents_ok(body, NULL), !str_ends(str_c(rows[i].want), STR("!")));
        buf_clear(&line);
    }
}

/* What is cut off, wherever, is bad or is the events that are whole. */
TEST(bodies_that_are_cut_off)
{
    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t n = 0; n < strlen(rows[i].body) && !str_ends(str_c(rows[i].want), STR("!")); n++) {
            char *copy = mem_alloc(n + 1); /* so that a sanitizer sees what goes beyond */
            struct buf line = BUF_INIT(1000);
            memcpy(copy, rows[i].body, n);
            describe(str_of(copy, n), &line);
            if (str_ends(buf_str(&line), STR("!")))
                line.len -= line.len > 1 ? 2 : 1;
            CHECK(str_starts(str_c(rows[i].want), buf_str(&line)));
            buf_clear(&line);
            mem_free(copy);
        }
    }
}

TEST(events_are_written)
{
    struct buf b = BUF_INIT(1000), small = BUF_INIT(10);
    wsevents_put(&b, WSEVENT_OPEN, STR(""));
    wsevents_put(&b, WSEVENT_TEXT, STR("hello, world, hello"));
    wsevents_put(&b, WSEVENT_PING, STR(""));
    wsevents_put(&b, WSEVENT_CLOSE, STR("\x03\xe8"));
    CHECK_STR(buf_str(&b), "OPEN\r\nTEXT 13\r\nhello, world, hello\r\nPING\r\nCLOSE 2\r\n\x03\xe8\r\n");
    CHECK_INT(wsevents_put(&small, WSEVENT_TEXT, STR("hello")), -1);
    CHECK_INT(small.len, 0);
    buf_clear(&b);
    buf_clear(&small);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_read),
        cmocka_unit_test(bodies_that_are_cut_off),
        cmocka_unit_test(events_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
