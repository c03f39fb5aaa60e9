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
    int64_t chunk; /* tokens; -1: prompts aren't cut; 0: by the device */
    uint64_t graph_batch, sequences;
    struct parallel parallel;
    uint64_t expert_ranks;
    bool shares_attention;
    struct str cache_dtype, speculative, dtype, quantization;
    struct parallel_weights weights;
    int64_t total_tokens;
};

enum { CHUNK_MIN = 2048 };

#define AT(member) offsetof(struct options, member)

static const struct parameter table[] = {
    {"mem-fraction-static", NULL, PARAMETER_REAL, AT(fraction), 0.01, 1},
    {"context-length", NULL, PARAMETER_TOKENS, AT(context), 1, ESTIMATE_CONTEXT_MAX},
    {"chunked-prefill-size", NULL, PARAMETER_NUMBER, AT(chunk), -1, ESTIMATE_BATCH_MAX},
    {"cuda-graph-max-bs", NULL, PARAMETER_COUNT, AT(graph_batch), 1, 1 << 20},
    {"max-running-requests", NULL, PARAMETER_COUNT, AT(sequences), 1, 1 << 20},
    {"max-total-tokens", NULL, PARAMETER_TOKENS, AT(total_tokens), 1, ESTIMATE_CONTEXT_MAX},
    {"tensor-parallel-size", "--tp-size --tp", PARAMETER_COUNT, AT(parallel.tensor), 1, 1024},
    {"pipeline-parallel-size", "--pp-size --pp", PARAMETER_COUNT, AT(parallel.pipeline), 1, 1024},
    {"data-parallel-size", "--dp-size --dp", PARAMETER_COUNT, AT(parallel.data), 1, 1024},
    {"expert-parallel-size", "--ep-size --ep", PARAMETER_COUNT, AT(expert_ranks), 1, 1024},
    {"enable-ep-moe", NULL, PARAMETER_ON, AT(parallel.deals_experts), 0, 0},
    {"enable-dp-attention", NULL, PARAMETER_ON, AT(shares_attention), 0, 0},
    {"kv-cache-dtype", NULL, PARAMETER_TEXT, AT(cache_dtype), 0, 0},
    {"dtype", NULL, PARAMETER_TEXT, AT(dtype), 0, 0},
    {"quantization", NULL, PARAMETER_TEXT, AT(quantization), 0, 0},
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

/* It goes by the smallest device. */
static const struct estimate_device *smallest_device(const struct estimate_request *request)
{
    const struct estimate_device *smallest = &request->devices[0];
    for (size_t i = 1; i < request->device_count; i++)
        if (request->devices[i].total_bytes < smallest->total_bytes)
            smallest = &request->devices[i];
    return smallest;
}

static void set_profile(struct options *options, const struct estimate_device *device)
{
    const bool is_npu = device->vendor && (strcmp(device->vendor, "ascend") == 0 ||
                                           strcmp(device->vendor, "huawei") == 0);
    uint64_t chunk = 4096, batch = 160;
    for (size_t i = 0; device->total_bytes && i < ARRAY_LEN(profiles); i++) {
        const bool is_below = device->total_bytes < profiles[i].below_gib * GIB;
        if ((profiles[i].below_gib && !is_below) || (profiles[i].is_npu && !is_npu))
            continue;
        chunk = profiles[i].chunk;
        batch = options->parallel.tensor < 4 ? profiles[i].batch : profiles[i].batch_of_many;
        break;
    }
    if (options->chunk == 0)
        options->chunk = (int64_t)chunk;
    if (options->graph_batch == 0)
        options->graph_batch = batch;
}

/* Tokens that are prefilled at a time, as the engine counts them: at least 2048. */
static uint64_t chunk_tokens(const struct options *options)
{
    return options->chunk > CHUNK_MIN ? (uint64_t)options->chunk : CHUNK_MIN;
}

static double reserved_mib(const struct options *options, double total_mib)
{
    const struct parallel *parallel = &options->parallel;
    const double batch = (double)options->graph_batch;
    double sum = 512 + 1.5 * (double)chunk_tokens(options) + 2 * batch +
                 (double)(parallel->tensor * parallel->pipeline) / 8 * 1024;
    if (options->shares_attention)
        sum += (batch > 300 ? 4.5 : 3) * batch *
               (double)(parallel->tensor / parallel->attention);
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

/* Pages of one token. */
static int make_cache(const struct estimate_request *request, const struct options *options,
                      size_t device, struct vllm_cache *ret, struct err *err)
{
    const bool is_small = str_has_prefix(options->cache_dtype, STR("fp8"));
    const struct vllm_cache_options how = {
        .key_bits = is_small ? 8 : 8 * options->weights.dtype_bytes,
        .block = 1,
        .batch = chunk_tokens(options),
        .draft = request->draft};
    return vllm_cache_make(request->shape, &options->parallel,
                           parallel_stage_of(&options->parallel, device), &how, ret, err);
}

/* What a device is cut into: a part for weights and cache, and the rest. Other tenants aren't. */
struct room {
    uint64_t cache, rest;
    double fraction;
    bool is_open; /* the size isn't known, or doesn't matter: then as much as a request needs */
};

static struct room room_of(const struct estimate_request *request, const struct options *options,
                           size_t device, uint64_t weights)
{
    const uint64_t total = request->devices[device].total_bytes;
    const uint64_t capacity = estimate_capacity(&request->devices[device]);
    const double mib = (double)total / (double)MIB;
    struct room room = {.fraction = fraction_of(options, request->shape, total),
                        .is_open = total == 0 || request->is_minimal};
    const uint64_t part = (uint64_t)((double)capacity * room.fraction);
    room.cache = part > weights ? part - weights : 0;
    room.rest = room.is_open ? (uint64_t)reserved_mib(options, mib) * MIB
                             : capacity - min_u64(part, capacity);
    return room;
}

static void add_cache_line(const struct vllm_cache *cache, const struct room *room, size_t device,
                           uint64_t context, uint64_t bytes, struct estimate *ret)
{
    const uint64_t token = cache->page_bytes * cache->group_size;
    if (room->is_open)
        estimate_add(ret, (int)device, ESTIMATE_CACHE, bytes, "%llu tokens of %llu B",
                     (unsigned long long)context, (unsigned long long)token);
    else
        estimate_add(ret, (int)device, ESTIMATE_CACHE, bytes,
                     "%.3f of the device less weights: tokens of %llu B", room->fraction,
                     (unsigned long long)token);
}

static int add_device(const struct estimate_request *request, const struct options *options,
                      size_t device, uint64_t context, struct estimate *ret, struct err *err)
{
    const uint64_t weights =
        parallel_add_weights(request, &options->parallel, &options->weights, device, ret);
    struct vllm_cache cache;
    const int rc = make_cache(request, options, device, &cache, err);
    if (rc < 0)
        return rc;
    const struct room room = room_of(request, options, device, weights);
    uint64_t bytes = room.is_open ? vllm_cache_bytes(&cache, context) : room.cache;
    if (options->total_tokens > 0)
        bytes = min_u64(bytes, vllm_cache_bytes(&cache, (uint64_t)options->total_tokens));
    if (cache.kind_count > 0)
        add_cache_line(&cache, &room, device, context, bytes, ret);
    estimate_add(ret, (int)device, ESTIMATE_COMPUTE, room.rest,
                 "what mem_fraction_static leaves: chunks of %llu, graphs up to %llu sequences",
                 (unsigned long long)chunk_tokens(options),
                 (unsigned long long)options->graph_batch);
    const uint64_t blocks = vllm_cache_blocks(&cache, bytes);
    const uint64_t longest = vllm_cache_longest(&cache, blocks, context);
    const uint64_t tokens = cache.kind_count ? blocks / cache.groups : 0;
    ret->cache_tokens = device == 0 ? tokens : min_u64(ret->cache_tokens, tokens);
    ret->context_fits = device == 0 ? longest : min_u64(ret->context_fits, longest);
    return 0;
}

/* --enable-dp-attention: replicas of attention among the tensor ranks, not beside them. */
static int fold_replicas(const struct estimate_request *request, struct options *options,
                         struct err *err)
{
    struct parallel *parallel = &options->parallel;
    const uint64_t replicas = max_u64(parallel->data, 1);
    char possible[80];
    if (!options->shares_attention)
        return 0;
    if (parallel->tensor == 0)
        parallel->tensor = max_u64(request->device_count / max_u64(parallel->pipeline, 1), 1);
    if (parallel->tensor % replicas != 0) {
        parallel_suggest_divisor(parallel->tensor, replicas, possible, sizeof possible);
        return err_set(err, ERR_INVALID,
                       "--data-parallel-size %llu doesn't divide %llu tensor ranks; %s",
                       (unsigned long long)replicas, (unsigned long long)parallel->tensor,
                       possible);
    }
    parallel->attention = parallel->tensor / replicas;
    parallel->data = 1;
    return 0;
}

static int check_expert_ranks(const struct options *options, struct err *err)
{
    const uint64_t tensor = options->parallel.tensor, ranks = max_u64(options->expert_ranks, 1);
    char possible[80];
    if (tensor % ranks == 0)
        return 0;
    parallel_suggest_divisor(tensor, ranks, possible, sizeof possible);
    return err_set(err, ERR_INVALID,
                   "--expert-parallel-size %llu doesn't divide %llu tensor ranks; %s",
                   (unsigned long long)ranks, (unsigned long long)tensor, possible);
}

static int read_options(const struct estimate_request *request, struct options *ret,
                        struct err *err)
{
    *ret = (struct options){.parallel.has_own_experts = true};
    int rc = parameters_read(table, request->argv, request->argc, ret, err);
    if (rc == 0)
        rc = fold_replicas(request, ret, err);
    ret->parallel.deals_experts |= ret->expert_ranks > 1;
    if (rc == 0)
        rc = parallel_settle(request, &ret->parallel, err);
    if (rc == 0)
        rc = check_expert_ranks(ret, err);
    if (rc < 0)
        return rc;
    ret->weights = parallel_weights_of(request->shape, ret->dtype, ret->quantization);
    set_profile(ret, smallest_device(request));
    return 0;
}

static void judge(const struct estimate_request *request, struct estimate *ret)
{
    ret->fits = ret->context_fits >= ret->context_length;
    if (ret->fits && ret->devices[0].parts[ESTIMATE_CACHE] == 0)
        estimate_judge(request, ret); /* no cache, or one of nothing */
    else if (!ret->fits)
        snprintf(ret->advice, sizeof ret->advice,
                 "the cache has no room for --context-length %llu; %llu fits",
                 (unsigned long long)ret->context_length, (unsigned long long)ret->context_fits);
}

int estimate_sglang(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    struct options options;
    int rc = read_options(request, &options, err);
    if (rc < 0)
        return rc;
    const struct parallel *parallel = &options.parallel;
    ret->context_length = options.context > 0 ? (uint64_t)options.context
                                              : estimate_trained_context(request->shape, 2048);
    for (size_t i = 0; rc == 0 && i < parallel_world(parallel); i++)
        rc = add_device(request, &options, i, ret->context_length, ret, err);
    if (rc < 0)
        return rc;
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME,
                 2 * GIB + estimate_local_devices(request) * GIB, "server 2 GiB, 1 GiB a rank");
    ret->tensor_parallel = (unsigned)parallel->tensor;
    ret->pipeline_parallel = (unsigned)parallel->pipeline;
    ret->data_parallel = (unsigned)parallel->data;
    ret->sequences = options.sequences;
    judge(request, ret);
    return 0;
}
