/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is concluded of a GGUF file's metadata: caches of the layers by the rules of llama.cpp. The
 * bytes per token are those that follow from the models' published shapes.
 */
#include "weights/gguf.h"

#include "../../lib/weights/gguf_writer.h"
#include "../../lib/weights/memory_source.h"
#include "round_trip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Ends the writer. */
static struct model_shape read_shape(struct gguf_writer *w)
{
    auto_fini(buf_fini) struct buf file = gguf_writer_end(w);
    struct model_shape shape = {0};
    struct memory_source memory;
    struct err err = {0};
    memory_source_init(&memory);
    memory_source_add(&memory, "m.gguf", buf_str(&file));
    if (gguf_read(&memory.base, memory.base.files, &shape, &err) < 0)
        fail_msg("%s", err.text);
    check_round_trip(&shape);
    memory_source_fini(&memory);
    return shape;
}

/* The writer of the model under test and the prefix of its keys. */
struct model {
    struct gguf_writer w;
    const char *architecture;
};

static struct model begin(const char *architecture, unsigned layers, unsigned hidden)
{
    struct model model = {gguf_writer_begin(architecture), architecture};
    char key[96];
    snprintf(key, sizeof key, "%s.block_count", architecture);
    gguf_u32(&model.w, key, layers);
    snprintf(key, sizeof key, "%s.embedding_length", architecture);
    gguf_u32(&model.w, key, hidden);
    return model;
}

static void set(struct model *model, const char *name, unsigned value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", model->architecture, name);
    gguf_u32(&model->w, key, value);
}

static void set_all(struct model *model, const char *name, uint32_t type, const unsigned *items,
                    size_t count)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", model->architecture, name);
    gguf_numbers(&model->w, key, type, items, count);
}

static void set_heads(struct model *model, unsigned heads, unsigned heads_kv, unsigned length)
{
    set(model, "attention.head_count", heads);
    set(model, "attention.head_count_kv", heads_kv);
    if (length) {
        set(model, "attention.key_length", length);
        set(model, "attention.value_length", length);
    }
}

static unsigned count_layers(const struct model_shape *shape, enum layer_cache cache)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        count += shape->layers[i].cache == cache;
    return count;
}

/* "FWWSN": the caches of the layers by a letter each. */
static void assert_caches(const struct model_shape *shape, const char *expected)
{
    static const char letters[LAYER_CACHE_COUNT] = {'N', 'F', 'L', 'W', 'C', 'S', 'B'};
    char seen[MODEL_SHAPE_LAYERS_MAX + 1] = {0};
    for (uint32_t i = 0; i < shape->layer_count; i++)
        seen[i] = letters[shape->layers[i].cache];
    assert_string_equal(seen, expected);
}

/* ---- bytes per token ---- */

static void test_plain_attention(void **state)
{
    (void)state;
    static const struct {
        const char *name, *architecture;
        unsigned layers, hidden, heads, heads_kv, length; /* length 0: hidden / heads */
        uint64_t bytes;
    } cases[] = {
        {"Llama-2-7B", "llama", 32, 4096, 32, 32, 0, 524288},
        {"Llama-3.x-8B", "llama", 32, 4096, 32, 8, 0, 131072},
        {"Llama-3.x-70B", "llama", 80, 8192, 64, 8, 128, 327680},
        {"Llama-3.1-405B", "llama", 126, 16384, 128, 8, 0, 516096},
        {"Llama-3.1-405B, first release", "llama", 126, 16384, 128, 16, 0, 1032192},
        {"Llama-3.2-1B", "llama", 16, 2048, 32, 8, 64, 32768},
        {"Mistral-7B", "llama", 32, 4096, 32, 8, 128, 131072},
        {"Mistral-Small-24B", "llama", 40, 5120, 32, 8, 128, 163840},
        {"Qwen2.5-0.5B", "qwen2", 24, 896, 14, 2, 0, 12288},
        {"Qwen2.5-1.5B", "qwen2", 28, 1536, 12, 2, 0, 28672},
        {"Qwen2.5-3B", "qwen2", 36, 2048, 16, 2, 0, 36864},
        {"Qwen2.5-7B", "qwen2", 28, 3584, 28, 4, 0, 57344},
        {"Qwen2.5-14B", "qwen2", 48, 5120, 40, 8, 0, 196608},
        {"Qwen2.5-32B", "qwen2", 64, 5120, 40, 8, 0, 262144},
        {"Qwen2.5-72B", "qwen2", 80, 8192, 64, 8, 0, 327680},
        {"Qwen3-0.6B", "qwen3", 28, 1024, 16, 8, 128, 114688},
        {"Qwen3-8B", "qwen3", 36, 4096, 32, 8, 128, 147456},
        {"Qwen3-14B", "qwen3", 40, 5120, 40, 8, 128, 163840},
        {"Qwen3-30B-A3B", "qwen3moe", 48, 2048, 32, 4, 128, 98304},
        {"Qwen3-235B-A22B", "qwen3moe", 94, 4096, 64, 4, 128, 192512},
        {"Phi-4", "phi3", 40, 5120, 40, 10, 0, 204800},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model model = begin(cases[i].architecture, cases[i].layers, cases[i].hidden);
        set_heads(&model, cases[i].heads, cases[i].heads_kv, cases[i].length);
        set(&model, "attention.sliding_window", 4096); /* stated but not used by these */
        auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
        if (model_shape_kv_bytes_per_token(&shape, 16, 16) != cases[i].bytes)
            fail_msg("%s", cases[i].name);
    }
}

