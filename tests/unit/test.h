/* test.h - what every unit test begins with: cmocka, and short names for its checks. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/str.h"

#define TEST(name) static void name(void **state __attribute__((unused)))

#define CHECK(cond) assert_true(cond)
#define CHECK_INT(got, want) assert_int_equal((long long)(got), (long long)(want))
/* GOT is a struct str, WANT a C string. */
#define CHECK_STR(got, want) check_str((got), (want), __FILE__, __LINE__)

static inline void
check_str(struct str got, const char *want, const char *file, int line)
{
    if (got.len != strlen(want) || (got.len > 0 && memcmp(got.ptr, want, got.len) != 0)) {
        print_error("got \"%.*s\", want \"%s\"\n", STR_ARG(got), want);
        _fail(file, line);
    }
}

#endif
