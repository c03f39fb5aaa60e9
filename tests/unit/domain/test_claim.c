/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct resource_claim claim_of(const char *text)
{
    struct resource_claim claim = {0};
    struct err err = {0};
    if (claim_read(str_of(text), &claim, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return claim;
}

static void assert_reads_as(const char *text, const char *expected)
{
    struct resource_claim claim = claim_of(text);
    auto_free char *again = claim_text(&claim);
    assert_string_equal(again, expected);
    claim_fini(&claim);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"is_unified_memory\":false}",
        "{\"ram\":1073741824,\"is_unified_memory\":false}",
        "{\"vram\":{\"0\":34359738368},\"is_unified_memory\":true,\"is_whole\":true}",
        "{\"ram\":1,\"vram\":{\"0\":72057594037927935,\"7\":0,\"1023\":5},"
        "\"is_unified_memory\":false,\"offload_layers\":20,\"total_layers\":29,"
        "\"tensor_split\":[72057594037927935,0,5],\"context_length\":8192,\"tensor_parallel\":8,"
        "\"pipeline_parallel\":2}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_reads_as(texts[i], texts[i]);
}

static void each_figure_has_its_place(void **state)
{
    (void)state;
    struct resource_claim claim =
        claim_of("{\"ram\":7,\"vram\":{\"2\":30,\"1\":40},\"offload_layers\":20,"
                 "\"total_layers\":29,\"context_length\":8192,\"tensor_parallel\":2,"
                 "\"pipeline_parallel\":3,\"is_unified_memory\":true,\"is_whole\":true}");
    assert_int_equal(claim.ram_bytes, 7);
    assert_int_equal(claim.device_count, 2);
    assert_int_equal(claim.devices[0].index, 2);
    assert_int_equal(claim.devices[1].bytes, 40);
    assert_int_equal(claim_device_bytes(&claim, 2), 30);
    assert_int_equal(claim_device_bytes(&claim, 0), 0);
    assert_int_equal(claim.layers_offloaded, 20);
    assert_int_equal(claim.layers_total, 29);
    assert_int_equal(claim.context_length, 8192);
    assert_int_equal(claim.tensor_parallel, 2);
    assert_int_equal(claim.pipeline_parallel, 3);
    assert_true(claim.is_unified && claim.is_whole && !claim_is_empty(&claim));
    claim_fini(&claim);
    assert_true(claim_is_empty(&claim));
}

static void json_of_others_is_read_too(void **state)
{
    (void)state;
    assert_reads_as(" {\"vram\": {\"0\": 5.0}, \"ram\": null, \"offload_layers\": null,\n"
                    "\"tensor_split\": null, \"vram_utilization\": 0.9}",
                    "{\"vram\":{\"0\":5},\"is_unified_memory\":false}");
    assert_reads_as("{\"ram\":null}", "{\"is_unified_memory\":false}");
    assert_reads_as("null", "{\"is_unified_memory\":false}");
    /* the split says nothing of its own */
    assert_reads_as("{\"vram\":{\"0\":5},\"tensor_split\":[5,6,7]}",
                    "{\"vram\":{\"0\":5},\"is_unified_memory\":false}");
}

static void odd_text_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "7",
        "{\"ram\":-1}",
        "{\"ram\":72057594037927936}",
        "{\"ram\":1e30}",
        "{\"ram\":01}",
        "{\"ram\":1}x",
        "{\"ram\":1,\"ram\":1}",
        "{\"vram\":[1]}",
        "{\"vram\":{\"0\":1,\"0\":1}}",
        "{\"vram\":{\"1024\":1}}",
        "{\"vram\":{\"00\":1}}",
        "{\"vram\":{\"-1\":1}}",
        "{\"vram\":{\"\":1}}",
        "{\"vram\":{\"0\":\"1\"}}",
        "{\"vram\":{\"0\":72057594037927936}}",
        "{\"total_layers\":2147483647}",
        "{\"context_length\":99999999999999999999}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct resource_claim claim = {0};
        struct err err = {0};
        if (claim_read(str_of(texts[i]), &claim, &err) >= 0)
            fail_msg("%s was taken", texts[i]);
        assert_true(err.text[0] && claim_is_empty(&claim));
    }
    auto_free char *huge = mem_alloc(CLAIM_TEXT_MAX + 2);
    memset(huge, ' ', CLAIM_TEXT_MAX + 1);
    struct resource_claim claim = {0};
    assert_int_equal(claim_read(str_of(huge), &claim, NULL), ERR_TOO_LARGE);
}

static void a_copy_owns_its_devices(void **state)
{
    (void)state;
    struct resource_claim claim = {.ram_bytes = 3}, copy = {0};
    for (int i = 0; i < 9; i++)
        claim_add_device(&claim, i, (uint64_t)(100 + i));
    claim_copy(&copy, &claim);
    claim_fini(&claim);
    assert_int_equal(copy.device_count, 9);
    assert_int_equal(claim_device_bytes(&copy, 8), 108);
    claim_copy(&copy, &claim);
    assert_int_equal(copy.device_count, 0);
    assert_null(copy.devices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(each_figure_has_its_place),
        cmocka_unit_test(json_of_others_is_read_too),
        cmocka_unit_test(odd_text_is_refused),
        cmocka_unit_test(a_copy_owns_its_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
