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
    uint64_t block, batch, host_gib;
    int64_t tensor, pipeline, data; /* -1: the engine chooses */
    int64_t cache_gib;              /* npuMemSize; -1: as much as requests need */
    struct parallel parallel;
    struct str quantize;
};

#define AT(member) offsetof(struct options, member)

static const struct parameter table[] = {
    {"max-seq-len", NULL, PARAMETER_TOKENS, AT(context), 1, ESTIMATE_CONTEXT_MAX},
    {"npu-memory-fraction", NULL, PARAMETER_REAL, AT(fraction), 0.01, 1},
    {"cache-block-size", NULL, PARAMETER_COUNT, AT(block), 1, 4096},
    {"max-batch-size", NULL, PARAMETER_COUNT, AT(batch), 1, 1 << 20},
    {"cpu-mem-size", NULL, PARAMETER_COUNT, AT(host_gib), 0, 65536},
    {"tensor-parallel-size", NULL, PARAMETER_NUMBER, AT(tensor), -1, 1024},
    {"pipeline-parallel-size", NULL, PARAMETER_NUMBER, AT(pipeline), -1, 1024},
    {"data-parallel-size", NULL, PARAMETER_NUMBER, AT(data), -1, 1024},
    {"npu-mem-size", "--npuMemSize", PARAMETER_NUMBER, AT(cache_gib), -1, 4096},
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
        sum += (layer->has_two_caches ? 2 : 1) * parallel_kv_heads(layer, parallel) *
               (layer->key_length + (layer->cache == CACHE_LATENT ? 0 : layer->value_length));
    }
    return sum;
}

static uint64_t element_bytes(const struct options *options)
{
    const bool is_small = str_eq_nocase(options->quantize, STR("C8")) ||
                          str_eq_nocase(options->quantize, STR("int8"));
    return is_small ? 1 : 2;
}

static void add_cache(const struct options *options, uint64_t elements, size_t device,
                      struct estimate *ret)
{
    const uint64_t width = element_bytes(options), context = (uint64_t)options->context;
    if (options->cache_gib > 0)
        estimate_add(ret, (int)device, ESTIMATE_CACHE, (uint64_t)options->cache_gib * GIB,
                     "--npu-mem-size %lld GiB", (long long)options->cache_gib);
    else
        estimate_add(ret, (int)device, ESTIMATE_CACHE, elements * context * width,
                     "%llu elements x %llu tokens x %llu B", (unsigned long long)elements,
                     (unsigned long long)context, (unsigned long long)width);
}

static void add_device(const struct estimate_request *request, const struct options *options,
                       size_t device, struct estimate *ret)
{
    const struct parallel *parallel = &options->parallel;
    const struct parallel_weights weights = {1, 1, 2};
    const uint64_t stage = parallel_stage_of(parallel, device);
    const uint64_t elements = token_elements(request->shape, parallel, stage);
    const uint64_t width = estimate_contains(request->shape->quantization, "w8a8") ? 1 : 2;
    parallel_add_weights(request, parallel, &weights, device, ret);
    add_cache(options, elements, device, ret);
    estimate_add(ret, (int)device, ESTIMATE_COMPUTE,
                 options->batch * options->block * elements * width,
                 "%llu sequences x block of %llu x %llu elements x %llu B",
                 (unsigned long long)options->batch, (unsigned long long)options->block,
                 (unsigned long long)elements, (unsigned long long)width);
    estimate_add(ret, (int)device, ESTIMATE_RUNTIME, RESERVED, "reserved");
}

/* What the engine may take of a device; UINT64_MAX when it isn't known. */
static uint64_t allowance(const struct estimate_device *device, const struct options *options)
{
    if (device->total_bytes == 0)
        return UINT64_MAX;
    return min_u64((uint64_t)((double)device->total_bytes * options->fraction),
                   estimate_capacity(device));
}

/* The longest context that a device's cache could have; UINT64_MAX when nothing limits it. */
static uint64_t longest_context(const struct estimate_request *request,
                                const struct options *options, size_t device,
                                const struct estimate *estimate)
{
    const struct estimate_place *place = &estimate->devices[device];
    const uint64_t token = element_bytes(options) *
                           token_elements(request->shape, &options->parallel,
                                          parallel_stage_of(&options->parallel, device));
    const uint64_t cache = place->parts[ESTIMATE_CACHE];
    const uint64_t most = allowance(&request->devices[device], options);
    const uint64_t others = estimate_place_bytes(place) - cache;
    const uint64_t room = options->cache_gib > 0 ? cache : most > others ? most - others : 0;
    if (others + (options->cache_gib > 0 ? cache : 0) > most)
        return 0;
    return token ? room / token : UINT64_MAX;
}

static void judge(const struct estimate_request *request, const struct options *options,
                  struct estimate *ret)
{
    ret->fits = true;
    ret->context_fits = ret->context_length;
    for (size_t i = 0; i < parallel_world(&options->parallel); i++) {
        const uint64_t longest = longest_context(request, options, i, ret);
        if (longest >= ret->context_fits)
            continue;
        ret->fits = false;
        ret->context_fits = longest;
        const uint64_t most = allowance(&request->devices[i], options) / MIB;
        const uint64_t needed = estimate_place_bytes(&ret->devices[i]) / MIB;
        if (longest > 0)
            snprintf(ret->advice, sizeof ret->advice,
                     "device %zu has no room for --max-seq-len %llu; %llu fits", i,
                     (unsigned long long)ret->context_length, (unsigned long long)longest);
        else
            snprintf(ret->advice, sizeof ret->advice,
                     "device %zu needs %llu MiB, --npu-memory-fraction %.2f and what is free leave "
                     "%llu MiB; no context fits",
                     i, (unsigned long long)needed, options->fraction, (unsigned long long)most);
    }
}

static uint64_t chosen(int64_t size)
{
    return size > 0 ? (uint64_t)size : 0;
}

static int read_options(const struct estimate_request *request, struct options *ret,
                        struct err *err)
{
    *ret = (struct options){.fraction = 0.8, .block = 128, .batch = 200};
    const int rc = parameters_read(table, request->argv, request->argc, ret, err);
    if (rc < 0)
        return rc;
    ret->parallel = (struct parallel){.tensor = chosen(ret->tensor),
                                      .pipeline = chosen(ret->pipeline),
                                      .data = chosen(ret->data)};
    if (ret->context == 0)
        ret->context = (int64_t)min_u64(estimate_trained_context(request->shape, 2048), 8192);
    return parallel_settle(request, &ret->parallel, err);
}

int estimate_mindie(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    struct options options;
    const int rc = read_options(request, &options, err);
    if (rc < 0)
        return rc;
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
    return 0;
}
