#include "test.h"

#include "base/mem.h"
#include "io/address.h"

static bool
in_range(const char *address, const char *range)
{
    struct address a;
    struct address_range r;
    CHECK(address_literal(str_c(address), 0, &a));
    CHECK_INT(address_range_parse(str_c(range), &r), 0);
    return address_in_ranges(&a, &r, 1);
}

TEST(ranges_have_the_addresses_that_share_their_first_bits)
{
    CHECK(in_range("10.1.2.3", "10.0.0.0/8"));
    CHECK(!in_range("11.1.2.3", "10.0.0.0/8"));
    CHECK(in_range("192.168.3.255", "192.168.2.0/23"));
    CHECK(!in_range("192.168.4.0", "192.168.2.0/23"));
    CHECK(in_range("1.2.3.4", "1.2.3.4"));
    CHECK(!in_range("1.2.3.5", "1.2.3.4"));
    CHECK(!in_range("1.2.3.5", "1.2.3.4/32"));
    CHECK(in_range("1.2.3.4", "0.0.0.0/0"));
    CHECK(!in_range("::1", "0.0.0.0/0"));
    CHECK(in_range("::ffff:10.0.0.1", "10.0.0.0/8"));
    CHECK(in_range("2001:db8::1", "2001:db8::/32"));
    CHECK(!in_range("2001:db9::1", "2001:db8::/32"));
    CHECK(in_range("2001:db8::1", "::/0"));
    CHECK(in_range("10.0.0.1", "::/0"));
    CHECK(in_range("::1", "::1"));
}

TEST(no_range_has_nobody)
{
    struct address a;
    CHECK(address_literal(STR("::1"), 0, &a));
    CHECK(!address_in_ranges(&a, NULL, 0));
}

TEST(bad_ranges_are_refused)
{
    static const char *const bad[] = {"",     "/", "10.0.0.0/",   "10.0.0.0/33", "::/129", "10.0.0.0/-1",
                                      "10/8", "x", "10.0.0.0/8/8"};
    struct address_range r;
    for (size_t i = 0; i < countof(bad); i++)
        CHECK_INT(address_range_parse(str_c(bad[i]), &r), -1);
}

TEST(addresses_keep_their_text_in_the_form_of_ipv6)
{
    static const char *const texts[] = {"192.0.2.1", "2001:db8::1", "::1", "0.0.0.0"};
    for (size_t i = 0; i < countof(texts); i++) {
        struct address a, back;
        unsigned char ip[16];
        char text[ADDRESS_TEXT_MAX];
        CHECK(address_literal(str_c(texts[i]), 80, &a));
        address_ipv6(&a, ip);
        address_from_ipv6(ip, &back);
        CHECK_STR(address_text(&back, text), texts[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_have_the_addresses_that_share_their_first_bits),
        cmocka_unit_test(no_range_has_nobody),
        cmocka_unit_test(bad_ranges_are_refused),
        cmocka_unit_test(addresses_keep_their_text_in_the_form_of_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
