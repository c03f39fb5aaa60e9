/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each layer of a config.json's model is built: what mixes its tokens and what follows. The
 * caches of the layers and the formula for their sizes come from this.
 */
#pragma once

#include "weights/hf_config_priv.h"
#include "weights/model_shape.h"

enum hf_mixer {
    HF_ATTENTION,         /* over all tokens */
    HF_ATTENTION_WINDOW,  /* over the last ones */
    HF_ATTENTION_CHUNK,   /* over those of the same chunk */
    HF_SHARED_ATTENTION,  /* with another layer's keys and values */
    HF_MAMBA,             /* first form: a state of each inner channel */
    HF_MAMBA2,            /* second form: by heads */
    HF_MAMBA_BESIDE,      /* attention and the second form side by side */
    HF_DELTA,             /* gated delta net (Qwen3-Next) */
    HF_DELTA_CHANNEL,     /* the same with a gate of each channel (Kimi Linear) */
    HF_LIGHTNING,         /* linear attention of heads (MiniMax), RWKV */
    HF_CONVOLUTION,       /* a short convolution (LFM2) */
    HF_NO_MIXER,          /* a feed-forward layer of its own (Nemotron-H) */
};

struct hf_block {
    uint8_t mixer; /* enum hf_mixer */
    bool has_mlp;  /* a feed-forward part, dense or of experts */
    bool is_moe;
    uint32_t head_count_kv;       /* of this one alone; 0: as of all */
    uint64_t feed_forward_length; /* likewise, of a dense part */
};

/* Describes `config->layer_count` blocks; `blocks` has room for that many. */
void hf_blocks_set(const struct hf_config *config, struct hf_block *blocks);

/*
 * Models whose blocks were chosen one by one (NVIDIA's nemotron-nas): `block_configs` has an object
 * for each. False when the file has none.
 */
bool hf_blocks_by_configs(const struct hf_config *config, struct hf_block *blocks);

/* Width of its dense part. */
uint64_t hf_block_feed_forward_length(const struct hf_config *config, const struct hf_block *block);

/* Fills a layer with the cache and the lengths of its block; its bytes stay. */
void hf_block_to_layer(const struct hf_config *config, const struct hf_block *block,
                       struct layer_shape *layer);
