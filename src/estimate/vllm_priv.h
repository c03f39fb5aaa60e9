/* SPDX-License-Identifier: Apache-2.0 */
/* Only vllm*.c and sglang.c may include this: pages of vLLM's cache of keys and values. */
#pragma once

#include "estimate/parallel_priv.h"

enum { VLLM_KINDS_MAX = 8, VLLM_BLOCK = 16 };

/* Layers with the same demands. */
struct vllm_kind {
    enum layer_cache cache;
    uint64_t window;
    uint64_t fixed_tokens; /* of an encoder, that every request keeps; 0: its own tokens */
    uint64_t token_bytes; /* of one layer and rank; 0 for CACHE_STATE */
    uint64_t state_bytes;
    uint32_t layers;
};

struct vllm_cache {
    struct vllm_kind kinds[VLLM_KINDS_MAX];
    unsigned kind_count;
    uint64_t block;      /* tokens of a page */
    uint64_t page_bytes; /* of one layer; the same for all kinds */
    uint64_t group_size; /* layers that share a page's number */
    uint64_t groups;
    uint64_t batch;      /* tokens that a window may be ahead */
    uint64_t context_ranks; /* that share a context: decode x prefill context parallel */
};

struct vllm_cache_options {
    uint64_t key_bits;      /* of an element */
    uint64_t latent_bytes;  /* of a token and layer when it isn't by the element; 0 */
    uint64_t block;         /* 0: the engine chooses */
    uint64_t batch;
    uint64_t context_ranks;
    bool ignores_windows;   /* the hybrid manager is switched off: windows keep everything */
    const struct model_shape *draft; /* its layers are on the last stage, too; NULL */
};

/* What the layers of a stage need. ERR_TOO_LARGE when they are of too many kinds. */
int vllm_cache_make(const struct model_shape *shape, const struct parallel *parallel,
                    uint64_t stage, const struct vllm_cache_options *options,
                    struct vllm_cache *ret, struct err *err) must_check;

/* Pages that one request of so many tokens needs, over all groups. */
uint64_t vllm_cache_pages(const struct vllm_cache *cache, uint64_t tokens);

/* Bytes of these. */
uint64_t vllm_cache_bytes(const struct vllm_cache *cache, uint64_t tokens);

/* Pages that so many bytes hold. */
uint64_t vllm_cache_blocks(const struct vllm_cache *cache, uint64_t bytes);

/* The longest request, up to `limit`, that these blocks hold. */
uint64_t vllm_cache_longest(const struct vllm_cache *cache, uint64_t blocks, uint64_t limit);
