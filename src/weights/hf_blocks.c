/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_blocks_priv.h"

#include "base/num.h"
#include "weights/json_view.h"

/* --- what is recurrent ----------------------------------------------------------------------- */

/* Which linear or recurrent mixer a family has follows from the numbers that it states. */
static enum hf_mixer recurrent_mixer(const struct hf_config *config)
{
    if (config->value_head_count > 0)
        return HF_DELTA;
    if (config->has_channel_gates)
        return HF_DELTA_CHANNEL;
    if (config->has_short_convolution)
        return HF_CONVOLUTION;
    if (config->state_head_count > 0)
        return HF_MAMBA2;
    return config->state_length > 0 ? HF_MAMBA : HF_LIGHTNING;
}

static enum hf_mixer window_mixer(const struct hf_config *config)
{
    if (config->window > 0 &&
        (config->context_length == 0 || config->window < config->context_length))
        return HF_ATTENTION_WINDOW;
    return HF_ATTENTION;
}

static enum hf_mixer chunk_mixer(const struct hf_config *config)
{
    return config->chunk > 0 ? HF_ATTENTION_CHUNK : HF_ATTENTION;
}

/* The mixer that a word of layer_types (or of one of its forerunners) means. */
static enum hf_mixer mixer_of_word(const struct hf_config *config, struct str word)
{
    static const struct {
        const char *word;
        enum hf_mixer mixer;
    } words[] = {
        {"full_attention", HF_ATTENTION}, {"attention", HF_ATTENTION},
        {"global", HF_ATTENTION},         {"hybrid", HF_MAMBA_BESIDE},
        {"conv", HF_CONVOLUTION},         {"mlp", HF_NO_MIXER},
        {"moe", HF_NO_MIXER},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(word, str_of(words[i].word)))
            return words[i].mixer;
    if (str_eq(word, STR("sliding_attention")) || str_eq(word, STR("local")))
        return window_mixer(config);
    if (str_eq(word, STR("chunked_attention")))
        return chunk_mixer(config);
    if (str_eq(word, STR("linear_attention")) || str_eq(word, STR("mamba")) ||
        str_eq(word, STR("recurrent")) || str_eq(word, STR("mamba2")))
        return recurrent_mixer(config);
    return HF_ATTENTION;
}

/* --- the sources of a pattern: each returns whether the file has it --------------------------- */

/* A list of words, one per layer; a shorter one repeats. */
static bool by_words(const struct hf_config *config, struct hf_block *blocks)
{
    static const char *const KEYS[] = {"layer_types", "layers_block_type", "block_types",
                                       "attention_layers"};
    struct str list = {0}, word;
    for (size_t i = 0; i < ARRAY_LEN(KEYS) && json_view_kind(list) != JSON_VIEW_ARRAY; i++)
        hf_config_find(config, KEYS[i], &list);
    if (json_view_count(list) == 0)
        return false;
    struct json_view_items items = json_view_items(list);
    for (uint64_t i = 0; i < config->layer_count; i++) {
        if (!json_view_next(&items, NULL, &word)) {
            items = json_view_items(list);
            json_view_next(&items, NULL, &word);
        }
        blocks[i].mixer = mixer_of_word(config, json_view_text(word));
        blocks[i].has_mlp |= blocks[i].mixer == HF_NO_MIXER;
        blocks[i].is_moe = str_eq(json_view_text(word), STR("moe"));
    }
    return true;
}

/* Nemotron-H: a letter per layer, which is one thing only. */
static bool by_letters(const struct hf_config *config, struct hf_block *blocks)
{
    struct str value = {0};
    hf_config_find(config, "hybrid_override_pattern", &value);
    const struct str letters = json_view_text(value);
    if (letters.len == 0)
        return false;
    for (uint64_t i = 0; i < config->layer_count; i++) {
        const char letter = i < letters.len ? letters.ptr[i] : '*';
        blocks[i].is_moe = letter == 'E';
        blocks[i].has_mlp = letter == 'E' || letter == '-';
        if (letter == 'M')
            blocks[i].mixer = recurrent_mixer(config);
        else
            blocks[i].mixer = letter == '*' ? HF_ATTENTION : HF_NO_MIXER;
    }
    return true;
}

