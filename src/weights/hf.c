/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf.h"

#include "weights/hf_model_priv.h"
#include "weights/json_view.h"

#include <stdio.h>

enum {
    REMOTE_TOKENIZER_MAX = 16 << 10,    /* bytes of a hub's tokenizer_config.json */
    REMOTE_PREPROCESSOR_MAX = 16 << 10, /* and preprocessor_config.json */
};

static void model_free(struct hf_model *model)
{
    hf_config_fini(&model->config);
    hf_files_fini(&model->files);
    model_shape_fini(&model->shape);
    free(model);
}

static void model_free_slot(struct hf_model **model)
{
    model_free(*model);
}

/* --- small files ----------------------------------------------------------------------------- */

static int read_config(struct source *source, const struct source_file *file,
                       struct hf_config *ret, struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    if (file->bytes > HF_CONFIG_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s has %llu bytes, at most %d are read", file->name,
                       (unsigned long long)file->bytes, HF_CONFIG_MAX);
    const int rc = source_read_small(source, file, &text, err);
    return rc < 0 ? rc : hf_config_read(file->name, &text, ret, err);
}

/* A file that only adds to what is known: one that is damaged, or long and far, adds nothing. */
static bool read_optional(struct source *source, const char *name, uint64_t remote_max,
                          struct buf *text, struct str *ret_root)
{
    const struct source_file *file = source_find(source, name);
    const uint64_t max = source->is_local ? (uint64_t)SOURCE_SMALL_MAX : remote_max;
    if (!file || file->bytes > max || file->bytes > hf_files_left(source))
        return false;
    return source_read_small(source, file, text, NULL) >= 0 &&
           json_view_check(buf_str(text), ret_root, NULL) == 0;
}

static bool has_chat_template(struct source *source)
{
    auto_fini(buf_fini) struct buf text = {0};
    struct str root, value;
    if (source_find(source, "chat_template.jinja") || source_find(source, "chat_template.json"))
        return true;
    return read_optional(source, "tokenizer_config.json", REMOTE_TOKENIZER_MAX, &text, &root) &&
           json_view_member(root, "chat_template", &value) &&
           json_view_kind(value) != JSON_VIEW_NULL;
}

static uint64_t image_tokens(struct source *source)
{
    auto_fini(buf_fini) struct buf text = {0};
    struct str root;
    return read_optional(source, "preprocessor_config.json", REMOTE_PREPROCESSOR_MAX, &text, &root)
               ? hf_image_tokens(root)
               : 0;
}

/* --- a model with config.json ---------------------------------------------------------------- */

static void set_numbers(struct hf_model *model)
{
    const struct hf_config *config = &model->config;
    struct model_shape *shape = &model->shape;
    shape->kind = hf_kind_of(config, model->source);
    clean_text_copy(shape->architecture, sizeof shape->architecture, str_of(config->architecture));
    shape->is_tied = config->is_tied;
    shape->is_causal = config->is_causal;
    shape->context_length = config->context_length;
    shape->vocabulary_size = config->vocabulary_size;
    shape->hidden_size = config->hidden_size;
    shape->expert_count = config->expert_count;
    shape->expert_used_count = config->expert_used_count;
    shape->expert_shared_count = config->expert_count ? config->expert_shared_count : 0;
    shape->quantization_group = model->quant.group;
    shape->is_quantized_linear = model->quant.exists;
    shape->draft_layer_count = (uint32_t)config->draft_layer_count;
    if (shape->kind == KIND_LLM || shape->kind == KIND_EMBEDDING)
        shape->has_chat_template = has_chat_template(model->source);
}

static void set_latent(const struct hf_config *config, struct model_shape *shape)
{
    if (config->latent_length == 0)
        return;
    shape->q_lora_rank = config->query_latent_length;
    shape->kv_lora_rank = config->latent_length;
    shape->qk_rope_head_dim = config->rope_length;
    shape->qk_nope_head_dim = config->nope_length;
    shape->v_head_dim = config->value_length;
}

static void set_layers(struct hf_model *model)
{
    struct model_shape *shape = &model->shape;
    shape->layer_count = (uint32_t)model->config.layer_count;
    shape->layers = mem_alloc_array(shape->layer_count + 1, sizeof *shape->layers);
    hf_blocks_set(&model->config, model->blocks);
    for (uint32_t i = 0; i < shape->layer_count; i++)
        hf_block_to_layer(&model->config, &model->blocks[i], &shape->layers[i]);
}

static void set_towers(struct hf_model *model)
{
    struct model_shape *shape = &model->shape;
    model->vision = hf_tower_of_vision(&model->config);
    model->audio = hf_tower_of_audio(&model->config);
    model->encoder = hf_tower_of_encoder(&model->config);
    shape->has_vision = model->vision.exists;
    shape->has_audio = model->audio.exists || shape->kind == KIND_WHISPER;
    shape->vision_head_count = model->vision.head_count;
    shape->vision_layer_count = model->vision.layer_count;
    shape->vision_hidden_size = model->vision.hidden_size;
    if (shape->has_vision) {
        const uint64_t tokens = image_tokens(model->source);
        shape->vision_tokens_max = tokens ? tokens : model->vision.tokens_max;
    }
    if (model->encoder.exists) {
        shape->encoder_layer_count = (uint32_t)model->encoder.layer_count;
        shape->encoder_length = model->config.encoder_length ? model->config.encoder_length
                                                             : shape->context_length;
    }
}