static void test_quantized_caches(void **state)
{
    (void)state;
    struct model model = begin("llama", 32, 4096);
    set_heads(&model, 32, 8, 128);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 8, 8), 65536);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 4), 65536 + 16384);
}

static void test_head_count_kv_defaults_to_head_count(void **state)
{
    (void)state;
    struct model model = begin("gpt2", 12, 768);
    set(&model, "attention.head_count", 12);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 12 * 768 * 4);
}

static void test_latent_attention(void **state)
{
    (void)state;
    static const struct {
        unsigned layers;
        uint64_t bytes;
    } cases[] = {{61, 70272}, {27, 31104}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model model = begin("deepseek2", cases[i].layers, 7168);
        set_heads(&model, 128, 1, 0);
        set(&model, "attention.key_length", 576);
        set(&model, "attention.value_length", 512);
        set(&model, "attention.kv_lora_rank", 512);
        set(&model, "attention.key_length_mla", 192);
        set(&model, "attention.value_length_mla", 128);
        set(&model, "attention.q_lora_rank", 1536);
        if (i > 0)
            set(&model, "rope.dimension_count", 64);
        auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
        assert_int_equal(shape.q_lora_rank, 1536);
        assert_int_equal(shape.kv_lora_rank, 512);
        assert_int_equal(shape.qk_rope_head_dim, 64);
        assert_int_equal(shape.qk_nope_head_dim, 128);
        assert_int_equal(shape.v_head_dim, 128);
        assert_int_equal(count_layers(&shape, CACHE_LATENT), cases[i].layers);
        assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), cases[i].bytes);
    }
}

/* Files from before llama.cpp knew of MLA keep whole heads. */
static void test_old_files_of_latent_models_keep_heads(void **state)
{
    (void)state;
    struct model model = begin("deepseek2", 61, 7168);
    set_heads(&model, 128, 128, 0);
    set(&model, "attention.key_length", 192);
    set(&model, "attention.value_length", 128);
    set(&model, "attention.kv_lora_rank", 512);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 61 * (24576 + 16384) * 2);
    assert_int_equal(shape.kv_lora_rank, 0);
}

static void test_indexers_add_a_key(void **state)
{
    (void)state;
    struct model model = begin("deepseek32", 2, 7168);
    set_heads(&model, 128, 1, 576);
    set(&model, "attention.kv_lora_rank", 512);
    set(&model, "attention.key_length_mla", 192);
    set(&model, "attention.value_length_mla", 128);
    set(&model, "attention.indexer.key_length", 128);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 2 * (576 + 128) * 2);
}

/* ---- windows ---- */

