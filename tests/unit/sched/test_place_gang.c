/* SPDX-License-Identifier: Apache-2.0 */
/* Places on several workers: all ranks or none, in the smallest domain that has room. */
#include "place_cluster.h"

static struct place_view view;
static struct asked *asked;
static struct place_result result;

static int set_up(void **state)
{
    view = (struct place_view){0};
    asked = asked_new(9);
    asked->request.may_span = true;
    return 0;
}

static int tear_down(void **state)
{
    place_result_fini(&result);
    place_view_fini(&view);
    free(asked);
    return 0;
}

static struct place_worker *worker(uint32_t rack, uint32_t zone, size_t devices)
{
    struct place_worker *on = add_worker(&view, "w", 256 * GIB);
    on->rack = rack;
    on->zone = zone;
    add_devices(&view, devices, "L4", 24 * GIB);
    return &view.workers[view.count - 1];
}

static int decide(bool takes)
{
    place_result_fini(&result);
    return decide_on(&view, &asked->request, takes, &result);
}

static void assert_gang(const size_t *workers, size_t count)
{
    assert_int_equal(decide(false), 0);
    assert_int_equal(result.rank_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(result.ranks[i].worker, workers[i]);
}

static void test_a_rack_before_a_zone_before_anywhere(void **state)
{
    worker(0, 0, 2);
    worker(1, 1, 2);
    worker(2, 2, 2);
    worker(3, 2, 2);
    worker(3, 2, 2);
    want(asked, 0, profile_of(2, 2, 20 * GIB));
    assert_gang((const size_t[]){3, 4}, 2);
    assert_int_equal(result.cost.links, 5000 + 2 * 300);
    view.workers[4].is_ready = false;
    assert_gang((const size_t[]){2, 3}, 2);
    assert_int_equal(result.cost.links, 6000 + 2 * 300);
    view.workers[3].is_ready = false;
    assert_gang((const size_t[]){0, 1}, 2);
    assert_int_equal(result.cost.links, 8000 + 2 * 300);
}

/* Of two racks the one in which it costs less. */
static void test_the_cheaper_rack(void **state)
{
    worker(1, 0, 1);
    worker(1, 0, 1);
    worker(2, 0, 1);
    worker(2, 0, 1);
    const uint32_t seconds[] = {5, 60, 30, 30}; /* the slowest rank decides */
    asked->request.start_seconds = seconds;
    want(asked, 0, profile_of(2, 1, 20 * GIB));
    assert_gang((const size_t[]){2, 3}, 2);
    assert_int_equal(result.cost.start, 250);
}

static void test_the_slowest_rank_decides_when_it_starts(void **state)
{
    const uint32_t seconds[] = {60, 5};
    worker(1, 0, 1);
    worker(1, 0, 1);
    hold(&view, 1, PLACE_HOST, 9, 0); /* costs more, so that it comes behind the slow one */
    asked->request.start_seconds = seconds;
    want(asked, 0, profile_of(2, 1, 20 * GIB));
    assert_gang((const size_t[]){0, 1}, 2);
    assert_int_equal(result.cost.start, 500);
}

/* Not whole workers: what it needs of each, and the rest stays free. */
static void test_it_takes_no_more_than_it_needs(void **state)
{
    worker(1, 0, 8);
    worker(1, 0, 4);
    want(asked, 0, profile_of(2, 2, 20 * GIB));
    assert_int_equal(decide(true), 0);
    assert_int_equal(result.rank_count, 2);
    for (size_t r = 0; r < 2; r++)
        assert_int_equal(result.ranks[r].gpu_indexes.count, 2);
    assert_int_equal(view.workers[0].devices[0].claimed_bytes, 20 * GIB);
    assert_int_equal(view.workers[0].devices[2].claimed_bytes, 0);
    assert_int_equal(view.workers[1].ram_claimed_bytes, GIB);
}

static void test_all_ranks_or_none(void **state)
{
    worker(1, 0, 2);
    worker(1, 0, 2);
    worker(1, 0, 1);
    want(asked, 0, profile_of(3, 2, 20 * GIB));
    assert_int_equal(decide(true), -1);
    assert_null(result.ranks);
    assert_int_equal(view.version, 0);
    assert_words(&view, &asked->request,
                 "w: has room for its part, but 3 workers with 2 devices each are needed; "
                 "w: has room for its part, but 3 workers with 2 devices each are needed; "
                 "w: needs 2 devices, 1 of 1 free");
}

static void test_one_worker_before_several(void **state)
{
    worker(1, 0, 1);
    worker(1, 0, 1);
    worker(2, 0, 2);
    want(asked, 0, profile_of(2, 1, 20 * GIB));
    want(asked, 0, profile_of(1, 2, 20 * GIB));
    assert_gang((const size_t[]){2}, 1);
    asked->request.strategy = PLACE_SPREAD;
    assert_gang((const size_t[]){2}, 1);
    view.workers[2].is_ready = false;
    assert_gang((const size_t[]){0, 1}, 2);
}

static void test_only_if_it_may_span(void **state)
{
    worker(1, 0, 1);
    worker(1, 0, 1);
    want(asked, 0, profile_of(2, 1, 20 * GIB));
    asked->request.may_span = false;
    assert_int_equal(decide(false), -1);
}

static void test_the_number_of_devices_counts_all_ranks(void **state)
{
    worker(1, 0, 2);
    worker(1, 0, 2);
    want(asked, 0, profile_of(2, 2, 20 * GIB));
    asked->request.device_count = 2;
    assert_int_equal(decide(false), -1);
    asked->request.device_count = 4;
    assert_gang((const size_t[]){0, 1}, 2);
}

/* Stages aren't alike: the last one is larger; any worker may be any of them. */
static void test_every_rank_gets_what_the_largest_needs(void **state)
{
    struct estimate_profile profile = profile_of(2, 1, 10 * GIB);
    profile.rank_bytes[1] = profile.preferred_bytes[1] = 20 * GIB;
    worker(1, 0, 1);
    worker(1, 0, 1)->devices[0].foreign_bytes = 8 * GIB;
    want(asked, 0, profile);
    assert_int_equal(decide(false), -1);
    view.workers[1].devices[0].foreign_bytes = 4 * GIB;
    assert_gang((const size_t[]){1, 0}, 2);
    for (size_t r = 0; r < 2; r++)
        assert_int_equal(result.ranks[r].gpu_bytes.items[0], 20 * GIB);
}

/* Cache beyond the scarcest rank's is of no use to the others. */
static void test_a_scarce_rank_makes_all_scarce(void **state)
{
    struct estimate_profile profile = profile_of(2, 1, 10 * GIB);
    profile.preferred_bytes[0] = profile.preferred_bytes[1] = 20 * GIB;
    worker(1, 0, 1);
    worker(1, 0, 1)->devices[0].foreign_bytes = 8 * GIB;
    want(asked, 0, profile);
    assert_int_equal(decide(false), 0);
    for (size_t r = 0; r < 2; r++)
        assert_int_equal(result.ranks[r].gpu_bytes.items[0], 10 * GIB);
    view.workers[1].devices[0].foreign_bytes = 0;
    assert_int_equal(decide(false), 0);
    assert_int_equal(result.ranks[1].gpu_bytes.items[0], 20 * GIB);
}

/* llama.cpp's other workers only lend their devices. */
static void test_who_lends_devices_needs_little_memory(void **state)
{
    struct estimate_profile profile = profile_of(2, 1, 20 * GIB);
    profile.host_bytes = 16 * GIB;
    worker(1, 0, 1)->ram_total_bytes = 2 * GIB;
    worker(1, 0, 1)->ram_total_bytes = 32 * GIB;
    want(asked, 0, profile);
    assert_int_equal(decide(false), -1);
    asked->request.is_remote_first = true;
    assert_gang((const size_t[]){1, 0}, 2); /* the one with memory leads */
    assert_int_equal(result.ranks[0].ram_bytes, 16 * GIB);
    assert_int_equal(result.ranks[1].ram_bytes, 512 * MIB);
    view.workers[1].ram_total_bytes = 15 * GIB;
    assert_int_equal(decide(false), -1);
}

static void test_ranks_are_of_one_class(void **state)
{
    worker(1, 0, 1);
    add_worker(&view, "w", 256 * GIB)->rack = 1;
    add_devices(&view, 1, "A100", 80 * GIB);
    want(asked, 0, profile_of(2, 1, 20 * GIB));
    want(asked, 1, profile_of(2, 1, 20 * GIB));
    assert_int_equal(decide(false), -1);
    worker(1, 0, 1);
    assert_gang((const size_t[]){0, 2}, 2);
}

static void test_whole_devices_of_as_few_workers_as_possible(void **state)
{
    worker(0, 0, 2);
    worker(0, 0, 1);
    worker(0, 0, 4);
    asked->request.device_count = 5;
    assert_gang((const size_t[]){2, 0}, 2);
    assert_int_equal(result.ranks[1].gpu_indexes.count, 1);
    asked->request.device_count = 8;
    assert_int_equal(decide(false), -1);
    assert_null(result.ranks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_rack_before_a_zone_before_anywhere, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_cheaper_rack, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_slowest_rank_decides_when_it_starts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_it_takes_no_more_than_it_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_ranks_or_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_worker_before_several, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_if_it_may_span, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_number_of_devices_counts_all_ranks, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_every_rank_gets_what_the_largest_needs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_scarce_rank_makes_all_scarce, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_lends_devices_needs_little_memory, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_ranks_are_of_one_class, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole_devices_of_as_few_workers_as_possible, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
