/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published models by their config.json: cache per token and number of weights, without any file of
 * weights. The texts state the public shapes, no more keys than that takes.
 */
#include "weights/hf.h"

#include "memory_source.h"
#include "round_trip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The models of one type differ in these. */
#define DENSE(type, hidden, ffn, layers, heads, kv, vocabulary, more)                              \
    "{'model_type': '" type "', 'architectures': ['SomeForCausalLM'], 'hidden_size': " #hidden     \
    ", 'intermediate_size': " #ffn ", 'num_hidden_layers': " #layers                               \
    ", 'num_attention_heads': " #heads ", 'num_key_value_heads': " #kv                             \
    ", 'vocab_size': " #vocabulary ", 'torch_dtype': 'bfloat16'" more "}"

#define UNTIED ", 'tie_word_embeddings': false"
#define TIED ", 'tie_word_embeddings': true"
#define HEAD_128 ", 'head_dim': 128"

#define DEEPSEEK(hidden, ffn, expert_ffn, layers, heads, query, experts, first, vocabulary, more)  \
    DENSE("deepseek_v3", hidden, ffn, layers, heads, heads, vocabulary,                            \
          ", 'moe_intermediate_size': " #expert_ffn ", 'q_lora_rank': " #query                     \
          ", 'n_routed_experts': " #experts ", 'first_k_dense_replace': " #first                   \
          ", 'kv_lora_rank': 512, 'qk_rope_head_dim': 64, 'qk_nope_head_dim': 128, "               \
          "'v_head_dim': 128, 'num_experts_per_tok': 8, 'moe_layer_freq': 1" UNTIED more)

#define QWEN_MOE(hidden, ffn, layers, heads)                                                       \
    DENSE("qwen3_moe", hidden, 6144, layers, heads, 4, 151936,                                     \
          ", 'moe_intermediate_size': " #ffn ", 'num_experts': 128, 'num_experts_per_tok': 8, "    \
          "'decoder_sparse_step': 1, 'mlp_only_layers': [], 'use_sliding_window': false" HEAD_128 \
              UNTIED)

#define GPT_OSS(layers, experts)                                                                   \
    DENSE("gpt_oss", 2880, 2880, layers, 64, 8, 201088,                                            \
          ", 'head_dim': 64, 'num_local_experts': " #experts ", 'num_experts_per_tok': 4, "        \
          "'sliding_window': 128, 'attention_bias': true, 'max_position_embeddings': 131072, "     \
          "'rope_scaling': {'rope_type': 'yarn', 'factor': 32.0, "                                 \
          "'original_max_position_embeddings': 4096}" UNTIED)

#define GEMMA3(text)                                                                               \
    "{'model_type': 'gemma3', 'architectures': ['Gemma3ForConditionalGeneration'], "               \
    "'mm_tokens_per_image': 256, 'torch_dtype': 'bfloat16', 'text_config': {"                      \
    "'model_type': 'gemma3_text', 'rope_scaling': {'factor': 8.0, 'rope_type': 'linear'}, "        \
    "'sliding_window': 1024, " text "}, 'vision_config': {'hidden_size': 1152, "                   \
    "'image_size': 896, 'intermediate_size': 4304, 'num_attention_heads': 16, "                    \
    "'num_hidden_layers': 27, 'patch_size': 14}}"

