/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_blocks_priv.h"

#include "weights/json_view.h"

enum { WIDTH_STEP = 256, MULTIPLE_MAX = 64 };

static bool is_on(struct str part, const char *key)
{
    struct str value;
    return json_view_member(part, key, &value) && json_view_is_true(value);
}

static uint64_t number_of(struct str part, const char *key, uint64_t max)
{
    struct str value;
    uint64_t n = 0;
    return json_view_member(part, key, &value) && json_view_integer(value, &n) == 0 && n <= max
               ? n
               : 0;
}

/* Neither an attention that is left out nor a matrix in its place keeps tokens. */
static void set_attention(const struct hf_config *config, struct str part, struct hf_block *block)
{
    const uint64_t group = number_of(part, "n_heads_in_group", HF_HEADS_MAX);
    block->mixer = HF_ATTENTION;
    if (is_on(part, "no_op") || is_on(part, "replace_with_linear"))
        block->mixer = HF_NO_MIXER;
    else
        block->head_count_kv =
            (uint32_t)(group > 0 ? config->head_count / group
                                 : number_of(part, "num_key_value_heads", HF_HEADS_MAX));
}

/* Two thirds of a multiple of the hidden size, in steps. */
static uint64_t width_of_multiple(const struct hf_config *config, struct str part)
{
    struct str value;
    double multiple = 0;
    if (!json_view_member(part, "ffn_mult", &value) || !json_view_real(value, &multiple) ||
        !(multiple > 0 && multiple <= MULTIPLE_MAX))
        return 0;
    const uint64_t width = (uint64_t)(2 * multiple * (double)config->hidden_size / 3);
    return (width + WIDTH_STEP - 1) / WIDTH_STEP * WIDTH_STEP;
}

static void set_feed_forward(const struct hf_config *config, struct str part,
                             struct hf_block *block)
{
    block->has_mlp = !is_on(part, "no_op");
    block->feed_forward_length = number_of(part, "intermediate_size", MODEL_SHAPE_DIM_MAX);
    if (block->feed_forward_length == 0)
        block->feed_forward_length = width_of_multiple(config, part);
    if (is_on(part, "replace_with_linear")) /* a matrix instead of three */
        block->feed_forward_length = (config->hidden_size + 2) / 3;
}

bool hf_blocks_by_configs(const struct hf_config *config, struct hf_block *blocks)
{
    struct str list = {0}, item;
    hf_config_find(config, "block_configs", &list);
    if (json_view_kind(list) != JSON_VIEW_ARRAY || json_view_count(list) < config->layer_count)
        return false;
    struct json_view_items items = json_view_items(list);
    for (uint64_t i = 0; i < config->layer_count && json_view_next(&items, NULL, &item); i++) {
        struct str attention = {0}, feed_forward = {0};
        json_view_member(item, "attention", &attention);
        json_view_member(item, "ffn", &feed_forward);
        set_attention(config, attention, &blocks[i]);
        set_feed_forward(config, feed_forward, &blocks[i]);
    }
    return true;
}
