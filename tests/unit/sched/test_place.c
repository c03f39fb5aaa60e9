/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of every place: whom labels, health, choice and room let have what. */
#include "place_cluster.h"

static struct string_map no_labels, fast;

/* ---- need not known ---- */

static void test_fewest_instances_wins(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    const struct place_request request = {.model_id = 9, .ram_bytes = GIB};
    for (size_t i = 0; i < 3; i++)
        add_worker(&view, (const char *[]){"a", "b", "c"}[i], 8 * GIB);
    hold(&view, 0, PLACE_HOST, 1, 0);
    hold(&view, 0, PLACE_HOST, 2, 0);
    hold(&view, 1, PLACE_HOST, 3, 0);
    hold(&view, 2, PLACE_HOST, 4, 0);
    assert_int_equal(decide_on(&view, &request, true, &result), 0);
    assert_on(&result, 1, NULL, 0);
    assert_int_equal(result.mode, PLACE_WHOLE);
    place_result_fini(&result);
    assert_int_equal(view.workers[1].ram_claimed_bytes, GIB);
    assert_int_equal(decide_on(&view, &request, true, &result), 0);
    assert_on(&result, 2, NULL, 0);
    place_result_fini(&result);
    place_view_fini(&view);
}

static void two_workers(struct place_view *view, size_t first, size_t second)
{
    add_worker(view, "a", 8 * GIB);
    add_devices(view, first, "L4", 24 * GIB);
    add_worker(view, "b", 8 * GIB);
    add_devices(view, second, "L4", 24 * GIB);
}

static void test_devices_are_given_out_whole(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct place_request request = {.device_count = 3};
    two_workers(&view, 2, 4);
    assert_int_equal(decide_on(&view, &request, true, &result), 0);
    assert_on(&result, 1, (const int64_t[]){0, 1, 2}, 3);
    place_result_fini(&result);
    assert_int_equal(decide_on(&view, &request, true, &result), -1);
    assert_words(&view, &request,
                 "a: needs 3 devices, 2 of 2 free; b: needs 3 devices, 1 of 4 free");
    request.may_span = true; /* now a gang: two of a, one of b */
    assert_int_equal(decide_on(&view, &request, true, &result), 0);
    assert_int_equal(result.rank_count, 2);
    assert_int_equal(result.ranks[0].worker, 0);
    assert_int_equal(result.ranks[0].gpu_indexes.count, 2);
    assert_int_equal(result.ranks[1].gpu_indexes.count, 1);
    assert_int_equal(result.ranks[1].gpu_indexes.items[0], 3);
    place_result_fini(&result);
    assert_int_equal(decide_on(&view, &request, true, &result), -1);
    assert_null(result.ranks);
    place_view_fini(&view);
}

