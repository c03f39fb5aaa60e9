/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/parallel_priv.h"

/* A width that consists of whole blocks has to do so on every rank. */
static bool divides_width(uint64_t width, uint64_t ranks, uint64_t block)
{
    return width % ranks == 0 && (block < 2 || width % block != 0 || width / ranks % block == 0);
}

static bool divides_heads(const struct layer_shape *layer, uint64_t ranks)
{
    const uint64_t kv = layer->cache == CACHE_LATENT ? 0 : layer->head_count_kv;
    return layer->head_count % ranks == 0 && (kv == 0 || kv % ranks == 0 || ranks % kv == 0);
}

/* MXFP4 is for experts alone, whose width is padded on each rank. */
static bool divides_layer(const struct model_shape *shape, const struct layer_shape *layer,
                          uint64_t ranks, bool deals_experts)
{
    const bool is_padded = estimate_contains(shape->quantization, "mxfp4");
    const uint64_t block = is_padded ? 1 : shape->quantization_group;
    const uint64_t attended = layer->head_count * (layer->cache == CACHE_LATENT
                                                       ? shape->v_head_dim
                                                       : layer->value_length);
    if (!divides_heads(layer, ranks) || !divides_width(attended, ranks, block))
        return false;
    return (layer->is_moe && (deals_experts || is_padded)) ||
           divides_width(layer->feed_forward_length, ranks, block);
}

static bool divides_tower(const struct model_shape *shape, uint64_t ranks,
                          const struct parallel *parallel)
{
    return parallel->has_whole_towers || shape->vision_head_count % ranks == 0 ||
           estimate_contains(shape->architecture, "InternVL");
}

bool parallel_divides(const struct model_shape *shape, uint64_t ranks,
                      const struct parallel *parallel)
{
    for (uint32_t il = 0; il < shape->layer_count; il++)
        if (!divides_layer(shape, &shape->layers[il], ranks, parallel->deals_experts))
            return false;
    return divides_tower(shape, ranks, parallel);
}

/* The nearest numbers of ranks that are possible, in words: "2 or 4 do". */
static void suggest(const struct model_shape *shape, uint64_t ranks,
                    const struct parallel *parallel, char *out, size_t size)
{
    uint64_t below = ranks - 1, above = ranks + 1;
    const uint64_t limit = model_shape_head_count(shape);
    while (below > 1 && !parallel_divides(shape, below, parallel))
        below--;
    while (above <= limit && !parallel_divides(shape, above, parallel))
        above++;
    if (above <= limit)
        snprintf(out, size, "%llu or %llu do", (unsigned long long)below,
                 (unsigned long long)above);
    else
        snprintf(out, size, "%llu does", (unsigned long long)below);
}

/* What it is that `ranks` doesn't divide. */
static void describe(const struct model_shape *shape, uint64_t ranks,
                     const struct parallel *parallel, char *out, size_t size)
{
    const uint32_t heads = model_shape_head_count(shape);
    const uint32_t kv = model_shape_head_count_kv(shape);
    if (heads % ranks != 0)
        snprintf(out, size, "%u heads", heads);
    else if (kv > 0 && kv % ranks != 0 && ranks % kv != 0)
        snprintf(out, size, "%u heads of keys and values", kv);
    else if (!divides_tower(shape, ranks, parallel))
        snprintf(out, size, "%llu heads of the vision tower",
                 (unsigned long long)shape->vision_head_count);
    else if (shape->quantization_group > 1)
        snprintf(out, size, "widths of %u heads and %llu in blocks of %llu", heads,
                 (unsigned long long)model_shape_feed_forward_length(shape),
                 (unsigned long long)shape->quantization_group);
    else
        snprintf(out, size, "a width of %llu",
                 (unsigned long long)model_shape_feed_forward_length(shape));
}

static int check_tensor(const struct model_shape *shape, const struct parallel *parallel,
                        struct err *err)
{
    const uint64_t ranks = parallel->tensor;
    if (parallel_divides(shape, ranks, parallel))
        return 0;
    char what[120], possible[80];
    describe(shape, ranks, parallel, what, sizeof what);
    suggest(shape, ranks, parallel, possible, sizeof possible);
    return err_set(err, ERR_INVALID, "--tensor-parallel-size %llu doesn't divide %s; %s",
                   (unsigned long long)ranks, what, possible);
}

