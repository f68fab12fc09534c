#include "test.h"

#include "base/mem.h"
#include "proto/jsonread.h"

#include <stdio.h>

TEST(parses_any_whole_value)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"{}", true},
        {" [1]\n", true},
        {"null", true},
        {"\"a\\u0000b\"", true},
        {"\xef\xbb\xbf{}", true},
        {"\"gr\xc3\xbc\xc3\x9f\"", true},
        {"", false},
        {"\xef\xbb\xbf", false},
        {"{", false},
        {"{} x", false},
        {"{}{}", false},
        {"\"\xff\"", false},
        {"\"\\ud800\"", false},
        {"{\"a\":1,}", false},
        {"nul", false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct err e = {""};
        json_t *v = jsonread_parse(str_c(rows[i].text), &e);
        CHECK_INT(v != NULL, rows[i].good);
        CHECK_INT(e.text[0] == '\0', rows[i].good);
        json_decref(v);
    }
    CHECK(jsonread_parse(str_of(NULL, 0), NULL) == NULL);
    CHECK(jsonread_parse(str_of("{}\0", 3), NULL) == NULL);
}

TEST(nesting_is_bounded)
{
    static char text[20000];
    memset(text, '[', 10000);
    memset(text + 10000, ']', 10000);
    CHECK(jsonread_parse(str_of(text, 20000), NULL) == NULL);
    json_t *v = jsonread_parse(str_of(text + 9000, 2000), NULL);
    CHECK(v != NULL);
    json_decref(v);
}

static json_t *
object(const char *text)
{
    json_t *o = jsonread_parse(str_c(text), NULL);
    CHECK(o != NULL);
    return o;
}

static void
check_wrong(int rc, const struct err *e)
{
    CHECK_INT(rc, -1);
    CHECK_STR(str_c(e->text), "hold contains 'k' with wrong type");
}

TEST(strings)
{
    json_t *o = object("{\"k\": 5, \"s\": \"a\\u0000b\", \"e\": \"\"}");
    struct str s = STR("before");
    struct err e;
    bool found = true;
    CHECK_INT(jsonread_str(o, "none", "hold", &s, &found, &e), 0);
    CHECK(!found);
    CHECK_STR(s, "before");
    CHECK_INT(jsonread_str(o, "s", "hold", &s, &found, &e), 0);
    CHECK(found && str_eq(s, str_of("a\0b", 3)));
    CHECK_INT(jsonread_str(o, "e", "hold", &s, NULL, &e), 0);
    CHECK(s.ptr != NULL && s.len == 0);
    check_wrong(jsonread_str(o, "k", "hold", &s, NULL, &e), &e);
    json_decref(o);
}

TEST(booleans)
{
    json_t *o = object("{\"k\": 1, \"t\": true, \"f\": false}");
    struct err e;
    bool b = false, found;
    CHECK_INT(jsonread_bool(o, "t", "hold", &b, &found, &e), 0);
    CHECK(b && found);
    CHECK_INT(jsonread_bool(o, "none", "hold", &b, &found, &e), 0);
    CHECK(b && !found);
    CHECK_INT(jsonread_bool(o, "f", "hold", &b, NULL, &e), 0);
    CHECK(!b);
    check_wrong(jsonread_bool(o, "k", "hold", &b, NULL, &e), &e);
    json_decref(o);
}

TEST(integers)
{
    static const struct {
        const char *value;
        int rc;
        int64_t want;
    } rows[] = {
        {"5", 0, 5},
        {"-5", 0, -5},
        {"200.7", 0, 201},
        {"200.4", 0, 200},
        {"-0.4", 0, 0},
        {"-1.5", 0, -2},
        {"1e300", 0, INT64_MAX},
        {"-1e300", 0, INT64_MIN},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775807.0", 0, INT64_MAX},
        {"-9223372036854775808.0", 0, INT64_MIN},
        {"\"201\"", 0, 201},
        {"\"-7\"", 0, -7},
        {"\"+7\"", 0, 7},
        {"\"99999999999999999999\"", 0, INT64_MAX},
        {"\"-99999999999999999999\"", 0, INT64_MIN},
        {"\"\"", -1, 0},
        {"\"-\"", -1, 0},
        {"\" 1\"", -1, 0},
        {"\"1 \"", -1, 0},
        {"\"2xx\"", -1, 0},
        {"\"1.5\"", -1, 0},
        {"\"1\\u0000\"", -1, 0},
        {"true", -1, 0},
        {"null", -1, 0},
        {"[]", -1, 0},
        {"{}", -1, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char text[100];
        struct err e;
        int64_t n = 0;
        bool found;
        json_t *o;
        snprintf(text, sizeof text, "{\"k\": %s}", rows[i].value);
        o = object(text);
        if (rows[i].rc != 0)
            check_wrong(jsonread_int(o, "k", "hold", &n, &found, &e), &e);
        else
            CHECK_INT(jsonread_int(o, "k", "hold", &n, NULL, &e), 0);
        CHECK_INT(n, rows[i].want);
        CHECK_INT(jsonread_int(o, "none", "hold", &n, &found, NULL), 0);
        CHECK(!found && n == rows[i].want);
        json_decref(o);
    }
}

TEST(containers)
{
    json_t *o = object("{\"k\": null, \"o\": {\"a\": 1}, \"l\": [1, 2]}"), *v = NULL;
    struct err e;
    CHECK_INT(jsonread_object(o, "none", "hold", &v, &e), 0);
    CHECK_INT(jsonread_array(o, "none", "hold", &v, &e), 0);
    CHECK(v == NULL);
    CHECK_INT(jsonread_object(o, "o", "hold", &v, &e), 0);
    CHECK_INT(json_object_size(v), 1);
    CHECK_INT(jsonread_array(o, "l", "hold", &v, &e), 0);
    CHECK_INT(json_array_size(v), 2);
    CHECK_INT(jsonread_object(o, "l", "hold", &v, NULL), -1);
    CHECK_INT(jsonread_array(o, "o", "hold", &v, NULL), -1);
    check_wrong(jsonread_object(o, "k", "hold", &v, &e), &e);
    check_wrong(jsonread_array(o, "k", "hold", &v, &e), &e);
    json_decref(o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_any_whole_value),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(strings),
        cmocka_unit_test(booleans),
        cmocka_unit_test(integers),
        cmocka_unit_test(containers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
