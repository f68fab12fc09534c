#include "test.h"

#include "base/mem.h"
#include "proto/tnet.h"

#include <stdlib.h>

static json_t *
parse(struct str text)
{
    struct err e = {""};
    json_t *v = tnet_parse(text, NULL, &e);
    if (v == NULL)
        CHECK(e.text[0] != '\0');
    return v;
}

/* As JSON text, which says what was meant. */
TEST(values_are_read_and_written)
{
    static const struct {
        const char *tnet, *json;
    } rows[] = {
        {"0:,", "\"\""},
        {"5:hello,", "\"hello\""},
        {"1:5#", "5"},
        {"2:-5#", "-5"},
        {"19:9223372036854775807#", "9223372036854775807"},
        {"20:-9223372036854775808#", "-9223372036854775808"},
        {"3:1.5^", "1.5"},
        {"4:true!", "true"},
        {"5:false!", "false"},
        {"0:~", "null"},
        {"0:}", "{}"},
        {"0:]", "[]"},
        {"15:1:1#5:false!0:~]", "[1, false, null]"},
        {"28:7:success,4:true!5:value,0:~}", "{\"success\": true, \"value\": null}"},
        {"18:1:a,10:1:b,4:0:]]}}", NULL},
        {"18:1:a,10:1:b,3:0:]]}}", "{\"a\": {\"b\": [[]]}}"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf b = BUF_INIT(1000);
        json_t *v = parse(str_c(rows[i].tnet));
        if (rows[i].json == NULL) {
            CHECK(v == NULL);
            continue;
        }
        CHECK(v != NULL);
        char *text = json_dumps(v, JSON_ENCODE_ANY);
        CHECK_STR(str_c(text), rows[i].json);
        CHECK_INT(tnet_put(&b, v), 0);
        CHECK_STR(buf_str(&b), rows[i].tnet);
        free(text);
        json_decref(v);
        buf_clear(&b);
    }
}

TEST(strings_and_keys_hold_any_bytes)
{
    static const char text[] = "16:3:\0k\xff,7:\0\x80\xff\xfe\r\n\0,}";
    json_t *v = parse(str_of(text, sizeof text - 1)), *s;
    struct buf b = BUF_INIT(100);
    CHECK(v != NULL);
    s = json_object_getn(v, "\0k\xff", 3);
    CHECK(json_string_length(s) == 7 && memcmp(json_string_value(s), "\0\x80\xff\xfe\r\n\0", 7) == 0);
    CHECK_INT(tnet_put(&b, v), 0);
    CHECK(str_eq(buf_str(&b), str_of(text, sizeof text - 1)));
    buf_clear(&b);
    json_decref(v);
}

TEST(last_of_a_repeated_key_wins)
{
    json_t *v = parse(STR("16:1:a,1:1#1:a,1:2#}"));
    CHECK_INT(json_object_size(v), 1);
    CHECK_INT(json_integer_value(json_object_get(v, "a")), 2);
    json_decref(v);
}

TEST(tells_how_much_it_used)
{
    size_t used = 0;
    json_t *v = tnet_parse(STR("3:abc,trailing"), &used, NULL);
    CHECK_INT(used, 6);
    json_decref(v);
    v = tnet_parse(STR("003:abc,"), &used, NULL);
    CHECK_INT(used, 8);
    json_decref(v);
}

TEST(bad_text_is_refused)
{
    static const char *const rows[] = {
        "",
        "junk",
        ":",
        ":,",
        "1",
        "1:",
        "1:a",
        "5:abc",
        "5:abc,",
        "-1:a,",
        "+1:a,",
        " 1:a,",
        "1 :a,",
        "1:a?",
        "18446744073709551615:a,",
        "18446744073709551616:a,",
        "9999999999999999999:a,",
        "00000000000000000001:a,",
        /* numbers */
        "0:#",
        "1:x#",
        "2: 5#",
        "2:5 #",
        "3:1.5#",
        "19:9223372036854775808#",
        "0:^",
        "1:x^",
        "3:nan^",
        "3:inf^",
        "5:1e999^",
        "4:0x1p^",
        "2: 1^",
        "3:1e+^",
        /* the rest */
        "4:True!",
        "0:!",
        "1:x~",
        "1:x]",
        "1:x}",
        "4:1:a,}",
        "8:1:1#1:2#}",
        "8:1:a,2:bc}",
        "6:1:a,2:]",
        "3:1:a]",
    };
    for (size_t i = 0; i < countof(rows); i++)
        CHECK(parse(str_c(rows[i])) == NULL);
    CHECK(parse(str_of(NULL, 0)) == NULL);
}

TEST(every_cut_of_a_message_is_refused)
{
    static const char whole[] = "55:7:channel,4:room,4:size,3:2.5^4:list,7:4:true!]2:no,0:~}";
    json_t *v = parse(STR("55:7:channel,4:room,4:size,3:2.5^4:list,7:4:true!]2:no,0:~}"));
    CHECK(v != NULL);
    json_decref(v);
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *exact = mem_alloc(n); /* so that reading past the end is caught */
        memcpy(exact, whole, n);
        CHECK(parse(str_of(exact, n)) == NULL);
        mem_free(exact);
    }
}

/* LEVELS lists in each other. */
static struct buf
nested(unsigned levels)
{
    struct buf inner = BUF_INIT(100000);
    for (unsigned i = 0; i < levels; i++) {
        struct buf outer = BUF_INIT(100000);
        buf_addf(&outer, "%zu:%.*s]", inner.len, (int)inner.len, inner.len > 0 ? inner.ptr : "");
        buf_clear(&inner);
        inner = outer;
    }
    return inner;
}

TEST(depth_is_bounded)
{
    struct buf deepest = nested(TNET_MAX_DEPTH), deeper = nested(TNET_MAX_DEPTH + 1), out = BUF_INIT(100000);
    json_t *v = parse(buf_str(&deepest)), *around = json_array();
    CHECK(v != NULL);
    CHECK(parse(buf_str(&deeper)) == NULL);
    CHECK_INT(tnet_put(&out, v), 0);
    CHECK(str_eq(buf_str(&out), buf_str(&deepest)));
    json_array_append_new(around, v);
    CHECK_INT(tnet_put(&out, around), -1);
    CHECK(str_eq(buf_str(&out), buf_str(&deepest)));
    json_decref(around);
    buf_clear(&deepest);
    buf_clear(&deeper);
    buf_clear(&out);
}

TEST(full_buffer_is_left_as_it_is)
{
    json_t *v = parse(STR("55:7:channel,4:room,4:size,3:2.5^4:list,7:4:true!]2:no,0:~}"));
    for (size_t max = 0; max < 65; max++) {
        struct buf b = BUF_INIT(max);
        bool fits = max >= 1 + 59;
        if (max > 0)
            buf_addc(&b, 'T');
        CHECK_INT(tnet_put(&b, v), fits ? 0 : -1);
        CHECK_INT(b.len, max == 0 ? 0 : fits ? 60 : 1);
        buf_clear(&b);
    }
    json_decref(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_and_written),
        cmocka_unit_test(strings_and_keys_hold_any_bytes),
        cmocka_unit_test(last_of_a_repeated_key_wins),
        cmocka_unit_test(tells_how_much_it_used),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(every_cut_of_a_message_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(full_buffer_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
