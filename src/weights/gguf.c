/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf.h"

#include "base/str.h"
#include "base/utf8.h"
#include "weights/gguf_types.h"
#include "weights/reader_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

/* Shortest metadata entry: key length, one byte of key, type, one byte of value. */
static const uint64_t ENTRY_BYTES_MIN = 8 + 1 + 4 + 1;

/* Shortest tensor description: name length, dimension count, type, offset. */
static const uint64_t TENSOR_BYTES_MIN = 8 + 4 + 4 + 8;

enum field_kind {
    FIELD_TEXT,    /* a string, copied into GGUF_NAME_SIZE bytes */
    FIELD_NUMBER,  /* an unsigned number, or an array with one per layer: the largest */
    FIELD_COUNT,   /* an array of which the length counts */
    FIELD_PRESENT, /* a bool that says that the key is there */
};

/* The keys that are read; `of_architecture` means "<architecture>.<key>". */
static const struct field {
    const char *key;
    bool of_architecture;
    enum field_kind kind;
    size_t offset;
} fields[] = {
#define FIELD(key, of_architecture, kind, member)                                                  \
    {key, of_architecture, kind, offsetof(struct gguf_info, member)}
    FIELD("general.architecture", false, FIELD_TEXT, architecture),
    FIELD("general.name", false, FIELD_TEXT, name),
    FIELD("general.file_type", false, FIELD_NUMBER, file_type),
    FIELD("split.no", false, FIELD_NUMBER, split_index),
    FIELD("split.count", false, FIELD_NUMBER, split_count),
    FIELD("tokenizer.ggml.tokens", false, FIELD_COUNT, vocabulary_size),
    FIELD("tokenizer.chat_template", false, FIELD_PRESENT, has_chat_template),
    FIELD("block_count", true, FIELD_NUMBER, block_count),
    FIELD("embedding_length", true, FIELD_NUMBER, embedding_length),
    FIELD("context_length", true, FIELD_NUMBER, context_length),
    FIELD("feed_forward_length", true, FIELD_NUMBER, feed_forward_length),
    FIELD("attention.head_count", true, FIELD_NUMBER, head_count),
    FIELD("attention.head_count_kv", true, FIELD_NUMBER, head_count_kv),
    FIELD("attention.key_length", true, FIELD_NUMBER, key_length),
    FIELD("attention.value_length", true, FIELD_NUMBER, value_length),
    FIELD("expert_count", true, FIELD_NUMBER, expert_count),
    FIELD("vocab_size", true, FIELD_NUMBER, vocabulary_size),
#undef FIELD
};

/* One pass over a header. */
struct pass {
    struct reader reader;
    struct gguf_info *info;
    uint32_t alignment;
    uint64_t entry_count;
    bool seen[ARRAY_LEN(fields)]; /* a key that stands twice is refused */
    bool skipped_architecture;    /* a key of an architecture came before general.architecture */
    uint64_t data_bytes;          /* of the tensors so far, each padded */
    uint64_t data_end;            /* the same without the last one's padding */
    char key[GGUF_KEY_MAX + 1];   /* of the entry that is read */
};