static const struct row {
    const char *name, *config;
    uint64_t kv_bytes;  /* per token, 16 bits, layers that keep all tokens */
    double parameters;  /* 0: not compared */
    unsigned windows;   /* layers with a window or chunk */
} rows[] = {
    {"Llama-2-7B", DENSE("llama", 4096, 11008, 32, 32, 32, 32000, UNTIED), 524288, 6738415616, 0},
    {"Llama-3.1-8B", DENSE("llama", 4096, 14336, 32, 32, 8, 128256, UNTIED), 131072, 8030261248,
     0},
    {"Llama-3.1-70B", DENSE("llama", 8192, 28672, 80, 64, 8, 128256, UNTIED), 327680, 70553706496,
     0},
    {"Llama-3.1-405B", DENSE("llama", 16384, 53248, 126, 128, 8, 128256, UNTIED), 516096,
     405853388800, 0},
    {"Llama-3.1-405B, first", DENSE("llama", 16384, 53248, 126, 128, 16, 128256, UNTIED), 1032192,
     0, 0},
    {"Llama-3.2-1B", DENSE("llama", 2048, 8192, 16, 32, 8, 128256, ", 'head_dim': 64" TIED), 32768,
     1235814400, 0},
    {"Mistral-7B", DENSE("mistral", 4096, 14336, 32, 32, 8, 32768,
                         ", 'sliding_window': null, 'max_position_embeddings': 32768" UNTIED),
     131072, 7248023552, 0},
    {"Mixtral-8x7B", DENSE("mixtral", 4096, 14336, 32, 32, 8, 32000,
                           ", 'num_local_experts': 8, 'num_experts_per_tok': 2, "
                           "'sliding_window': null" UNTIED),
     131072, 46702792704, 0},
    {"Mistral-Small-24B", DENSE("mistral", 5120, 32768, 40, 32, 8, 131072,
                                ", 'sliding_window': null" HEAD_128 UNTIED),
     163840, 23572403200, 0},
    {"Qwen2.5-0.5B", DENSE("qwen2", 896, 4864, 24, 14, 2, 151936,
                           ", 'sliding_window': 32768, 'use_sliding_window': false, "
                           "'max_window_layers': 24" TIED),
     12288, 494032768, 0},
    {"Qwen2.5-1.5B", DENSE("qwen2", 1536, 8960, 28, 12, 2, 151936, TIED), 28672, 1543714304, 0},
    {"Qwen2.5-3B", DENSE("qwen2", 2048, 11008, 36, 16, 2, 151936, TIED), 36864, 3085938688, 0},
    {"Qwen2.5-7B", DENSE("qwen2", 3584, 18944, 28, 28, 4, 152064, UNTIED), 57344, 7615616512, 0},
    {"Qwen2.5-14B", DENSE("qwen2", 5120, 13824, 48, 40, 8, 152064, UNTIED), 196608, 14770033664,
     0},
    {"Qwen2.5-32B", DENSE("qwen2", 5120, 27648, 64, 40, 8, 152064, UNTIED), 262144, 32763876352,
     0},
    {"Qwen2.5-72B", DENSE("qwen2", 8192, 29568, 80, 64, 8, 152064, UNTIED), 327680, 72706203648,
     0},
    {"Qwen3-0.6B", DENSE("qwen3", 1024, 3072, 28, 16, 8, 151936, HEAD_128 TIED), 114688, 596049920,
     0},
    {"Qwen3-1.7B", DENSE("qwen3", 2048, 6144, 28, 16, 8, 151936, HEAD_128 TIED), 114688,
     1720574976, 0},
    {"Qwen3-4B", DENSE("qwen3", 2560, 9728, 36, 32, 8, 151936, HEAD_128 TIED), 147456, 4022468096,
     0},
    {"Qwen3-8B", DENSE("qwen3", 4096, 12288, 36, 32, 8, 151936, HEAD_128 UNTIED), 147456,
     8190735360, 0},
    {"Qwen3-14B", DENSE("qwen3", 5120, 17408, 40, 40, 8, 151936, HEAD_128 UNTIED), 163840,
     14768307200, 0},
    {"Qwen3-32B", DENSE("qwen3", 5120, 25600, 64, 64, 8, 151936, HEAD_128 UNTIED), 262144,
     32762123264, 0},
    {"Qwen3-30B-A3B", QWEN_MOE(2048, 768, 48, 32), 98304, 30532122624, 0},
    {"Qwen3-235B-A22B", QWEN_MOE(4096, 1536, 94, 64), 192512, 235093634560, 0},
    {"DeepSeek-R1", DEEPSEEK(7168, 18432, 2048, 61, 128, 1536, 256, 3, 129280,
                             ", 'n_shared_experts': 1, 'num_nextn_predict_layers': 1"),
     70272, 671026419200, 0},
    {"Kimi-K2", DEEPSEEK(7168, 18432, 2048, 61, 64, 1536, 384, 1, 163840,
                         ", 'n_shared_experts': 1, 'num_nextn_predict_layers': 0"),
     70272, 1026470731056, 0},
    {"DeepSeek-V2-Lite", DEEPSEEK(2048, 10944, 1408, 27, 16, null, 64, 1, 102400,
                                  ", 'n_shared_experts': 2"),
     31104, 15706484224, 0},
    {"Mistral-Large-3, params.json",
     "{'dim': 7168, 'n_layers': 61, 'head_dim': 128, 'hidden_dim': 16384, 'n_heads': 128, "
     "'n_kv_heads': 128, 'vocab_size': 131072, 'tied_embeddings': false, 'q_lora_rank': 1536, "
     "'qk_rope_head_dim': 64, 'qk_nope_head_dim': 128, 'kv_lora_rank': 512, 'v_head_dim': 128, "
     "'moe': {'first_k_dense_replace': 3, 'num_experts': 128, 'num_experts_per_tok': 4, "
     "'expert_hidden_dim': 4096, 'num_shared_experts': 1}}",
     70272, 673e9, 0},
    {"Llama-3.2-11B-Vision",
     "{'model_type': 'mllama', 'architectures': ['MllamaForConditionalGeneration'], "
     "'text_config': {'model_type': 'mllama_text_model', 'hidden_size': 4096, "
     "'intermediate_size': 14336, 'num_hidden_layers': 40, 'num_attention_heads': 32, "
     "'num_key_value_heads': 8, 'vocab_size': 128256, 'tie_word_embeddings': false, "
     "'cross_attention_layers': [3, 8, 13, 18, 23, 28, 33, 38], 'torch_dtype': 'bfloat16'}}",
     131072, 0, 0},
    {"Phi-4", DENSE("phi3", 5120, 17920, 40, 40, 10, 100352, ", 'sliding_window': null" UNTIED),
     204800, 14659507200, 0},
    {"gpt-oss-20b", GPT_OSS(24, 32), 24576, 20914757184, 12},
    {"gpt-oss-120b", GPT_OSS(36, 128), 36864, 116829156672, 18},
    {"gemma-3-4B", GEMMA3("'hidden_size': 2560, 'intermediate_size': 10240, "
                          "'num_hidden_layers': 34"),
     20480, 4300079472, 29},
    {"gemma-3-12B", GEMMA3("'hidden_size': 3840, 'intermediate_size': 15360, "
                           "'num_hidden_layers': 48, 'num_attention_heads': 16, "
                           "'num_key_value_heads': 8"),
     65536, 12187325040, 40},
    {"gemma-3-27B", GEMMA3("'hidden_size': 5376, 'intermediate_size': 21504, "
                           "'num_hidden_layers': 62, 'num_attention_heads': 32, "
                           "'num_key_value_heads': 16, 'head_dim': 128"),
     81920, 27432406640, 52},
    /* not in the table: hybrids and others, by the same arithmetic */
    {"Qwen3-Next-80B-A3B",
     DENSE("qwen3_next", 2048, 5120, 48, 16, 2, 151936,
           ", 'head_dim': 256, 'num_experts': 512, 'num_experts_per_tok': 10, "
           "'moe_intermediate_size': 512, 'shared_expert_intermediate_size': 512, "
           "'linear_num_key_heads': 16, 'linear_num_value_heads': 32, "
           "'linear_key_head_dim': 128, 'linear_value_head_dim': 128, "
           "'linear_conv_kernel_dim': 4, 'full_attention_interval': 4, "
           "'decoder_sparse_step': 1" UNTIED),
     12 * 2 * 256 * 2 * 2, 79674391296, 0},
    {"Jamba-v0.1",
     DENSE("jamba", 4096, 14336, 32, 32, 8, 65536,
           ", 'num_experts': 16, 'num_experts_per_tok': 2, 'expert_layer_period': 2, "
           "'expert_layer_offset': 1, 'attn_layer_period': 8, 'attn_layer_offset': 4, "
           "'mamba_d_state': 16, 'mamba_d_conv': 4, 'mamba_expand': 2, 'mamba_dt_rank': 256, "
           "'sliding_window': null" UNTIED),
     4 * 8 * 128 * 2 * 2, 51570323328, 0},
    {"Nemotron-H-8B",
     DENSE("nemotron_h", 4096, 21504, 52, 32, 8, 131072,
           ", 'head_dim': 128, 'mamba_num_heads': 128, 'mamba_head_dim': 64, 'n_groups': 8, "
           "'ssm_state_size': 128, 'conv_kernel': 4, 'hybrid_override_pattern': "
           "'M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-'" UNTIED),
     4 * 8 * 128 * 2 * 2, 8.10e9, 0},
    {"Mamba2-2.7B",
     "{'model_type': 'mamba2', 'architectures': ['Mamba2ForCausalLM'], 'hidden_size': 2560, "
     "'num_hidden_layers': 64, 'num_heads': 80, 'head_dim': 64, 'expand': 2, 'n_groups': 1, "
     "'state_size': 128, 'conv_kernel': 4, 'vocab_size': 50288, 'tie_word_embeddings': true, "
     "'time_step_limit': [0.0, Infinity], 'torch_dtype': 'float32'}",
     0, 2.7027e9, 0},
    {"Kimi-Linear-48B-A3B",
     DENSE("kimi_linear", 2304, 9216, 27, 32, 32, 163840,
           ", 'head_dim': 72, 'kv_lora_rank': 512, 'q_lora_rank': null, 'qk_nope_head_dim': 128, "
           "'qk_rope_head_dim': 64, 'v_head_dim': 128, 'num_experts': 256, "
           "'num_experts_per_token': 8, 'num_shared_experts': 1, 'moe_intermediate_size': 1024, "
           "'first_k_dense_replace': 1, 'moe_layer_freq': 1, 'linear_attn_config': {"
           "'full_attn_layers': [4, 8, 12, 16, 20, 24, 27], 'head_dim': 128, 'num_heads': 32, "
           "'short_conv_kernel_size': 4}" UNTIED),
     7 * 576 * 2, 49.12e9, 0},
    {"Llama-4-Scout",
     "{'model_type': 'llama4', 'architectures': ['Llama4ForConditionalGeneration'], "
     "'text_config': {'model_type': 'llama4_text', 'hidden_size': 5120, "
     "'intermediate_size': 8192, 'intermediate_size_mlp': 16384, 'num_hidden_layers': 48, "
     "'num_attention_heads': 40, 'num_key_value_heads': 8, 'head_dim': 128, "
     "'num_local_experts': 16, 'num_experts_per_tok': 1, 'interleave_moe_layer_step': 1, "
     "'attention_chunk_size': 8192, 'no_rope_layers': [], 'vocab_size': 202048, "
     "'max_position_embeddings': 10485760, 'tie_word_embeddings': false}, "
     "'torch_dtype': 'bfloat16'}",
     12 * 8 * 128 * 2 * 2, 107.77e9, 36},
    {"GLM-4.5-Air",
     DENSE("glm4_moe", 4096, 10944, 46, 96, 8, 151552,
           ", 'head_dim': 128, 'n_routed_experts': 128, 'num_experts_per_tok': 8, "
           "'n_shared_experts': 1, 'moe_intermediate_size': 1408, 'first_k_dense_replace': 1, "
           "'num_nextn_predict_layers': 1, 'attention_bias': true" UNTIED),
     46 * 8 * 128 * 2 * 2, 106.85e9, 0},
    {"gemma-2-9b", DENSE("gemma2", 3584, 14336, 42, 16, 8, 256000,
                         ", 'head_dim': 256, 'sliding_window': 4096"),
     21 * 8 * 256 * 2 * 2, 9241705984, 21},
    {"DeepSeek-V3.2", DEEPSEEK(7168, 18432, 2048, 61, 128, 1536, 256, 3, 129280,
                               ", 'n_shared_experts': 1, 'num_nextn_predict_layers': 1, "
                               "'index_head_dim': 128, 'index_n_heads': 64"),
     61 * (576 + 128) * 2, 671.88e9, 0},
    {"LongCat-Flash",
     "{'model_type': 'longcat_flash', 'architectures': ['LongcatFlashForCausalLM'], "
     "'hidden_size': 6144, 'ffn_hidden_size': 12288, 'expert_ffn_hidden_size': 2048, "
     "'num_layers': 28, 'num_attention_heads': 64, 'q_lora_rank': 1536, 'kv_lora_rank': 512, "
     "'qk_rope_head_dim': 64, 'qk_nope_head_dim': 128, 'v_head_dim': 128, "
     "'n_routed_experts': 512, 'zero_expert_num': 256, 'moe_topk': 12, 'vocab_size': 131072, "
     "'max_position_embeddings': 131072, 'attention_method': 'MLA', 'torch_dtype': 'bfloat16'}",
     28 * 2 * 576 * 2, 560.6e9, 0},
    {"gpt2",
     "{'model_type': 'gpt2', 'architectures': ['GPT2LMHeadModel'], 'n_embd': 768, 'n_layer': 12, "
     "'n_head': 12, 'n_positions': 1024, 'n_ctx': 1024, 'vocab_size': 50257}",
     12 * 768 * 2 * 2, 124439808, 0},
    {"glm-4-9b",
     "{'model_type': 'chatglm', 'architectures': ['ChatGLMModel'], 'hidden_size': 4096, "
     "'ffn_hidden_size': 13696, 'num_layers': 40, 'num_attention_heads': 32, 'kv_channels': 128, "
     "'multi_query_attention': true, 'multi_query_group_num': 2, 'padded_vocab_size': 151552, "
     "'seq_length': 131072, 'tie_word_embeddings': false, 'torch_dtype': 'bfloat16'}",
     40 * 2 * 128 * 2 * 2, 9399951360, 0},
    {"phi-2", DENSE("phi", 2560, 10240, 32, 32, 32, 51200, UNTIED), 32 * 2560 * 2 * 2, 2779683840,
     0},
    {"internlm2-7b", DENSE("internlm2", 4096, 14336, 32, 32, 8, 92544, UNTIED), 131072, 7737708544,
     0},
    {"Qwen2.5-VL-7B",
     DENSE("qwen2_5_vl", 3584, 18944, 28, 28, 4, 152064,
           ", 'sliding_window': 32768, 'use_sliding_window': false, 'vision_config': {"
           "'depth': 32, 'hidden_act': 'silu', 'hidden_size': 1280, 'intermediate_size': 3420, "
           "'num_heads': 16, 'out_hidden_size': 3584, 'patch_size': 14, "
           "'spatial_merge_size': 2, 'temporal_patch_size': 2}" UNTIED),
     57344, 8292166656, 0},
    {"Falcon-7B",
     "{'model_type': 'falcon', 'architectures': ['FalconForCausalLM'], 'hidden_size': 4544, "
     "'num_hidden_layers': 32, 'num_attention_heads': 71, 'multi_query': true, "
     "'new_decoder_architecture': false, 'vocab_size': 65024, 'torch_dtype': 'bfloat16'}",
     32 * 1 * 64 * 2 * 2, 6921720704, 0},
    {"Whisper-large-v3",
     "{'model_type': 'whisper', 'architectures': ['WhisperForConditionalGeneration'], "
     "'d_model': 1280, 'decoder_layers': 32, 'decoder_attention_heads': 20, "
     "'decoder_ffn_dim': 5120, 'encoder_layers': 32, 'encoder_attention_heads': 20, "
     "'encoder_ffn_dim': 5120, 'num_mel_bins': 128, 'max_source_positions': 1500, "
     "'max_target_positions': 448, 'vocab_size': 51866, 'torch_dtype': 'float16'}",
     32 * 20 * 64 * 2 * 2, 1543490560, 0},
    {"bge-m3",
     "{'model_type': 'xlm-roberta', 'architectures': ['XLMRobertaModel'], 'hidden_size': 1024, "
     "'intermediate_size': 4096, 'num_hidden_layers': 24, 'num_attention_heads': 16, "
     "'vocab_size': 250002, 'max_position_embeddings': 8194, 'torch_dtype': 'float32'}",
     0, 567754752, 0},
};

