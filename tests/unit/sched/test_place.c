/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/place.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { GIB = 1 << 30 };

static struct string_map no_labels, fast;

static struct place_worker worker(const char *name, unsigned instances, uint64_t total,
                                  uint64_t claimed)
{
    return (struct place_worker){.name = name,
                                 .labels = &fast,
                                 .is_ready = true,
                                 .ram_total_bytes = total,
                                 .ram_claimed_bytes = claimed,
                                 .instance_count = instances};
}

static void test_fewest_instances_wins(void **state)
{
    struct place_worker workers[] = {worker("a", 2, 8ULL * GIB, 0), worker("b", 1, 8ULL * GIB, 0),
                                     worker("c", 1, 8ULL * GIB, 0)};
    struct place_request request = {.selector = &no_labels, .ram_bytes = GIB};
    struct place_result result = {0};
    assert_int_equal(place(&request, workers, ARRAY_LEN(workers), &result, NULL, NULL), 0);
    assert_int_equal(result.rank_count, 1);
    assert_int_equal(result.ranks[0].worker, 1);
    place_take(&request, &result, workers);
    place_result_fini(&result);
    assert_int_equal(workers[1].ram_claimed_bytes, GIB);
    assert_int_equal(place(&request, workers, ARRAY_LEN(workers), &result, NULL, NULL), 0);
    assert_int_equal(result.ranks[0].worker, 2);
    place_result_fini(&result);
}

/* A worker with `count` devices of type cuda, in `devices`. */
static struct place_worker with_devices(const char *name, struct place_device *devices,
                                        size_t count)
{
    struct place_worker made = worker(name, 0, 8ULL * GIB, 0);
    for (size_t i = 0; i < count; i++)
        devices[i] = (struct place_device){.index = (int64_t)i, .type = "cuda"};
    made.devices = devices;
    made.device_count = count;
    return made;
}

static void test_devices_are_given_out_whole(void **state)
{
    struct place_device a[2], b[4];
    struct place_worker workers[] = {with_devices("a", a, 2), with_devices("b", b, 4)};
    struct place_request request = {.selector = &no_labels, .device_count = 3};
    struct place_result result = {0};
    struct buf reasons = {0};
    unsigned refusals[PLACE_REFUSAL_COUNT] = {0};
    assert_int_equal(place(&request, workers, 2, &result, &reasons, refusals), 0);
    assert_int_equal(result.ranks[0].worker, 1);
    assert_int_equal(result.ranks[0].gpu_indexes.count, 3);
    place_take(&request, &result, workers);
    place_result_fini(&result);
    assert_int_equal(place(&request, workers, 2, &result, &reasons, refusals), -1);
    assert_string_equal(reasons.ptr, "a: needs 3 devices, 2 of 2 free; "
                                     "b: needs 3 devices, 1 of 4 free");
    assert_int_equal(refusals[PLACE_DEVICES_SHORT], 2);
    buf_fini(&reasons);
    request.may_span = true; /* now a gang: two of a, one of b */
    assert_int_equal(place(&request, workers, 2, &result, NULL, NULL), 0);
    assert_int_equal(result.rank_count, 2);
    assert_int_equal(result.ranks[0].worker, 0);
    assert_int_equal(result.ranks[0].gpu_indexes.count, 2);
    assert_int_equal(result.ranks[1].gpu_indexes.items[0], 3);
    place_take(&request, &result, workers);
    place_result_fini(&result);
    assert_int_equal(place(&request, workers, 2, &result, NULL, NULL), -1);
    assert_null(result.ranks);
}

static void test_only_selected_devices_are_given(void **state)
{
    struct place_device a[2], b[2];
    struct place_worker workers[] = {with_devices("a", a, 2), with_devices("b:x", b, 2)};
    struct string_list ids = {0};
    string_list_add(&ids, "a:cuda:1");
    string_list_add(&ids, "b:x:cuda:0");
    struct place_request request = {
        .selector = &no_labels, .device_count = 2, .gpu_ids = &ids, .may_span = true};
    struct place_result result = {0};
    assert_int_equal(place(&request, workers, 2, &result, NULL, NULL), 0);
    assert_int_equal(result.rank_count, 2);
    assert_int_equal(result.ranks[0].gpu_indexes.items[0], 1);
    assert_int_equal(result.ranks[1].gpu_indexes.items[0], 0);
    place_result_fini(&result);
    struct buf reasons = {0};
    request.may_span = false;
    assert_int_equal(place(&request, workers, 1, &result, &reasons, NULL), -1);
    assert_string_equal(reasons.ptr, "a: needs 2 devices of the selected ones, 1 of 2 free");
    buf_fini(&reasons);
    string_list_fini(&ids);
}

