/* SPDX-License-Identifier: Apache-2.0 */
/* Against numbers that llama.cpp logged, and the sums behind them. */
#include "shapes.h"

#define MIB (1024.0 * 1024.0)

enum { ARGS_MAX = 16 };

struct run {
    struct numbers numbers;
    const char *version;
    size_t device_count;
    uint64_t device_bytes[8];
    const char *argv[ARGS_MAX];
};

/* Runs the estimate; the shape is freed, what is needed of it stays in `ret`. */
static void run(const struct run *run, struct estimate *ret)
{
    struct model_shape shape;
    shape_of(&run->numbers, &shape);
    shape.format = FORMAT_GGUF;
    struct estimate_device devices[8] = {0};
    for (size_t i = 0; i < run->device_count; i++)
        devices[i].total_bytes = run->device_bytes[i];
    struct estimate_request request = {.shape = &shape,
                                       .engine = ESTIMATE_LLAMA_CPP,
                                       .version = run->version,
                                       .argv = run->argv,
                                       .devices = devices,
                                       .device_count = run->device_count};
    while (run->argv[request.argc])
        request.argc++;
    struct err err = {0};
    *ret = (struct estimate){0};
    if (estimate_model(&request, ret, &err) < 0)
        fail_msg("%s", err.text);
    free(shape.layers);
}

static const struct numbers llama_1b = {16, 32, 8, 64, 2048, 8192, 128256, 131072, 0, 0, false};
static const struct numbers llama_8b = {32, 32, 8, 128, 4096, 14336, 128256, 8192, 0, 0, false};
static const struct numbers llama_70b = {80, 64, 8, 128, 8192, 28672, 128256, 131072, 0, 0, false};
static const struct numbers llama_405b = {126, 128, 16, 128, 16384, 53248, 128256, 131072, 0, 0,
                                          false};
static const struct numbers qwen_3b = {36, 16, 2, 128, 2048, 11008, 151936, 32768, 0, 0, false};
static const struct numbers qwen_7b = {28, 28, 4, 128, 3584, 18944, 152064, 131072, 0, 0, false};
static const struct numbers qwen_72b = {80, 64, 8, 128, 8192, 29568, 152064, 32768, 0, 0, false};
static const struct numbers qwen3_30b = {48, 32, 4, 128, 2048, 768, 151936, 40960, 0, 0, false};
static const struct numbers gemma_270m = {18, 4, 1, 256, 640, 2048, 262144, 32768, 0, 0, false};
static const struct numbers gemma3_4b = {34, 8, 4, 256, 2560, 10240, 262208, 131072, 6, 1024,
                                         false};
static const struct numbers deepseek_r1 = {61, 128, 1, 576, 7168, 18432, 129280, 163840, 0, 0,
                                           true};

/* Caches: one device, all on it. */
static uint64_t cache_of(struct numbers numbers, const char *context, const char *parallel,
                         const char *more)
{
    const struct run r = {.numbers = numbers,
                          .device_count = 1,
                          .argv = {"-c", context, "-np", parallel, more}};
    struct estimate estimate;
    run(&r, &estimate);
    const uint64_t bytes = estimate.devices[0].parts[ESTIMATE_CACHE];
    assert_int_equal(estimate.host.parts[ESTIMATE_CACHE], 0);
    estimate_fini(&estimate);
    return bytes;
}

static void test_caches(void **state)
{
    (void)state;
    assert_true(cache_of(qwen_3b, "4096", "1", NULL) == 144 * MIB);
    assert_true(cache_of(llama_8b, "8192", "1", NULL) == 1024 * MIB);
    assert_true(cache_of(qwen_7b, "131072", "1", NULL) == 7168 * MIB);
    assert_true(cache_of(qwen_72b, "32768", "1", NULL) == 10240 * MIB);
    assert_true(cache_of(llama_70b, "131072", "1", NULL) == 40960 * MIB);
    assert_true(cache_of(llama_70b, "2048", "1", NULL) == 640 * MIB);
    assert_true(cache_of(llama_405b, "131072", "1", NULL) == 126 * 1024 * MIB);
    assert_true(cache_of(qwen3_30b, "40960", "1", NULL) -
                    cache_of(qwen3_30b, "4096", "1", NULL) == 3456 * MIB);
    assert_true(cache_of(deepseek_r1, "4096", "1", NULL) == 61.0 * 576 * 2 * 4096);
}

