#include "test.h"

#include "base/mem.h"

#include <stdio.h>

#define NUL_STR str_of("a\0b", 3)

TEST(compares_with_and_without_case)
{
    struct str none = {NULL, 0};
    CHECK(str_eq(none, STR("")));
    CHECK(str_ieq(none, STR("")));
    CHECK(str_eq(NUL_STR, NUL_STR));
    CHECK(!str_eq(NUL_STR, STR("a")));
    CHECK(str_ieq(STR("Content-TYPE"), STR("cOntent-type")));
    CHECK(!str_ieq(STR("@"), STR("`"))); /* 0x20 apart, yet no letters */
    CHECK(!str_ieq(STR("\xc4"), STR("\xe4")));
    CHECK(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), STR("")) && !str_starts(STR("a"), STR("ab")));
    CHECK(str_istarts(STR("GRIP-hold"), STR("Grip-")) && !str_istarts(STR("Gri"), STR("Grip-")));
    CHECK(str_ends(STR("abc"), STR("bc")) && str_ends(STR("abc"), none) && !str_ends(STR("c"), STR("bc")));
    CHECK(str_starts(none, none) && str_ends(none, none));
}

TEST(orders_by_bytes_and_then_by_length)
{
    CHECK(str_cmp(STR("a"), STR("b")) < 0);
    CHECK(str_cmp(STR("b"), STR("a")) > 0);
    CHECK(str_cmp(STR("a"), STR("ab")) < 0);
    CHECK(str_cmp(STR("\xff"), STR("a")) > 0);
    CHECK(str_cmp(STR(""), str_of(NULL, 0)) == 0);
}

TEST(sub_never_leaves_the_string)
{
    CHECK_STR(str_sub(STR("abcdef"), 2, 3), "cde");
    CHECK_STR(str_sub(STR("abc"), 2, SIZE_MAX), "c");
    CHECK_STR(str_sub(STR("abc"), SIZE_MAX, SIZE_MAX), "");
    CHECK_STR(str_from(STR("abc"), 1), "bc");
    CHECK_STR(str_from(STR("abc"), 9), "");
    CHECK(str_sub(str_of(NULL, 0), 1, 1).ptr == NULL);
}

TEST(finds)
{
    CHECK_INT(str_chr(STR("abca"), 'a'), 0);
    CHECK_INT(str_chr(STR("abca"), 'x'), -1);
    CHECK_INT(str_chr(str_of(NULL, 0), 'x'), -1);
    CHECK_INT(str_find(STR("abcabd"), STR("abd")), 3);
    CHECK_INT(str_find(STR("abc"), STR("")), 0);
    CHECK_INT(str_find(STR("ab"), STR("abc")), -1);
    CHECK_INT(str_find(str_of(NULL, 0), STR("a")), -1);
}

TEST(trims_spaces_and_tabs_only)
{
    CHECK_STR(str_trim(STR(" \t a b\t ")), "a b");
    CHECK_STR(str_trim(STR(" \t ")), "");
    CHECK_STR(str_trim(STR("\na\r")), "\na\r");
    CHECK_STR(str_trim(str_of(NULL, 0)), "");
}

