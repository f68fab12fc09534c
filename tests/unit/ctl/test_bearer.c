#include "test.h"

#include "base/mem.h"
#include "ctl/bearer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/bearer-XXXXXX";

static void
write_file(const char *name, const char *text)
{
    char path[128];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static void
remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

/* Does TEXT admit a request with these values of Authorization (NULL: no such header)? */
static bool
admits(const char *text, const char *one, const char *two)
{
    struct err e;
    struct bearer *b = bearer_new(str_c(text), dir, &e);
    struct headers h;
    bool rc;
    CHECK(b != NULL);
    headers_init(&h);
    headers_view(&h, STR("Host"), STR("x"));
    if (one != NULL)
        headers_view(&h, STR("authorization"), str_c(one));
    if (two != NULL)
        headers_view(&h, STR("Authorization"), str_c(two));
    rc = bearer_admits(b, &h);
    headers_clear(&h);
    bearer_free(b);
    return rc;
}

TEST(the_token_admits_in_every_way_that_the_rfcs_allow)
{
    static const char *const rows[] = {"Bearer s3cret~", "bearer s3cret~", "BEARER s3cret~", "Bearer   s3cret~",
                                       " Bearer s3cret~\t"};
    for (size_t i = 0; i < countof(rows); i++)
        CHECK(admits("s3cret~", rows[i], NULL));
}

TEST(nothing_else_admits)
{
    static const char *const rows[] = {NULL,
                                       "",
                                       "Bearer",
                                       "Bearer ",
                                       "Bearers3cret",
                                       "Bearer\ts3cret",
                                       "s3cret",
                                       "Bearer x",
                                       "Basic s3cret",
                                       "Bearer S3cret",
                                       "Bearer s3cret,",
                                       "Bearer s3cret x",
                                       "Bearer \"s3cret\"",
                                       "Bearer ss3cret",
                                       "Bearer, s3cret",
                                       "Bearers s3cret",
                                       "Token s3cret"};
    char grown[32] = "Bearer s3cret";
    for (size_t i = 0; i < countof(rows); i++)
        CHECK(!admits("s3cret", rows[i], NULL));
    for (size_t n = strlen(grown); n-- > 0;) { /* every piece of it */
        grown[n] = '\0';
        CHECK(!admits("s3cret", grown, NULL));
    }
}

TEST(one_wrong_byte_anywhere_does_not_admit)
{
    char text[] = "Bearer abcdefghijklmnop";
    for (size_t i = 0; i < strlen(text); i++) {
        text[i] ^= 1;
        CHECK(!admits("abcdefghijklmnop", text, NULL));
        text[i] ^= 1;
    }
    CHECK(admits("abcdefghijklmnop", text, NULL));
}

TEST(two_headers_do_not_admit)
{
    CHECK(!admits("s", "Bearer s", "Bearer s"));
    CHECK(!admits("s", "Basic eDp5", "Bearer s"));
    CHECK(!admits("s", "Bearer s", ""));
}

TEST(the_forms_of_the_setting)
{
    CHECK(admits("base64:czNjcmV0", "Bearer s3cret", NULL));
    CHECK(!admits("base64:czNjcmV0", "Bearer base64:czNjcmV0", NULL));
    write_file("token", " s3cret\r\n\n");
    CHECK(admits("file:token", "Bearer s3cret", NULL));
    remove_file("token");
}

TEST(bad_tokens_are_named)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "the key is empty"},
        {"a b", "the token has spaces or other characters that are no visible ASCII"},
        {"a\xc3\xa9", "the token has spaces or other characters that are no visible ASCII"},
        {"base64:!", "bad base64 text"},
        {"base64:", "the key is empty"},
        {"base64:AAAA", "the token has spaces or other characters that are no visible ASCII"},
        {"file:none", "none: No such file or directory"},
        {"file:blank", "blank: the token is empty"},
        {"file:two", "two: the token has spaces or other characters that are no visible ASCII"},
    };
    char *big = mem_zalloc(BEARER_MAX + 2);
    struct err e;
    write_file("blank", " \n");
    write_file("two", "one\ntwo\n");
    for (size_t i = 0; i < countof(rows); i++) {
        CHECK(bearer_new(str_c(rows[i].text), dir, &e) == NULL);
        CHECK(str_ends(str_c(e.text), str_c(rows[i].want)));
    }
    memset(big, 'x', BEARER_MAX + 1);
    CHECK(bearer_new(str_c(big), dir, &e) == NULL);
    CHECK_STR(str_c(e.text), "the token has more than 4096 bytes");
    big[BEARER_MAX] = '\0';
    bearer_free(bearer_new(str_c(big), dir, &e));
    mem_free(big);
    remove_file("blank");
    remove_file("two");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_admits_in_every_way_that_the_rfcs_allow),
        cmocka_unit_test(nothing_else_admits),
        cmocka_unit_test(one_wrong_byte_anywhere_does_not_admit),
        cmocka_unit_test(two_headers_do_not_admit),
        cmocka_unit_test(the_forms_of_the_setting),
        cmocka_unit_test(bad_tokens_are_named),
    };
    int rc;
    CHECK(mkdtemp(dir) != NULL);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return rc;
}
