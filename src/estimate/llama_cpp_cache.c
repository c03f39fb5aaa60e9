/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/llama_cpp_priv.h"

/* What the layers of one kind on one device add up to; they differ in nothing that matters. */
struct cache_sum {
    unsigned layers;
    uint64_t keys, values, index, state;
    uint64_t cells, key_width, value_width;
    bool differs; /* their widths */
};

uint64_t llama_layer_cells(const struct llama_plan *plan, const struct layer_shape *layer)
{
    const bool is_window = layer->cache == CACHE_WINDOW || layer->cache == CACHE_CHUNK;
    if (!is_window || layer->window == 0 || plan->options.swa_full)
        return plan->context;
    const uint64_t seen = layer->window * (plan->is_unified ? plan->sequences : 1);
    return round_up(min_u64(plan->context, seen + plan->tokens), LLAMA_PAD);
}

static uint64_t row_bytes(const struct llama_type *type, uint64_t elements)
{
    return ceil_div(elements, type->elements) * type->bytes;
}

static bool keeps_tokens(const struct layer_shape *layer)
{
    switch ((enum layer_cache)layer->cache) {
    case CACHE_FULL:
    case CACHE_LATENT:
    case CACHE_WINDOW:
    case CACHE_CHUNK:
    case CACHE_FULL_AND_STATE:
        return true;
    case CACHE_NONE:
    case CACHE_STATE:
    case LAYER_CACHE_COUNT:
        break;
    }
    return false;
}

/* Without flash attention values lie transposed, and all layers have the widest one's row. */
static uint64_t widest_values(const struct llama_plan *plan)
{
    uint64_t width = 0;
    for (uint32_t il = 0; il < plan->shape->layer_count; il++) {
        const struct layer_shape *layer = &plan->shape->layers[il];
        if (keeps_tokens(layer))
            width = max_u64(width, (uint64_t)layer->value_length * layer->head_count_kv);
    }
    return width;
}

static void add_layer(const struct llama_plan *plan, const struct layer_shape *layer,
                      uint64_t widest, struct cache_sum *sum)
{
    const bool is_latent = layer->cache == CACHE_LATENT;
    const uint64_t cells = llama_layer_cells(plan, layer) * plan->streams;
    const uint64_t heads = is_latent ? 1 : layer->head_count_kv;
    const uint64_t keys = layer->key_length * heads;
    uint64_t values = is_latent ? 0 : layer->value_length * heads;
    if (!plan->flash_attention && values > 0)
        values = widest;
    if (sum->layers++ > 0 && (keys != sum->key_width || values != sum->value_width))
        sum->differs = true;
    sum->keys += row_bytes(plan->type_k, keys) * cells;
    sum->values += row_bytes(plan->type_v, values) * cells;
    sum->index += row_bytes(plan->type_k, layer->indexer_length) * cells;
    sum->cells = cells;
    sum->key_width = keys;
    sum->value_width = values;
}

static void add_line(const struct llama_plan *plan, const struct cache_sum *sum, int device,
                     const char *word, struct estimate *ret)
{
    const uint64_t bytes = sum->keys + sum->values;
    if (sum->differs)
        estimate_add(ret, device, ESTIMATE_CACHE, bytes,
                     "%s: sum over %u layers of (K %s + V %s) x %llu cells", word, sum->layers,
                     plan->type_k->name, plan->type_v->name, (unsigned long long)sum->cells);
    else
        estimate_add(ret, device, ESTIMATE_CACHE, bytes,
                     "%s: %u layers x (K %llu %s + V %llu %s) x %llu cells", word, sum->layers,
                     (unsigned long long)sum->key_width, plan->type_k->name,
                     (unsigned long long)sum->value_width, plan->type_v->name,
                     (unsigned long long)sum->cells);
    estimate_add(ret, device, ESTIMATE_CACHE, sum->index,
                 "index keys of sparse attention: %u layers x %llu cells", sum->layers,
                 (unsigned long long)sum->cells);
}

static void add_states(const struct llama_plan *plan, int device, struct estimate *ret)
{
    uint64_t conv = 0, ssm = 0;
    unsigned layers = 0;
    for (uint32_t il = 0; il < plan->shape->layer_count; il++) {
        const struct layer_shape *layer = &plan->shape->layers[il];
        const int at = plan->options.kv_offload ? plan->layer_device[il] : ESTIMATE_HOST;
        if (at != device || layer->state_conv + layer->state_ssm == 0)
            continue;
        layers++;
        conv += layer->state_conv * 4 * plan->sequences;
        ssm += layer->state_ssm * 4 * plan->sequences;
    }
    estimate_add(ret, device, ESTIMATE_STATE, conv + ssm,
                 "%u recurrent layers x %llu slots x f32: convolution %llu B + state %llu B",
                 layers, (unsigned long long)plan->sequences, (unsigned long long)conv,
                 (unsigned long long)ssm);
}

static void add_place(const struct llama_plan *plan, int device, struct estimate *ret)
{
    struct cache_sum full = {0}, window = {0};
    const uint64_t widest = widest_values(plan);
    for (uint32_t il = 0; il < plan->shape->layer_count; il++) {
        const struct layer_shape *layer = &plan->shape->layers[il];
        const int at = plan->options.kv_offload ? plan->layer_device[il] : ESTIMATE_HOST;
        if (at != device || !keeps_tokens(layer))
            continue;
        const bool is_window = layer->cache == CACHE_WINDOW || layer->cache == CACHE_CHUNK;
        add_layer(plan, layer, widest, is_window ? &window : &full);
    }
    add_line(plan, &full, device, "keys and values", ret);
    add_line(plan, &window, device, "keys and values of windows", ret);
    add_states(plan, device, ret);
}

void llama_add_caches(const struct llama_plan *plan, struct estimate *ret)
{
    if (plan->is_encoder)
        return;
    for (int device = ESTIMATE_HOST; device < (int)ret->device_count; device++)
        add_place(plan, device, ret);
}
