/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MindIE on Ascend, by GPUStack's rules, but for MLA: its cache is one latent vector a token and is
 * on every rank.
 */
#include "estimate/parameters.h"
#include "estimate/parallel_priv.h"

#define RESERVED (3 * GIB)

struct options {
    int64_t context;
    double fraction;
    uint64_t block, prefill_batch, batch, host_gib, prefill_tokens;
    struct parallel parallel;
    struct str quantize;
};

#define AT(member) offsetof(struct options, member)

static const struct parameter table[] = {
    {"max-seq-len", NULL, PARAMETER_TOKENS, AT(context), 1, ESTIMATE_CONTEXT_MAX},
    {"npu-memory-fraction", NULL, PARAMETER_REAL, AT(fraction), 0.01, 1},
    {"cache-block-size", NULL, PARAMETER_COUNT, AT(block), 1, 4096},
    {"max-prefill-batch-size", NULL, PARAMETER_COUNT, AT(prefill_batch), 1, 1 << 20},
    {"max-prefill-tokens", NULL, PARAMETER_COUNT, AT(prefill_tokens), 1, ESTIMATE_BATCH_MAX},
    {"max-batch-size", NULL, PARAMETER_COUNT, AT(batch), 1, 1 << 20},
    {"cpu-mem-size", NULL, PARAMETER_COUNT, AT(host_gib), 0, 65536},
    {"tensor-parallel-size", NULL, PARAMETER_COUNT, AT(parallel.tensor), 1, 1024},
    {"pipeline-parallel-size", NULL, PARAMETER_COUNT, AT(parallel.pipeline), 1, 1024},
    {"data-parallel-size", NULL, PARAMETER_COUNT, AT(parallel.data), 1, 1024},
    {"kv-cache-dtype", "--kv-quant", PARAMETER_TEXT, AT(quantize), 0, 0},
    {0},
};

/* Elements that a token takes on a rank of a stage. */
static uint64_t token_elements(const struct model_shape *shape, const struct parallel *parallel,
                               uint64_t stage)
{
    const uint32_t first = parallel_stage_first(shape->layer_count, parallel->pipeline, stage);
    const uint32_t count = parallel_stage_layers(shape->layer_count, parallel->pipeline, stage);
    uint64_t sum = 0;
    for (uint32_t il = first; il < first + count; il++) {
        const struct layer_shape *layer = &shape->layers[il];
        if (layer->cache == CACHE_NONE || layer->cache == CACHE_STATE)
            continue;
        sum += parallel_kv_heads(layer, parallel) *
               (layer->key_length + (layer->cache == CACHE_LATENT ? 0 : layer->value_length));
    }
    return sum;
}

static void add_device(const struct estimate_request *request, const struct options *options,
                       size_t device, struct estimate *ret)
{
    const struct parallel *parallel = &options->parallel;
    const struct parallel_weights weights = {1, 1, 2};
    const uint64_t stage = parallel_stage_of(parallel, device);
    const uint64_t elements = token_elements(request->shape, parallel, stage);
    const bool is_small = str_eq_nocase(options->quantize, STR("C8")) ||
                          str_eq_nocase(options->quantize, STR("int8"));
    const uint64_t width = is_small ? 1 : 2;
    const uint64_t context = (uint64_t)options->context;
    parallel_add_weights(request, parallel, &weights, device, ret);
    estimate_add(ret, (int)device, ESTIMATE_CACHE, elements * context * width,
                 "%llu elements x %llu tokens x %llu B", (unsigned long long)elements,
                 (unsigned long long)context, (unsigned long long)width);
    estimate_add(ret, (int)device, ESTIMATE_COMPUTE,
                 options->batch * options->block * elements * 2,
                 "%llu sequences x block of %llu x %llu elements x 2 B",
                 (unsigned long long)options->batch, (unsigned long long)options->block,
                 (unsigned long long)elements);
    estimate_add(ret, (int)device, ESTIMATE_RUNTIME, RESERVED, "reserved");
}

/* What is above the part that the engine may take of each device. */
static void judge(const struct estimate_request *request, const struct options *options,
                  struct estimate *ret)
{
    estimate_judge(request, ret);
    for (size_t i = 0; ret->fits && i < request->device_count; i++) {
        const double part = (double)request->devices[i].total_bytes * options->fraction;
        const uint64_t bytes = estimate_place_bytes(&ret->devices[i]);
        if (part == 0 || (double)bytes <= part)
            continue;
        ret->fits = false;
        snprintf(ret->advice, sizeof ret->advice,
                 "--npu-memory-fraction %.2f of device %zu is less than the %llu MiB that are "
                 "needed",
                 options->fraction, i, (unsigned long long)(bytes / MIB));
    }
}

int estimate_mindie(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    struct options options = {.fraction = 0.8, .block = 128, .prefill_batch = 50, .batch = 200};
    int rc = parameters_read(table, request->argv, request->argc, &options, err);
    if (rc == 0)
        rc = parallel_settle(request, &options.parallel, err);
    if (rc < 0)
        return rc;
    if (options.context == 0)
        options.context = (int64_t)min_u64(estimate_trained_context(request->shape, 2048), 8192);
    const struct parallel *parallel = &options.parallel;
    for (size_t i = 0; i < parallel_world(parallel); i++)
        add_device(request, &options, i, ret);
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, 512 * MIB + options.host_gib * GIB,
                 "512 MiB and --cpu-mem-size %llu GiB", (unsigned long long)options.host_gib);
    ret->context_length = (uint64_t)options.context;
    ret->cache_tokens = ret->context_length;
    ret->sequences = options.batch;
    ret->tensor_parallel = (unsigned)parallel->tensor;
    ret->pipeline_parallel = (unsigned)parallel->pipeline;
    ret->data_parallel = (unsigned)parallel->data;
    judge(request, &options, ret);
    ret->context_fits = ret->fits ? ret->context_length : 0;
    return 0;
}