/* More cells than were asked for: each slot's are padded (unslothai/unsloth#7530). */
static void test_slots(void **state)
{
    (void)state;
    assert_true(cache_of(gemma_270m, "1024", "3", NULL) == 27.0 * MIB); /* 1536 cells */
    assert_true(cache_of(gemma_270m, "1024", "4", NULL) == 18.0 * MIB);
    assert_true(cache_of(gemma_270m, "1024", "3", "--kv-unified") == 18.0 * MIB);
}

static void test_windows(void **state)
{
    (void)state;
    const double cell = 4 * 256 * 2 * 2;
    assert_true(cache_of(gemma3_4b, "16384", "1", NULL) == cell * (5 * 16384 + 29 * 1536));
    assert_true(cache_of(gemma3_4b, "16384", "4", "-kvu") ==
                cell * (5 * 16384 + 29 * (4 * 1024 + 512)));
    assert_true(cache_of(gemma3_4b, "16384", "4", NULL) ==
                cell * 4 * (5 * 4096 + 29 * 1536));
    assert_true(cache_of(gemma3_4b, "16384", "1", "--swa-full") == cell * 34 * 16384);
    assert_true(cache_of(gemma3_4b, "1024", "1", NULL) == cell * 34 * 1024);
}

/* llama.cpp#27680: 43 layers of 512 elements, 128 tokens seen, ubatch 4096: 4352 cells. */
static void test_window_of_large_batch(void **state)
{
    (void)state;
    const struct run r = {
        .numbers = {43, 64, 1, 256, 4096, 2048, 129280, 1 << 20, 44, 128, false},
        .device_count = 1,
        .argv = {"-c", "65536", "-np", "1", "-b", "4096", "-ub", "4096", "-ctk", "bf16", "-ctv",
                 "bf16"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_true(estimate.devices[0].parts[ESTIMATE_CACHE] == 182.75 * MIB);
    estimate_fini(&estimate);
}

static void test_quantised_caches(void **state)
{
    (void)state;
    const struct run r = {.numbers = llama_8b,
                          .device_count = 1,
                          .argv = {"-c", "8192", "-np", "1", "-ctk", "q8_0", "-ctv", "q4_0"}};
    struct estimate estimate;
    run(&r, &estimate);
    const double elements = 32.0 * 8 * 128 * 8192;
    assert_true(estimate.devices[0].parts[ESTIMATE_CACHE] ==
                elements * 34 / 32 + elements * 18 / 32);
    estimate_fini(&estimate);
}

/* llama.cpp#24175: Nemotron-3-Ultra with 4 slots; 48 recurrent layers, 12 with attention. */
static void test_states(void **state)
{
    (void)state;
    struct model_shape shape;
    const struct numbers numbers = {60, 64, 2, 128, 8192, 0, 131072, 1 << 20, 0, 0, false};
    shape_of(&numbers, &shape);
    for (unsigned il = 0; il < 48; il++) {
        shape.layers[il].cache = CACHE_STATE;
        shape.layers[il].state_conv = 3 * (16384 + 2 * 8 * 128);
        shape.layers[il].state_ssm = 128 * 16384;
    }
    const struct estimate_device device = {0};
    const char *argv[] = {"-np", "4", "-c", "16128"};
    const struct estimate_request request = {.shape = &shape,
                                             .engine = ESTIMATE_LLAMA_CPP,
                                             .argv = argv,
                                             .argc = 4,
                                             .devices = &device,
                                             .device_count = 1};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true(estimate.devices[0].parts[ESTIMATE_STATE] == (40.5 + 1536) * MIB);
    /* 16128 cells of 12 layers, 2 x 256 elements: 189 MiB; four slots make 4 x 4096 of them */
    assert_true(estimate.devices[0].parts[ESTIMATE_CACHE] == 189.0 * MIB / 16128 * 16384);
    estimate_fini(&estimate);
    free(shape.layers);
}

static double compute_of(struct numbers numbers, const char *version, int device,
                         const char *context)
{
    const struct run r = {.numbers = numbers,
                          .version = version,
                          .device_count = 1,
                          .argv = {"-c", context, "-np", "1"}};
    struct estimate estimate;
    run(&r, &estimate);
    for (size_t i = 0; i < estimate.line_count; i++) {
        const struct estimate_line *line = &estimate.lines[i];
        if (line->device == device && line->part == ESTIMATE_COMPUTE) {
            const double bytes = (double)line->bytes;
            estimate_fini(&estimate);
            return bytes / MIB;
        }
    }
    fail_msg("no line");
    return 0;
}

static void assert_near(double value, double expected, double tolerance)
{
    if (value < expected - tolerance || value > expected + tolerance)
        fail_msg("%.3f, not %.3f", value, expected);
}

/* Versions that keep logits of a whole ubatch: these are what the buffer is made of. */
static void test_compute_of_old_versions(void **state)
{
    (void)state;
    assert_near(compute_of(llama_1b, "b4500", 0, "4096"), 254.50, 0.005);
    assert_near(compute_of(llama_1b, "b4500", ESTIMATE_HOST, "4096"), 12.01, 0.011);
    assert_near(compute_of(qwen_3b, "b4500", 0, "4096"), 300.75, 0.005);
    assert_near(compute_of(qwen_3b, "b4500", ESTIMATE_HOST, "4096"), 12.01, 0.011);
    assert_near(compute_of(llama_8b, "b4500", 0, "8192"), 258.50, 0.005);
}

static unsigned layers_on(const struct run *r, unsigned device)
{
    struct estimate estimate;
    run(r, &estimate);
    unsigned layers = 0;
    const double cell = 2.0 * 8 * 128 * 2;
    layers = (unsigned)((double)estimate.devices[device].parts[ESTIMATE_CACHE] / cell / 1024);
    estimate_fini(&estimate);
    return layers;
}

/* gguf-parser's README agrees with llama.cpp on these: Llama-3.1-70B with --tensor-split. */
static void test_split(void **state)
{
    (void)state;
    struct run r = {.numbers = llama_70b, .device_count = 2,
                    .argv = {"-c", "1024", "-np", "1", "-ts", "8,10"}};
    assert_int_equal(layers_on(&r, 0), 36);
    assert_int_equal(layers_on(&r, 1), 44);
    r.argv[5] = "8,10,12,6";
    r.device_count = 4;
    const unsigned four[] = {18, 23, 27, 12};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(layers_on(&r, i), four[i]);
    r.argv[5] = "11,12,8,10,6";
    r.device_count = 5;
    const unsigned five[] = {19, 21, 14, 17, 9};
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(layers_on(&r, i), five[i]);
    r.argv[4] = NULL; /* by what the devices have */
    r.device_bytes[0] = 11, r.device_bytes[1] = 12, r.device_bytes[2] = 8;
    r.device_bytes[3] = 10, r.device_bytes[4] = 6;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(layers_on(&r, i), five[i]);
}

/* --device: which ones, and in which order; --tensor-split and --main-gpu are about these. */
static void test_chosen_devices(void **state)
{
    (void)state;
    static const struct {
        const char *argv[5];
        unsigned layers[3];
    } rows[] = {{{"-dev", "CUDA1"}, {0, 80, 0}},
                {{"-dev=CUDA2,CUDA0", "-ts=8,10"}, {44, 0, 36}},
                {{"-dev", "CUDA2,CUDA0", "-sm=none", "-mg=1"}, {80, 0, 0}},
                {{"-dev", "none"}, {0, 0, 0}}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r = {.numbers = llama_70b, .device_count = 3,
                        .argv = {"-c", "1024", "-np", "1"}};
        for (size_t k = 0; rows[i].argv[k]; k++)
            r.argv[4 + k] = rows[i].argv[k];
        for (unsigned d = 0; d < 3; d++)
            assert_int_equal(layers_on(&r, d), rows[i].layers[d]);
    }
}

static void assert_refused(const char *a, const char *b, const char *words)
{
    struct model_shape shape;
    shape_of(&llama_8b, &shape);
    const char *argv[] = {"-fa", "off", a, b};
    const struct estimate_device device = {0};
    const struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_LLAMA_CPP,
                                             .argv = argv, .argc = 4, .devices = &device,
                                             .device_count = 1};
    struct estimate estimate = {0};
    struct err err = {0};
    assert_int_equal(estimate_model(&request, &estimate, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, words));
    free(shape.layers);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("-ctv", "q8_0", "needs flash attention");
    assert_refused("-ctk", "q3", "must be one of f32, f16");
    assert_refused("-ngl", "most", "33 are all");
    assert_refused("-ts", "1,2", "1 or fewer");
    assert_refused("-ts", "0", "at least one device");
    assert_refused("-ts", "a", "separated by commas");
    assert_refused("-sm", "diagonal", "none, layer, row, tensor");
    assert_refused("-np", "0", "1 is the least");
    assert_refused("-dev", "CUDA1", "from 0, at most 1 as there are devices");
    assert_refused("-dev", "CUDA0,CUDA0", "at most 1");
    assert_refused("-c", "9223372036854775808", "from 0 to 268435456");
    assert_refused("-fa=maybe", "-fa=maybe", "on, off, auto");
}

/* What doesn't fit says how long a context would. */
static void test_largest_context(void **state)
{
    (void)state;
    struct run r = {.numbers = llama_8b, .device_count = 1, .device_bytes = {4ULL << 30},
                    .argv = {"-c", "131072", "-np", "1"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_false(estimate.fits);
    assert_int_not_equal(estimate.context_fits, 0);
    char number[32], above[32];
    snprintf(number, sizeof number, "%d", (int)estimate.context_fits);
    snprintf(above, sizeof above, "%d", (int)estimate.context_fits + 256);
    estimate_fini(&estimate);
    r.argv[1] = number;
    run(&r, &estimate);
    assert_true(estimate.fits);
    estimate_fini(&estimate);
    r.argv[1] = above;
    run(&r, &estimate);
    assert_false(estimate.fits);
    estimate_fini(&estimate);
}

/* The advice is what to say: the whole of the slots' contexts. */
static void test_largest_context_of_slots(void **state)
{
    (void)state;
    struct run r = {.numbers = llama_8b, .device_count = 1, .device_bytes = {4ULL << 30},
                    .argv = {"-np", "4", "-c", "131072"}};
    struct estimate estimate;
    run(&r, &estimate);
    char number[32], words[64];
    snprintf(number, sizeof number, "%d", (int)estimate.context_fits * 4);
    snprintf(words, sizeof words, "; --ctx-size %s would fit", number);
    assert_non_null(strstr(estimate.advice, words));
    estimate_fini(&estimate);
    r.argv[3] = number;
    run(&r, &estimate);
    assert_true(estimate.fits);
    estimate_fini(&estimate);
}

/* --- a draft model -------------------------------------------------------------------------- */

static struct estimate run_with_draft(size_t argc, const char *const *argv, uint64_t device_bytes)
{
    struct model_shape shape, draft;
    shape_of(&llama_8b, &shape);
    shape_of(&llama_1b, &draft);
    const struct estimate_device device = {.total_bytes = device_bytes};
    const struct estimate_request request = {.shape = &shape, .draft = &draft,
                                             .engine = ESTIMATE_LLAMA_CPP, .argv = argv,
                                             .argc = argc, .devices = &device, .device_count = 1};
    struct estimate estimate = {0};
    struct err err = {0};
    if (estimate_model(&request, &estimate, &err) < 0)
        fail_msg("%s", err.text);
    free(shape.layers);
    free(draft.layers);
    return estimate;
}

/* As long as the model's, but with types and layers of its own; the prompt cache is there once. */
static void test_draft(void **state)
{
    (void)state;
    const char *argv[] = {"-c", "8192", "-np", "1", "-ctk", "q8_0", "-ctv", "q8_0", "-ngl", "0",
                          "--cache-ram", "64", "-ctkd", "bf16", "-ngld", "99"};
    struct estimate estimate = run_with_draft(16, argv, 0);
    const double own = 32.0 * 8 * 128 * 2 * 8192 * 34 / 32, draft = 16.0 * 8 * 64 * 2 * 2 * 8192;
    assert_true((double)estimate.host.parts[ESTIMATE_CACHE] == own + 64 * MIB);
    assert_true((double)estimate.devices[0].parts[ESTIMATE_CACHE] == draft);
    estimate_fini(&estimate);
    argv[15] = "0";
    estimate = run_with_draft(16, argv, 0);
    assert_true((double)estimate.host.parts[ESTIMATE_CACHE] == own + draft + 64 * MIB);
    estimate_fini(&estimate);
}

/* As many parameters as can be, and the longest context is looked for. */
static void test_draft_with_many_parameters(void **state)
{
    (void)state;
    const char *argv[ESTIMATE_PARAMETERS_MAX];
    for (size_t i = 0; i < ESTIMATE_PARAMETERS_MAX; i++)
        argv[i] = "--verbose";
    struct estimate estimate = run_with_draft(ESTIMATE_PARAMETERS_MAX, argv, 1 << 20);
    assert_false(estimate.fits);
    assert_int_equal(estimate.context_fits, 0);
    estimate_fini(&estimate);
}

/* A projector beside the model is on the first device of this machine, or the host, or nowhere. */
static void test_projector(void **state)
{
    (void)state;
    static const struct {
        const char *argv[3];
        uint64_t device_mib, host_mib;
    } rows[] = {{{"-ngl=0", "--image-max-tokens=1024", NULL}, 600, 0},
                {{"-ngl=0", "--no-mmproj-offload", NULL}, 0, 600},
                {{"-ngl=0", "--no-mmproj", NULL}, 0, 0}};
    struct model_part part = {.name = "projector", .bytes = 600 << 20};
    struct model_shape shape, beside = {.kind = KIND_PROJECTOR, .tensor_bytes = 600 << 20,
                                        .vision_tokens_max = 1024, .vision_hidden_size = 1280};
    shape_of(&llama_8b, &shape);
    const struct estimate_device devices[2] = {{.is_remote = true}, {0}};
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_LLAMA_CPP,
                                           .argv = rows[i / 2].argv, .argc = 2,
                                           .devices = devices, .device_count = 2};
        request.projector = i % 2 ? &beside : NULL;
        shape.parts = i % 2 ? NULL : &part;
        shape.part_count = !(i % 2);
        shape.other_bytes = i % 2 ? 0 : part.bytes;
        shape.vision_tokens_max = 1024;
        shape.vision_hidden_size = 1280;
        struct estimate estimate = {0};
        assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
        const uint64_t buffer = 4 * 1024 * (1280 * 32 + 14 * 14 * 3 * 4 * 2);
        assert_int_equal(estimate.devices[0].parts[ESTIMATE_WEIGHTS], 0);
        assert_int_equal(estimate.devices[1].parts[ESTIMATE_WEIGHTS], rows[i / 2].device_mib << 20);
        assert_int_equal(estimate.host.parts[ESTIMATE_WEIGHTS], rows[i / 2].host_mib << 20);
        assert_int_equal(estimate.devices[1].parts[ESTIMATE_COMPUTE],
                         rows[i / 2].device_mib ? buffer : 0);
        estimate_fini(&estimate);
    }
    free(shape.layers);
}

/* Logged by llama-server 0.7.0 for a BERT of 384 x 4 layers: no cache, and nothing gates. */
static void test_encoder(void **state)
{
    (void)state;
    static const struct {
        const char *argv[8];
        double mib;
    } rows[] = {{{"-np", "4", "-c", "2048"}, 8.02},
                {{"-np", "4", "-c", "2048", "-ub", "2048"}, 38.08},
                {{"-np", "1", "-c", "2048", "-ub", "2048", "-fa=off"}, 133.05},
                {{"-np", "3", "-c", "8192"}, 8.28},
                {{"-np", "2", "-c", "4096", "-ub", "128"}, 1.94}};
    struct model_shape shape;
    shape_of(&(struct numbers){4, 6, 6, 64, 384, 1536, 1024, 2048, 0, 0, false}, &shape);
    shape.kind = KIND_EMBEDDING;
    shape.is_causal = false;
    snprintf(shape.architecture, sizeof shape.architecture, "bert");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_LLAMA_CPP,
                                           .argv = rows[i].argv};
        while (rows[i].argv[request.argc])
            request.argc++;
        struct estimate estimate = {0};
        assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
        assert_int_equal(estimate.host.parts[ESTIMATE_CACHE], 0);
        assert_near((double)estimate.host.parts[ESTIMATE_COMPUTE] / MIB, rows[i].mib + 0.01,
                    0.01 * rows[i].mib + 0.01);
        estimate_fini(&estimate);
    }
    free(shape.layers);
}