/* A list of numbers, one per layer: of `on` the layer is `special`, else plain attention. */
static bool by_numbers(const struct hf_config *config, const char *key, uint64_t on,
                       enum hf_mixer special, struct hf_block *blocks)
{
    struct str list = {0}, item;
    hf_config_find(config, key, &list);
    if (json_view_count(list) < config->layer_count)
        return false;
    struct json_view_items items = json_view_items(list);
    for (uint64_t i = 0; i < config->layer_count && json_view_next(&items, NULL, &item); i++) {
        uint64_t n = on + 1;
        if (json_view_integer(item, &n) < 0)
            n = on + 1;
        blocks[i].mixer = n == on ? special : HF_ATTENTION;
    }
    return true;
}

/* A list of the layers with attention, counted from `first`; the others are recurrent. */
static bool by_attention_list(const struct hf_config *config, const char *key, uint64_t first,
                              struct hf_block *blocks)
{
    struct str list = {0}, item;
    hf_config_find(config, key, &list);
    if (json_view_kind(list) != JSON_VIEW_ARRAY)
        return false;
    for (uint64_t i = 0; i < config->layer_count; i++)
        blocks[i].mixer = recurrent_mixer(config);
    struct json_view_items items = json_view_items(list);
    while (json_view_next(&items, NULL, &item)) {
        uint64_t n = 0;
        if (json_view_integer(item, &n) == 0 && n >= first && n - first < config->layer_count)
            blocks[n - first].mixer = HF_ATTENTION;
    }
    return true;
}

/* Attention in each `period`th layer, the others recurrent. */
static bool by_period(const struct hf_config *config, struct hf_block *blocks)
{
    uint64_t period = hf_config_number(config, "attn_layer_period", 0, HF_COUNT_MAX), offset;
    if (period > 0) { /* Jamba */
        offset = hf_config_number(config, "attn_layer_offset", 0, HF_COUNT_MAX);
    } else { /* Qwen3-Next; its class has the default */
        period = hf_config_number(config, "full_attention_interval",
                                  config->value_head_count > 0 ? 4 : 0, HF_COUNT_MAX);
        offset = period - 1;
    }
    if (period == 0)
        return false;
    for (uint64_t i = 0; i < config->layer_count; i++)
        blocks[i].mixer =
            i % period == offset % period ? HF_ATTENTION : recurrent_mixer(config);
    return true;
}

static bool by_traits(const struct hf_config *config, struct hf_block *blocks)
{
    if (!(config->family.traits & (HF_ALL_STATE | HF_STATE_BESIDE)))
        return false;
    for (uint64_t i = 0; i < config->layer_count; i++)
        blocks[i].mixer = config->family.traits & HF_STATE_BESIDE ? HF_MAMBA_BESIDE
                                                                  : recurrent_mixer(config);
    return true;
}

/* Of how many layers the last one sees all tokens; 0: no pattern. */
static uint64_t window_period(const struct hf_config *config)
{
    static const char *const KEYS[] = {"sliding_window_pattern", "_sliding_window_pattern",
                                       "no_rope_layer_interval"};
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        struct str value = {0};
        uint64_t n = 0;
        if (!hf_config_find(config, KEYS[i], &value))
            continue;
        if (json_view_kind(value) == JSON_VIEW_STRING) /* EXAONE 4: "LLLG" */
            n = json_view_text(value).len;
        else if (json_view_integer(value, &n) < 0)
            n = 0;
        if (n > 0)
            return n;
    }
    return config->family.window_period;
}

