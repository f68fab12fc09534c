#include "test.h"

#include "base/mem.h"
#include "proto/jsonread.h"
#include "proto/sockjsframe.h"

/* "[one][two]", or "!" where it is refused. */
static void
describe(struct str text, bool or_string, struct buf *line)
{
    struct err e = {""};
    json_t *array = sockjsframe_parse(text, or_string, &e);
    if (array == NULL) {
        assert_true(*e.text != '\0');
        buf_addc(line, '!');
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        buf_addc(line, '[');
        buf_adds(line, jsonread_text(json_array_get(array, i)));
        buf_addc(line, ']');
    }
    json_decref(array);
}

static const struct {
    const char *text, *want, *want_or_string;
} rows[] = {
    {"[]", "", ""},
    {"[\"a\"]", "[a]", "[a]"},
    {" [ \"a\" ,\r\n\t\"\" ] ", "[a][]", "[a][]"},
    {"[\"\\u2603\\ud83d\\ude00\\n\"]", "[\xe2\x98\x83\xf0\x9f\x98\x80\n]", "[\xe2\x98\x83\xf0\x9f\x98\x80\n]"},
    {"\"a\"", "!", "[a]"},
    {"\"\"", "!", "!"},
    {"", "!", "!"},
    {" ", "!", "!"},
    {"{}", "!", "!"},
    {"null", "!", "!"},
    {"1", "!", "!"},
    {"[1]", "!", "!"},
    {"[\"a\",1]", "!", "!"},
    {"[[\"a\"]]", "!", "!"},
    {"[\"a\",]", "!", "!"},
    {"[\"a\"]]", "!", "!"},
    {"[\"a\"] x", "!", "!"},
    {"['a']", "!", "!"},
    {"[\"\\x\"]", "!", "!"},
    {"[\"\\ud800\"]", "[\xef\xbf\xbd]", "[\xef\xbf\xbd]"},
    {"[\"\\uDFFFa\\uD83D\\uDE00\\uD83D\"]",
     "[\xef\xbf\xbd"
     "a\xf0\x9f\x98\x80\xef\xbf\xbd]",
     "[\xef\xbf\xbd"
     "a\xf0\x9f\x98\x80\xef\xbf\xbd]"},
    {"[\"\\ud83d\\ud83d\\ude00\\ud83d\\n\"]", "[\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd\n]",
     "[\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd\n]"},
    {"[\"\\\\ud800\\ud800\"]", "[\\ud800\xef\xbf\xbd]", "[\\ud800\xef\xbf\xbd]"},
    {"\"\\ude00\"", "!", "[\xef\xbf\xbd]"},
    {"[\"\\ud800\",1]", "!", "!"},
    {"[\"\\ud800\\ud8\"]", "!", "!"},
    {"[\"\\ud800\\", "!", "!"},
    {"[\"\xff\"]", "!", "!"},
    {"[\"\n\"]", "!", "!"},
    {"\xef\xbb\xbf[\"a\"]", "!", "!"},
};

static void
test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int or_string = 0; or_string < 2; or_string++) {
            struct buf line = BUF_INIT(4096);
            describe(str_c(rows[i].text), or_string, &line);
            buf_addc(&line, '\0');
            assert_string_equal(line.ptr, or_string ? rows[i].want_or_string : rows[i].want);
            buf_clear(&line);
        }
    }
}

/* Nothing less than the whole is taken. */
static void
test_parse_byte_by_byte(void **state)
{
    struct str text = STR("[\"one \\u2603\",\"\xe2\x98\x83\"]");
    (void)state;
    for (size_t n = 0; n <= text.len; n++) {
        struct buf line = BUF_INIT(4096);
        char *copy = str_dup(str_sub(text, 0, n));
        describe(str_of(copy, n), true, &line);
        assert_int_equal(*line.ptr == '!', n < text.len);
        mem_free(copy);
        buf_clear(&line);
    }
}

static void
test_depth_is_bounded(void **state)
{
    struct buf deep = BUF_INIT(100000), line = BUF_INIT(16);
    (void)state;
    while (buf_addc(&deep, '[') == 0)
        ;
    describe(buf_str(&deep), false, &line);
    assert_int_equal(*line.ptr, '!');
    buf_clear(&deep);
    buf_clear(&line);
}

/* A message comes out the same however it was cut. */
static void
check_message(struct str message, bool binary, struct str want)
{
    for (size_t step = 1; step <= message.len + 1; step++) {
        struct buf out = BUF_INIT(4096);
        struct sockjsframe f;
        size_t at = 0;
        do {
            struct str piece = str_sub(message, at, step);
            sockjsframe_piece(&f, piece, binary, at == 0, at + piece.len == message.len, &out);
            at += piece.len;
        } while (at < message.len);
        assert_int_equal(out.len, want.len);
        assert_memory_equal(out.ptr, want.ptr, want.len);
        buf_clear(&out);
    }
}

static void
test_messages(void **state)
{
    (void)state;
    check_message(STR(""), false, STR("\"\""));
    check_message(STR("a\"\\/\n\x01\xe2\x98\x83"), false, STR("\"a\\\"\\\\/\\n\\u0001\xe2\x98\x83\""));
    check_message(STR("a\0b"), false, STR("\"a\\u0000b\""));
    check_message(STR("a\0b\0c"), true, STR("\"a\""));
    check_message(STR("\0"), true, STR("\"\""));
    check_message(STR("a\xff\xe2\x98"), true, STR("\"a\xef\xbf\xbd\xef\xbf\xbd\""));
}

static void
test_frames(void **state)
{
    struct buf out = BUF_INIT(4096);
    (void)state;
    sockjsframe_array(STR("\"a\",\"b\""), &out);
    buf_addc(&out, ' ');
    sockjsframe_close(4001, STR("b\"ye"), &out);
    buf_addc(&out, ' ');
    sockjsframe_close(0, STR(""), &out);
    buf_addc(&out, '\0');
    assert_string_equal(out.ptr, "a[\"a\",\"b\"] c[4001,\"b\\\"ye\"] c[0,\"Connection closed\"]");
    buf_clear(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_byte_by_byte),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
