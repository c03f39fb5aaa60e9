/* SPDX-License-Identifier: Apache-2.0 */
/* Speech, images, encoders and unknown engines; what is told to people. */
#include "shapes.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct estimate run(const struct model_shape *shape, enum estimate_engine engine,
                           size_t devices, const char *const *argv)
{
    static const struct estimate_device kinds[4];
    struct estimate_request request = {.shape = shape, .engine = engine, .devices = kinds,
                                       .device_count = devices, .argv = argv};
    while (argv && argv[request.argc])
        request.argc++;
    struct estimate estimate = {0};
    struct err err = {0};
    if (estimate_model(&request, &estimate, &err) < 0)
        fail_msg("%s", err.text);
    return estimate;
}

/* Bytes of the first device (or the host) but for its runtime, and the engine that was chosen. */
static uint64_t model_bytes(const struct model_shape *shape, size_t devices,
                            enum estimate_engine expected)
{
    struct estimate estimate = run(shape, ESTIMATE_AUTO, devices, NULL);
    assert_int_equal(estimate.engine, expected);
    const struct estimate_place *place = devices ? &estimate.devices[0] : &estimate.host;
    const uint64_t bytes = estimate_place_bytes(place) - place->parts[ESTIMATE_RUNTIME];
    estimate_fini(&estimate);
    return bytes;
}

static void test_whisper(void **state)
{
    (void)state;
    static const struct {
        uint64_t file_mib, gib;
    } rows[] = {{75, 1}, {466, 2}, {1500, 5}, {1600, 6}, {3000, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_shape shape = {.kind = KIND_WHISPER, .format = FORMAT_SAFETENSORS,
                                    .file_bytes = rows[i].file_mib * MIB};
        assert_int_equal(model_bytes(&shape, 1, ESTIMATE_AUDIO), rows[i].gib * GIB);
    }
    /* whisper.cpp: at least what its README tells */
    struct model_shape large = {.kind = KIND_WHISPER, .format = FORMAT_GGUF,
                                .file_bytes = 2900 * MIB};
    assert_in_range(model_bytes(&large, 0, ESTIMATE_AUDIO), 3900 * MIB, 4100 * MIB);
}

static void test_voices(void **state)
{
    (void)state;
    struct model_shape bark = {.kind = KIND_TTS, .architecture = "BarkModel",
                               .file_bytes = 4 * GIB};
    assert_int_equal(model_bytes(&bark, 1, ESTIMATE_AUDIO), 12 * GIB);
    struct model_shape voice = {.kind = KIND_TTS, .name = "CosyVoice-300M", .file_bytes = GIB};
    assert_int_equal(model_bytes(&voice, 1, ESTIMATE_AUDIO), 3 * GIB);
    struct model_shape other = {.kind = KIND_TTS, .name = "another", .file_bytes = GIB};
    assert_int_equal(model_bytes(&other, 1, ESTIMATE_AUDIO), 3 * GIB);
}

/* FLUX.1 in 1024 x 1024 on three devices: encoders, decoder, denoiser. */
static void test_images(void **state)
{
    (void)state;
    struct model_part parts[] = {{"text_encoder", GIB / 4}, {"text_encoder_2", 9 * GIB},
                                 {"transformer", 22 * GIB}, {"vae", 160 * MIB}};
    struct model_shape shape = {.kind = KIND_DIFFUSION, .architecture = "FluxPipeline",
                                .parts = parts, .part_count = 4};
    struct estimate estimate = run(&shape, ESTIMATE_AUTO, 3, NULL);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_WEIGHTS], 9 * GIB + GIB / 4);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_COMPUTE], 0);
    assert_int_equal(estimate.devices[1].parts[ESTIMATE_WEIGHTS], 160 * MIB);
    assert_int_equal(estimate.devices[2].parts[ESTIMATE_WEIGHTS], 22 * GIB);
    const double x = 1024.0 * 1024;
    const double law = 46511668.67 + 997.7759 * x + 0.0014573393 * x * x;
    assert_int_equal(estimate.devices[2].parts[ESTIMATE_COMPUTE], (uint64_t)law);
    estimate_fini(&estimate);
    const char *argv[] = {"--enable-model-cpu-offload", "--width", "512", "--height=512", NULL};
    estimate = run(&shape, ESTIMATE_AUTO, 1, argv);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_WEIGHTS], 22 * GIB);
    assert_true(estimate.devices[0].parts[ESTIMATE_COMPUTE] < law);
    estimate_fini(&estimate);
}

/* The large one by whatever separator: its law is steeper than that of the medium one. */
static void test_image_names(void **state)
{
    (void)state;
    static const char *const names[] = {"SD3.5 Large", "sd3.5_large", "stable-diffusion-3.5-large",
                                        "stable-diffusion-3.5-medium"};
    uint64_t bytes[4];
    for (int i = 0; i < 4; i++) {
        struct model_shape shape = {.kind = KIND_DIFFUSION};
        snprintf(shape.name, sizeof shape.name, "%s", names[i]);
        struct estimate estimate = run(&shape, ESTIMATE_AUTO, 3, NULL);
        bytes[i] = estimate.devices[2].parts[ESTIMATE_COMPUTE];
        estimate_fini(&estimate);
    }
    assert_int_equal(bytes[1], bytes[0]);
    assert_int_equal(bytes[2], bytes[0]);
    assert_true(bytes[3] < bytes[0]);
}

