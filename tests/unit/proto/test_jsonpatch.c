#include "test.h"

#include "base/buf.h"
#include "base/mem.h"
#include "proto/jsonpatch.h"
#include "proto/jsonread.h"

#include <stdio.h>

struct row {
    const char *doc, *patch, *want; /* want NULL: refused */
};

static json_t *
parse(const char *text)
{
    json_t *v = jsonread_parse(str_c(text), NULL);
    if (v == NULL)
        print_error("not JSON: %s\n", text);
    CHECK(v != NULL);
    return v;
}

static void
check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *doc = parse(rows[i].doc), *before = json_deep_copy(doc), *patch = parse(rows[i].patch);
        struct err e = {""};
        json_t *got = jsonpatch_apply(doc, patch, &e);
        json_t *want = rows[i].want != NULL ? parse(rows[i].want) : NULL;
        if ((got == NULL) != (want == NULL) || (want != NULL && !json_equal(got, want))) {
            print_error("row %zu: %s to %s: %s\n", i, rows[i].patch, rows[i].doc, e.text);
            fail();
        }
        CHECK((got == NULL) == (e.text[0] != '\0'));
        CHECK(json_equal(doc, before));
        json_decref(got);
        json_decref(want);
        json_decref(before);
        json_decref(doc);
        json_decref(patch);
    }
}

/* In the order of the appendix. */
TEST(examples_of_rfc_6902)
{
    static const struct row rows[] = {
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
         "{\"baz\":\"qux\",\"foo\":\"bar\"}"},
        {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
         "{\"foo\":[\"bar\",\"qux\",\"baz\"]}"},
        {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":\"bar\"}"},
        {"{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
         "{\"foo\":[\"bar\",\"baz\"]}"},
        {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
         "{\"baz\":\"boo\",\"foo\":\"bar\"}"},
        {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
         "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
         "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}"},
        {"{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
         "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
         "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}"},
        {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
         "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
         "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}"},
        {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]",
         "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}"},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",
         "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL},
        /* A.13, two "op" members: the parser keeps the last, as RFC 8259 lets it */
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"op\":\"remove\"}]", NULL},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", "{\"/\":9,\"~1\":10}"},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL},
        {"{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
         "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}"},
    };
    check_rows(rows, countof(rows));
}

TEST(root_has_two_names)
{
    static const struct row rows[] = {
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[2]}]", "[2]"},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/\",\"value\":[2]}]", "[2]"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":null}]", "null"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/\",\"value\":{\"a\":1.0}}]", "{\"a\":1}"},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/\",\"path\":\"/b\"}]", "{\"a\":1,\"b\":{\"a\":1}}"},
        {"{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/\"}]", "[1]"},
        {"{\"a\":[1]}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"\"}]", "[1]"},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"/\"}]", "{\"a\":1}"},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/\",\"path\":\"b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/\"}]", NULL},
        {"5", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", NULL},
        {"5", "[{\"op\":\"replace\",\"path\":\"\",\"value\":6}]", "6"},
        {"[5]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"\"}]", "5"},
        {"[5]", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}},{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]",
         "{\"a\":1}"},
    };
    check_rows(rows, countof(rows));
}

TEST(array_indices)
{
    static const struct row rows[] = {
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":0}]", "[0,1,2]"},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":3}]", "[1,2,3]"},
        {"[]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":3}]", "[3]"},
        {"[]", "[{\"op\":\"add\",\"path\":\"/-\",\"value\":3}]", "[3]"},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/3\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/01\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/00\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/-1\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/+1\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/1e0\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"add\",\"path\":\"/99999999999999999999\",\"value\":3}]", NULL},
        {"[1,2]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL},
        {"[1,2]", "[{\"op\":\"remove\",\"path\":\"/2\"}]", NULL},
        {"[1,2]", "[{\"op\":\"remove\",\"path\":\"/1\"}]", "[1]"},
        {"[1,2]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":[9]}]", "[1,[9]]"},
        {"[1,2]", "[{\"op\":\"replace\",\"path\":\"/2\",\"value\":9}]", NULL},
        {"[1,2]", "[{\"op\":\"replace\",\"path\":\"/-\",\"value\":9}]", NULL},
        {"[1,2]", "[{\"op\":\"test\",\"path\":\"/01\",\"value\":2}]", NULL},
        {"[[1],2]", "[{\"op\":\"add\",\"path\":\"/0/-\",\"value\":9}]", "[[1,9],2]"},
        {"[[1],2]", "[{\"op\":\"add\",\"path\":\"/-/0\",\"value\":9}]", NULL},
        {"[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/-\"}]", "[2,3,1]"},
        {"[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/3\"}]", NULL},
        {"[1,2,3]", "[{\"op\":\"move\",\"from\":\"/1\",\"path\":\"/1\"}]", "[1,2,3]"},
        {"{\"-\":1,\"01\":2}", "[{\"op\":\"remove\",\"path\":\"/-\"},{\"op\":\"remove\",\"path\":\"/01\"}]", "{}"},
    };
    check_rows(rows, countof(rows));
}

