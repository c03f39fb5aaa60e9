/* SPDX-License-Identifier: Apache-2.0 */
/* Why there is no place: a reason for each worker and each device, with numbers that are true. */
#include "place_cluster.h"

static struct place_view view;
static struct asked *asked;
static struct place_explanation why;

static int set_up(void **state)
{
    view = (struct place_view){0};
    asked = asked_new(9);
    return 0;
}

static int tear_down(void **state)
{
    place_explanation_fini(&why);
    place_view_fini(&view);
    free(asked);
    return 0;
}

static void explain(void)
{
    struct place_result result = {0};
    assert_int_equal(decide_on(&view, &asked->request, false, &result), -1);
    place_explanation_fini(&why);
    place_explain(&view, &asked->request, &why);
}

static void assert_device(size_t at, enum place_device_code code, uint64_t needs, uint64_t has)
{
    assert_string_equal(place_device_code_name(why.devices[at].code),
                        place_device_code_name(code));
    assert_int_equal(why.devices[at].needs_bytes, needs);
    assert_int_equal(why.devices[at].free_bytes, has);
}

static void assert_refusal(size_t at, enum place_refusal refusal)
{
    assert_string_equal(place_refusal_name(why.workers[at].refusal), place_refusal_name(refusal));
}

/* ---- devices ---- */

static void test_each_device_has_a_code(void **state)
{
    struct string_list ids = {0}, types = {0};
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 6, "L4", 24 * GIB);
    for (int64_t i = 0; i < 6; i++)
        if (i != 1) {
            auto_free char *id = mem_printf("a:%s:%lld", i == 2 ? "npu" : "cuda", (long long)i);
            string_list_add(&ids, id);
        }
    string_list_add(&types, "cuda");
    const struct place_engine engine = {
        .name = "vllm", .device_types = &types, .is_present = true};
    view.workers[0].engines = &engine;
    view.workers[0].engine_count = 1;
    view.workers[0].knows_engines = true;
    view.workers[0].devices[0].is_unhealthy = true;
    view.workers[0].devices[2].type = "npu";
    place_hold(&view, 0, &(struct place_holding){.model_name = "whole", .device = 3,
                                                 .bytes = 24 * GIB, .is_whole = true});
    place_view_keep(&view, 0, 4, 20 * GIB);
    hold(&view, 0, 5, 3, 9 * GIB);
    want(asked, 0, profile_of(1, 1, 16 * GIB));
    asked->request.gpu_ids = &ids;
    asked->request.engine = "vllm";
    explain();
    assert_int_equal(why.device_count, 6);
    assert_device(0, PLACE_DEVICE_UNHEALTHY, 16 * GIB, 24 * GIB);
    assert_device(1, PLACE_DEVICE_NOT_SELECTED, 16 * GIB, 24 * GIB);
    assert_device(2, PLACE_DEVICE_UNSUPPORTED, 16 * GIB, 24 * GIB); /* though it is selected */
    assert_device(3, PLACE_DEVICE_HELD, 16 * GIB, 0);
    assert_string_equal(why.devices[3].held_by, "whole");
    assert_device(4, PLACE_DEVICE_KEPT, 16 * GIB, 4 * GIB);
    assert_device(5, PLACE_DEVICE_SHORT, 16 * GIB, 15 * GIB);
    assert_string_equal(why.devices[5].held_by, "held");
    assert_int_equal(why.devices[5].held_bytes, 9 * GIB);
    string_list_fini(&ids);
    string_list_fini(&types);
}

/* Where ranks are unlike, too short is what even the least of them doesn't fit into. */
static void test_the_least_rank_counts_for_a_device(void **state)
{
    struct estimate_profile profile = profile_of(1, 2, 10 * GIB);
    profile.rank_bytes[0] = profile.preferred_bytes[0] = 20 * GIB;
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 3, "L4", 24 * GIB);
    for (int i = 0; i < 3; i++)
        hold(&view, 0, i, 3, (i == 2 ? 15 : 12) * GIB);
    want(asked, 0, profile);
    explain();
    assert_device(0, PLACE_DEVICE_FITS, 10 * GIB, 12 * GIB);
    assert_device(2, PLACE_DEVICE_SHORT, 10 * GIB, 9 * GIB);
    assert_refusal(0, PLACE_DEVICE_MEMORY_SHORT); /* for the greater one */
    assert_int_equal(why.workers[0].needs_bytes, 20 * GIB);
    assert_int_equal(why.workers[0].free_bytes, 12 * GIB);
}

static void test_devices_of_a_worker_that_refuses(void **state)
{
    add_worker(&view, "a", 64 * GIB)->is_ready = false;
    add_devices(&view, 1, "L4", 24 * GIB);
    want(asked, 0, profile_of(1, 1, GIB));
    explain();
    assert_device(0, PLACE_DEVICE_OF_WORKER, GIB, 24 * GIB);
    assert_refusal(0, PLACE_WORKER_NOT_READY);
}

static void test_devices_for_itself(void **state)
{
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 4, "L4", 24 * GIB);
    hold(&view, 0, 0, 3, GIB);
    place_view_keep(&view, 0, 1, GIB);
    view.workers[0].devices[2].foreign_bytes = 13 * GIB;
    asked->request.device_count = 2;
    explain();
    assert_device(0, PLACE_DEVICE_HELD, 12 * GIB, 23 * GIB);
    assert_device(1, PLACE_DEVICE_KEPT, 12 * GIB, 23 * GIB);
    assert_device(2, PLACE_DEVICE_SHORT, 12 * GIB, 11 * GIB);
    assert_device(3, PLACE_DEVICE_FITS, 12 * GIB, 24 * GIB);
    assert_words(&view, &asked->request, "a: needs 2 devices, 1 of 4 free");
}