/* The key for an error: unknown keys may hold anything, and the sentence goes to logs. */
static const char *printable_key(struct pass *pass)
{
    for (char *c = pass->key; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return pass->key;
}

static int fail_type(struct pass *pass, uint32_t type)
{
    const char *name = gguf_value_name(type);
    return reader_fail(&pass->reader, ERR_SYNTAX, "key %.64s has the type %s (%u)",
                       printable_key(pass), name ? name : "unknown", type);
}

/* --- values -------------------------------------------------------------------------------- */

/* Length of a string that follows, checked against `max` and the file. */
static uint64_t read_length(struct pass *pass, uint64_t max, const char *what)
{
    const uint64_t length = reader_u64(&pass->reader);
    if (!pass->reader.failure && length > max)
        reader_fail(&pass->reader, ERR_TOO_LARGE, "has a %s of %llu bytes, at most %llu are read",
                    what, (unsigned long long)length, (unsigned long long)max);
    return pass->reader.failure ? 0 : length;
}

static void skip_string(struct pass *pass)
{
    reader_skip(&pass->reader, reader_u64(&pass->reader));
}

/* A scalar of an integer type; signed ones must not be negative. */
static int read_number(struct pass *pass, uint32_t type, uint64_t *ret)
{
    const size_t size = gguf_value_size(type);
    if (size == 0 || type == GGUF_FLOAT32 || type == GGUF_FLOAT64 || type == GGUF_BOOL)
        return fail_type(pass, type);
    unsigned char bytes[8] = {0};
    reader_get(&pass->reader, bytes, size);
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | bytes[i];
    const bool is_signed = type == GGUF_INT8 || type == GGUF_INT16 || type == GGUF_INT32 ||
                           type == GGUF_INT64;
    if (is_signed && bytes[size - 1] & 0x80)
        return reader_fail(&pass->reader, ERR_SYNTAX, "key %.64s is negative",
                           printable_key(pass));
    *ret = value;
    return pass->reader.failure;
}

struct array {
    uint32_t type; /* of its items */
    uint64_t count;
};

/* Type and length of an array; what its items take at least is checked against the file. */
static int read_array(struct pass *pass, struct array *ret)
{
    ret->type = reader_u32(&pass->reader);
    ret->count = reader_u64(&pass->reader);
    if (pass->reader.failure)
        return pass->reader.failure;
    const uint64_t item = ret->type == GGUF_STRING ? 8 : gguf_value_size(ret->type);
    if (item == 0)
        return fail_type(pass, ret->type);
    if (ret->count > reader_left(&pass->reader) / item)
        return reader_fail(&pass->reader, ERR_SYNTAX, "key %.64s has %llu items, more than fit",
                           printable_key(pass), (unsigned long long)ret->count);
    return 0;
}

static int skip_items(struct pass *pass, const struct array *array)
{
    if (array->type != GGUF_STRING)
        reader_skip(&pass->reader, array->count * gguf_value_size(array->type));
    else
        for (uint64_t i = 0; i < array->count && !pass->reader.failure; i++)
            skip_string(pass);
    return pass->reader.failure;
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
        reader_skip(&pass->reader, gguf_value_size(type));
    } else {
        return fail_type(pass, type);
    }
    return pass->reader.failure;
}

/* --- known keys ---------------------------------------------------------------------------- */

static int read_text(struct pass *pass, uint32_t type, char *ret)
{
    if (type != GGUF_STRING)
        return fail_type(pass, type);
    const uint64_t length = reader_u64(&pass->reader);
    const size_t wanted = length < GGUF_NAME_SIZE ? (size_t)length : GGUF_NAME_SIZE - 1;
    char text[GGUF_NAME_SIZE] = {0};
    reader_get(&pass->reader, text, wanted);
    reader_skip(&pass->reader, length - wanted);
    size_t valid = 0;
    for (size_t n = 1; n > 0 && valid < wanted; valid += n)
        n = utf8_sequence(str_sub(text + valid, wanted - valid));
    if (!pass->reader.failure) {
        memcpy(ret, text, valid);
        ret[valid] = '\0';
    }
    return pass->reader.failure;
}

/* A number, or the largest of an array: layers may differ, memory is planned for the widest. */
static int read_largest(struct pass *pass, uint32_t type, uint64_t *ret)
{
    if (type != GGUF_ARRAY)
        return read_number(pass, type, ret);
    struct array array;
    int rc = read_array(pass, &array);
    if (rc == 0 && array.count > GGUF_LAYERS_MAX)
        rc = reader_fail(&pass->reader, ERR_TOO_LARGE, "key %.64s has %llu items, at most %d",
                         printable_key(pass), (unsigned long long)array.count, GGUF_LAYERS_MAX);
    uint64_t largest = 0;
    for (uint64_t i = 0; rc == 0 && i < array.count; i++) {
        uint64_t value = 0;
        rc = read_number(pass, array.type, &value);
        largest = value > largest ? value : largest;
    }
    if (rc == 0)
        *ret = largest;
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
    /* <architecture>.vocab_size, when it is stated, counts more than the list of tokens. */
    if (rc == 0 && *ret == 0)
        *ret = array.count;
    return rc;
}

static int read_field(struct pass *pass, const struct field *field, uint32_t type)
{
    void *slot = (char *)pass->info + field->offset;
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(pass, type, slot);
    case FIELD_NUMBER:
        return read_largest(pass, type, slot);
    case FIELD_COUNT:
        return read_count(pass, type, slot);
    case FIELD_PRESENT:
        *(bool *)slot = true;
        return skip_value(pass, type);
    }
    return reader_fail(&pass->reader, ERR_SYNTAX, "key %.64s is of no kind",
                       printable_key(pass));
}

/* The part of `key` behind "<architecture>.", or an empty view. */
static struct str without_architecture(const struct pass *pass, struct str key)
{
    const struct str architecture = str_of(pass->info->architecture);
    if (architecture.len == 0 || key.len <= architecture.len || key.ptr[architecture.len] != '.' ||
        !str_has_prefix(key, architecture))
        return (struct str){0};
    return str_skip(key, architecture.len + 1);
}