TEST(pointers)
{
    static const struct row rows[] = {
        {"{\"a\":{\"\":{\"\":1}}}", "[{\"op\":\"replace\",\"path\":\"/a//\",\"value\":2}]", "{\"a\":{\"\":{\"\":2}}}"},
        {"{\"\":{\"b\":1}}", "[{\"op\":\"remove\",\"path\":\"//b\"}]", "{\"\":{}}"},
        {"{\"a/b\":{\"m~n\":1}}", "[{\"op\":\"replace\",\"path\":\"/a~1b/m~0n\",\"value\":2}]",
         "{\"a/b\":{\"m~n\":2}}"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/~01~10\",\"value\":1}]", "{\"~1/0\":1}"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/gr\xc3\xbc\xc3\x9f\",\"value\":1}]", "{\"gr\xc3\xbc\xc3\x9f\":1}"},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"a\"}]", NULL},
        {"{\"~2\":1}", "[{\"op\":\"remove\",\"path\":\"/~2\"}]", NULL},
        {"{\"~\":1}", "[{\"op\":\"remove\",\"path\":\"/~\"}]", NULL},
        {"{\"a\":\"text\"}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL},
        {"{\"a\":null}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}"},
        {"{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", NULL},
    };
    check_rows(rows, countof(rows));
}

TEST(move_and_copy)
{
    static const struct row rows[] = {
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/c/d\"}]", NULL},
        {"{\"a\":{\"b\":1},\"ab\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab/c\"}]",
         "{\"ab\":{\"c\":{\"b\":1}}}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/a\"}]", "{\"a\":1}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/b\"}]", "{\"a\":{\"b\":{\"b\":1}}}"},
        {"{\"a\":[1]}",
         "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/b/-\",\"value\":2}]",
         "{\"a\":[1],\"b\":[1,2]}"},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/x/y\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/none\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/none\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":1,\"path\":\"/b\"}]", NULL},
    };
    check_rows(rows, countof(rows));
}

TEST(equality_is_of_values)
{
    static const struct {
        const char *have, *tested;
        bool same;
    } rows[] = {
        {"1", "1.0", true},
        {"1.0", "1", true},
        {"1e2", "100", true},
        {"1.5", "1", false},
        {"0", "-0.0", true},
        {"9007199254740993", "9007199254740992.0", false},
        {"9223372036854775807", "9223372036854775808.0", false},
        {"-9223372036854775808", "-9223372036854775808.0", true},
        {"1", "1e300", false},
        {"1", "\"1\"", false},
        {"1", "true", false},
        {"true", "true", true},
        {"true", "false", false},
        {"null", "null", true},
        {"\"a\"", "\"a\"", true},
        {"\"a\\u0000b\"", "\"a\\u0000c\"", false},
        {"[1,2]", "[1.0,2.0]", true},
        {"[1,2]", "[2,1]", false},
        {"[1,2]", "[1]", false},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"[]", "{}", false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char doc[100], patch[200];
        struct row row = {doc, patch, rows[i].same ? doc : NULL};
        snprintf(doc, sizeof doc, "{\"k\":%s}", rows[i].have);
        snprintf(patch, sizeof patch, "[{\"op\":\"test\",\"path\":\"/k\",\"value\":%s}]", rows[i].tested);
        check_rows(&row, 1);
    }
}