static void test_windows_of_architectures(void **state)
{
    (void)state;
    static const struct {
        const char *name, *architecture;
        unsigned layers, window, heads_kv, length, full;
        uint64_t bytes;
    } cases[] = {
        {"gpt-oss-20b", "gpt-oss", 24, 128, 8, 64, 12, 24576},
        {"gpt-oss-120b", "gpt-oss", 36, 128, 8, 64, 18, 36864},
        {"gemma-3-4B", "gemma3", 34, 1024, 4, 256, 5, 20480},
        {"gemma-3-12B", "gemma3", 48, 1024, 8, 256, 8, 65536},
        {"gemma-3-27B", "gemma3", 62, 1024, 16, 128, 10, 81920},
        {"gemma-2-9B", "gemma2", 42, 4096, 8, 256, 21, 172032},
        {"command-r7b", "cohere2", 32, 4096, 8, 128, 8, 32768},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model model = begin(cases[i].architecture, cases[i].layers, 4096);
        set_heads(&model, 32, cases[i].heads_kv, cases[i].length);
        set(&model, "attention.sliding_window", cases[i].window);
        auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
        const unsigned windows = count_layers(&shape, CACHE_WINDOW);
        if (windows != cases[i].layers - cases[i].full ||
            model_shape_kv_bytes_per_token(&shape, 16, 16) != cases[i].bytes)
            fail_msg("%s: %u windows", cases[i].name, windows);
        assert_int_equal(shape.layers[0].cache, CACHE_WINDOW);
        assert_int_equal(shape.layers[0].window, cases[i].window);
    }
}

static void test_patterns_of_the_file_win(void **state)
{
    (void)state;
    static const struct {
        const char *architecture;
        unsigned count; /* of items; 0: a period */
        unsigned items[6];
        const char *caches;
    } cases[] = {
        {"gemma3", 0, {3}, "WWFWWF"},
        {"gemma3", 0, {0}, "WWWWWW"},
        {"gemma3", 0, {1}, "FFFFFF"},
        {"gemma4", 6, {1, 0, 0, 1, 1, 0}, "WFFWWF"},
        {"muse", 3, {1, 1, 0}, "WWFWWF"},
        {"smallthinker", 0, {3}, "FWWFWW"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model model = begin(cases[i].architecture, 6, 64);
        set_heads(&model, 2, 1, 32);
        set(&model, "attention.sliding_window", 512);
        if (cases[i].count)
            set_all(&model, "attention.sliding_window_pattern", GGUF_BOOL, cases[i].items,
                    cases[i].count);
        else
            set(&model, "attention.sliding_window_pattern", cases[i].items[0]);
        auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
        assert_caches(&shape, cases[i].caches);
    }
}

static void test_dense_first_without_a_pattern(void **state)
{
    (void)state;
    struct model model = begin("smallthinker", 6, 64);
    set_heads(&model, 2, 1, 32);
    set(&model, "attention.sliding_window", 512);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "FWWWFW");
}

static void test_chunks(void **state)
{
    (void)state;
    struct model model = begin("llama4", 8, 64);
    set_heads(&model, 2, 1, 32);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "CCCFCCCF");
    assert_int_equal(shape.layers[0].window, 8192);
}

static void test_windows_have_heads_of_their_own_length(void **state)
{
    (void)state;
    struct model model = begin("gemma4", 2, 64);
    set_heads(&model, 2, 1, 512);
    set(&model, "attention.key_length_swa", 256);
    set(&model, "attention.value_length_swa", 128);
    set(&model, "attention.sliding_window", 512);
    set_all(&model, "attention.sliding_window_pattern", GGUF_BOOL, (const unsigned[]){1, 0}, 2);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_int_equal(shape.layers[0].key_length, 256);
    assert_int_equal(shape.layers[0].value_length, 128);
    assert_int_equal(shape.layers[1].key_length, 512);
}

static void test_layers_that_use_another_cache(void **state)
{
    (void)state;
    struct model model = begin("gemma4", 6, 64);
    set_heads(&model, 2, 1, 32);
    set(&model, "attention.shared_kv_layers", 2);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "FFFFNN");
    model = begin("gemma3n", 30, 2048);
    set_heads(&model, 8, 2, 256);
    set(&model, "attention.sliding_window", 512);
    auto_fini(model_shape_fini) struct model_shape small = read_shape(&model.w);
    assert_caches(&small, "WWWWFWWWWFWWWWFWWWWFNNNNNNNNNN");
}

/* ---- states ---- */

