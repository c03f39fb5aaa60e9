/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/record.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_strings(void **state)
{
    (void)state;
    struct string_list list = {0};
    assert_false(string_list_has(&list, "a"));
    string_list_add(&list, "b");
    string_list_add(&list, "a");
    string_list_add(&list, "b");
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0], "b");
    assert_true(string_list_has(&list, "a"));
    string_list_fini(&list);
    assert_null(list.items);
    assert_int_equal(list.count, 0);
}

static void test_map_is_sorted_and_unique(void **state)
{
    (void)state;
    static const char *const keys[] = {"m", "c", "x", "a", "d", "z", "c", "b", "m"};
    struct string_map map = {0};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        string_map_set(&map, keys[i], i < 6 ? "old" : "new");
    assert_int_equal(map.count, 7);
    for (size_t i = 1; i < map.count; i++)
        assert_true(strcmp(map.keys[i - 1], map.keys[i]) < 0);
    assert_string_equal(string_map_get(&map, "c"), "new");
    assert_string_equal(string_map_get(&map, "z"), "old");
    assert_null(string_map_get(&map, "y"));
    string_map_fini(&map);
    assert_null(string_map_get(&map, "c"));
}

static void test_ints(void **state)
{
    (void)state;
    struct int_list list = {0};
    int_list_add(&list, INT64_MIN);
    int_list_add(&list, 7);
    assert_int_equal(list.count, 2);
    assert_true(list.items[0] == INT64_MIN);
    int_list_fini(&list);
    int_list_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_map_is_sorted_and_unique),
        cmocka_unit_test(test_ints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
