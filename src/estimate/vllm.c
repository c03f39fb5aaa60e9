/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vLLM's V1 engine: it takes a part of each device, fills it with weights and what a profiling run
 * needs, and gives the rest to its cache. doc/estimates.md tells where the constants come from.
 */
#include "estimate/parameters.h"
#include "estimate/vllm_priv.h"

#include "base/num.h"

#include <math.h>

enum {
    LARGE_DEVICE_GIB = 70,     /* above, the server's defaults are larger */
    SAMPLER_COPIES = 9,        /* of the logits of all sequences, while they are sorted */
    CAPTURES = 51,             /* batch sizes that graphs are captured for */
    CAPTURE_BYTES = 128 << 10, /* of a layer */
    LATENT_FP8_BYTES = 656,    /* a token of MLA in fp8_ds_mla */
    CONTEXT_UNKNOWN = 2048,
    IMAGE_TOKENS = 16384,
    IMAGE_WIDTHS = 48,
    IMAGE_HIDDEN_MIN = 1280,
    SAFETY_PERCENT = 5,        /* of a device: how far the profile may be from what is foretold */
};

struct options {
    double utilization;
    int64_t context;
    uint64_t sequences, batch;
    struct parallel parallel;
    uint64_t decode_ranks;
    bool eager, ignores_windows;
    struct str cache_dtype, quantization, dtype, tower_mode;
    uint64_t block;
    int64_t cache_bytes;
    uint64_t blocks;
    double offload_gib, swap_gib;
};

#define AT(member) offsetof(struct options, member)

static const struct parameter table[] = {
    {"gpu-memory-utilization", NULL, PARAMETER_REAL, AT(utilization), 0.01, 1},
    {"max-model-len", NULL, PARAMETER_TOKENS, AT(context), -1, ESTIMATE_CONTEXT_MAX},
    {"max-num-seqs", NULL, PARAMETER_COUNT, AT(sequences), 1, 1 << 20},
    {"max-num-batched-tokens", NULL, PARAMETER_COUNT, AT(batch), 1, ESTIMATE_BATCH_MAX},
    {"tensor-parallel-size", "-tp", PARAMETER_COUNT, AT(parallel.tensor), 1, 1024},
    {"pipeline-parallel-size", "-pp", PARAMETER_COUNT, AT(parallel.pipeline), 1, 1024},
    {"data-parallel-size", "-dp", PARAMETER_COUNT, AT(parallel.data), 1, 1024},
    {"decode-context-parallel-size", "-dcp", PARAMETER_COUNT, AT(decode_ranks), 1, 1024},
    {"prefill-context-parallel-size", "-pcp", PARAMETER_COUNT, AT(parallel.prompt), 1, 1024},
    {"enable-expert-parallel", "-ep", PARAMETER_ON, AT(parallel.deals_experts), 0, 0},
    {"disable-hybrid-kv-cache-manager", NULL, PARAMETER_ON, AT(ignores_windows), 0, 0},
    {"enforce-eager", NULL, PARAMETER_ON, AT(eager), 0, 0},
    {"kv-cache-dtype", NULL, PARAMETER_TEXT, AT(cache_dtype), 0, 0},
    {"quantization", "-q", PARAMETER_TEXT, AT(quantization), 0, 0},
    {"dtype", NULL, PARAMETER_TEXT, AT(dtype), 0, 0},
    {"mm-encoder-tp-mode", NULL, PARAMETER_TEXT, AT(tower_mode), 0, 0},
    {"block-size", NULL, PARAMETER_COUNT, AT(block), 1, 1024},
    {"kv-cache-memory-bytes", "--kv-cache-memory", PARAMETER_TOKENS, AT(cache_bytes), 1, 0x1p50},
    {"num-gpu-blocks-override", NULL, PARAMETER_COUNT, AT(blocks), 1, 1 << 30},
    {"cpu-offload-gb", NULL, PARAMETER_REAL, AT(offload_gib), 0, 65536},
    {"swap-space", NULL, PARAMETER_REAL, AT(swap_gib), 0, 65536},
    {0},
};

struct run {
    const struct estimate_request *request;
    struct options options;
    bool is_old;              /* before 0.21: graphs come on top, tokens are counted otherwise */
    struct vllm_cache_options cache_options;
    struct parallel_weights weights;
};

