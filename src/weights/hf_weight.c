/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_weight_priv.h"

#include "weights/json_view.h"

uint64_t hf_weight_times(uint64_t a, uint64_t b)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product) || product > HF_WEIGHT_MAX)
        return HF_WEIGHT_MAX;
    return product;
}

uint64_t hf_weight_plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum) || sum > HF_WEIGHT_MAX)
        return HF_WEIGHT_MAX;
    return sum;
}

uint64_t hf_weight_total(const struct hf_weight *weight)
{
    return hf_weight_plus(hf_weight_plus(weight->linear, weight->experts), weight->plain);
}

static void add(uint64_t *slot, uint64_t a, uint64_t b)
{
    *slot = hf_weight_plus(*slot, hf_weight_times(a, b));
}

/* --- mixers ---------------------------------------------------------------------------------- */

static void add_attention(const struct hf_config *config, const struct layer_shape *layer,
                          struct hf_weight *to)
{
    const uint64_t width = config->hidden_size;
    const uint64_t heads = (uint64_t)layer->head_count * layer->key_length;
    const uint64_t keys = (uint64_t)layer->head_count_kv * layer->key_length;
    const uint64_t values = (uint64_t)layer->head_count_kv * layer->value_length;
    add(&to->linear, width, heads);
    add(&to->linear, width, keys);
    add(&to->linear, width, values);
    add(&to->linear, width, (uint64_t)layer->head_count * layer->value_length);
    if (config->family.traits & HF_GATED_QUERY)
        add(&to->linear, width, heads);
    if (config->has_attention_bias)
        to->plain = hf_weight_plus(to->plain, hf_weight_plus(heads, keys + values));
}

/* Low-rank matrices for queries and for keys with values, and the index of a sparse one. */
static void add_latent(const struct hf_config *config, struct hf_weight *to)
{
    const uint64_t width = config->hidden_size, heads = config->head_count;
    const uint64_t key = config->nope_length + config->rope_length;
    const uint64_t query = config->query_latent_length;
    add(&to->linear, width, query > 0 ? query : heads * key);
    if (query > 0)
        add(&to->linear, query, heads * key);
    add(&to->linear, width, config->latent_length + config->rope_length);
    add(&to->linear, config->latent_length, heads * (config->nope_length + config->value_length));
    add(&to->linear, heads * config->value_length, width);
    to->plain = hf_weight_plus(to->plain, query + config->latent_length);
    if (config->indexer_length > 0) {
        add(&to->linear, query, config->indexer_head_count * config->indexer_length);
        add(&to->linear, width, config->indexer_length);
        add(&to->plain, width, config->indexer_head_count);
    }
}

static void add_mamba(const struct hf_config *config, struct hf_weight *to)
{
    const uint64_t inner = config->inner_length, width = config->hidden_size;
    add(&to->linear, width, 2 * inner);
    add(&to->linear, inner, width);
    add(&to->linear, inner, config->rank + 2 * config->state_length);
    add(&to->linear, inner, config->rank);
    add(&to->plain, inner, config->conv_length + config->state_length + 3);
}

static void add_mamba2(const struct hf_config *config, struct hf_weight *to)
{
    const uint64_t inner = config->inner_length, width = config->hidden_size;
    const uint64_t states = 2 * config->group_count * config->state_length;
    const uint64_t heads = config->state_head_count;
    add(&to->linear, width, hf_weight_plus(2 * inner, states + heads));
    add(&to->linear, inner, width);
    add(&to->plain, inner + states, config->conv_length + 1);
    to->plain = hf_weight_plus(to->plain, 3 * heads + inner);
}

static void add_delta(const struct hf_config *config, struct hf_weight *to)
{
    const uint64_t width = config->hidden_size;
    const uint64_t keys = config->key_head_count * config->key_head_length;
    const uint64_t values = config->value_head_count * config->value_head_length;
    add(&to->linear, width, 2 * keys + 2 * values);
    add(&to->linear, width, 2 * config->value_head_count);
    add(&to->linear, width, values);
    add(&to->plain, 2 * keys + values, config->conv_length);
    to->plain = hf_weight_plus(to->plain, 2 * config->value_head_count +
                                              config->value_head_length);
}

