/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices of a worker are given, in what order, and how much of each. */
#include "place_cluster.h"

static struct place_view view;
static struct asked *asked;
static struct place_result result;

static int set_up(void **state)
{
    view = (struct place_view){0};
    asked = asked_new(9);
    return 0;
}

static int tear_down(void **state)
{
    place_result_fini(&result);
    place_view_fini(&view);
    free(asked);
    return 0;
}

static struct place_device *device(size_t i)
{
    return &view.workers[0].devices[i];
}

/* One worker whose devices of 24 GiB have that many GiB free. */
static void one_worker(const uint64_t *free_gib, size_t count)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, count, "L4", 24 * GIB);
    for (size_t i = 0; i < count; i++)
        device(i)->foreign_bytes = (24 - free_gib[i]) * GIB;
}

static int decide(bool takes)
{
    place_result_fini(&result);
    return decide_on(&view, &asked->request, takes, &result);
}

static void assert_devices(const int64_t *indexes, size_t count)
{
    assert_int_equal(decide(false), 0);
    assert_on(&result, 0, indexes, count);
}

static void assert_bytes(size_t rank, uint64_t bytes)
{
    assert_int_equal(result.ranks[0].gpu_bytes.items[rank], bytes);
}

/* ---- sets ---- */

static void test_the_tightest_device_is_given(void **state)
{
    one_worker((const uint64_t[]){24, 9, 11, 24}, 4);
    want(asked, 0, profile_of(1, 1, 10 * GIB));
    assert_devices((const int64_t[]){2}, 1);
}

static void test_the_tightest_set_is_given(void **state)
{
    one_worker((const uint64_t[]){24, 9, 11, 24, 10}, 5);
    want(asked, 0, profile_of(1, 2, 10 * GIB));
    assert_devices((const int64_t[]){2, 4}, 2);
}

static void test_sets_stay_within_an_island(void **state)
{
    one_worker((const uint64_t[]){24, 24, 10, 10, 24, 24, 24, 24}, 8);
    for (size_t i = 0; i < 8; i++)
        device(i)->island = (uint8_t)(i / 4);
    want(asked, 0, profile_of(1, 4, 12 * GIB));
    assert_devices((const int64_t[]){4, 5, 6, 7}, 4);
    asked->profiles[0][0] = profile_of(1, 2, 12 * GIB); /* what is broken up already */
    assert_devices((const int64_t[]){0, 1}, 2);
    asked->profiles[0][0] = profile_of(1, 5, 12 * GIB); /* only over both */
    assert_devices((const int64_t[]){0, 4, 5, 6, 7}, 5);
    assert_int_equal(result.cost.links, 1500);
}

static void test_an_island_that_is_broken_up_comes_first(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 8, "L4", 24 * GIB);
    for (size_t i = 0; i < 8; i++)
        device(i)->island = (uint8_t)(i / 4);
    hold(&view, 0, 7, 3, 20 * GIB);
    want(asked, 0, profile_of(1, 2, 22 * GIB));
    assert_devices((const int64_t[]){4, 5}, 2);
    assert_int_equal(result.cost.links, 300);
    asked->profiles[0][0] = profile_of(1, 4, 22 * GIB); /* all of one isn't a part */
    assert_devices((const int64_t[]){0, 1, 2, 3}, 4);
    assert_int_equal(result.cost.links, 900);
}

/* The first rank needs more than the second; engines get their devices in the order of ranks. */
static void test_unlike_ranks_get_what_each_needs(void **state)
{
    struct estimate_profile profile = profile_of(1, 2, 10 * GIB);
    profile.rank_bytes[0] = profile.preferred_bytes[0] = 20 * GIB;
    one_worker((const uint64_t[]){11, 9, 24, 24}, 4);
    want(asked, 0, profile);
    assert_devices((const int64_t[]){2, 0}, 2);
    assert_bytes(0, 20 * GIB);
    assert_bytes(1, 10 * GIB);
}

/* The two tightest of those that could be one of the ranks don't have enough for the first. */
static void test_unlike_ranks_beyond_the_tightest_set(void **state)
{
    struct estimate_profile profile = profile_of(1, 2, 10 * GIB);
    profile.rank_bytes[1] = profile.preferred_bytes[1] = 20 * GIB;
    one_worker((const uint64_t[]){12, 11, 24}, 3);
    want(asked, 0, profile);
    assert_devices((const int64_t[]){1, 2}, 2);
}

static void test_a_set_is_of_one_class(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 1, "A100", 80 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    want(asked, 0, profile_of(1, 2, 20 * GIB));
    want(asked, 1, profile_of(1, 2, 20 * GIB));
    assert_int_equal(decide(false), -1);
    add_devices(&view, 1, "L4", 24 * GIB);
    assert_devices((const int64_t[]){1, 2}, 2);
}