static int read_model(struct source *source, const struct source_file *file,
                      struct model_shape *ret, struct err *err)
{
    auto_fini(model_free_slot) struct hf_model *model = mem_alloc(sizeof *model);
    struct model_shape *shape = &model->shape;
    model->source = source;
    int rc = read_config(source, file, &model->config, err);
    if (rc == 0)
        rc = hf_quant_read(&model->config, source, &model->quant, err);
    if (rc == 0)
        rc = hf_files_select(source, "", &model->files, err);
    if (rc < 0)
        return rc;
    if (model->files.count == 0 && model->config.layer_count == 0)
        return err_set(err, ERR_NOT_FOUND, "%s states no layers, and there are no weights",
                       file->name);
    set_numbers(model);
    set_latent(&model->config, shape);
    set_layers(model);
    set_towers(model);
    shape->format = model->files.count ? model->files.format : FORMAT_SAFETENSORS;
    shape->is_split = model->files.is_split;
    rc = hf_bytes_fill(model, err);
    if (rc < 0)
        return rc;
    snprintf(shape->dtype, sizeof shape->dtype, "%s", model->quant.dtype);
    if (!model->quant.label[0])
        clean_text_copy(model->quant.label, sizeof model->quant.label,
                     str_of(hf_dtype_label(shape->dtype)));
    snprintf(shape->quantization, sizeof shape->quantization, "%s", model->quant.label);
    *ret = *shape;
    *shape = (struct model_shape){0};
    return 0;
}

/* --- what has none --------------------------------------------------------------------------- */

static int read_adapter(struct source *source, const struct source_file *file,
                        struct model_shape *ret, struct err *err)
{
    auto_fini(hf_config_fini) struct hf_config config = {0};
    struct model_shape shape = {.kind = KIND_ADAPTER, .format = FORMAT_SAFETENSORS};
    struct str value = {0};
    const struct source_file *weights = source_find(source, "adapter_model.safetensors");
    if (!weights) {
        weights = source_find(source, "adapter_model.bin");
        shape.format = FORMAT_PYTORCH;
    }
    if (!weights)
        return err_set(err, ERR_INVALID, "%s has no adapter_model.safetensors or .bin beside it",
                       file->name);
    if (weights->bytes > HF_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s has more than 2^56 bytes", weights->name);
    const int rc = read_config(source, file, &config, err);
    if (rc < 0)
        return rc;
    if (hf_config_find(&config, "peft_type", &value))
        clean_text_copy(shape.architecture, sizeof shape.architecture, json_view_text(value));
    if (hf_config_find(&config, "base_model_name_or_path", &value))
        clean_text_copy(shape.name, sizeof shape.name, json_view_text(value));
    shape.file_bytes = shape.tensor_bytes = shape.other_bytes = weights->bytes;
    *ret = shape;
    return 0;
}

static int read_files_alone(struct source *source, const struct hf_files *files,
                            struct model_shape *shape, struct err *err)
{
    shape->format = files->format;
    shape->is_split = files->is_split;
    shape->file_bytes = shape->tensor_bytes = shape->other_bytes = files->bytes;
    const int rc = hf_bytes_count(source, files, shape, err);
    snprintf(shape->quantization, sizeof shape->quantization, "%s", hf_dtype_label(shape->dtype));
    return rc;
}

/* Weights without a description: what they are is told by the files beside them, if at all. */
static int read_weights_alone(struct source *source, struct model_shape *ret, struct err *err)
{
    const struct hf_config nothing = {0};
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    auto_fini(hf_files_fini) struct hf_files files = {0};
    int rc = hf_files_select(source, "", &files, err);
    if (rc == 0)
        rc = files.count > 0 ? read_files_alone(source, &files, &shape, err)
                             : hf_pipeline_read(source, NULL, &shape, err);
    if (rc < 0)
        return rc;
    if (shape.file_bytes == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no model among %zu files: no .gguf, config.json, model_index.json "
                       "or other file of weights",
                       source->file_count);
    shape.kind = hf_kind_of(&nothing, source);
    *ret = shape;
    shape = (struct model_shape){0};
    return 0;
}

int hf_read(struct source *source, struct model_shape *ret, struct err *err)
{
    const struct source_file *pipeline = source_find(source, "model_index.json");
    const struct source_file *config = source_find(source, "config.json");
    const struct source_file *adapter = source_find(source, "adapter_config.json");
    if (pipeline)
        return hf_pipeline_read(source, pipeline, ret, err);
    if (!config && adapter)
        return read_adapter(source, adapter, ret, err);
    if (!config)
        config = source_find(source, "params.json");
    return config ? read_model(source, config, ret, err) : read_weights_alone(source, ret, err);
}
