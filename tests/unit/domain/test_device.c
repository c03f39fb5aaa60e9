/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/device.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int read_text(const char *text, struct device_list *list, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(str_of(text), &root, NULL), 0);
    return device_list_read(root, list, err);
}

static void assert_written(const struct device_list *list, const char *expected)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    device_list_write(list, &w);
    assert_string_equal(out.ptr, expected);
    buf_fini(&out);
}

#define H200                                                                                       \
    "{\"index\":0,\"device_index\":1,\"device_chip_index\":0,\"name\":\"NVIDIA H200\","            \
    "\"vendor\":\"NVIDIA\",\"type\":\"cuda\",\"uuid\":\"GPU-1\",\"driver_version\":\"550\","       \
    "\"runtime_version\":null,\"temperature\":31,\"power\":70.5,"                                  \
    "\"island\":1,\"link\":\"nvlink\",\"healthy\":false,"                                          \
    "\"core\":{\"total\":0,\"utilization_rate\":12.5},"                                            \
    "\"memory\":{\"total\":150754820096,\"used\":37688705024,\"is_unified_memory\":false,"         \
    "\"utilization_rate\":25}}"

static void test_round_trip(void **state)
{
    (void)state;
    struct device_list list = {0};
    assert_int_equal(read_text("[" H200 "," H200 "]", &list, NULL), 0);
    assert_int_equal(list.count, 2);
    assert_true(list.items[1].memory.total_bytes == 150754820096u);
    assert_written(&list, "[" H200 "," H200 "]");
    device_list_fini(&list);
}

static void test_unknown_is_null(void **state)
{
    (void)state;
    struct device_list list = {0};
    assert_int_equal(read_text("[{\"name\":\"x\",\"memory\":null}]", &list, NULL), 0);
    assert_true(list.items[0].temperature_c < 0 && list.items[0].core_utilization < 0);
    assert_written(&list, "[{\"index\":0,\"device_index\":0,\"device_chip_index\":0,\"name\":\"x\","
                          "\"vendor\":null,\"type\":null,\"uuid\":null,\"driver_version\":null,"
                          "\"runtime_version\":null,\"temperature\":null,\"power\":null,"
                          "\"island\":-1,\"link\":null,\"healthy\":true,"
                          "\"core\":{\"total\":0,\"utilization_rate\":null},"
                          "\"memory\":{\"total\":0,\"used\":0,\"is_unified_memory\":false,"
                          "\"utilization_rate\":0}}]");
    device_list_fini(&list);
    assert_int_equal(read_text("[]", &list, NULL), 0);
    assert_written(&list, "[]");
    device_list_fini(&list);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"{}", "devices must be a list of at most 1024 entries"},
        {"[{\"name\":\"ok\"},5]", "device 1: must be a JSON object, not 5"},
        {"[{\"name\":\"ok\"},{\"index\":-1}]",
         "device 1: 1 error: index: must be 0-2147483647, not -1"},
        {"[{\"memory\":{\"total\":\"x\"}}]",
         "device 0: memory: 1 error: total: must be an integer of at least 0, not \"x\""},
        {"[{\"core\":[]}]", "device 0: core: must be a JSON object, not a list"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct device_list list = {0};
        struct err err = {0};
        assert_int_equal(read_text(rows[i].json, &list, &err), ERR_INVALID);
        assert_string_equal(err.text, rows[i].text);
        assert_null(list.items);
    }
}

static void test_too_many(void **state)
{
    (void)state;
    auto_fini(json_release) json_t *array = json_array();
    for (int i = 0; i <= DEVICES_MAX; i++)
        json_array_append_new(array, json_object());
    struct device_list list = {0};
    assert_int_equal(device_list_read(array, &list, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_unknown_is_null),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
