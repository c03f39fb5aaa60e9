/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_config_priv.h"

#include "weights/json_view.h"
#include "weights/model_shape.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

enum { KEYS_MAX = 9 };

/* A number, by the names that it has in the families' files; the first that is there counts. */
static const struct number {
    const char *keys[KEYS_MAX];
    size_t offset;
    uint64_t max;
} numbers[] = {
#define NUMBER(member, limit, ...) {{__VA_ARGS__}, offsetof(struct hf_config, member), limit}
    NUMBER(hidden_size, MODEL_SHAPE_DIM_MAX, "hidden_size", "n_embd", "d_model", "n_embed", "dim",
           "model_dim"),
    NUMBER(layer_count, MODEL_SHAPE_LAYERS_MAX, "decoder_layers", "num_decoder_layers",
           "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers"),
    NUMBER(encoder_layer_count, MODEL_SHAPE_LAYERS_MAX, "encoder_layers"),
    NUMBER(draft_layer_count, 64, "num_nextn_predict_layers", "mtp_num_hidden_layers"),
    NUMBER(head_count, HF_HEADS_MAX, "decoder_attention_heads", "num_attention_heads", "n_head",
           "n_heads", "num_heads", "num_query_heads"),
    NUMBER(head_count_kv, HF_HEADS_MAX, "num_key_value_heads", "n_head_kv", "num_kv_heads",
           "n_kv_heads", "kv_n_heads", "num_attention_groups", "num_key_value_heads_per_layer"),
    NUMBER(head_length, HF_HEAD_LENGTH_MAX, "head_dim", "kv_channels", "d_kv",
           "attention_head_dim"),
    NUMBER(value_length, HF_HEAD_LENGTH_MAX, "v_head_dim"),
    NUMBER(global_head_length, HF_HEAD_LENGTH_MAX, "global_head_dim"),
    NUMBER(global_head_count_kv, HF_HEADS_MAX, "num_global_key_value_heads"),
    NUMBER(window_head_length, HF_HEAD_LENGTH_MAX, "swa_head_dim"),
    NUMBER(window_value_length, HF_HEAD_LENGTH_MAX, "swa_v_head_dim"),
    NUMBER(window_head_count_kv, HF_HEADS_MAX, "swa_num_key_value_heads"),
    NUMBER(feed_forward_length, MODEL_SHAPE_DIM_MAX, "decoder_ffn_dim", "intermediate_size_mlp",
           "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff", "hidden_dim"),
    NUMBER(vocabulary_size, MODEL_SHAPE_DIM_MAX, "padded_vocab_size", "vocab_size"),
    NUMBER(chunk, MODEL_SHAPE_DIM_MAX, "attention_chunk_size"),
    NUMBER(window, MODEL_SHAPE_DIM_MAX, "sliding_window", "sliding_window_size",
           "attention_window_size", "window_size"),
    NUMBER(shared_kv_layers, MODEL_SHAPE_LAYERS_MAX, "num_kv_shared_layers"),
    NUMBER(encoder_head_count, HF_HEADS_MAX, "encoder_attention_heads"),
    NUMBER(encoder_feed_forward_length, MODEL_SHAPE_DIM_MAX, "encoder_ffn_dim"),
    NUMBER(encoder_length, MODEL_SHAPE_DIM_MAX, "max_source_positions"),
    NUMBER(mel_count, HF_COUNT_MAX, "num_mel_bins"),
    NUMBER(expert_count, MODEL_SHAPE_EXPERTS_MAX, "num_local_experts", "n_routed_experts",
           "num_experts", "moe_num_experts", "num_routed_experts"),
    NUMBER(expert_used_count, MODEL_SHAPE_EXPERTS_MAX, "num_experts_per_tok",
           "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "experts_per_token",
           "top_k_experts"),
    NUMBER(expert_shared_count, MODEL_SHAPE_EXPERTS_MAX, "n_shared_experts", "num_shared_experts",
           "moe_num_shared_experts", "num_shared_expert"),
    NUMBER(expert_feed_forward_length, MODEL_SHAPE_DIM_MAX, "moe_intermediate_size",
           "expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_intermediate_size",
           "expert_hidden_dim"),
    NUMBER(shared_feed_forward_length, MODEL_SHAPE_DIM_MAX, "shared_expert_intermediate_size",
           "moe_shared_expert_intermediate_size", "shared_intermediate_size", "share_expert_dim"),
    NUMBER(dense_layers_first, MODEL_SHAPE_LAYERS_MAX, "first_k_dense_replace",
           "moe_layer_start_index", "num_dense_layers"),
    NUMBER(latent_length, HF_HEAD_LENGTH_MAX, "kv_lora_rank"),
    NUMBER(query_latent_length, HF_HEAD_LENGTH_MAX, "q_lora_rank"),
    NUMBER(rope_length, HF_HEAD_LENGTH_MAX, "qk_rope_head_dim"),
    NUMBER(nope_length, HF_HEAD_LENGTH_MAX, "qk_nope_head_dim"),
    NUMBER(indexer_length, HF_HEAD_LENGTH_MAX, "index_head_dim"),
    NUMBER(indexer_head_count, HF_HEADS_MAX, "index_n_heads"),
    NUMBER(state_length, HF_COUNT_MAX, "mamba_d_state", "ssm_state_size", "state_size",
           "mamba_state_dim"),
    NUMBER(conv_length, HF_COUNT_MAX, "linear_conv_kernel_dim", "mamba_d_conv", "conv_kernel",
           "short_conv_kernel_size", "conv_L_cache"),
    NUMBER(inner_length, MODEL_SHAPE_DIM_MAX, "mamba_d_ssm", "mamba_intermediate_size",
           "d_inner"),
    NUMBER(expansion, HF_COUNT_MAX, "mamba_expand", "expand"),
    NUMBER(group_count, HF_COUNT_MAX, "mamba_n_groups", "n_groups"),
    NUMBER(rank, MODEL_SHAPE_DIM_MAX, "mamba_dt_rank", "time_step_rank"),
    NUMBER(state_head_count, HF_HEADS_MAX, "mamba_n_heads", "mamba_num_heads"),
    NUMBER(state_head_length, HF_HEAD_LENGTH_MAX, "mamba_d_head", "mamba_head_dim"),
    NUMBER(key_head_count, HF_HEADS_MAX, "linear_num_key_heads"),
    NUMBER(key_head_length, HF_HEAD_LENGTH_MAX, "linear_key_head_dim"),
    NUMBER(value_head_count, HF_HEADS_MAX, "linear_num_value_heads"),
    NUMBER(value_head_length, HF_HEAD_LENGTH_MAX, "linear_value_head_dim"),
#undef NUMBER
};

