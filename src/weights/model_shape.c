/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/model_shape.h"

#include "base/mem.h"

#include <string.h>

const char *model_format_name(enum model_format format)
{
    static const char *const names[FORMAT_COUNT] = {
        [FORMAT_UNKNOWN] = "unknown",
        [FORMAT_GGUF] = "gguf",
        [FORMAT_SAFETENSORS] = "safetensors",
        [FORMAT_PYTORCH] = "pytorch",
    };
    return names[format];
}

const char *model_kind_name(enum model_kind kind)
{
    static const char *const names[MODEL_KIND_COUNT] = {
        [KIND_UNKNOWN] = "unknown",     [KIND_LLM] = "llm",
        [KIND_EMBEDDING] = "embedding", [KIND_RERANKER] = "reranker",
        [KIND_WHISPER] = "whisper",     [KIND_TTS] = "tts",
        [KIND_DIFFUSION] = "diffusion", [KIND_PROJECTOR] = "projector",
        [KIND_ADAPTER] = "adapter",
    };
    return names[kind];
}

const char *layer_cache_name(enum layer_cache cache)
{
    static const char *const names[LAYER_CACHE_COUNT] = {
        [CACHE_NONE] = "none",
        [CACHE_FULL] = "full",
        [CACHE_LATENT] = "latent",
        [CACHE_WINDOW] = "window",
        [CACHE_CHUNK] = "chunk",
        [CACHE_STATE] = "state",
        [CACHE_FULL_AND_STATE] = "full+state",
    };
    return names[cache];
}

static bool keeps_all_tokens(const struct layer_shape *layer)
{
    return layer->cache == CACHE_FULL || layer->cache == CACHE_LATENT ||
           layer->cache == CACHE_FULL_AND_STATE;
}

uint64_t model_shape_kv_bytes_per_token(const struct model_shape *shape, unsigned key_bits,
                                        unsigned value_bits)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const struct layer_shape *layer = &shape->layers[i];
        if (!keeps_all_tokens(layer))
            continue;
        const uint64_t heads = layer->head_count_kv, caches = layer->has_two_caches ? 2 : 1;
        bytes += caches * (heads * layer->key_length + layer->indexer_length) * key_bits / 8;
        bytes += caches * heads * layer->value_length * value_bits / 8;
    }
    return bytes;
}

uint32_t model_shape_head_count(const struct model_shape *shape)
{
    uint32_t largest = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].head_count > largest)
            largest = shape->layers[i].head_count;
    return largest;
}

uint32_t model_shape_head_count_kv(const struct model_shape *shape)
{
    uint32_t largest = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].head_count_kv > largest)
            largest = shape->layers[i].head_count_kv;
    return largest;
}

uint64_t model_shape_feed_forward_length(const struct model_shape *shape)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].feed_forward_length > largest)
            largest = shape->layers[i].feed_forward_length;
    return largest;
}

void model_shape_fini(struct model_shape *shape)
{
    free(shape->layers);
    free(shape->parts);
    memset(shape, 0, sizeof *shape);
}
