/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several places that fit is taken. */
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

static int decide(bool takes)
{
    place_result_fini(&result);
    return decide_on(&view, &asked->request, takes, &result);
}

static void assert_worker(size_t worker)
{
    assert_int_equal(decide(false), 0);
    assert_int_equal(result.ranks[0].worker, worker);
}

/* ---- what is left to others ---- */

/* place() where that many bytes of so many devices of a class are expected to come. */
static void assert_with_mix(uint64_t bytes, uint32_t class, size_t worker)
{
    struct mix mix = {0};
    mix_add(&mix, &(struct demand){.units = bytes, .devices = 1, .class_set = 1U << class}, 1);
    struct place_board *board = place_board_new(&view, &mix);
    assert_int_equal(place(board, &asked->request, &result), 0);
    assert_int_equal(result.ranks[0].worker, worker);
    assert_int_equal(result.candidates, 2);
    place_result_fini(&result);
    place_board_free(board);
    mix_fini(&mix);
}

/* All ways are compared: what is expected to come decides, not which one is tried first. */
static void test_two_small_devices_against_a_large_one(void **state)
{
    add_worker(&view, "large", 256 * GIB);
    add_devices(&view, 1, "H100", 80 * GIB);
    add_worker(&view, "small", 256 * GIB);
    add_devices(&view, 2, "L4", 24 * GIB);
    want(asked, 0, profile_of(1, 1, 36 * GIB));
    want(asked, 1, profile_of(1, 2, 20 * GIB));
    assert_with_mix(70 * GIB, 0, 1);
    assert_with_mix(20 * GIB, 1, 0);
}

static void test_small_models_share_a_device(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 2, "H100", 80 * GIB);
    want(asked, 0, profile_of(1, 1, 20 * GIB));
    for (int64_t i = 0; i < 4; i++) {
        asked->request.model_id = 20 + i;
        assert_int_equal(decide(true), 0);
        assert_int_equal(result.ranks[0].gpu_indexes.items[0], 0);
    }
    assert_int_equal(view.workers[0].devices[1].holders, 0);
}

/* The wider cut isn't taken for its own sake. */
static void test_one_device_rather_than_two_of_its_kind(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 4, "H100", 80 * GIB);
    want(asked, 0, profile_of(1, 2, 21 * GIB));
    want(asked, 0, profile_of(1, 1, 40 * GIB));
    assert_worker(0);
    assert_int_equal(result.ranks[0].gpu_indexes.count, 1);
}

/* ---- replicas ---- */

static void test_replicas_part(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        add_worker(&view, "w", 256 * GIB)->rack = i < 2 ? 1 : 2;
        add_devices(&view, 2, "L4", 24 * GIB);
    }
    want(asked, 0, profile_of(1, 1, 10 * GIB));
    assert_int_equal(decide(true), 0);
    assert_int_equal(result.ranks[0].worker, 0);
    assert_int_equal(decide(true), 0);
    assert_int_equal(result.ranks[0].worker, 2); /* another rack */
    assert_int_equal(decide(true), 0);
    assert_int_equal(result.ranks[0].worker, 1); /* another worker */
    assert_int_equal(result.cost.company, 200);
    assert_int_equal(decide(true), 0);
    assert_int_equal(result.ranks[0].worker, 2); /* alone in its rack */
    assert_int_equal(result.cost.company, 2000);
}

static void test_zones_part_as_well(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct place_worker *on = add_worker(&view, "w", 256 * GIB);
        on->rack = (uint32_t)i + 1;
        on->zone = i < 2 ? 1 : 2;
    }
    hold(&view, 0, PLACE_HOST, 9, 0);
    want_processor(asked, GIB);
    assert_worker(2);
    hold(&view, 2, PLACE_HOST, 9, 0);
    hold(&view, 2, PLACE_HOST, 9, 0);
    assert_worker(1);
    assert_int_equal(result.cost.company, 50);
}

/* ---- time ---- */

static void test_the_time_to_start_counts_by_its_size(void **state)
{
    const uint32_t seconds[] = {1200, 20, 30};
    for (size_t i = 0; i < 3; i++) {
        add_worker(&view, "w", 256 * GIB);
        add_devices(&view, 2, "L4", 24 * GIB);
    }
    want(asked, 0, profile_of(1, 1, 10 * GIB));
    asked->request.start_seconds = seconds;
    assert_worker(1);
    assert_int_equal(result.cost.start, 166); /* 20 of 120 seconds */
    hold(&view, 1, PLACE_HOST, 9, 0);         /* ten seconds are less than a replica's company */
    assert_worker(2);
    hold(&view, 2, PLACE_HOST, 9, 0); /* twenty minutes are more */
    assert_worker(1);
}

