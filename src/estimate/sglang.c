/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SGLang: a fixed part of each device (mem_fraction_static) is for weights and the cache of keys
 * and values, the rest for activations and graphs. The part follows from the device's size.
 */
#include "estimate/parameters.h"
#include "estimate/vllm_priv.h"

#include <math.h>

struct options {
    double fraction;
    int64_t context;
    uint64_t chunk, graph_batch, sequences;
    struct parallel parallel;
    bool deals_experts, shares_attention, no_graph;
    struct str cache_dtype, speculative, dtype;
    int64_t total_tokens;
};

#define AT(member) offsetof(struct options, member)

static const struct parameter table[] = {
    {"mem-fraction-static", NULL, PARAMETER_REAL, AT(fraction), 0.01, 1},
    {"context-length", NULL, PARAMETER_TOKENS, AT(context), 1, ESTIMATE_CONTEXT_MAX},
    {"chunked-prefill-size", NULL, PARAMETER_COUNT, AT(chunk), 1, ESTIMATE_BATCH_MAX},
    {"cuda-graph-max-bs", NULL, PARAMETER_COUNT, AT(graph_batch), 1, 1 << 20},
    {"max-running-requests", NULL, PARAMETER_COUNT, AT(sequences), 1, 1 << 20},
    {"max-total-tokens", NULL, PARAMETER_TOKENS, AT(total_tokens), 1, ESTIMATE_CONTEXT_MAX},
    {"tensor-parallel-size", "--tp-size --tp", PARAMETER_COUNT, AT(parallel.tensor), 1, 1024},
    {"pipeline-parallel-size", "--pp-size --pp", PARAMETER_COUNT, AT(parallel.pipeline), 1, 1024},
    {"data-parallel-size", "--dp-size --dp", PARAMETER_COUNT, AT(parallel.data), 1, 1024},
    {"enable-ep-moe", NULL, PARAMETER_ON, AT(deals_experts), 0, 0},
    {"enable-dp-attention", NULL, PARAMETER_ON, AT(shares_attention), 0, 0},
    {"disable-cuda-graph", NULL, PARAMETER_ON, AT(no_graph), 0, 0},
    {"kv-cache-dtype", NULL, PARAMETER_TEXT, AT(cache_dtype), 0, 0},
    {"dtype", NULL, PARAMETER_TEXT, AT(dtype), 0, 0},
    {"speculative-algorithm", NULL, PARAMETER_TEXT, AT(speculative), 0, 0},
    {0},
};

/* By the smallest device: tokens of a chunk, largest captured batch below and from 4 ranks on. */
static const struct {
    unsigned below_gib;
    bool is_npu;
    uint64_t chunk, batch, batch_of_many;
} profiles[] = {
    {20, false, 2048, 8, 8},      {32, true, 32768, 16, 64},   {35, false, 2048, 24, 80},
    {60, false, 4096, 32, 160},   {64, true, 32768, 64, 128},  {90, false, 8192, 256, 512},
    {160, false, 8192, 256, 512}, {0, false, 16384, 512, 512},
};

static void set_profile(struct options *options, const struct estimate_device *device,
                        uint64_t ranks)
{
    const bool is_npu = device->vendor && (strcmp(device->vendor, "ascend") == 0 ||
                                           strcmp(device->vendor, "huawei") == 0);
    uint64_t chunk = 4096, batch = 160;
    for (size_t i = 0; device->total_bytes && i < ARRAY_LEN(profiles); i++) {
        const bool is_below = device->total_bytes < profiles[i].below_gib * GIB;
        if ((profiles[i].below_gib && !is_below) || (profiles[i].is_npu && !is_npu))
            continue;
        chunk = profiles[i].chunk;
        batch = ranks < 4 ? profiles[i].batch : profiles[i].batch_of_many;
        break;
    }
    if (options->chunk == 0)
        options->chunk = chunk;
    if (options->graph_batch == 0)
        options->graph_batch = batch;
}

static double reserved_mib(const struct options *options, double total_mib)
{
    const struct parallel *parallel = &options->parallel;
    const double batch = (double)options->graph_batch, data = (double)parallel->data;
    double sum = 512 + 1.5 * (double)max_u64(options->chunk, 2048) + 2 * batch +
                 (double)(parallel->tensor * parallel->pipeline) / 8 * 1024;
    if (options->shares_attention)
        sum += (batch > 300 ? 4.5 : 3) * batch * data;
    if (total_mib > 60 * 1024 && sum < 10 * 1024)
        sum = 10 * 1024;
    if (str_eq_nocase(options->speculative, STR("STANDALONE")))
        sum += 6 * 1024;
    else if (options->speculative.len && !str_eq_nocase(options->speculative, STR("NGRAM")))
        sum += 2 * 1024;
    return sum;
}

