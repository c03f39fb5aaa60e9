/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "weights/clean_text_priv.h"
#include "weights/gguf_priv.h"

enum {
    HEADS_MAX = 1 << 14,
    HEAD_LENGTH_MAX = 1 << 16,
    WIDTH_MAX = 1 << 24,
    KERNEL_MAX = 1 << 8,
    SMALL_MAX = 1 << 10,
};

enum field_kind {
    FIELD_TEXT,      /* a string, copied into MODEL_SHAPE_NAME_SIZE bytes */
    FIELD_NUMBER,    /* an unsigned number, or an array of them: the largest */
    FIELD_STATED,    /* the same, or a bool, plus one: 0 is another thing than nothing */
    FIELD_PER_LAYER, /* a number, a bool, or an array of them */
    FIELD_COUNT,     /* an array of which the length counts */
    FIELD_PRESENT,   /* whatever it is: the key is there */
};

#define OWN "\x01" /* stands for the architecture's name and a dot */

/* The keys that are read, and the largest number that they may hold. */
static const struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    uint64_t max;
} fields[] = {
#define FIELD(key, kind, member, max) {key, FIELD_##kind, offsetof(struct gguf_meta, member), max}
    FIELD("general.architecture", TEXT, architecture, 0),
    FIELD("general.name", TEXT, name, 0),
    FIELD("general.type", TEXT, type, 0),
    FIELD("general.file_type", STATED, file_type, UINT32_MAX),
    FIELD("split.no", NUMBER, split_number, UINT16_MAX),
    FIELD("split.count", NUMBER, split_count, UINT16_MAX),
    FIELD("split.tensors.count", NUMBER, split_tensors_count, INT32_MAX),
    FIELD("tokenizer.ggml.tokens", COUNT, token_count, 0),
    FIELD("tokenizer.chat_template", PRESENT, has_chat_template, 0),
    FIELD(OWN "block_count", NUMBER, block_count, MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "decoder_block_count", NUMBER, decoder_block_count, MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "nextn_predict_layers", NUMBER, nextn_predict_layers, MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "leading_dense_block_count", NUMBER, leading_dense_block_count,
          MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "context_length", NUMBER, context_length, MODEL_SHAPE_DIM_MAX),
    FIELD(OWN "embedding_length", NUMBER, embedding_length, WIDTH_MAX),
    FIELD(OWN "vocab_size", NUMBER, vocab_size, MODEL_SHAPE_DIM_MAX),
    FIELD(OWN "feed_forward_length", PER_LAYER, feed_forward_length, UINT32_MAX),
    FIELD(OWN "attention.head_count", PER_LAYER, head_count, HEADS_MAX),
    FIELD(OWN "attention.head_count_kv", PER_LAYER, head_count_kv, HEADS_MAX),
    FIELD(OWN "attention.key_length", NUMBER, key_length, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.value_length", NUMBER, value_length, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.key_length_swa", NUMBER, key_length_swa, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.value_length_swa", NUMBER, value_length_swa, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.key_length_mla", NUMBER, key_length_mla, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.value_length_mla", NUMBER, value_length_mla, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.q_lora_rank", NUMBER, q_lora_rank, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.kv_lora_rank", NUMBER, kv_lora_rank, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.sliding_window", NUMBER, sliding_window, MODEL_SHAPE_DIM_MAX),
    FIELD(OWN "attention.sliding_window_pattern", PER_LAYER, sliding_window_pattern,
          MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "attention.shared_kv_layers", NUMBER, shared_kv_layers, MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "attention.indexer.key_length", NUMBER, indexer_key_length, HEAD_LENGTH_MAX),
    FIELD(OWN "attention.recurrent_layers", PER_LAYER, recurrent_layers, 1),
    FIELD(OWN "attention.causal", STATED, causal, 1),
    FIELD(OWN "full_attention_interval", NUMBER, full_attention_interval, MODEL_SHAPE_LAYERS_MAX),
    FIELD(OWN "pooling_type", STATED, pooling_type, SMALL_MAX),
    FIELD(OWN "rope.dimension_count", NUMBER, rope_dimension_count, HEAD_LENGTH_MAX),
    FIELD(OWN "expert_count", NUMBER, expert_count, GGUF_EXPERTS_MAX),
    FIELD(OWN "expert_used_count", NUMBER, expert_used_count, GGUF_EXPERTS_MAX),
    FIELD(OWN "expert_shared_count", NUMBER, expert_shared_count, GGUF_EXPERTS_MAX),
    FIELD(OWN "expert_feed_forward_length", NUMBER, expert_feed_forward_length, UINT32_MAX),
    FIELD(OWN "ssm.conv_kernel", NUMBER, ssm_conv_kernel, KERNEL_MAX),
    FIELD(OWN "ssm.inner_size", NUMBER, ssm_inner_size, WIDTH_MAX),
    FIELD(OWN "ssm.state_size", NUMBER, ssm_state_size, HEAD_LENGTH_MAX),
    FIELD(OWN "ssm.group_count", NUMBER, ssm_group_count, SMALL_MAX),
    FIELD(OWN "kda.head_dim", NUMBER, kda_head_dim, SMALL_MAX),
    FIELD(OWN "wkv.head_size", NUMBER, wkv_head_size, HEAD_LENGTH_MAX),
    FIELD(OWN "token_shift_count", NUMBER, token_shift_count, KERNEL_MAX),
    FIELD(OWN "shortconv.l_cache", NUMBER, shortconv_l_cache, KERNEL_MAX),
    FIELD("clip.has_vision_encoder", NUMBER, has_vision, 1),
    FIELD("clip.has_audio_encoder", NUMBER, has_audio, 1),
    FIELD("clip.vision.embedding_length", NUMBER, vision_embedding_length, WIDTH_MAX),
    FIELD("clip.vision.block_count", NUMBER, vision_block_count, MODEL_SHAPE_LAYERS_MAX),
    FIELD("clip.vision.attention.head_count", NUMBER, vision_head_count, HEADS_MAX),
    FIELD("clip.vision.image_size", NUMBER, vision_image_size, WIDTH_MAX),
    FIELD("clip.vision.patch_size", NUMBER, vision_patch_size, WIDTH_MAX),
    FIELD("clip.vision.spatial_merge_size", NUMBER, vision_merge_size, SMALL_MAX),
    FIELD("clip.vision.projector.scale_factor", NUMBER, vision_scale_factor, SMALL_MAX),
#undef FIELD
};

