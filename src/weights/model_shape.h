/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model is made of, as its files tell it: kind, layers, their bytes and caches. One form for
 * all formats (GGUF, safetensors with config.json, diffusers), so that an estimate needs to know
 * none of them.
 *
 * Plain data, filled by the readers of this folder from hostile files: all numbers are within the
 * limits below, and sums don't overflow. What a file doesn't state is 0 unless said otherwise.
 *
 *     auto_fini(model_shape_fini) struct model_shape shape = {0};
 *     if (weights_read(source, "", &shape, err) < 0) ...
 *     uint64_t bytes = model_shape_kv_bytes_per_token(&shape, 16, 16);
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_SHAPE_LAYERS_MAX = 512,   /* llama.cpp's limit; above all known models */
    MODEL_SHAPE_EXPERTS_MAX = 4096,
    MODEL_SHAPE_NAME_SIZE = 256,    /* longer names are cut off, at a whole character */
    MODEL_SHAPE_PARTS_MAX = 16,
};

/* No dimension is above this, no number of bytes above 2^56. */
#define MODEL_SHAPE_DIM_MAX (UINT64_C(1) << 32)

enum model_format { FORMAT_UNKNOWN, FORMAT_GGUF, FORMAT_SAFETENSORS, FORMAT_PYTORCH, FORMAT_COUNT };

enum model_kind {
    KIND_UNKNOWN,
    KIND_LLM,       /* generates text: with a cache of keys and values, or a state */
    KIND_EMBEDDING,
    KIND_RERANKER,
    KIND_WHISPER,   /* speech to text */
    KIND_TTS,       /* text to speech */
    KIND_DIFFUSION, /* images */
    KIND_PROJECTOR, /* images or sound for an LLM: a file beside it */
    KIND_ADAPTER,   /* LoRA */
    MODEL_KIND_COUNT
};

/* What a layer keeps of the tokens that it has seen. */
enum layer_cache {
    CACHE_NONE,    /* nothing: of an encoder, or it uses another layer's */
    CACHE_FULL,    /* keys and values of all tokens */
    CACHE_LATENT,  /* MLA: one latent vector a token */
    CACHE_WINDOW,  /* keys and values of the last `window` tokens */
    CACHE_CHUNK,   /* of the chunk of `window` tokens that the token is in */
    CACHE_STATE,   /* a state of fixed size: recurrent */
    CACHE_FULL_AND_STATE, /* both side by side (Falcon-H1) */
    LAYER_CACHE_COUNT
};

struct layer_shape {
    uint8_t cache;            /* enum layer_cache */
    bool is_moe;
    bool has_two_caches;      /* of equal sizes: it attends twice (LongCat-Flash) */
    uint32_t head_count;      /* queries */
    uint32_t head_count_kv;
    uint32_t key_length;      /* of a head, elements; of CACHE_LATENT: latent + rope, one head */
    uint32_t value_length;    /* 0 for CACHE_LATENT: no cache of values */
    uint32_t indexer_length;  /* elements of a sparse attention's index key; 0: none */
    uint64_t window;          /* tokens, of CACHE_WINDOW and CACHE_CHUNK */
    uint64_t state_conv;      /* elements of a sequence's convolution state ("R") */
    uint64_t state_ssm;       /* elements of its other state ("S") */
    uint64_t feed_forward_length; /* of the dense part, or of one expert of a MoE layer */
    uint64_t bytes;           /* of all its tensors */
    uint64_t expert_bytes;    /* of those, tensors of routed experts */
};

/* A component of a pipeline (diffusers), a vision or audio tower, ... */
struct model_part {
    char name[MODEL_SHAPE_NAME_SIZE]; /* "text_encoder", "transformer", "vae", "vision" */
    uint64_t bytes;
};

struct model_shape {
    uint8_t format;           /* enum model_format */
    uint8_t kind;             /* enum model_kind */
    bool is_big_endian;       /* can be described, but not run */
    bool is_split;            /* over several files; all were found */
    bool has_unknown_types;   /* tensors of a type that isn't known: bytes are those of the files */
    bool is_tied;             /* the input embedding serves as output, too */
    bool is_causal;           /* false: an encoder, without a cache */
    bool has_chat_template;
    bool has_vision, has_audio;
    bool is_quantized_linear; /* the files' types aren't config.json's dtype (quant_method) */
    char architecture[MODEL_SHAPE_NAME_SIZE]; /* "qwen3moe", or "Qwen3MoeForCausalLM" */
    char name[MODEL_SHAPE_NAME_SIZE];         /* what the file calls itself; may be empty */
    char quantization[64];    /* label: "Q4_K_M", "awq 4 bit", "fp8", "BF16" */
    char dtype[16];           /* that activations and the cache have: "bfloat16"; "" for GGUF */
    uint64_t parameter_count;
    uint64_t file_bytes;      /* of all files that an engine loads */
    uint64_t tensor_bytes;    /* sum over all tensors */
    uint64_t input_bytes;     /* token embedding and other tensors of the input */
    uint64_t output_bytes;    /* output matrix and norm; 0 when it is tied: then see input_bytes */
    uint64_t other_bytes;     /* tensors that belong to no layer, input or output (vision tower) */
    uint64_t context_length;  /* tokens that it was trained for, with its own rope scaling */
    uint64_t vocabulary_size;
    uint64_t hidden_size;
    uint64_t expert_count, expert_used_count, expert_shared_count;
    /* MLA, by config.json's names of its widths; 0 without a layer of CACHE_LATENT. Queries of no
     * low rank have a q_lora_rank of 0. */
    uint64_t q_lora_rank, kv_lora_rank, qk_rope_head_dim, qk_nope_head_dim, v_head_dim;
    uint64_t quantization_group; /* elements along the input that share a scale; 0: none */
    uint64_t vision_head_count, vision_layer_count, vision_hidden_size;
    uint64_t vision_tokens_max; /* of one image; 0: not known */
    uint64_t vision_token_patches; /* patches that become one token; 0: not known */
    uint64_t encoder_length;  /* positions of an encoder that a decoder looks at (whisper: 1500) */
    struct layer_shape *layers; /* owned; `layer_count` of them, without those below */
    uint32_t layer_count;
    uint32_t draft_layer_count; /* for predicting further tokens (nextn, MTP): loaded, no cache */
    uint64_t draft_bytes;
    uint32_t encoder_layer_count;
    struct model_part *parts; /* owned */
    uint32_t part_count;
};

/* "llm"; the words stand in JSON and help, too. */
const char *model_format_name(enum model_format format);
const char *model_kind_name(enum model_kind kind);
const char *layer_cache_name(enum layer_cache cache);

/*
 * Bytes that one more token adds to the caches of all layers that keep all of them (CACHE_FULL,
 * CACHE_LATENT, CACHE_FULL_AND_STATE), with keys and values of so many bits an element.
 */
uint64_t model_shape_kv_bytes_per_token(const struct model_shape *shape, unsigned key_bits,
                                        unsigned value_bits);

/* Largest numbers over the layers; 0 without layers. */
uint32_t model_shape_head_count(const struct model_shape *shape);
uint32_t model_shape_head_count_kv(const struct model_shape *shape);
uint64_t model_shape_feed_forward_length(const struct model_shape *shape);

/* Frees what it owns and zeroes it. */
void model_shape_fini(struct model_shape *shape);
