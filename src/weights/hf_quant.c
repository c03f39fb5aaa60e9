/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_quant_priv.h"

#include "weights/json_view.h"

#include <stdio.h>

enum { SCALE_BITS = 16, BITS_MAX = 64, GROUP_MAX = 1 << 16 };

static const struct {
    const char *dtype, *label;
    unsigned bits;
} dtypes[] = {
    {"bfloat16", "BF16", 16},     {"float16", "F16", 16},     {"half", "F16", 16},
    {"float32", "F32", 32},       {"float", "F32", 32},       {"float64", "F64", 64},
    {"float8_e4m3fn", "FP8", 8},  {"float8_e5m2", "FP8", 8},  {"int8", "INT8", 8},
};

unsigned hf_dtype_bits(const char *dtype)
{
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
        if (strcmp(dtype, dtypes[i].dtype) == 0)
            return dtypes[i].bits;
    return 0;
}

const char *hf_dtype_label(const char *dtype)
{
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
        if (strcmp(dtype, dtypes[i].dtype) == 0)
            return dtypes[i].label;
    return "";
}

static void read_dtype(const struct hf_config *config, struct hf_quant *quant)
{
    struct str value;
    if (!hf_config_find(config, "torch_dtype", &value) && !hf_config_find(config, "dtype", &value))
        return;
    struct str word = json_view_text(value);
    if (str_has_prefix(word, STR("torch.")))
        word = str_skip(word, strlen("torch."));
    clean_text_copy(quant->dtype, sizeof quant->dtype, word);
    if (hf_dtype_bits(quant->dtype) == 0)
        quant->dtype[0] = '\0'; /* "auto" */
}

/* --- members of a description ---------------------------------------------------------------- */

static double real_of(struct str object, const char *key, double max)
{
    struct str value;
    double n = 0;
    if (!json_view_member(object, key, &value) || !json_view_real(value, &n) ||
        !(n > 0 && n <= max))
        return 0;
    return n;
}

static struct str text_of(struct str object, const char *key)
{
    struct str value;
    return json_view_member(object, key, &value) ? json_view_text(value) : (struct str){0};
}

/* compressed-tensors: the weights of its first group that has some. */
static struct str group_weights(struct str description)
{
    struct str groups = {0}, group, weights;
    json_view_member(description, "config_groups", &groups);
    struct json_view_items items = json_view_items(groups);
    while (json_view_next(&items, NULL, &group))
        if (json_view_member(group, "weights", &weights) &&
            json_view_kind(weights) == JSON_VIEW_OBJECT)
            return weights;
    return (struct str){0};
}

/* --- methods --------------------------------------------------------------------------------- */

static void set_bits(struct hf_quant *quant, double bits)
{
    const double scale = quant->group > 0 && bits < 8 ? (SCALE_BITS + bits) / (double)quant->group
                                                      : 0;
    quant->linear_bits = quant->expert_bits = bits + scale;
    quant->is_packed = bits < 8;
}

static bool contains(struct str word, const char *part)
{
    return memmem(word.ptr ? word.ptr : "", word.len, part, strlen(part)) != NULL;
}

static bool contains_nocase(struct str word, const char *part)
{
    const size_t n = strlen(part);
    for (size_t i = 0; i + n <= word.len; i++)
        if (str_same_nocase(word.ptr + i, part, n))
            return true;
    return false;
}

