#include "test.h"

#include "base/mem.h"
#include "base/uuid.h"

TEST(bytes_become_text_and_text_bytes)
{
    static const unsigned char id[UUID_BYTES] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x41, 0xd1,
                                                 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    unsigned char again[UUID_BYTES];
    char text[UUID_SIZE];
    CHECK_STR(uuid_text(id, text), "6ba7b810-9dad-41d1-80b4-00c04fd430c8");
    CHECK_INT(uuid_parse(str_c(text), again), 0);
    CHECK(memcmp(id, again, sizeof id) == 0);
}

TEST(what_we_would_not_write_is_none)
{
    static const char *const texts[] = {"",
                                        "6ba7b810-9dad-41d1-80b4-00c04fd430c",
                                        "6ba7b810-9dad-41d1-80b4-00c04fd430c80",
                                        "6BA7B810-9dad-41d1-80b4-00c04fd430c8",
                                        "6ba7b8109-dad-41d1-80b4-00c04fd430c8",
                                        "6ba7b810-9dad-41d1-80b4-00c04fd430cg",
                                        "6ba7b810+9dad-41d1-80b4-00c04fd430c8"};
    unsigned char id[UUID_BYTES];
    for (size_t i = 0; i < countof(texts); i++)
        CHECK_INT(uuid_parse(str_c(texts[i]), id), -1);
}

TEST(each_is_of_version_4_and_another)
{
    unsigned char a[UUID_BYTES], b[UUID_BYTES];
    uuid_make(a);
    uuid_make(b);
    CHECK_INT(a[6] >> 4, 4);
    CHECK_INT(a[8] >> 6, 2);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_become_text_and_text_bytes),
                                       cmocka_unit_test(what_we_would_not_write_is_none),
                                       cmocka_unit_test(each_is_of_version_4_and_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