/* Windows in all layers, in those of a pattern, or behind the first ones. */
static void by_window(const struct hf_config *config, struct hf_block *blocks)
{
    struct str use, first;
    uint64_t from = 0;
    const enum hf_mixer mixer = config->chunk > 0 ? chunk_mixer(config) : window_mixer(config);
    const uint64_t period = window_period(config);
    bool is_on = hf_config_find(config, "use_sliding_window", &use)
                     ? json_view_is_true(use)
                     : !(config->family.traits & HF_WINDOW_OPT_IN);
    if (hf_config_find(config, "max_window_layers", &first)) {
        is_on = is_on && hf_config_is_true(config, "use_sliding_window");
        from = hf_config_number(config, "max_window_layers", 0, UINT64_MAX);
    }
    for (uint64_t i = 0; i < config->layer_count; i++) {
        const bool is_full = !is_on || i < from || (period > 0 && (i + 1) % period == 0);
        blocks[i].mixer = is_full ? HF_ATTENTION : mixer;
    }
}

static void set_mixers(const struct hf_config *config, struct hf_block *blocks)
{
    if (hf_blocks_by_configs(config, blocks) || by_words(config, blocks) ||
        by_letters(config, blocks) ||
        by_numbers(config, "attn_type_list", 0, recurrent_mixer(config), blocks) ||
        by_numbers(config, "hybrid_layer_pattern", 1, window_mixer(config), blocks) ||
        by_numbers(config, "no_rope_layers", 1, chunk_mixer(config), blocks) ||
        by_attention_list(config, "full_attn_layers", 1, blocks) ||
        by_attention_list(config, "attn_layer_indices", 0, blocks) ||
        by_attention_list(config, "full_attn_idxs", 0, blocks) || by_period(config, blocks) ||
        by_traits(config, blocks))
        return;
    by_window(config, blocks);
}

/* --- experts --------------------------------------------------------------------------------- */

/* Which layers a list names, or a text of numbers with commas; read once for all of them. */
static void mark_named(struct str value, bool *marks)
{
    struct json_view_items items = json_view_items(value);
    struct str item, rest = json_view_text(value);
    uint64_t n;
    while (json_view_next(&items, NULL, &item))
        if (json_view_integer(item, &n) == 0 && n < MODEL_SHAPE_LAYERS_MAX)
            marks[n] = true;
    while (str_split(&rest, ',', &item))
        if (num_parse_u64(str_trim(item), &n) == 0 && n < MODEL_SHAPE_LAYERS_MAX)
            marks[n] = true;
}

/* Which layers have a number other than 0, or true, in a list with one for each. */
static void mark_set(struct str list, bool *marks)
{
    struct json_view_items items = json_view_items(list);
    struct str item;
    for (size_t i = 0; i < MODEL_SHAPE_LAYERS_MAX && json_view_next(&items, NULL, &item); i++) {
        uint64_t n = 0;
        marks[i] = json_view_integer(item, &n) == 0 ? n != 0 : json_view_is_true(item);
    }
}

/* Which layers have experts, by the families' keys for it. */
struct moe_plan {
    uint64_t first, last;
    uint64_t step, offset;  /* of so many layers the one with this number; step 0: all of them */
    bool has_list;          /* of those with experts, and no others */
    bool is_dense[MODEL_SHAPE_LAYERS_MAX], is_listed[MODEL_SHAPE_LAYERS_MAX];
};

static void plan_step(const struct hf_config *config, struct moe_plan *plan)
{
    static const struct {
        const char *step, *offset;
        uint64_t fallback; /* offset */
    } keys[] = {
        {"decoder_sparse_step", "", UINT64_MAX}, /* the last of each step */
        {"interleave_moe_layer_step", "", UINT64_MAX},
        {"expert_layer_period", "expert_layer_offset", 1},
        {"moe_layer_interval", "", UINT64_MAX},
        {"moe_layer_freq", "", 0},
    };
    for (size_t k = 0; k < ARRAY_LEN(keys) && plan->step == 0; k++) {
        plan->step = hf_config_number(config, keys[k].step, 0, HF_COUNT_MAX);
        plan->offset = keys[k].fallback;
        if (keys[k].offset[0])
            plan->offset = hf_config_number(config, keys[k].offset, plan->offset, HF_COUNT_MAX);
    }
    if (plan->step > 0)
        plan->offset = plan->offset == UINT64_MAX ? plan->step - 1 : plan->offset % plan->step;
}

