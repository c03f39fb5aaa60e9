/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/map.h"

#include "base/mem.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { COUNT = 5000 };

struct item {
    char key[16];
    bool is_in;
};

static void set_up_items(struct item *items)
{
    for (int i = 0; i < COUNT; i++)
        snprintf(items[i].key, sizeof items[i].key, "key-%d", i);
}

static void expect_same(const struct map *map, struct item *items)
{
    size_t count = 0, seen = 0;
    for (int i = 0; i < COUNT; i++) {
        void *found = map_get(map, str_of(items[i].key));
        assert_ptr_equal(found, items[i].is_in ? &items[i] : NULL);
        count += items[i].is_in;
    }
    for (size_t i = 0; map_next(map, &i);)
        seen++;
    assert_int_equal(map->count, count);
    assert_int_equal(seen, count);
}

static void test_empty_map(void **state)
{
    struct map map = {0};
    size_t i = 0;
    assert_null(map_get(&map, STR("a")));
    assert_null(map_remove(&map, STR("a")));
    assert_null(map_next(&map, &i));
    map_fini(&map);
}

static void test_put_replaces(void **state)
{
    struct map map = {0};
    int one, two;
    assert_null(map_put(&map, STR("a"), &one));
    assert_ptr_equal(map_put(&map, STR("a"), &two), &one);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_remove(&map, STR("a")), &two);
    assert_null(map_get(&map, STR("a")));
    map_fini(&map);
}

/* Against a plain array of flags, through a long row of puts and removes. */
static void test_random_changes(void **state)
{
    auto_free struct item *items = mem_alloc_array(COUNT, sizeof *items);
    struct map map = {0};
    unsigned random = 1;
    set_up_items(items);
    for (int round = 0; round < 20 * COUNT; round++) {
        random = random * 1103515245 + 12345;
        struct item *item = &items[random / 65536 % COUNT];
        bool put = (random >> 8 & 3) != 0 ? round < 10 * COUNT : round >= 10 * COUNT;
        void *old =
            put ? map_put(&map, str_of(item->key), item) : map_remove(&map, str_of(item->key));
        assert_ptr_equal(old, item->is_in ? item : NULL);
        item->is_in = put;
        if (round % COUNT == 0)
            expect_same(&map, items);
    }
    expect_same(&map, items);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_map),
        cmocka_unit_test(test_put_replaces),
        cmocka_unit_test(test_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
