/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_tensors_priv.h"

#include "base/num.h"
#include "weights/hf_weight_priv.h"

/* --- names ----------------------------------------------------------------------------------- */

static bool is_any(struct str segment, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(segment, str_of(words[i])))
            return true;
    return false;
}

static bool has_any(struct str segment, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memmem(segment.ptr, segment.len, words[i], strlen(words[i])))
            return true;
    return false;
}

#define IS_ANY(segment, ...)                                                                       \
    is_any(segment, (const char *const[]){__VA_ARGS__},                                            \
           ARRAY_LEN(((const char *const[]){__VA_ARGS__})))
#define HAS_ANY(segment, ...)                                                                      \
    has_any(segment, (const char *const[]){__VA_ARGS__},                                           \
            ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

/* The part that a segment in front of a layer's number opens, or HF_LAYER for none. */
static enum hf_place place_of_segment(struct str segment, bool has_encoder)
{
    if (HAS_ANY(segment, "vision", "visual", "image", "img_") ||
        IS_ANY(segment, "vit", "vpm", "resampler", "mlp1", "mm_projector",
               "multi_modal_projector", "patch_merger"))
        return HF_VISION;
    if (HAS_ANY(segment, "audio", "speech") || IS_ANY(segment, "apm"))
        return HF_AUDIO;
    if (IS_ANY(segment, "mtp", "nextn", "eagle", "mtp_block"))
        return HF_DRAFT;
    if (IS_ANY(segment, "talker", "token2wav", "code2wav", "code_predictor"))
        return HF_OTHER;
    if (has_encoder && IS_ANY(segment, "encoder"))
        return HF_ENCODER_PART;
    return HF_LAYER;
}

/* A tensor that lies in no layer. */
static enum hf_place place_of_rest(struct str name)
{
    struct str segment;
    enum hf_place place = HF_OTHER;
    while (str_split(&name, '.', &segment)) {
        if (IS_ANY(segment, "embed_tokens", "wte", "wpe", "word_embeddings", "embeddings",
                   "embedding", "tok_embeddings", "embed_in", "embed_positions",
                   "position_embeddings", "token_type_embeddings", "embed", "shared",
                   "word_embeddings_layernorm", "embed_tokens_per_layer"))
            return HF_INPUT;
        if (IS_ANY(segment, "lm_head", "embed_out", "output_layer", "output", "norm", "ln_f",
                   "norm_f", "final_layernorm", "final_layer_norm", "final_norm", "layer_norm",
                   "score", "classifier", "head"))
            place = HF_OUTPUT;
    }
    return place;
}

struct hf_tensor_place hf_tensor_place_of(struct str name, uint32_t layer_count, bool has_encoder)
{
    struct hf_tensor_place ret = {0};
    struct str rest = name, segment, number;
    while (str_split(&rest, '.', &segment)) {
        const enum hf_place opened = place_of_segment(segment, has_encoder);
        uint64_t n = 0;
        if (opened != HF_LAYER)
            return (struct hf_tensor_place){.place = (uint8_t)opened};
        if (!IS_ANY(segment, "layers", "layer", "h", "blocks", "block"))
            continue;
        struct str behind = rest;
        if (!str_split(&behind, '.', &number) || num_parse_u64(number, &n) < 0)
            continue;
        if (n >= layer_count)
            return (struct hf_tensor_place){.place = layer_count ? HF_DRAFT : HF_OTHER};
        ret.layer = (uint32_t)n;
        while (str_split(&behind, '.', &segment))
            ret.is_expert |= str_eq(segment, STR("experts"));
        return ret;
    }
    ret.place = (uint8_t)place_of_rest(name);
    return ret;
}

/* Scales, zero points and orders of quantised weights: they aren't weights of the model. */
static bool is_scale(struct str name)
{
    static const char *const SUFFIXES[] = {
        "scale",  "scales", "scale_inv",  "qzeros",    "g_idx",          "zero_point",
        "absmax", "offset", "quant_bias", "quant_map", "quant_state.bitsandbytes__nf4",
        "weight_shape"};
    for (size_t i = 0; i < ARRAY_LEN(SUFFIXES); i++)
        if (str_has_suffix(name, str_of(SUFFIXES[i])))
            return true;
    return false;
}

static bool is_output_matrix(struct str name)
{
    return HAS_ANY(name, "lm_head.", "embed_out.", "output_layer.") ||
           str_eq(name, STR("output.weight"));
}

/* --- sums ------------------------------------------------------------------------------------ */

static void add_tensor(const struct safetensors_tensor *tensor, bool has_encoder,
                       struct model_shape *shape, struct hf_tensor_sums *sums)
{
    const struct hf_tensor_place at =
        hf_tensor_place_of(tensor->name, shape->layer_count, has_encoder);
    sums->bytes[at.place] += tensor->bytes;
    sums->type_bytes[tensor->type] += tensor->bytes;
    if (at.place != HF_DRAFT && !is_scale(tensor->name))
        sums->elements = hf_weight_plus(sums->elements, tensor->elements);
    if (at.place == HF_OUTPUT && is_output_matrix(tensor->name))
        sums->has_output_matrix = true;
    if (at.place != HF_LAYER)
        return;
    shape->layers[at.layer].bytes += tensor->bytes;
    if (at.is_expert)
        shape->layers[at.layer].expert_bytes += tensor->bytes;
}

int hf_tensors_sum(struct source *source, const struct hf_files *files, size_t header_max,
                   bool has_encoder, struct model_shape *shape, struct hf_tensor_sums *ret,
                   struct err *err)
{
    struct hf_tensor_sums sums = {0};
    for (size_t i = 0; i < files->count; i++) {
        auto_fini(safetensors_fini) struct safetensors header = {0};
        const int rc = safetensors_read(source, files->files[i], header_max, &header, err);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < header.tensor_count; k++)
            add_tensor(&header.tensors[k], has_encoder, shape, &sums);
        sums.has_unknown_types |= header.has_unknown_types;
    }
    *ret = sums;
    return 0;
}

enum safetensors_type hf_tensor_sums_type(const struct hf_tensor_sums *sums)
{
    enum safetensors_type most = SAFETENSORS_UNKNOWN;
    for (unsigned i = 1; i < SAFETENSORS_TYPE_COUNT; i++)
        if (sums->type_bytes[i] > sums->type_bytes[most] || most == SAFETENSORS_UNKNOWN)
            most = i;
    return sums->type_bytes[most] > 0 ? most : SAFETENSORS_UNKNOWN;
}
