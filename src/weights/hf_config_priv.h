/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of a Hugging Face style model: its many spellings as one set of numbers.
 *
 * A multimodal model's text part lies in an object within (text_config, thinker_config.text_config,
 * ...): what isn't stated there is looked up outwards, and then in the family's defaults, as
 * published files leave out what equals them. Mistral's params.json is read the same way. Hostile
 * input: each number has a limit, above it is an error that names the key.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "weights/clean_text_priv.h"
#include "weights/hf_family_priv.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HF_CONFIG_MAX = 1 << 20, /* bytes; known ones have up to 200 KB (label lists) */
    HF_SCOPES_MAX = 8,
    HF_HEADS_MAX = 1 << 16,
    HF_HEAD_LENGTH_MAX = 1 << 16,
    HF_COUNT_MAX = 1 << 16, /* things of which there are few: groups, kernels, periods */
};

/* Numbers that aren't stated are 0. Lengths are elements. */
struct hf_config {
    struct buf text;                  /* owned; the views below borrow from it */
    char file[64];                    /* its name, for errors */
    struct str scopes[HF_SCOPES_MAX]; /* where a key is looked up: innermost first */
    unsigned scope_count;
    struct str root;
    char model_type[64];              /* of the text part: "qwen3_moe", "gemma3_text" */
    char outer_type[64];              /* of the whole: "gemma3"; the same for plain models */
    char architecture[256];           /* "Qwen3MoeForCausalLM"; else the model type */
    struct hf_family family;
    bool is_tied, is_causal, is_encoder_decoder, has_attention_bias;
    bool is_nested;             /* the text part is an object within */
    bool has_channel_gates;     /* linear attention as Kimi's */
    bool has_short_convolution; /* instead of attention, as LFM2's */

    uint64_t hidden_size, layer_count, encoder_layer_count, draft_layer_count;
    uint64_t head_count, head_count_kv, head_length, value_length;
    uint64_t global_head_length, global_head_count_kv; /* of full layers among windows (gemma 4) */
    uint64_t window_head_length, window_value_length, window_head_count_kv; /* the reverse (MiMo) */
    uint64_t feed_forward_length, vocabulary_size, context_length;
    uint64_t window, chunk, shared_kv_layers;
    uint64_t encoder_head_count, encoder_feed_forward_length, encoder_length, mel_count;

    uint64_t expert_count, expert_used_count, expert_shared_count;
    uint64_t expert_feed_forward_length, shared_feed_forward_length;
    uint64_t dense_layers_first;

    uint64_t latent_length, query_latent_length, rope_length, nope_length; /* MLA */
    uint64_t indexer_length, indexer_head_count;

    uint64_t state_length, conv_length, inner_length, expansion, group_count, rank; /* Mamba */
    uint64_t state_head_count, state_head_length;
    uint64_t key_head_count, key_head_length, value_head_count, value_head_length; /* gated delta */
};

/* Takes the text in any case. Errors begin with the file's name. */
int hf_config_read(const char *file, struct buf *text, struct hf_config *ret,
                   struct err *err) must_check;

void hf_config_fini(struct hf_config *config);

/* The value of a key in the innermost scope that has it (and not as null). */
bool hf_config_find(const struct hf_config *config, const char *key, struct str *ret);

/* A number by its key, at most `max`; else `fallback`. For what one place needs only. */
uint64_t hf_config_number(const struct hf_config *config, const char *key, uint64_t fallback,
                          uint64_t max);
bool hf_config_is_true(const struct hf_config *config, const char *key);

/*
 * Tokens that it was trained for: the smallest of the keys that state a length, times the factor of
 * its rope scaling where that isn't in the length already (su, longrope, llama3, mrope); yarn's
 * counts from original_max_position_embeddings. 0 when nothing states it.
 */
uint64_t hf_context_length(const struct hf_config *config);