static int check_others(const struct estimate_request *request, const struct parallel *parallel,
                        struct err *err)
{
    const struct model_shape *shape = request->shape;
    if (shape->layer_count > 0 && parallel->pipeline > shape->layer_count)
        return err_set(err, ERR_INVALID,
                       "--pipeline-parallel-size %llu is more than the %u layers; up to %u do",
                       (unsigned long long)parallel->pipeline, shape->layer_count,
                       shape->layer_count);
    if (parallel->deals_experts && shape->expert_count > 0 &&
        parallel->expert > shape->expert_count)
        return err_set(err, ERR_INVALID,
                       "expert parallelism over %llu ranks is more than the %llu experts",
                       (unsigned long long)parallel->expert,
                       (unsigned long long)shape->expert_count);
    const size_t world = parallel_world(parallel);
    if (world <= request->device_count)
        return 0;
    char prompt[48] = "";
    if (parallel->prompt > 1)
        snprintf(prompt, sizeof prompt, " x %llu for prompts",
                 (unsigned long long)parallel->prompt);
    return err_set(err, ERR_INVALID,
                   "tensor x pipeline x data parallel size is %llu x %llu x %llu%s = %zu, but "
                   "there %s %zu device%s",
                   (unsigned long long)parallel->tensor, (unsigned long long)parallel->pipeline,
                   (unsigned long long)parallel->data, prompt, world,
                   request->device_count == 1 ? "is" : "are", request->device_count,
                   request->device_count == 1 ? "" : "s");
}

size_t parallel_world(const struct parallel *parallel)
{
    return parallel->tensor * parallel->pipeline * parallel->data * parallel->prompt;
}

void parallel_suggest_divisor(uint64_t whole, uint64_t number, char *out, size_t size)
{
    uint64_t below = min_u64(number - 1, whole), above = number + 1;
    while (below > 1 && whole % below != 0)
        below--;
    while (above <= whole && whole % above != 0)
        above++;
    if (above <= whole)
        snprintf(out, size, "%llu or %llu do", (unsigned long long)below,
                 (unsigned long long)above);
    else
        snprintf(out, size, "%llu does", (unsigned long long)below);
}

static int settle_attention(struct parallel *parallel, struct err *err)
{
    if (parallel->attention == 0)
        parallel->attention = parallel->tensor;
    if (parallel->tensor % parallel->attention == 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "attention over %llu of %llu tensor ranks: it must divide them",
                   (unsigned long long)parallel->attention, (unsigned long long)parallel->tensor);
}

int parallel_settle(const struct estimate_request *request, struct parallel *parallel,
                    struct err *err)
{
    if (request->device_count == 0)
        return err_set(err, ERR_INVALID, "the engine needs at least one device");
    parallel->pipeline = max_u64(parallel->pipeline, 1);
    parallel->data = max_u64(parallel->data, 1);
    parallel->prompt = max_u64(parallel->prompt, 1);
    if (parallel->tensor == 0)
        parallel->tensor = max_u64(request->device_count / (parallel->pipeline * parallel->data *
                                                            parallel->prompt), 1);
    parallel->expert = parallel->tensor * (parallel->has_own_experts ? 1 : parallel->data);
    int rc = check_tensor(request->shape, parallel, err);
    if (rc == 0)
        rc = settle_attention(parallel, err);
    return rc < 0 ? rc : check_others(request, parallel, err);
}

uint32_t parallel_stage_layers(uint32_t layers, uint64_t stages, uint64_t stage)
{
    const uint32_t base = (uint32_t)(layers / stages), rest = (uint32_t)(layers % stages);
    /* stages - 2, stages - 3, ...; there is nobody before the last one when it is alone */
    const bool has_more = stage + 1 < stages && stage + 1 + rest >= stages;
    return base + has_more;
}

uint32_t parallel_stage_first(uint32_t layers, uint64_t stages, uint64_t stage)
{
    uint32_t first = 0;
    for (uint64_t i = 0; i < stage; i++)
        first += parallel_stage_layers(layers, stages, i);
    return first;
}

uint64_t parallel_stage_of(const struct parallel *parallel, size_t device)
{
    return device / (parallel->tensor * parallel->prompt) % parallel->pipeline;
}

uint64_t parallel_kv_heads(const struct layer_shape *layer, const struct parallel *parallel)
{
    return layer->cache == CACHE_LATENT ? 1
                                        : max_u64(layer->head_count_kv / parallel->attention, 1);
}

/* Part of a layer's dense weights for keys and values: ranks beyond the heads repeat it. */
static double kv_part(const struct layer_shape *layer)
{
    const double kv = (double)layer->head_count_kv * (layer->key_length + layer->value_length);
    const double queries = (double)layer->head_count * (layer->key_length + layer->value_length);
    const double forward = layer->is_moe ? 0 : 3.0 * (double)layer->feed_forward_length;
    return kv > 0 ? kv / (kv + queries + forward) : 0;
}

/* Elements of a layer's dense part; of one that attends twice only its bytes tell them. */
static double dense_elements(const struct model_shape *shape, const struct layer_shape *layer,
                             const double latent[LATENT_MATRIX_COUNT])
{
    const double experts = layer->is_moe ? (double)shape->expert_shared_count : 1;
    double sum = 3.0 * (double)shape->hidden_size * (double)layer->feed_forward_length * experts;
    if (layer->has_two_caches && shape->tensor_bytes > 0)
        return (double)(layer->bytes - layer->expert_bytes) * (double)shape->parameter_count /
               (double)shape->tensor_bytes;
    for (unsigned i = 0; i < LATENT_MATRIX_COUNT; i++)
        sum += latent[i];
    return sum;
}