void hf_config_fini(struct hf_config *config)
{
    buf_fini(&config->text);
    *config = (struct hf_config){0};
}

/* --- scopes ---------------------------------------------------------------------------------- */

static void add_scope(struct hf_config *config, struct str scope)
{
    if (json_view_kind(scope) == JSON_VIEW_OBJECT && config->scope_count < HF_SCOPES_MAX)
        config->scopes[config->scope_count++] = scope;
}

/* The object within `outer` that describes the text part, or the decoder of one with an encoder. */
static bool find_text_part(struct str outer, struct str *ret)
{
    static const char *const NAMES[] = {"thinker_config",  "text_config", "llm_config",
                                        "language_config", "llm_cfg",     "decoder_config",
                                        "decoder"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (json_view_member(outer, NAMES[i], ret) && json_view_kind(*ret) == JSON_VIEW_OBJECT)
            return true;
    return false;
}

/* Innermost first, then outwards; objects within the text part that hold some numbers last. */
static void set_scopes(struct hf_config *config)
{
    static const char *const PARTS[] = {"attn_config", "ffn_config", "linear_attn_config", "moe"};
    struct str chain[3] = {config->root}, part;
    size_t count = 1;
    while (count < ARRAY_LEN(chain) && find_text_part(chain[count - 1], &part))
        chain[count++] = part;
    config->is_nested = count > 1;
    for (size_t i = count; i-- > 0;)
        add_scope(config, chain[i]);
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
        if (json_view_member(chain[count - 1], PARTS[i], &part))
            add_scope(config, part);
}

bool hf_config_find(const struct hf_config *config, const char *key, struct str *ret)
{
    for (unsigned i = 0; i < config->scope_count; i++)
        if (json_view_member(config->scopes[i], key, ret) &&
            json_view_kind(*ret) != JSON_VIEW_NULL)
            return true;
    return false;
}

uint64_t hf_config_number(const struct hf_config *config, const char *key, uint64_t fallback,
                          uint64_t max)
{
    struct str value;
    uint64_t n = 0;
    if (!hf_config_find(config, key, &value) || json_view_integer(value, &n) < 0 || n > max)
        return fallback;
    return n;
}

bool hf_config_is_true(const struct hf_config *config, const char *key)
{
    struct str value;
    return hf_config_find(config, key, &value) && json_view_is_true(value);
}

/* --- numbers --------------------------------------------------------------------------------- */

static int fail_number(const char *key, struct str value, uint64_t max, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s is %.*s, whole numbers from 0 to %llu are read", key,
                   (int)(value.len < 40 ? value.len : 40), value.ptr, (unsigned long long)max);
}