static void test_unknown_needs_get_one_class_where_possible(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 1, "A100", 80 * GIB);
    add_devices(&view, 2, "L4", 24 * GIB);
    asked->request.device_count = 2;
    assert_devices((const int64_t[]){1, 2}, 2);
    asked->request.device_count = 3;
    assert_devices((const int64_t[]){0, 1, 2}, 3);
}

static void test_all_of_64_devices_count(void **state)
{
    uint64_t free_gib[PLACE_DEVICES_MAX] = {0};
    free_gib[PLACE_DEVICES_MAX - 1] = 24;
    one_worker(free_gib, PLACE_DEVICES_MAX);
    add_devices(&view, 1, "L4", 24 * GIB);
    assert_int_equal(view.workers[0].device_count, PLACE_DEVICES_MAX);
    want(asked, 0, profile_of(1, 1, 10 * GIB));
    assert_devices((const int64_t[]){63}, 1);
    for (size_t i = 0; i < PLACE_DEVICES_MAX; i++)
        device(i)->foreign_bytes = 0;
    asked->profiles[0][0] = profile_of(1, PLACE_DEVICES_MAX, 10 * GIB);
    assert_int_equal(decide(true), 0);
    assert_int_equal(result.ranks[0].gpu_indexes.count, PLACE_DEVICES_MAX);
    assert_int_equal(device(63)->claimed_bytes, 10 * GIB);
}

/* ---- bytes ---- */

static void test_what_is_wanted_is_given_where_it_fits(void **state)
{
    struct estimate_profile profile = profile_of(1, 1, 10 * GIB);
    profile.preferred_bytes[0] = 20 * GIB;
    one_worker((const uint64_t[]){12, 21, 24}, 3);
    want(asked, 0, profile);
    assert_devices((const int64_t[]){1}, 1);
    assert_bytes(0, 20 * GIB);
    device(1)->is_unhealthy = device(2)->is_unhealthy = true;
    assert_devices((const int64_t[]){0}, 1);
    assert_bytes(0, 10 * GIB);
    assert_int_equal(result.cost.shortage, 500);
}

static void test_what_others_use_or_is_reserved_counts_once(void **state)
{
    one_worker((const uint64_t[]){24}, 1);
    want(asked, 0, profile_of(1, 1, 20 * GIB));
    device(0)->foreign_bytes = 4 * GIB;
    view.workers[0].vram_reserved_bytes = 4 * GIB;
    assert_int_equal(decide(false), 0);
    view.workers[0].vram_reserved_bytes = 4 * GIB + 1;
    assert_int_equal(decide(false), -1);
    view.workers[0].vram_reserved_bytes = 0;
    device(0)->foreign_bytes = 4 * GIB + 1;
    assert_int_equal(decide(false), -1);
}

static void test_claims_add_up(void **state)
{
    one_worker((const uint64_t[]){24}, 1);
    want(asked, 0, profile_of(1, 1, 8 * GIB));
    for (int i = 0; i < 3; i++)
        assert_int_equal(decide(true), 0);
    assert_int_equal(device(0)->claimed_bytes, 24 * GIB);
    assert_int_equal(device(0)->holders, 3);
    assert_int_equal(view.workers[0].ram_claimed_bytes, 3 * GIB);
    assert_int_equal(view.workers[0].instance_count, 3);
    assert_int_equal(decide(true), -1);
}

/* For itself it gets the one that others use the least, and none that they have most of. */
static void test_unknown_needs_avoid_what_others_use(void **state)
{
    one_worker((const uint64_t[]){14, 20, 4}, 3);
    asked->request.device_count = 1;
    assert_int_equal(decide(true), 0);
    assert_on(&result, 0, (const int64_t[]){1}, 1);
    assert_bytes(0, 20 * GIB);
    assert_int_equal(decide(true), 0);
    assert_on(&result, 0, (const int64_t[]){0}, 1);
    assert_int_equal(decide(true), -1);
}

/* ---- what is kept ---- */

static void test_what_is_kept_is_taken(void **state)
{
    one_worker((const uint64_t[]){24, 6}, 2);
    view.workers[0].ram_total_bytes = 16 * GIB;
    struct place_board *board = place_board_new(&view, NULL);
    struct place_rank rank = {.worker = 0, .ram_bytes = 10 * GIB};
    for (int64_t i = 0; i < 2; i++) {
        int_list_add(&rank.gpu_indexes, i);
        int_list_add(&rank.gpu_bytes, (int64_t)(10 * GIB));
    }
    place_keep(board, &(struct place_result){.ranks = &rank, .rank_count = 1});
    assert_int_equal(place_device_free(&view.workers[0], device(0)), 14 * GIB);
    assert_int_equal(place_device_free(&view.workers[0], device(1)), 0); /* all there was */
    assert_int_equal(place_ram_free(&view.workers[0]), 6 * GIB);
    want(asked, 0, profile_of(1, 1, 14 * GIB));
    assert_int_equal(place(board, &asked->request, &result), 0);
    place_result_fini(&result);
    asked->profiles[0][0].rank_bytes[0]++;
    assert_int_equal(place(board, &asked->request, &result), -1);
    int_list_fini(&rank.gpu_indexes);
    int_list_fini(&rank.gpu_bytes);
    place_board_free(board);
}