static const struct field *find_field(const struct pass *pass, struct str key)
{
    const struct str own = without_architecture(pass, key);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (str_eq(fields[i].of_architecture ? own : key, str_of(fields[i].key)))
            return &fields[i];
    return NULL;
}

/* A power of two, as the format demands. */
static int read_alignment(struct pass *pass, uint32_t type)
{
    uint64_t value = 0;
    const int rc = read_number(pass, type, &value);
    if (rc < 0)
        return rc;
    if (value == 0 || value > (1u << 30) || (value & (value - 1)))
        return reader_fail(&pass->reader, ERR_SYNTAX,
                           "general.alignment is %llu, not a power of two up to 2^30",
                           (unsigned long long)value);
    pass->alignment = (uint32_t)value;
    return 0;
}

static int read_entry(struct pass *pass)
{
    const size_t length = (size_t)read_length(pass, GGUF_KEY_MAX, "key");
    const struct str key = {pass->key, length};
    reader_get(&pass->reader, pass->key, length);
    pass->key[length] = '\0';
    const uint32_t type = reader_u32(&pass->reader);
    if (pass->reader.failure)
        return pass->reader.failure;
    if (length == 0)
        return reader_fail(&pass->reader, ERR_SYNTAX, "has an empty key");
    if (str_eq(key, STR("general.alignment")))
        return read_alignment(pass, type);
    const struct field *field = find_field(pass, key);
    if (!field) {
        pass->skipped_architecture |= pass->info->architecture[0] == '\0';
        return skip_value(pass, type);
    }
    if (pass->seen[field - fields])
        return reader_fail(&pass->reader, ERR_SYNTAX, "key %.64s stands twice", pass->key);
    pass->seen[field - fields] = true;
    return read_field(pass, field, type);
}

/* --- the file ------------------------------------------------------------------------------ */

static int check_count(struct pass *pass, const char *what, uint64_t count, uint64_t max,
                       uint64_t least_bytes)
{
    if (count > max)
        return reader_fail(&pass->reader, ERR_TOO_LARGE, "has %llu %s, at most %llu are read",
                           (unsigned long long)count, what, (unsigned long long)max);
    if (count > reader_left(&pass->reader) / least_bytes)
        return reader_fail(&pass->reader, ERR_SYNTAX, "claims %llu %s, more than fit into it",
                           (unsigned long long)count, what);
    return 0;
}

/* Magic, version and the two counts. */
static int read_start(struct pass *pass)
{
    struct reader *reader = &pass->reader;
    if (reader_u32(reader) != GGUF_MAGIC)
        return reader_fail(reader, ERR_SYNTAX, "doesn't begin with GGUF");
    const uint32_t version = reader_u32(reader);
    if (!reader->failure && version != 0 && (version & 0xffff) == 0)
        return reader_fail(reader, ERR_INVALID, "is big-endian; only little-endian files are read");
    if (!reader->failure && (version < GGUF_VERSION_MIN || version > GGUF_VERSION_MAX))
        return reader_fail(reader, ERR_INVALID, "has version %u; versions %d to %d are read",
                           version, GGUF_VERSION_MIN, GGUF_VERSION_MAX);
    pass->info->version = version;
    pass->info->tensor_count = reader_u64(reader);
    pass->entry_count = reader_u64(reader);
    if (reader->failure)
        return reader->failure;
    const int rc = check_count(pass, "metadata entries", pass->entry_count, GGUF_KEYS_MAX,
                               ENTRY_BYTES_MIN);
    return rc < 0 ? rc
                  : check_count(pass, "tensors", pass->info->tensor_count, GGUF_TENSORS_MAX,
                                TENSOR_BYTES_MIN);
}

static int read_entries(struct pass *pass)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < pass->entry_count; i++)
        rc = read_entry(pass);
    return rc;
}

/* Number of weights: the product of the dimensions, which must fit into an int64. */
static int read_dimensions(struct pass *pass, uint64_t *ret_row, uint64_t *ret_weights)
{
    const uint32_t count = reader_u32(&pass->reader);
    if (!pass->reader.failure && count > GGUF_DIMS_MAX)
        return reader_fail(&pass->reader, ERR_SYNTAX, "has a tensor of %u dimensions, at most %d",
                           count, GGUF_DIMS_MAX);
    uint64_t weights = 1;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t dimension = reader_u64(&pass->reader);
        if (i == 0)
            *ret_row = dimension;
        if (__builtin_mul_overflow(weights, dimension, &weights) || weights > INT64_MAX)
            return reader_fail(&pass->reader, ERR_SYNTAX, "has a tensor of more than 2^63 weights");
    }
    *ret_weights = weights;
    return pass->reader.failure;
}