static void read_row(const struct row *row, struct model_shape *ret)
{
    struct memory_source *files = memory_source_new(false);
    struct err err = {0};
    memory_source_text(files, "config.json", row->config);
    if (hf_read(&files->base, ret, &err) < 0)
        fail_msg("%s: %s", row->name, err.text);
    check_round_trip(ret);
    source_free(&files->base);
}

#define NAS_BLOCK(attention, ffn) "{'attention': {" attention "}, 'ffn': {" ffn "}}"

/* Blocks that differ, as NVIDIA's search leaves them: 8 key heads, none, 16; widths by a factor. */
static void test_blocks_chosen_one_by_one(void **state)
{
    (void)state;
    static const struct row nas = {
        .name = "nemotron-nas",
        .config = "{'model_type': 'nemotron-nas', 'architectures': ['DeciLMForCausalLM'], "
                  "'hidden_size': 8192, 'num_hidden_layers': 4, 'num_attention_heads': 64, "
                  "'num_key_value_heads': null, 'intermediate_size': null, 'vocab_size': 128256, "
                  "'tie_word_embeddings': false, 'torch_dtype': 'bfloat16', 'block_configs': ["
                  NAS_BLOCK("'n_heads_in_group': 8, 'no_op': false", "'ffn_mult': 5.25") ", "
                  NAS_BLOCK("'n_heads_in_group': null, 'no_op': true", "'ffn_mult': 1.3125") ", "
                  NAS_BLOCK("'num_key_value_heads': 16", "'intermediate_size': 14336") ", "
                  NAS_BLOCK("'n_heads_in_group': null, 'replace_with_linear': true",
                            "'no_op': true") "]}"};
    static const uint64_t widths[] = {28672, 7168, 14336, 0};
    static const unsigned heads[] = {8, 0, 16, 0};
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    read_row(&nas, &shape);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(shape.layers[i].head_count_kv, heads[i]);
        assert_int_equal(shape.layers[i].feed_forward_length, widths[i]);
        assert_int_equal(shape.layers[i].cache, heads[i] ? CACHE_FULL : CACHE_NONE);
    }
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), (8 + 16) * 128 * 4);
    const uint64_t width = 8192, mlps = (28672 + 7168 + 14336) * 3 * width;
    assert_in_range(shape.parameter_count, 2 * 128256 * width + mlps,
                    2 * 128256 * width + mlps + 5 * width * width);
}

