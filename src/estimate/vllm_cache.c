/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/vllm_priv.h"

enum { INDEX_SCALED = 128, INDEX_SCALE_BYTES = 4 }; /* index keys are fp8 with scales */

static uint64_t index_bytes(const struct layer_shape *layer)
{
    return layer->indexer_length +
           ceil_div(layer->indexer_length, INDEX_SCALED) * INDEX_SCALE_BYTES;
}

static uint64_t token_bytes(const struct layer_shape *layer, const struct parallel *parallel,
                            const struct vllm_cache_options *options)
{
    if (layer->cache == CACHE_NONE || layer->cache == CACHE_STATE)
        return 0;
    if (layer->cache == CACHE_LATENT && options->latent_bytes)
        return options->latent_bytes + index_bytes(layer);
    const uint64_t heads = parallel_kv_heads(layer, parallel);
    const uint64_t width = layer->cache == CACHE_LATENT ? layer->key_length
                                                        : layer->key_length + layer->value_length;
    return heads * width * options->key_bits / 8 + index_bytes(layer);
}

static uint64_t state_bytes(const struct layer_shape *layer, const struct parallel *parallel)
{
    if (layer->cache != CACHE_STATE && layer->cache != CACHE_FULL_AND_STATE)
        return 0;
    return ceil_div(layer->state_conv * 2 + layer->state_ssm * 4, parallel->attention);
}

static bool is_same_kind(const struct vllm_kind *a, const struct vllm_kind *b)
{
    return a->cache == b->cache && a->window == b->window && a->fixed_tokens == b->fixed_tokens &&
           a->token_bytes == b->token_bytes && a->state_bytes == b->state_bytes;
}

static int count_kind(struct vllm_cache *cache, const struct vllm_kind *kind, struct err *err)
{
    for (unsigned i = 0; i < cache->kind_count; i++) {
        struct vllm_kind *known = &cache->kinds[i];
        if (is_same_kind(known, kind)) {
            known->layers++;
            return 0;
        }
    }
    if (cache->kind_count == VLLM_KINDS_MAX)
        return err_set(err, ERR_TOO_LARGE, "the layers have more than %d kinds of caches",
                       VLLM_KINDS_MAX);
    cache->kinds[cache->kind_count] = *kind;
    cache->kinds[cache->kind_count++].layers = 1;
    return 0;
}

static int count_tokens(struct vllm_cache *cache, const struct layer_shape *layer,
                        uint64_t bytes, uint64_t encoder_length,
                        const struct vllm_cache_options *options, struct err *err)
{
    const bool has_window = !options->ignores_windows &&
                            (layer->cache == CACHE_WINDOW || layer->cache == CACHE_CHUNK);
    const struct vllm_kind kind = {
        .cache = has_window ? (enum layer_cache)layer->cache : CACHE_FULL,
        .window = has_window ? layer->window : 0,
        .token_bytes = bytes};
    const struct vllm_kind cross = {.cache = CACHE_FULL, .token_bytes = bytes,
                                    .fixed_tokens = encoder_length};
    const int rc = count_kind(cache, &kind, err);
    return rc < 0 || encoder_length == 0 ? rc : count_kind(cache, &cross, err);
}

/*
 * A layer with both keeps its two caches as if they were two layers'; one that looks at an encoder,
 * as whisper's, keeps that one's keys and values, too.
 */
static int count_layer(struct vllm_cache *cache, const struct layer_shape *layer,
                       uint64_t encoder_length, const struct parallel *parallel,
                       const struct vllm_cache_options *options, struct err *err)
{
    const uint64_t tokens = token_bytes(layer, parallel, options);
    const uint64_t state = state_bytes(layer, parallel);
    int rc = 0;
    for (int i = 0; i <= layer->has_two_caches && rc == 0 && tokens > 0; i++)
        rc = count_tokens(cache, layer, tokens, encoder_length, options, err);
    if (rc == 0 && state > 0) {
        const struct vllm_kind kind = {.cache = CACHE_STATE, .state_bytes = state};
        rc = count_kind(cache, &kind, err);
    }
    return rc;
}

/* Layers that all keep everything have one page together, however wide each is. */
static void merge_kinds(struct vllm_cache *cache)
{
    struct vllm_kind all = {.cache = CACHE_FULL, .layers = 1};
    for (unsigned i = 0; i < cache->kind_count; i++) {
        if (cache->kinds[i].cache != CACHE_FULL || cache->kinds[i].fixed_tokens)
            return;
        all.token_bytes += cache->kinds[i].token_bytes * cache->kinds[i].layers;
    }
    if (cache->kind_count < 2)
        return;
    cache->kinds[0] = all;
    cache->kind_count = 1;
}

