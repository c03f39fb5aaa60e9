/* SPDX-License-Identifier: Apache-2.0 */
/* How often a place could be had, compared with placing one after the other. */
#include "place_cluster.h"
#include "sched/capacity.h"

static void add_node(struct place_view *view, const char *name, size_t devices)
{
    add_worker(view, name, 256 * GIB);
    add_devices(view, devices, "910B4", 32 * GIB);
}

static unsigned counted(struct place_view *view, const struct place_request *request)
{
    struct place_result result = {0};
    assert_int_equal(decide_on(view, request, false, &result), 0);
    const unsigned count = place_capacity(view, request, &result);
    place_result_fini(&result);
    return count;
}

static unsigned placed(struct place_view *view, const struct place_request *request)
{
    struct place_result result = {0};
    unsigned count = 0;
    while (decide_on(view, request, true, &result) == 0) {
        place_result_fini(&result);
        count++;
    }
    return count;
}

static void check(struct place_view *view, struct asked *asked, unsigned expected)
{
    assert_int_equal(counted(view, &asked->request), expected);
    assert_int_equal(placed(view, &asked->request), expected);
    place_view_fini(view);
    free(asked);
}

static void test_single_devices(void **state)
{
    struct place_view view = {0};
    struct asked *asked = asked_new(1);
    (void)state;
    add_node(&view, "a", 4);
    add_node(&view, "b", 2);
    hold(&view, 0, 1, 9, 20 * GIB);
    want(asked, 0, profile_of(1, 1, 10 * GIB));
    check(&view, asked, 3 + 1 + 3 + 3 + 3 + 3);
}

static void test_groups_of_a_worker(void **state)
{
    struct place_view view = {0};
    struct asked *asked = asked_new(1);
    (void)state;
    add_node(&view, "a", 8);
    add_node(&view, "b", 3);
    hold(&view, 0, 0, 9, 20 * GIB);
    want(asked, 0, profile_of(1, 4, 20 * GIB));
    check(&view, asked, 1); /* seven are left on the one, three on the other */
}

static void test_gangs(void **state)
{
    struct place_view view = {0};
    struct asked *asked = asked_new(1);
    (void)state;
    for (int i = 0; i < 5; i++)
        add_node(&view, (char[]){(char)('a' + i), 0}, 8);
    want(asked, 0, profile_of(2, 8, 20 * GIB));
    asked->request.may_span = true;
    check(&view, asked, 2);
}

static void test_main_memory_is_a_bound(void **state)
{
    struct place_view view = {0};
    struct asked *asked = asked_new(1);
    (void)state;
    add_node(&view, "a", 1);
    want_processor(asked, 100 * GIB);
    check(&view, asked, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_devices),
        cmocka_unit_test(test_groups_of_a_worker),
        cmocka_unit_test(test_gangs),
        cmocka_unit_test(test_main_memory_is_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