static void test_workers_to_avoid_are_left_out(void **state)
{
    struct place_worker workers[] = {worker("a", 0, GIB, 0), worker("b", 5, GIB, 0)};
    workers[0].id = 7;
    struct int_list avoid = {0};
    int_list_add(&avoid, 7);
    struct place_request request = {.selector = &no_labels, .avoid_worker_ids = &avoid};
    struct place_result result = {0};
    assert_int_equal(place(&request, workers, 2, &result, NULL, NULL), 0);
    assert_int_equal(result.ranks[0].worker, 1);
    place_result_fini(&result);
    assert_int_equal(place_fit(&request, &workers[0]), PLACE_FAILED_BEFORE);
    int_list_fini(&avoid);
}

static void test_refusals(void **state)
{
    struct string_map slow = {0};
    string_map_set(&slow, "speed", "slow");
    struct place_worker away = worker("a", 0, GIB, 0);
    away.is_ready = false;
    struct place_worker reserved = worker("a", 0, 4ULL * GIB, 0);
    reserved.ram_reserved_bytes = 3ULL * GIB;
    const struct {
        struct place_worker worker;
        const struct string_map *selector;
        uint64_t ram_bytes;
        enum place_refusal want;
    } rows[] = {
        {worker("a", 0, 2ULL * GIB, 0), &no_labels, 2ULL * GIB, PLACE_FITS},
        {worker("a", 0, 2ULL * GIB, 1), &no_labels, 2ULL * GIB, PLACE_MEMORY_SHORT},
        {worker("a", 0, 2ULL * GIB, 2ULL * GIB), &no_labels, 0, PLACE_MEMORY_SHORT},
        {worker("a", 0, 0, 0), &no_labels, 0, PLACE_MEMORY_UNKNOWN},
        {worker("a", 0, GIB, 0), &slow, 0, PLACE_LABEL_MISMATCH},
        {worker("a", 0, GIB, 0), &fast, 0, PLACE_FITS},
        {reserved, &no_labels, GIB, PLACE_FITS},
        {reserved, &no_labels, GIB + 1U, PLACE_MEMORY_SHORT},
        {away, &no_labels, 0, PLACE_WORKER_NOT_READY},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct place_request request = {.selector = rows[i].selector,
                                        .ram_bytes = rows[i].ram_bytes};
        assert_int_equal(place_fit(&request, &rows[i].worker), rows[i].want);
    }
    string_map_fini(&slow);
}

static void test_every_refusal_is_explained(void **state)
{
    struct string_map selector = {0};
    string_map_set(&selector, "speed", "slow");
    struct place_worker away = worker("node2", 0, GIB, 0);
    away.is_ready = false;
    struct place_worker workers[] = {worker("node1", 0, 8ULL * GIB, 0), away};
    struct place_request request = {.selector = &selector, .ram_bytes = 0};
    struct buf reasons = {0};
    struct place_result result = {0};
    assert_int_equal(place(&request, workers, ARRAY_LEN(workers), &result, &reasons, NULL), -1);
    assert_string_equal(reasons.ptr, "node1: label speed is fast, not slow; node2: not ready");
    buf_clear(&reasons);
    request = (struct place_request){.selector = &no_labels, .ram_bytes = 9ULL * GIB};
    assert_int_equal(place(&request, workers, 1, &result, &reasons, NULL), -1);
    assert_string_equal(reasons.ptr, "node1: needs 9.0 GiB of memory, 8.0 GiB free");
    buf_fini(&reasons);
    string_map_fini(&selector);
}

static void test_many_refusals_are_counted(void **state)
{
    struct place_worker workers[PLACE_EXPLAINED_MAX + 3];
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        workers[i] = worker("w", 0, GIB, GIB);
    struct place_request request = {.selector = &no_labels, .ram_bytes = GIB};
    struct buf reasons = {0};
    struct place_result result = {0};
    assert_int_equal(place(&request, workers, ARRAY_LEN(workers), &result, &reasons, NULL), -1);
    assert_non_null(strstr(reasons.ptr, "; and 3 more"));
    buf_fini(&reasons);
}

static void test_names(void **state)
{
    assert_string_equal(place_refusal_name(PLACE_MEMORY_SHORT), "memory_short");
}

static int set_up(void **state)
{
    string_map_set(&fast, "speed", "fast");
    return 0;
}

static int tear_down(void **state)
{
    string_map_fini(&fast);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fewest_instances_wins),
        cmocka_unit_test(test_devices_are_given_out_whole),
        cmocka_unit_test(test_only_selected_devices_are_given),
        cmocka_unit_test(test_workers_to_avoid_are_left_out),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_refusal_is_explained),
        cmocka_unit_test(test_many_refusals_are_counted),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