TEST(splits)
{
    static const struct {
        const char *text, *joined; /* parts in brackets */
    } rows[] = {
        {"", "[]"}, {"a", "[a]"}, {"a,", "[a][]"}, {",", "[][]"}, {"a,b,c", "[a][b][c]"}, {",,a", "[][][a]"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct str rest = str_c(rows[i].text), part;
        char got[64] = "";
        while (str_split(&rest, ',', &part)) {
            size_t n = strlen(got);
            snprintf(got + n, sizeof got - n, "[%.*s]", STR_ARG(part));
        }
        CHECK_STR(str_c(got), rows[i].joined);
    }
}

TEST(reads_numbers)
{
    static const struct {
        const char *text;
        int u, i, x; /* what str_u64, str_i64 and str_hex return */
        uint64_t value;
        int64_t sign_value;
        uint64_t hex_value;
    } rows[] = {
        {"0", 0, 0, 0, 0, 0, 0},
        {"0010", 0, 0, 0, 10, 10, 16},
        {"18446744073709551615", 0, -1, -1, UINT64_MAX, 0, 0},
        {"18446744073709551616", -1, -1, -1, 0, 0, 0},
        {"99999999999999999999", -1, -1, -1, 0, 0, 0},
        {"9223372036854775807", 0, 0, -1, INT64_MAX, INT64_MAX, 0},
        {"9223372036854775808", 0, -1, -1, 9223372036854775808u, 0, 0},
        {"-9223372036854775808", -1, 0, -1, 0, INT64_MIN, 0},
        {"-9223372036854775809", -1, -1, -1, 0, 0, 0},
        {"-0", -1, 0, -1, 0, 0, 0},
        {"+7", -1, 0, -1, 0, 7, 0},
        {" 7\t", -1, 0, -1, 0, 7, 0},
        {"", -1, -1, -1, 0, 0, 0},
        {"-", -1, -1, -1, 0, 0, 0},
        {"+-1", -1, -1, -1, 0, 0, 0},
        {"- 1", -1, -1, -1, 0, 0, 0},
        {"1x", -1, -1, -1, 0, 0, 0},
        {"fFfFfFfFfFfFfFfF", -1, -1, 0, 0, 0, UINT64_MAX},
        {"10000000000000000", 0, 0, -1, 10000000000000000, 10000000000000000, 0},
        {"g", -1, -1, -1, 0, 0, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t u = 0, x = 0;
        int64_t n = 0;
        struct str s = str_c(rows[i].text);
        CHECK_INT(str_u64(s, &u), rows[i].u);
        CHECK_INT(str_i64(s, &n), rows[i].i);
        CHECK_INT(str_hex(s, &x), rows[i].x);
        CHECK(u == rows[i].value && n == rows[i].sign_value && x == rows[i].hex_value);
    }
}

TEST(copies_end_in_nul)
{
    char *copy = str_dup(NUL_STR), *empty = str_dup(str_of(NULL, 0));
    CHECK(memcmp(copy, "a\0b\0", 4) == 0);
    CHECK_INT(*empty, 0);
    mem_free(copy);
    mem_free(empty);
}

TEST(lowers_ascii_only)
{
    char text[] = "A[z\xc4Q";
    str_lower(text, sizeof text - 1);
    CHECK_STR(str_c(text), "a[z\xc4q");
}

TEST(knows_utf8)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"gr\xc3\xbc\xc3\x9f", true},
        {"\xe2\x98\x83", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xed\x9f\xbf\xee\x80\x80", true},
        {"\xf4\x90\x80\x80", false}, /* over U+10FFFF */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xc0\x80", false},         /* overlong forms */
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\x80", false},
        {"\xff", false},
        {"a\xc3", false}, /* cut */
        {"\xe2\x98", false},
        {"\xf0\x9f\x98", false},
        {"\xe2\x98z", false},
        {"\xf0\x9f\x98z", false},
        {"\xc3z", false},
    };
    for (size_t i = 0; i < countof(rows); i++)
        CHECK_INT(str_utf8(str_c(rows[i].text)), rows[i].good);
    CHECK(str_utf8(str_of(NULL, 0)));
    CHECK(str_utf8(NUL_STR));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_with_and_without_case),
        cmocka_unit_test(orders_by_bytes_and_then_by_length),
        cmocka_unit_test(sub_never_leaves_the_string),
        cmocka_unit_test(finds),
        cmocka_unit_test(trims_spaces_and_tabs_only),
        cmocka_unit_test(splits),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(copies_end_in_nul),
        cmocka_unit_test(lowers_ascii_only),
        cmocka_unit_test(knows_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