/* Images of any size are taken: 1472 x 1472 at least, whatever size the file tells. */
static void test_images(void **state)
{
    (void)state;
    struct model_shape shape, beside = {.kind = KIND_PROJECTOR, .tensor_bytes = 600 << 20,
                                        .vision_tokens_max = 400, .vision_hidden_size = 1280,
                                        .vision_head_count = 16};
    shape_of(&llama_8b, &shape);
    const struct estimate_device device = {0};
    const char *argv[] = {"-ngl=0", "-fa=off"};
    struct estimate_request request = {.shape = &shape, .projector = &beside, .argv = argv,
                                       .argc = 1, .engine = ESTIMATE_LLAMA_CPP,
                                       .devices = &device, .device_count = 1};
    struct estimate estimate = {0};
    const double layer = 8464.0 * (1280 * 32 + 14 * 14 * 3 * 4 * 2);
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true((double)estimate.devices[0].parts[ESTIMATE_COMPUTE] == layer);
    estimate_fini(&estimate);
    beside.vision_token_patches = 36; /* 6 x 6, and so more than that */
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true((double)estimate.devices[0].parts[ESTIMATE_COMPUTE] == layer / 8464 * 36 * 400);
    estimate_fini(&estimate);
    beside.vision_token_patches = UINT64_C(1) << 60; /* hostile */
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true((double)estimate.devices[0].parts[ESTIMATE_COMPUTE] == layer / 8464 * (4 << 20));
    estimate_fini(&estimate);
    beside.vision_token_patches = 4;
    request.argc = 2;
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_true((double)estimate.devices[0].parts[ESTIMATE_COMPUTE] ==
                layer + 8464.0 * 8464 * 16 * 4);
    estimate_fini(&estimate);
    free(shape.layers);
}

