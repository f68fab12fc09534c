#include "test.h"

#include "base/mem.h"
#include "grip/contentid.h"

static struct str
look_up(void *arg, struct str name)
{
    (void)arg;
    if (str_eq(name, STR("name")))
        return STR("Ann");
    if (str_eq(name, STR("a)b\\")))
        return STR("odd");
    if (str_eq(name, STR("")))
        return STR("nameless");
    if (str_eq(name, STR("empty")))
        return STR("");
    return str_of(NULL, 0);
}

static void
check_subst(const char *text, const char *want, const char *error)
{
    struct buf out = BUF_INIT(1000);
    struct err e = {""};
    int rc = contentid_subst(str_c(text), look_up, NULL, &out, &e);
    if (error == NULL) {
        CHECK_INT(rc, 0);
        CHECK_STR(buf_str(&out), want);
    } else {
        CHECK_INT(rc, -1);
        CHECK_STR(str_c(e.text), error);
    }
    buf_clear(&out);
}

TEST(variables_are_replaced)
{
    check_subst("", "", NULL);
    check_subst("plain", "plain", NULL);
    check_subst("Hi %(name)s, 100%% %(name)s", "Hi Ann, 100% Ann", NULL);
    check_subst("%(na\\me)s%(a\\)b\\\\)s", "Annodd", NULL);
    check_subst("%()s|%(empty)s|", "nameless||", NULL);
    check_subst("%%(name)s", "%(name)s", NULL);
    check_subst("%(no)s", NULL, "No such variable 'no' at position 5");
    check_subst("..%(nope)s", NULL, "No such variable 'nope' at position 9");
    check_subst("%s", NULL, "Directive 's' requires argument at position 1");
    check_subst("%I", NULL, "Unknown directive 'I' at position 1");
    check_subst("%(a)x", NULL, "Unknown directive 'x' at position 4");
    check_subst("%(a)%", NULL, "Unknown directive '%' at position 4");
    check_subst("100%", NULL, "Expected directive after '%' at position 3");
    check_subst("%(a", NULL, "Unterminated field starting at position 1");
    check_subst("%(", NULL, "Expected character after '(' at position 1");
    check_subst("%(a\\", NULL, "Expected character after '\\' at position 3");
    check_subst(".%(a)", NULL, "Expected directive after ')' at position 4");
}

TEST(a_result_is_bounded)
{
    struct buf out = BUF_INIT(7);
    struct err e;
    CHECK_INT(contentid_subst(STR("%(name)s%(name)s%(name)s"), look_up, NULL, &out, &e), -1);
    CHECK_STR(str_c(e.text), "result is too long");
    CHECK(out.len <= 7);
    buf_clear(&out);
}

/* A body put in pieces of STEP bytes. */
static int
put(struct contentid *c, struct str body, size_t step, struct buf *out, struct err *e)
{
    size_t at = 0;
    do {
        struct str piece = str_sub(body, at, step);
        at += piece.len;
        if (contentid_put(c, piece, false, out, e) != 0)
            return -1;
    } while (at < body.len);
    return contentid_put(c, STR(""), true, out, e);
}

static void
check_ids(const char *format, const char *encoding, const char *body, const char *want, const char *error)
{
    struct str text = str_c(body);
    for (size_t step = 0; step <= text.len + 1; step++) { /* 0: whole */
        struct buf out = BUF_INIT(1000);
        struct err e = {""};
        struct contentid c;
        int rc = contentid_init(&c, str_c(format), str_c(encoding), look_up, NULL, true, &e);
        if (rc == 0)
            rc = step == 0 ? contentid_put(&c, text, true, &out, &e) : put(&c, text, step, &out, &e);
        if (error == NULL) {
            CHECK_INT(rc, 0);
            CHECK_STR(buf_str(&out), want);
        } else {
            CHECK_INT(rc, -1);
            CHECK_STR(str_c(e.text), error);
        }
        contentid_clear(&c);
        buf_clear(&out);
    }
}

TEST(ids_are_put_in_however_the_body_is_cut)
{
    check_ids("v1:%(name)s", NULL, "id: %I\n", "id: v1:Ann\n", NULL);
    check_ids("x", NULL, "", "", NULL);
    check_ids("x", NULL, "%%%I%%I%(a%b)I", "%x%Ia%b", NULL);
    check_ids("x", "hex", "<%I> <%(abc)I> 5%%", "<78> <616263> 5%", NULL);
    check_ids("x", NULL, "%(a\\)b\\\\)I.%()I.", "a)b\\..", NULL);
    check_ids("x", NULL, "ab%(c)s", NULL, "Unknown directive 's' at position 6");
    check_ids("x", NULL, "ab%", NULL, "Expected directive after '%' at position 2");
    check_ids("x", NULL, "ab%(", NULL, "Expected character after '(' at position 3");
    check_ids("x", NULL, "ab%(\\", NULL, "Expected character after '\\' at position 4");
    check_ids("x", NULL, "ab%(cd", NULL, "Unterminated field starting at position 3");
    check_ids("x", NULL, "ab%(cd)", NULL, "Expected directive after ')' at position 6");
    check_ids(NULL, NULL, "x", NULL, "no sub meta 'id_format'");
    check_ids("x", "base64", "x", NULL, "unsupported encoding: base64");
    check_ids("%(no)s", NULL, "ab%(c)I", "abc", NULL);
    check_ids("%(no)s", NULL, "ab%I", NULL, "No ID specified and no default ID in context at position 3");
}

TEST(an_id_that_has_no_value_is_an_error_unless_lenient)
{
    struct contentid c;
    struct err e;
    CHECK_INT(contentid_init(&c, STR("%(no)s"), str_of(NULL, 0), look_up, NULL, false, &e), -1);
    CHECK_STR(str_c(e.text), "failed to render ID: No such variable 'no' at position 5");
    contentid_clear(&c);
}

TEST(a_field_is_bounded)
{
    char text[CONTENTID_MAX_FIELD + 16];
    memset(text, 'a', sizeof text);
    text[0] = '%';
    text[1] = '(';
    for (size_t step = 1; step < 2000; step += 333) {
        struct buf out = BUF_INIT(1000);
        struct contentid c;
        struct err e;
        CHECK_INT(contentid_init(&c, STR("x"), str_of(NULL, 0), look_up, NULL, false, &e), 0);
        CHECK_INT(put(&c, str_of(text, sizeof text), step, &out, &e), -1);
        CHECK_STR(str_c(e.text), "Unterminated field starting at position 1");
        contentid_clear(&c);
        buf_clear(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(a_result_is_bounded),
        cmocka_unit_test(ids_are_put_in_however_the_body_is_cut),
        cmocka_unit_test(an_id_that_has_no_value_is_an_error_unless_lenient),
        cmocka_unit_test(a_field_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