TEST(bad_patches_and_atomicity)
{
    static const struct row rows[] = {
        {"{}", "[]", "{}"},
        {"{}", "{}", NULL},
        {"{}", "[5]", NULL},
        {"{}", "[{}]", NULL},
        {"{}", "[{\"op\":\"add\",\"value\":1}]", NULL},
        {"{}", "[{\"op\":\"add\",\"path\":5,\"value\":1}]", NULL},
        {"{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL},
        {"{}", "[{\"op\":\"spam\",\"path\":\"/a\"}]", NULL},
        {"{}", "[{\"op\":5,\"path\":\"/a\"}]", NULL},
        {"{}", "[{\"path\":\"/a\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2},{\"op\":\"remove\",\"path\":\"/b\"}]", NULL},
    };
    check_rows(rows, countof(rows));
}

static void
check_error(json_t *doc, json_t *patch, const char *want)
{
    struct err e = {""};
    CHECK(jsonpatch_apply(doc, patch, &e) == NULL);
    CHECK_STR(str_c(e.text), want);
    CHECK(jsonpatch_apply(doc, patch, NULL) == NULL);
    json_decref(doc);
    json_decref(patch);
}

TEST(errors_say_which_operation_and_why)
{
    check_error(parse("{\"a\":1}"),
                parse("[{\"op\":\"test\",\"path\":\"/a\",\"value\":1},{\"op\":\"remove\",\"path\":\"/b\"}]"),
                "operation 1: path \"/b\" does not exist");
    check_error(parse("[]"), parse("[{\"op\":\"add\",\"path\":\"/1\",\"value\":1}]"),
                "operation 0: path \"/1\" is not an index of the array");
    check_error(parse("{}"), parse("[{\"op\":\"copy\",\"path\":\"/1\"}]"), "operation 0: 'from' is missing");
}

TEST(doubling_is_stopped)
{
    json_t *patch = json_array(), *longer = json_array();
    char *text = mem_alloc(1000001);
    for (int i = 0; i < 60; i++)
        json_array_append_new(patch, parse("{\"op\":\"copy\",\"from\":\"\",\"path\":\"/-\"}"));
    check_error(parse("[1]"), patch, "operation 18: too much is copied");
    memset(text, 'x', 1000000); /* few values, yet many bytes */
    text[1000000] = '\0';
    for (int i = 0; i < 9000; i++)
        json_array_append_new(longer, parse("{\"op\":\"copy\",\"from\":\"/0\",\"path\":\"/-\"}"));
    check_error(json_pack("[s]", text), longer, "operation 62: too much is copied");
    mem_free(text);
}

/* A copy of a chain of lists into its own end doubles its depth. */
TEST(depth_is_bounded)
{
    json_t *patch = json_array(), *deep = json_array(), *move;
    struct buf path = BUF_INIT(100000);
    for (int i = 0; i < 14; i++) {
        for (size_t n = i == 0 ? 0 : (size_t)1 << (i - 1); n < (size_t)1 << i; n++)
            buf_adds(&path, STR("/0"));
        json_array_append_new(patch, json_pack("{ss ss ss%}", "op", "copy", "from", "", "path", path.ptr, path.len));
    }
    check_error(json_array(), patch, "operation 11: nested too deeply");
    for (int i = 1; i < 2000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    path.len = 0;
    for (int i = 0; i < 100; i++)
        buf_adds(&path, STR("/0"));
    buf_addf(&path, "/0%c", '\0');
    move = json_pack("[{ss ss ss}]", "op", "move", "from", "/1", "path", path.ptr);
    check_error(json_pack("[oO]", json_incref(deep), deep), move, "operation 0: nested too deeply");
    json_decref(deep);
    buf_clear(&path);
}

TEST(number_of_operations_is_bounded)
{
    json_t *patch = json_array(), *op = parse("{\"op\":\"test\",\"path\":\"\",\"value\":1}"), *doc = parse("1"), *got;
    for (int i = 0; i < 10000; i++)
        json_array_append(patch, op);
    got = jsonpatch_apply(doc, patch, NULL);
    CHECK(got != NULL);
    json_array_append(patch, op);
    check_error(doc, patch, "patch is not a list of at most 10000 operations");
    json_decref(got);
    json_decref(op);
}

TEST(text_that_is_not_utf8_does_not_get_in)
{
    check_error(json_object(),
                json_pack("[{ss ss so}]", "op", "add", "path", "/a", "value", json_string_nocheck("\xff")),
                "operation 0: text is not UTF-8");
    json_t *op = json_pack("{ss so si}", "op", "add", "path", json_string_nocheck("/\xff"), "value", 1);
    check_error(json_object(), json_pack("[o]", op), "operation 0: path \"\" is not UTF-8");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_rfc_6902),
        cmocka_unit_test(root_has_two_names),
        cmocka_unit_test(array_indices),
        cmocka_unit_test(pointers),
        cmocka_unit_test(move_and_copy),
        cmocka_unit_test(equality_is_of_values),
        cmocka_unit_test(bad_patches_and_atomicity),
        cmocka_unit_test(errors_say_which_operation_and_why),
        cmocka_unit_test(doubling_is_stopped),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(number_of_operations_is_bounded),
        cmocka_unit_test(text_that_is_not_utf8_does_not_get_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