/* --- options ------------------------------------------------------------------------------ */

/* "0.10.2" and "v0.10.2"; UINT64_MAX when nothing is known. */
static uint64_t minor_version(const char *version)
{
    struct str rest = str_of(version), item;
    if (str_has_prefix(rest, STR("v")))
        rest = str_skip(rest, 1);
    uint64_t minor = UINT64_MAX;
    if (str_split(&rest, '.', &item) && str_eq(item, STR("0")) && str_split(&rest, '.', &item) &&
        num_parse_u64(item, &minor) < 0)
        return UINT64_MAX;
    return minor;
}

static uint64_t smallest_device(const struct estimate_request *request)
{
    uint64_t bytes = UINT64_MAX;
    for (size_t i = 0; i < request->device_count; i++)
        bytes = min_u64(bytes, request->devices[i].total_bytes);
    return bytes;
}

static void set_defaults(struct run *run)
{
    struct options *options = &run->options;
    const bool is_large = smallest_device(run->request) >= LARGE_DEVICE_GIB * GIB;
    if (options->sequences == 0) /* no more than the user's batch has tokens for */
        options->sequences = min_u64(is_large ? 1024 : 256, options->batch ? options->batch : 1024);
    if (options->batch == 0)
        options->batch = max_u64(is_large ? 8192 : 2048, options->sequences);
    if (options->context == 0)
        options->context =
            (int64_t)estimate_trained_context(run->request->shape, CONTEXT_UNKNOWN);
    if (estimate_is_encoder(run->request->shape) && options->context > 0)
        options->batch = min_u64(max_u64(options->batch, (uint64_t)options->context),
                                 ESTIMATE_BATCH_MAX); /* a text is seen at once */
    if (options->utilization == 0)
        options->utilization = run->is_old ? 0.90 : 0.92;
}

static void set_cache(struct run *run)
{
    const struct str dtype = run->options.cache_dtype;
    uint64_t bits = 8 * run->weights.dtype_bytes;
    if (str_has_prefix(dtype, STR("fp8")) || str_eq(dtype, STR("int8")))
        bits = 8;
    else if (dtype.len && !str_eq(dtype, STR("auto")))
        bits = 8 * estimate_dtype_bytes(dtype, run->weights.dtype_bytes);
    run->cache_options = (struct vllm_cache_options){
        .key_bits = bits,
        .latent_bytes = str_eq(dtype, STR("fp8_ds_mla")) ? LATENT_FP8_BYTES : 0,
        .block = run->options.block,
        .batch = run->options.batch,
        .context_ranks = max_u64(run->options.decode_ranks, 1) *
                         max_u64(run->options.parallel.prompt, 1),
        .ignores_windows = run->options.ignores_windows,
        .draft = run->request->draft};
}

/* Of the layer that has most; a latent vector counts as one. */
static uint64_t most_kv_heads(const struct model_shape *shape)
{
    uint64_t most = 1;
    for (uint32_t il = 0; il < shape->layer_count; il++)
        if (shape->layers[il].cache != CACHE_LATENT)
            most = max_u64(most, shape->layers[il].head_count_kv);
    return most;
}

/* Ranks that share a context are taken of those that would have the same heads. */
static int check_decode_ranks(const struct run *run, struct err *err)
{
    const uint64_t ranks = max_u64(run->options.decode_ranks, 1);
    const uint64_t tensor = run->options.parallel.tensor;
    const uint64_t heads = most_kv_heads(run->request->shape);
    const uint64_t most = tensor / heads ? tensor / heads : 1;
    char possible[80];
    if (ranks > most)
        return err_set(err, ERR_INVALID,
                       "--decode-context-parallel-size %llu is more than %llu tensor ranks have of "
                       "%llu heads for keys and values; up to %llu do",
                       (unsigned long long)ranks, (unsigned long long)tensor,
                       (unsigned long long)heads, (unsigned long long)most);
    if (tensor % ranks == 0)
        return 0;
    parallel_suggest_divisor(tensor, ranks, possible, sizeof possible);
    return err_set(err, ERR_INVALID,
                   "--decode-context-parallel-size %llu doesn't divide %llu tensor ranks; %s",
                   (unsigned long long)ranks, (unsigned long long)tensor, possible);
}

