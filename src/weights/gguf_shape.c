/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf_priv.h"

#include <stdio.h>

/* general.pooling_type of a model that ranks; gguf_meta keeps it plus one. */
enum { POOLING_NONE = 0, POOLING_RANK = 4 };

/* ---- kind ---- */

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

static enum model_kind kind_of(const struct gguf_meta *meta, const struct gguf_tensors *tensors)
{
    static const char *const diffusion[] = {
        "aura", "chroma", "cosmos", "flux",       "flux2", "hidream", "hyvid", "ltxv",
        "lumina2", "pig", "qwen_image", "sd1", "sd3", "sdxl",  "wan", "z_image", NULL};
    static const char *const speakers[] = {"wavtokenizer-dec", NULL};
    if (strcmp(meta->type, "adapter") == 0)
        return KIND_ADAPTER;
    if (strcmp(meta->type, "mmproj") == 0 || strcmp(meta->architecture, "clip") == 0)
        return KIND_PROJECTOR;
    if (tensors->has_diffusion || is_one_of(meta->architecture, diffusion))
        return KIND_DIFFUSION;
    if (strcmp(meta->architecture, "whisper") == 0)
        return KIND_WHISPER;
    if (is_one_of(meta->architecture, speakers))
        return KIND_TTS;
    if (meta->pooling_type == POOLING_RANK + 1)
        return KIND_RERANKER;
    if (meta->pooling_type > POOLING_NONE + 1 || meta->causal == 1)
        return KIND_EMBEDDING;
    if (meta->block_count == 0)
        return KIND_UNKNOWN;
    const bool is_bert = strstr(meta->architecture, "bert") != NULL;
    if (is_bert || strcmp(meta->architecture, "t5encoder") == 0)
        return tensors->has_classifier ? KIND_RERANKER : KIND_EMBEDDING;
    return KIND_LLM;
}

/* ---- layers ---- */

static int check_numbers(const struct gguf_meta *meta, struct err *err)
{
    if (meta->nextn_predict_layers > 0 && meta->nextn_predict_layers >= meta->block_count)
        return err_set(err, ERR_SYNTAX, "has %llu layers, of which %llu predict further tokens",
                       (unsigned long long)meta->block_count,
                       (unsigned long long)meta->nextn_predict_layers);
    if (meta->shared_kv_layers > meta->block_count - meta->nextn_predict_layers)
        return err_set(err, ERR_SYNTAX, "has %llu layers, of which %llu share a cache",
                       (unsigned long long)meta->block_count,
                       (unsigned long long)meta->shared_kv_layers);
    if (meta->expert_used_count > meta->expert_count)
        return err_set(err, ERR_SYNTAX, "uses %llu experts of %llu",
                       (unsigned long long)meta->expert_used_count,
                       (unsigned long long)meta->expert_count);
    return 0;
}

/* An array with one number a layer must have that many. */
static int check_array(const char *key, const struct gguf_values *values, uint64_t layers,
                       struct err *err)
{
    if (!values->is_array || values->count >= layers)
        return 0;
    return err_set(err, ERR_SYNTAX, "has %u items in the key %s for %llu layers", values->count,
                   key, (unsigned long long)layers);
}

static int check_arrays(const struct gguf_meta *meta, uint64_t layers, struct err *err)
{
    int rc = check_array("feed_forward_length", &meta->feed_forward_length, layers, err);
    if (rc == 0)
        rc = check_array("attention.head_count", &meta->head_count, layers, err);
    if (rc == 0)
        rc = check_array("attention.head_count_kv", &meta->head_count_kv, layers, err);
    if (rc == 0)
        rc = check_array("attention.recurrent_layers", &meta->recurrent_layers, layers, err);
    return rc;
}

static void set_layer(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
                      uint32_t index, struct layer_shape *layer)
{
    gguf_layer_shape(meta, index, layer);
    layer->bytes = tensors->layer_bytes[index];
    layer->expert_bytes = tensors->expert_bytes[index];
    layer->is_moe = layer->expert_bytes > 0;
    if (layer->is_moe && meta->expert_feed_forward_length)
        layer->feed_forward_length = meta->expert_feed_forward_length;
}

/* Layers of an encoder beside a decoder count as other bytes; alone, they are the layers. */
static uint64_t fold_encoder(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
                             struct model_shape *shape)
{
    uint64_t other = tensors->other_bytes;
    for (uint32_t i = 0; i < MODEL_SHAPE_LAYERS_MAX; i++) {
        if (!tensors->has_layer && i < shape->layer_count)
            shape->layers[i].bytes += tensors->encoder_bytes[i];
        else
            other += tensors->encoder_bytes[i];
    }
    if (tensors->has_encoder && tensors->has_layer)
        shape->encoder_layer_count = (uint32_t)meta->block_count;
    return other;
}

/* Tensors of layers that no key tells of. */
static uint64_t stray_bytes(const struct gguf_tensors *tensors, uint64_t known)
{
    uint64_t bytes = 0;
    for (uint64_t i = known; i < MODEL_SHAPE_LAYERS_MAX; i++)
        bytes += tensors->layer_bytes[i];
    return bytes;
}

