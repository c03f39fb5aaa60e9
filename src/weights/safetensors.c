/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/safetensors.h"

#include "weights/json_view.h"

#include <stdlib.h>

static const struct type {
    const char *name;
    unsigned bits;
    const char *dtype;
} types[SAFETENSORS_TYPE_COUNT] = {
    [SAFETENSORS_UNKNOWN] = {"", 0, ""},
    [SAFETENSORS_BOOL] = {"BOOL", 8, "bool"},
    [SAFETENSORS_U8] = {"U8", 8, "uint8"},
    [SAFETENSORS_I8] = {"I8", 8, "int8"},
    [SAFETENSORS_F8_E4M3] = {"F8_E4M3", 8, "float8_e4m3fn"},
    [SAFETENSORS_F8_E5M2] = {"F8_E5M2", 8, "float8_e5m2"},
    [SAFETENSORS_F8_E8M0] = {"F8_E8M0", 8, "float8_e8m0fnu"},
    [SAFETENSORS_I16] = {"I16", 16, "int16"},
    [SAFETENSORS_U16] = {"U16", 16, "uint16"},
    [SAFETENSORS_F16] = {"F16", 16, "float16"},
    [SAFETENSORS_BF16] = {"BF16", 16, "bfloat16"},
    [SAFETENSORS_I32] = {"I32", 32, "int32"},
    [SAFETENSORS_U32] = {"U32", 32, "uint32"},
    [SAFETENSORS_F32] = {"F32", 32, "float32"},
    [SAFETENSORS_I64] = {"I64", 64, "int64"},
    [SAFETENSORS_U64] = {"U64", 64, "uint64"},
    [SAFETENSORS_F64] = {"F64", 64, "float64"},
    [SAFETENSORS_C64] = {"C64", 64, "complex64"},
    [SAFETENSORS_F4] = {"F4", 4, "float4_e2m1fn"},
    [SAFETENSORS_F6_E2M3] = {"F6_E2M3", 6, ""},
    [SAFETENSORS_F6_E3M2] = {"F6_E3M2", 6, ""},
};

unsigned safetensors_type_bits(enum safetensors_type type)
{
    return types[type].bits;
}

const char *safetensors_type_dtype(enum safetensors_type type)
{
    return types[type].dtype;
}

static enum safetensors_type find_type(struct str name)
{
    for (unsigned i = 1; i < SAFETENSORS_TYPE_COUNT; i++)
        if (str_eq(name, str_of(types[i].name)))
            return i;
    return SAFETENSORS_UNKNOWN;
}

void safetensors_fini(struct safetensors *header)
{
    buf_fini(&header->text);
    free(header->tensors);
    *header = (struct safetensors){0};
}

/* --- one tensor ------------------------------------------------------------------------------ */

/* A tensor's name for an error: at most 80 bytes. */
#define NAME(tensor) (int)((tensor)->name.len < 80 ? (tensor)->name.len : 80), (tensor)->name.ptr

static int read_shape(struct str shape, struct safetensors_tensor *tensor, struct err *err)
{
    if (json_view_kind(shape) != JSON_VIEW_ARRAY)
        return err_set(err, ERR_SYNTAX, "tensor %.*s has no shape", NAME(tensor));
    if (json_view_count(shape) > SAFETENSORS_DIMS_MAX)
        return err_set(err, ERR_TOO_LARGE, "tensor %.*s has %zu dimensions, at most %d are read",
                       NAME(tensor), json_view_count(shape), SAFETENSORS_DIMS_MAX);
    struct json_view_items items = json_view_items(shape);
    struct str item;
    tensor->elements = 1;
    while (json_view_next(&items, NULL, &item)) {
        uint64_t n = 0;
        if (json_view_integer(item, &n) < 0)
            return err_set(err, ERR_SYNTAX, "tensor %.*s has the dimension %.*s", NAME(tensor),
                           (int)(item.len < 32 ? item.len : 32), item.ptr);
        if (__builtin_mul_overflow(tensor->elements, n, &tensor->elements) ||
            tensor->elements > INT64_MAX)
            return err_set(err, ERR_TOO_LARGE, "tensor %.*s has more than 2^63 elements",
                           NAME(tensor));
    }
    return 0;
}

