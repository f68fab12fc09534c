#include "test.h"

#include "base/buf.h"
#include "base/mem.h"

TEST(grows_up_to_its_maximum_and_not_beyond)
{
    struct buf b = BUF_INIT(1000);
    char block[101];
    memset(block, 'x', sizeof block);
    CHECK(b.ptr == NULL);
    for (int i = 0; i < 9; i++)
        CHECK_INT(buf_add(&b, block, sizeof block), 0);
    CHECK_INT(buf_add(&b, block, sizeof block), -1);
    CHECK_INT(b.len, 909);
    CHECK_INT(buf_add(&b, block, 91), 0);
    CHECK_INT(buf_addc(&b, 'y'), -1);
    CHECK_INT(buf_add(&b, NULL, 0), 0);
    CHECK(b.len == 1000 && b.cap <= 1000);
    buf_clear(&b);
    CHECK(b.ptr == NULL && b.len == 0 && b.max == 1000);
}

TEST(room_is_written_by_the_caller)
{
    struct buf b = BUF_INIT(8);
    char *room = buf_room(&b, 8);
    CHECK(room != NULL);
    memcpy(room, "12345678", 8);
    b.len += 5;
    CHECK_STR(buf_str(&b), "12345");
    CHECK(buf_room(&b, 4) == NULL);
    CHECK(buf_room(&b, 3) != NULL);
    CHECK(buf_room(&b, SIZE_MAX) == NULL);
    buf_clear(&b);
}

TEST(maximum_of_nothing_takes_nothing)
{
    struct buf b = BUF_INIT(0);
    CHECK_INT(buf_addc(&b, 'x'), -1);
    CHECK_INT(buf_adds(&b, STR("")), 0);
    CHECK_INT(buf_addf(&b, "%s", ""), 0);
    buf_clear(&b);
}

TEST(formats_short_and_long)
{
    struct buf b = BUF_INIT(2000);
    static char text[1501];
    memset(text, 'a', sizeof text - 1);
    CHECK_INT(buf_addf(&b, "%d-%s;", 12, "x"), 0);
    CHECK_STR(buf_str(&b), "12-x;");
    CHECK_INT(buf_addf(&b, "%s", text), 0);
    CHECK_INT(b.len, 1505);
    CHECK_INT(buf_addf(&b, "%s", text), -1);
    CHECK_INT(b.len, 1505);
    CHECK_INT(b.ptr[1504], 'a');
    buf_clear(&b);
}

TEST(consumes_from_the_front)
{
    struct buf b = BUF_INIT(100);
    buf_adds(&b, STR("abcdef"));
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    CHECK_STR(buf_str(&b), "cdef");
    buf_consume(&b, 100);
    CHECK_INT(b.len, 0);
    buf_adds(&b, STR("again"));
    CHECK_STR(buf_str(&b), "again");
    buf_clear(&b);
    buf_consume(&b, 1);
}

TEST(stolen_bytes_end_in_nul)
{
    struct buf b = BUF_INIT(3);
    char *bytes;
    buf_adds(&b, STR("abc"));
    bytes = buf_steal(&b);
    CHECK(strcmp(bytes, "abc") == 0);
    CHECK(b.ptr == NULL && b.len == 0 && b.max == 3);
    mem_free(bytes);
    bytes = buf_steal(&b);
    CHECK_INT(*bytes, 0);
    mem_free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_up_to_its_maximum_and_not_beyond),
        cmocka_unit_test(room_is_written_by_the_caller),
        cmocka_unit_test(maximum_of_nothing_takes_nothing),
        cmocka_unit_test(formats_short_and_long),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(stolen_bytes_end_in_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
