/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of published models, as their config.json has them; what weights/ would read. */
#pragma once

#include "estimate/estimate.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* clang-format off */
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* The numbers that most models consist of. */
struct numbers {
    unsigned layers;
    uint32_t heads, kv, head;
    uint64_t hidden, feed_forward, vocabulary, context;
    unsigned period;    /* every so many layers one sees everything, the others `window` */
    uint64_t window;
    bool is_latent;     /* one vector of `head` elements a token */
};

static inline void shape_of(const struct numbers *n, struct model_shape *ret)
{
    *ret = (struct model_shape){.format = FORMAT_SAFETENSORS,
                                .kind = KIND_LLM,
                                .is_causal = true,
                                .dtype = "bfloat16",
                                .hidden_size = n->hidden,
                                .vocabulary_size = n->vocabulary,
                                .context_length = n->context,
                                .layer_count = n->layers};
    ret->layers = calloc(n->layers, sizeof ret->layers[0]);
    for (unsigned il = 0; il < n->layers; il++) {
        const bool has_window = n->period && il % n->period < n->period - 1;
        ret->layers[il] = (struct layer_shape){
            .cache = n->is_latent ? CACHE_LATENT : has_window ? CACHE_WINDOW : CACHE_FULL,
            .head_count = n->heads,
            .head_count_kv = n->is_latent ? 1 : n->kv,
            .key_length = n->head,
            .value_length = n->is_latent ? 0 : n->head,
            .window = has_window ? n->window : 0,
            .feed_forward_length = n->feed_forward};
    }
}

/* Bytes of one part over all places. */
static inline uint64_t part_bytes(const struct estimate *estimate, enum estimate_part part)
{
    uint64_t sum = estimate->host.parts[part];
    for (size_t i = 0; i < estimate->device_count; i++)
        sum += estimate->devices[i].parts[part];
    return sum;
}