/* --- single tensors ------------------------------------------------------------------------- */

/* 32 layers, each with 30 MiB of experts and 9 MiB of others, of which attention has 4 / 13. */
static int move_tensors(const char *const *argv, uint64_t weights[3], struct err *err)
{
    struct model_shape shape;
    shape_of(&llama_8b, &shape);
    shape.expert_count = 8;
    shape.expert_shared_count = 1;
    shape.input_bytes = 100 << 20;
    shape.output_bytes = 50 << 20;
    for (unsigned il = 0; il < shape.layer_count; il++) {
        shape.layers[il].is_moe = true;
        shape.layers[il].bytes = 39 << 20;
        shape.layers[il].expert_bytes = 30 << 20;
        shape.layers[il].head_count_kv = 32;
        shape.layers[il].feed_forward_length = 12288; /* 3 x hidden, 3 of them */
    }
    const struct estimate_device devices[2] = {{.is_remote = true}, {0}};
    struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_LLAMA_CPP,
                                       .argv = argv, .devices = devices, .device_count = 2};
    while (argv[request.argc])
        request.argc++;
    struct estimate estimate = {0};
    const int rc = estimate_model(&request, &estimate, err);
    weights[0] = estimate.host.parts[ESTIMATE_WEIGHTS];
    for (int i = 0; i < 2; i++)
        weights[i + 1] = estimate.devices[i].parts[ESTIMATE_WEIGHTS];
    estimate_fini(&estimate);
    free(shape.layers);
    return rc;
}