/* One pass over the entries of a file. */
struct pass {
    struct reader *reader;
    struct gguf_meta *meta;
    struct name_set names;     /* of all keys: one that stands twice is refused */
    bool skipped_architecture; /* a key of an architecture came before general.architecture */
    char *key;                 /* owned; of the entry that is read, GGUF_KEY_MAX and a NUL */
};

const char *gguf_printable(char *name)
{
    for (char *c = name; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return name;
}

static int fail_type(struct pass *pass, uint32_t type)
{
    const char *name = gguf_value_name(type);
    return reader_fail(pass->reader, ERR_SYNTAX, "key %.64s has the type %s (%u)",
                       gguf_printable(pass->key), name ? name : "unknown", type);
}

/* ---- values ---- */

/* Length of a string that follows, checked against `max`; the bytes are checked where taken. */
static uint64_t read_length(struct pass *pass, uint64_t max, const char *what)
{
    const uint64_t length = reader_u64(pass->reader);
    if (!pass->reader->failure && length > max && length <= reader_left(pass->reader))
        reader_fail(pass->reader, ERR_TOO_LARGE, "has a %s of %llu bytes, at most %llu are read",
                    what, (unsigned long long)length, (unsigned long long)max);
    if (!pass->reader->failure && length > reader_left(pass->reader))
        reader_fail(pass->reader, ERR_SYNTAX, "claims a %s of %llu bytes, more than fit into it",
                    what, (unsigned long long)length);
    return pass->reader->failure ? 0 : length;
}

static void skip_string(struct pass *pass)
{
    reader_skip(pass->reader, read_length(pass, GGUF_STRING_MAX, "string"));
}

static bool is_signed(uint32_t type)
{
    return type == GGUF_INT8 || type == GGUF_INT16 || type == GGUF_INT32 || type == GGUF_INT64;
}

/* A scalar of an integer type, or a bool; at most `max`. */
static int read_number(struct pass *pass, uint32_t type, uint64_t max, uint64_t *ret)
{
    struct reader *reader = pass->reader;
    const size_t size = gguf_value_size(type);
    if (size == 0 || type == GGUF_FLOAT32 || type == GGUF_FLOAT64)
        return fail_type(pass, type);
    const uint64_t value = reader_number(reader, size);
    if (reader->failure)
        return reader->failure;
    if (is_signed(type) && value >> (8 * size - 1))
        return reader_fail(reader, ERR_SYNTAX, "key %.64s is negative", gguf_printable(pass->key));
    if (type == GGUF_BOOL && value > 1)
        return reader_fail(reader, ERR_SYNTAX, "key %.64s is a bool of %llu",
                           gguf_printable(pass->key), (unsigned long long)value);
    if (value > max)
        return reader_fail(reader, ERR_TOO_LARGE, "key %.64s is %llu, at most %llu",
                           gguf_printable(pass->key), (unsigned long long)value,
                           (unsigned long long)max);
    *ret = value;
    return 0;
}

struct array {
    uint32_t type; /* of its items */
    uint64_t count;
};

/* Type and length of an array; what its items take at least is checked against the file. */
static int read_array(struct pass *pass, struct array *ret)
{
    struct reader *reader = pass->reader;
    ret->type = reader_u32(reader);
    ret->count = reader_u64(reader);
    if (reader->failure)
        return reader->failure;
    const uint64_t item = ret->type == GGUF_STRING ? 8 : gguf_value_size(ret->type);
    if (item == 0)
        return fail_type(pass, ret->type);
    if (ret->count > reader_left(reader) / item)
        return reader_fail(reader, ERR_SYNTAX, "key %.64s has %llu items, more than fit",
                           gguf_printable(pass->key), (unsigned long long)ret->count);
    if (ret->count > GGUF_ITEMS_MAX)
        return reader_fail(reader, ERR_TOO_LARGE, "key %.64s has %llu items, at most %d",
                           gguf_printable(pass->key), (unsigned long long)ret->count,
                           GGUF_ITEMS_MAX);
    return 0;
}

static int skip_items(struct pass *pass, const struct array *array)
{
    struct reader *reader = pass->reader;
    if (array->type != GGUF_STRING)
        reader_skip(reader, array->count * gguf_value_size(array->type));
    else
        for (uint64_t i = 0; i < array->count && !reader->failure; i++)
            skip_string(pass);
    return reader->failure;
}

static int skip_value(struct pass *pass, uint32_t type)
{
    struct array array;
    if (type == GGUF_STRING) {
        skip_string(pass);
    } else if (type == GGUF_ARRAY) {
        const int rc = read_array(pass, &array);
        return rc < 0 ? rc : skip_items(pass, &array);
    } else if (gguf_value_size(type) > 0) {
        reader_skip(pass->reader, gguf_value_size(type));
    } else {
        return fail_type(pass, type);
    }
    return pass->reader->failure;
}

/* ---- known keys ---- */

static int read_text(struct pass *pass, uint32_t type, char *ret)
{
    if (type != GGUF_STRING)
        return fail_type(pass, type);
    const uint64_t length = read_length(pass, GGUF_STRING_MAX, "string");
    const size_t wanted =
        length < MODEL_SHAPE_NAME_SIZE ? (size_t)length : MODEL_SHAPE_NAME_SIZE - 1;
    char text[MODEL_SHAPE_NAME_SIZE] = {0};
    reader_get(pass->reader, text, wanted);
    reader_skip(pass->reader, length - wanted);
    if (!pass->reader->failure)
        clean_text_copy(ret, MODEL_SHAPE_NAME_SIZE, str_of(text));
    return pass->reader->failure;
}

/* `ret` was zeroed. */
static int read_items(struct pass *pass, uint64_t max, struct gguf_values *ret)
{
    struct array array;
    int rc = read_array(pass, &array);
    if (rc == 0 && array.count > MODEL_SHAPE_LAYERS_MAX)
        rc = reader_fail(pass->reader, ERR_TOO_LARGE, "key %.64s has %llu items, at most %d",
                         gguf_printable(pass->key), (unsigned long long)array.count,
                         MODEL_SHAPE_LAYERS_MAX);
    for (uint64_t i = 0; rc == 0 && i < array.count; i++) {
        uint64_t value = 0;
        rc = read_number(pass, array.type, max, &value);
        ret->items[i] = (uint32_t)value;
        ret->largest = value > ret->largest ? value : ret->largest;
    }
    if (rc < 0)
        return rc;
    ret->is_array = true;
    ret->count = (uint32_t)array.count;
    return 0;
}

static int read_values(struct pass *pass, uint32_t type, uint64_t max, struct gguf_values *ret)
{
    ret->is_set = true;
    return type == GGUF_ARRAY ? read_items(pass, max, ret)
                              : read_number(pass, type, max, &ret->largest);
}

/* A number, or the largest of an array: layers may differ, memory is planned for the widest. */
static int read_largest(struct pass *pass, uint32_t type, uint64_t max, uint64_t *ret)
{
    if (type != GGUF_ARRAY)
        return read_number(pass, type, max, ret);
    auto_free struct gguf_values *values = mem_alloc(sizeof *values);
    const int rc = read_items(pass, max, values);
    if (rc == 0)
        *ret = values->largest;
    return rc;
}

static int read_count(struct pass *pass, uint32_t type, uint64_t *ret)
{
    struct array array;
    if (type != GGUF_ARRAY)
        return fail_type(pass, type);
    int rc = read_array(pass, &array);
    if (rc == 0)
        rc = skip_items(pass, &array);
    if (rc == 0)
        *ret = array.count;
    return rc;
}

static int read_field(struct pass *pass, const struct field *field, uint32_t type)
{
    void *slot = (char *)pass->meta + field->offset;
    int rc;
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(pass, type, slot);
    case FIELD_NUMBER:
        return read_largest(pass, type, field->max, slot);
    case FIELD_STATED:
        rc = read_largest(pass, type, field->max, slot);
        *(uint64_t *)slot += rc == 0;
        return rc;
    case FIELD_PER_LAYER:
        return read_values(pass, type, field->max, slot);
    case FIELD_COUNT:
        return read_count(pass, type, slot);
    case FIELD_PRESENT:
        *(bool *)slot = true;
        return skip_value(pass, type);
    }
    return reader_fail(pass->reader, ERR_SYNTAX, "key %.64s is of no kind", pass->key);
}

