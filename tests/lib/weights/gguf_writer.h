/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes GGUF files for tests: any value and tensor type, either byte order, any alignment. Counts
 * and offsets follow from what was added, and may be changed before gguf_writer_end() to spoil the
 * file. Tensor data is zeros.
 *
 *     struct gguf_writer w = gguf_writer_begin("llama");
 *     gguf_u32(&w, "llama.block_count", 2);
 *     gguf_tensor(&w, "token_embd.weight", 0, 64, 100);
 *     struct buf file = gguf_writer_end(&w);
 */
#pragma once

#include "base/buf.h"
#include "weights/gguf_types.h"

struct gguf_writer {
    struct buf entries, tensors;
    uint64_t entry_count, tensor_count;
    uint64_t data_bytes; /* up to the end of the last tensor */
    uint64_t offset;     /* of the next tensor */
    uint32_t version, alignment;
    bool is_big_endian;
    const char *magic;
};

static inline void gguf_number(const struct gguf_writer *w, struct buf *out, uint64_t value,
                               size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_add_char(out, (char)(value >> (8 * (w->is_big_endian ? bytes - 1 - i : i))));
}

static inline void gguf_text(const struct gguf_writer *w, struct buf *out, struct str s)
{
    gguf_number(w, out, s.len, 8);
    buf_add_str(out, s);
}

/* Begins an entry; its value is for the caller. */
static inline struct buf *gguf_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    gguf_text(w, &w->entries, str_of(key));
    gguf_number(w, &w->entries, type, 4);
    w->entry_count++;
    return &w->entries;
}

static inline void gguf_value(struct gguf_writer *w, const char *key, uint32_t type, uint64_t value)
{
    struct buf *out = gguf_key(w, key, type);
    gguf_number(w, out, value, gguf_value_size(type));
}

static inline void gguf_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    gguf_value(w, key, GGUF_UINT32, value);
}

static inline void gguf_string(struct gguf_writer *w, const char *key, const char *value)
{
    struct buf *out = gguf_key(w, key, GGUF_STRING);
    gguf_text(w, out, str_of(value));
}

/* Begins an array; its items are for the caller. */
static inline struct buf *gguf_array(struct gguf_writer *w, const char *key, uint32_t type,
                                     uint64_t count)
{
    struct buf *out = gguf_key(w, key, GGUF_ARRAY);
    gguf_number(w, out, type, 4);
    gguf_number(w, out, count, 8);
    return out;
}

/* An array of numbers or bools. */
static inline void gguf_numbers(struct gguf_writer *w, const char *key, uint32_t type,
                                const unsigned *items, size_t count)
{
    struct buf *out = gguf_array(w, key, type, count);
    for (size_t i = 0; i < count; i++)
        gguf_number(w, out, items[i], gguf_value_size(type));
}

/* A description with a stated offset; nothing is added to the data. */
static inline void gguf_tensor_at(struct gguf_writer *w, const char *name, uint32_t type,
                                  const uint64_t *dims, uint32_t dim_count, uint64_t offset)
{
    gguf_text(w, &w->tensors, str_of(name));
    gguf_number(w, &w->tensors, dim_count, 4);
    for (uint32_t i = 0; i < dim_count; i++)
        gguf_number(w, &w->tensors, dims[i], 8);
    gguf_number(w, &w->tensors, type, 4);
    gguf_number(w, &w->tensors, offset, 8);
    w->tensor_count++;
}

/* A matrix behind those before it; its bytes. */
static inline uint64_t gguf_tensor(struct gguf_writer *w, const char *name, uint32_t type,
                                   uint64_t columns, uint64_t rows)
{
    const struct gguf_tensor_type *known = gguf_tensor_type(type);
    const uint64_t bytes = known ? columns / known->elements * known->bytes * rows : columns * rows;
    gguf_tensor_at(w, name, type, (const uint64_t[]){columns, rows}, 2, w->offset);
    w->data_bytes = w->offset + bytes;
    w->offset = (w->data_bytes + w->alignment - 1) / w->alignment * w->alignment;
    return bytes;
}

/* A writer without entries; set version, alignment and byte order before the first. */
static inline struct gguf_writer gguf_writer_empty(void)
{
    return (struct gguf_writer){
        .version = GGUF_VERSION_MAX, .alignment = GGUF_ALIGNMENT_DEFAULT, .magic = "GGUF"};
}

static inline struct gguf_writer gguf_writer_begin(const char *architecture)
{
    struct gguf_writer w = gguf_writer_empty();
    gguf_string(&w, "general.architecture", architecture);
    return w;
}

/* The file up to where its data begins. Returns owned; ends the writer. */
static inline struct buf gguf_writer_header(struct gguf_writer *w)
{
    struct buf out = {0};
    buf_add_cstr(&out, w->magic);
    gguf_number(w, &out, w->version, 4);
    gguf_number(w, &out, w->tensor_count, 8);
    gguf_number(w, &out, w->entry_count, 8);
    buf_add_str(&out, buf_str(&w->entries));
    buf_add_str(&out, buf_str(&w->tensors));
    buf_fini(&w->entries);
    buf_fini(&w->tensors);
    return out;
}

/* The whole file. Returns owned; ends the writer. */
static inline struct buf gguf_writer_end(struct gguf_writer *w)
{
    struct buf out = gguf_writer_header(w);
    const size_t start = (out.len + w->alignment - 1) / w->alignment * w->alignment;
    const size_t n = start - out.len + (size_t)w->data_bytes;
    memset(buf_reserve(&out, n), 0, n);
    buf_grew(&out, n);
    return out;
}