static void plan_list(const struct hf_config *config, struct moe_plan *plan)
{
    struct str list;
    plan->has_list = true;
    if (hf_config_find(config, "moe_layers_enum", &list) ||
        (hf_config_find(config, "moe_layers", &list) && json_view_count(list) > 0))
        mark_named(list, plan->is_listed);
    else if (hf_config_find(config, "moe_layer_freq", &list) &&
             json_view_kind(list) == JSON_VIEW_ARRAY)
        mark_set(list, plan->is_listed);
    else
        plan->has_list = false;
}

static struct moe_plan plan_moe(const struct hf_config *config)
{
    struct moe_plan plan = {.first = config->dense_layers_first};
    struct str dense;
    plan.last = hf_config_number(config, "moe_layer_end_index", UINT64_MAX, UINT64_MAX);
    if (hf_config_find(config, "mlp_only_layers", &dense))
        mark_named(dense, plan.is_dense);
    plan_list(config, &plan);
    plan_step(config, &plan);
    return plan;
}

static bool is_moe(const struct moe_plan *plan, uint64_t i)
{
    if (i < plan->first || i > plan->last || plan->is_dense[i])
        return false;
    if (plan->has_list)
        return plan->is_listed[i];
    return plan->step == 0 || i % plan->step == plan->offset;
}

/* Layers with the keys and values of another one, or of an image (Llama 3.2 Vision). */
static void set_shared(const struct hf_config *config, struct hf_block *blocks)
{
    bool is_crossed[MODEL_SHAPE_LAYERS_MAX] = {0};
    struct str list;
    const uint64_t shared = config->shared_kv_layers;
    if (hf_config_find(config, "cross_attention_layers", &list))
        mark_named(list, is_crossed);
    for (uint64_t i = 0; i < config->layer_count; i++)
        if (is_crossed[i] || (shared > 0 && i + shared >= config->layer_count))
            blocks[i].mixer = HF_SHARED_ATTENTION;
}

void hf_blocks_set(const struct hf_config *config, struct hf_block *blocks)
{
    const bool has_mlp = !(config->family.traits & HF_NO_MLP);
    for (uint64_t i = 0; i < config->layer_count; i++)
        blocks[i] = (struct hf_block){.has_mlp = has_mlp};
    set_mixers(config, blocks);
    const struct moe_plan plan = plan_moe(config);
    for (uint64_t i = 0; i < config->layer_count && has_mlp; i++)
        blocks[i].is_moe = config->expert_count > 0 && is_moe(&plan, i);
    set_shared(config, blocks);
}

/* --- caches ---------------------------------------------------------------------------------- */

static void set_heads(const struct hf_config *config, bool is_window, struct layer_shape *layer)
{
    uint64_t kv = config->head_count_kv, key = config->head_length, value = config->value_length;
    if (!is_window && config->global_head_length > 0)
        key = value = config->global_head_length;
    if (!is_window && config->global_head_count_kv > 0)
        kv = config->global_head_count_kv;
    if (is_window && config->window_head_length > 0)
        key = config->window_head_length;
    if (is_window && config->window_value_length > 0)
        value = config->window_value_length;
    if (is_window && config->window_head_count_kv > 0)
        kv = config->window_head_count_kv;
    layer->head_count = (uint32_t)config->head_count;
    layer->head_count_kv = (uint32_t)kv;
    layer->key_length = (uint32_t)key;
    layer->value_length = (uint32_t)value;
}

