/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_towers_priv.h"

#include "weights/hf_weight_priv.h"
#include "weights/json_view.h"

enum {
    TOWER_SIZE_MAX = 1 << 16,       /* of a dimension; known ones have up to 6,000 */
    PIXELS_MAX = 1 << 30,
    AUDIO_INPUT = 128,              /* mel bins, when a file doesn't state them */
};

/* The first of some keys that states a number within the limit. */
static uint64_t number_of(struct str object, const char *const *keys, size_t count, uint64_t max)
{
    struct str value;
    uint64_t n;
    for (size_t i = 0; i < count; i++)
        if (json_view_member(object, keys[i], &value) && json_view_integer(value, &n) == 0 &&
            n > 0 && n <= max)
            return n;
    return 0;
}

#define NUMBER_OF(object, max, ...)                                                                \
    number_of(object, (const char *const[]){__VA_ARGS__},                                          \
              ARRAY_LEN(((const char *const[]){__VA_ARGS__})), max)

/* Layers of attention and two or three matrices: what all these encoders have. */
static uint64_t weigh(const struct hf_tower *tower)
{
    const uint64_t attention = hf_weight_times(4 * tower->hidden_size, tower->hidden_size);
    const uint64_t mlp = hf_weight_times((tower->is_gated ? 3 : 2) * tower->hidden_size,
                                         tower->feed_forward_length);
    return hf_weight_times(tower->layer_count, hf_weight_plus(attention, mlp));
}

/* The projection of its output to the text part's width, often of two matrices. */
static uint64_t projector(const struct hf_config *config, const struct hf_tower *tower,
                          uint64_t merged)
{
    const uint64_t from = tower->hidden_size * merged;
    return hf_weight_plus(hf_weight_times(from, from),
                          hf_weight_times(from, config->hidden_size));
}

static struct hf_tower read_tower(struct str object)
{
    struct hf_tower tower = {.exists = true};
    struct str ratio, activation;
    double times = 4;
    tower.is_gated = json_view_member(object, "hidden_act", &activation) &&
                     str_eq(json_view_text(activation), STR("silu"));
    tower.layer_count = NUMBER_OF(object, MODEL_SHAPE_LAYERS_MAX, "depth", "num_hidden_layers",
                                  "encoder_layers", "layers", "num_layers", "vt_num_hidden_layers");
    tower.head_count = NUMBER_OF(object, TOWER_SIZE_MAX, "num_heads", "num_attention_heads",
                                 "encoder_attention_heads", "heads", "vt_num_attention_heads");
    /* Where both stand (Qwen2-VL), hidden_size is that of the text part. */
    tower.hidden_size = NUMBER_OF(object, TOWER_SIZE_MAX, "embed_dim", "hidden_size", "width",
                                  "d_model", "vt_hidden_size");
    tower.feed_forward_length = NUMBER_OF(object, TOWER_SIZE_MAX, "intermediate_size",
                                          "encoder_ffn_dim", "vt_intermediate_size");
    if (json_view_member(object, "mlp_ratio", &ratio) && json_view_real(ratio, &times) &&
        !(times > 0 && times < 64))
        times = 4;
    if (tower.feed_forward_length == 0)
        tower.feed_forward_length = (uint64_t)((double)tower.hidden_size * times);
    return tower;
}

/* A square image's patches, `merge` x `merge` of them as one token. */
static uint64_t tokens_of_square(struct str object, uint64_t merge)
{
    const uint64_t side = NUMBER_OF(object, TOWER_SIZE_MAX, "image_size");
    const uint64_t patch = NUMBER_OF(object, TOWER_SIZE_MAX, "patch_size");
    return patch > 0 ? (side / patch) * (side / patch) / (merge * merge) : 0;
}

static uint64_t image_tokens(const struct hf_config *config, struct str vision, uint64_t merge)
{
    struct str ratio;
    double scale;
    const uint64_t stated = hf_config_number(config, "mm_tokens_per_image", 0, PIXELS_MAX);
    if (stated > 0)
        return stated;
    uint64_t tokens = tokens_of_square(vision, merge);
    if (hf_config_find(config, "downsample_ratio", &ratio) && json_view_real(ratio, &scale) &&
        scale > 0 && scale <= 1) /* InternVL: tiles of such images, and a small copy of the whole */
        tokens = (uint64_t)((double)tokens * scale * scale) *
                 (1 + hf_config_number(config, "max_dynamic_patch", 0, 1024));
    return tokens;
}

