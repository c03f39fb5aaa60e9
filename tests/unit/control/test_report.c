/* SPDX-License-Identifier: Apache-2.0 */
/* What a report tells of claims, devices and engines. */
#include "cluster_fixture.h"
#include "control/desired.h"
#include "domain/gang.h"

/* One instance on worker `worker`. */
static struct model_instance *place_one(int64_t worker)
{
    add_model("m", 1);
    settle();
    assert_int_equal(instance_at(0)->worker_id, worker);
    return instance_at(0);
}

static void claim_more(const char *claim)
{
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance_at(0));
    mem_replace(&copy.computed_resource_claim, claim);
    cluster_put(&cluster, KIND_INSTANCE, &copy, 3);
}

static void test_what_is_measured_is_kept_beside_the_claim(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    int64_t id = place_one(worker)->id;
    claim_more("{\"ram\":100,\"is_unified_memory\":false}");
    assert_int_equal(report_more(worker, id, "running",
                                 ",\"measured_claim\":{\"vram\":{\"1\":7},\"ram\":5}"),
                     0);
    assert_string_equal(instance_at(0)->measured_claim,
                        "{\"ram\":5,\"vram\":{\"1\":7},\"is_unified_memory\":false}");
    assert_string_equal(instance_at(0)->computed_resource_claim,
                        "{\"ram\":100,\"is_unified_memory\":false}");
    /* a report that doesn't tell changes nothing, null does */
    assert_int_equal(report_more(worker, id, "running", ""), 0);
    assert_non_null(instance_at(0)->measured_claim);
    assert_int_equal(report_more(worker, id, "running", ",\"measured_claim\":null"), 0);
    assert_null(instance_at(0)->measured_claim);
}

static void test_earlier_workers_call_it_otherwise(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    int64_t id = place_one(worker)->id;
    assert_int_equal(
        report_more(worker, id, "running", ",\"computed_resource_claim\":{\"ram\":5}"), 0);
    assert_string_equal(instance_at(0)->measured_claim, "{\"ram\":5,\"is_unified_memory\":false}");
    assert_null(instance_at(0)->computed_resource_claim);
}

static void test_an_odd_claim_spoils_the_report(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    int64_t id = place_one(worker)->id;
    assert_int_equal(report_more(worker, id, "running", ",\"measured_claim\":{\"ram\":-5}"),
                     ERR_INVALID);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
}

static void test_the_claim_is_told_to_the_worker(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    place_one(worker);
    struct buf out = {0};
    desired_write(&cluster, worker, &out);
    assert_null(strstr(out.ptr, "\"claim\""));
    buf_clear(&out);
    claim_more("{\"vram\":{\"0\":5}}");
    desired_write(&cluster, worker, &out);
    assert_non_null(strstr(out.ptr, "\"claim\":{\"vram\":{\"0\":5},\"is_unified_memory\":false}"));
    buf_fini(&out);
}

static void test_each_rank_is_told_its_own_claim(void **state)
{
    int64_t first = add_worker("a", WORKER_READY), second = add_worker("b", WORKER_READY);
    place_one(first);
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance_at(0));
    struct gang gang = {.epoch = 1, .failed_rank = -1};
    struct int_list devices = {0};
    gang_add_rank(&gang, first, "a", "1", &devices);
    gang_add_rank(&gang, second, "b", "2", &devices);
    claim_add_device(&gang.ranks[1].claim, 3, 9);
    gang_store(&gang, &copy);
    gang_fini(&gang);
    mem_replace(&copy.computed_resource_claim, "{\"vram\":{\"0\":5}}");
    const struct model_instance *instance = cluster_put(&cluster, KIND_INSTANCE, &copy, 3);

    struct resource_claim claim = {0};
    instance_claim_on(instance, first, &claim);
    assert_int_equal(claim_device_bytes(&claim, 0), 5);
    instance_claim_on(instance, second, &claim);
    assert_int_equal(claim_device_bytes(&claim, 3), 9);
    instance_claim_on(instance, 99, &claim);
    assert_true(claim_is_empty(&claim));

    struct buf out = {0};
    desired_write(&cluster, second, &out);
    assert_non_null(strstr(out.ptr, "\"claim\":{\"vram\":{\"3\":9},\"is_unified_memory\":false}"));
    buf_fini(&out);
}

/* ---- devices and engines ---- */

/* A report of a status with these members; what report_apply() says. */
static int report_status(int64_t worker, const char *members)
{
    auto_free char *text = mem_printf("{\"instances\":[],\"status\":{%s}}", members);
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(str_of(text), &body, NULL), 0);
    struct report_env report = {.now_ms = 5};
    struct err err = {0};
    return report_apply(&cluster, worker, body, &report, &err);
}

