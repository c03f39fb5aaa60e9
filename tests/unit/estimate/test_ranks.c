/* SPDX-License-Identifier: Apache-2.0 */
/* How models are cut over ranks, and what layers of all kinds keep: vLLM and SGLang. */
#include "shapes.h"

static const struct numbers llama3_8b = {32, 32, 8, 128, 4096, 14336, 128256, 131072, 0, 0, false};
static const struct numbers qwen_1_5b = {28, 12, 2, 128, 1536, 8960, 151936, 32768, 0, 0, false};
static const struct numbers gpt_oss_120b = {36, 64, 8, 64, 2880, 2880, 201088, 131072, 2, 128,
                                            false};
static const struct numbers deepseek_r1 = {61, 128, 1, 576, 7168, 18432, 129280, 163840, 0, 0,
                                           true};

/* Marlin and the like: a width must hold whole blocks on every rank. */
static void test_quantised_blocks(void **state)
{
    (void)state;
    struct model_shape shape;
    shape_of(&llama3_8b, &shape);
    shape.quantization_group = 128;
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].feed_forward_length = 128 * 28;
    const struct estimate_device devices[8] = {0};
    struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_VLLM,
                                       .devices = devices, .device_count = 8};
    struct estimate estimate = {0};
    struct err err = {0};
    assert_int_equal(estimate_model(&request, &estimate, &err), ERR_INVALID);
    assert_string_equal(err.text, "--tensor-parallel-size 8 doesn't divide widths of 32 heads and "
                                  "3584 in blocks of 128; 4 does");
    free(shape.layers);
}

static int cut(const struct model_shape *shape, const char *ranks, const char *more,
               struct err *err)
{
    const struct estimate_device devices[8] = {0};
    const char *argv[] = {"-tp", ranks, more};
    const struct estimate_request request = {.shape = shape, .engine = ESTIMATE_VLLM, .argv = argv,
                                             .argc = more ? 3 : 2, .devices = devices,
                                             .device_count = 8};
    struct estimate estimate = {0};
    const int rc = estimate_model(&request, &estimate, err);
    estimate_fini(&estimate);
    return rc;
}

/* Qwen2.5-0.5B-AWQ: 14 heads of 64, so that two ranks would cut a block of attention's output. */
static void test_blocks_of_attention(void **state)
{
    (void)state;
    struct model_shape shape;
    struct err err = {0};
    shape_of(&(struct numbers){24, 14, 2, 64, 896, 4864, 151936, 32768, 0, 0, false}, &shape);
    assert_int_equal(cut(&shape, "2", NULL, &err), 0);
    shape.quantization_group = 128;
    assert_int_equal(cut(&shape, "2", NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "14 heads and 4864 in blocks of 128; 1 does"));
    free(shape.layers);
}

/* gpt-oss runs on 8 ranks: its experts of 2880 in blocks of 32 are padded. */
static void test_padded_experts(void **state)
{
    (void)state;
    struct model_shape shape;
    shape_of(&gpt_oss_120b, &shape);
    shape.quantization_group = 32;
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].is_moe = true;
    assert_int_equal(cut(&shape, "8", NULL, NULL), ERR_INVALID);
    snprintf(shape.quantization, sizeof shape.quantization, "mxfp4");
    assert_int_equal(cut(&shape, "8", NULL, NULL), 0);
    free(shape.layers);
}

static void test_heads_of_towers(void **state)
{
    (void)state;
    struct model_shape shape;
    struct err err = {0};
    shape_of(&llama3_8b, &shape);
    shape.has_vision = true;
    shape.vision_head_count = 12;
    assert_int_equal(cut(&shape, "4", NULL, NULL), 0);
    assert_int_equal(cut(&shape, "8", NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "12 heads of the vision tower; 4 does"));
    assert_int_equal(cut(&shape, "8", "--mm-encoder-tp-mode=data", NULL), 0);
    snprintf(shape.architecture, sizeof shape.architecture, "InternVLChatModel");
    assert_int_equal(cut(&shape, "8", NULL, NULL), 0);
    free(shape.layers);
}

