/* SPDX-License-Identifier: Apache-2.0 */
/* Against numbers that vLLM and SGLang logged, and the sums behind them. */
#include "shapes.h"

#define GIB (1024.0 * 1024.0 * 1024.0)

enum { ARGS_MAX = 12 };

struct run {
    struct numbers numbers;
    double weights_gib;
    const char *version;
    size_t device_count;
    double device_gib;
    const char *argv[ARGS_MAX];
    enum estimate_engine engine; /* AUTO: vLLM */
};

static int try_run(const struct run *run, struct estimate *ret, struct err *err)
{
    struct model_shape shape;
    shape_of(&run->numbers, &shape);
    for (unsigned il = 0; il < shape.layer_count; il++)
        shape.layers[il].bytes = (uint64_t)(run->weights_gib * GIB / shape.layer_count);
    struct estimate_device devices[16] = {0};
    for (size_t i = 0; i < run->device_count; i++)
        devices[i].total_bytes = (uint64_t)(run->device_gib * GIB);
    struct estimate_request request = {.shape = &shape,
                                       .engine = run->engine ? run->engine : ESTIMATE_VLLM,
                                       .version = run->version,
                                       .argv = run->argv,
                                       .devices = devices,
                                       .device_count = run->device_count};
    while (run->argv[request.argc])
        request.argc++;
    *ret = (struct estimate){0};
    const int rc = estimate_model(&request, ret, err);
    free(shape.layers);
    return rc;
}

static void run(const struct run *run, struct estimate *ret)
{
    struct err err = {0};
    if (try_run(run, ret, &err) < 0)
        fail_msg("%s", err.text);
}

static const struct numbers llama2_7b = {32, 32, 32, 128, 4096, 11008, 32000, 4096, 0, 0, false};
static const struct numbers llama3_8b = {32, 32, 8, 128, 4096, 14336, 128256, 131072, 0, 0, false};
static const struct numbers llama3_70b = {80, 64, 8, 128, 8192, 28672, 128256, 131072, 0, 0,
                                          false};
static const struct numbers qwen_1_5b = {28, 12, 2, 128, 1536, 8960, 151936, 32768, 0, 0, false};
static const struct numbers qwen_3b = {36, 16, 2, 128, 2048, 11008, 151936, 32768, 0, 0, false};
static const struct numbers qwen3_30b = {48, 32, 4, 128, 2048, 768, 151936, 40960, 0, 0, false};
static const struct numbers qwen3_235b = {94, 64, 4, 128, 4096, 1536, 151936, 40960, 0, 0, false};
static const struct numbers gpt_oss_120b = {36, 64, 8, 64, 2880, 2880, 201088, 131072, 2, 128,
                                            false};
static const struct numbers deepseek_r1 = {61, 128, 1, 576, 7168, 18432, 129280, 163840, 0, 0,
                                           true};

/* Bytes of a cache that vLLM told with two digits -> tokens that it told with it. */
static void assert_tokens(struct numbers numbers, const char *gib, unsigned tokens, size_t devices)
{
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%.0f", strtod(gib, NULL) * GIB);
    const struct run r = {.numbers = numbers, .version = "0.10.0", .device_count = devices,
                          .device_gib = 80, .argv = {"--kv-cache-memory-bytes", bytes}};
    struct estimate estimate;
    run(&r, &estimate);
    const double rounding = (double)tokens * 0.0051 / strtod(gib, NULL) + 16;
    if ((double)estimate.cache_tokens < tokens - rounding ||
        (double)estimate.cache_tokens > tokens + rounding)
        fail_msg("%s GiB: %d tokens, not %u", gib, (int)estimate.cache_tokens, tokens);
    estimate_fini(&estimate);
}

