#include "test.h"

#include "base/mem.h"
#include "proto/jsontext.h"

#include <stdlib.h>

TEST(values_are_written_for_people)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"{}", "{}"},
        {"[]", "[]"},
        {"[1,-2,null,true,false,1.5]", "[ 1, -2, null, true, false, 1.5 ]"},
        {"{\"k\":\"v\",\"n\":1,\"l\":[{}]}", "{ \"k\": \"v\", \"n\": 1, \"l\": [ {} ] }"},
        {"[\"a\\\\b\\\"c\\nd\\u0000\\u00e9\"]", "[ \"a\\\\b\\\"c\\nd\\x00\\xc3\\xa9\" ]"},
    };
    char text[JSONTEXT_SIZE];
    for (size_t i = 0; i < countof(rows); i++) {
        json_t *v = json_loads(rows[i].json, JSON_ALLOW_NUL, NULL);
        CHECK(v != NULL);
        CHECK_STR(jsontext(v, text, sizeof text), rows[i].want);
        json_decref(v);
    }
}

TEST(what_does_not_fit_is_cut)
{
    json_t *v = json_pack("[s, s]", "0123456789", "x");
    for (size_t size = 4; size < 40; size++) {
        char *out = malloc(size); /* the sanitizer watches its end */
        struct str s = jsontext(v, out, size);
        CHECK(s.len <= size);
        CHECK(str_ends(s, STR("...")) || (size >= 21 + 3 && str_eq(s, STR("[ \"0123456789\", \"x\" ]"))));
        free(out);
    }
    json_decref(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_for_people),
        cmocka_unit_test(what_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