/* What a word says of the bits: "NVFP4", "w8a8", "FP8", "int4", "mxfp4". */
static double bits_of_word(struct str word)
{
    static const struct {
        const char *part;
        double bits;
    } words[] = {{"fp4", 4}, {"w4a", 4}, {"int4", 4}, {"4bit", 4}, {"fp8", 8},
                 {"w8a", 8}, {"int8", 8}, {"8bit", 8}, {"eetq", 8}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (contains_nocase(word, words[i].part))
            return words[i].bits;
    return 0;
}

/* Whether weights of 8 bits, too, are stored several to an integer: GPTQ, AWQ and their like,
 * compressed-tensors in one of its formats, and MLX, which names no method. */
static bool is_packing(struct str description)
{
    static const char *const METHODS[] = {"gptq", "awq", "auto-round", "auto_round"};
    struct str method = text_of(description, "quant_method");
    if (method.len == 0)
        method = text_of(description, "quantization_method");
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (contains_nocase(method, METHODS[i]))
            return true;
    return method.len == 0 ? text_of(description, "quant_algo").len == 0
                           : contains_nocase(text_of(description, "format"), "pack");
}

static double find_bits(struct str description, struct str method, struct hf_quant *quant)
{
    const struct str weights = group_weights(description);
    double bits = real_of(description, "bits", BITS_MAX);
    if (bits == 0)
        bits = real_of(description, "w_bit", BITS_MAX);
    if (bits == 0)
        bits = real_of(weights, "num_bits", BITS_MAX);
    if (bits == 0 && str_eq(method, STR("bitsandbytes"))) {
        struct str four = {0};
        json_view_member(description, "load_in_4bit", &four);
        bits = json_view_is_true(four) ? 4 : 8;
        quant->group = bits < 8 ? 64 : 0;
    }
    if (bits == 0)
        bits = bits_of_word(text_of(description, "quant_algo"));
    return bits == 0 ? bits_of_word(method) : bits;
}

static uint64_t find_group(struct str description)
{
    struct str block = {0}, first;
    uint64_t n = 0;
    double group = real_of(description, "group_size", GROUP_MAX);
    if (group == 0)
        group = real_of(description, "q_group_size", GROUP_MAX);
    if (group == 0)
        group = real_of(group_weights(description), "group_size", GROUP_MAX);
    json_view_member(description, "weight_block_size", &block);
    struct json_view_items items = json_view_items(block);
    if (group == 0 && json_view_next(&items, NULL, &first) && json_view_integer(first, &n) == 0 &&
        n <= GROUP_MAX)
        return n;
    return (uint64_t)group;
}

/* "awq 4 bit"; a method that says its bits, or an algorithm, stands alone: "fp8", "NVFP4". */
static void set_label(struct hf_quant *quant, struct str method, struct str algorithm, double bits)
{
    if (algorithm.len > 0)
        method = algorithm;
    clean_text_copy(quant->label, sizeof quant->label - 16, method);
    const size_t used = strlen(quant->label);
    if (algorithm.len == 0 && bits > 0 && bits_of_word(method) == 0)
        snprintf(quant->label + used, sizeof quant->label - used, " %g bit", bits);
}

/* quantization_config, or its like. */
static void read_description(struct str description, struct hf_quant *quant)
{
    struct str method = text_of(description, "quant_method");
    const struct str algorithm = text_of(description, "quant_algo");
    if (method.len == 0)
        method = text_of(description, "quantization_method");
    if (method.len == 0)
        method = algorithm.len ? algorithm : STR("quantized");
    quant->exists = true;
    quant->group = find_group(description);
    const double bits = find_bits(description, method, quant);
    set_bits(quant, bits > 0 ? bits : quant->plain_bits);
    quant->is_packed |= bits > 0 && bits <= 8 && is_packing(description);
    if (str_eq(method, STR("mxfp4"))) { /* experts only, 32 weights share an exponent */
        quant->linear_bits = quant->plain_bits;
        quant->expert_bits = 4 + 8.0 / 32;
        quant->group = 32;
    }
    const bool is_float =
        str_eq(text_of(group_weights(description), "type"), STR("float")) && bits == 8;
    set_label(quant, method, is_float ? STR("compressed-tensors fp8") : algorithm, bits);
}

/* --- files beside config.json ----------------------------------------------------------------- */

/* ModelOpt: {"quantization": {"quant_algo": "NVFP4", ...}} */
static int read_modelopt(struct source *source, const struct source_file *file,
                         struct hf_quant *quant, struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    struct str root, description = {0};
    int rc = file->bytes > HF_CONFIG_MAX
                 ? err_set(err, ERR_TOO_LARGE, "has %llu bytes, at most %d are read",
                           (unsigned long long)file->bytes, HF_CONFIG_MAX)
                 : source_read_small(source, file, &text, err);
    if (rc >= 0)
        rc = json_view_check(buf_str(&text), &root, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s", file->name);
    if (json_view_member(root, "quantization", &description))
        read_description(description, quant);
    return 0;
}

/* The widths of weights and activations that a file's name ends with, or nothing. */
static struct str widths_of_name(struct str name)
{
    static const char *const WIDTHS[] = {"w4a4", "w4a8", "w4a16", "w8a8", "w8a16"};
    for (size_t i = 0; i < ARRAY_LEN(WIDTHS); i++)
        if (contains(name, WIDTHS[i]))
            return str_of(WIDTHS[i]);
    return (struct str){0};
}

/* Of quant_model_description.json without widths in its name. It has an entry for each tensor, some
 * MB: of a hub it isn't read, and most are of 8 bits. */
static struct str widths_of_file(struct source *source, const struct source_file *file,
                                 struct buf *text)
{
    struct str root, widths = {0};
    if (source->is_local && source_read_small(source, file, text, NULL) >= 0 &&
        json_view_check(buf_str(text), &root, NULL) == 0 &&
        json_view_member(root, "model_quant_type", &widths))
        widths = json_view_text(widths);
    return bits_of_word(widths) > 0 ? widths : STR("w8a8");
}

/* Ascend: "quantize": "w8a8" in config.json, or quant_model_description_w8a8.json beside it. */
static void read_ascend(const struct hf_config *config, struct source *source,
                        struct hf_quant *quant)
{
    auto_fini(buf_fini) struct buf text = {0};
    struct str value, word = {0};
    if (hf_config_find(config, "quantize", &value))
        word = json_view_text(value);
    for (size_t i = 0; i < source->file_count && word.len == 0; i++) {
        const struct str name = str_of(source->files[i].name);
        if (!str_has_prefix(name, STR("quant_model_description")))
            continue;
        word = widths_of_name(name);
        if (word.len == 0)
            word = widths_of_file(source, &source->files[i], &text);
    }
    const double bits = bits_of_word(word);
    if (bits == 0)
        return;
    quant->exists = true;
    set_bits(quant, bits);
    clean_text_copy(quant->label, sizeof quant->label, word);
    for (char *c = quant->label; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

int hf_quant_read(const struct hf_config *config, struct source *source, struct hf_quant *ret,
                  struct err *err)
{
    static const char *const KEYS[] = {"quantization_config", "quantization",
                                       "compression_config"};
    const struct source_file *modelopt = source_find(source, "hf_quant_config.json");
    struct hf_quant quant = {0};
    struct str description = {0};
    read_dtype(config, &quant);
    const unsigned bits = hf_dtype_bits(quant.dtype);
    quant.linear_bits = quant.expert_bits = quant.plain_bits = bits ? bits : 16;
    clean_text_copy(quant.label, sizeof quant.label, str_of(hf_dtype_label(quant.dtype)));
    for (size_t i = 0; i < ARRAY_LEN(KEYS) && !quant.exists; i++)
        if (hf_config_find(config, KEYS[i], &description) && json_view_count(description) > 0)
            read_description(description, &quant);
    if (!quant.exists || strcmp(quant.label, "ascend") == 0)
        read_ascend(config, source, &quant);
    if (!quant.exists && modelopt) {
        const int rc = read_modelopt(source, modelopt, &quant, err);
        if (rc < 0)
            return rc;
    }
    *ret = quant;
    return 0;
}