static void assert_moved(const char *a, const char *b, double host, double remote, double local)
{
    const char *argv[] = {"-ts", "1,0", a, b, NULL};
    const double expected[3] = {host, remote, local};
    uint64_t weights[3];
    struct err err = {0};
    if (move_tensors(argv, weights, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 3; i++)
        assert_near((double)weights[i] / MIB, expected[i], 0.01);
}

/* Everything is on the remote device but for the embedding. */
static void test_override(void **state)
{
    (void)state;
    const double all = 32 * 39 + 50;
    assert_moved(NULL, NULL, 100, all, 0);
    assert_moved("-ot", "exps=CPU", 100 + 32 * 30, all - 32 * 30, 0);
    assert_moved("--cpu-moe", NULL, 100 + 32 * 30, all - 32 * 30, 0);
    assert_moved("--override-tensor=blk\\.[0-9]\\.ffn_(up|gate)_exps=CPU", NULL, 100 + 200,
                 all - 200, 0);
    assert_moved("-ot", "blk\\.(?:1\\d|2[0-3])\\.ffn_.*_exps\\.weight=CUDA0,exps=CPU",
                 100 + 18 * 30, all - 32 * 30, 14 * 30);
    assert_moved("-ot=token_embd=CUDA0", "-ot=^output=CPU", 50, all - 50, 100);
    assert_moved("-ot", "blk.0.attn_[qkv]\\.=CUDA0", 100, all - 9 * 3.0 / 13, 9 * 3.0 / 13);
    assert_moved("-ot", "shexp=CUDA0", 100, all - 32 * 9 * 9.0 / 13, 32 * 9 * 9.0 / 13);
    assert_moved("-ot=output.weight=CPU", NULL, 150 + 32 * 9 / 13.0, all - 50 - 32 * 9 / 13.0, 0);
    assert_moved("-ot", "exps=RPC0[10.0.0.1:50052]", 100, all, 0);
    assert_moved("-otd", "exps=CPU", 100, all, 0); /* of a draft model, which isn't there */
}

static void test_override_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *value, *words;
    } rows[] = {{"exps", "PATTERN=BUFFER"},
                {"exps=CUDA1", "no buffer type \"CUDA1\""},
                {"exps=Nowhere7", "of the 2 devices"},
                {"exps=99999999999999999999", "no buffer type"},
                {"(exps=CPU", "regular expression"},
                {"(e)\\1=CPU", "without references"},
                {"(a{9}){9}=CPU", "at most one {n}"},
                {"a{65}=CPU", "up to 64"}};
    uint64_t weights[3];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *argv[] = {"-ot", rows[i].value, NULL};
        struct err err = {0};
        assert_int_equal(move_tensors(argv, weights, &err), ERR_INVALID);
        if (!strstr(err.text, rows[i].words))
            fail_msg("%s", err.text);
    }
    const char *argv[67];
    for (size_t i = 0; i < 66; i++)
        argv[i] = i % 2 ? "exps=CPU" : "-ot";
    argv[66] = NULL;
    assert_int_equal(move_tensors(argv, weights, NULL), ERR_TOO_LARGE);
}