/* ---- workers ---- */

static void test_the_best_device_and_who_holds_it(void **state)
{
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 2, "L4", 24 * GIB);
    hold(&view, 0, 0, 3, 20 * GIB);
    hold(&view, 0, 1, 4, 12 * GIB);
    want(asked, 0, profile_of(1, 1, 16 * GIB));
    explain();
    assert_refusal(0, PLACE_DEVICE_MEMORY_SHORT);
    assert_words(&view, &asked->request,
                 "a: needs 16.0 GiB of device memory, 12.0 GiB free (20.0 GiB held by held)");
}

/* The way that comes nearest: 6 devices of 10 GiB, not 1 of 40. */
static void test_the_way_that_comes_nearest(void **state)
{
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 3, "L4", 24 * GIB);
    want(asked, 0, profile_of(1, 1, 40 * GIB));
    want(asked, 0, profile_of(1, 6, 10 * GIB));
    want(asked, 0, profile_of(1, 8, 5 * GIB));
    explain();
    assert_refusal(0, PLACE_DEVICES_SHORT);
    assert_words(&view, &asked->request, "a: needs 6 devices, 3 of 3 free");
}

static void test_main_memory_beside_devices(void **state)
{
    add_worker(&view, "a", 64 * GIB)->ram_foreign_bytes = 60 * GIB;
    add_devices(&view, 1, "L4", 24 * GIB);
    want(asked, 0, profile_of(1, 1, 10 * GIB));
    asked->profiles[0][0].host_bytes = 6 * GIB;
    explain();
    assert_device(0, PLACE_DEVICE_FITS, 10 * GIB, 24 * GIB);
    assert_words(&view, &asked->request, "a: needs 6.0 GiB of memory, 4.0 GiB free");
}

/* It would have run on the processor of a larger machine; there devices are what is short. */
static void test_devices_and_the_processor_are_short(void **state)
{
    add_worker(&view, "a", 8 * GIB);
    add_devices(&view, 1, "L4", 24 * GIB);
    add_worker(&view, "b", 8 * GIB);
    want(asked, 0, profile_of(1, 1, 30 * GIB));
    want_processor(asked, 16 * GIB);
    explain();
    assert_words(&view, &asked->request,
                 "a: needs 30.0 GiB of device memory, 24.0 GiB free; "
                 "b: needs 16.0 GiB of memory, 8.0 GiB free");
}

static void test_no_device_can_run_it(void **state)
{
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 2, "L4", 24 * GIB);
    add_worker(&view, "b", 64 * GIB);
    add_devices(&view, 1, "T4", 16 * GIB);
    want(asked, 1, profile_of(1, 1, 20 * GIB));
    explain();
    assert_device(0, PLACE_DEVICE_UNSUPPORTED, 0, 24 * GIB);
    assert_words(&view, &asked->request,
                 "a: none of its 2 devices can run it; "
                 "b: needs 20.0 GiB of device memory, 16.0 GiB free");
}

static void test_unified_memory_is_one_number(void **state)
{
    add_worker(&view, "a", 32 * GIB);
    place_view_add_device(&view, &(struct place_device){
                                     .type = "mps", .total_bytes = 32 * GIB, .is_unified = true});
    want(asked, 0, profile_of(1, 1, 30 * GIB));
    asked->profiles[0][0].host_bytes = 4 * GIB;
    explain();
    assert_words(&view, &asked->request, "a: needs 34.0 GiB of memory, 32.0 GiB free");
}

/* ---- JSON ---- */

static void test_json(void **state)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 2, "L4", 24);
    add_worker(&view, "b", 64 * GIB)->is_ready = false;
    add_devices(&view, 1, "L4", 24);
    hold(&view, 0, 1, 3, 10);
    want(asked, 0, profile_of(1, 1, 30));
    explain();
    json_begin_object(&w);
    place_explain_write(&why, &view, 2, &w);
    json_end_object(&w);
    assert_string_equal(
        text.ptr,
        "{\"workers\":2,\"refusals\":{\"worker_not_ready\":1,\"device_memory_short\":1},"
        "\"funnel\":[{\"filter\":\"worker_not_ready\",\"refused\":1,\"left\":1},"
        "{\"filter\":\"device_memory_short\",\"refused\":1,\"left\":0}],\"device_count\":3,"
        "\"devices\":[{\"worker\":\"a\",\"gpu_index\":0,\"code\":\"memory_short\",\"needs\":30,"
        "\"free\":24,\"total\":24},{\"worker\":\"a\",\"gpu_index\":1,\"code\":\"memory_short\","
        "\"needs\":30,\"free\":14,\"total\":24,\"held_by\":\"held\",\"held\":10}]}");
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_device_has_a_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_least_rank_counts_for_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_devices_of_a_worker_that_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_devices_for_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_best_device_and_who_holds_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_way_that_comes_nearest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_main_memory_beside_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_devices_and_the_processor_are_short, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_device_can_run_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unified_memory_is_one_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