/* ---- links ---- */

static void test_fast_links_are_sought(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 4, "A100", 40 * GIB);
    add_worker(&view, "b", 256 * GIB);
    add_devices(&view, 4, "A100", 40 * GIB);
    for (size_t i = 0; i < 4; i++)
        view.workers[1].devices[i].has_fast_links = true;
    want(asked, 0, profile_of(1, 4, 35 * GIB));
    assert_worker(1);
    assert_int_equal(result.cost.links, 0);
    view.workers[1].is_ready = false;
    assert_worker(0);
    assert_int_equal(result.cost.links, 900);
}

/* ---- modes ---- */

static struct estimate_profile partial(uint64_t bytes, uint64_t host_bytes)
{
    struct estimate_profile profile = profile_of(1, 1, bytes);
    profile.kind = PROFILE_PARTIAL;
    profile.host_bytes = host_bytes;
    profile.layers_offloaded = 10;
    return profile;
}

static void test_whole_before_partly_before_the_processor(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    want(asked, 0, partial(10 * GIB, 10 * GIB));
    want(asked, 0, profile_of(1, 1, 20 * GIB));
    want_processor(asked, 30 * GIB);
    assert_worker(0);
    assert_int_equal(result.mode, PLACE_ON_DEVICES);
    view.workers[0].devices[0].foreign_bytes = 12 * GIB;
    assert_worker(0);
    assert_int_equal(result.mode, PLACE_PARTLY);
    assert_int_equal(result.layers_offloaded, 10);
    assert_int_equal(result.ranks[0].ram_bytes, 10 * GIB);
    assert_int_equal(result.cost.shortage, 3000 + 6000 / 2);
    view.workers[0].devices[0].foreign_bytes = 20 * GIB;
    assert_worker(0);
    assert_int_equal(result.mode, PLACE_ON_PROCESSOR);
    assert_int_equal(result.ranks[0].gpu_indexes.count, 0);
    view.workers[0].ram_foreign_bytes = 230 * GIB;
    assert_int_equal(decide(false), -1);
}

/* Of two devices' layers the host's part is of all their bytes. */
static void test_the_hosts_part_is_of_all_bytes(void **state)
{
    struct estimate_profile profile = profile_of(1, 2, 15 * GIB);
    profile.kind = PROFILE_PARTIAL;
    profile.host_bytes = 10 * GIB;
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 2, "L4", 24 * GIB);
    want(asked, 0, profile);
    assert_worker(0);
    assert_int_equal(result.cost.shortage, 3000 + 6000 / 4);
}

/* Most of it on the host is worse than several workers; a small part isn't. */
static void test_partly_against_a_gang(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        add_worker(&view, "w", 256 * GIB)->rack = 1;
        add_devices(&view, 1, "L4", 24 * GIB);
    }
    asked->request.may_span = true;
    want(asked, 0, profile_of(2, 1, 20 * GIB));
    want(asked, 0, partial(20 * GIB, 20 * GIB));
    assert_worker(0);
    assert_int_equal(result.rank_count, 2);
    asked->profiles[0][1] = partial(22 * GIB, 2 * GIB);
    assert_worker(0);
    assert_int_equal(result.rank_count, 1);
    assert_int_equal(result.mode, PLACE_PARTLY);
}

/* Without any need of devices it stays away from workers that have some. */
static void test_the_processor_of_a_worker_without_devices(void **state)
{
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    add_worker(&view, "b", 256 * GIB);
    want_processor(asked, GIB);
    assert_worker(1);
}

/* ---- the sum ---- */

static void test_the_total_is_the_sum(void **state)
{
    const uint32_t seconds[] = {50};
    add_worker(&view, "a", 256 * GIB);
    add_devices(&view, 2, "L4", 24 * GIB);
    hold(&view, 0, 0, 9, 4 * GIB);
    asked->request.start_seconds = seconds;
    want(asked, 0, profile_of(1, 2, 19 * GIB));
    assert_worker(0);
    const struct place_cost *cost = &result.cost;
    assert_int_equal(cost->start, 416);
    assert_int_equal(cost->links, 300);
    assert_int_equal(cost->company, 2000);
    assert_int_equal(cost->balance, 150); /* one instance: a half of 300; no main memory of it */
    assert_int_equal(cost->total, cost->fragments + 416 + 300 + 2000 + 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_small_devices_against_a_large_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_small_models_share_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_device_rather_than_two_of_its_kind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_replicas_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_zones_part_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_time_to_start_counts_by_its_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fast_links_are_sought, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole_before_partly_before_the_processor, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_hosts_part_is_of_all_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_partly_against_a_gang, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_processor_of_a_worker_without_devices, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_total_is_the_sum, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
