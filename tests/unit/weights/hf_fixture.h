/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of Hugging Face folders begin with: files in memory, and two models for them. */
#pragma once

#include "weights/hf.h"

#include "memory_source.h"
#include "round_trip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define LLAMA                                                                                      \
    "{'model_type': 'llama', 'architectures': ['LlamaForCausalLM'], 'hidden_size': 8, "            \
    "'intermediate_size': 16, 'num_hidden_layers': 2, 'num_attention_heads': 2, "                  \
    "'num_key_value_heads': 1, 'vocab_size': 32, 'max_position_embeddings': 64, "                  \
    "'torch_dtype': 'bfloat16', 'tie_word_embeddings': false"

struct tensor {
    const char *name, *dtype;
    unsigned elements, bytes;
};

/* A safetensors file of `count` tensors, without its data. */
static inline void add_safetensors(struct memory_source *files, const char *name,
                            const struct tensor *tensors, size_t count)
{
    auto_fini(buf_fini) struct buf json = {0};
    struct buf content = {0};
    unsigned at = 0;
    for (size_t i = 0; i < count; at += tensors[i].bytes, i++)
        buf_printf(&json, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%u],\"data_offsets\":[%u,%u]}",
                   i ? "," : "{", tensors[i].name, tensors[i].dtype, tensors[i].elements, at,
                   at + tensors[i].bytes);
    buf_add_char(&json, '}');
    for (int i = 0; i < 8; i++)
        buf_add_char(&content, (char)((uint64_t)json.len >> (8 * i)));
    buf_add_str(&content, buf_str(&json));
    memory_source_add(files, name, &content, content.len + at);
}

static inline int read_all(struct memory_source *files, struct model_shape *ret, struct err *err)
{
    const int rc = hf_read(&files->base, ret, err);
    if (rc == 0)
        check_round_trip(ret);
    source_free(&files->base);
    return rc;
}

static inline void read_good(struct memory_source *files, struct model_shape *ret)
{
    struct err err = {0};
    if (read_all(files, ret, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void add_deepseek(struct memory_source *files, const char *more)
{
    auto_free char *config = mem_printf(
        "{'model_type': 'deepseek_v3', 'architectures': ['DeepseekV3ForCausalLM'], "
        "'hidden_size': 7168, 'intermediate_size': 18432, 'moe_intermediate_size': 2048, "
        "'num_hidden_layers': 61, 'num_attention_heads': 128, 'num_key_value_heads': 128, "
        "'q_lora_rank': 1536, 'kv_lora_rank': 512, 'qk_rope_head_dim': 64, "
        "'qk_nope_head_dim': 128, 'v_head_dim': 128, 'n_routed_experts': 256, "
        "'num_experts_per_tok': 8, 'n_shared_experts': 1, 'first_k_dense_replace': 3, "
        "'vocab_size': 129280, 'num_nextn_predict_layers': 1, 'torch_dtype': 'bfloat16', "
        "'max_position_embeddings': 163840, 'rope_scaling': {'type': 'yarn', 'factor': 40, "
        "'original_max_position_embeddings': 4096}%s}",
        more);
    memory_source_text(files, "config.json", config);
}
