#include "test.h"

#include "base/mem.h"
#include "proto/header.h"

static struct headers h;

/* "name=value|..." */
static void
check_list(const char *want)
{
    struct buf b = BUF_INIT(100000);
    for (unsigned i = 0; i < h.n; i++)
        buf_addf(&b, "%s%.*s=%.*s", i > 0 ? "|" : "", STR_ARG(h.at[i].name), STR_ARG(h.at[i].value));
    CHECK_STR(buf_str(&b), want);
    buf_clear(&b);
}

static void
fill(void)
{
    headers_init(&h);
    headers_add(&h, STR("A"), STR("1"));
    headers_add(&h, STR("b"), STR(""));
    headers_view(&h, STR("a"), STR("2"));
    headers_view(&h, STR("X-Ab"), str_of(NULL, 0));
    headers_add(&h, STR("x-ac"), STR("3"));
}

TEST(headers_keep_order_case_and_repetition)
{
    fill();
    check_list("A=1|b=|a=2|X-Ab=|x-ac=3");
    CHECK_STR(headers_get(&h, STR("a")), "1");
    CHECK_STR(headers_get(&h, STR("B")), "");
    CHECK(headers_has(&h, STR("x-aB")));
    CHECK(!headers_has(&h, STR("x-a")));
    CHECK(headers_get(&h, STR("c")).ptr == NULL);
    CHECK_INT(headers_count(&h, STR("A")), 2);
    CHECK_INT(headers_count(&h, STR("C")), 0);
    headers_clear(&h);
    check_list("");
}

TEST(headers_are_removed_and_replaced)
{
    fill();
    headers_set(&h, STR("A"), headers_get(&h, STR("a"))); /* its own bytes */
    check_list("b=|X-Ab=|x-ac=3|A=1");
    headers_remove_prefix(&h, STR("x-"));
    check_list("b=|A=1");
    headers_remove(&h, STR("B"));
    headers_remove(&h, STR("B"));
    check_list("A=1");
    headers_remove_prefix(&h, STR(""));
    check_list("");
    headers_clear(&h);
}

TEST(copies_outlive_what_they_were_made_of)
{
    struct headers from;
    char big[3000];
    memset(big, 'x', sizeof big);
    headers_init(&h);
    headers_init(&from);
    for (int i = 0; i < 100; i++)
        headers_add(&from, str_of(big, 1 + (size_t)i), str_of(big, (size_t)i * 29));
    headers_copy(&h, &from);
    headers_clear(&from);
    memset(big, 'y', sizeof big);
    CHECK_INT(h.n, 100);
    for (unsigned i = 0; i < h.n; i++) {
        CHECK_INT(h.at[i].value.len, i * 29);
        CHECK(str_chr(h.at[i].value, 'y') < 0 && str_chr(h.at[i].name, 'y') < 0);
    }
    headers_clear(&h);
}