/* ---- memory that is the host's ---- */

static void one_unified(size_t count)
{
    add_worker(&view, "a", 64 * GIB);
    for (size_t i = 0; i < count; i++)
        place_view_add_device(&view, &(struct place_device){.index = (int64_t)i,
                                                            .type = "mps",
                                                            .total_bytes = 64 * GIB,
                                                            .is_unified = true});
}

static void test_unified_memory_is_counted_once(void **state)
{
    struct estimate_profile profile = profile_of(1, 1, 30 * GIB);
    profile.preferred_bytes[0] = 60 * GIB;
    profile.host_bytes = 5 * GIB;
    one_unified(1);
    want(asked, 0, profile);
    assert_int_equal(decide(true), 0);
    assert_bytes(0, 30 * GIB); /* 60 and 5 are more than there is */
    assert_int_equal(place_ram_free(&view.workers[0]), 29 * GIB);
    assert_int_equal(place_device_free(&view.workers[0], device(0)), 29 * GIB);
    assert_int_equal(decide(true), -1);
    asked->profiles[0][0].rank_bytes[0] = asked->profiles[0][0].preferred_bytes[0] = 24 * GIB;
    assert_int_equal(decide(true), 0);
    assert_int_equal(place_ram_free(&view.workers[0]), 0);
}

static void test_devices_that_share_memory_are_added_up(void **state)
{
    one_unified(2);
    want(asked, 0, profile_of(1, 2, 32 * GIB));
    assert_int_equal(decide(false), -1);
    asked->profiles[0][0] = profile_of(1, 2, 31 * GIB);
    assert_int_equal(decide(false), 0);
}

static void test_the_host_counts_beside_unified_memory(void **state)
{
    one_unified(1);
    view.workers[0].ram_foreign_bytes = 40 * GIB;
    want(asked, 0, profile_of(1, 1, 24 * GIB));
    assert_int_equal(decide(false), -1);
    asked->profiles[0][0] = profile_of(1, 1, 23 * GIB);
    assert_int_equal(decide(false), 0);
}

/* ---- unlike devices ---- */

/* 60 GiB, as much from each as it has. */
static int split_60(void *ctx, const uint64_t *free_bytes, const int *classes, size_t count,
                    uint64_t *rank_bytes, uint64_t *host_bytes)
{
    uint64_t missing = 60 * GIB;
    for (size_t i = 0; i < count; i++) {
        rank_bytes[i] = free_bytes[i] < missing ? free_bytes[i] : missing;
        missing -= rank_bytes[i];
    }
    *host_bytes = *(const uint64_t *)ctx;
    return missing ? -1 : 0;
}

static void test_unlike_devices_are_put_together(void **state)
{
    uint64_t host_bytes = 4 * GIB;
    add_worker(&view, "a", 8 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    add_devices(&view, 1, "T4", 16 * GIB);
    add_devices(&view, 1, "A40", 48 * GIB);
    want(asked, 2, profile_of(1, 1, 60 * GIB));
    asked->request.ctx = &host_bytes;
    assert_int_equal(decide(false), -1); /* the engine doesn't do that */
    asked->request.split = split_60;
    assert_devices((const int64_t[]){0, 2}, 2);
    assert_bytes(0, 24 * GIB);
    assert_bytes(1, 36 * GIB);
    assert_int_equal(result.ranks[0].ram_bytes, 4 * GIB);
    device(2)->foreign_bytes = 20 * GIB;
    assert_devices((const int64_t[]){0, 1, 2}, 3);
    host_bytes = 9 * GIB;
    assert_int_equal(decide(false), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_tightest_device_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_tightest_set_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sets_stay_within_an_island, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_island_that_is_broken_up_comes_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_unlike_ranks_get_what_each_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unlike_ranks_beyond_the_tightest_set, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_set_is_of_one_class, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_needs_get_one_class_where_possible, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_all_of_64_devices_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_wanted_is_given_where_it_fits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_others_use_or_is_reserved_counts_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_claims_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_needs_avoid_what_others_use, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_kept_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unified_memory_is_counted_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_devices_that_share_memory_are_added_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_host_counts_beside_unified_memory, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_unlike_devices_are_put_together, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
