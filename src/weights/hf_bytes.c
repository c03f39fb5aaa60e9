/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_model_priv.h"

#include "weights/hf_tensors_priv.h"
#include "weights/hf_weight_priv.h"

#include <stdio.h>

void hf_part_add(struct model_shape *shape, struct str name, uint64_t bytes)
{
    if (bytes == 0)
        return;
    if (!shape->parts)
        shape->parts = mem_alloc_array(MODEL_SHAPE_PARTS_MAX, sizeof *shape->parts);
    if (shape->part_count == MODEL_SHAPE_PARTS_MAX) {
        shape->parts[shape->part_count - 1].bytes += bytes;
        return;
    }
    struct model_part *part = &shape->parts[shape->part_count++];
    clean_text_copy(part->name, sizeof part->name, name);
    part->bytes = bytes;
}

/* --- by formula ------------------------------------------------------------------------------ */

/* Factors from weights to bytes. */
struct scale {
    double linear, expert, plain;
};

struct weights {
    struct hf_weight layers; /* all of them */
    struct hf_weight drafts;
    uint64_t input, output, towers; /* plain ones */
};

static uint64_t count_of(const struct weights *all)
{
    return hf_weight_plus(hf_weight_total(&all->layers),
                          hf_weight_plus(all->input, hf_weight_plus(all->output, all->towers)));
}

static int weigh(const struct hf_model *model, struct weights *ret, struct err *err)
{
    const struct hf_config *config = &model->config;
    struct weights all = {.input = hf_weight_of_input(config),
                          .output = hf_weight_of_output(config),
                          .towers = hf_weight_plus(
                              model->encoder.parameter_count,
                              hf_weight_plus(model->vision.parameter_count,
                                             model->audio.parameter_count))};
    for (uint32_t i = 0; i < model->shape.layer_count; i++) {
        const struct hf_weight one = hf_weight_of_block(config, &model->blocks[i]);
        all.layers.linear = hf_weight_plus(all.layers.linear, one.linear);
        all.layers.experts = hf_weight_plus(all.layers.experts, one.experts);
        all.layers.plain = hf_weight_plus(all.layers.plain, one.plain);
    }
    if (config->draft_layer_count > 0)
        all.drafts = hf_weight_of_drafts(config);
    if (hf_weight_plus(count_of(&all), hf_weight_total(&all.drafts)) >= HF_WEIGHT_MAX)
        return err_set(err, ERR_TOO_LARGE,
                       "%s describes a model of 2^52 weights or more: hidden_size is %llu, "
                       "intermediate_size %llu",
                       config->file, (unsigned long long)config->hidden_size,
                       (unsigned long long)config->feed_forward_length);
    *ret = all;
    return 0;
}

/* Whether what the files have beyond the formula is another part: of a model of several parts, not
 * all of them are known (Qwen's talker). */
static bool has_unknown_parts(const struct hf_model *model)
{
    return model->config.is_nested && !model->quant.exists && model->quant.dtype[0];
}

/* So that all together is as large as the files. What a quantisation does to its matrices is known
 * least (scales, layers left out): the difference is theirs, if there is enough for that. */
static struct scale scale_to(const struct hf_model *model, const struct weights *all,
                             uint64_t target)
{
    const struct hf_quant *quant = &model->quant;
    struct scale scale = {quant->linear_bits / 8, quant->expert_bits / 8, quant->plain_bits / 8};
    const double soft = (double)all->layers.linear * scale.linear +
                        (double)all->layers.experts * scale.expert +
                        (double)all->drafts.linear * scale.linear +
                        (double)all->drafts.experts * scale.expert;
    const double plain = ((double)all->layers.plain + (double)all->drafts.plain +
                          (double)all->input + (double)all->output + (double)all->towers) *
                         scale.plain;
    if (target == 0 || soft + plain <= 0)
        return scale;
    const bool is_soft = quant->exists && (double)target > plain * 1.05 && soft > 0;
    double ratio = is_soft ? ((double)target - plain) / soft : (double)target / (soft + plain);
    if (ratio > 1 && has_unknown_parts(model))
        ratio = 1;
    scale.linear *= ratio;
    scale.expert *= ratio;
    scale.plain *= is_soft ? 1 : ratio;
    return scale;
}

