/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the GGUF reader: what is kept of the metadata and of the tensors (gguf_meta.c and
 * gguf_tensors.c, called by gguf.c for each file), and what is concluded of both (gguf_layers.c,
 * gguf_shape.c).
 */
#pragma once

#include "weights/gguf.h"
#include "weights/gguf_types.h"
#include "weights/name_set_priv.h"
#include "weights/reader_priv.h"

/* ---- metadata ---- */

/* A key that holds one number for all layers, or one for each. */
struct gguf_values {
    bool is_set, is_array;
    uint32_t count;   /* of items; 0 for a scalar */
    uint64_t largest; /* the scalar, or the largest item */
    uint32_t items[MODEL_SHAPE_LAYERS_MAX];
};

/* Numbers that aren't stated are 0; names are those of the keys. */
struct gguf_meta {
    char architecture[MODEL_SHAPE_NAME_SIZE];
    char name[MODEL_SHAPE_NAME_SIZE];
    char type[MODEL_SHAPE_NAME_SIZE]; /* general.type */
    uint64_t file_type;               /* plus one; 0: not stated */
    uint64_t alignment;               /* of this file */
    uint64_t split_number, split_count, split_tensors_count;
    bool has_chat_template;

    uint64_t block_count, decoder_block_count, nextn_predict_layers, leading_dense_block_count;
    uint64_t context_length, embedding_length, vocab_size, token_count;
    struct gguf_values feed_forward_length;

    struct gguf_values head_count, head_count_kv, sliding_window_pattern, recurrent_layers;
    uint64_t key_length, value_length, key_length_swa, value_length_swa;
    uint64_t key_length_mla, value_length_mla, q_lora_rank, kv_lora_rank, rope_dimension_count;
    uint64_t sliding_window, shared_kv_layers, indexer_key_length, full_attention_interval;
    uint64_t causal;       /* plus one; 0: not stated */
    uint64_t pooling_type; /* plus one; 0: not stated */

    uint64_t expert_count, expert_used_count, expert_shared_count, expert_feed_forward_length;

    uint64_t ssm_conv_kernel, ssm_inner_size, ssm_state_size, ssm_group_count;
    uint64_t kda_head_dim, wkv_head_size, token_shift_count, shortconv_l_cache;

    uint64_t has_vision, has_audio;
    uint64_t vision_embedding_length, vision_block_count, vision_head_count;
    uint64_t vision_image_size, vision_patch_size, vision_merge_size, vision_scale_factor;
};

/*
 * Reads `count` entries at the reader's position into a zeroed meta. The architecture's own keys
 * are found in any order: when one came before its name, reading starts again from there.
 */
int gguf_meta_read(struct gguf_meta *meta, struct reader *reader, uint64_t count) must_check;

/* The value of a layer: its item, or the scalar; `fallback` when the key isn't there. */
uint64_t gguf_values_at(const struct gguf_values *values, uint32_t layer, uint64_t fallback);

/* A name for an error: what isn't printable ASCII becomes '?', as the sentence goes to logs. */
const char *gguf_printable(char *name);

/* ---- tensors ---- */

/* Sums over the tensors of all parts. */
struct gguf_tensors {
    struct name_set names;
    uint64_t count;
    uint64_t bytes, parameters;
    uint64_t layer_bytes[MODEL_SHAPE_LAYERS_MAX];   /* "blk.N.", "dec.blk.N." */
    uint64_t expert_bytes[MODEL_SHAPE_LAYERS_MAX];  /* of those */
    uint64_t encoder_bytes[MODEL_SHAPE_LAYERS_MAX]; /* "enc.blk.N." */
    uint64_t input_bytes, output_bytes, other_bytes;
    uint64_t type_bytes[GGUF_TENSOR_TYPE_END];
    uint64_t embedding_rows; /* of token_embd: the vocabulary */
    bool has_layer, has_encoder, has_output, has_input, has_classifier, has_diffusion;
    bool has_unknown_types;
};

/* Reads the descriptions of `count` tensors, up to where the data begins, and checks that the data
 * is there. */
int gguf_tensors_read(struct gguf_tensors *tensors, struct reader *reader, uint64_t count,
                      uint64_t alignment) must_check;

/* ---- conclusions ---- */

/* What layer `index` keeps of tokens, and its dimensions; its bytes are for the caller. */
void gguf_layer_shape(const struct gguf_meta *meta, uint32_t index, struct layer_shape *ret);

/* Whether it has MLA, as engines tell: older files of such models keep whole heads. */
bool gguf_is_latent(const struct gguf_meta *meta);

/* Whether the architecture has a cache at all: false for encoders and diffusion language models. */
bool gguf_is_causal(const struct gguf_meta *meta);

/* All of a shape but for what concerns files. ERR_SYNTAX for numbers that contradict each other. */
int gguf_shape(const struct gguf_meta *meta, const struct gguf_tensors *tensors,
               struct model_shape *ret, struct err *err) must_check;
