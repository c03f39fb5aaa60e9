/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/shape_json.h"

#include "base/utf8.h"

#include <string.h>

#define BYTES_MAX (UINT64_C(1) << 56)
#define PARAMETERS_MAX (UINT64_C(1) << 60)

enum { HEADS_MAX = 1 << 17, LENGTH_MAX = 1 << 20 };

enum member_kind { MEMBER_BOOL, MEMBER_U32, MEMBER_U64, MEMBER_TEXT };

/* A member of a struct: its name is that in JSON, `max` the largest number, or the bytes of text
 * with its NUL. */
struct member {
    const char *name;
    enum member_kind kind;
    size_t offset;
    uint64_t max;
};

#define FLAG(type, field) {#field, MEMBER_BOOL, offsetof(type, field), 0}
#define SMALL(type, field, max) {#field, MEMBER_U32, offsetof(type, field), max}
#define LARGE(type, field, max) {#field, MEMBER_U64, offsetof(type, field), max}
#define TEXT(type, field) {#field, MEMBER_TEXT, offsetof(type, field), sizeof(((type *)0)->field)}

#define SHAPE struct model_shape
static const struct member shape_members[] = {
    FLAG(SHAPE, is_big_endian),
    FLAG(SHAPE, is_split),
    FLAG(SHAPE, has_unknown_types),
    FLAG(SHAPE, is_tied),
    FLAG(SHAPE, is_causal),
    FLAG(SHAPE, has_chat_template),
    FLAG(SHAPE, has_vision),
    FLAG(SHAPE, has_audio),
    FLAG(SHAPE, is_quantized_linear),
    TEXT(SHAPE, architecture),
    TEXT(SHAPE, name),
    TEXT(SHAPE, quantization),
    TEXT(SHAPE, dtype),
    LARGE(SHAPE, parameter_count, PARAMETERS_MAX),
    LARGE(SHAPE, file_bytes, 2 * BYTES_MAX), /* with a projector beside it */
    LARGE(SHAPE, tensor_bytes, 2 * BYTES_MAX),
    LARGE(SHAPE, input_bytes, BYTES_MAX),
    LARGE(SHAPE, output_bytes, BYTES_MAX),
    LARGE(SHAPE, other_bytes, 2 * BYTES_MAX),
    LARGE(SHAPE, context_length, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, vocabulary_size, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, hidden_size, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, expert_count, MODEL_SHAPE_EXPERTS_MAX),
    LARGE(SHAPE, expert_used_count, MODEL_SHAPE_EXPERTS_MAX),
    LARGE(SHAPE, expert_shared_count, MODEL_SHAPE_EXPERTS_MAX),
    LARGE(SHAPE, quantization_group, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, vision_head_count, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, vision_layer_count, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, vision_hidden_size, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, vision_tokens_max, BYTES_MAX),
    LARGE(SHAPE, vision_token_patches, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, encoder_length, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, q_lora_rank, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, kv_lora_rank, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, qk_rope_head_dim, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, qk_nope_head_dim, MODEL_SHAPE_DIM_MAX),
    LARGE(SHAPE, v_head_dim, MODEL_SHAPE_DIM_MAX),
    SMALL(SHAPE, draft_layer_count, MODEL_SHAPE_LAYERS_MAX),
    LARGE(SHAPE, draft_bytes, BYTES_MAX),
    SMALL(SHAPE, encoder_layer_count, MODEL_SHAPE_LAYERS_MAX),
};

#define LAYER struct layer_shape
static const struct member layer_members[] = {
    FLAG(LAYER, is_moe),
    FLAG(LAYER, has_two_caches),
    SMALL(LAYER, head_count, HEADS_MAX),
    SMALL(LAYER, head_count_kv, HEADS_MAX),
    SMALL(LAYER, key_length, LENGTH_MAX),
    SMALL(LAYER, value_length, LENGTH_MAX),
    SMALL(LAYER, indexer_length, LENGTH_MAX),
    LARGE(LAYER, window, MODEL_SHAPE_DIM_MAX),
    LARGE(LAYER, state_conv, BYTES_MAX),
    LARGE(LAYER, state_ssm, BYTES_MAX),
    LARGE(LAYER, feed_forward_length, MODEL_SHAPE_DIM_MAX),
    LARGE(LAYER, bytes, BYTES_MAX),
    LARGE(LAYER, expert_bytes, BYTES_MAX),
};

static const struct member part_members[] = {
    TEXT(struct model_part, name),
    LARGE(struct model_part, bytes, BYTES_MAX),
};

static uint64_t number_of(const struct member *member, const void *object)
{
    const char *at = (const char *)object + member->offset;
    if (member->kind == MEMBER_U64)
        return *(const uint64_t *)(const void *)at;
    return member->kind == MEMBER_U32 ? *(const uint32_t *)(const void *)at
                                      : *(const bool *)(const void *)at;
}

/* ---- writing ---- */