static uint64_t bytes_of(const struct hf_weight *weight, const struct scale *scale)
{
    return (uint64_t)((double)weight->linear * scale->linear +
                      (double)weight->experts * scale->expert +
                      (double)weight->plain * scale->plain);
}

static void set_parts_by_formula(struct hf_model *model, const struct scale *scale)
{
    const struct {
        const char *name;
        const struct hf_tower *tower;
    } towers[] = {{"vision", &model->vision}, {"audio", &model->audio},
                  {"encoder", &model->encoder}};
    for (size_t i = 0; i < ARRAY_LEN(towers); i++) {
        const uint64_t bytes = (uint64_t)((double)towers[i].tower->parameter_count * scale->plain);
        model->shape.other_bytes += bytes;
        hf_part_add(&model->shape, str_of(towers[i].name), bytes);
    }
}

/* The rest up to the files' sum, mostly some bytes of rounding, belongs to no layer. */
static void set_bytes_by_formula(struct hf_model *model, const struct weights *all)
{
    struct model_shape *shape = &model->shape;
    const uint64_t target = model->files.bytes;
    const struct scale scale = scale_to(model, all, target);
    uint64_t sum;
    shape->input_bytes = (uint64_t)((double)all->input * scale.plain);
    shape->output_bytes = (uint64_t)((double)all->output * scale.plain);
    shape->draft_bytes = bytes_of(&all->drafts, &scale);
    set_parts_by_formula(model, &scale);
    sum = shape->input_bytes + shape->output_bytes + shape->draft_bytes + shape->other_bytes;
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const struct hf_weight one = hf_weight_of_block(&model->config, &model->blocks[i]);
        shape->layers[i].bytes = bytes_of(&one, &scale);
        shape->layers[i].expert_bytes = (uint64_t)((double)one.experts * scale.expert);
        sum += shape->layers[i].bytes;
    }
    if (sum < target)
        shape->other_bytes += target - sum;
    shape->tensor_bytes = target ? target : sum;
}

/* Where nothing is quantised, the files' size tells how many weights there are: it does when the
 * formula is off, as it may be for families that it doesn't know. */
static uint64_t count_by_formula(const struct hf_model *model, const struct weights *all)
{
    const uint64_t count = count_of(all), drafts = hf_weight_total(&all->drafts);
    const unsigned bits = hf_dtype_bits(model->quant.dtype);
    const double stored = bits ? (double)model->files.bytes * 8 / bits - (double)drafts : 0;
    if (model->quant.exists || stored <= 0 ||
        (stored > 0.98 * (double)count && stored < 1.02 * (double)count))
        return count;
    return (uint64_t)stored;
}

/* A file that states no dtype: engines then take what the tensors are; half as wide as float32 or
 * not is all that the size tells. */
static void guess_dtype(struct hf_model *model, const struct weights *all)
{
    const double count = (double)count_of(all);
    if (model->quant.dtype[0] || model->quant.exists || model->files.bytes == 0 || count <= 0)
        return;
    const bool is_wide = (double)model->files.bytes / count > 3;
    snprintf(model->quant.dtype, sizeof model->quant.dtype, "%s",
             is_wide ? "float32" : "float16");
    model->quant.plain_bits = model->quant.linear_bits = model->quant.expert_bits =
        is_wide ? 32 : 16;
}

static int fill_by_formula(struct hf_model *model, struct err *err)
{
    struct model_shape *shape = &model->shape;
    struct weights all;
    if (shape->layer_count == 0 || model->config.hidden_size == 0) {
        shape->tensor_bytes = shape->other_bytes = model->files.bytes;
        return 0;
    }
    const int rc = weigh(model, &all, err);
    if (rc < 0)
        return rc;
    guess_dtype(model, &all);
    set_bytes_by_formula(model, &all);
    shape->parameter_count = count_by_formula(model, &all);
    return 0;
}

/* --- from headers ---------------------------------------------------------------------------- */