/* Nemotron-3-Ultra, of llama.cpp's log: 12 caches, 48 states of 8 MiB and 40.5 MiB in all. */
static void test_hybrid_by_heads(void **state)
{
    (void)state;
    struct model model = begin("nemotron_h_moe", 4, 8192);
    set(&model, "attention.head_count", 64);
    set_all(&model, "attention.head_count_kv", GGUF_INT32, (const unsigned[]){0, 2, 0, 0}, 4);
    set_all(&model, "feed_forward_length", GGUF_INT32, (const unsigned[]){0, 0, 0, 5120}, 4);
    set(&model, "attention.key_length", 128);
    set(&model, "attention.value_length", 128);
    set(&model, "ssm.conv_kernel", 4);
    set(&model, "ssm.inner_size", 16384);
    set(&model, "ssm.state_size", 128);
    set(&model, "ssm.group_count", 8);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "SFSN");
    assert_int_equal(shape.layers[0].state_conv, 3 * (16384 + 2 * 8 * 128));
    assert_int_equal(shape.layers[0].state_ssm * 4, 8 << 20);
    assert_int_equal(48 * 4 * shape.layers[0].state_conv * 4, 81 << 19); /* 40.5 MiB */
    assert_int_equal(shape.layers[1].state_ssm, 0);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 1024);
}

static void test_hybrid_by_interval(void **state)
{
    (void)state;
    struct model model = begin("qwen3next", 8, 2048);
    set_heads(&model, 16, 2, 256);
    set(&model, "ssm.conv_kernel", 4);
    set(&model, "ssm.inner_size", 4096);
    set(&model, "ssm.state_size", 128);
    set(&model, "ssm.group_count", 16);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "SSSFSSSF");
    assert_int_equal(shape.layers[0].state_conv, 3 * (4096 + 2 * 16 * 128));
    assert_int_equal(shape.layers[0].state_ssm, 128 * 4096);
    model = begin("qwen35", 6, 2048);
    set_heads(&model, 16, 2, 256);
    set(&model, "full_attention_interval", 3);
    auto_fini(model_shape_fini) struct model_shape other = read_shape(&model.w);
    assert_caches(&other, "SSFSSF");
    model = begin("qwen35", 3, 2048);
    set_heads(&model, 16, 2, 256);
    set_all(&model, "attention.recurrent_layers", GGUF_BOOL, (const unsigned[]){0, 1, 0}, 3);
    auto_fini(model_shape_fini) struct model_shape stated = read_shape(&model.w);
    assert_caches(&stated, "FSF");
}

static void test_states_of_other_kinds(void **state)
{
    (void)state;
    struct model model = begin("mamba", 2, 768);
    set(&model, "attention.head_count", 0);
    set(&model, "ssm.conv_kernel", 4);
    set(&model, "ssm.inner_size", 1536);
    set(&model, "ssm.state_size", 16);
    auto_fini(model_shape_fini) struct model_shape mamba = read_shape(&model.w);
    assert_caches(&mamba, "SS");
    assert_int_equal(mamba.layers[0].state_conv, 3 * 1536);
    assert_int_equal(mamba.layers[0].state_ssm, 16 * 1536);

    model = begin("rwkv7", 1, 2560);
    set(&model, "attention.head_count", 0);
    set(&model, "wkv.head_size", 64);
    auto_fini(model_shape_fini) struct model_shape rwkv = read_shape(&model.w);
    assert_int_equal(rwkv.layers[0].state_conv, 2 * 2560);
    assert_int_equal(rwkv.layers[0].state_ssm, 64 * 2560);

    model = begin("lfm2", 2, 1024);
    set(&model, "attention.head_count", 16);
    set_all(&model, "attention.head_count_kv", GGUF_UINT32, (const unsigned[]){0, 8}, 2);
    set(&model, "shortconv.l_cache", 3);
    auto_fini(model_shape_fini) struct model_shape lfm = read_shape(&model.w);
    assert_caches(&lfm, "SF");
    assert_int_equal(lfm.layers[0].state_conv, 2 * 1024);
    assert_int_equal(lfm.layers[0].state_ssm, 0);
    assert_int_equal(lfm.layers[1].key_length, 64);
}

static void test_linear_and_latent_side_by_side(void **state)
{
    (void)state;
    struct model model = begin("kimi-linear", 4, 2304);
    set(&model, "attention.head_count", 32);
    set_all(&model, "attention.head_count_kv", GGUF_UINT32, (const unsigned[]){0, 0, 0, 1}, 4);
    set(&model, "attention.kv_lora_rank", 512);
    set(&model, "attention.key_length_mla", 192);
    set(&model, "attention.value_length_mla", 128);
    set(&model, "rope.dimension_count", 64);
    set(&model, "ssm.conv_kernel", 4);
    set(&model, "kda.head_dim", 128);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "SSSL");
    assert_int_equal(shape.layers[0].state_conv, 3 * 3 * 32 * 128);
    assert_int_equal(shape.layers[0].state_ssm, 128 * 128 * 32);
    assert_int_equal(shape.layers[3].key_length, 576);
}