/* GPUStack's examples: 7B of 15.2 GB -> 19 GiB. */
static void test_unknown_engine(void **state)
{
    (void)state;
    struct model_shape shape = {.kind = KIND_LLM, .tensor_bytes = 15231233024ULL};
    struct estimate estimate = run(&shape, ESTIMATE_CUSTOM, 1, NULL);
    assert_in_range(estimate_place_bytes(&estimate.devices[0]), 19 * GIB - GIB / 20,
                    19 * GIB + GIB / 20);
    estimate_fini(&estimate);
    estimate = run(&shape, ESTIMATE_CUSTOM, 4, NULL);
    assert_in_range(estimate.devices[3].parts[ESTIMATE_WEIGHTS], shape.tensor_bytes / 4,
                    shape.tensor_bytes / 4 + 1);
    estimate_fini(&estimate);
}

static void test_encoder(void **state)
{
    (void)state;
    struct model_shape shape = {.kind = KIND_RERANKER, .tensor_bytes = GIB, .hidden_size = 1024,
                                .context_length = 8192};
    struct estimate estimate = run(&shape, ESTIMATE_CUSTOM, 1, NULL);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 0);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_COMPUTE], 8192 * 1024 * 12 * 2);
    estimate_fini(&estimate);
}

static void test_words(void **state)
{
    (void)state;
    assert_int_equal(estimate_engine_of(STR("llama-box")), ESTIMATE_LLAMA_CPP);
    assert_int_equal(estimate_engine_of(STR("vLLM")), ESTIMATE_VLLM);
    assert_int_equal(estimate_engine_of(STR("")), ESTIMATE_AUTO);
    assert_int_equal(estimate_engine_of(STR("home-made")), ESTIMATE_CUSTOM);
    struct model_shape shape = {.kind = KIND_LLM, .tensor_bytes = 10 * MIB};
    struct estimate estimate = run(&shape, ESTIMATE_CUSTOM, 1, NULL);
    struct buf out = {0};
    estimate_explain(&estimate, &out);
    assert_non_null(strstr(out.ptr, "device 0: 2.0 GiB\n  weights      10.0 MiB  10485760 B of "
                                    "tensors over 1\n"));
    buf_clear(&out);
    struct json_writer w = json_writer_into(&out);
    estimate_write(&estimate, &w);
    json_t *root = NULL;
    assert_int_equal(json_read(buf_str(&out), &root, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(root, "lines")), estimate.line_count);
    json_decref(root);
    buf_fini(&out);
    estimate_fini(&estimate);
}

static void test_limits(void **state)
{
    (void)state;
    struct model_shape shape = {.kind = KIND_LLM};
    struct estimate estimate = {0};
    struct estimate_request request = {.shape = &shape,
                                       .device_count = ESTIMATE_DEVICES_MAX + 1};
    assert_int_equal(estimate_model(&request, &estimate, NULL), ERR_TOO_LARGE);
    request.device_count = 0;
    request.argc = ESTIMATE_PARAMETERS_MAX + 1;
    assert_int_equal(estimate_model(&request, &estimate, NULL), ERR_TOO_LARGE);
}

/* Numbers of a damaged file: refused before they are multiplied. */
static void test_shapes_that_cannot_be(void **state)
{
    (void)state;
    struct layer_shape layer = {.cache = CACHE_FULL, .head_count = ESTIMATE_HEADS_MAX,
                                .head_count_kv = ESTIMATE_HEADS_MAX, .key_length = 256,
                                .value_length = 256, .feed_forward_length = ESTIMATE_FORWARD_MAX};
    struct model_shape shape = {.kind = KIND_LLM, .format = FORMAT_GGUF, .layers = &layer,
                                .layer_count = 1, .is_causal = true,
                                .hidden_size = ESTIMATE_WIDTH_MAX,
                                .context_length = MODEL_SHAPE_DIM_MAX,
                                .vocabulary_size = ESTIMATE_VOCABULARY_MAX};
    struct estimate_request request = {.shape = &shape};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0); /* as large as can be */
    assert_true(estimate.host.parts[ESTIMATE_CACHE] >
                2ULL * ESTIMATE_WIDTH_MAX * ESTIMATE_CONTEXT_MAX);
    estimate_fini(&estimate);
    layer.key_length++;
    assert_int_equal(estimate_model(&request, &estimate, NULL), ERR_TOO_LARGE);
    layer.key_length--;
    shape.vocabulary_size++;
    assert_int_equal(estimate_model(&request, &estimate, NULL), ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whisper),
        cmocka_unit_test(test_voices),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_image_names),
        cmocka_unit_test(test_unknown_engine),
        cmocka_unit_test(test_encoder),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_shapes_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