/* Part of MLA's matrices that lead to the low ranks: each rank has them whole. */
static double latent_part(const struct model_shape *shape, const struct layer_shape *layer)
{
    double latent[LATENT_MATRIX_COUNT];
    estimate_latent_elements(shape, layer, latent);
    const double whole = (latent[LATENT_QUERIES_DOWN] + latent[LATENT_KEYS_DOWN]) *
                         (layer->has_two_caches ? 2 : 1);
    const double all = dense_elements(shape, layer, latent);
    return all > whole ? whole / all : 0;
}

static double layer_bytes(const struct model_shape *shape, const struct parallel *parallel,
                          const struct layer_shape *layer)
{
    const bool is_latent = layer->cache == CACHE_LATENT;
    const double dense = (double)(layer->bytes - layer->expert_bytes);
    const double part = is_latent ? latent_part(shape, layer) : kv_part(layer);
    const uint64_t heads = is_latent ? 1 : layer->head_count_kv;
    const double repeats = heads ? (double)max_u64(parallel->attention / heads, 1) : 1;
    return dense / (double)parallel->attention * (1 + part * (repeats - 1)) +
           (double)layer->expert_bytes / (double)parallel->expert;
}

static uint64_t add_ends(const struct estimate_request *request, const struct parallel *parallel,
                         double factor, size_t device, struct estimate *ret)
{
    const struct model_shape *shape = request->shape;
    const uint64_t stage = parallel_stage_of(parallel, device);
    uint64_t bytes = 0;
    if (stage == 0)
        bytes += shape->input_bytes;
    if (stage == parallel->pipeline - 1)
        bytes += shape->is_tied && parallel->pipeline > 1 ? shape->input_bytes
                                                          : shape->output_bytes;
    bytes = (uint64_t)((double)bytes * factor / (double)parallel->tensor);
    estimate_add(ret, (int)device, ESTIMATE_WEIGHTS, bytes, "embedding and output over %llu",
                 (unsigned long long)parallel->tensor);
    if (request->draft && stage == parallel->pipeline - 1) {
        const uint64_t draft = ceil_div(request->draft->tensor_bytes, parallel->tensor);
        estimate_add(ret, (int)device, ESTIMATE_WEIGHTS, draft, "draft model over %llu",
                     (unsigned long long)parallel->tensor);
        bytes += draft;
    }
    const uint64_t other = stage == 0 ? shape->other_bytes : 0;
    estimate_add(ret, (int)device, ESTIMATE_WEIGHTS, other, "towers and other tensors, whole");
    estimate_add(ret, (int)device, ESTIMATE_WEIGHTS, request->lora_bytes, "adapters");
    return bytes + other + request->lora_bytes;
}

/* Quantising while loading shrinks layers only; another dtype shrinks or doubles everything. */
struct parallel_weights parallel_weights_of(const struct model_shape *shape, struct str dtype,
                                            struct str quantization)
{
    const uint64_t from = estimate_dtype_bytes(str_of(shape->dtype), 2);
    const uint64_t to = dtype.len ? estimate_dtype_bytes(dtype, min_u64(from, 2))
                                  : min_u64(from, 2);
    if (shape->is_quantized_linear)
        return (struct parallel_weights){1, 1, to};
    const double factor = (double)to / (double)from;
    if (str_eq(quantization, STR("fp8")))
        return (struct parallel_weights){1.0 / (double)from, factor, to};
    if (str_eq(quantization, STR("bitsandbytes")))
        return (struct parallel_weights){0.30 * 2 / (double)from, factor, to};
    return (struct parallel_weights){factor, factor, to};
}

uint64_t parallel_add_weights(const struct estimate_request *request,
                              const struct parallel *parallel,
                              const struct parallel_weights *weights, size_t device,
                              struct estimate *ret)
{
    const struct model_shape *shape = request->shape;
    const uint64_t stage = parallel_stage_of(parallel, device);
    const uint32_t first = parallel_stage_first(shape->layer_count, parallel->pipeline, stage);
    const uint32_t count = parallel_stage_layers(shape->layer_count, parallel->pipeline, stage);
    double sum = 0;
    for (uint32_t il = first; il < first + count; il++)
        sum += layer_bytes(shape, parallel, &shape->layers[il]);
    if (stage == parallel->pipeline - 1)
        sum += (double)shape->draft_bytes / (double)parallel->tensor;
    const uint64_t bytes = (uint64_t)(sum * weights->layer_factor);
    estimate_add(ret, (int)device, ESTIMATE_WEIGHTS, bytes, "layers %u to %u over %llu%s", first,
                 first + count - 1, (unsigned long long)parallel->tensor,
                 weights->layer_factor < 1 ? ", quantised while they are loaded" : "");
    return bytes + add_ends(request, parallel, weights->other_factor, device, ret);
}
