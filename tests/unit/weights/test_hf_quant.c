/* SPDX-License-Identifier: Apache-2.0 */
/* How weights are quantised, by config.json and the files beside it. */
#include "hf_fixture.h"

static void test_quantisations(void **state)
{
    static const struct {
        const char *config, *label;
        unsigned group;
    } cases[] = {
        {"'quantization_config': {'quant_method': 'awq', 'bits': 4, 'group_size': 128}",
         "awq 4 bit", 128},
        {"'quantization_config': {'quant_method': 'gptq', 'bits': 8, 'group_size': -1}",
         "gptq 8 bit", 0},
        {"'quantization_config': {'quant_method': 'fp8'}", "fp8", 0},
        {"'quantization_config': {'quant_method': 'mxfp4'}", "mxfp4", 32},
        {"'quantization_config': {'quant_method': 'bitsandbytes', 'load_in_4bit': true}",
         "bitsandbytes 4 bit", 64},
        {"'quantization_config': {'quant_method': 'bitsandbytes', 'load_in_8bit': true}",
         "bitsandbytes 8 bit", 0},
        {"'quantization_config': {'quant_method': 'compressed-tensors', 'config_groups': {"
         "'group_0': {'weights': {'num_bits': 4, 'type': 'int', 'group_size': 32}}}}",
         "compressed-tensors 4 bit", 32},
        {"'quantization_config': {'quant_method': 'compressed-tensors', 'config_groups': {"
         "'group_0': {'weights': {'num_bits': 8, 'type': 'float'}}}}",
         "compressed-tensors fp8", 0},
        {"'quantization_config': {'quant_method': 'modelopt', 'quant_algo': 'NVFP4', "
         "'group_size': 16}",
         "NVFP4", 16},
        {"'quantize': 'w8a8'", "W8A8", 0},
        {"'quantization_config': {}", "BF16", 0},
        {"'quantization_config': null", "BF16", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct memory_source *files = memory_source_new(false);
        auto_free char *config = mem_printf(LLAMA ", %s}", cases[i].config);
        memory_source_text(files, "config.json", config);
        read_good(files, &shape);
        assert_string_equal(shape.quantization, cases[i].label);
        assert_int_equal(shape.quantization_group, cases[i].group);
        assert_int_equal(shape.is_quantized_linear, strcmp(cases[i].label, "BF16") != 0);
    }
}

static void test_quantisation_files(void **state)
{
    auto_fini(model_shape_fini) struct model_shape ascend = {0}, modelopt = {0};
    struct memory_source *files = memory_source_new(false);
    (void)state;
    add_deepseek(files, "");
    memory_source_add(files, "quant_model_description_w8a8_dynamic.json", NULL, 1 << 24);
    read_good(files, &ascend);
    assert_string_equal(ascend.quantization, "W8A8");
    assert_in_range(ascend.layers[60].bytes, 11400000000, 11700000000);

    files = memory_source_new(false);
    memory_source_text(files, "config.json", LLAMA "}");
    memory_source_text(files, "hf_quant_config.json",
                       "{'quantization': {'quant_algo': 'FP8', 'kv_cache_quant_algo': 'FP8'}}");
    read_good(files, &modelopt);
    assert_string_equal(modelopt.quantization, "FP8");
}

static void test_descriptions_of_ascend(void **state)
{
    static const struct {
        const char *name, *text, *label;
    } cases[] = {
        {"quant_model_description_w4a8.json", "{}", "W4A8"},
        {"quant_model_description_w8a16.json", "{}", "W8A16"},
        {"quant_model_description.json", "{'model_quant_type': 'W4A8_DYNAMIC'}", "W4A8_DYNAMIC"},
        {"quant_model_description.json", "{'model_quant_type': 'FLOAT'}", "W8A8"},
        {"quant_model_description.json", "no JSON", "W8A8"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct memory_source *files = memory_source_new(true);
        memory_source_text(files, "config.json", LLAMA "}");
        memory_source_text(files, cases[i].name, cases[i].text);
        read_good(files, &shape);
        assert_string_equal(shape.quantization, cases[i].label);
    }
}

/* Where a tensor's elements hold several weights, they don't tell how many there are. */
static void test_packed_weights_are_counted_by_formula(void **state)
{
    static const struct {
        const char *quantization;
        bool is_packed;
    } cases[] = {
        {"'quantization_config': {'quant_method': 'gptq', 'bits': 8}", true},
        {"'quantization_config': {'quant_method': 'awq', 'bits': 4}", true},
        {"'quantization': {'group_size': 64, 'bits': 8}", true},
        {"'quantization_config': {'quant_method': 'compressed-tensors', 'format': "
         "'pack-quantized', 'config_groups': {'group_0': {'weights': {'num_bits': 8}}}}", true},
        {"'quantization_config': {'quant_method': 'compressed-tensors', 'format': "
         "'int-quantized', 'config_groups': {'group_0': {'weights': {'num_bits': 8}}}}", false},
        {"'quantization_config': {'quant_method': 'fp8'}", false},
    };
    static const struct tensor tensors[] = {
        {"model.layers.0.self_attn.q_proj.qweight", "I32", 16, 64},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct memory_source *files = memory_source_new(true);
        auto_free char *config = mem_printf(LLAMA ", %s}", cases[i].quantization);
        memory_source_text(files, "config.json", config);
        add_safetensors(files, "model.safetensors", tensors, ARRAY_LEN(tensors));
        read_good(files, &shape);
        if ((shape.parameter_count != 16) != cases[i].is_packed)
            fail_msg("%s: %llu", cases[i].quantization,
                     (unsigned long long)shape.parameter_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantisations),
        cmocka_unit_test(test_quantisation_files),
        cmocka_unit_test(test_descriptions_of_ascend),
        cmocka_unit_test(test_packed_weights_are_counted_by_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
