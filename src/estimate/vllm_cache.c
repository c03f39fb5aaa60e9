/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/vllm_priv.h"

static uint64_t token_bytes(const struct layer_shape *layer, const struct parallel *parallel,
                            const struct vllm_cache_options *options)
{
    if (layer->cache == CACHE_NONE || layer->cache == CACHE_STATE)
        return 0;
    if (layer->cache == CACHE_LATENT && options->latent_bytes)
        return options->latent_bytes;
    const uint64_t heads = parallel_kv_heads(layer, parallel->tensor);
    const uint64_t width = layer->cache == CACHE_LATENT ? layer->key_length
                                                        : layer->key_length + layer->value_length;
    return heads * width * options->key_bits / 8 + layer->indexer_length;
}

static uint64_t state_bytes(const struct layer_shape *layer, const struct parallel *parallel)
{
    if (layer->cache != CACHE_STATE && layer->cache != CACHE_FULL_AND_STATE)
        return 0;
    return ceil_div(layer->state_conv * 2 + layer->state_ssm * 4, parallel->tensor);
}

static int count_kind(struct vllm_cache *cache, const struct vllm_kind *kind, struct err *err)
{
    for (unsigned i = 0; i < cache->kind_count; i++) {
        struct vllm_kind *known = &cache->kinds[i];
        if (known->cache == kind->cache && known->window == kind->window &&
            known->token_bytes == kind->token_bytes && known->state_bytes == kind->state_bytes) {
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

/* A layer with both keeps its two caches as if they were two layers'. */
static int count_layer(struct vllm_cache *cache, const struct layer_shape *layer,
                       const struct parallel *parallel, const struct vllm_cache_options *options,
                       struct err *err)
{
    const uint64_t tokens = token_bytes(layer, parallel, options);
    const uint64_t state = state_bytes(layer, parallel);
    int rc = 0;
    if (tokens > 0) {
        const bool has_window = layer->cache == CACHE_WINDOW || layer->cache == CACHE_CHUNK;
        const struct vllm_kind kind = {
            .cache = has_window ? (enum layer_cache)layer->cache : CACHE_FULL,
            .window = has_window ? layer->window : 0,
            .token_bytes = tokens};
        rc = count_kind(cache, &kind, err);
    }
    if (rc == 0 && state > 0) {
        const struct vllm_kind kind = {.cache = CACHE_STATE, .state_bytes = state};
        rc = count_kind(cache, &kind, err);
    }
    return rc;
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

int vllm_cache_make(const struct model_shape *shape, const struct parallel *parallel,
                    uint64_t stage, const struct vllm_cache_options *options,
                    struct vllm_cache *ret, struct err *err)
{
    *ret = (struct vllm_cache){.batch = options->batch,
                               .context_ranks = max_u64(options->context_ranks, 1)};
    const uint32_t first = parallel_stage_first(shape->layer_count, parallel->pipeline, stage);
    const uint32_t count = parallel_stage_layers(shape->layer_count, parallel->pipeline, stage);
    for (uint32_t il = first; il < first + count; il++) {
        const int rc = count_layer(ret, &shape->layers[il], parallel, options, err);
        if (rc < 0)
            return rc;
    }
    if (ret->kind_count == 0)
        return 0;
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
    return ceil_div(ceil_div(tokens, cache->context_ranks), cache->block);
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