static void test_logged_tokens(void **state)
{
    (void)state;
    assert_tokens(llama3_8b, "3.81", 1952 * 16, 1);
    assert_tokens(llama3_8b, "2.89", 1478 * 16, 1);
    assert_tokens(llama3_8b, "4.60", 2356 * 16, 1);
    assert_tokens(llama2_7b, "56.18", 7191 * 16, 1);
    assert_tokens(llama3_8b, "19.92", 163168, 1);
    assert_tokens(qwen_1_5b, "2.36", 5519 * 16, 1);
    assert_tokens(qwen_1_5b, "0.56", 20992, 1);
    assert_tokens(qwen3_30b, "12.15", 132752, 1);
    assert_tokens(qwen3_235b, "8.018", 178880, 4);
    assert_tokens(gpt_oss_120b, "5.38", 78384, 1); /* counted by its groups */
}

static void test_concurrency(void **state)
{
    (void)state;
    const struct run r = {.numbers = llama3_70b, .version = "0.7.0", .device_count = 1,
                          .device_gib = 80,
                          .argv = {"--num-gpu-blocks-override", "1381", "--max-model-len", "2048"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.cache_tokens, 1381 * 16);
    assert_true(estimate.cache_tokens * 100 / 2048 == 1078); /* 10.79 times */
    estimate_fini(&estimate);
}

/* Bytes of a token, where nothing but the sum is known. */
static double token_bytes(struct numbers numbers, size_t devices, const char *dtype)
{
    const struct run r = {.numbers = numbers, .version = "0.10.0", .device_count = devices,
                          .argv = {"--max-model-len", "16", "--kv-cache-dtype", dtype}};
    struct estimate estimate;
    run(&r, &estimate);
    const double bytes = (double)estimate.devices[devices - 1].parts[ESTIMATE_CACHE] / 16;
    estimate_fini(&estimate);
    return bytes;
}

struct row {
    unsigned layers, kv, head, bytes;
};

static void test_token_bytes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {32, 32, 128, 524288},  {48, 8, 128, 196608}, {32, 8, 128, 131072}, {64, 8, 128, 262144},
        {80, 8, 128, 327680},   {126, 8, 128, 516096}, {28, 8, 128, 114688},
        {126, 16, 128, 1032192}, {36, 8, 128, 147456}, {16, 8, 64, 32768},   {40, 8, 128, 163840},
        {48, 4, 128, 98304},    {94, 4, 128, 192512}, {24, 2, 64, 12288},   {28, 2, 128, 28672},
        {36, 2, 128, 36864},    {28, 4, 128, 57344},  {40, 10, 128, 204800}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct numbers n = {rows[i].layers, 4 * rows[i].kv, rows[i].kv, rows[i].head,
                                  4096, 8192, 32000, 8192, 0, 0, false};
        assert_true(token_bytes(n, 1, "auto") == rows[i].bytes);
        assert_true(token_bytes(n, 1, "fp8") == rows[i].bytes / 2.0);
    }
    const struct numbers lite = {27, 16, 1, 576, 2048, 10944, 102400, 32768, 0, 0, true};
    assert_true(token_bytes(lite, 1, "auto") == 31104);
    assert_true(token_bytes(deepseek_r1, 1, "auto") == 70272);
    assert_true(token_bytes(deepseek_r1, 8, "auto") == 70272); /* on every rank */
    assert_true(token_bytes(deepseek_r1, 8, "fp8_ds_mla") == 40016);
    assert_true(token_bytes(qwen3_235b, 4, "auto") == 48128);
    assert_true(token_bytes(qwen3_235b, 8, "auto") == 48128); /* more ranks than heads */
}

/* What full layers of models with windows add a token: gpt-oss and gemma-3. */
static void test_window_token_bytes(void **state)
{
    (void)state;
    static const struct {
        struct numbers numbers;
        unsigned bytes;
    } rows[] = {{{24, 64, 8, 64, 2880, 2880, 201088, 131072, 2, 128, false}, 24576},
                {{36, 64, 8, 64, 2880, 2880, 201088, 131072, 2, 128, false}, 36864},
                {{34, 8, 4, 256, 2560, 10240, 262208, 131072, 6, 1024, false}, 20480},
                {{48, 16, 8, 256, 3840, 15360, 262208, 131072, 6, 1024, false}, 65536},
                {{62, 32, 16, 128, 5376, 21504, 262208, 131072, 6, 1024, false}, 81920}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t cache[2];
        for (int longer = 0; longer < 2; longer++) {
            const struct run r = {.numbers = rows[i].numbers, .device_count = 1,
                                  .engine = ESTIMATE_LLAMA_CPP,
                                  .argv = {"-np", "1", "-c", longer ? "65536" : "32768"}};
            struct estimate estimate;
            run(&r, &estimate);
            cache[longer] = estimate.devices[0].parts[ESTIMATE_CACHE];
            estimate_fini(&estimate);
        }
        assert_int_equal((cache[1] - cache[0]) / 32768, rows[i].bytes);
    }
}