static const struct worker *worker_by_id(int64_t id)
{
    return cluster_find(&cluster, KIND_WORKER, id);
}

static void test_devices_are_typed(void **state)
{
    int64_t id = add_worker("a", WORKER_READY);
    report_status(id, "\"gpu_devices\":[{\"index\":0,\"type\":\"npu\"},{\"index\":4,"
                      "\"type\":\"cuda\",\"name\":\"H200\",\"vendor\":\"NVIDIA\",\"island\":2,"
                      "\"link\":\"nvlink\",\"healthy\":false,\"memory\":{\"total\":100,"
                      "\"used\":30,\"is_unified_memory\":true}},{\"type\":7,\"memory\":[]}]");
    const struct worker *worker = worker_by_id(id);
    assert_int_equal(worker->device_count, 3);
    const struct worker_device *full = worker_device_at(worker, 4);
    assert_string_equal(full->name, "H200");
    assert_string_equal(full->vendor, "NVIDIA");
    assert_string_equal(full->link, "nvlink");
    assert_int_equal(full->island, 2);
    assert_int_equal(full->total_bytes, 100);
    assert_int_equal(full->used_bytes, 30);
    assert_true(full->is_unified && !full->is_healthy);
    const struct worker_device *bare = worker_device_at(worker, 0);
    assert_string_equal(bare->link, "");
    assert_int_equal(bare->island, -1);
    assert_true(bare->is_healthy && !bare->total_bytes);
    assert_string_equal(worker->devices[2].type, "unknown");
    assert_int_equal(worker->device_indexes.count, 3);
    assert_null(worker_device_at(worker, 9));
}

static void test_engines_are_typed(void **state)
{
    int64_t id = add_worker("a", WORKER_READY);
    report_status(id, "\"uptime\":{}");
    assert_false(worker_by_id(id)->knows_engines);
    report_status(id, "\"engines\":[{\"name\":\"llama.cpp\",\"version\":null,\"present\":true,"
                      "\"distributable\":true},{\"name\":\"mindie\",\"version\":\"2\","
                      "\"device_types\":[\"npu\"]}]");
    const struct worker *worker = worker_by_id(id);
    assert_true(worker->knows_engines);
    assert_int_equal(worker->engine_count, 2);
    assert_true(worker->engines[0].is_present && worker->engines[0].is_distributable);
    assert_null(worker->engines[0].version);
    assert_false(worker->engines[1].is_present);
    assert_string_equal(worker->engines[1].device_types.items[0], "npu");
    report_status(id, "\"engines\":[{}]"); /* nothing is known then, but the report is good */
    assert_false(worker_by_id(id)->knows_engines);
}

#define DEVICE(index, used, healthy)                                                               \
    "{\"index\":" #index ",\"memory\":{\"total\":1073741824,\"used\":" #used                       \
    "},\"healthy\":" #healthy "}"

static void test_more_room_is_news(void **state)
{
    static const struct {
        const char *status;
        int news;
    } steps[] = {
        {"\"gpu_devices\":[" DEVICE(0, 800000000, true) "]", 1}, /* was not there */
        {"\"gpu_devices\":[" DEVICE(0, 800000000, true) "]", 0},
        {"\"gpu_devices\":[" DEVICE(0, 750000000, true) "]", 0}, /* too little */
        {"\"gpu_devices\":[" DEVICE(0, 600000000, true) "]", 1},
        {"\"gpu_devices\":[" DEVICE(0, 900000000, true) "]", 0}, /* less room */
        {"\"gpu_devices\":[" DEVICE(0, 100000000, false) "]", 0},
        {"\"gpu_devices\":[" DEVICE(0, 100000000, true) "]", 1}, /* well again */
        {"\"gpu_devices\":[]", 0},
        {"\"memory\":{\"total\":64},\"gpu_devices\":[]", 1},
        {"\"memory\":{\"total\":64},\"engines\":[]", 1},
        {"\"memory\":{\"total\":64},\"engines\":[{\"name\":\"x\"}]", 1},
        {"\"memory\":{\"total\":64},\"engines\":[{\"name\":\"x\"}]", 0},
        {"\"memory\":{\"total\":64},\"engines\":[{\"name\":\"x\",\"present\":true}]", 1},
    };
    int64_t id = add_worker("a", WORKER_READY);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (report_status(id, steps[i].status) != steps[i].news)
            fail_msg("step %zu isn't %d", i, steps[i].news);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_measured_is_kept_beside_the_claim),
        TEST(test_earlier_workers_call_it_otherwise),
        TEST(test_an_odd_claim_spoils_the_report),
        TEST(test_the_claim_is_told_to_the_worker),
        TEST(test_each_rank_is_told_its_own_claim),
        TEST(test_devices_are_typed),
        TEST(test_engines_are_typed),
        TEST(test_more_room_is_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