static void set_full(const struct hf_config *config, struct layer_shape *layer)
{
    layer->cache = CACHE_FULL;
    set_heads(config, false, layer);
    if (config->latent_length == 0)
        return;
    layer->cache = CACHE_LATENT;
    layer->head_count_kv = 1;
    layer->key_length = (uint32_t)(config->latent_length + config->rope_length);
    layer->value_length = 0;
    layer->indexer_length = (uint32_t)config->indexer_length;
}

static void set_window(const struct hf_config *config, enum layer_cache cache, uint64_t window,
                       struct layer_shape *layer)
{
    layer->cache = cache;
    layer->window = window;
    set_heads(config, true, layer);
}

/* The factors of states are at most 2^16 each, or one of them is a dimension. */
static void set_state(const struct hf_config *config, enum hf_mixer mixer,
                      struct layer_shape *layer)
{
    const uint64_t steps = config->conv_length - 1;
    const uint64_t keys = config->key_head_count * config->key_head_length;
    const uint64_t values = config->value_head_count * config->value_head_length;
    const uint64_t heads = config->head_count * config->head_length;
    if (mixer == HF_MAMBA) {
        layer->state_conv = steps * config->inner_length;
        layer->state_ssm = config->state_length * config->inner_length;
    } else if (mixer == HF_MAMBA2 || mixer == HF_MAMBA_BESIDE) {
        layer->state_conv =
            steps * (config->inner_length + 2 * config->group_count * config->state_length);
        layer->state_ssm = config->state_length * config->inner_length;
    } else if (mixer == HF_DELTA) {
        layer->state_conv = steps * (2 * keys + values);
        layer->state_ssm = config->key_head_length * values;
    } else if (mixer == HF_DELTA_CHANNEL) {
        layer->state_conv = steps * 3 * keys;
        layer->state_ssm = config->key_head_length * keys;
    } else if (mixer == HF_CONVOLUTION) {
        layer->state_conv = steps * config->hidden_size;
    } else {
        layer->state_ssm = config->head_length * heads;
    }
}

uint64_t hf_block_feed_forward_length(const struct hf_config *config, const struct hf_block *block)
{
    return block->feed_forward_length ? block->feed_forward_length : config->feed_forward_length;
}

void hf_block_to_layer(const struct hf_config *config, const struct hf_block *block,
                       struct layer_shape *layer)
{
    const enum hf_mixer mixer = block->mixer;
    layer->is_moe = block->is_moe;
    if (block->has_mlp)
        layer->feed_forward_length = block->is_moe ? config->expert_feed_forward_length
                                                   : hf_block_feed_forward_length(config, block);
    switch (mixer) {
    case HF_ATTENTION:
        set_full(config, layer);
        break;
    case HF_ATTENTION_WINDOW:
        set_window(config, CACHE_WINDOW, config->window, layer);
        break;
    case HF_ATTENTION_CHUNK:
        set_window(config, CACHE_CHUNK, config->chunk, layer);
        break;
    case HF_SHARED_ATTENTION:
        set_heads(config, false, layer);
        layer->cache = CACHE_NONE;
        break;
    case HF_MAMBA_BESIDE:
        set_full(config, layer);
        set_state(config, mixer, layer);
        layer->cache = CACHE_FULL_AND_STATE;
        break;
    case HF_MAMBA:
    case HF_MAMBA2:
    case HF_DELTA:
    case HF_DELTA_CHANNEL:
    case HF_LIGHTNING:
    case HF_CONVOLUTION:
        set_state(config, mixer, layer);
        layer->cache = CACHE_STATE;
        break;
    case HF_NO_MIXER:
        layer->cache = CACHE_NONE;
        break;
    }
    if (block->head_count_kv > 0 && layer->cache == CACHE_FULL)
        layer->head_count_kv = block->head_count_kv;
    layer->has_two_caches = config->family.traits & HF_TWICE;
    if (!config->is_causal)
        layer->cache = CACHE_NONE;
}
