/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model type means beyond what its config.json states: how its blocks are built and which
 * numbers its files leave out. Unknown types are gated decoders without defaults. Pure.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum hf_trait {
    HF_PLAIN_MLP = 1 << 0,       /* two matrices, not three: no gate */
    HF_TIED = 1 << 1,            /* ties embeddings unless it says otherwise */
    HF_ENCODER = 1 << 2,         /* bidirectional: no cache */
    HF_WINDOW_OPT_IN = 1 << 3,   /* sliding_window counts with use_sliding_window only */
    HF_ALL_STATE = 1 << 4,       /* recurrent in each layer */
    HF_STATE_BESIDE = 1 << 5,    /* attention and a state in each layer */
    HF_NO_MLP = 1 << 6,          /* a layer is its mixer only */
    HF_CONTEXT_IS_FINAL = 1 << 7, /* max_position_embeddings has the rope factor in it */
    HF_SHARED_ALWAYS = 1 << 8,   /* one shared expert that no key states (llama 4) */
    HF_GATED_QUERY = 1 << 9,     /* the query matrix has a gate beside (qwen3-next) */
    HF_TTS = 1 << 10,
    HF_WHISPER = 1 << 11,
    HF_TWICE = 1 << 12,          /* a layer attends twice, with a dense part each, beside experts */
};

/* 0: no default. */
struct hf_family {
    const char *model_type; /* NULL: not a known one */
    unsigned traits; /* of enum hf_trait */
    uint32_t hidden_size, feed_forward_length, layer_count;
    uint32_t head_count, head_count_kv, head_length;
    uint32_t vocabulary_size, context_length;
    uint32_t window, window_period; /* of so many layers the last one is full */
};

/* The family of a model type; with "_text" at its end cut off as well. Never fails: an unknown type
 * has no traits. */
struct hf_family hf_family_of(const char *model_type);