/* -1 stands for "none" in many files. */
static bool is_minus_one(struct str value)
{
    return str_eq(value, STR("-1"));
}

/* A number, or the largest of a list with one per layer. Other kinds of values aren't taken. */
static int read_number(const char *key, struct str value, uint64_t max, uint64_t *ret,
                       struct err *err)
{
    struct json_view_items items = {value, false};
    struct str item = value;
    uint64_t largest = 0;
    const bool is_list = json_view_kind(value) == JSON_VIEW_ARRAY;
    if (is_list)
        items = json_view_items(value);
    while (!is_list || json_view_next(&items, NULL, &item)) {
        uint64_t n = 0;
        if (json_view_kind(item) == JSON_VIEW_NUMBER && !is_minus_one(item) &&
            (json_view_integer(item, &n) < 0 || n > max))
            return fail_number(key, item, max, err);
        largest = n > largest ? n : largest;
        if (!is_list)
            break;
    }
    *ret = largest;
    return 0;
}

static int read_any(struct hf_config *config, const struct number *number, struct err *err)
{
    uint64_t *slot = (uint64_t *)((char *)config + number->offset);
    struct str value;
    for (unsigned scope = 0; scope < config->scope_count; scope++) {
        for (size_t i = 0; i < KEYS_MAX && number->keys[i]; i++) {
            if (!json_view_member(config->scopes[scope], number->keys[i], &value) ||
                json_view_kind(value) == JSON_VIEW_NULL)
                continue;
            const int rc = read_number(number->keys[i], value, number->max, slot, err);
            if (rc < 0 || *slot > 0)
                return rc;
        }
    }
    return 0;
}