static void test_attention_and_state_in_each_layer(void **state)
{
    (void)state;
    struct model model = begin("falcon-h1", 3, 2048);
    set_heads(&model, 8, 2, 128);
    set(&model, "ssm.conv_kernel", 4);
    set(&model, "ssm.inner_size", 3072);
    set(&model, "ssm.state_size", 256);
    set(&model, "ssm.group_count", 1);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "BBB");
    assert_int_equal(shape.layers[0].state_ssm, 256 * 3072);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 3 * 2 * 128 * 4);
}

/* ---- the rest ---- */

static void test_draft_layers_have_no_cache(void **state)
{
    (void)state;
    struct model model = begin("glm4moe", 3, 64);
    set_heads(&model, 2, 1, 32);
    set(&model, "nextn_predict_layers", 1);
    gguf_tensor(&model.w, "blk.1.x", 0, 4, 1);
    gguf_tensor(&model.w, "blk.2.nextn.eh_proj.weight", 0, 8, 1);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_int_equal(shape.layer_count, 2);
    assert_int_equal(shape.draft_layer_count, 1);
    assert_int_equal(shape.draft_bytes, 32);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 2 * 32 * 4);
}

static void test_experts(void **state)
{
    (void)state;
    struct model model = begin("qwen3moe", 2, 64);
    set_heads(&model, 2, 1, 32);
    set(&model, "expert_count", 128);
    set(&model, "expert_used_count", 8);
    set(&model, "feed_forward_length", 6144);
    set(&model, "expert_feed_forward_length", 768);
    gguf_tensor(&model.w, "blk.0.ffn_up.weight", 0, 10, 1);
    gguf_tensor(&model.w, "blk.1.ffn_up_exps.weight", 0, 100, 1);
    gguf_tensor(&model.w, "blk.1.ffn_gate_up_exps.weight", 0, 10, 1);
    gguf_tensor(&model.w, "blk.1.ffn_down_chexps.weight", 0, 10, 1);
    gguf_tensor(&model.w, "blk.1.ffn_down.7.weight", 0, 10, 1);
    gguf_tensor(&model.w, "blk.1.ffn_up_shexp.weight", 0, 10, 1);
    gguf_tensor(&model.w, "blk.1.exp_probs_b.bias", 0, 10, 1);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_false(shape.layers[0].is_moe);
    assert_int_equal(shape.layers[0].feed_forward_length, 6144);
    assert_true(shape.layers[1].is_moe);
    assert_int_equal(shape.layers[1].feed_forward_length, 768);
    assert_int_equal(shape.layers[1].expert_bytes, 4 * 130);
    assert_int_equal(shape.layers[1].bytes, 4 * 150);
    assert_int_equal(shape.expert_count, 128);
    assert_int_equal(shape.expert_used_count, 8);
}

static void test_tied_embeddings(void **state)
{
    (void)state;
    struct model model = begin("gemma3", 1, 64);
    set_heads(&model, 2, 1, 32);
    gguf_tensor(&model.w, "token_embd.weight", 0, 64, 100);
    gguf_tensor(&model.w, "output_norm.weight", 0, 64, 1);
    gguf_tensor(&model.w, "per_layer_token_embd.weight", 0, 8, 100);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_true(shape.is_tied);
    assert_int_equal(shape.input_bytes, 25600 + 3200);
    assert_int_equal(shape.output_bytes, 256);
    assert_int_equal(shape.vocabulary_size, 100);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *architecture, *type, *tensor;
        int pooling; /* -1: not stated */
        enum model_kind kind;
        bool is_causal;
    } cases[] = {
        {"llama", "model", "blk.0.x", -1, KIND_LLM, true},
        {"llama", "adapter", "blk.0.x.lora_a", -1, KIND_ADAPTER, false},
        {"bert", NULL, "blk.0.x", 1, KIND_EMBEDDING, false},
        {"qwen3", NULL, "blk.0.x", 3, KIND_EMBEDDING, false},
        {"qwen3", NULL, "cls.output.weight", 4, KIND_RERANKER, false},
        {"bert", NULL, "cls.weight", -1, KIND_RERANKER, false},
        {"dream", NULL, "blk.0.x", -1, KIND_LLM, false},
        {"flux", NULL, "double_blocks.0.x", -1, KIND_DIFFUSION, false},
        {"x", NULL, "model.diffusion_model.x", -1, KIND_DIFFUSION, false},
        {"clip", NULL, "v.blk.0.x", -1, KIND_PROJECTOR, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model model = begin(cases[i].architecture, 1, 64);
        set_heads(&model, 2, 1, 32);
        if (cases[i].type)
            gguf_string(&model.w, "general.type", cases[i].type);
        if (cases[i].pooling >= 0)
            set(&model, "pooling_type", (unsigned)cases[i].pooling);
        gguf_tensor(&model.w, cases[i].tensor, 0, 4, 1);
        auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
        if (shape.kind != cases[i].kind || shape.is_causal != cases[i].is_causal)
            fail_msg("%zu: %s", i, model_kind_name(shape.kind));
    }
}