static int set_layers(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
                      struct model_shape *shape, struct err *err)
{
    const bool is_decoder = tensors->has_encoder && tensors->has_layer && meta->decoder_block_count;
    const uint64_t blocks = is_decoder ? meta->decoder_block_count : meta->block_count;
    const uint64_t draft = is_decoder ? 0 : meta->nextn_predict_layers;
    const int rc = check_arrays(meta, blocks - draft, err);
    if (rc < 0)
        return rc;
    shape->layer_count = (uint32_t)(blocks - draft);
    shape->draft_layer_count = (uint32_t)draft;
    shape->layers = mem_alloc_array(shape->layer_count + 1, sizeof *shape->layers);
    for (uint32_t i = 0; i < shape->layer_count; i++)
        set_layer(meta, tensors, i, &shape->layers[i]);
    for (uint64_t i = shape->layer_count; i < blocks; i++)
        shape->draft_bytes += tensors->layer_bytes[i];
    shape->other_bytes = fold_encoder(meta, tensors, shape) + stray_bytes(tensors, blocks);
    return 0;
}

/* ---- the rest ---- */

/* The label that the file gives, or the type that most bytes have. */
static void set_quantization(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
                             struct model_shape *shape)
{
    const char *label = meta->file_type ? gguf_file_type_name(meta->file_type - 1) : NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < GGUF_TENSOR_TYPE_END; i++)
        if (tensors->type_bytes[i] > tensors->type_bytes[most])
            most = i;
    if (!label && tensors->type_bytes[most] > 0)
        label = gguf_tensor_type(most)->name;
    snprintf(shape->quantization, sizeof shape->quantization, "%s", label ? label : "");
}

/* Patches along each side that become one token. */
static uint64_t vision_merge(const struct gguf_meta *meta)
{
    if (meta->vision_merge_size)
        return meta->vision_merge_size;
    return meta->vision_scale_factor ? meta->vision_scale_factor : 1;
}

/* Patches of the largest image that isn't scaled down, as the language model sees them. */
static uint64_t vision_tokens(const struct gguf_meta *meta)
{
    if (meta->vision_patch_size == 0)
        return 0;
    const uint64_t side = meta->vision_image_size / meta->vision_patch_size / vision_merge(meta);
    return side * side;
}

static void set_vision(const struct gguf_meta *meta, struct model_shape *shape)
{
    shape->has_vision = meta->has_vision || meta->vision_block_count > 0;
    shape->has_audio = meta->has_audio != 0;
    shape->vision_head_count = meta->vision_head_count;
    shape->vision_layer_count = meta->vision_block_count;
    shape->vision_hidden_size = meta->vision_embedding_length;
    shape->vision_tokens_max = vision_tokens(meta);
    if (shape->vision_tokens_max > 0)
        shape->vision_token_patches = vision_merge(meta) * vision_merge(meta);
}

static void set_numbers(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
                        struct model_shape *shape)
{
    memcpy(shape->architecture, meta->architecture, sizeof shape->architecture);
    memcpy(shape->name, meta->name, sizeof shape->name);
    shape->has_chat_template = meta->has_chat_template;
    shape->has_unknown_types = tensors->has_unknown_types;
    shape->parameter_count = tensors->parameters;
    shape->tensor_bytes = tensors->bytes;
    shape->input_bytes = tensors->input_bytes;
    shape->output_bytes = tensors->output_bytes;
    shape->context_length = meta->context_length;
    shape->vocabulary_size = meta->vocab_size    ? meta->vocab_size
                             : meta->token_count ? meta->token_count
                                                 : tensors->embedding_rows;
    shape->hidden_size = meta->embedding_length;
    shape->expert_count = meta->expert_count;
    shape->expert_used_count = meta->expert_used_count;
    shape->expert_shared_count = meta->expert_shared_count;
}

/* Keys have a part without position and one with it; the latter goes past the latent vector. */
static void set_latent(const struct gguf_meta *meta, struct model_shape *shape)
{
    if (!gguf_is_latent(meta))
        return;
    uint64_t rope = meta->rope_dimension_count;
    if (rope == 0 && meta->key_length > meta->kv_lora_rank)
        rope = meta->key_length - meta->kv_lora_rank;
    shape->q_lora_rank = meta->q_lora_rank;
    shape->kv_lora_rank = meta->kv_lora_rank;
    shape->qk_rope_head_dim = rope;
    shape->qk_nope_head_dim = meta->key_length_mla > rope ? meta->key_length_mla - rope : 0;
    shape->v_head_dim = meta->value_length_mla;
}

int gguf_shape(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
               struct model_shape *ret, struct err *err)
{
    struct model_shape shape = {.format = FORMAT_GGUF};
    int rc = check_numbers(meta, err);
    if (rc == 0)
        rc = set_layers(meta, tensors, &shape, err);
    if (rc < 0) {
        model_shape_fini(&shape);
        return rc;
    }
    shape.kind = (uint8_t)kind_of(meta, tensors);
    shape.is_causal = shape.kind == KIND_LLM && gguf_is_causal(meta);
    shape.is_tied = shape.kind == KIND_LLM && tensors->has_input && !tensors->has_output;
    set_numbers(meta, tensors, &shape);
    set_latent(meta, &shape);
    set_quantization(meta, tensors, &shape);
    set_vision(meta, &shape);
    *ret = shape;
    return 0;
}