/* Adds a tensor's bytes; tensors lie one behind the other, each padded to the alignment. */
static int add_tensor(struct pass *pass, const struct gguf_tensor_type *type, uint64_t row,
                      uint64_t weights, uint64_t offset)
{
    struct gguf_info *info = pass->info;
    const uint64_t mask = pass->alignment - 1;
    uint64_t bytes;
    uint64_t padded_end;
    if (row % type->elements)
        return reader_fail(&pass->reader, ERR_SYNTAX, "has rows of %llu weights in blocks of %u",
                           (unsigned long long)row, type->elements);
    if (offset != pass->data_bytes && !info->has_unknown_types)
        return reader_fail(&pass->reader, ERR_SYNTAX, "has a tensor at %llu instead of %llu",
                           (unsigned long long)offset, (unsigned long long)pass->data_bytes);
    if (__builtin_mul_overflow(weights / type->elements, (uint64_t)type->bytes, &bytes) ||
        __builtin_add_overflow(pass->data_bytes, bytes, &pass->data_end) ||
        __builtin_add_overflow(pass->data_end, mask, &padded_end))
        return reader_fail(&pass->reader, ERR_SYNTAX, "has tensors of more than 2^64 bytes");
    pass->data_bytes = padded_end & ~mask;
    info->tensor_bytes += bytes; /* never above data_bytes, which didn't overflow */
    return 0;
}

static int read_tensor(struct pass *pass)
{
    uint64_t row = 1;
    uint64_t weights = 0;
    reader_skip(&pass->reader, read_length(pass, GGUF_TENSOR_NAME_MAX, "tensor name"));
    const int rc = read_dimensions(pass, &row, &weights);
    if (rc < 0)
        return rc;
    const uint32_t type_id = reader_u32(&pass->reader);
    const uint64_t offset = reader_u64(&pass->reader);
    if (pass->reader.failure)
        return pass->reader.failure;
    const struct gguf_tensor_type *type = gguf_tensor_type(type_id);
    if (!type) {
        pass->info->has_unknown_types = true;
        return 0;
    }
    return add_tensor(pass, type, row, weights, offset);
}

/* What the tensors need must be there; of unknown types only the whole is known. */
static int check_data(struct pass *pass)
{
    struct gguf_info *info = pass->info;
    const uint64_t mask = pass->alignment - 1;
    info->data_offset = (pass->reader.position + mask) & ~mask;
    const uint64_t left =
        info->file_bytes > info->data_offset ? info->file_bytes - info->data_offset : 0;
    if (info->has_unknown_types)
        info->tensor_bytes = left;
    else if (pass->data_end > left)
        return reader_fail(&pass->reader, ERR_SYNTAX,
                           "has %llu bytes of tensor data instead of %llu; it was cut off",
                           (unsigned long long)left, (unsigned long long)pass->data_end);
    return 0;
}

static int read_tensors(struct pass *pass)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < pass->info->tensor_count; i++)
        rc = read_tensor(pass);
    return rc < 0 ? rc : check_data(pass);
}

/* Metadata twice when keys of the architecture stood before its name, which no writer does. */
static int read_header(struct pass *pass)
{
    int rc = read_start(pass);
    if (rc == 0)
        rc = read_entries(pass);
    if (rc == 0 && pass->skipped_architecture && pass->info->architecture[0]) {
        memset(pass->seen, 0, sizeof pass->seen);
        reader_rewind(&pass->reader);
        rc = read_start(pass);
        if (rc == 0)
            rc = read_entries(pass);
    }
    return rc < 0 ? rc : read_tensors(pass);
}

int gguf_read_fd(int fd, struct gguf_info *ret, struct err *err)
{
    struct gguf_info info = {.file_type = GGUF_FILE_TYPE_NONE};
    auto_free struct pass *pass = mem_alloc(sizeof *pass);
    pass->info = &info;
    pass->alignment = GGUF_ALIGNMENT_DEFAULT;
    int rc = reader_init(&pass->reader, fd, GGUF_HEADER_MAX, err);
    if (rc < 0)
        return rc;
    info.file_bytes = pass->reader.file_bytes;
    rc = read_header(pass);
    if (rc == 0)
        *ret = info;
    return rc;
}

int gguf_read(const char *path, struct gguf_info *ret, struct err *err)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    const int rc = gguf_read_fd(fd, ret, err);
    return rc < 0 ? err_wrap(err, rc, "%s", path) : 0;
}