TEST(values_are_cut_at_commas_outside_quotes)
{
    static const char *const rows[][2] = {
        {"a, b ,c", "a|b|c|"},
        {" , ,a,,", "a|"},
        {"", ""},
        {" \t", ""},
        {"\"a,b\",c", "\"a,b\"|c|"},
        {"\"a\\\",b\",c", "\"a\\\",b\"|c|"},
        {"a\\,b", "a\\|b|"},
        {"x=\"a,b\"; y, z", "x=\"a,b\"; y|z|"},
        {"a, \"b, c", "a|\"b, c|"},
        {"\"a\\", "\"a\\|"},
        {"\"\",\"", "\"\"|\"|"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct str rest = str_c(rows[i][0]), element;
        struct buf b = BUF_INIT(1000);
        while (header_element(&rest, &element)) {
            buf_adds(&b, element);
            buf_addc(&b, '|');
        }
        CHECK_STR(buf_str(&b), rows[i][1]);
        buf_clear(&b);
    }
}

TEST(tokens_are_found_in_lists)
{
    headers_init(&h);
    headers_view(&h, STR("Connection"), STR("a,\tUpgrade ,"));
    headers_view(&h, STR("Other"), STR("c"));
    headers_view(&h, STR("connection"), STR("b"));
    headers_view(&h, STR("connection"), str_of(NULL, 0));
    CHECK(headers_list_has(&h, STR("connection"), STR("upgrade")));
    CHECK(headers_list_has(&h, STR("CONNECTION"), STR("B")));
    CHECK(!headers_list_has(&h, STR("connection"), STR("c")));
    CHECK(!headers_list_has(&h, STR("connection"), STR("up")));
    headers_clear(&h);
}

TEST(elements_have_parameters)
{
    static const char *const rows[][2] = {
        {"room", "room"},
        {" \"a\" ", "\"a\""},
        {"", ""},
        {"a;", "a"},
        {"a;;; ;b", "a|b="},
        {"a; b=c ;d", "a|b=c|d="},
        {"a;b = c d ; e= ", "a|b=c d|e="},
        {"a;b=\"c;d\";e", "a|b=c;d|e="},
        {"a;b=\"c\\\"\\d\\\\\" x=y ; e", "a|b=c\"d\\|e="},
        {"a;b=\"\"", "a|b="},
        {"a;b=c\"d;e", "a|b=c\"d|e="},
        {"a;=x;b=1", "a|b=1"},
        {"a;b==1", "a|b==1"},
        {"</x>; rel=next; timeout=120", "</x>|rel=next|timeout=120"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct header_params p;
        struct buf b = BUF_INIT(1000);
        CHECK_INT(header_params_parse(str_c(rows[i][0]), &p), 0);
        buf_adds(&b, p.first);
        for (unsigned n = 0; n < p.n; n++)
            buf_addf(&b, "|%.*s=%.*s", STR_ARG(p.at[n].name), STR_ARG(p.at[n].value));
        CHECK_STR(buf_str(&b), rows[i][1]);
        header_params_clear(&p);
        buf_clear(&b);
    }
}

TEST(first_parameter_of_a_name_counts)
{
    struct header_params p;
    CHECK_INT(header_params_parse(STR("a;B=1;b=2;c"), &p), 0);
    CHECK_STR(header_param(&p, STR("b")), "1");
    CHECK(header_param(&p, STR("c")).ptr != NULL);
    CHECK(header_param(&p, STR("d")).ptr == NULL);
    header_params_clear(&p);
}

TEST(element_with_an_open_quote_is_dropped)
{
    static const char *const rows[] = {"a;b=\"", "a;b=\"c", "a;b=1;c=\"d\\\"", "a;b=\"c\\"};
    for (size_t i = 0; i < countof(rows); i++) {
        struct header_params p;
        CHECK_INT(header_params_parse(str_c(rows[i]), &p), -1);
        header_params_clear(&p);
    }
}

TEST(names_and_values_are_checked)
{
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        CHECK_INT(header_name_ok(str_of(text, 3)), token);
        CHECK_INT(header_value_ok(str_of(text, 3)), (c >= ' ' && c != 0x7f) || c == '\t');
    }
    CHECK(!header_name_ok(STR("")));
    CHECK(header_value_ok(STR("")));
}

TEST(status_codes_have_their_usual_reasons)
{
    CHECK_STR(http_reason(200), "OK");
    CHECK_STR(http_reason(306), "Reserved");
    CHECK_STR(http_reason(408), "Request Timeout");
    CHECK_STR(http_reason(413), "Request Entity Too Large");
    CHECK_STR(http_reason(511), "Network Authentication Required");
    CHECK_STR(http_reason(799), "Undefined Reason");
    CHECK_STR(http_reason(0), "Undefined Reason");
}

TEST(headers_are_packed_and_unpacked)
{
    struct buf b = BUF_INIT(1000);
    headers_init(&h);
    headers_unpack(&h, buf_str(&b));
    CHECK_INT(h.n, 0);
    header_pack(&b, STR("A"), STR("x: y"));
    header_pack(&b, STR("Bad"), STR("two\nlines"));
    header_pack(&b, STR("B:ad"), STR("x"));
    header_pack(&b, STR("Empty"), STR(""));
    headers_unpack(&h, buf_str(&b));
    CHECK_INT(h.n, 2);
    CHECK_STR(h.at[0].name, "A");
    CHECK_STR(h.at[0].value, "x: y");
    CHECK_STR(h.at[1].name, "Empty");
    CHECK_INT(h.at[1].value.len, 0);
    headers_clear(&h);
    buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_keep_order_case_and_repetition),
        cmocka_unit_test(headers_are_removed_and_replaced),
        cmocka_unit_test(copies_outlive_what_they_were_made_of),
        cmocka_unit_test(values_are_cut_at_commas_outside_quotes),
        cmocka_unit_test(tokens_are_found_in_lists),
        cmocka_unit_test(elements_have_parameters),
        cmocka_unit_test(first_parameter_of_a_name_counts),
        cmocka_unit_test(element_with_an_open_quote_is_dropped),
        cmocka_unit_test(names_and_values_are_checked),
        cmocka_unit_test(status_codes_have_their_usual_reasons),
        cmocka_unit_test(headers_are_packed_and_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
