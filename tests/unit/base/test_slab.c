#include "test.h"

#include "base/slab.h"

#include <stdlib.h>

TEST(objects_are_zeroed_and_do_not_overlap)
{
    enum { N = 2000, SIZES = 4 };
    static const size_t sizes[SIZES] = {1, 40, 272, 1024};
    static unsigned char *objects[N];
    for (int i = 0; i < N; i++) {
        size_t size = sizes[i % SIZES];
        objects[i] = slab_alloc(size);
        for (size_t k = 0; k < size; k++)
            CHECK_INT(objects[i][k], 0);
        memset(objects[i], i & 0xff, size);
    }
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i % SIZES]; k++)
            CHECK_INT(objects[i][k], i & 0xff);
    for (int i = 0; i < N; i++)
        slab_free(objects[i], sizes[i % SIZES]);
}

TEST(freed_objects_are_used_again_and_are_zeroed)
{
    enum { N = 1000, ROUNDS = 20000 };
    static unsigned char *objects[N];
    srand(2);
    for (int i = 0; i < ROUNDS; i++) {
        int k = rand() % N;
        if (objects[k] != NULL) {
            slab_free(objects[k], 100);
            objects[k] = NULL;
            continue;
        }
        objects[k] = slab_alloc(100);
        for (int b = 0; b < 100; b++)
            CHECK_INT(objects[k][b], 0);
        memset(objects[k], 0xff, 100);
    }
    for (int k = 0; k < N; k++)
        slab_free(objects[k], 100);
}

TEST(larger_sizes_and_null_are_fine)
{
    void *large = slab_alloc(SLAB_MAX + 1);
    memset(large, 1, SLAB_MAX + 1);
    slab_free(large, SLAB_MAX + 1);
    slab_free(NULL, 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_and_do_not_overlap),
        cmocka_unit_test(freed_objects_are_used_again_and_are_zeroed),
        cmocka_unit_test(larger_sizes_and_null_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