static void add_delta_channel(const struct hf_config *config, struct hf_weight *to)
{
    const uint64_t width = config->hidden_size, head = config->key_head_length;
    const uint64_t heads = config->key_head_count * head;
    add(&to->linear, width, 4 * heads);                   /* q, k, v and the output */
    add(&to->linear, head, 2 * width);                    /* both gates, of rank `head` */
    add(&to->linear, head, 2 * heads);
    add(&to->linear, width, config->key_head_count);      /* beta */
    add(&to->plain, 3 * heads, config->conv_length);
    to->plain = hf_weight_plus(to->plain, heads + config->key_head_count + head);
}

static void add_mixer(const struct hf_config *config, const struct hf_block *block,
                      struct hf_weight *to)
{
    struct layer_shape layer = {0};
    const uint64_t width = config->hidden_size;
    hf_block_to_layer(config, block, &layer);
    switch ((enum hf_mixer)block->mixer) {
    case HF_ATTENTION:
    case HF_ATTENTION_WINDOW:
    case HF_ATTENTION_CHUNK:
    case HF_SHARED_ATTENTION:
        if (config->latent_length > 0)
            add_latent(config, to);
        else
            add_attention(config, &layer, to);
        break;
    case HF_MAMBA_BESIDE:
        add_attention(config, &layer, to);
        add_mamba2(config, to);
        break;
    case HF_MAMBA:
        add_mamba(config, to);
        break;
    case HF_MAMBA2:
        add_mamba2(config, to);
        break;
    case HF_DELTA:
        add_delta(config, to);
        break;
    case HF_DELTA_CHANNEL:
        add_delta_channel(config, to);
        break;
    case HF_LIGHTNING:
        add(&to->linear, width, hf_weight_times(5 * config->head_count, config->head_length));
        break;
    case HF_CONVOLUTION:
        add(&to->linear, width, 4 * width);
        add(&to->plain, width, config->conv_length);
        break;
    case HF_NO_MIXER:
        break;
    }
}

/* --- feed-forward parts ---------------------------------------------------------------------- */

static void add_mlp(const struct hf_config *config, const struct hf_block *block,
                    struct hf_weight *to)
{
    const uint64_t width = config->hidden_size;
    const uint64_t matrices = config->family.traits & HF_PLAIN_MLP ? 2 : 3;
    if (!block->is_moe) {
        add(&to->linear, matrices * width, hf_block_feed_forward_length(config, block));
        return;
    }
    add(&to->experts, config->expert_count,
        hf_weight_times(matrices * width, config->expert_feed_forward_length));
    add(&to->linear, matrices * width, config->shared_feed_forward_length);
    if (config->family.traits & HF_TWICE)
        add(&to->linear, 2 * matrices * width, config->feed_forward_length);
    add(&to->plain, width, config->expert_count); /* the router */
}

struct hf_weight hf_weight_of_block(const struct hf_config *config, const struct hf_block *block)
{
    struct hf_weight weight = {0};
    add_mixer(config, block, &weight);
    if (config->is_encoder_decoder || /* the decoder looks at the encoder's output, too */
        config->family.traits & HF_TWICE)
        add_mixer(config, block, &weight);
    if (block->has_mlp)
        add_mlp(config, block, &weight);
    add(&weight.plain, block->has_mlp ? 2 : 1, config->hidden_size);
    return weight;
}

struct hf_weight hf_weight_of_drafts(const struct hf_config *config)
{
    const struct hf_block block = {.mixer = HF_ATTENTION, .has_mlp = true,
                                   .is_moe = config->expert_count > 0};
    struct hf_weight one = hf_weight_of_block(config, &block), all = {0};
    const uint64_t width = config->hidden_size;
    add(&one.linear, 2 * width, width); /* joins hidden state and embedding */
    add(&one.plain, 2 * width, config->vocabulary_size);
    add(&all.linear, one.linear, config->draft_layer_count);
    add(&all.experts, one.experts, config->draft_layer_count);
    add(&all.plain, one.plain, config->draft_layer_count);
    return all;
}

uint64_t hf_weight_of_input(const struct hf_config *config)
{
    uint64_t weight = hf_weight_times(config->vocabulary_size, config->hidden_size);
    const bool has_positions = config->family.traits & (HF_ENCODER | HF_WHISPER) ||
                               str_eq(str_of(config->model_type), STR("gpt2")) ||
                               str_eq(str_of(config->model_type), STR("opt"));
    if (has_positions)
        add(&weight, config->context_length, config->hidden_size);
    return weight;
}

uint64_t hf_weight_of_output(const struct hf_config *config)
{
    uint64_t weight = config->hidden_size;
    if (!config->is_tied)
        add(&weight, config->vocabulary_size, config->hidden_size);
    return weight;
}
