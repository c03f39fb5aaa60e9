/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUStack's strategies, exact against values that were worked out by hand from its formulas:
 *
 *     spread   100 (0.85 worker + 0.15 devices)
 *              worker  among candidates some of which have none of the model:
 *                      none here: 0.85 + 0.15 inv(others)
 *                      else: 0.45 + 0.35 inv(same) + 0.20 inv(others)
 *                      all have some: 0.50 + 0.25 inv(same) + 0.15 inv(others)
 *              devices mean of 1 / (1 + same + 0.2 others)
 *              inv(v) = 1 - (v - min) / (max - min), 1 when max = min
 *     binpack  highest of the devices' 100 (memory claim / free + 2 device claim / free) / 3
 */
#include "place_cluster.h"

static struct place_view view;
static struct asked *asked;
static struct place_result result;

enum { SAME = 9, OTHER = 3 };

static int set_up(void **state)
{
    view = (struct place_view){0};
    asked = asked_new(SAME);
    want(asked, 0, profile_of(1, 1, 4 * GIB));
    return 0;
}

static int tear_down(void **state)
{
    place_result_fini(&result);
    place_view_fini(&view);
    free(asked);
    return 0;
}

static void worker(size_t devices)
{
    add_worker(&view, "w", 64 * GIB);
    add_devices(&view, devices, "L4", 24 * GIB);
}

static void assert_score(enum place_strategy strategy, size_t worker_at, int64_t device,
                         double score)
{
    place_result_fini(&result);
    asked->request.strategy = strategy;
    assert_int_equal(decide_on(&view, &asked->request, false, &result), 0);
    assert_int_equal(result.ranks[0].worker, worker_at);
    if (device >= 0)
        assert_int_equal(result.ranks[0].gpu_indexes.items[0], device);
    assert_true(result.score > score - 1e-9 && result.score < score + 1e-9);
}

static void test_spread_to_a_worker_without_the_model(void **state)
{
    for (size_t i = 0; i < 3; i++)
        worker(2);
    hold(&view, 0, 0, SAME, GIB);
    hold(&view, 1, 0, OTHER, GIB);
    hold(&view, 1, 1, OTHER, GIB);
    hold(&view, 2, 0, OTHER, GIB);
    hold(&view, 2, PLACE_HOST, OTHER, 0);
    hold(&view, 2, PLACE_HOST, OTHER, 0);
    /* same 0..1, others 0..3: 1 has inv(2) = 1/3 and devices with one other, 2 has inv(3) = 0 and
     * an unused device: 100 (0.85 x 0.9 + 0.15 / 1.2) = 89, 100 (0.85 x 0.85 + 0.15) = 87.25 */
    assert_score(PLACE_SPREAD, 1, 0, 89);
    hold(&view, 1, PLACE_HOST, OTHER, 0); /* 1 has inv(3) = 0, too: 84.75 */
    assert_score(PLACE_SPREAD, 2, 1, 87.25);
}

static void test_spread_where_only_one_has_none(void **state)
{
    worker(1);
    worker(1);
    hold(&view, 0, PLACE_HOST, SAME, 0);
    hold(&view, 1, 0, OTHER, GIB);
    hold(&view, 1, 0, OTHER, GIB);
    /* 0: 100 (0.85 (0.45 + 0 + 0.20) + 0.15) = 70.25; 1: 100 (0.85 x 0.85 + 0.15 / 1.4) */
    assert_score(PLACE_SPREAD, 1, 0, 72.25 + 15 / 1.4);
    view.workers[1].is_ready = false; /* alone: all inv are 1, and all have some */
    assert_score(PLACE_SPREAD, 0, 0, 100 * (0.85 * 0.90 + 0.15));
}

static void test_spread_where_all_have_some(void **state)
{
    for (size_t i = 0; i < 3; i++)
        worker(1);
    hold(&view, 0, 0, SAME, GIB);
    hold(&view, 1, 0, SAME, GIB);
    hold(&view, 1, 0, SAME, GIB);
    hold(&view, 2, PLACE_HOST, SAME, 0);
    hold(&view, 2, PLACE_HOST, SAME, 0);
    hold(&view, 2, PLACE_HOST, SAME, 0);
    hold(&view, 0, PLACE_HOST, OTHER, 0);
    /* 0: 100 (0.85 (0.50 + 0.25 + 0) + 0.15 / 2) = 71.25
     * 1: 100 (0.85 (0.50 + 0.125 + 0.15) + 0.15 / 3) = 70.875
     * 2: 100 (0.85 (0.50 + 0 + 0.15) + 0.15) = 70.25 */
    assert_score(PLACE_SPREAD, 0, 0, 71.25);
    hold(&view, 0, 0, SAME, GIB); /* 0 and 1 have two: inv 1; 0's devices three in all: 70 + 4.. */
    assert_score(PLACE_SPREAD, 1, 0, 100 * (0.85 * 0.90 + 0.15 / 3));
}