static int run_init(const struct estimate_request *request, struct run *ret, struct err *err)
{
    *ret = (struct run){.request = request, .is_old = minor_version(request->version) < 21};
    int rc = parameters_read(table, request->argv, request->argc, &ret->options, err);
    if (rc < 0)
        return rc;
    set_defaults(ret);
    ret->weights = parallel_weights_of(request->shape, ret->options.dtype,
                                       ret->options.quantization);
    set_cache(ret);
    ret->options.parallel.has_whole_towers = str_eq(ret->options.tower_mode, STR("data"));
    if (ret->options.batch < ret->options.sequences)
        return err_set(err, ERR_INVALID,
                       "--max-num-batched-tokens %llu is less than --max-num-seqs %llu; that many "
                       "do",
                       (unsigned long long)ret->options.batch,
                       (unsigned long long)ret->options.sequences);
    rc = parallel_settle(request, &ret->options.parallel, err);
    return rc < 0 ? rc : check_decode_ranks(ret, err);
}

/* --- what isn't cache ------------------------------------------------------------------------ */

/* Their outputs are vectors: nothing is sampled. */
static bool is_pooling(const struct model_shape *shape)
{
    return shape->kind == KIND_EMBEDDING || shape->kind == KIND_RERANKER;
}

static uint64_t sampler_bytes(const struct run *run)
{
    const struct model_shape *shape = run->request->shape;
    const uint64_t values = run->options.sequences * shape->vocabulary_size;
    return is_pooling(shape) ? 0 : values * 4 * SAMPLER_COPIES;
}

static uint64_t inner_width(const struct run *run)
{
    const struct model_shape *shape = run->request->shape;
    return 2 * model_shape_feed_forward_length(shape) * max_u64(shape->expert_used_count, 1) /
           run->options.parallel.tensor;
}

/* The largest moment of a profiling run: sorted logits, a feed-forward layer, or an image. */
static uint64_t activation_bytes(const struct run *run, char *formula, size_t size)
{
    const struct model_shape *shape = run->request->shape;
    const uint64_t batch = run->options.batch, width = run->weights.dtype_bytes;
    const uint64_t inner = inner_width(run), sampler = sampler_bytes(run);
    const uint64_t layer = batch * (4 * shape->hidden_size + inner) * width;
    const uint64_t patches = shape->vision_tokens_max ? shape->vision_tokens_max : IMAGE_TOKENS;
    const uint64_t tower = max_u64(shape->vision_hidden_size, IMAGE_HIDDEN_MIN);
    const uint64_t image = shape->has_vision ? patches * tower * IMAGE_WIDTHS * width : 0;
    if (image > sampler && image > layer)
        snprintf(formula, size, "image: %llu patches x %llu x %d x %llu B",
                 (unsigned long long)patches, (unsigned long long)tower, IMAGE_WIDTHS,
                 (unsigned long long)width);
    else if (sampler > layer)
        snprintf(formula, size, "sampler: %llu sequences x %llu x 4 B x %d",
                 (unsigned long long)run->options.sequences,
                 (unsigned long long)shape->vocabulary_size, SAMPLER_COPIES);
    else
        snprintf(formula, size, "layer: %llu tokens x (4 x %llu + %llu) x %llu B",
                 (unsigned long long)batch, (unsigned long long)shape->hidden_size,
                 (unsigned long long)inner, (unsigned long long)width);
    return max_u64(image, max_u64(sampler, layer));
}

static uint64_t graph_bytes(const struct run *run, uint32_t layers)
{
    return run->options.eager ? 0 : (uint64_t)layers * CAPTURES * CAPTURE_BYTES;
}