struct hf_tower hf_tower_of_vision(const struct hf_config *config)
{
    struct str object, patch_size;
    if (!hf_config_find(config, "vision_config", &object) &&
        !hf_config_find(config, "vision_tower_config", &object) &&
        !hf_config_find(config, "visual", &object) &&
        !hf_config_find(config, "vit_config", &object))
        return (struct hf_tower){
            .exists = hf_config_find(config, "mm_vision_tower", &object) ||
                      hf_config_find(config, "vision_feature_layer", &object)};
    struct hf_tower tower = read_tower(object);
    uint64_t merge = NUMBER_OF(object, 64, "spatial_merge_size");
    merge = merge ? merge : hf_config_number(config, "spatial_merge_size", 1, 64);
    merge = merge ? merge : 1;
    const uint64_t patch = NUMBER_OF(object, TOWER_SIZE_MAX, "patch_size");
    const bool has_time = json_view_member(object, "temporal_patch_size", &patch_size);
    if (tower.hidden_size > 0)
        tower.parameter_count = hf_weight_plus(
            weigh(&tower),
            hf_weight_plus(projector(config, &tower, merge * merge),
                           hf_weight_times(tower.hidden_size,
                                           3 * patch * patch * (has_time ? 2 : 1))));
    tower.tokens_max = image_tokens(config, object, merge);
    return tower;
}

struct hf_tower hf_tower_of_audio(const struct hf_config *config)
{
    struct str object;
    if (!hf_config_find(config, "audio_config", &object) &&
        !hf_config_find(config, "audio_tower_config", &object) &&
        !hf_config_find(config, "audio_encoder_config", &object))
        return (struct hf_tower){0};
    struct hf_tower tower = read_tower(object);
    if (tower.hidden_size > 0)
        tower.parameter_count = hf_weight_plus(
            weigh(&tower), hf_weight_plus(projector(config, &tower, 1),
                                          3 * tower.hidden_size *
                                              (AUDIO_INPUT + tower.hidden_size)));
    return tower;
}

struct hf_tower hf_tower_of_encoder(const struct hf_config *config)
{
    if (!config->is_encoder_decoder)
        return (struct hf_tower){0};
    struct hf_tower tower = {.exists = true,
                             .layer_count = config->encoder_layer_count,
                             .head_count = config->encoder_head_count ? config->encoder_head_count
                                                                      : config->head_count,
                             .hidden_size = config->hidden_size,
                             .feed_forward_length = config->encoder_feed_forward_length
                                                        ? config->encoder_feed_forward_length
                                                        : config->feed_forward_length};
    const uint64_t width = tower.hidden_size;
    if (width > TOWER_SIZE_MAX)
        return (struct hf_tower){.exists = true};
    tower.parameter_count = weigh(&tower);
    if (config->mel_count > 0) /* two convolutions of three steps, and positions */
        tower.parameter_count = hf_weight_plus(
            tower.parameter_count, width * (3 * config->mel_count + 3 * width) +
                                       hf_weight_times(width, config->encoder_length));
    return tower;
}

uint64_t hf_image_tokens(struct str preprocessor)
{
    struct str size, member;
    uint64_t pixels = NUMBER_OF(preprocessor, PIXELS_MAX, "max_pixels");
    const uint64_t patch = NUMBER_OF(preprocessor, 1024, "patch_size");
    const uint64_t merge = NUMBER_OF(preprocessor, 64, "merge_size");
    if (pixels == 0 && json_view_member(preprocessor, "size", &size) &&
        json_view_member(size, "longest_edge", &member) && json_view_integer(member, &pixels) < 0)
        pixels = 0;
    if (pixels > PIXELS_MAX || patch == 0 || merge == 0)
        return 0; /* without a merge size longest_edge is an edge, not an area */
    return pixels / (patch * merge * patch * merge);
}
