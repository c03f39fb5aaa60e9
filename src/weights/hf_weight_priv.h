/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of weights by formula, for models of which no tensor list is at hand: from a hub only
 * config.json and the files' sizes are read. Exact for the families that the unit tests name. Sums
 * saturate at HF_WEIGHT_MAX.
 */
#pragma once

#include "weights/hf_blocks_priv.h"
#include "weights/hf_towers_priv.h"

/* No model is above this. */
#define HF_WEIGHT_MAX (UINT64_C(1) << 52)

/* Apart, as a quantisation treats them apart. */
struct hf_weight {
    uint64_t linear;  /* matrices of attention and dense or shared feed-forward parts */
    uint64_t experts; /* matrices of routed experts */
    uint64_t plain;   /* norms, biases, routers, embeddings: never quantised */
};

/* Products and sums that stay at HF_WEIGHT_MAX. */
uint64_t hf_weight_times(uint64_t a, uint64_t b);
uint64_t hf_weight_plus(uint64_t a, uint64_t b);
uint64_t hf_weight_total(const struct hf_weight *weight);

/* One layer. */
struct hf_weight hf_weight_of_block(const struct hf_config *config, const struct hf_block *block);

/* All layers that predict further tokens, with what they repeat of input and output. */
struct hf_weight hf_weight_of_drafts(const struct hf_config *config);

/* The embedding of tokens (and positions); the final norm and the output matrix when untied. */
uint64_t hf_weight_of_input(const struct hf_config *config);
uint64_t hf_weight_of_output(const struct hf_config *config);