/* A vector is made of a text's tokens all at once; nothing is sampled. */
static void test_pooling(void **state)
{
    (void)state;
    struct model_shape shape = {.kind = KIND_EMBEDDING, .dtype = "float16", .hidden_size = 1024,
                                .vocabulary_size = 250002, .context_length = 8192};
    const struct estimate_device device = {.total_bytes = 8ULL << 30};
    const struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_VLLM,
                                             .devices = &device, .device_count = 1};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_COMPUTE], 8192 * 4 * 1024 * 2);
    estimate_fini(&estimate);
}

/* Layers of differing widths that all keep everything: one page has all of them. */
static void test_draft(void **state)
{
    (void)state;
    struct model_shape shape, draft;
    shape_of(&llama3_8b, &shape);
    shape_of(&qwen_1_5b, &draft);
    draft.tensor_bytes = 3ULL << 30;
    const struct estimate_device devices[2] = {0};
    const char *argv[] = {"--max-model-len", "1024"};
    static const enum estimate_engine engines[] = {ESTIMATE_VLLM, ESTIMATE_SGLANG};
    for (int i = 0; i < 2; i++) {
        const struct estimate_request request = {
            .shape = &shape, .draft = &draft, .engine = engines[i], .devices = devices,
            .device_count = 2, .argv = argv, .argc = i ? 0 : 2};
        struct estimate estimate = {0};
        assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
        assert_int_equal(estimate.devices[1].parts[ESTIMATE_WEIGHTS], 3ULL << 29);
        assert_int_equal(estimate.devices[1].parts[ESTIMATE_CACHE],
                         (131072 + 28672) / 2 * estimate.context_length);
        estimate_fini(&estimate);
    }
    free(shape.layers);
    free(draft.layers);
}

/* DeepSeek-V3.2's index keys are fp8 with a scale for 128; whisper keeps its encoder's tokens. */
static void test_other_caches(void **state)
{
    (void)state;
    struct model_shape shape;
    shape_of(&deepseek_r1, &shape);
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].indexer_length = 128;
    const struct estimate_device device = {0};
    const char *argv[] = {"--max-model-len", "448", "--kv-cache-dtype=fp8_ds_mla"};
    struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_VLLM, .argv = argv,
                                       .argc = 3, .devices = &device, .device_count = 1};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 61 * (656 + 132) * 448);
    estimate_fini(&estimate);
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].has_two_caches = true; /* as LongCat-Flash's */
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 2 * 61 * (656 + 132) * 448);
    estimate_fini(&estimate);
    free(shape.layers);
    shape_of(&(struct numbers){32, 20, 20, 64, 1280, 5120, 51866, 448, 0, 0, false}, &shape);
    shape.kind = KIND_WHISPER;
    shape.encoder_length = 1500;
    request.argc = 2;
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE],
                     32 * 20 * 64 * 4 * (448 + 1504));
    estimate_fini(&estimate);
    free(shape.layers);
}

/* Replicas hold their experts together in vLLM, each its own in SGLang; attention by replicas. */
static void test_experts_of_replicas(void **state)
{
    (void)state;
    struct model_shape shape;
    shape_of(&deepseek_r1, &shape);
    for (unsigned il = 0; il < shape.layer_count; il++) {
        shape.layers[il].is_moe = true;
        shape.layers[il].bytes = 88 << 20;
        shape.layers[il].expert_bytes = 80 << 20;
    }
    shape.expert_count = 256;
    static const struct {
        enum estimate_engine engine;
        const char *argv[6];
        unsigned mib; /* of a layer */
    } rows[] = {{ESTIMATE_VLLM, {"-tp=2", "-dp=4", "-ep"}, 4 + 10},
                {ESTIMATE_VLLM, {"-tp=2", "-dp=4"}, 4 + 10},
                {ESTIMATE_SGLANG, {"--tp=2", "--dp=4", "--ep=2"}, 4 + 40},
                {ESTIMATE_SGLANG, {"--tp=8"}, 1 + 10},
                {ESTIMATE_SGLANG, {"--tp=8", "--dp=8", "--enable-dp-attention"}, 8 + 10},
                {ESTIMATE_SGLANG, {"--dp=4", "--enable-dp-attention"}, 4 + 10}};
    const struct estimate_device devices[8] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct estimate_request request = {.shape = &shape, .engine = rows[i].engine,
                                           .argv = rows[i].argv, .devices = devices,
                                           .device_count = 8};
        while (rows[i].argv[request.argc])
            request.argc++;
        struct estimate estimate = {0};
        struct err err = {0};
        if (estimate_model(&request, &estimate, &err) < 0)
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(estimate.devices[7].parts[ESTIMATE_WEIGHTS],
                         61ULL * rows[i].mib << 20);
        estimate_fini(&estimate);
    }
    free(shape.layers);
}