/* Adds all lines but the cache's; returns what the engine counts against its part. */
static uint64_t add_fixed(const struct run *run, size_t device, struct estimate *ret)
{
    const struct parallel *parallel = &run->options.parallel;
    const struct estimate_device *kind = &run->request->devices[device];
    const uint64_t stage = parallel_stage_of(parallel, device);
    const uint32_t layers = parallel_stage_layers(run->request->shape->layer_count,
                                                  parallel->pipeline, stage);
    char formula[ESTIMATE_FORMULA_SIZE];
    uint64_t weights = parallel_add_weights(run->request, parallel, &run->weights, device, ret);
    const uint64_t activation = activation_bytes(run, formula, sizeof formula);
    estimate_add(ret, (int)device, ESTIMATE_COMPUTE, activation, "%s", formula);
    const bool is_alone = parallel_world(parallel) == 1;
    const uint64_t runtime = (is_alone ? 256 : 512) * MIB + (kind->is_unified ? 2 * GIB : 0);
    estimate_add(ret, (int)device, ESTIMATE_RUNTIME, runtime, "context%s%s",
                 is_alone ? "" : " and communication",
                 kind->is_unified ? ", with the host in the same memory" : "");
    const uint64_t graphs = graph_bytes(run, layers);
    estimate_add(ret, (int)device, ESTIMATE_GRAPHS, graphs, "%u layers x 51 batch sizes x 128 KiB",
                 layers);
    const uint64_t offloaded = min_u64((uint64_t)(run->options.offload_gib * (double)GIB), weights);
    return weights - offloaded + activation + runtime + (run->is_old ? 0 : graphs);
}

/* --- the cache ------------------------------------------------------------------------------- */

/* What one device has for its cache, and the same as far as it is sure. */
struct room {
    uint64_t expected, sure;
    bool is_known; /* the device's size, or the cache's by a parameter */
};

static struct room room_of(const struct run *run, size_t device, uint64_t fixed)
{
    const uint64_t total = run->request->devices[device].total_bytes;
    if (run->options.cache_bytes > 0) {
        const uint64_t bytes = (uint64_t)run->options.cache_bytes;
        return (struct room){bytes, bytes, true};
    }
    if (total == 0 || run->request->is_minimal)
        return (struct room){0};
    const uint64_t part = (uint64_t)ceil((double)total * run->options.utilization);
    const uint64_t expected = part > fixed ? part - fixed : 0;
    const uint64_t margin = total * SAFETY_PERCENT / 100;
    return (struct room){expected, expected > margin ? expected - margin : 0, true};
}

struct device_result {
    uint64_t blocks, sure_blocks;
    struct vllm_cache cache;
    struct room room;
};

static int add_device(const struct run *run, size_t device, struct device_result *ret,
                      struct estimate *estimate, struct err *err)
{
    const struct parallel *parallel = &run->options.parallel;
    const uint64_t fixed = add_fixed(run, device, estimate);
    const int rc = vllm_cache_make(run->request->shape, parallel,
                                   parallel_stage_of(parallel, device), &run->cache_options,
                                   &ret->cache, err);
    if (rc < 0)
        return rc;
    ret->room = room_of(run, device, fixed);
    ret->blocks = vllm_cache_blocks(&ret->cache, ret->room.expected);
    ret->sure_blocks = vllm_cache_blocks(&ret->cache, ret->room.sure);
    if (run->options.blocks)
        ret->blocks = ret->sure_blocks = run->options.blocks;
    return 0;
}

static void add_cache_line(const struct run *run, const struct device_result *device, size_t index,
                           uint64_t context, struct estimate *ret)
{
    const struct vllm_cache *cache = &device->cache;
    if (cache->kind_count == 0)
        return;
    uint64_t bytes = device->room.expected;
    uint64_t blocks = device->blocks;
    if (!device->room.is_known) {
        blocks = vllm_cache_pages(cache, context);
        bytes = vllm_cache_bytes(cache, context);
    } else if (run->options.blocks) {
        bytes = blocks * cache->page_bytes * cache->group_size;
    }
    estimate_add(ret, (int)index, ESTIMATE_CACHE, bytes,
                 "%llu blocks of %llu tokens x %llu layers x %llu B; %llu group%s",
                 (unsigned long long)blocks, (unsigned long long)cache->block,
                 (unsigned long long)cache->group_size, (unsigned long long)cache->page_bytes,
                 (unsigned long long)cache->groups, cache->groups == 1 ? "" : "s");
}

/* Tokens as the engine's log tells them. */
static uint64_t reported_tokens(const struct run *run, const struct device_result *device,
                                uint64_t context)
{
    const struct vllm_cache *cache = &device->cache;
    if (cache->kind_count == 0)
        return 0;
    if (run->is_old || context == 0)
        return device->blocks / cache->groups * cache->block * cache->context_ranks;
    const double at_once = (double)device->blocks / (double)vllm_cache_pages(cache, context);
    return (uint64_t)(at_once * (double)context);
}

/* --- the verdict ----------------------------------------------------------------------------- */

