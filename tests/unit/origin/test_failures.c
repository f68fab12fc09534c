#include "test.h"

#include "base/clock.h"
#include "origin/failures.h"

TEST(failures_are_forgotten_after_five_seconds)
{
    struct failures f;
    clock_fake(1000);
    failures_init(&f);
    CHECK(!failures_has(&f, STR("a:1")));
    failures_note(&f, STR("a:1"));
    clock_fake_advance(3000);
    failures_note(&f, STR("b:1"));
    CHECK(failures_has(&f, STR("a:1")) && failures_has(&f, STR("b:1")) && !failures_has(&f, STR("a:10")));
    clock_fake_advance(2000);
    CHECK(!failures_has(&f, STR("a:1")) && failures_has(&f, STR("b:1")));
    failures_note(&f, STR("b:1")); /* once more: from now on */
    clock_fake_advance(4999);
    CHECK(failures_has(&f, STR("b:1")));
    clock_fake_advance(1);
    CHECK(!failures_has(&f, STR("b:1")));
    failures_note(&f, STR("c:1"));
    failures_clear(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_forgotten_after_five_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
