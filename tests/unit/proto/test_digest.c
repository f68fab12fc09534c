#include "test.h"

#include "base/mem.h"
#include "proto/digest.h"

#include <stdio.h>

TEST(base64_of_rfc_4648)
{
    static const struct {
        const char *plain, *padded, *url;
    } rows[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf b = BUF_INIT(100);
        CHECK_INT(base64_put(&b, str_c(rows[i].plain)), 0);
        CHECK_STR(buf_str(&b), rows[i].padded);
        b.len = 0;
        CHECK_INT(base64url_put(&b, str_c(rows[i].plain)), 0);
        CHECK_STR(buf_str(&b), rows[i].url);
        b.len = 0;
        CHECK_INT(base64_decode(&b, str_c(rows[i].padded)), 0);
        CHECK_STR(buf_str(&b), rows[i].plain);
        b.len = 0;
        CHECK_INT(base64url_decode(&b, str_c(rows[i].url)), 0);
        CHECK_STR(buf_str(&b), rows[i].plain);
        buf_clear(&b);
    }
}

TEST(decoding_skips_what_is_foreign_and_ends_at_the_padding)
{
    static const struct {
        const char *text, *plain;
    } rows[] = {
        {"!!!", ""},   {"Zm 9v\r\nYmFy", "foobar"}, {"Zg", "f"},       {"Zm8", "fo"},       {"Z", ""},
        {"=Zm9v", ""}, {"Zg==Zm9v", "f"},           {"Zm-9_v", "foo"}, {"Zm9v\xff", "foo"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf b = BUF_INIT(100);
        CHECK_INT(base64_decode(&b, str_c(rows[i].text)), 0);
        CHECK_STR(buf_str(&b), rows[i].plain);
        buf_clear(&b);
    }
}

TEST(strict_decoding_refuses_the_rest)
{
    static const char *const rows[] = {"Z", "Zg==", "Zm9v=", "Zm+v", "Zm/v", "Zm 9v", "Zm9vY", "Zm9v\n"};
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf b = BUF_INIT(100);
        CHECK_INT(base64url_decode(&b, str_c(rows[i])), -1);
        CHECK_INT(b.len, 0);
        buf_clear(&b);
    }
}

TEST(full_buffer_is_left_as_it_is)
{
    struct buf b = BUF_INIT(7);
    CHECK_INT(base64_put(&b, STR("fooba")), -1);
    CHECK_INT(b.len, 0);
    CHECK_INT(base64url_put(&b, STR("fooba")), 0);
    CHECK_STR(buf_str(&b), "Zm9vYmE");
    CHECK_INT(base64_decode(&b, STR("Zm9v")), -1);
    CHECK_INT(base64url_decode(&b, STR("Zm9v")), -1);
    buf_clear(&b);
}

TEST(every_byte_survives_base64_and_back)
{
    char all[256];
    struct buf text = BUF_INIT(1000), back = BUF_INIT(1000);
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (size_t n = 0; n <= sizeof all; n++) {
        text.len = back.len = 0;
        CHECK_INT(base64_put(&text, str_of(all, n)), 0);
        CHECK_INT(base64_decode(&back, buf_str(&text)), 0);
        CHECK(str_eq(buf_str(&back), str_of(all, n)));
        text.len = back.len = 0;
        CHECK_INT(base64url_put(&text, str_of(all, n)), 0);
        CHECK_INT(base64url_decode(&back, buf_str(&text)), 0);
        CHECK(str_eq(buf_str(&back), str_of(all, n)));
    }
    buf_clear(&text);
    buf_clear(&back);
}

static void
check_hmac(struct str key, struct str data, const char *want)
{
    unsigned char out[32];
    char text[65];
    hmac_sha256(key, data, out);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
    CHECK_STR(str_c(text), want);
}

TEST(hmac_of_rfc_4231)
{
    char long_key[131];
    memset(long_key, 0xaa, sizeof long_key);
    check_hmac(STR("Jefe"), STR("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    check_hmac(str_of(long_key, sizeof long_key), STR("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check_hmac(str_of(NULL, 0), str_of(NULL, 0), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(md5_is_that_of_the_rfc)
{
    unsigned char out[16];
    if (md5(STR("abc"), out) == 0)
        assert_memory_equal(out, "\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72", 16);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_of_rfc_4648),
        cmocka_unit_test(decoding_skips_what_is_foreign_and_ends_at_the_padding),
        cmocka_unit_test(strict_decoding_refuses_the_rest),
        cmocka_unit_test(full_buffer_is_left_as_it_is),
        cmocka_unit_test(every_byte_survives_base64_and_back),
        cmocka_unit_test(hmac_of_rfc_4231),
        cmocka_unit_test(md5_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
