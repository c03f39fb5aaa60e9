/* SPDX-License-Identifier: Apache-2.0 */
#include "api/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void add_worker(struct cluster *cluster, const char *name, const char *status)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.worker_uuid, name);
    mem_replace(&fresh.status, status);
    cluster_put(cluster, KIND_WORKER, &fresh, 1);
}

static void test_means(void **state)
{
    struct cluster cluster;
    struct load load;
    cluster_init(&cluster);
    load_measure(&cluster, 5, &load);
    assert_true(load.values[LOAD_CPU] == 0 && load.values[LOAD_GPU] == 0);
    add_worker(&cluster, "a",
               "{\"cpu\":{\"utilization_rate\":30},\"memory\":{\"total\":100,\"used\":50},"
               "\"gpu_devices\":[{\"core\":{\"utilization_rate\":80},"
               "\"memory\":{\"total\":10,\"used\":1,\"utilization_rate\":10}},"
               "{\"core\":{\"utilization_rate\":null},\"memory\":{\"total\":10,\"used\":3}}]}");
    add_worker(&cluster, "b", NULL);
    add_worker(&cluster, "c", "{\"cpu\":{\"utilization_rate\":60},\"memory\":{}}");
    load_measure(&cluster, 7, &load);
    assert_int_equal(load.at_ms, 7);
    assert_int_equal(load.device_count, 2);
    assert_true(load.values[LOAD_CPU] == 30);
    assert_true(load.values[LOAD_RAM] > 16.6 && load.values[LOAD_RAM] < 16.7);
    assert_true(load.values[LOAD_GPU] == 80);
    assert_true(load.values[LOAD_VRAM] == 20);
    cluster_fini(&cluster);
}

static void test_history_is_a_ring(void **state)
{
    struct load_history history = {0};
    for (int i = 0; i < LOAD_SAMPLES + 5; i++)
        load_add(&history, &(struct load){.at_ms = i * 1000, .values = {i}});
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    load_write(&history, &history.samples[0], &w);
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(buf_str(&text), &root, NULL), 0);
    const json_t *cpu = json_object_get(json_object_get(root, "history"), "cpu");
    assert_int_equal(json_array_size(cpu), LOAD_SAMPLES);
    assert_int_equal(json_member_int(json_array_get(cpu, 0), "timestamp", 0), 5);
    assert_int_equal(json_member_int(json_array_get(cpu, LOAD_SAMPLES - 1), "timestamp", 0),
                     LOAD_SAMPLES + 4);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_history_is_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
