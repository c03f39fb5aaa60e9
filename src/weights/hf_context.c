/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_config_priv.h"

#include "weights/json_view.h"
#include "weights/model_shape.h"

static uint64_t smallest_length(const struct hf_config *config)
{
    static const char *const KEYS[] = {
        "max_position_embeddings", "n_positions",          "max_seq_len",
        "seq_length",              "model_max_length",     "max_target_positions",
        "max_sequence_length",     "max_seq_length",       "seq_len",
        "n_ctx",                   "max_trained_positions"};
    uint64_t smallest = 0;
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        const uint64_t n = hf_config_number(config, KEYS[i], 0, MODEL_SHAPE_DIM_MAX);
        if (n > 0 && (smallest == 0 || n < smallest))
            smallest = n;
    }
    return smallest ? smallest : config->family.context_length;
}

/* The scaling of layers that see all tokens: newer files have one for each kind of layer. */
static struct str find_scaling(const struct hf_config *config)
{
    struct str scaling = {0}, full;
    if (!hf_config_find(config, "rope_scaling", &scaling))
        hf_config_find(config, "rope_parameters", &scaling);
    return json_view_member(scaling, "full_attention", &full) ? full : scaling;
}

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(word, str_of(words[i])))
            return true;
    return false;
}

uint64_t hf_context_length(const struct hf_config *config)
{
    static const char *const CONTAINED[] = {"su", "longrope", "llama3", "mrope", "proportional"};
    static const char *const FROM_ORIGINAL[] = {"yarn", "deepseek_yarn"};
    const struct str scaling = find_scaling(config);
    const uint64_t length = smallest_length(config);
    struct str value = {0};
    double factor = 1;
    if (!json_view_member(scaling, "rope_type", &value))
        json_view_member(scaling, "type", &value);
    const struct str type = json_view_text(value);
    if (json_view_member(scaling, "factor", &value))
        json_view_real(value, &factor);
    if (config->family.traits & HF_CONTEXT_IS_FINAL || !(factor > 1) ||
        is_one_of(type, CONTAINED, ARRAY_LEN(CONTAINED)))
        return length;
    uint64_t base = length, original = 0;
    if (is_one_of(type, FROM_ORIGINAL, ARRAY_LEN(FROM_ORIGINAL)) &&
        json_view_member(scaling, "original_max_position_embeddings", &value) &&
        json_view_integer(value, &original) == 0 && original > 0 &&
        original <= MODEL_SHAPE_DIM_MAX)
        base = original;
    const double scaled = (double)base * factor;
    return scaled < (double)MODEL_SHAPE_DIM_MAX ? (uint64_t)scaled : MODEL_SHAPE_DIM_MAX;
}
