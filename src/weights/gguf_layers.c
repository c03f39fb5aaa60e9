/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each layer of an architecture keeps of tokens. The rules are llama.cpp's, which reads some
 * of them from the file and has the others in its code: those stand in the table here.
 */
#include "weights/gguf_priv.h"

enum cache_rule {
    RULE_ATTENTION,   /* as the keys say */
    RULE_STATE,       /* each layer is recurrent */
    RULE_STATE_NO_KV, /* layers without key heads are recurrent, or have no mixer at all */
    RULE_STATE_INTERVAL, /* all but each n-th layer are recurrent */
    RULE_BOTH,        /* attention and a state side by side */
    RULE_ENCODER,     /* no cache */
};

struct architecture {
    const char *name;
    enum cache_rule rule;
    unsigned window_period; /* layers of a window and a full one, when the file states no pattern */
    bool dense_first;       /* the full one of a period comes first */
    bool is_chunked;        /* the window is that of a chunk */
    uint32_t window;        /* tokens, when the file states none */
    uint32_t interval;      /* of RULE_STATE_INTERVAL, when the file states none */
    uint32_t own_kv_layers; /* layers with a cache of their own; 0: as the file says */
};

static const struct architecture architectures[] = {
    {.name = "afmoe", .window_period = 4},
    {.name = "arwkv7", .rule = RULE_STATE},
    {.name = "bert", .rule = RULE_ENCODER},
    {.name = "cohere2", .window_period = 4},
    {.name = "dream", .rule = RULE_ENCODER},
    {.name = "eurobert", .rule = RULE_ENCODER},
    {.name = "exaone4", .window_period = 4},
    {.name = "falcon-h1", .rule = RULE_BOTH},
    {.name = "gemma-embedding", .rule = RULE_ENCODER},
    {.name = "gemma2", .window_period = 2, .window = 4096},
    {.name = "gemma3", .window_period = 6},
    {.name = "gemma3n", .window_period = 5, .own_kv_layers = 20},
    {.name = "gpt-oss", .window_period = 2},
    {.name = "granitehybrid", .rule = RULE_STATE_NO_KV},
    {.name = "jamba", .rule = RULE_STATE_NO_KV},
    {.name = "jina-bert-v2", .rule = RULE_ENCODER},
    {.name = "jina-bert-v3", .rule = RULE_ENCODER},
    {.name = "kimi-linear", .rule = RULE_STATE_NO_KV},
    {.name = "lfm2", .rule = RULE_STATE_NO_KV},
    {.name = "lfm2moe", .rule = RULE_STATE_NO_KV},
    {.name = "llada", .rule = RULE_ENCODER},
    {.name = "llada-moe", .rule = RULE_ENCODER},
    {.name = "llama4", .window_period = 4, .is_chunked = true, .window = 8192},
    {.name = "mamba", .rule = RULE_STATE},
    {.name = "mamba2", .rule = RULE_STATE},
    {.name = "modern-bert", .rule = RULE_ENCODER},
    {.name = "nemotron_h", .rule = RULE_STATE_NO_KV},
    {.name = "nemotron_h_moe", .rule = RULE_STATE_NO_KV},
    {.name = "neo-bert", .rule = RULE_ENCODER},
    {.name = "nomic-bert", .rule = RULE_ENCODER},
    {.name = "nomic-bert-moe", .rule = RULE_ENCODER},
    {.name = "olmo2", .window_period = 4},
    {.name = "plamo2", .rule = RULE_STATE_NO_KV},
    {.name = "plamo3", .window_period = 8},
    {.name = "qwen35", .rule = RULE_STATE_INTERVAL, .interval = 4},
    {.name = "qwen35moe", .rule = RULE_STATE_INTERVAL, .interval = 4},
    {.name = "qwen3next", .rule = RULE_STATE_INTERVAL, .interval = 4},
    {.name = "rnd1", .rule = RULE_ENCODER},
    {.name = "rwkv6", .rule = RULE_STATE},
    {.name = "rwkv6qwen2", .rule = RULE_STATE},
    {.name = "rwkv7", .rule = RULE_STATE},
    {.name = "smallthinker", .window_period = 4, .dense_first = true},
    {.name = "t5encoder", .rule = RULE_ENCODER},
    {.name = "wavtokenizer-dec", .rule = RULE_ENCODER},
};