static void set_bytes_by_sums(struct hf_model *model, const struct hf_tensor_sums *sums)
{
    struct model_shape *shape = &model->shape;
    shape->input_bytes = sums->bytes[HF_INPUT];
    shape->output_bytes = sums->bytes[HF_OUTPUT];
    shape->draft_bytes = sums->bytes[HF_DRAFT];
    shape->other_bytes = sums->bytes[HF_VISION] + sums->bytes[HF_AUDIO] +
                         sums->bytes[HF_ENCODER_PART] + sums->bytes[HF_OTHER];
    hf_part_add(shape, STR("vision"), sums->bytes[HF_VISION]);
    hf_part_add(shape, STR("audio"), sums->bytes[HF_AUDIO]);
    hf_part_add(shape, STR("encoder"), sums->bytes[HF_ENCODER_PART]);
    for (unsigned i = 0; i <= HF_OTHER; i++)
        shape->tensor_bytes += sums->bytes[i];
    shape->has_unknown_types = sums->has_unknown_types;
    if (!sums->has_output_matrix && shape->input_bytes > 0 && shape->is_causal)
        shape->is_tied = true;
}

static int fill_by_sums(struct hf_model *model, const struct hf_tensor_sums *sums,
                        struct err *err)
{
    const enum safetensors_type type = hf_tensor_sums_type(sums);
    set_bytes_by_sums(model, sums);
    model->shape.parameter_count = sums->elements;
    if (model->quant.is_packed && model->shape.layer_count > 0 && model->config.hidden_size > 0) {
        struct weights all;
        const int rc = weigh(model, &all, err);
        if (rc < 0)
            return rc;
        model->shape.parameter_count = count_of(&all);
    }
    const char *dtype = safetensors_type_dtype(type);
    if (!model->quant.dtype[0] && hf_dtype_bits(dtype) >= 16)
        snprintf(model->quant.dtype, sizeof model->quant.dtype, "%s", dtype);
    if (!model->quant.exists && hf_dtype_label(dtype)[0])
        snprintf(model->quant.label, sizeof model->quant.label, "%s", hf_dtype_label(dtype));
    return 0;
}

/* A header's length stands in eight bytes before it. */
static size_t header_max(const struct source *source)
{
    const uint64_t left = hf_files_left(source), prefix = 8;
    if (source->is_local)
        return SAFETENSORS_HEADER_MAX;
    return left < HF_REMOTE_HEADER_MAX + prefix ? (size_t)(left > prefix ? left - prefix : 0)
                                                : HF_REMOTE_HEADER_MAX;
}

int hf_bytes_fill(struct hf_model *model, struct err *err)
{
    const bool is_local = model->source->is_local;
    struct hf_tensor_sums sums;
    struct err fault = {0};
    int rc = ERR_TOO_LARGE;
    if (model->files.format == FORMAT_SAFETENSORS && (is_local || model->files.count == 1))
        rc = hf_tensors_sum(model->source, &model->files, header_max(model->source),
                            model->encoder.exists, &model->shape, &sums, &fault);
    if (rc == 0)
        rc = fill_by_sums(model, &sums, err);
    else if (rc == ERR_TOO_LARGE && (!is_local || !fault.code)) /* none was read, or not wholly */
        rc = fill_by_formula(model, err);
    else
        return err_set(err, rc, "%s", fault.text);
    if (rc < 0)
        return rc;
    model->shape.file_bytes = model->files.bytes ? model->files.bytes : model->shape.tensor_bytes;
    return 0;
}

int hf_bytes_count(struct source *source, const struct hf_files *files, struct model_shape *shape,
                   struct err *err)
{
    struct hf_tensor_sums sums;
    if (!source->is_local || files->format != FORMAT_SAFETENSORS)
        return 0;
    struct model_shape none = {0};
    const int rc = hf_tensors_sum(source, files, SAFETENSORS_HEADER_MAX, false, &none, &sums, err);
    if (rc < 0)
        return rc;
    const char *dtype = safetensors_type_dtype(hf_tensor_sums_type(&sums));
    shape->parameter_count += sums.elements;
    shape->has_unknown_types |= sums.has_unknown_types;
    if (!shape->dtype[0] && hf_dtype_bits(dtype) >= 16)
        snprintf(shape->dtype, sizeof shape->dtype, "%s", dtype);
    return 0;
}
