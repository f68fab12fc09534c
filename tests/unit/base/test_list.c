#include "test.h"

#include "base/list.h"

struct letter {
    struct list_node node;
    char name;
};

static struct list list;
static struct letter letters[4];

static void
begin(void)
{
    list_init(&list);
    for (int i = 0; i < 4; i++)
        letters[i] = (struct letter){.name = (char)('a' + i)};
}

static void
check_order(const char *want)
{
    char forth[8] = "", back[8] = "";
    size_t n = 0;
    list_each (&list, node)
        forth[n++] = container_of(node, struct letter, node)->name;
    CHECK_STR(str_c(forth), want);
    CHECK_INT(list.n, n);
    for (struct list_node *node = list.head.prev; node != &list.head; node = node->prev)
        back[--n] = container_of(node, struct letter, node)->name;
    CHECK_STR(str_c(back), want);
    CHECK_INT(list_empty(&list), *want == '\0');
}

TEST(nodes_go_to_either_end_and_in_between)
{
    begin();
    check_order("");
    CHECK(list_first(&list) == NULL && list_last(&list) == NULL && list_pop_front(&list) == NULL);
    list_push_back(&list, &letters[1].node);
    list_push_back(&list, &letters[3].node);
    list_push_front(&list, &letters[0].node);
    list_insert_before(&list, &letters[3].node, &letters[2].node);
    check_order("abcd");
    CHECK(list_first(&list) == &letters[0].node && list_last(&list) == &letters[3].node);
}

TEST(nodes_leave_from_anywhere_and_may_come_back)
{
    begin();
    for (int i = 0; i < 4; i++) {
        CHECK(!list_in(&letters[i].node));
        list_push_back(&list, &letters[i].node);
        CHECK(list_in(&letters[i].node));
    }
    list_remove(&list, &letters[2].node);
    check_order("abd");
    CHECK(!list_in(&letters[2].node));
    list_push_front(&list, &letters[2].node);
    check_order("cabd");
    CHECK(list_pop_front(&list) == &letters[2].node);
    list_remove(&list, &letters[3].node);
    check_order("ab");
}

TEST(safe_walk_survives_removal_of_the_node)
{
    begin();
    for (int i = 0; i < 4; i++)
        list_push_back(&list, &letters[i].node);
    list_each_safe (&list, node, after) {
        if (node != &letters[1].node)
            list_remove(&list, node);
    }
    check_order("b");
    list_each_safe (&list, node, after)
        list_remove(&list, node);
    check_order("");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_go_to_either_end_and_in_between),
        cmocka_unit_test(nodes_leave_from_anywhere_and_may_come_back),
        cmocka_unit_test(safe_walk_survives_removal_of_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
