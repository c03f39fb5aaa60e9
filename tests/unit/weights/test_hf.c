/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders and repositories: which files count, what comes from headers and what by formula, how
 * much is read of a hub, and what is refused.
 */
#include "hf_fixture.h"

/* The beginning of a file with a header that is too long to be read of a hub. */
static struct buf *long_header(struct buf *content)
{
    buf_add(content, "\0\0\2\0\0\0\0\0{", 9);
    return content;
}

/* Adds empty files of so many bytes; their names are in order. */
static void add_sizes(struct memory_source *files, const char *const *names, uint64_t bytes)
{
    for (; *names; names++)
        memory_source_add(files, *names, NULL, bytes);
}

#define ADD_SIZES(files, bytes, ...)                                                               \
    add_sizes(files, (const char *const[]){__VA_ARGS__, NULL}, bytes)

/* --- local: headers ------------------------------------------------------------------------ */

static const struct tensor part_one[] = {
    {"model.embed_tokens.weight", "BF16", 256, 512},
    {"model.layers.0.self_attn.q_proj.weight", "BF16", 64, 128},
    {"model.layers.0.mlp.experts.3.up_proj.weight", "F8_E4M3", 128, 128},
    {"model.layers.0.mlp.experts.3.up_proj.weight_scale_inv", "F32", 1, 4},
    {"model.visual.blocks.0.attn.qkv.weight", "BF16", 10, 20},
};
static const struct tensor part_two[] = {
    {"model.layers.1.mlp.shared_experts.up_proj.weight", "BF16", 8, 16},
    {"model.layers.2.embed_tokens.weight", "BF16", 6, 12}, /* behind the last layer: a draft */
    {"model.norm.weight", "BF16", 8, 16},
    {"lm_head.weight", "BF16", 256, 512},
};

static void test_sums_of_headers(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(true);
    (void)state;
    memory_source_text(files, "config.json", LLAMA "}");
    add_safetensors(files, "model-00001-of-00002.safetensors", part_one, ARRAY_LEN(part_one));
    add_safetensors(files, "model-00002-of-00002.safetensors", part_two, ARRAY_LEN(part_two));
    read_good(files, &shape);
    assert_int_equal(shape.format, FORMAT_SAFETENSORS);
    assert_int_equal(shape.kind, KIND_LLM);
    assert_true(shape.is_split);
    assert_int_equal(shape.layer_count, 2);
    assert_int_equal(shape.layers[0].bytes, 128 + 128 + 4);
    assert_int_equal(shape.layers[0].expert_bytes, 128 + 4);
    assert_int_equal(shape.layers[1].bytes, 16);
    assert_int_equal(shape.layers[1].expert_bytes, 0);
    assert_int_equal(shape.input_bytes, 512);
    assert_int_equal(shape.output_bytes, 528);
    assert_int_equal(shape.draft_bytes, 12);
    assert_int_equal(shape.other_bytes, 20);
    assert_int_equal(shape.tensor_bytes, 512 + 260 + 20 + 16 + 12 + 528);
    assert_int_equal(shape.parameter_count, 256 + 64 + 128 + 10 + 8 + 8 + 256);
    assert_int_equal(shape.part_count, 1);
    assert_string_equal(shape.parts[0].name, "vision");
    assert_string_equal(shape.quantization, "BF16");
    assert_false(shape.is_tied);
}