/* A tower for images costs by its size, compared with one of 24 layers of 1024. */
static double vision_factor(const struct model_shape *shape)
{
    if (!shape->has_vision)
        return 1;
    const double size = (double)shape->vision_layer_count * (double)shape->vision_hidden_size *
                        (double)shape->vision_hidden_size / (24.0 * 1024 * 1024);
    const double factor = 1 - 0.1 * (size - 1);
    return 0.95 * fmin(fmax(factor, 0.8), 1.05);
}

static double fraction_of(const struct options *options, const struct model_shape *shape,
                          uint64_t total)
{
    if (options->fraction > 0)
        return options->fraction;
    const double mib = (double)total / (double)MIB;
    const double left = mib - reserved_mib(options, mib);
    const double fraction = total && left > 0 ? round(left / mib * 1000) / 1000 : 0.88;
    return fraction * vision_factor(shape);
}

static uint64_t cache_bits(const struct options *options, const struct model_shape *shape)
{
    if (str_has_prefix(options->cache_dtype, STR("fp8")))
        return 8;
    return 8 * estimate_dtype_bytes(options->dtype,
                                    min_u64(estimate_dtype_bytes(str_of(shape->dtype), 2), 2));
}

/* Pages of one token. */
static int make_cache(const struct estimate_request *request, const struct options *options,
                      size_t device, struct vllm_cache *ret, struct err *err)
{
    const struct vllm_cache_options how = {.key_bits = cache_bits(options, request->shape),
                                           .block = 1,
                                           .batch = options->chunk};
    return vllm_cache_make(request->shape, &options->parallel,
                           parallel_stage_of(&options->parallel, device), &how, ret, err);
}

static int add_device(const struct estimate_request *request, const struct options *options,
                      size_t device, uint64_t context, struct estimate *ret, struct err *err)
{
    const struct parallel_weights weights = {1, 1};
    const uint64_t total = request->devices[device].total_bytes;
    const double fraction = fraction_of(options, request->shape, total);
    const uint64_t fixed =
        parallel_add_weights(request, &options->parallel, &weights, device, ret);
    struct vllm_cache cache;
    const int rc = make_cache(request, options, device, &cache, err);
    if (rc < 0)
        return rc;
    const uint64_t room = (uint64_t)((double)total * fraction);
    uint64_t bytes = room > fixed ? room - fixed : 0;
    const bool is_open = total == 0 || request->is_minimal;
    if (is_open)
        bytes = vllm_cache_bytes(&cache, context);
    if (options->total_tokens > 0)
        bytes = min_u64(bytes, vllm_cache_bytes(&cache, (uint64_t)options->total_tokens));
    if (cache.kind_count > 0)
        estimate_add(ret, (int)device, ESTIMATE_CACHE, bytes,
                     "%.3f of the device less weights: tokens of %llu B", fraction,
                     (unsigned long long)(cache.page_bytes * cache.group_size));
    estimate_add(ret, (int)device, ESTIMATE_COMPUTE,
                 is_open ? (uint64_t)reserved_mib(options, 0) * MIB : total - min_u64(room, total),
                 "what mem_fraction_static leaves: chunks of %llu, graphs up to %llu sequences",
                 (unsigned long long)options->chunk, (unsigned long long)options->graph_batch);
    const uint64_t blocks = vllm_cache_blocks(&cache, bytes);
    const uint64_t longest = vllm_cache_longest(&cache, blocks, context);
    const uint64_t tokens = cache.kind_count ? blocks / cache.groups : 0;
    ret->cache_tokens = device == 0 ? tokens : min_u64(ret->cache_tokens, tokens);
    ret->context_fits = device == 0 ? longest : min_u64(ret->context_fits, longest);
    return 0;
}

int estimate_sglang(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    struct options options = {0};
    int rc = parameters_read(table, request->argv, request->argc, &options, err);
    options.parallel.expert = options.deals_experts ? 2 : 0;
    if (rc == 0)
        rc = parallel_settle(request, &options.parallel, err);
    if (rc < 0)
        return rc;
    const struct parallel *parallel = &options.parallel;
    const size_t world = parallel->tensor * parallel->pipeline * parallel->data;
    set_profile(&options, &request->devices[0], parallel->tensor);
    ret->context_length = options.context > 0 ? (uint64_t)options.context
                                              : estimate_trained_context(request->shape, 2048);
    for (size_t i = 0; rc == 0 && i < world; i++)
        rc = add_device(request, &options, i, ret->context_length, ret, err);
    if (rc < 0)
        return rc;
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, 2 * GIB + estimate_local_devices(request) * GIB,
                 "server 2 GiB, 1 GiB a rank");
    ret->tensor_parallel = (unsigned)parallel->tensor;
    ret->pipeline_parallel = (unsigned)parallel->pipeline;
    ret->data_parallel = (unsigned)parallel->data;
    ret->sequences = options.sequences;
    ret->fits = ret->context_fits >= ret->context_length || request->shape->layer_count == 0;
    if (!ret->fits)
        snprintf(ret->advice, sizeof ret->advice,
                 "the cache has no room for --context-length %llu; %llu fits",
                 (unsigned long long)ret->context_length, (unsigned long long)ret->context_fits);
    return 0;
}