static void test_kv_bytes_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        unsigned windows = 0;
        read_row(&rows[i], &shape);
        const uint64_t bytes = model_shape_kv_bytes_per_token(&shape, 16, 16);
        if (bytes != rows[i].kv_bytes)
            fail_msg("%s: %llu bytes a token, not %llu", rows[i].name, (unsigned long long)bytes,
                     (unsigned long long)rows[i].kv_bytes);
        for (uint32_t k = 0; k < shape.layer_count; k++)
            windows += shape.layers[k].window > 0;
        if (windows != rows[i].windows)
            fail_msg("%s: %u layers with a window, not %u", rows[i].name, windows,
                     rows[i].windows);
    }
}

static void test_parameters_are_within_half_a_percent(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        if (rows[i].parameters == 0)
            continue;
        read_row(&rows[i], &shape);
        const double ratio = (double)shape.parameter_count / rows[i].parameters;
        if (ratio < 0.995 || ratio > 1.005)
            fail_msg("%s: %llu weights, not %.0f (%+.2f %%)", rows[i].name,
                     (unsigned long long)shape.parameter_count, rows[i].parameters,
                     (ratio - 1) * 100);
    }
}

static void test_widths_of_latent_attention(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        read_row(&rows[i], &shape);
        uint64_t widest = 0;
        for (uint32_t k = 0; k < shape.layer_count; k++)
            if (shape.layers[k].cache == CACHE_LATENT)
                widest = shape.layers[k].key_length;
        assert_int_equal(shape.kv_lora_rank + shape.qk_rope_head_dim, widest);
        assert_int_equal(shape.qk_nope_head_dim, widest ? 128 : 0);
        assert_int_equal(shape.v_head_dim, widest ? 128 : 0);
        assert_int_equal(shape.q_lora_rank, strstr(rows[i].config, "'q_lora_rank': 1536") ? 1536
                                                                                          : 0);
    }
}

/* Without files the bytes are those that files would have, and the parts add up to them. */
static void test_parts_add_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        read_row(&rows[i], &shape);
        uint64_t sum = shape.input_bytes + shape.output_bytes + shape.other_bytes +
                       shape.draft_bytes;
        for (uint32_t k = 0; k < shape.layer_count; k++) {
            assert_true(shape.layers[k].expert_bytes <= shape.layers[k].bytes);
            assert_int_equal(shape.layers[k].is_moe, shape.layers[k].expert_bytes > 0);
            sum += shape.layers[k].bytes;
        }
        assert_int_equal(sum, shape.tensor_bytes);
        assert_int_equal(shape.tensor_bytes, shape.file_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_bytes_are_exact),
        cmocka_unit_test(test_parameters_are_within_half_a_percent),
        cmocka_unit_test(test_blocks_chosen_one_by_one),
        cmocka_unit_test(test_widths_of_latent_attention),
        cmocka_unit_test(test_parts_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
