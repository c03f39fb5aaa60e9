/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake.h"

#include "accel/accel.h"
#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct device_list parse(const char *text)
{
    struct device_list list = {0};
    struct err err = {0};
    if (accel_fake_parse(str_of(text), 0, &list, &err) < 0)
        fail_msg("%s", err.text);
    return list;
}

static void test_machine_without_devices_has_none(void **state)
{
    struct accel_options options = {0};
    struct device_list list = {0};
    struct err err = {0};
    assert_int_equal(accel_detect(&options, &list, &err), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(err.code, 0);
    device_list_fini(&list);
}

static void test_entries_are_expanded_and_numbered(void **state)
{
    struct device_list list = parse(
        "[{\"type\":\"cuda\",\"name\":\"A100\",\"count\":2,\"memory_total\":100,\"memory_used\":7},"
        " {\"type\":\"npu\",\"name\":\"910B4\",\"vendor\":\"X\",\"memory_total\":5,"
        "  \"is_unified_memory\":true,\"temperature\":41.5}]");
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.items[i].index, i);
        assert_int_equal(list.items[i].device_index, i);
        assert_int_equal(list.items[i].device_chip_index, 0);
    }
    assert_string_equal(list.items[1].vendor, "NVIDIA");
    assert_string_equal(list.items[1].uuid, "FAKE-cuda-1");
    assert_int_equal(list.items[1].memory.total_bytes, 100);
    assert_int_equal(list.items[1].memory.used_bytes, 7);
    assert_true(list.items[1].core_utilization < 0);
    assert_null(list.items[1].driver_version);
    assert_string_equal(list.items[2].vendor, "X");
    assert_string_equal(list.items[2].type, "npu");
    assert_string_equal(list.items[2].uuid, "FAKE-npu-2");
    assert_true(list.items[2].memory.is_unified);
    assert_true(list.items[2].temperature_c > 41 && list.items[2].temperature_c < 42);
    device_list_fini(&list);
}

static double utilization_at(int64_t now_s, size_t number)
{
    static const char text[] =
        "[{\"type\":\"npu\",\"name\":\"910B4\",\"memory_total\":5,\"count\":2,"
        "  \"core_utilization\":80,\"moves\":50,\"power\":100}]";
    struct device_list list = {0};
    assert_int_equal(accel_fake_parse(str_of(text), now_s, &list, NULL), 0);
    double value = list.items[number].core_utilization;
    assert_true(list.items[number].temperature_c < 0);
    assert_true(list.items[number].power_w >= 50 && list.items[number].power_w <= 150);
    device_list_fini(&list);
    return value;
}

static void test_measurements_move_with_time(void **state)
{
    double least = 100, most = 0;
    for (int64_t now_s = 0; now_s < 600; now_s += 5) {
        double value = utilization_at(now_s, 0);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    assert_true(least >= 40 && least < 50);
    assert_true(most > 99 && most <= 100);
    assert_true(utilization_at(100, 0) < utilization_at(100, 1) ||
                utilization_at(100, 0) > utilization_at(100, 1));
}

static void test_neighbours_make_islands(void **state)
{
    struct device_list list =
        parse("[{\"type\":\"npu\",\"name\":\"910B4\",\"count\":5,\"memory_total\":5,"
              "  \"link\":\"hccs\",\"island_size\":2},"
              " {\"type\":\"cuda\",\"name\":\"x\",\"memory_total\":5,\"healthy\":false},"
              " {\"type\":\"cuda\",\"name\":\"y\",\"memory_total\":5,\"island_size\":8}]");
    static const int64_t islands[] = {0, 0, 1, 1, 2, -1, 3};
    assert_int_equal(list.count, ARRAY_LEN(islands));
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.items[i].island, islands[i]);
        assert_int_equal(list.items[i].is_healthy, i != 5);
    }
    assert_string_equal(list.items[4].link, "hccs");
    assert_null(list.items[6].link);
    device_list_fini(&list);
}

static void test_empty_lists_are_fine(void **state)
{
    static const char *const texts[] = {"[]", "{\"devices\":[]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct device_list list = parse(texts[i]);
        assert_int_equal(list.count, 0);
        device_list_fini(&list);
    }
}

#define ENTRY "\"type\":\"cuda\",\"name\":\"x\",\"memory_total\":10"