/* Whether `key` is "<architecture>.<rest>" with that rest. */
static bool is_own(const struct pass *pass, struct str key, struct str rest)
{
    const struct str architecture = str_of(pass->meta->architecture);
    return architecture.len > 0 && key.len == architecture.len + 1 + rest.len &&
           key.ptr[architecture.len] == '.' && str_has_prefix(key, architecture) &&
           str_has_suffix(key, rest);
}

static const struct field *find_field(const struct pass *pass, struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct str name = str_of(fields[i].key);
        if (name.ptr[0] == OWN[0] ? is_own(pass, key, str_skip(name, 1)) : str_eq(key, name))
            return &fields[i];
    }
    return NULL;
}

/* A power of two in a u32, as the format demands. */
static int read_alignment(struct pass *pass, uint32_t type)
{
    if (type != GGUF_UINT32)
        return fail_type(pass, type);
    const uint64_t value = reader_u32(pass->reader);
    if (!pass->reader->failure && (value == 0 || (value & (value - 1))))
        return reader_fail(pass->reader, ERR_SYNTAX,
                           "general.alignment is %llu, not a power of two",
                           (unsigned long long)value);
    pass->meta->alignment = value;
    return pass->reader->failure;
}

static int read_entry(struct pass *pass)
{
    struct reader *reader = pass->reader;
    const size_t length = (size_t)read_length(pass, GGUF_KEY_MAX, "key");
    const struct str key = {pass->key, length};
    reader_get(reader, pass->key, length);
    pass->key[length] = '\0';
    const uint32_t type = reader_u32(reader);
    if (reader->failure)
        return reader->failure;
    if (length == 0)
        return reader_fail(reader, ERR_SYNTAX, "has an empty key");
    if (!name_set_add(&pass->names, key))
        return reader_fail(reader, ERR_SYNTAX, "key %.64s stands twice",
                           gguf_printable(pass->key));
    if (str_eq(key, STR("general.alignment")))
        return read_alignment(pass, type);
    const struct field *field = find_field(pass, key);
    if (field)
        return read_field(pass, field, type);
    pass->skipped_architecture |= pass->meta->architecture[0] == '\0';
    return skip_value(pass, type);
}