static void write_member(const struct member *member, const void *object, struct json_writer *w)
{
    const char *text = (const char *)object + member->offset;
    if (member->kind == MEMBER_TEXT) {
        if (*text)
            json_put_string(w, member->name, text);
        return;
    }
    const uint64_t number = number_of(member, object);
    if (number && member->kind == MEMBER_BOOL)
        json_put_bool(w, member->name, true);
    else if (number)
        json_put_int(w, member->name, (int64_t)number);
}

static bool is_same_layer(const struct layer_shape *a, const struct layer_shape *b)
{
    for (size_t i = 0; i < ARRAY_LEN(layer_members); i++)
        if (number_of(&layer_members[i], a) != number_of(&layer_members[i], b))
            return false;
    return a->cache == b->cache;
}

static void write_layers(const struct model_shape *shape, struct json_writer *w)
{
    json_add_key(w, "layers");
    json_begin_array(w);
    for (uint32_t i = 0, next; i < shape->layer_count; i = next) {
        const struct layer_shape *layer = &shape->layers[i];
        for (next = i + 1; next < shape->layer_count; next++)
            if (!is_same_layer(layer, &shape->layers[next]))
                break;
        json_begin_object(w);
        if (next - i > 1)
            json_put_int(w, "count", next - i);
        json_put_string(w, "cache", layer_cache_name((enum layer_cache)layer->cache));
        for (size_t k = 0; k < ARRAY_LEN(layer_members); k++)
            write_member(&layer_members[k], layer, w);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_parts(const struct model_shape *shape, struct json_writer *w)
{
    json_add_key(w, "parts");
    json_begin_array(w);
    for (uint32_t i = 0; i < shape->part_count; i++) {
        json_begin_object(w);
        for (size_t k = 0; k < ARRAY_LEN(part_members); k++)
            write_member(&part_members[k], &shape->parts[i], w);
        json_end_object(w);
    }
    json_end_array(w);
}

void model_shape_write(const struct model_shape *shape, struct json_writer *w)
{
    json_begin_object(w);
    json_put_int(w, "version", SHAPE_JSON_VERSION);
    json_put_string(w, "format", model_format_name((enum model_format)shape->format));
    json_put_string(w, "kind", model_kind_name((enum model_kind)shape->kind));
    for (size_t i = 0; i < ARRAY_LEN(shape_members); i++)
        write_member(&shape_members[i], shape, w);
    if (shape->layer_count)
        write_layers(shape, w);
    if (shape->part_count)
        write_parts(shape, w);
    json_end_object(w);
}

/* ---- reading ---- */

/* Cut off at a whole character. */
static void copy_text(char *to, size_t size, const char *text)
{
    const struct str all = str_of(text);
    size_t used = 0;
    for (size_t n = 1; used < all.len; used += n) {
        n = utf8_sequence(str_skip(all, used));
        if (n == 0 || used + n >= size)
            break;
    }
    memcpy(to, text, used);
    to[used] = '\0';
}

static int read_number(const struct member *member, void *object, const json_t *value,
                       struct err *err)
{
    char *at = (char *)object + member->offset;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > member->max)
        return err_set(err, ERR_INVALID, "%s: must be a number of at most %llu", member->name,
                       (unsigned long long)member->max);
    const uint64_t number = (uint64_t)json_integer_value(value);
    if (member->kind == MEMBER_U64)
        *(uint64_t *)(void *)at = number;
    else
        *(uint32_t *)(void *)at = (uint32_t)number;
    return 0;
}

static int read_member(const struct member *member, void *object, const json_t *value,
                       struct err *err)
{
    char *at = (char *)object + member->offset;
    if (!value)
        return 0;
    if (member->kind == MEMBER_TEXT && json_is_string(value)) {
        copy_text(at, (size_t)member->max, json_string_value(value));
        return 0;
    }
    if (member->kind == MEMBER_BOOL && json_is_boolean(value)) {
        *(bool *)(void *)at = json_is_true(value);
        return 0;
    }
    if (member->kind == MEMBER_TEXT || member->kind == MEMBER_BOOL)
        return err_set(err, ERR_INVALID, "%s: must be %s", member->name,
                       member->kind == MEMBER_TEXT ? "text" : "true or false");
    return read_number(member, object, value, err);
}

static int read_members(const struct member *members, size_t count, void *object,
                        const json_t *json, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_member(&members[i], object, json_object_get(json, members[i].name), err);
    return rc;
}

static const char *format_name(unsigned i)
{
    return model_format_name((enum model_format)i);
}

static const char *kind_name(unsigned i)
{
    return model_kind_name((enum model_kind)i);
}

static const char *cache_name(unsigned i)
{
    return layer_cache_name((enum layer_cache)i);
}

/* A word of `count` that `name_of` tells. */
static int read_word(const json_t *json, const char *key, const char *(*name_of)(unsigned i),
                     unsigned count, uint8_t *ret, struct err *err)
{
    const char *word = json_member_string(json, key);
    for (unsigned i = 0; word && i < count; i++) {
        if (strcmp(word, name_of(i)) != 0)
            continue;
        *ret = (uint8_t)i;
        return 0;
    }
    return err_set(err, ERR_INVALID, "%s: \"%.32s\" is no word that is known", key,
                   word ? word : "");
}

/* One entry of "layers": a layer and how many there are of it in a row. */
static int read_run(const json_t *json, struct model_shape *shape, struct err *err)
{
    struct layer_shape layer = {0};
    int rc = read_word(json, "cache", cache_name, LAYER_CACHE_COUNT, &layer.cache, err);
    if (rc == 0)
        rc = read_members(layer_members, ARRAY_LEN(layer_members), &layer, json, err);
    if (rc < 0)
        return rc;
    if (layer.expert_bytes > layer.bytes)
        return err_set(err, ERR_INVALID, "expert_bytes: must be a part of bytes");
    const int64_t count = json_member_int(json, "count", 1);
    if (count < 1 || count > MODEL_SHAPE_LAYERS_MAX - (int64_t)shape->layer_count)
        return err_set(err, ERR_INVALID, "count: at most %d layers are possible",
                       MODEL_SHAPE_LAYERS_MAX);
    for (int64_t i = 0; i < count; i++)
        shape->layers[shape->layer_count++] = layer;
    return 0;
}

static int read_layers(const json_t *array, struct model_shape *shape, struct err *err)
{
    if (!array)
        return 0;
    if (!json_is_array(array) || json_array_size(array) > MODEL_SHAPE_LAYERS_MAX)
        return err_set(err, ERR_INVALID, "layers: must be an array of at most %d",
                       MODEL_SHAPE_LAYERS_MAX);
    shape->layers = mem_alloc_array(MODEL_SHAPE_LAYERS_MAX, sizeof *shape->layers);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(array); i++)
        rc = read_run(json_array_get(array, i), shape, err);
    shape->layers =
        mem_resize(shape->layers, (shape->layer_count + 1) * sizeof *shape->layers);
    return rc < 0 ? err_wrap(err, rc, "layers") : 0;
}

