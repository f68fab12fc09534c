#include "test.h"

#include "base/mem.h"
#include "proto/jsonread.h"
#include "proto/jsonwrite.h"

#define BAD "\xef\xbf\xbd"

static const struct {
    struct str text;
    const char *want;
} rows[] = {
    {{"", 0}, ""},
    {{"plain text", 10}, "plain text"},
    {{"a\"b\\c/d", 7}, "a\\\"b\\\\c/d"},
    {{"\b\f\n\r\t", 5}, "\\b\\f\\n\\r\\t"},
    {{"\0\x1f\x7f", 3}, "\\u0000\\u001f\\u007f"},
    {{"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10}, "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {{"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 9}, "\\u2028\\u2029\xe2\x80\xaa"},
    {{"\x80x\xff", 3}, BAD "x" BAD},
    {{"\xc3", 1}, BAD},
    {{"\xc3(", 2}, BAD "("},
    {{"\xc0\xaf", 2}, BAD BAD},         /* overlong */
    {{"\xed\xa0\x80", 3}, BAD BAD BAD}, /* a surrogate */
    {{"\xf4\x90\x80\x80", 4}, BAD BAD BAD BAD},
    {{"\xf0\x9f\x98", 3}, BAD}, /* cut off: one character */
    {{"\xf0\x9f\x98x", 4}, BAD "x"},
    {{"\xe2\x82\xe2\x82\xac", 5}, BAD "\xe2\x82\xac"},
};

static void
write_in_pieces(struct str text, size_t first, size_t step, struct buf *out)
{
    struct jsonwrite w;
    jsonwrite_init(&w);
    jsonwrite_piece(&w, str_sub(text, 0, first), out);
    for (size_t i = first; i < text.len; i += step)
        jsonwrite_piece(&w, str_sub(text, i, step), out);
    jsonwrite_end(&w, out);
}

TEST(strings_are_escaped_wherever_they_are_cut)
{
    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t first = 0; first <= rows[i].text.len; first++) {
            for (size_t step = 1; step <= 3; step++) {
                struct buf b = BUF_INIT(1000);
                write_in_pieces(rows[i].text, first, step, &b);
                CHECK_STR(buf_str(&b), rows[i].want);
                buf_clear(&b);
            }
        }
    }
}

TEST(a_string_can_be_read_back)
{
    struct buf b = BUF_INIT(100000);
    char text[256];
    json_t *value;
    for (int i = 0; i < 128; i++)
        text[i] = (char)i;
    jsonwrite_string(str_of(text, 128), &b);
    value = jsonread_parse(buf_str(&b), NULL);
    CHECK(json_is_string(value));
    CHECK(str_eq(str_of(json_string_value(value), json_string_length(value)), str_of(text, 128)));
    json_decref(value);
    buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_wherever_they_are_cut),
        cmocka_unit_test(a_string_can_be_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