/* The shards that the index names, none of the copies beside them. */
static void test_counts_nothing_twice(void **state)
{
    static const struct {
        const char *names[8];
        unsigned count; /* of files that are counted */
    } cases[] = {
        {{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
          "model.safetensors.index.json"},
         2},
        {{"consolidated.safetensors", "model.fp16.safetensors", "model.safetensors",
          "original/model.safetensors", "pytorch_model.bin"},
         1},
        {{"consolidated.safetensors"}, 1},
        {{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
          "model.safetensors"},
         1},
        {{"model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"}, 2},
        {{"optimizer.pt", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin",
          "rng_state.pth", "training_args.bin"},
         2},
        {{"flow.pt", "hift.pt", "llm.pt"}, 3},
        {{"model-1-of-2.safetensors", "model-2-of-2.safetensors"}, 2},
        {{"a.safetensors", "b.safetensors"}, 2},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct memory_source *files = memory_source_new(false);
        struct buf content = {0};
        bool has_config = false;
        for (size_t k = 0; k < 8 && cases[i].names[k]; k++) {
            if (!has_config && strcmp(cases[i].names[k], "config.json") > 0) {
                memory_source_text(files, "config.json", LLAMA "}");
                has_config = true;
            }
            if (strstr(cases[i].names[k], "index"))
                memory_source_text(files, cases[i].names[k],
                                   "{'weight_map': {'a': 'model-00001-of-00002.safetensors', "
                                   "'b': 'model-00002-of-00002.safetensors'}}");
            else
                memory_source_add(files, cases[i].names[k], long_header(&content), 1 << 20);
        }
        read_good(files, &shape);
        if (shape.file_bytes != (UINT64_C(1) << 20) * cases[i].count)
            fail_msg("case %zu: %llu bytes, not of %u files", i,
                     (unsigned long long)shape.file_bytes, cases[i].count);
    }
}

static void test_missing_parts_are_named(void **state)
{
    (void)state;
    for (int has_index = 0; has_index < 2; has_index++) {
        struct model_shape shape;
        struct err err = {0};
        struct memory_source *files = memory_source_new(true);
        memory_source_text(files, "config.json", LLAMA "}");
        ADD_SIZES(files, 1000, "model-00001-of-00003.safetensors",
                  "model-00003-of-00003.safetensors");
        if (has_index)
            memory_source_text(files, "model.safetensors.index.json",
                               "{'weight_map': {'a': 'model-00002-of-00003.safetensors'}}");
        assert_int_equal(read_all(files, &shape, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, "model-00002-of-00003.safetensors"));
    }
}

/* Without config.json the header tells how many weights of which type. */
static void test_a_file_of_weights_alone(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(true);
    (void)state;
    add_safetensors(files, "model.safetensors", part_two, ARRAY_LEN(part_two));
    read_good(files, &shape);
    assert_int_equal(shape.kind, KIND_UNKNOWN);
    assert_int_equal(shape.parameter_count, 8 + 6 + 8 + 256);
    assert_int_equal(shape.tensor_bytes, shape.file_bytes);
    assert_string_equal(shape.dtype, "bfloat16");
    assert_string_equal(shape.quantization, "BF16");
}

/* Kimi K2 Thinking has an index of 24 MB. */
static void test_shards_with_a_long_index(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(true);
    (void)state;
    add_safetensors(files, "model-00001-of-000002.safetensors", part_one, ARRAY_LEN(part_one));
    add_safetensors(files, "model-00002-of-000002.safetensors", part_two, ARRAY_LEN(part_two));
    add_safetensors(files, "model.safetensors", part_two, ARRAY_LEN(part_two));
    memory_source_add(files, "model.safetensors.index.json", NULL, SOURCE_SMALL_MAX + 1);
    read_good(files, &shape);
    assert_true(shape.is_split);
    assert_int_equal(shape.parameter_count, 256 + 64 + 128 + 10 + 8 + 6 + 8 + 256);
}

static void test_an_index_names_weights_only(void **state)
{
    static const char *const names[] = {"model.safetensors.index.json", "config.json",
                                        "model.safetensors.index.json/x", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct model_shape shape;
        struct err err = {0};
        struct memory_source *files = memory_source_new(true);
        auto_free char *index = mem_printf("{'weight_map': {'a': '%s'}}", names[i]);
        memory_source_text(files, "config.json", LLAMA "}");
        memory_source_text(files, "model.safetensors.index.json", index);
        assert_int_equal(read_all(files, &shape, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, "isn't there or has no weights"));
    }
}

/* --- a hub: formula ------------------------------------------------------------------------ */