/* The engine ends at once when its part of a device isn't free. */
static void check_free(const struct run *run, struct estimate *ret)
{
    for (size_t i = 0; i < run->request->device_count && ret->fits; i++) {
        const struct estimate_device *device = &run->request->devices[i];
        const double total = (double)device->total_bytes;
        if (run->options.cache_bytes > 0 || device->free_bytes == 0 || total == 0 ||
            (double)device->free_bytes >= total * run->options.utilization)
            continue;
        ret->fits = false;
        snprintf(ret->advice, sizeof ret->advice,
                 "--gpu-memory-utilization %.2f of device %zu isn't free; up to %.2f is",
                 run->options.utilization, i,
                 floor(100 * (double)device->free_bytes / total) / 100);
    }
}

static void judge(const struct run *run, uint64_t context, uint64_t longest, struct estimate *ret)
{
    ret->context_fits = longest;
    ret->fits = true;
    if (longest >= context) {
        check_free(run, ret);
        return;
    }
    ret->fits = false;
    if (longest > 0)
        snprintf(ret->advice, sizeof ret->advice,
                 "the cache may have no room for --max-model-len %llu; %llu is sure to fit",
                 (unsigned long long)context, (unsigned long long)longest);
    else
        snprintf(ret->advice, sizeof ret->advice,
                 "weights and activations leave no room for a cache; more or larger devices would");
}

/* Of the worker that the engine starts on. */
static void add_host(const struct run *run, struct estimate *ret)
{
    const uint64_t ranks = estimate_local_devices(run->request);
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, 2 * GIB + ranks * GIB,
                 "server 2 GiB, 1 GiB a rank");
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_WEIGHTS,
                 (uint64_t)(run->options.offload_gib * (double)GIB) * ranks,
                 "--cpu-offload-gb %g a device", run->options.offload_gib);
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_CACHE,
                 (uint64_t)(run->options.swap_gib * (double)GIB) * ranks,
                 "--swap-space %g a device", run->options.swap_gib);
}

/* The smallest of the devices decides; those without a cache (encoders) don't. */
static int add_devices(const struct run *run, struct estimate *ret, struct err *err)
{
    const bool is_open = run->options.context < 0;
    const uint64_t trained = estimate_trained_context(run->request->shape, CONTEXT_UNKNOWN);
    const uint64_t wanted = is_open ? trained : (uint64_t)run->options.context;
    const struct parallel *parallel = &run->options.parallel;
    const size_t world = parallel_world(parallel);
    uint64_t longest = UINT64_MAX, tokens = UINT64_MAX;
    for (size_t i = 0; i < world; i++) {
        struct device_result device = {0};
        const int rc = add_device(run, i, &device, ret, err);
        if (rc < 0)
            return rc;
        add_cache_line(run, &device, i, wanted, ret);
        if (device.cache.kind_count == 0 || !(device.room.is_known || run->options.blocks))
            continue;
        longest = min_u64(longest, vllm_cache_longest(&device.cache, device.sure_blocks,
                                                      max_u64(wanted, trained)));
        tokens = min_u64(tokens, reported_tokens(run, &device, is_open ? 0 : wanted));
    }
    ret->context_length = is_open ? min_u64(longest, wanted) : wanted; /* what is sure */
    ret->cache_tokens = tokens == UINT64_MAX ? 0 : tokens;
    longest = min_u64(longest, max_u64(wanted, trained));
    judge(run, is_open ? 1 : wanted, longest, ret);
    return 0;
}

int estimate_vllm(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    struct run run;
    int rc = run_init(request, &run, err);
    if (rc == 0)
        rc = add_devices(&run, ret, err);
    if (rc < 0)
        return rc;
    add_host(&run, ret);
    ret->sequences = run.options.sequences;
    ret->tensor_parallel = (unsigned)run.options.parallel.tensor;
    ret->pipeline_parallel = (unsigned)run.options.parallel.pipeline;
    ret->data_parallel = (unsigned)run.options.parallel.data;
    const bool is_counted = run.options.cache_bytes > 0 || run.options.blocks > 0;
    if (ret->fits && (is_counted || ret->devices[0].parts[ESTIMATE_CACHE] == 0))
        estimate_judge(request, ret); /* the sum isn't a part of the device */
    return 0;
}