/* Pages of all kinds get the size of the largest; blocks of tokens grow to hold a state. */
static void size_pages(struct vllm_cache *cache, uint64_t block)
{
    uint64_t tokens = 0, state = 0;
    for (unsigned i = 0; i < cache->kind_count; i++) {
        tokens = max_u64(tokens, cache->kinds[i].token_bytes);
        state = max_u64(state, cache->kinds[i].state_bytes);
    }
    cache->block = block ? block : VLLM_BLOCK;
    if (tokens > 0 && state > cache->block * tokens)
        cache->block = round_up(ceil_div(state, tokens), VLLM_BLOCK);
    cache->page_bytes = max_u64(cache->block * tokens, state);
}

/* As many layers a group as the rarest kind has, or as the commonest when they hardly differ. */
static void form_groups(struct vllm_cache *cache)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < cache->kind_count; i++) {
        least = min_u64(least, cache->kinds[i].layers);
        most = max_u64(most, cache->kinds[i].layers);
    }
    cache->group_size = 2 * most < 3 * least ? most : least;
    for (unsigned i = 0; i < cache->kind_count; i++)
        cache->groups += ceil_div(cache->kinds[i].layers, cache->group_size);
}

static int count_layers(struct vllm_cache *cache, const struct model_shape *shape, uint32_t first,
                        uint32_t count, const struct parallel *parallel,
                        const struct vllm_cache_options *options, struct err *err)
{
    int rc = 0;
    for (uint32_t il = first; rc == 0 && il < first + count; il++)
        rc = count_layer(cache, &shape->layers[il], shape->encoder_length, parallel, options, err);
    return rc;
}

int vllm_cache_make(const struct model_shape *shape, const struct parallel *parallel,
                    uint64_t stage, const struct vllm_cache_options *options,
                    struct vllm_cache *ret, struct err *err)
{
    *ret = (struct vllm_cache){.batch = options->batch,
                               .context_ranks = max_u64(options->context_ranks, 1)};
    const uint32_t first = parallel_stage_first(shape->layer_count, parallel->pipeline, stage);
    const uint32_t count = parallel_stage_layers(shape->layer_count, parallel->pipeline, stage);
    int rc = count_layers(ret, shape, first, count, parallel, options, err);
    if (rc == 0 && options->draft && stage == parallel->pipeline - 1)
        rc = count_layers(ret, options->draft, 0, options->draft->layer_count, parallel, options,
                          err);
    if (rc < 0 || ret->kind_count == 0)
        return rc;
    merge_kinds(ret);
    size_pages(ret, options->block);
    form_groups(ret);
    return 0;
}

static uint64_t kind_pages(const struct vllm_cache *cache, const struct vllm_kind *kind,
                           uint64_t tokens)
{
    switch (kind->cache) {
    case CACHE_WINDOW:
        return ceil_div(min_u64(kind->window - 1 + cache->batch, tokens), cache->block) + 1;
    case CACHE_CHUNK:
        return ceil_div(min_u64(kind->window + cache->batch, tokens), cache->block);
    case CACHE_STATE:
        return 1;
    case CACHE_NONE:
    case CACHE_FULL:
    case CACHE_LATENT:
    case CACHE_FULL_AND_STATE:
    case LAYER_CACHE_COUNT:
        break;
    }
    return ceil_div(ceil_div(kind->fixed_tokens ? kind->fixed_tokens : tokens,
                             cache->context_ranks), cache->block);
}

uint64_t vllm_cache_pages(const struct vllm_cache *cache, uint64_t tokens)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < cache->kind_count; i++)
        pages += ceil_div(cache->kinds[i].layers, cache->group_size) *
                 kind_pages(cache, &cache->kinds[i], tokens);
    return pages;
}

uint64_t vllm_cache_bytes(const struct vllm_cache *cache, uint64_t tokens)
{
    return vllm_cache_pages(cache, tokens) * cache->page_bytes * cache->group_size;
}

uint64_t vllm_cache_blocks(const struct vllm_cache *cache, uint64_t bytes)
{
    return cache->kind_count ? bytes / cache->page_bytes / cache->group_size : 0;
}

uint64_t vllm_cache_longest(const struct vllm_cache *cache, uint64_t blocks, uint64_t limit)
{
    uint64_t low = 0, high = limit;
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        if (vllm_cache_pages(cache, middle) <= blocks)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
