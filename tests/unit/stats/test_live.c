#include "test.h"

#include "base/mem.h"
#include "stats/live.h"

enum { N = 5000 };

static struct live live;

TEST(numbers_stay_and_are_given_out_again)
{
    uint32_t a, b, c;
    live_init(&live);
    CHECK(live_at(&live, 0) == NULL && live_at(&live, 1) == NULL);
    a = live_add(&live, "a");
    b = live_add(&live, "b");
    CHECK_INT(a, 1);
    CHECK_INT(b, 2);
    CHECK_STR(str_c(live_at(&live, b)->who), "b");
    live_remove(&live, a);
    CHECK(live_at(&live, a) == NULL);
    c = live_add(&live, "c");
    CHECK_INT(c, a);
    CHECK_STR(str_c(live_at(&live, b)->who), "b");
    live_clear(&live);
}

TEST(many_come_and_go_in_any_order)
{
    static uint32_t number[N];
    static int who[N];
    uint32_t x = 1, alive = 0;
    live_init(&live);
    for (unsigned step = 0; step < 40 * N; step++) {
        unsigned i = (x = x * 1664525 + 1013904223) >> 8, grow = step / (10 * N) % 2 == 0; /* and shrink */
        i %= N;
        if (number[i] == 0 && (grow || x >> 31)) {
            number[i] = live_add(&live, &who[i]);
            CHECK(number[i] > 0 && number[i] < live_end(&live));
            alive++;
        } else if (number[i] != 0 && (!grow || x >> 31)) {
            CHECK(live_at(&live, number[i])->who == &who[i]);
            live_remove(&live, number[i]);
            number[i] = 0;
            alive--;
        }
        CHECK_INT(live.n, alive);
    }
    for (unsigned i = 0; i < N; i++)
        if (number[i] != 0) {
            CHECK(live_at(&live, number[i])->who == &who[i]);
            live_remove(&live, number[i]);
            number[i] = 0;
        }
    CHECK_INT(live.n, 0);
    CHECK_INT(live.n_chunks, 0); /* the memory has been given back */
    live_clear(&live);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stay_and_are_given_out_again),
        cmocka_unit_test(many_come_and_go_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