/* One that is reckoned doesn't get in either, however little it needs. */
static void test_whole_devices_are_shared_with_nobody(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct asked *asked = asked_new(2);
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    view.workers[0].devices[0].foreign_bytes = 4 * GIB;
    want(asked, 0, profile_of(1, 1, MIB));
    const struct place_request whole = {.device_count = 1};
    assert_int_equal(decide_on(&view, &whole, true, &result), 0);
    place_result_fini(&result);
    view.workers[0].devices[0].foreign_bytes = 0; /* has 4 GiB now that it didn't have then */
    assert_int_equal(decide_on(&view, &asked->request, true, &result), -1);
    add_worker(&view, "b", 64 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    assert_int_equal(decide_on(&view, &asked->request, true, &result), 0);
    assert_on(&result, 1, (const int64_t[]){0}, 1);
    place_result_fini(&result);
    assert_int_equal(decide_on(&view, &whole, true, &result), -1); /* nor is one that is in use */
    free(asked);
    place_view_fini(&view);
}

/* ---- hard constraints ---- */

static void test_only_selected_devices_are_given(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct string_list ids = {0};
    two_workers(&view, 2, 2);
    view.workers[1].name = "b:x";
    string_list_add(&ids, "a:cuda:1");
    string_list_add(&ids, "b:x:cuda:0");
    struct place_request request = {.device_count = 2, .gpu_ids = &ids, .may_span = true};
    assert_int_equal(decide_on(&view, &request, false, &result), 0);
    assert_int_equal(result.rank_count, 2);
    assert_int_equal(result.ranks[0].gpu_indexes.items[0], 1);
    assert_int_equal(result.ranks[1].gpu_indexes.items[0], 0);
    place_result_fini(&result);
    request.may_span = false;
    assert_int_equal(decide_on(&view, &request, false, &result), -1);
    assert_words(&view, &request,
                 "a: needs 2 devices of the selected ones, 1 of 2 free; "
                 "b:x: needs 2 devices of the selected ones, 1 of 2 free");
    string_list_fini(&ids);
    place_view_fini(&view);
}

/* Devices chosen by hand mean that it shall run on them, not beside them. */
static void test_selected_devices_exclude_the_processor(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct string_list ids = {0};
    struct asked *asked = asked_new(2);
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    string_list_add(&ids, "a:cuda:0");
    want(asked, 0, profile_of(1, 1, 30 * GIB));
    want_processor(asked, 8 * GIB);
    assert_int_equal(decide_on(&view, &asked->request, false, &result), 0);
    assert_int_equal(result.mode, PLACE_ON_PROCESSOR);
    place_result_fini(&result);
    asked->request.gpu_ids = &ids;
    assert_int_equal(decide_on(&view, &asked->request, false, &result), -1);
    string_list_fini(&ids);
    free(asked);
    place_view_fini(&view);
}

static void test_workers_to_avoid_are_left_out(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct int_list avoid = {0};
    add_worker(&view, "a", GIB);
    add_worker(&view, "b", GIB);
    for (size_t i = 0; i < 5; i++)
        hold(&view, 1, PLACE_HOST, 1, 0);
    int_list_add(&avoid, 1);
    const struct place_request request = {.model_id = 2, .avoid_worker_ids = &avoid};
    assert_int_equal(decide_on(&view, &request, false, &result), 0);
    assert_on(&result, 1, NULL, 0);
    place_result_fini(&result);
    assert_int_equal(place_refuse_worker(&request, &view.workers[0]), PLACE_FAILED_BEFORE);
    int_list_fini(&avoid);
    place_view_fini(&view);
}

static void test_workers_without_the_path_are_left_out(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct int_list absent = {0};
    two_workers(&view, 0, 0);
    int_list_add(&absent, 1);
    int_list_add(&absent, 2);
    const struct place_request request = {.absent_on = &absent};
    assert_int_equal(decide_on(&view, &request, false, &result), -1);
    assert_words(&view, &request,
                 "a: the model's path isn't there; b: the model's path isn't there");
    int_list_fini(&absent);
    place_view_fini(&view);
}

static void test_unhealthy_devices_are_not_given(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct asked *asked = asked_new(2);
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 3, "L4", 24 * GIB);
    view.workers[0].devices[0].is_unhealthy = true;
    want(asked, 0, profile_of(1, 2, GIB));
    assert_int_equal(decide_on(&view, &asked->request, false, &result), 0);
    assert_on(&result, 0, (const int64_t[]){1, 2}, 2);
    place_result_fini(&result);
    view.workers[0].devices[2].is_unhealthy = true;
    assert_int_equal(decide_on(&view, &asked->request, false, &result), -1);
    free(asked);
    place_view_fini(&view);
}

/* An engine of one worker is built for NVIDIA's devices, that of the other for Ascend's. */
static void test_engines_have_their_types_of_device(void **state)
{
    struct place_view view = {0};
    struct place_result result = {0};
    struct string_list cuda = {0}, npu = {0};
    struct asked *asked = asked_new(2);
    string_list_add(&cuda, "cuda");
    string_list_add(&npu, "npu");
    const struct place_engine engines[] = {
        {.name = "vllm", .version = "0.9", .device_types = &npu, .is_present = true},
        {.name = "vllm", .version = "0.9", .device_types = &cuda, .is_present = true},
        {.name = "vllm", .version = "0.8", .device_types = &cuda, .is_present = false}};
    two_workers(&view, 1, 1);
    for (size_t i = 0; i < 2; i++) {
        view.workers[i].engines = &engines[i];
        view.workers[i].engine_count = i + 1;
        view.workers[i].knows_engines = true;
    }
    want(asked, 0, profile_of(1, 1, GIB));
    asked->request.engine = "vllm";
    assert_int_equal(decide_on(&view, &asked->request, false, &result), 0);
    assert_on(&result, 1, (const int64_t[]){0}, 1);
    place_result_fini(&result);
    asked->request.engine_version = "0.8";
    assert_int_equal(decide_on(&view, &asked->request, false, &result), -1);
    assert_words(&view, &asked->request,
                 "a: engine vllm 0.8 isn't there; b: engine vllm 0.8 isn't there");
    string_list_fini(&cuda);
    string_list_fini(&npu);
    free(asked);
    place_view_fini(&view);
}

/* ---- words ---- */