static int read_numbers(struct hf_config *config, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const int rc = read_any(config, &numbers[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- what files leave out -------------------------------------------------------------------- */

static void default_to(uint64_t *slot, uint64_t value)
{
    if (*slot == 0)
        *slot = value;
}

static bool states(const struct hf_config *config, const char *key)
{
    for (unsigned i = 0; i < config->scope_count; i++) {
        struct str value;
        if (json_view_member(config->scopes[i], key, &value))
            return true;
    }
    return false;
}

static void take_family_defaults(struct hf_config *config)
{
    const struct hf_family *family = &config->family;
    /* Heads are a set: a file that states one of them leaves out what it derives from that. */
    if (config->head_count == 0) {
        default_to(&config->head_count_kv, family->head_count_kv);
        config->head_count = family->head_count;
    }
    default_to(&config->hidden_size, family->hidden_size);
    default_to(&config->feed_forward_length, family->feed_forward_length);
    default_to(&config->layer_count, family->layer_count);
    default_to(&config->head_length, family->head_length);
    default_to(&config->vocabulary_size, family->vocabulary_size);
    if (!states(config, "sliding_window")) /* null switches it off */
        default_to(&config->window, family->window);
}

/* One head of keys and values for all: multi_query; its ChatGLM form states how many groups. */
static void set_multi_query(struct hf_config *config)
{
    if (hf_config_is_true(config, "multi_query_attention"))
        config->head_count_kv =
            hf_config_number(config, "multi_query_group_num", 1, HF_HEADS_MAX);
    else if (hf_config_is_true(config, "multi_query") &&
             !hf_config_is_true(config, "new_decoder_architecture"))
        config->head_count_kv = 1;
}

static void set_heads(struct hf_config *config)
{
    if (config->head_count_kv == 0)
        set_multi_query(config);
    default_to(&config->head_count_kv, config->head_count);
    if (config->head_count > 0)
        default_to(&config->head_length, config->hidden_size / config->head_count);
    if (config->head_length > HF_HEAD_LENGTH_MAX)
        config->head_length = HF_HEAD_LENGTH_MAX;
    struct str use;
    if (hf_config_find(config, "use_mla", &use) && !json_view_is_true(use))
        config->latent_length = 0;
    if (config->latent_length > 0) { /* DeepSeek's class has these */
        default_to(&config->rope_length, 64);
        default_to(&config->nope_length, 128);
        default_to(&config->value_length, 128);
    }
    default_to(&config->value_length, config->head_length);
}

static void set_feed_forward(struct hf_config *config)
{
    default_to(&config->feed_forward_length,
               config->hidden_size <= MODEL_SHAPE_DIM_MAX / 4 ? 4 * config->hidden_size : 0);
    if (config->expert_count <= 1)
        config->expert_count = 0; /* "one expert" is how some files say dense */
    if (config->expert_count == 0)
        return;
    if (config->expert_feed_forward_length == 0) /* Mixtral; llama 4's dense size has another key */
        config->expert_feed_forward_length = hf_config_number(
            config, "intermediate_size", config->feed_forward_length, MODEL_SHAPE_DIM_MAX);
    if (config->family.traits & HF_SHARED_ALWAYS)
        default_to(&config->expert_shared_count, 1);
    if (config->shared_feed_forward_length > 0)
        default_to(&config->expert_shared_count, 1);
    else if (config->expert_shared_count <= MODEL_SHAPE_EXPERTS_MAX)
        config->shared_feed_forward_length =
            config->expert_shared_count * config->expert_feed_forward_length;
    if (config->expert_used_count > config->expert_count)
        config->expert_used_count = config->expert_count;
}

static bool read_within(struct str object, const char *key, uint64_t max, uint64_t *ret)
{
    struct str value;
    return json_view_member(object, key, &value) && json_view_integer(value, ret) == 0 &&
           *ret <= max;
}

/* Mamba's: Falcon-Mamba and the first state the width, the others a factor. */
static void set_state(struct hf_config *config)
{
    if (config->state_head_count == 0 && str_eq(str_of(config->model_type), STR("mamba2")))
        config->state_head_count = config->head_count;
    if (config->state_head_count > 0 && config->state_head_length == 0)
        config->state_head_length = config->head_length;
    if (config->inner_length == 0 && config->state_head_count > 0)
        config->inner_length = config->state_head_count * config->state_head_length;
    default_to(&config->expansion, 2);
    if (config->inner_length == 0 && config->hidden_size <= MODEL_SHAPE_DIM_MAX / HF_COUNT_MAX)
        config->inner_length = config->expansion * config->hidden_size;
    default_to(&config->group_count, 1);
    default_to(&config->conv_length, 4);
    struct str linear;
    uint64_t n = 0;
    config->has_short_convolution = hf_config_find(config, "conv_L_cache", &linear);
    config->has_channel_gates = hf_config_find(config, "linear_attn_config", &linear);
    if (config->has_channel_gates) { /* with heads of its own */
        if (read_within(linear, "num_heads", HF_HEADS_MAX, &n))
            config->key_head_count = n;
        if (read_within(linear, "head_dim", HF_HEAD_LENGTH_MAX, &n))
            config->key_head_length = n;
    }
    if (config->rank == 0) /* "auto" */
        config->rank = (config->hidden_size + 15) / 16;
}

/* --- words ----------------------------------------------------------------------------------- */

static void set_names(struct hf_config *config)
{
    struct str value = {0}, first = {0};
    if (hf_config_find(config, "model_type", &value))
        clean_text_copy(config->model_type, sizeof config->model_type, json_view_text(value));
    value = (struct str){0};
    json_view_member(config->root, "model_type", &value);
    clean_text_copy(config->outer_type, sizeof config->outer_type, json_view_text(value));
    value = (struct str){0};
    if (!json_view_member(config->root, "architectures", &value))
        hf_config_find(config, "architectures", &value);
    struct json_view_items items = json_view_items(value);
    if (!json_view_next(&items, NULL, &first) || json_view_text(first).len == 0)
        first = STR("\"\"");
    clean_text_copy(config->architecture, sizeof config->architecture, json_view_text(first));
    if (!config->architecture[0])
        clean_text_copy(config->architecture, sizeof config->architecture,
                     str_of(config->outer_type[0] ? config->outer_type : config->model_type));
    config->family = hf_family_of(config->model_type);
    if (!config->family.model_type)
        config->family = hf_family_of(config->outer_type);
}

static void set_flags(struct hf_config *config)
{
    struct str value;
    config->is_tied = config->family.traits & HF_TIED;
    if (hf_config_find(config, "tie_word_embeddings", &value))
        config->is_tied = json_view_is_true(value);
    config->is_encoder_decoder = hf_config_is_true(config, "is_encoder_decoder") ||
                                 config->family.traits & HF_WHISPER;
    config->has_attention_bias = hf_config_is_true(config, "attention_bias") ||
                                 str_has_prefix(str_of(config->model_type), STR("qwen2"));
    config->is_causal = !(config->family.traits & HF_ENCODER);
    if (hf_config_find(config, "is_causal", &value) && !json_view_is_true(value))
        config->is_causal = false;
    if (strstr(config->architecture, "Bidirectional") ||
        hf_config_is_true(config, "use_bidirectional_attention"))
        config->is_causal = false;
    if (config->is_encoder_decoder) {
        config->is_causal = true;
        /* T5 has one number for both; Whisper one for each. */
        default_to(&config->encoder_layer_count,
                   hf_config_number(config, "num_layers", config->layer_count,
                                    MODEL_SHAPE_LAYERS_MAX));
    }
}

int hf_config_read(const char *file, struct buf *text, struct hf_config *ret, struct err *err)
{
    auto_fini(hf_config_fini) struct hf_config config = {.text = *text};
    *text = (struct buf){0};
    clean_text_copy(config.file, sizeof config.file, str_of(file));
    int rc = config.text.len > HF_CONFIG_MAX
                 ? err_set(err, ERR_TOO_LARGE, "has %zu bytes, at most %d are read",
                           config.text.len, HF_CONFIG_MAX)
                 : json_view_check(buf_str(&config.text), &config.root, err);
    if (rc == 0 && json_view_kind(config.root) != JSON_VIEW_OBJECT)
        rc = err_set(err, ERR_SYNTAX, "is no object");
    if (rc == 0) {
        set_scopes(&config);
        set_names(&config);
        rc = read_numbers(&config, err);
    }
    if (rc < 0)
        return err_wrap(err, rc, "%s", file);
    take_family_defaults(&config);
    set_heads(&config);
    set_feed_forward(&config);
    set_state(&config);
    set_flags(&config);
    config.context_length = hf_context_length(&config);
    *ret = config;
    config = (struct hf_config){0};
    return 0;
}