static void test_encoders_beside_decoders(void **state)
{
    (void)state;
    struct model model = begin("t5", 3, 64);
    set(&model, "decoder_block_count", 2);
    set_heads(&model, 2, 2, 32);
    gguf_tensor(&model.w, "enc.blk.2.x", 0, 4, 1);
    gguf_tensor(&model.w, "dec.blk.1.x", 0, 2, 1);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&model.w);
    assert_caches(&shape, "FF");
    assert_int_equal(shape.encoder_layer_count, 3);
    assert_int_equal(shape.other_bytes, 16);
    assert_int_equal(shape.layers[1].bytes, 8);
    model = begin("t5encoder", 3, 64);
    gguf_tensor(&model.w, "enc.blk.2.x", 0, 4, 1);
    auto_fini(model_shape_fini) struct model_shape encoder = read_shape(&model.w);
    assert_int_equal(encoder.kind, KIND_EMBEDDING);
    assert_caches(&encoder, "NNN");
    assert_int_equal(encoder.layers[2].bytes, 16);
    assert_int_equal(encoder.other_bytes, 0);
}

static void test_projectors(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_begin("clip");
    gguf_string(&w, "general.type", "mmproj");
    gguf_value(&w, "clip.has_vision_encoder", GGUF_BOOL, 1);
    gguf_u32(&w, "clip.vision.embedding_length", 1152);
    gguf_u32(&w, "clip.vision.block_count", 27);
    gguf_u32(&w, "clip.vision.attention.head_count", 16);
    gguf_u32(&w, "clip.vision.image_size", 896);
    gguf_u32(&w, "clip.vision.patch_size", 14);
    gguf_u32(&w, "clip.vision.projector.scale_factor", 4);
    gguf_tensor(&w, "v.blk.0.x", 0, 4, 1);
    auto_fini(model_shape_fini) struct model_shape shape = read_shape(&w);
    assert_int_equal(shape.kind, KIND_PROJECTOR);
    assert_true(shape.has_vision);
    assert_false(shape.has_audio);
    assert_int_equal(shape.vision_layer_count, 27);
    assert_int_equal(shape.vision_head_count, 16);
    assert_int_equal(shape.vision_hidden_size, 1152);
    assert_int_equal(shape.vision_tokens_max, 256);
    assert_int_equal(shape.vision_token_patches, 16);
    assert_int_equal(shape.other_bytes, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_attention),
        cmocka_unit_test(test_quantized_caches),
        cmocka_unit_test(test_head_count_kv_defaults_to_head_count),
        cmocka_unit_test(test_latent_attention),
        cmocka_unit_test(test_old_files_of_latent_models_keep_heads),
        cmocka_unit_test(test_indexers_add_a_key),
        cmocka_unit_test(test_windows_of_architectures),
        cmocka_unit_test(test_patterns_of_the_file_win),
        cmocka_unit_test(test_dense_first_without_a_pattern),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_windows_have_heads_of_their_own_length),
        cmocka_unit_test(test_layers_that_use_another_cache),
        cmocka_unit_test(test_hybrid_by_heads),
        cmocka_unit_test(test_hybrid_by_interval),
        cmocka_unit_test(test_states_of_other_kinds),
        cmocka_unit_test(test_linear_and_latent_side_by_side),
        cmocka_unit_test(test_attention_and_state_in_each_layer),
        cmocka_unit_test(test_draft_layers_have_no_cache),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_tied_embeddings),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_encoders_beside_decoders),
        cmocka_unit_test(test_projectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