/* --- rows ------------------------------------------------------------------------------------ */

/* The user's shares of rows; what the devices have counts only without them. */
static void test_rows(void **state)
{
    (void)state;
    struct model_shape shape;
    shape_of(&llama_8b, &shape);
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].bytes = 1 << 20;
    const struct estimate_device devices[2] = {{.total_bytes = 16ULL << 30},
                                               {.total_bytes = 16ULL << 30}};
    const char *argv[] = {"-sm", "row", "-ts", "3,1"};
    struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_LLAMA_CPP, .argv = argv,
                                       .argc = 4, .devices = devices, .device_count = 2};
    struct estimate estimate = {0};
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_WEIGHTS], 24 << 20);
    assert_int_equal(estimate.devices[1].parts[ESTIMATE_WEIGHTS], 8 << 20);
    assert_int_equal(estimate.devices[1].parts[ESTIMATE_CACHE], 0);
    estimate_fini(&estimate);
    request.argc = 2;
    assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
    assert_int_equal(estimate.devices[1].parts[ESTIMATE_WEIGHTS], 16 << 20);
    estimate_fini(&estimate);
    free(shape.layers);
}

/* llama-server's words for "off": scores of all cells are in the buffer. */
static void test_words_for_off(void **state)
{
    (void)state;
    static const char *const words[] = {"-fa=off", "-fa=0", "-fa=false", "-fa=disabled", "-fa=on"};
    double bytes[5];
    for (int i = 0; i < 5; i++) {
        const struct run r = {.numbers = llama_8b, .device_count = 1,
                              .argv = {"-c", "8192", "-np", "1", words[i]}};
        struct estimate estimate;
        run(&r, &estimate);
        bytes[i] = (double)estimate.devices[0].parts[ESTIMATE_COMPUTE];
        estimate_fini(&estimate);
    }
    for (int i = 1; i < 4; i++)
        assert_true(bytes[i] == bytes[0]);
    assert_true(bytes[0] > bytes[4] + 400 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caches),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_window_of_large_batch),
        cmocka_unit_test(test_quantised_caches),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_compute_of_old_versions),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_chosen_devices),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_largest_context),
        cmocka_unit_test(test_largest_context_of_slots),
        cmocka_unit_test(test_draft),
        cmocka_unit_test(test_draft_with_many_parameters),
        cmocka_unit_test(test_projector),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_encoder),
        cmocka_unit_test(test_override),
        cmocka_unit_test(test_override_refusals),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_words_for_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