/* Whether keys were passed over that turn out to be the architecture's own. */
static bool has_missed_keys(const struct pass *pass)
{
    return pass->skipped_architecture && pass->meta->architecture[0] != '\0';
}

static int read_entries(struct pass *pass, uint64_t count)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count && !has_missed_keys(pass); i++)
        rc = read_entry(pass);
    name_set_fini(&pass->names);
    return rc;
}

/*
 * With the architecture's name known. Writers that sort their keys make this necessary ("bert."
 * comes before "general."); it is done at once, while the beginning is still at hand and before the
 * vocabulary, which would have to be fetched twice.
 */
static int read_again(struct pass *pass, uint64_t start, uint64_t count)
{
    char architecture[MODEL_SHAPE_NAME_SIZE];
    memcpy(architecture, pass->meta->architecture, sizeof architecture);
    *pass->meta = (struct gguf_meta){0};
    memcpy(pass->meta->architecture, architecture, sizeof architecture);
    pass->skipped_architecture = false;
    reader_rewind(pass->reader);
    reader_skip(pass->reader, start);
    return read_entries(pass, count);
}

int gguf_meta_read(struct gguf_meta *meta, struct reader *reader, uint64_t count)
{
    const uint64_t start = reader->position;
    struct pass pass = {.reader = reader, .meta = meta, .key = mem_alloc(GGUF_KEY_MAX + 1)};
    int rc = read_entries(&pass, count);
    if (rc == 0 && has_missed_keys(&pass))
        rc = read_again(&pass, start, count);
    free(pass.key);
    return rc;
}

uint64_t gguf_values_at(const struct gguf_values *values, uint32_t layer, uint64_t fallback)
{
    if (!values->is_set)
        return fallback;
    if (!values->is_array)
        return values->largest;
    return layer < values->count ? values->items[layer] : 0;
}