static void test_faults_are_named(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *part; /* of the error's text */
    } cases[] = {
        {"", ERR_SYNTAX, "line"},
        {"[", ERR_SYNTAX, "line"},
        {"7", ERR_INVALID, "array of devices"},
        {"{}", ERR_INVALID, "array of devices"},
        {"{\"devices\":{}}", ERR_INVALID, "array of devices"},
        {"{\"devices\":[],\"more\":1}", ERR_INVALID, "just that"},
        {"[7]", ERR_INVALID, "entry 0: must be an object"},
        {"[{" ENTRY "},{" ENTRY ",\"memory\":1}]", ERR_INVALID,
         "entry 1: unknown key 'memory', allowed are type, name"},
        {"[{\"name\":\"x\",\"memory_total\":10}]", ERR_INVALID, "type"},
        {"[{\"type\":\"cuda\",\"memory_total\":10}]", ERR_INVALID, "name"},
        {"[{\"type\":\"cuda\",\"name\":\"x\"}]", ERR_INVALID, "memory_total"},
        {"[{\"type\":\"tpu\",\"name\":\"x\",\"memory_total\":10}]", ERR_INVALID, "npu"},
        {"[{" ENTRY ",\"count\":0}]", ERR_INVALID, "count"},
        {"[{" ENTRY ",\"count\":1025}]", ERR_INVALID, "1-1024"},
        {"[{" ENTRY ",\"count\":\"2\"}]", ERR_INVALID, "count"},
        {"[{" ENTRY ",\"memory_used\":-1}]", ERR_INVALID, "memory_used"},
        {"[{" ENTRY ",\"memory_used\":11}]", ERR_INVALID, "memory_used 11 is more"},
        {"[{" ENTRY ",\"is_unified_memory\":1}]", ERR_INVALID, "is_unified_memory"},
        {"[{" ENTRY ",\"count\":1000},{" ENTRY ",\"count\":25}]", ERR_TOO_LARGE, "more than 1024"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct device_list list = {0};
        struct err err = {0};
        assert_int_equal(accel_fake_parse(str_of(cases[i].text), 0, &list, &err), cases[i].code);
        if (!strstr(err.text, cases[i].part))
            fail_msg("'%s' not in: %s", cases[i].part, err.text);
        assert_null(list.items);
    }
}

static void test_file_stands_for_the_machine(void **state)
{
    struct accel_options options = {.fake_file = "./fake-devices.json"};
    struct device_list list = {0};
    struct err err = {0};
    assert_int_equal(file_write(options.fake_file, STR("[{" ENTRY ",\"count\":4}]"), 0600, NULL),
                     0);
    assert_int_equal(accel_detect(&options, &list, NULL), 0);
    assert_int_equal(list.count, 4);
    device_list_fini(&list);
    assert_int_equal(file_write(options.fake_file, STR("[{]"), 0600, NULL), 0);
    assert_int_equal(accel_detect(&options, &list, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "./fake-devices.json"));
    assert_null(list.items);
    unlink(options.fake_file);
    assert_int_equal(accel_detect(&options, &list, &err), -ENOENT);
    assert_non_null(strstr(err.text, "./fake-devices.json"));
}

/* Tests run in the build folder, and the compiler is given source files as seen from there. */
static void test_sample_is_read(void **state)
{
    auto_free char *path = mem_printf("%.*s%s", (int)(sizeof __FILE__ - sizeof "/test_fake.c"),
                                      __FILE__, "/../../data/devices/ascend-910b4-8.json");
    struct accel_options options = {.fake_file = path};
    struct device_list list = {0};
    struct err err = {0};
    if (accel_detect(&options, &list, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(list.count, 8);
    assert_string_equal(list.items[7].name, "910B4");
    assert_string_equal(list.items[7].vendor, "Huawei");
    assert_int_equal(list.items[7].memory.total_bytes, 32LL << 30);
    device_list_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine_without_devices_has_none),
        cmocka_unit_test(test_entries_are_expanded_and_numbered),
        cmocka_unit_test(test_measurements_move_with_time),
        cmocka_unit_test(test_neighbours_make_islands),
        cmocka_unit_test(test_empty_lists_are_fine),
        cmocka_unit_test(test_faults_are_named),
        cmocka_unit_test(test_file_stands_for_the_machine),
        cmocka_unit_test(test_sample_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
