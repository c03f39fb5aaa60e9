/* SPDX-License-Identifier: Apache-2.0 */
/* Claims and their return, and the sets of devices that a node offers. */
#include "sched/candidate.h"
#include "sched/inventory.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A node with devices of 100 units that have so much free. */
static size_t add_node(struct inventory *inventory, const uint64_t *free_units,
                       const uint8_t *islands, size_t count)
{
    size_t node = inventory_add_node(
        inventory, &(struct inventory_node){.cpu_free = 8, .ram_free = 100, .class_bit = 1});
    for (size_t i = 0; i < count; i++)
        inventory_add_device(inventory, (struct inventory_device){
                                            .total = 100, .free = free_units[i],
                                            .island = islands ? islands[i] : 0});
    return node;
}

static void test_fits(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    add_node(&inventory, (uint64_t[]){100, 30, 60}, NULL, 3);
    assert_true(inventory_fits(&inventory, 0, &(struct demand){.cpu = 8, .ram = 100}));
    assert_false(inventory_fits(&inventory, 0, &(struct demand){.cpu = 9}));
    assert_false(inventory_fits(&inventory, 0, &(struct demand){.ram = 101}));
    assert_true(inventory_fits(&inventory, 0, &(struct demand){.devices = 2, .units = 60}));
    assert_false(inventory_fits(&inventory, 0, &(struct demand){.devices = 3, .units = 60}));
    assert_false(inventory_fits(&inventory, 0,
                                &(struct demand){.devices = 1, .units = 1, .class_set = 2}));
    assert_true(inventory_fits(&inventory, 0,
                               &(struct demand){.devices = 1, .units = 1, .class_set = 3}));
    assert_int_equal(inventory_free_units(&inventory, 0), 190);
}

static void test_undo_gives_back_all(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    add_node(&inventory, (uint64_t[]){100, 100}, NULL, 2);
    struct inventory_claim claims[] = {
        {.demand = {.cpu = 2, .ram = 10, .devices = 1, .units = 40}, .model = 7, .device_set = 1},
        {.demand = {.cpu = 1, .ram = 5, .devices = 2, .units = 60}, .model = 8, .device_set = 3},
        {.demand = {.cpu = 1, .ram = 20, .devices = 1, .units = 30}, .model = 7, .device_set = 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(claims); i++)
        inventory_apply(&inventory, &claims[i]);
    struct inventory_company company;
    inventory_count(&inventory, 0, 7, &company);
    assert_int_equal(company.same, 2);
    assert_int_equal(company.others, 1);
    assert_int_equal(company.same_on[0], 1);
    assert_int_equal(company.same_on[1], 1);
    assert_int_equal(company.others_on[1], 1);
    assert_int_equal(inventory.devices[0].free, 0);
    assert_int_equal(inventory.devices[1].free, 10);
    inventory_undo(&inventory, &claims[0]); /* in another order than they were claimed */
    inventory_undo(&inventory, &claims[2]);
    inventory_undo(&inventory, &claims[1]);
    assert_int_equal(inventory.devices[0].free, 100);
    assert_int_equal(inventory.devices[1].free, 100);
    assert_int_equal(inventory.nodes[0].cpu_free, 8);
    assert_int_equal(inventory.nodes[0].ram_free, 100);
    inventory_count(&inventory, 0, 7, &company);
    assert_int_equal(company.same + company.others, 0);
    assert_int_equal(inventory.nodes[0].version, 6);
}

static void test_single_candidates_differ(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    struct candidates found;
    add_node(&inventory, (uint64_t[]){100, 30, 60, 100, 60}, NULL, 5);
    candidates_find(&inventory, 0, &(struct demand){.devices = 1, .units = 50}, &found);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.device_sets[0], 1 << 0);
    assert_int_equal(found.device_sets[1], 1 << 2);
    candidates_find(&inventory, 0, &(struct demand){.devices = 1, .units = 101}, &found);
    assert_int_equal(found.count, 0);
    candidates_find(&inventory, 0, &(struct demand){.cpu = 1}, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.device_sets[0], 0);
}

/* Of an island the fullest that suffice; over islands only when none has enough. */
static void test_several_stay_in_an_island(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    struct candidates found;
    add_node(&inventory, (uint64_t[]){100, 60, 100, 90, 100, 80, 10},
             (uint8_t[]){0, 0, 0, 1, 1, 1, 1}, 7);
    candidates_find(&inventory, 0, &(struct demand){.devices = 2, .units = 50}, &found);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.device_sets[0], 1 << 0 | 1 << 1);
    assert_int_equal(found.device_sets[1], 1 << 3 | 1 << 5);
    candidates_find(&inventory, 0, &(struct demand){.devices = 4, .units = 50}, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.device_sets[0], 1 << 0 | 1 << 1 | 1 << 2 | 1 << 5);
    candidates_find(&inventory, 0, &(struct demand){.devices = 7, .units = 50}, &found);
    assert_int_equal(found.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_undo_gives_back_all),
        cmocka_unit_test(test_single_candidates_differ),
        cmocka_unit_test(test_several_stay_in_an_island),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