static int read_range(struct str range, uint64_t data_bytes, struct safetensors_tensor *tensor,
                      struct err *err)
{
    struct json_view_items items = json_view_items(range);
    struct str first, second, more;
    uint64_t begin = 0, end = 0;
    if (json_view_kind(range) != JSON_VIEW_ARRAY || !json_view_next(&items, NULL, &first) ||
        !json_view_next(&items, NULL, &second) || json_view_next(&items, NULL, &more) ||
        json_view_integer(first, &begin) < 0 || json_view_integer(second, &end) < 0)
        return err_set(err, ERR_SYNTAX, "tensor %.*s has data_offsets that aren't two numbers",
                       NAME(tensor));
    if (begin > end || end > data_bytes)
        return err_set(err, ERR_SYNTAX,
                       "tensor %.*s lies at %llu to %llu, the file has %llu bytes of data",
                       NAME(tensor), (unsigned long long)begin, (unsigned long long)end,
                       (unsigned long long)data_bytes);
    tensor->begin = begin;
    tensor->bytes = end - begin;
    return 0;
}

/* The bytes that type and shape make, against those of the range. */
static int check_bytes(const struct safetensors_tensor *tensor, struct err *err)
{
    uint64_t bits;
    if (tensor->type == SAFETENSORS_UNKNOWN)
        return 0;
    if (__builtin_mul_overflow(tensor->elements, types[tensor->type].bits, &bits) || bits % 8 ||
        bits / 8 != tensor->bytes)
        return err_set(err, ERR_SYNTAX, "tensor %.*s has %llu bytes for %llu elements of %s",
                       NAME(tensor), (unsigned long long)tensor->bytes,
                       (unsigned long long)tensor->elements, types[tensor->type].name);
    return 0;
}

static int read_tensor(struct str value, uint64_t data_bytes, struct safetensors_tensor *tensor,
                       struct err *err)
{
    struct str type = {0}, shape = {0}, range = {0};
    json_view_member(value, "dtype", &type);
    json_view_member(value, "shape", &shape);
    json_view_member(value, "data_offsets", &range);
    if (json_view_kind(type) != JSON_VIEW_STRING)
        return err_set(err, ERR_SYNTAX, "tensor %.*s has no dtype", NAME(tensor));
    tensor->type = find_type(json_view_text(type));
    int rc = read_shape(shape, tensor, err);
    if (rc == 0)
        rc = read_range(range, data_bytes, tensor, err);
    return rc < 0 ? rc : check_bytes(tensor, err);
}

/* --- all of them ----------------------------------------------------------------------------- */

static int by_begin(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct str x = ((const struct safetensors_tensor *)a)->name;
    const struct str y = ((const struct safetensors_tensor *)b)->name;
    const int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return order ? order : x.len < y.len ? -1 : x.len > y.len;
}

static int check_names(struct safetensors *header, struct err *err)
{
    qsort(header->tensors, header->tensor_count, sizeof *header->tensors, by_name);
    for (size_t i = 1; i < header->tensor_count; i++)
        if (str_eq(header->tensors[i - 1].name, header->tensors[i].name))
            return err_set(err, ERR_SYNTAX, "tensor %.*s stands twice",
                           NAME(&header->tensors[i]));
    return 0;
}

/* The ranges follow each other up to the end of the data. Sorts them. */
static int check_ranges(struct safetensors *header, struct err *err)
{
    uint64_t at = 0;
    qsort(header->tensors, header->tensor_count, sizeof *header->tensors, by_begin);
    for (size_t i = 0; i < header->tensor_count; i++) {
        const struct safetensors_tensor *tensor = &header->tensors[i];
        if (tensor->begin != at)
            return err_set(err, ERR_SYNTAX, "tensor %.*s begins at %llu, %s %llu", NAME(tensor),
                           (unsigned long long)tensor->begin,
                           tensor->begin < at ? "inside of another that ends at"
                                              : "behind a hole from",
                           (unsigned long long)at);
        at += tensor->bytes;
    }
    if (at != header->data_bytes)
        return err_set(err, ERR_SYNTAX, "the tensors end at %llu, the file has %llu bytes of data",
                       (unsigned long long)at, (unsigned long long)header->data_bytes);
    return 0;
}