/* DeepSeek-R1 has 163 shards and an index of 9 MB: config.json and sizes are all that is read. */
static void test_reads_little_of_a_hub(void **state)
{
    static const uint64_t SHARD = 4224000000;
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    struct err err = {0};
    (void)state;
    add_deepseek(files, ", 'quantization_config': {'quant_method': 'fp8', 'fmt': 'e4m3', "
                        "'weight_block_size': [128, 128]}");
    for (int i = 1; i <= 163; i++) {
        auto_free char *name = mem_printf("model-%05d-of-000163.safetensors", i);
        memory_source_add(files, name, NULL, SHARD);
    }
    memory_source_add(files, "model.safetensors.index.json", NULL, 9000000);
    memory_source_add(files, "tokenizer_config.json", NULL, 60000);
    if (hf_read(&files->base, &shape, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(files->base.read_count <= 3);
    assert_true(files->base.read_bytes < 4096);
    source_free(&files->base);

    assert_int_equal(shape.file_bytes, 163 * SHARD);
    assert_string_equal(shape.quantization, "fp8");
    assert_string_equal(shape.dtype, "bfloat16");
    assert_int_equal(shape.quantization_group, 128);
    assert_int_equal(shape.context_length, 163840);
    assert_int_equal(shape.draft_layer_count, 1);
    assert_int_equal(shape.layers[2].expert_bytes, 0);
    /* A MoE layer is 11.5 GB at 8 bits; the draft has both matrices of the vocabulary besides. */
    assert_in_range(shape.layers[60].bytes, 11300000000, 11700000000);
    assert_in_range(shape.layers[60].expert_bytes, 11100000000, 11500000000);
    assert_in_range(shape.draft_bytes, 14500000000, 15500000000);
    uint64_t sum = shape.input_bytes + shape.output_bytes + shape.other_bytes + shape.draft_bytes;
    for (uint32_t i = 0; i < shape.layer_count; i++)
        sum += shape.layers[i].bytes;
    assert_int_equal(sum, shape.file_bytes);
}

/* A model in one file: its header is read, in one piece. */
static void test_reads_a_short_header_of_a_hub(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    struct err err = {0};
    (void)state;
    memory_source_text(files, "config.json", LLAMA "}");
    add_safetensors(files, "model.safetensors", part_two, ARRAY_LEN(part_two));
    assert_int_equal(hf_read(&files->base, &shape, &err), 0);
    assert_int_equal(files->base.read_count, 2);
    assert_int_equal(shape.layers[1].bytes, 16);
    source_free(&files->base);
}

/* One that is too long isn't: a formula serves. */
static void test_a_long_header_of_a_hub_is_left_alone(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    struct buf content = {0};
    (void)state;
    memory_source_text(files, "config.json", LLAMA "}");
    memory_source_add(files, "model.safetensors", long_header(&content), 1 << 20);
    read_good(files, &shape);
    assert_int_equal(shape.file_bytes, 1 << 20);
    assert_int_equal(shape.tensor_bytes, 1 << 20);
    assert_true(shape.layers[0].bytes > 0 && shape.layers[0].bytes == shape.layers[1].bytes);
}

static void add_padded(struct memory_source *files, const char *name, const char *text,
                       size_t bytes)
{
    auto_free char *padded = mem_printf("%-*s", (int)bytes, text);
    memory_source_text(files, name, padded);
}

/* Each of the files is short enough, but not all of them together. */
static void test_of_a_hub_200_kb_are_read_in_all(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    struct buf header = {0};
    struct err err = {0};
    (void)state;
    add_padded(files, "config.json", LLAMA "}", 110000);
    buf_add(&header, "\0\x80\1\0\0\0\0\0", 8); /* 98,304 */
    buf_printf(&header, "%-98304s", "{}");
    memory_source_add(files, "model.safetensors", &header, 0);
    add_padded(files, "preprocessor_config.json", "{}", 16000);
    add_padded(files, "tokenizer_config.json", "{}", 16000);
    if (hf_read(&files->base, &shape, &err) < 0)
        fail_msg("%s", err.text);
    assert_in_range(files->base.read_bytes, 110000, 200000);
    assert_true(shape.layers[0].bytes > 0); /* by the formula */
    source_free(&files->base);
}

/* --- words --------------------------------------------------------------------------------- */

static void test_context_lengths(void **state)
{
    static const struct {
        const char *config;
        unsigned length;
    } cases[] = {
        {"", 64},
        {", 'n_positions': 32", 32},
        {", 'rope_scaling': {'type': 'linear', 'factor': 4}", 256},
        {", 'rope_scaling': {'type': 'dynamic', 'factor': 2.0}", 128},
        {", 'rope_scaling': {'rope_type': 'llama3', 'factor': 8, "
         "'original_max_position_embeddings': 8}",
         64},
        {", 'rope_scaling': {'type': 'longrope', 'factor': 8}", 64},
        {", 'rope_scaling': {'type': 'su', 'factor': 8}", 64},
        {", 'rope_scaling': {'type': 'mrope', 'mrope_section': [1, 2]}", 64},
        {", 'rope_scaling': {'type': 'yarn', 'factor': 4, 'original_max_position_embeddings': 48}",
         192},
        {", 'rope_parameters': {'full_attention': {'rope_type': 'yarn', 'factor': 2}}", 128},
        {", 'rope_scaling': {'type': 'linear', 'factor': NaN}", 64},
        {", 'rope_scaling': 'linear'", 64},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct memory_source *files = memory_source_new(false);
        auto_free char *config = mem_printf(LLAMA "%s}", cases[i].config);
        memory_source_text(files, "config.json", config);
        read_good(files, &shape);
        if (shape.context_length != cases[i].length)
            fail_msg("%s: %llu, not %u", cases[i].config,
                     (unsigned long long)shape.context_length, cases[i].length);
    }
}

static void test_kinds(void **state)
{
    static const struct {
        const char *type, *architecture, *beside;
        enum model_kind kind;
    } cases[] = {
        {"qwen3", "Qwen3ForCausalLM", "z", KIND_LLM},
        {"qwen3", "Qwen3ForCausalLM", "modules.json", KIND_EMBEDDING},
        {"qwen3", "Qwen3ForSequenceClassification", "z", KIND_RERANKER},
        {"bert", "BertModel", "z", KIND_EMBEDDING},
        {"mistral", "MistralModel", "z", KIND_EMBEDDING},
        {"xlm-roberta", "XLMRobertaForSequenceClassification", "z", KIND_RERANKER},
        {"whisper", "WhisperForConditionalGeneration", "z", KIND_WHISPER},
        {"dia", "DiaForConditionalGeneration", "z", KIND_TTS},
        {"bark", "BarkModel", "z", KIND_TTS},
        {"chatglm", "ChatGLMModel", "z", KIND_LLM},
        {"internvl_chat", "InternVLChatModel", "z", KIND_LLM},
        {"unheard_of", "UnheardOfForCausalLM", "z", KIND_LLM},
        {"qwen2", "Qwen2ForCausalLM", "cosyvoice2.yaml", KIND_TTS},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct memory_source *files = memory_source_new(false);
        auto_free char *config =
            mem_printf("{'model_type': '%s', 'architectures': ['%s'], 'hidden_size': 8, "
                       "'num_hidden_layers': 1, 'num_attention_heads': 1, 'vocab_size': 9}",
                       cases[i].type, cases[i].architecture);
        memory_source_text(files, "config.json", config);
        memory_source_add(files, cases[i].beside, NULL, 10);
        read_good(files, &shape);
        if (shape.kind != cases[i].kind)
            fail_msg("%s: %s, not %s", cases[i].architecture, model_kind_name(shape.kind),
                     model_kind_name(cases[i].kind));
        assert_string_equal(shape.architecture, cases[i].architecture);
        assert_int_equal(shape.is_causal, strstr(cases[i].type, "bert") == NULL);
    }
}

/* --- other folders ------------------------------------------------------------------------- */

static void test_a_pipeline_has_parts(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    (void)state;
    memory_source_text(files, "model_index.json",
                       "{'_class_name': 'FluxPipeline', 'scheduler': ['diffusers', 'S'], "
                       "'text_encoder': ['transformers', 'T'], 'transformer': ['diffusers', 'F'], "
                       "'unused': ['diffusers', 'U'], 'safety_checker': [null, null], "
                       "'vae': ['diffusers', 'A'], 'requires_safety_checker': true}");
    ADD_SIZES(files, 100, "safety_checker/model.safetensors",
              "scheduler/scheduler_config.json", "text_encoder/model.fp16.safetensors",
              "text_encoder/model.safetensors", "text_encoder/pytorch_model.bin");
    ADD_SIZES(files, 1000, "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
              "transformer/diffusion_pytorch_model-00002-of-00002.safetensors");
    ADD_SIZES(files, 10, "vae/diffusion_pytorch_model.safetensors");
    read_good(files, &shape);
    assert_int_equal(shape.kind, KIND_DIFFUSION);
    assert_string_equal(shape.architecture, "FluxPipeline");
    assert_int_equal(shape.part_count, 3);
    assert_string_equal(shape.parts[0].name, "text_encoder");
    assert_int_equal(shape.parts[0].bytes, 100);
    assert_string_equal(shape.parts[1].name, "transformer");
    assert_int_equal(shape.parts[1].bytes, 2000);
    assert_int_equal(shape.file_bytes, 2110);
}

static void test_an_adapter(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    (void)state;
    memory_source_text(files, "adapter_config.json",
                       "{'peft_type': 'LORA', 'r': 16, 'base_model_name_or_path': 'some/base'}");
    memory_source_add(files, "adapter_model.safetensors", NULL, 5000);
    read_good(files, &shape);
    assert_int_equal(shape.kind, KIND_ADAPTER);
    assert_string_equal(shape.name, "some/base");
    assert_int_equal(shape.file_bytes, 5000);
}

static void test_images_and_sound(void **state)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source *files = memory_source_new(false);
    (void)state;
    memory_source_text(
        files, "config.json",
        "{'model_type': 'qwen2_5_omni', 'architectures': ['Qwen2_5OmniModel'], "
        "'thinker_config': {'text_config': {'model_type': 'qwen2_5_omni_text', "
        "'hidden_size': 3584, 'intermediate_size': 18944, 'num_hidden_layers': 28, "
        "'num_attention_heads': 28, 'num_key_value_heads': 4, 'vocab_size': 152064}, "
        "'vision_config': {'depth': 32, 'embed_dim': 1280, 'hidden_size': 3584, "
        "'num_heads': 16, 'patch_size': 14, 'spatial_merge_size': 2}, "
        "'audio_config': {'d_model': 1280, 'encoder_layers': 32, "
        "'encoder_attention_heads': 20, 'encoder_ffn_dim': 5120}}}");
    memory_source_text(files, "preprocessor_config.json",
                       "{'patch_size': 14, 'merge_size': 2, 'max_pixels': 12845056}");
    read_good(files, &shape);
    assert_int_equal(shape.kind, KIND_LLM);
    assert_int_equal(shape.layer_count, 28);
    assert_int_equal(model_shape_kv_bytes_per_token(&shape, 16, 16), 57344);
    assert_true(shape.has_vision && shape.has_audio);
    assert_int_equal(shape.vision_hidden_size, 1280);
    assert_int_equal(shape.vision_head_count, 16);
    assert_int_equal(shape.vision_tokens_max, 16384);
    assert_int_equal(shape.part_count, 2);
}

/* Of a model of several parts: what the files have beyond the known ones belongs to no layer. */
static void test_unknown_parts_are_no_layers(void **state)
{
    auto_fini(model_shape_fini) struct model_shape alone = {0}, with_more = {0};
    (void)state;
    for (int has_more = 0; has_more < 2; has_more++) {
        struct memory_source *files = memory_source_new(false);
        memory_source_text(files, "config.json",
                           "{'torch_dtype': 'bfloat16', 'text_config': " LLAMA "}}");
        if (has_more)
            ADD_SIZES(files, 1000000, "model-00001-of-00002.safetensors",
                      "model-00002-of-00002.safetensors");
        read_good(files, has_more ? &with_more : &alone);
    }
    assert_int_equal(with_more.tensor_bytes, 2000000);
    assert_int_equal(with_more.layers[0].bytes, alone.layers[0].bytes);
    assert_int_equal(with_more.other_bytes, 2000000 - alone.tensor_bytes);
}

/* --- refused ------------------------------------------------------------------------------- */

static void test_refuses_bad_configs(void **state)
{
    static const struct {
        const char *config;
        int code;
        const char *text;
    } cases[] = {
        {"{'num_hidden_layers': 513}", ERR_INVALID,
         "config.json: num_hidden_layers is 513, whole numbers from 0 to 512 are read"},
        {"{'hidden_size': 4294967297}", ERR_INVALID, "hidden_size is 4294967297"},
        {"{'hidden_size': -8}", ERR_INVALID, "hidden_size is -8"},
        {"{'hidden_size': 1.5}", ERR_INVALID, "hidden_size is 1.5"},
        {"{'num_attention_heads': [8, 1e9]}", ERR_INVALID, "num_attention_heads is 1e9"},
        {"{'num_experts': 5000}", ERR_INVALID, "num_experts is 5000"},
        {"{'hidden_size': }", ERR_SYNTAX, "config.json: is not JSON"},
        {"[]", ERR_SYNTAX, "config.json: is no object"},
        {"{}", ERR_NOT_FOUND, "config.json states no layers"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_shape shape;
        struct err err = {0};
        struct memory_source *files = memory_source_new(true);
        memory_source_text(files, "config.json", cases[i].config);
        const int rc = read_all(files, &shape, &err);
        if (rc != cases[i].code || !strstr(err.text, cases[i].text))
            fail_msg("%s: %d \"%s\"", cases[i].config, rc, err.text);
    }
}

static void test_refuses_long_files(void **state)
{
    struct model_shape shape;
    struct err err = {0};
    struct memory_source *files = memory_source_new(true);
    (void)state;
    memory_source_add(files, "config.json", NULL, (1 << 20) + 1);
    assert_int_equal(read_all(files, &shape, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "config.json has 1048577 bytes, at most 1048576"));
    files = memory_source_new(true);
    memory_source_add(files, "a.bin", NULL, UINT64_C(1) << 56);
    memory_source_add(files, "b.bin", NULL, UINT64_C(1) << 56);
    assert_int_equal(read_all(files, &shape, &err), ERR_TOO_LARGE);
    files = memory_source_new(true);
    assert_int_equal(read_all(files, &shape, &err), ERR_NOT_FOUND);
}

/* The largest numbers that are allowed, together. */
static void test_large_numbers_do_not_overflow(void **state)
{
    struct model_shape shape;
    struct err err = {0};
    struct memory_source *files = memory_source_new(false);
    (void)state;
    memory_source_text(files, "config.json",
                       "{'hidden_size': 4294967296, 'intermediate_size': 4294967296, "
                       "'num_hidden_layers': 512, 'num_attention_heads': 65536, "
                       "'num_key_value_heads': 65536, 'head_dim': 65536, "
                       "'num_experts': 4096, 'vocab_size': 4294967296, "
                       "'moe_intermediate_size': 4294967296, 'n_shared_experts': 4096}");
    memory_source_add(files, "model.bin", NULL, 1000);
    assert_int_equal(read_all(files, &shape, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "config.json describes a model of 2^52 weights or more"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_of_headers),
        cmocka_unit_test(test_counts_nothing_twice),
        cmocka_unit_test(test_missing_parts_are_named),
        cmocka_unit_test(test_a_file_of_weights_alone),
        cmocka_unit_test(test_shards_with_a_long_index),
        cmocka_unit_test(test_an_index_names_weights_only),
        cmocka_unit_test(test_reads_little_of_a_hub),
        cmocka_unit_test(test_reads_a_short_header_of_a_hub),
        cmocka_unit_test(test_a_long_header_of_a_hub_is_left_alone),
        cmocka_unit_test(test_of_a_hub_200_kb_are_read_in_all),
        cmocka_unit_test(test_context_lengths),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_a_pipeline_has_parts),
        cmocka_unit_test(test_an_adapter),
        cmocka_unit_test(test_images_and_sound),
        cmocka_unit_test(test_unknown_parts_are_no_layers),
        cmocka_unit_test(test_refuses_bad_configs),
        cmocka_unit_test(test_refuses_long_files),
        cmocka_unit_test(test_large_numbers_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