static int read_parts(const json_t *array, struct model_shape *shape, struct err *err)
{
    if (!array)
        return 0;
    if (!json_is_array(array) || json_array_size(array) > MODEL_SHAPE_PARTS_MAX)
        return err_set(err, ERR_INVALID, "parts: must be an array of at most %d",
                       MODEL_SHAPE_PARTS_MAX);
    shape->part_count = (uint32_t)json_array_size(array);
    shape->parts = mem_alloc_array(shape->part_count + 1, sizeof *shape->parts);
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < shape->part_count; i++)
        rc = read_members(part_members, ARRAY_LEN(part_members), &shape->parts[i],
                          json_array_get(array, i), err);
    return rc < 0 ? err_wrap(err, rc, "parts") : 0;
}

/* Each number is within its limit, so that this doesn't overflow. */
static int check_sums(const struct model_shape *shape, struct err *err)
{
    uint64_t sum = shape->input_bytes + shape->output_bytes + shape->other_bytes +
                   shape->draft_bytes;
    for (uint32_t i = 0; i < shape->layer_count && sum <= 2 * BYTES_MAX; i++)
        sum += shape->layers[i].bytes;
    if (sum > 2 * BYTES_MAX)
        return err_set(err, ERR_INVALID, "bytes of all tensors: must be at most %llu",
                       (unsigned long long)(2 * BYTES_MAX));
    return 0;
}

static int read_all(const json_t *json, struct model_shape *shape, struct err *err)
{
    int rc = read_word(json, "format", format_name, FORMAT_COUNT, &shape->format, err);
    if (rc == 0)
        rc = read_word(json, "kind", kind_name, MODEL_KIND_COUNT, &shape->kind, err);
    if (rc == 0)
        rc = read_members(shape_members, ARRAY_LEN(shape_members), shape, json, err);
    if (rc == 0)
        rc = read_layers(json_object_get(json, "layers"), shape, err);
    if (rc == 0)
        rc = read_parts(json_object_get(json, "parts"), shape, err);
    return rc == 0 ? check_sums(shape, err) : rc;
}

int model_shape_read(const json_t *json, struct model_shape *ret, struct err *err)
{
    if (!json_is_object(json))
        return err_set(err, ERR_INVALID, "a shape must be an object");
    const int64_t version = json_member_int(json, "version", 0);
    if (version != SHAPE_JSON_VERSION)
        return err_set(err, ERR_NEWER, "a shape of version %lld, this program knows %d",
                       (long long)version, SHAPE_JSON_VERSION);
    struct model_shape shape = {0};
    const int rc = read_all(json, &shape, err);
    if (rc < 0)
        model_shape_fini(&shape);
    else
        *ret = shape;
    return rc;
}

int model_shape_parse(struct str text, struct model_shape *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    if (text.len > SHAPE_JSON_MAX)
        return err_set(err, ERR_TOO_LARGE, "a shape of %zu bytes, at most %d are taken", text.len,
                       SHAPE_JSON_MAX);
    const int rc = json_read(text, &root, err);
    return rc < 0 ? rc : model_shape_read(root, ret, err);
}