static int read_tensors(struct str root, struct safetensors *header, struct err *err)
{
    struct json_view_items items = json_view_items(root);
    struct str name, value;
    header->tensors = mem_alloc_array(json_view_count(root) + 1, sizeof *header->tensors);
    while (json_view_next(&items, &name, &value)) {
        struct safetensors_tensor *tensor = &header->tensors[header->tensor_count];
        if (str_eq(name, STR("__metadata__")))
            continue;
        tensor->name = name;
        const int rc = read_tensor(value, header->data_bytes, tensor, err);
        if (rc < 0)
            return rc;
        header->has_unknown_types |= tensor->type == SAFETENSORS_UNKNOWN;
        header->tensor_count++;
    }
    const int rc = check_names(header, err);
    return rc < 0 ? rc : check_ranges(header, err);
}

/* Before space is taken for each: a member is at least as long as a tensor's entry. */
static int check_count(struct str root, struct err *err)
{
    static const char SHORTEST[] = "\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},";
    if (json_view_kind(root) != JSON_VIEW_OBJECT)
        return err_set(err, ERR_SYNTAX, "its header is no object");
    if (json_view_count(root) > root.len / (sizeof SHORTEST - 1) + 2)
        return err_set(err, ERR_SYNTAX, "its header has members that are no tensors");
    return 0;
}

int safetensors_parse(struct buf *text, uint64_t data_bytes, struct safetensors *ret,
                      struct err *err)
{
    auto_fini(safetensors_fini) struct safetensors header = {.text = *text,
                                                             .data_bytes = data_bytes};
    *text = (struct buf){0};
    struct str root;
    int rc = json_view_check(buf_str(&header.text), &root, err);
    if (rc == 0)
        rc = check_count(root, err);
    if (rc == 0)
        rc = read_tensors(root, &header, err);
    if (rc == 0) {
        *ret = header;
        header = (struct safetensors){0};
    }
    return rc;
}

/* --- the file -------------------------------------------------------------------------------- */

static uint64_t little_endian(const char *bytes)
{
    uint64_t n = 0;
    for (int i = 8; i-- > 0;)
        n = n << 8 | (unsigned char)bytes[i];
    return n;
}

/* Appends up to the header's end, in two reads at most: the first one of a remote file is large
 * enough for most headers. Leaves the JSON alone. */
static int read_header(struct source *source, const struct source_file *file, size_t header_max,
                       struct buf *text, struct err *err)
{
    const size_t guess = source->is_local ? 8 : 32 << 10;
    int rc = source_read(source, file, 0, guess < header_max ? guess : header_max + 8, text, err);
    if (rc < 0)
        return rc;
    if (text->len < 8)
        return err_set(err, ERR_SYNTAX, "has %zu bytes, no header", text->len);
    const uint64_t length = little_endian(text->ptr);
    if (file->bytes < 8 || length > file->bytes - 8)
        return err_set(err, ERR_SYNTAX, "claims a header of %llu bytes, the file has %llu",
                       (unsigned long long)length, (unsigned long long)file->bytes);
    if (length > header_max)
        return err_set(err, ERR_TOO_LARGE, "has a header of %llu bytes, at most %zu are read",
                       (unsigned long long)length, header_max);
    if (text->len < 8 + length)
        rc = source_read(source, file, text->len, (size_t)(8 + length - text->len), text, err);
    if (rc < 0)
        return rc;
    if (text->len < 8 + length)
        return err_set(err, ERR_SYNTAX, "ends at byte %zu, within its header", text->len);
    buf_drop(text, 8);
    buf_cut(text, (size_t)length);
    return 0;
}

int safetensors_read(struct source *source, const struct source_file *file, size_t header_max,
                     struct safetensors *ret, struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    int rc = read_header(source, file, header_max, &text, err);
    if (rc == 0) {
        const uint64_t data_bytes = file->bytes - 8 - text.len;
        rc = safetensors_parse(&text, data_bytes, ret, err);
    }
    return rc < 0 ? err_wrap(err, rc, "%s", file->name) : 0;
}
