/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/visible_devices.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int set(const struct device_list *devices, const struct int_list *indexes,
               struct string_map *env, struct err *err)
{
    int64_t missing = -1;
    int rc = visible_devices_set(devices, indexes, env, &missing, err);
    assert_int_equal(missing, rc < 0 ? indexes->items[indexes->count - 1] : -1);
    return rc;
}

static void test_each_vendor(void **state)
{
    static const struct {
        const char *type, *uuid[2];
        const char *variable, *value;
    } rows[] = {
        {"cuda", {"GPU-a", "GPU-b"}, "CUDA_VISIBLE_DEVICES", "GPU-b,GPU-a"},
        {"cuda", {"", ""}, "CUDA_VISIBLE_DEVICES", "1,0"},
        {"cuda", {"GPU-a", "GPU-b"}, "CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
        {"rocm", {"GPU-00a", "GPU-00b"}, "ROCR_VISIBLE_DEVICES", "GPU-00b,GPU-00a"},
        {"rocm", {"GPU-00a", "GPU-00b"}, "HIP_VISIBLE_DEVICES", NULL},
        {"npu", {"a b", "c d"}, "ASCEND_RT_VISIBLE_DEVICES", "1,0"},
        {"dcu", {"a", "b"}, "HIP_VISIBLE_DEVICES", "1,0"},
        {"musa", {"a", "b"}, "MUSA_VISIBLE_DEVICES", "1,0"},
        {"corex", {"GPU-a", "GPU-b"}, "CUDA_VISIBLE_DEVICES", "1,0"},
        {"mlu", {"a", "b"}, "MLU_VISIBLE_DEVICES", "1,0"},
        {"mps", {"a", "b"}, "CUDA_VISIBLE_DEVICES", NULL},
    };
    int64_t order[] = {1, 0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *type = mem_strdup(rows[i].type);
        auto_free char *first = mem_strdup(rows[i].uuid[0]);
        auto_free char *second = mem_strdup(rows[i].uuid[1]);
        struct device items[] = {{.index = 0, .type = type, .uuid = first},
                                 {.index = 1, .type = type, .uuid = second}};
        struct string_map env = {0};
        assert_int_equal(
            set(&(struct device_list){items, 2}, &(struct int_list){order, 2}, &env, NULL), 0);
        const char *value = string_map_get(&env, rows[i].variable);
        if (rows[i].value)
            assert_string_equal(value, rows[i].value);
        else
            assert_null(value);
        string_map_fini(&env);
    }
}

/* A worker numbers all its devices, a runtime those of its vendor only. A lost one leaves a gap. */
static void test_numbers_are_the_vendors(void **state)
{
    char cuda[] = "cuda", npu[] = "npu";
    struct device items[] = {{.index = 0, .type = cuda},
                             {.index = 1, .type = cuda},
                             {.index = 2, .type = npu},
                             {.index = 5, .type = npu}};
    int64_t wanted[] = {5, 1};
    struct string_map env = {0};
    assert_int_equal(
        set(&(struct device_list){items, 4}, &(struct int_list){wanted, 2}, &env, NULL), 0);
    assert_string_equal(string_map_get(&env, "ASCEND_RT_VISIBLE_DEVICES"), "3");
    assert_string_equal(string_map_get(&env, "CUDA_VISIBLE_DEVICES"), "1");
    string_map_fini(&env);
}

static void test_a_missing_one_is_told(void **state)
{
    char cuda[] = "cuda";
    struct device items[] = {{.index = 0, .type = cuda}};
    int64_t wanted[] = {0, 3};
    struct string_map env = {0};
    struct err err = {0};
    assert_int_equal(
        set(&(struct device_list){items, 1}, &(struct int_list){wanted, 2}, &env, &err),
        ERR_NOT_FOUND);
    assert_string_equal(err.text, "device 3 isn't there, the worker has 1");
    assert_int_equal(env.count, 0);
    assert_int_equal(set(&(struct device_list){0}, &(struct int_list){0}, &env, NULL), 0);
    assert_int_equal(env.count, 0); /* no indexes: nothing is hidden */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_vendor),
        cmocka_unit_test(test_numbers_are_the_vendors),
        cmocka_unit_test(test_a_missing_one_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