/*
 * MLA's matrices that lead to the low ranks are whole on each rank: of DeepSeek-R1's dense layers
 * 7168 x (1536 + 576) elements, the other 568,328,192 are cut.
 */
static void test_ranks_of_latent_layers(void **state)
{
    (void)state;
    const uint64_t whole = 7168 * (1536 + 576);
    const uint64_t cut_ones = 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168 +
                              UINT64_C(3) * 7168 * 18432;
    struct model_shape shape;
    shape_of(&deepseek_r1, &shape);
    shape.q_lora_rank = 1536;
    shape.kv_lora_rank = 512;
    shape.qk_rope_head_dim = 64;
    shape.qk_nope_head_dim = 128;
    shape.v_head_dim = 128;
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].bytes = (whole + cut_ones) * 2;
    const struct estimate_device devices[8] = {0};
    const char *argv[] = {"--tensor-parallel-size", "8"};
    const struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_VLLM,
                                             .argv = argv, .argc = 2, .devices = devices,
                                             .device_count = 8};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_in_range(estimate.devices[7].parts[ESTIMATE_WEIGHTS],
                    61 * (whole + cut_ones / 8) * 2 - 61, 61 * (whole + cut_ones / 8) * 2 + 61);
    estimate_fini(&estimate);
    /* Twice of each but the dense part, as LongCat-Flash has it: known by its bytes. */
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].has_two_caches = true;
    shape.parameter_count = 1000;
    shape.tensor_bytes = 2000;
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_in_range(estimate.devices[7].parts[ESTIMATE_WEIGHTS],
                    61 * (2 * whole + (cut_ones - whole) / 8) * 2 - 61,
                    61 * (2 * whole + (cut_ones - whole) / 8) * 2 + 61);
    estimate_fini(&estimate);
    shape.quantization_group = 128; /* 18 values a head: 8 ranks would cut a block */
    shape.v_head_dim = 18;
    struct err err = {0};
    assert_int_equal(estimate_model(&request, &estimate, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "in blocks of 128"));
    free(shape.layers);
}

/* What others hold isn't SGLang's to cut; nor is the largest device the one that counts. */
static void test_sglang_devices(void **state)
{
    (void)state;
    struct model_shape shape;
    shape_of(&llama3_8b, &shape);
    struct estimate_device devices[2] = {{.total_bytes = 80ULL << 30, .free_bytes = 40ULL << 30},
                                         {.total_bytes = 80ULL << 30}};
    const char *argv[] = {"--tp", "1", "--chunked-prefill-size", "-1"};
    struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_SGLANG, .argv = argv,
                                       .argc = 2, .devices = devices, .device_count = 1};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true(estimate_place_bytes(&estimate.devices[0]) == 40ULL << 30);
    const uint64_t rest = estimate.devices[0].parts[ESTIMATE_COMPUTE];
    estimate_fini(&estimate);
    request.argc = 4; /* prompts aren't cut: less is reserved, as the engine does it */
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true(estimate.devices[0].parts[ESTIMATE_COMPUTE] < rest);
    estimate_fini(&estimate);
    devices[1].total_bytes = 16ULL << 30;
    argv[1] = "2";
    request.argc = 2;
    request.device_count = 2;
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    bool has_small_chunk = false;
    for (size_t i = 0; i < estimate.line_count; i++)
        has_small_chunk |= strstr(estimate.lines[i].formula,
                                  "chunks of 2048, graphs up to 8 ") != NULL;
    assert_true(has_small_chunk);
    estimate_fini(&estimate);
    free(shape.layers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantised_blocks),
        cmocka_unit_test(test_blocks_of_attention),
        cmocka_unit_test(test_padded_experts),
        cmocka_unit_test(test_heads_of_towers),
        cmocka_unit_test(test_pooling),
        cmocka_unit_test(test_draft),
        cmocka_unit_test(test_other_caches),
        cmocka_unit_test(test_experts_of_replicas),
        cmocka_unit_test(test_ranks_of_latent_layers),
        cmocka_unit_test(test_sglang_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
