/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct catalog *catalog;

static int set_up(void **state)
{
    (void)state;
    catalog = catalog_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_free(catalog);
    return 0;
}

static void shape_of(const struct catalog_spec *spec, struct model_shape *ret)
{
    struct err err = {0};
    if (catalog_shape(spec, ret, &err) < 0)
        fail_msg("%s %s: %s", spec->set->name, spec->precision, err.text);
}

#define FOR_EACH_SPEC(spec)                                                                        \
    for (size_t s_ = 0; s_ < catalog->count; s_++)                                                 \
        for (const struct catalog_spec *spec = catalog->sets[s_].specs;                            \
             spec < catalog->sets[s_].specs + catalog->sets[s_].spec_count; spec++)

static void test_entries_are_complete(void **state)
{
    (void)state;
    static const char *const texts[] = {"name", "title", "description", "publisher"};
    static const char *const lists[] = {"licenses", "categories", "capabilities", "sizes",
                                        "quantizations", "specs"};
    assert_true(catalog->count >= 30);
    for (size_t i = 0; i < catalog->count; i++) {
        const struct catalog_set *set = &catalog->sets[i];
        assert_int_equal(set->id, i + 1);
        assert_ptr_equal(catalog_set_by_id(catalog, set->id), set);
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            if (!json_member_string(set->json, texts[k]))
                fail_msg("%s has no %s", set->name, texts[k]);
        for (size_t k = 0; k < ARRAY_LEN(lists); k++)
            if (json_array_size(json_object_get(set->json, lists[k])) == 0)
                fail_msg("%s has no %s", set->name, lists[k]);
    }
    assert_null(catalog_set_by_id(catalog, 0));
    assert_null(catalog_set_by_id(catalog, (int64_t)catalog->count + 1));
}

static void test_specs_are_found_by_their_files(void **state)
{
    (void)state;
    int64_t id = 0;
    FOR_EACH_SPEC(spec)
    {
        assert_int_equal(spec->id, ++id);
        if (spec->hf_key)
            assert_ptr_equal(catalog_find(catalog, spec->hf_key), spec);
        if (spec->ms_key)
            assert_ptr_equal(catalog_find(catalog, spec->ms_key), spec);
        assert_null(json_object_get(spec->body, "shape"));
    }
    assert_int_equal(id, catalog->spec_count);
    assert_null(catalog_find(catalog, "hf:Qwen/Qwen3"));
    const struct catalog_spec *file =
        catalog_find(catalog, "hf:Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf");
    assert_string_equal(file->precision, "Q4_K_M");
    assert_string_equal(json_member_string(file->body, "backend"), "llama.cpp");
}

static void test_parameters_are_within_three_percent(void **state)
{
    (void)state;
    FOR_EACH_SPEC(spec)
    {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        shape_of(spec, &shape);
        const double ratio =
            (double)shape.parameter_count / (double)spec->set->parameter_count;
        if (ratio < 0.97 || ratio > 1.03)
            fail_msg("%s %s: %llu weights, not %llu (%+.2f %%)", spec->set->name, spec->precision,
                     (unsigned long long)shape.parameter_count,
                     (unsigned long long)spec->set->parameter_count, (ratio - 1) * 100);
    }
}

/* Bits a weight, by what is written in it; embeddings and norms are wider. */
static void test_bytes_are_those_of_the_precision(void **state)
{
    (void)state;
    static const struct {
        const char *precision;
        double least, most;
    } rows[] = {{"BF16", 15.9, 16.1}, {"F16", 15.9, 16.1}, {"F32", 31.9, 32.1},
                {"FP8", 7.9, 10.5},     {"W8A8", 7.9, 10},   {"AWQ", 4.2, 6.5},
                {"Q4_K_M", 4.7, 5.2}, {"Q8_0", 8.4, 8.7},  {"MXFP4", 4.2, 5.4}};
    FOR_EACH_SPEC(spec)
    {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        shape_of(spec, &shape);
        const double bits = 8 * (double)(shape.tensor_bytes - shape.draft_bytes) /
                            (double)shape.parameter_count;
        size_t i = 0;
        while (i < ARRAY_LEN(rows) && strcmp(rows[i].precision, spec->precision) != 0)
            i++;
        assert_true(i < ARRAY_LEN(rows));
        if (bits < rows[i].least || bits > rows[i].most)
            fail_msg("%s %s: %.2f bits a weight", spec->set->name, spec->precision, bits);
    }
}

static void test_parts_add_up(void **state)
{
    (void)state;
    FOR_EACH_SPEC(spec)
    {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        shape_of(spec, &shape);
        uint64_t sum = shape.input_bytes + shape.output_bytes + shape.other_bytes +
                       shape.draft_bytes;
        for (uint32_t i = 0; i < shape.layer_count; i++)
            sum += shape.layers[i].bytes;
        assert_int_equal(sum, shape.tensor_bytes);
        assert_int_equal(shape.tensor_bytes, shape.file_bytes);
        assert_true(shape.context_length > 0 && shape.vocabulary_size > 0);
        assert_true(shape.layer_count > 0 && shape.hidden_size > 0);
    }
}

static void test_kinds_and_formats(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum model_kind kind;
        enum model_format format;
        const char *architecture;
    } rows[] = {
        {"hf:Qwen/Qwen3-8B", KIND_LLM, FORMAT_SAFETENSORS, "Qwen3ForCausalLM"},
        {"ms:vllm-ascend/Qwen3-8B-W8A8", KIND_LLM, FORMAT_SAFETENSORS, "Qwen3ForCausalLM"},
        {"hf:Qwen/Qwen3-30B-A3B-GGUF/Qwen3-30B-A3B-Q4_K_M.gguf", KIND_LLM, FORMAT_GGUF, "qwen3moe"},
        {"hf:Qwen/Qwen3-Embedding-0.6B", KIND_EMBEDDING, FORMAT_SAFETENSORS, "Qwen3ForCausalLM"},
        {"hf:BAAI/bge-m3", KIND_EMBEDDING, FORMAT_SAFETENSORS, "XLMRobertaModel"},
        {"hf:BAAI/bge-reranker-v2-m3", KIND_RERANKER, FORMAT_SAFETENSORS,
         "XLMRobertaForSequenceClassification"},
        {"hf:openai/whisper-large-v3", KIND_WHISPER, FORMAT_SAFETENSORS,
         "WhisperForConditionalGeneration"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        const struct catalog_spec *spec = catalog_find(catalog, rows[i].key);
        assert_non_null(spec);
        shape_of(spec, &shape);
        assert_int_equal(shape.kind, rows[i].kind);
        assert_int_equal(shape.format, rows[i].format);
        assert_string_equal(shape.architecture, rows[i].architecture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_complete),
        cmocka_unit_test(test_specs_are_found_by_their_files),
        cmocka_unit_test(test_parameters_are_within_three_percent),
        cmocka_unit_test(test_bytes_are_those_of_the_precision),
        cmocka_unit_test(test_parts_add_up),
        cmocka_unit_test(test_kinds_and_formats),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