static void test_refusals(void **state)
{
    struct string_map slow = {0};
    string_map_set(&slow, "speed", "slow");
    const struct place_worker plain = {
        .name = "a", .labels = &fast, .is_ready = true, .ram_total_bytes = GIB};
    struct place_worker away = plain, unknown = plain, closed = plain;
    away.is_ready = false;
    closed.is_ready = false;
    closed.is_in_maintenance = true;
    unknown.ram_total_bytes = 0;
    const struct {
        struct place_worker worker;
        const struct string_map *selector;
        enum place_refusal want;
    } rows[] = {
        {plain, &no_labels, PLACE_FITS},
        {plain, NULL, PLACE_FITS},
        {plain, &fast, PLACE_FITS},
        {plain, &slow, PLACE_LABEL_MISMATCH},
        {away, &slow, PLACE_WORKER_NOT_READY},
        {closed, &slow, PLACE_WORKER_IN_MAINTENANCE},
        {unknown, &fast, PLACE_MEMORY_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct place_request request = {.selector = rows[i].selector};
        assert_int_equal(place_refuse_worker(&request, &rows[i].worker), rows[i].want);
    }
    string_map_fini(&slow);
}

static void test_main_memory_is_counted(void **state)
{
    const struct {
        uint64_t claimed, reserved, foreign, asked;
        int want;
    } rows[] = {
        {0, 0, 0, 2 * GIB, 0},   {1, 0, 0, 2 * GIB, -1},      {2 * GIB, 0, 0, 0, -1},
        {0, GIB, 0, GIB, 0},     {0, GIB, 0, GIB + 1, -1},    {0, 0, GIB, GIB + 1, -1},
        {0, GIB, GIB, GIB, 0},   {GIB, GIB / 2, 0, GIB, -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct place_view view = {0};
        struct place_result result = {0};
        struct place_worker *on = add_worker(&view, "a", 2 * GIB);
        on->ram_claimed_bytes = rows[i].claimed;
        on->ram_reserved_bytes = rows[i].reserved;
        on->ram_foreign_bytes = rows[i].foreign;
        const struct place_request request = {.ram_bytes = rows[i].asked};
        assert_int_equal(decide_on(&view, &request, false, &result), rows[i].want);
        place_result_fini(&result);
        place_view_fini(&view);
    }
}

static void test_every_refusal_is_explained(void **state)
{
    struct place_view view = {0};
    struct string_map selector = {0};
    string_map_set(&selector, "speed", "slow");
    add_worker(&view, "node1", 8 * GIB)->labels = &fast;
    add_worker(&view, "node2", 8 * GIB)->is_ready = false;
    struct place_request request = {.selector = &selector};
    assert_words(&view, &request, "node1: label speed is fast, not slow; node2: not ready");
    request = (struct place_request){.ram_bytes = 9 * GIB};
    assert_words(&view, &request,
                 "node1: needs 9.0 GiB of memory, 8.0 GiB free; node2: not ready");
    string_map_fini(&selector);
    place_view_fini(&view);
}

static void test_many_refusals_are_counted(void **state)
{
    struct place_view view = {0};
    for (size_t i = 0; i < PLACE_EXPLAINED_MAX + 3; i++)
        add_worker(&view, "w", GIB);
    auto_free char *words = words_of(&view, &(struct place_request){.ram_bytes = 2 * GIB});
    assert_non_null(strstr(words, "; and 3 more workers"));
    size_t told = 0;
    for (const char *p = words; (p = strstr(p, "w: needs")); p++)
        told++;
    assert_int_equal(told, PLACE_EXPLAINED_MAX);
    place_view_fini(&view);
}

static void test_names(void **state)
{
    assert_string_equal(place_refusal_name(PLACE_MEMORY_SHORT), "memory_short");
    assert_string_equal(place_mode_name(PLACE_PARTLY), "partly_on_devices");
    assert_string_equal(place_device_code_name(PLACE_DEVICE_SHORT), "memory_short");
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
        cmocka_unit_test(test_whole_devices_are_shared_with_nobody),
        cmocka_unit_test(test_only_selected_devices_are_given),
        cmocka_unit_test(test_selected_devices_exclude_the_processor),
        cmocka_unit_test(test_workers_to_avoid_are_left_out),
        cmocka_unit_test(test_workers_without_the_path_are_left_out),
        cmocka_unit_test(test_unhealthy_devices_are_not_given),
        cmocka_unit_test(test_engines_have_their_types_of_device),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_main_memory_is_counted),
        cmocka_unit_test(test_every_refusal_is_explained),
        cmocka_unit_test(test_many_refusals_are_counted),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