/* Never NULL: an unknown one has plain attention. */
static const struct architecture *find(const char *name)
{
    static const struct architecture plain = {.name = ""};
    for (size_t i = 0; i < ARRAY_LEN(architectures); i++)
        if (strcmp(architectures[i].name, name) == 0)
            return &architectures[i];
    return &plain;
}

bool gguf_is_causal(const struct gguf_meta *meta)
{
    const bool is_stated_not = meta->causal == 1;
    return !is_stated_not && find(meta->architecture)->rule != RULE_ENCODER;
}

/* ---- windows ---- */

static uint64_t window_of(const struct gguf_meta *meta, const struct architecture *arch)
{
    return meta->sliding_window ? meta->sliding_window : arch->window;
}

/* A period of 0 means a window in all layers. */
static bool is_in_period(uint32_t index, uint64_t period, bool dense_first)
{
    if (period == 0)
        return true;
    return dense_first ? index % period != 0 : index % period < period - 1;
}

static bool has_window(const struct gguf_meta *meta, const struct architecture *arch,
                       uint32_t index)
{
    const struct gguf_values *pattern = &meta->sliding_window_pattern;
    if (window_of(meta, arch) == 0)
        return false;
    if (pattern->is_array && pattern->count > 0)
        return gguf_values_at(pattern, index % pattern->count, 0) != 0;
    if (pattern->is_set)
        return is_in_period(index, pattern->largest, arch->dense_first);
    return arch->window_period > 0 && is_in_period(index, arch->window_period, arch->dense_first);
}

/* ---- states ---- */

static bool is_recurrent(const struct gguf_meta *meta, const struct architecture *arch,
                         const struct layer_shape *layer, uint32_t index)
{
    const uint64_t interval =
        meta->full_attention_interval ? meta->full_attention_interval : arch->interval;
    if (meta->recurrent_layers.is_set)
        return gguf_values_at(&meta->recurrent_layers, index, 0) != 0;
    switch (arch->rule) {
    case RULE_STATE:
    case RULE_BOTH:
        return true;
    case RULE_STATE_NO_KV:
        return layer->head_count_kv == 0;
    case RULE_STATE_INTERVAL:
        return meta->head_count_kv.is_array && layer->head_count_kv == 0
                   ? true
                   : (index + 1) % interval != 0;
    case RULE_ATTENTION:
    case RULE_ENCODER:
        break;
    }
    return false;
}

/* Elements of the state of one sequence. */
static void set_state(const struct gguf_meta *meta, struct layer_shape *layer)
{
    const uint64_t steps = meta->ssm_conv_kernel ? meta->ssm_conv_kernel - 1 : 0;
    if (meta->wkv_head_size) {
        const uint64_t shifts = meta->token_shift_count ? meta->token_shift_count : 2;
        layer->state_conv = shifts * meta->embedding_length;
        layer->state_ssm = meta->embedding_length * meta->wkv_head_size;
    } else if (meta->shortconv_l_cache) {
        layer->state_conv = meta->embedding_length * (meta->shortconv_l_cache - 1);
    } else if (meta->kda_head_dim) {
        const uint64_t width = meta->head_count.largest * meta->kda_head_dim;
        layer->state_conv = 3 * steps * width;
        layer->state_ssm = width * meta->kda_head_dim;
    } else {
        const uint64_t groups = 2 * meta->ssm_group_count * meta->ssm_state_size;
        layer->state_conv = steps * (meta->ssm_inner_size + groups);
        layer->state_ssm = meta->ssm_state_size * meta->ssm_inner_size;
    }
}

/* ---- attention ---- */

bool gguf_is_latent(const struct gguf_meta *meta)
{
    return meta->key_length_mla > 0 && meta->value_length_mla > 0 && meta->kv_lora_rank > 0;
}

