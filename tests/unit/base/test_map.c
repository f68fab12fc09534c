#include "test.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>

enum { N = 5000 };

struct thing {
    struct map_node node;
    char name[16];
    unsigned seen;
};

static struct map map;
static struct thing things[N];

static void
fill(unsigned n)
{
    map_init(&map);
    for (unsigned i = 0; i < n; i++) {
        things[i].seen = 0;
        things[i].node.key = str_of(things[i].name, (size_t)snprintf(things[i].name, sizeof things[i].name, "k%u", i));
        map_add(&map, &things[i].node);
    }
}

TEST(finds_what_was_added_at_every_size)
{
    map_init(&map);
    CHECK(map_find(&map, STR("k0")) == NULL);
    for (unsigned n = 1; n <= 300; n++) {
        fill(n);
        CHECK_INT(map_count(&map), n);
        for (unsigned i = 0; i < n; i++)
            CHECK(map_find(&map, things[i].node.key) == &things[i].node);
        CHECK(map_find(&map, STR("k")) == NULL);
        map_clear(&map);
        CHECK(map_find(&map, STR("k0")) == NULL);
    }
}

TEST(keys_are_bytes)
{
    struct map_node empty = {.key = STR("")}, nul = {.key = str_of("\0", 1)}, two = {.key = str_of("\0\0", 2)};
    map_init(&map);
    map_add(&map, &empty);
    map_add(&map, &nul);
    map_add(&map, &two);
    CHECK(map_find(&map, str_of(NULL, 0)) == &empty);
    CHECK(map_find(&map, str_of("\0", 1)) == &nul);
    CHECK(map_find(&map, str_of("\0\0", 2)) == &two);
    map_clear(&map);
}

TEST(grows_and_gives_memory_back)
{
    size_t most;
    fill(N);
    most = map.table.buckets;
    CHECK(most >= N);
    for (unsigned i = 0; i < N; i += 2)
        map_remove(&map, &things[i].node);
    for (unsigned i = 0; i < N; i++)
        CHECK(map_find(&map, things[i].node.key) == (i % 2 == 0 ? NULL : &things[i].node));
    for (unsigned i = 1; i < N; i += 2)
        map_remove(&map, &things[i].node);
    CHECK_INT(map_count(&map), 0);
    CHECK(map.table.buckets < most / 4);
    for (unsigned i = 0; i < N; i++)
        CHECK(map_find(&map, things[i].node.key) == NULL);
    map_clear(&map);
}

static void
count_and_remove_odd(struct map_node *node, void *arg)
{
    struct thing *t = container_of(node, struct thing, node);
    t->seen++;
    if ((t - things) % 2 != 0)
        map_remove(arg, node);
}

TEST(walk_sees_each_once_and_may_remove_it)
{
    fill(N);
    map_each(&map, count_and_remove_odd, &map);
    CHECK_INT(map_count(&map), N / 2);
    for (unsigned i = 0; i < N; i++) {
        CHECK_INT(things[i].seen, 1);
        CHECK(map_find(&map, things[i].node.key) == (i % 2 != 0 ? NULL : &things[i].node));
    }
    map_clear(&map);
    map_each(&map, count_and_remove_odd, &map);
}

static void
count(struct map_node *node, void *arg)
{
    (void)arg;
    container_of(node, struct thing, node)->seen++;
}

static void
remove_after_a_walk_of_its_own(struct map_node *node, void *arg)
{
    struct thing *t = container_of(node, struct thing, node);
    if (t == &things[0])
        map_each(arg, count, NULL);
    t->seen += 10;
    map_remove(arg, node);
}

TEST(walk_within_a_walk_does_not_disturb_it)
{
    fill(200);
    map_each(&map, remove_after_a_walk_of_its_own, &map);
    CHECK_INT(map_count(&map), 0);
    for (unsigned i = 0; i < 200; i++)
        CHECK(things[i].seen == 10 || things[i].seen == 11);
    map_clear(&map);
}

TEST(hash_tells_contents_and_lengths_apart)
{
    static const char zeros[32];
    for (size_t a = 0; a < sizeof zeros; a++) {
        CHECK(map_hash(zeros, a) == map_hash(zeros, a));
        for (size_t b = 0; b < a; b++)
            CHECK(map_hash(zeros, a) != map_hash(zeros, b));
    }
    CHECK(map_hash("12345678a", 9) != map_hash("12345678b", 9));
    CHECK(map_hash("a2345678", 8) != map_hash("b2345678", 8));
}

TEST(a_walk_in_steps_misses_nobody_who_stays)
{
    size_t at = 0, most;
    fill(N / 2);
    map_walk_begin(&map);
    for (unsigned i = 0; i < N / 2;
         i += 2) { /* half of them leave, others come; so buckets are split and none merged */
        map_walk(&map, &at, count, NULL);
        map_remove(&map, &things[i].node);
        things[i].seen = 1000;
    }
    for (unsigned i = N / 2; i < N; i++) {
        things[i].seen = 0;
        things[i].node.key = str_of(things[i].name, (size_t)snprintf(things[i].name, sizeof things[i].name, "k%u", i));
        map_add(&map, &things[i].node);
    }
    most = map.table.buckets;
    for (unsigned i = 0; i < N; i++)
        if (i >= N / 2 || i % 2 == 1)
            if (i % 16 != 1)
                map_remove(&map, &things[i].node);
    CHECK_INT(map.table.buckets, most);
    while (map_walk(&map, &at, count, NULL))
        ;
    CHECK(!map_shrink(&map, 10)); /* not amid a walk */
    CHECK_INT(map.table.buckets, most);
    map_walk_end(&map);
    for (unsigned i = 1; i < N / 2; i += 16)
        CHECK(things[i].seen >= 1);
    CHECK(map_shrink(&map, 10));
    CHECK_INT(map.table.buckets, most - 10);
    while (map_shrink(&map, 10))
        ;
    CHECK(map.table.buckets <= 2 * map_count(&map) + 1);
    for (unsigned i = 1; i < N / 2; i += 16)
        CHECK(map_find(&map, things[i].node.key) == &things[i].node);
    map_clear(&map);
    CHECK(!map_walk(&map, &(size_t){0}, count, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_at_every_size),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(grows_and_gives_memory_back),
        cmocka_unit_test(walk_sees_each_once_and_may_remove_it),
        cmocka_unit_test(walk_within_a_walk_does_not_disturb_it),
        cmocka_unit_test(hash_tells_contents_and_lengths_apart),
        cmocka_unit_test(a_walk_in_steps_misses_nobody_who_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