/* qwen2.5-3B with 32,000 tokens: "needs 1.1 GiB". */
static void test_needed(void **state)
{
    (void)state;
    const struct run r = {.numbers = qwen_3b, .device_count = 1,
                          .argv = {"--max-model-len", "32000"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 36864 * 32000);
    estimate_fini(&estimate);
}

struct profile_row {
    struct numbers numbers;
    double weights_gib, device_gib;
    const char *utilization;
    double cache_gib;
    size_t devices;
};

/*
 * The cache is foretold to 5 % of the device, and never is a context promised that didn't fit.
 * Weights are of one device.
 */
static void test_profiles(void **state)
{
    (void)state;
    const struct profile_row rows[] = {
        {llama3_8b, 14.9888, 23.69, "0.9", 3.81, 1}, {llama3_8b, 14.99, 22.07, "0.9", 4.60, 1},
        {llama3_8b, 14.96, 79.22, "0.9", 53.29, 1},  {llama3_8b, 7.48, 79.22, "0.9", 58.97, 2},
        {llama2_7b, 12.55, 79.19, "0.9", 56.18, 1},  {llama3_8b, 14.99, 39.39, "0.9", 19.92, 1},
        {qwen_1_5b, 2.89, 14.56, "0.5", 2.36, 1},    {qwen3_235b, 54.7, 79.2, "0.9", 8.11, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct profile_row *row = &rows[i];
        const struct run r = {.numbers = row->numbers,
                              .weights_gib = row->weights_gib * (double)row->devices,
                              .version = "0.10.0", .device_count = row->devices,
                              .device_gib = row->device_gib,
                              .argv = {"--gpu-memory-utilization", row->utilization}};
        struct estimate estimate;
        run(&r, &estimate);
        const double cache = (double)estimate.devices[0].parts[ESTIMATE_CACHE] / GIB;
        const double off = (cache - row->cache_gib) / row->device_gib;
        if (off < -0.05 || off > 0.05)
            fail_msg("row %zu: %.2f GiB, not %.2f (%.1f %%)", i, cache, row->cache_gib, 100 * off);
        const double promised = (double)estimate.context_fits *
                                token_bytes(row->numbers, row->devices, "auto");
        assert_true(promised <= row->cache_gib * GIB);
        estimate_fini(&estimate);
    }
}

static void assert_refused(struct numbers numbers, size_t devices, const char *a, const char *b,
                           const char *words)
{
    const struct run r = {.numbers = numbers, .device_count = devices, .argv = {a, b}};
    struct estimate estimate;
    struct err err = {0};
    assert_int_equal(try_run(&r, &estimate, &err), ERR_INVALID);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused(llama3_8b, 3, "--tensor-parallel-size", "3",
                   "--tensor-parallel-size 3 doesn't divide 32 heads; 2 or 4 do");
    assert_refused(llama3_8b, 5, NULL, NULL, "5 doesn't divide 32 heads; 4 or 8 do");
    assert_refused(llama3_8b, 2, "-tp", "4", "= 4, but there are 2 devices");
    assert_refused(llama3_8b, 0, NULL, NULL, "at least one device");
    assert_refused(llama3_8b, 16, "--pipeline_parallel_size=33", NULL, "up to 32 do");
    assert_refused(llama3_8b, 1, "--gpu-memory-utilization", "90", "from 0.01 to 1");
    assert_refused(llama3_8b, 1, "--tensor-parallel-size", "0", "from 1 to 1024");
    assert_refused(llama3_8b, 8, "-tp=7", NULL, "7 doesn't divide 32 heads; 4 or 8 do");
    assert_refused(llama3_8b, 1, "--max-num-seqs=64", "--max-num-batched-tokens=32",
                   "32 is less than --max-num-seqs 64");
}

/* 61 layers: PP2 31, 30; PP4 15, 15, 16, 15. The stages' caches show it. */
static void test_stages(void **state)
{
    (void)state;
    static const unsigned two[] = {31, 30}, four[] = {15, 15, 16, 15};
    for (unsigned stages = 2; stages <= 4; stages += 2) {
        const struct run r = {.numbers = deepseek_r1, .device_count = stages, .weights_gib = 61,
                              .argv = {"-pp", stages == 2 ? "2" : "4", "--max-model-len", "16"}};
        struct estimate estimate;
        run(&r, &estimate);
        for (unsigned i = 0; i < stages; i++)
            assert_int_equal(estimate.devices[i].parts[ESTIMATE_CACHE],
                             (stages == 2 ? two : four)[i] * 576 * 2 * 16);
        assert_int_equal(estimate.tensor_parallel, 1);
        estimate_fini(&estimate);
    }
}

/* Sequences that the user leaves open are no more than a batch has tokens for. */
static void test_open_sequences(void **state)
{
    (void)state;
    const struct run r = {.numbers = llama3_8b, .device_count = 1, .device_gib = 80,
                          .argv = {"--max-num-batched-tokens", "512"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.sequences, 512);
    estimate_fini(&estimate);
}

/* fp8 while loading halves layers; a cache in fp8 halves tokens. */
static void test_quantised_while_loading(void **state)
{
    (void)state;
    struct run r = {.numbers = llama3_8b, .weights_gib = 14, .device_count = 1,
                    .argv = {"--quantization", "fp8"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_true(estimate.devices[0].parts[ESTIMATE_WEIGHTS] == 7 * GIB);
    estimate_fini(&estimate);
    r.argv[1] = "bitsandbytes";
    run(&r, &estimate);
    assert_true((double)estimate.devices[0].parts[ESTIMATE_WEIGHTS] / GIB < 4.21);
    estimate_fini(&estimate);
}

/* New versions tell tokens by what requests of the full length need: windows weigh less. */
static void test_reporting_of_windows(void **state)
{
    (void)state;
    const struct numbers gemma = {60, 32, 16, 128, 5376, 21504, 262208, 131072, 6, 1024, false};
    uint64_t tokens[2];
    for (int is_new = 0; is_new < 2; is_new++) {
        const struct run r = {.numbers = gemma, .version = is_new ? "0.21.0" : "0.20.0",
                              .device_count = 1, .device_gib = 80,
                              .argv = {"--kv-cache-memory-bytes=50G"}};
        struct estimate estimate;
        run(&r, &estimate);
        tokens[is_new] = estimate.cache_tokens;
        estimate_fini(&estimate);
    }
    assert_true(tokens[0] > 50000 && tokens[0] < 120000);
    assert_true(tokens[1] > 4 * tokens[0]);
}

static void test_not_enough(void **state)
{
    (void)state;
    struct run r = {.numbers = llama3_8b, .weights_gib = 14.99, .device_count = 1,
                    .device_gib = 22.07, .version = "0.10.0"};
    struct estimate estimate;
    run(&r, &estimate); /* wants 131072 tokens: 16 GiB */
    assert_false(estimate.fits);
    assert_non_null(strstr(estimate.advice, "no room for --max-model-len 131072"));
    assert_true(estimate.context_fits > 8192 && estimate.context_fits < 37696);
    char number[32];
    snprintf(number, sizeof number, "%d", (int)estimate.context_fits);
    estimate_fini(&estimate);
    r.argv[0] = "--max-model-len";
    r.argv[1] = number;
    run(&r, &estimate);
    assert_true(estimate.fits);
    estimate_fini(&estimate);
    r.device_gib = 12;
    run(&r, &estimate);
    assert_false(estimate.fits);
    assert_int_equal(estimate.context_fits, 0);
    estimate_fini(&estimate);
}

/* "auto" has to have room for something, and tells only what is sure. */
static void test_open_context(void **state)
{
    (void)state;
    struct run r = {.numbers = llama3_8b, .weights_gib = 14.99, .device_count = 1,
                    .device_gib = 22.07, .argv = {"--max-model-len", "auto"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_true(estimate.fits);
    assert_int_equal(estimate.context_length, estimate.context_fits);
    assert_in_range(estimate.context_length, 8192, 40000);
    estimate_fini(&estimate);
    r.device_gib = 12;
    run(&r, &estimate);
    assert_false(estimate.fits);
    assert_int_equal(estimate.context_fits, 0);
    estimate_fini(&estimate);
}

/* Without a cache, or with blocks by number, the sum has to be on the device all the same. */
static void test_sums_that_are_no_part(void **state)
{
    (void)state;
    struct run r = {.numbers = llama3_8b, .weights_gib = 14.99, .device_count = 1,
                    .device_gib = 24,
                    .argv = {"--num-gpu-blocks-override", "16384", "--max-model-len=4096"}};
    struct estimate estimate;
    run(&r, &estimate); /* 32 GiB of blocks */
    assert_false(estimate.fits);
    estimate_fini(&estimate);
    static const enum estimate_engine engines[] = {ESTIMATE_VLLM, ESTIMATE_SGLANG};
    for (int i = 0; i < 4; i++) {
        struct model_shape shape = {.kind = KIND_EMBEDDING, .dtype = "float16",
                                    .hidden_size = 1024, .context_length = 8192,
                                    .other_bytes = (i < 2 ? 9ULL : 2ULL) << 30};
        const struct estimate_device device = {.total_bytes = 8ULL << 30};
        const struct estimate_request request = {.shape = &shape, .engine = engines[i % 2],
                                                 .devices = &device, .device_count = 1};
        assert_int_equal(estimate_model(&request, &estimate, NULL), 0);
        assert_int_equal(estimate.fits, i >= 2);
        estimate_fini(&estimate);
    }
}

/* Ranks that share a context must be there: else it would be promised to be longer than it is. */
static void test_context_ranks(void **state)
{
    (void)state;
    assert_refused(deepseek_r1, 1, "-dcp=8", NULL, "more than 1 tensor ranks have of 1 heads");
    assert_refused(deepseek_r1, 8, "-dcp", "3", "doesn't divide 8 tensor ranks; 2 or 4 do");
    assert_refused(llama3_8b, 8, "-dcp", "2", "up to 1 do");
    assert_refused(llama3_8b, 4, "-tp=4", "-pcp=2", "4 x 1 x 1 x 2 for prompts = 8");
    const struct run r = {.numbers = deepseek_r1, .device_count = 8,
                          .argv = {"-dcp", "4", "--max-model-len", "65536"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 70272ULL * 65536 / 4);
    estimate_fini(&estimate);
}

static void test_without_hybrid_manager(void **state)
{
    (void)state;
    struct run r = {.numbers = gpt_oss_120b, .device_count = 1,
                    .argv = {"--max-model-len", "131072", "--disable-hybrid-kv-cache-manager"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 73728ULL * 131072);
    estimate_fini(&estimate);
}

static void test_sglang_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *argv[4], *words;
    } rows[] = {{{"--tp=8", "--ep=3"},
                 "--expert-parallel-size 3 doesn't divide 8 tensor ranks; 2 or 4 do"},
                {{"--dp=3", "--enable-dp-attention"},
                 "--data-parallel-size 3 doesn't divide 8 tensor ranks; 2 or 4 do"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct run r = {.numbers = llama3_8b, .device_count = 8, .engine = ESTIMATE_SGLANG,
                              .argv = {rows[i].argv[0], rows[i].argv[1]}};
        struct estimate estimate;
        struct err err = {0};
        assert_int_equal(try_run(&r, &estimate, &err), ERR_INVALID);
        if (!strstr(err.text, rows[i].words))
            fail_msg("%s", err.text);
    }
}

/* SGLang's table: 512 + 1.5 x 8192 + 2 x 256 + 1/8 x 1024 = 13440 MiB of 81920. */
static void test_sglang(void **state)
{
    (void)state;
    const struct run r = {.numbers = llama3_8b, .weights_gib = 14.96, .device_count = 1,
                          .device_gib = 80, .engine = ESTIMATE_SGLANG};
    struct estimate estimate;
    run(&r, &estimate);
    const double fraction = 0.836;
    const double cache = (double)estimate.devices[0].parts[ESTIMATE_CACHE] / GIB;
    assert_true(cache > 80 * fraction - 14.96 - 0.001 && cache < 80 * fraction - 14.96 + 0.001);
    assert_true(estimate.fits);
    estimate_fini(&estimate);
}

/* SGLang's log of Qwen3-235B: K 8.23 + V 8.23 GB, 367,404 tokens. */
static void test_sglang_tokens(void **state)
{
    (void)state;
    const struct run r = {.numbers = qwen3_235b, .device_count = 4, .device_gib = 80,
                          .engine = ESTIMATE_SGLANG,
                          .argv = {"--mem-fraction-static", "1", "--max-total-tokens", "367404"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.devices[3].parts[ESTIMATE_CACHE], 367404ULL * 48128);
    assert_int_equal(estimate.cache_tokens, 367404);
    estimate_fini(&estimate);
}

/* MLA on Ascend: 576 elements a token, not twice the heads without rope. */
static void test_mindie(void **state)
{
    (void)state;
    const struct run r = {.numbers = deepseek_r1, .device_count = 16, .device_gib = 64,
                          .engine = ESTIMATE_MINDIE};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.context_length, 8192);
    assert_int_equal(estimate.devices[15].parts[ESTIMATE_CACHE], 61 * 576 * 8192 * 2);
    assert_true(estimate.devices[15].parts[ESTIMATE_RUNTIME] == 3 * GIB);
    estimate_fini(&estimate);
}

/* -1 is MindIE's word for "choose"; what doesn't fit says what would, and that does fit. */
static void test_mindie_context(void **state)
{
    (void)state;
    struct run r = {.numbers = llama3_8b, .device_count = 2, .device_gib = 16, .weights_gib = 15,
                    .engine = ESTIMATE_MINDIE,
                    .argv = {"--tensor-parallel-size", "-1", "--data-parallel-size=-1",
                             "--max-seq-len", "131072"}};
    struct estimate estimate;
    run(&r, &estimate);
    assert_int_equal(estimate.tensor_parallel, 2);
    assert_false(estimate.fits);
    const uint64_t fits = estimate.context_fits;
    assert_in_range(fits, 1, 131071);
    estimate_fini(&estimate);
    char number[32];
    for (int above = 0; above < 2; above++) {
        snprintf(number, sizeof number, "%d", (int)fits + above);
        r.argv[4] = number;
        run(&r, &estimate);
        assert_int_equal(estimate.fits, !above);
        estimate_fini(&estimate);
    }
    r.device_gib = 32;
    r.argv[5] = "--npu-mem-size=1"; /* 64 KiB of a token on each of two: 16384 tokens */
    r.argv[4] = "16385";
    run(&r, &estimate);
    assert_int_equal(estimate.devices[0].parts[ESTIMATE_CACHE], 1 << 30);
    assert_false(estimate.fits);
    assert_int_equal(estimate.context_fits, 16384);
    estimate_fini(&estimate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logged_tokens),
        cmocka_unit_test(test_concurrency),
        cmocka_unit_test(test_token_bytes),
        cmocka_unit_test(test_window_token_bytes),
        cmocka_unit_test(test_needed),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_open_sequences),
        cmocka_unit_test(test_quantised_while_loading),
        cmocka_unit_test(test_reporting_of_windows),
        cmocka_unit_test(test_not_enough),
        cmocka_unit_test(test_open_context),
        cmocka_unit_test(test_sums_that_are_no_part),
        cmocka_unit_test(test_context_ranks),
        cmocka_unit_test(test_without_hybrid_manager),
        cmocka_unit_test(test_sglang_refusals),
        cmocka_unit_test(test_sglang),
        cmocka_unit_test(test_sglang_tokens),
        cmocka_unit_test(test_mindie),
        cmocka_unit_test(test_mindie_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