/* MLA: one vector a token, of which keys and values are made. */
static void set_latent(const struct gguf_meta *meta, struct layer_shape *layer)
{
    layer->cache = CACHE_LATENT;
    layer->head_count_kv = 1;
    layer->key_length = (uint32_t)(meta->key_length
                                       ? meta->key_length
                                       : meta->kv_lora_rank + meta->rope_dimension_count);
    layer->value_length = 0;
}

/* The length of a head that the file doesn't state: those of all layers share the first's. */
static uint64_t default_length(const struct gguf_meta *meta)
{
    uint64_t heads = gguf_values_at(&meta->head_count, 0, 0);
    if (heads == 0)
        heads = meta->head_count.largest;
    const uint64_t length = heads ? meta->embedding_length / heads : 0;
    return length < UINT16_MAX ? length : UINT16_MAX;
}

static void set_lengths(const struct gguf_meta *meta, struct layer_shape *layer, bool is_windowed)
{
    uint64_t key = meta->key_length ? meta->key_length : default_length(meta);
    uint64_t value = meta->value_length ? meta->value_length : default_length(meta);
    if (is_windowed && meta->key_length_swa)
        key = meta->key_length_swa;
    if (is_windowed && meta->value_length_swa)
        value = meta->value_length_swa;
    layer->key_length = (uint32_t)key;
    layer->value_length = (uint32_t)value;
}

static void set_attention(const struct gguf_meta *meta, const struct architecture *arch,
                          uint32_t index, struct layer_shape *layer)
{
    const bool is_windowed = has_window(meta, arch, index);
    set_lengths(meta, layer, is_windowed);
    layer->indexer_length = (uint32_t)meta->indexer_key_length;
    layer->cache = CACHE_FULL;
    if (is_windowed) {
        layer->cache = arch->is_chunked ? CACHE_CHUNK : CACHE_WINDOW;
        layer->window = window_of(meta, arch);
    } else if (gguf_is_latent(meta)) {
        set_latent(meta, layer);
    } else if (layer->head_count_kv == 0) {
        layer->cache = CACHE_NONE;
    }
}

/* ---- the layer ---- */

static bool uses_another_cache(const struct gguf_meta *meta, const struct architecture *arch,
                               uint32_t index)
{
    const uint64_t layers = meta->block_count - meta->nextn_predict_layers;
    const uint64_t own = meta->shared_kv_layers ? layers - meta->shared_kv_layers
                         : arch->own_kv_layers ? arch->own_kv_layers
                                               : layers;
    return index >= own;
}

static void set_cache(const struct gguf_meta *meta, const struct architecture *arch,
                      uint32_t index, struct layer_shape *layer)
{
    const bool has_state = is_recurrent(meta, arch, layer, index);
    /* Layers of Nemotron-H without key heads are recurrent, or a feed-forward part alone. */
    const bool is_dense_only = has_state && arch->rule == RULE_STATE_NO_KV &&
                               meta->feed_forward_length.is_array &&
                               str_has_prefix(str_of(arch->name), STR("nemotron_h")) &&
                               layer->feed_forward_length > 0;
    if (is_dense_only)
        return;
    if (has_state)
        set_state(meta, layer);
    if (!has_state || arch->rule == RULE_BOTH)
        set_attention(meta, arch, index, layer);
    if (has_state)
        layer->cache = arch->rule == RULE_BOTH ? CACHE_FULL_AND_STATE : CACHE_STATE;
    else if (uses_another_cache(meta, arch, index))
        layer->cache = CACHE_NONE;
}

void gguf_layer_shape(const struct gguf_meta *meta, uint32_t index, struct layer_shape *ret)
{
    const struct architecture *arch = find(meta->architecture);
    struct layer_shape layer = {.cache = CACHE_NONE};
    layer.head_count = (uint32_t)gguf_values_at(&meta->head_count, index, 0);
    layer.head_count_kv =
        (uint32_t)gguf_values_at(&meta->head_count_kv, index, layer.head_count);
    layer.feed_forward_length = gguf_values_at(&meta->feed_forward_length, index, 0);
    if (gguf_is_causal(meta))
        set_cache(meta, arch, index, &layer);
    else
        set_lengths(meta, &layer, false);
    *ret = layer;
}