/* On one worker: the device with the least company. */
static void test_spread_looks_at_devices(void **state)
{
    worker(4);
    hold(&view, 0, 0, OTHER, GIB);
    hold(&view, 0, 1, SAME, GIB);
    hold(&view, 0, 2, OTHER, GIB);
    hold(&view, 0, 2, OTHER, GIB);
    hold(&view, 0, 3, OTHER, GIB);
    hold(&view, 0, 3, OTHER, GIB);
    hold(&view, 0, 3, OTHER, GIB);
    assert_score(PLACE_SPREAD, 0, 0, 100 * (0.85 * 0.90 + 0.15 / 1.2));
}

static void test_spread_means_over_several_devices(void **state)
{
    asked->profiles[0][0] = profile_of(1, 2, 4 * GIB);
    worker(2);
    hold(&view, 0, 0, OTHER, GIB);
    assert_score(PLACE_SPREAD, 0, 0, 100 * (0.85 + 0.15 * (1 / 1.2 + 1) / 2));
}

static void test_binpack_to_the_fullest(void **state)
{
    worker(2);
    worker(1);
    hold(&view, 0, 1, OTHER, 16 * GIB); /* 8 free: 100 (1/64 + 2 x 4/8) / 3 */
    hold(&view, 1, 0, OTHER, 12 * GIB);
    assert_score(PLACE_BINPACK, 0, 1, 100 * (1.0 / 64 + 1) / 3);
    hold(&view, 1, 0, OTHER, 8 * GIB); /* exactly 4 free */
    assert_score(PLACE_BINPACK, 1, 0, 100 * (1.0 / 64 + 2) / 3);
    view.workers[1].is_ready = false;
    view.workers[0].ram_claimed_bytes = 63 * GIB; /* memory counts once, devices twice */
    assert_score(PLACE_BINPACK, 0, 1, 100 * (1.0 + 1) / 3);
}

/* The highest of the devices, each with what its own rank takes. */
static void test_binpack_of_unlike_ranks(void **state)
{
    struct estimate_profile profile = profile_of(1, 2, 6 * GIB);
    profile.rank_bytes[0] = profile.preferred_bytes[0] = 12 * GIB;
    asked->profiles[0][0] = profile;
    worker(2);
    hold(&view, 0, 0, OTHER, 16 * GIB); /* 8 free, for the second rank: 6/8, and 12/24 */
    assert_score(PLACE_BINPACK, 0, 1, 100 * (1.0 / 64 + 1.5) / 3);
    profile.rank_bytes[0] = profile.preferred_bytes[0] = 6 * GIB;
    profile.rank_bytes[1] = profile.preferred_bytes[1] = 12 * GIB;
    asked->profiles[0][0] = profile;
    assert_score(PLACE_BINPACK, 0, 0, 100 * (1.0 / 64 + 1.5) / 3);
}

static void test_binpack_counts_what_is_given(void **state)
{
    asked->profiles[0][0].preferred_bytes[0] = 12 * GIB;
    worker(1);
    assert_score(PLACE_BINPACK, 0, 0, 100 * (1.0 / 64 + 1) / 3);
}

static void test_binpack_on_processors(void **state)
{
    worker(0);
    worker(0);
    view.workers[1].ram_claimed_bytes = 32 * GIB;
    want_processor(asked, 8 * GIB);
    assert_score(PLACE_BINPACK, 1, -1, 25);
}

/* As GPUStack's stages: fewer devices first, whatever would score higher. */
static void test_fewer_devices_come_first(void **state)
{
    want(asked, 0, profile_of(1, 2, 24 * GIB));
    worker(2);
    assert_score(PLACE_BINPACK, 0, 0, 100 * (1.0 / 64 + 2.0 * 4 / 24) / 3);
}

static void test_of_equal_ones_the_first(void **state)
{
    worker(1);
    worker(1);
    assert_score(PLACE_SPREAD, 0, 0, 100);
    assert_score(PLACE_BINPACK, 0, 0, 100 * (1.0 / 64 + 1.0 / 3) / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spread_to_a_worker_without_the_model, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_spread_where_only_one_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spread_where_all_have_some, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spread_looks_at_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spread_means_over_several_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_binpack_to_the_fullest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_binpack_of_unlike_ranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_binpack_counts_what_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_binpack_on_processors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fewer_devices_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_equal_ones_the_first, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
