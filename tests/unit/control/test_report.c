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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_measured_is_kept_beside_the_claim),
        TEST(test_earlier_workers_call_it_otherwise),
        TEST(test_an_odd_claim_spoils_the_report),
        TEST(test_the_claim_is_told_to_the_worker),
        TEST(test_each_rank_is_told_its_own_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
