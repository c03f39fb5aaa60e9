/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of the GGUF file format: value types of its metadata and element types of its tensors.
 *
 * The values are those in the file (little-endian u32). A row is stored in blocks: `elements`
 * weights take `bytes` bytes. Pure tables, any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    GGUF_MAGIC = 0x46554747,     /* "GGUF" read as a little-endian u32 */
    GGUF_MAGIC_SWAPPED = 0x47475546, /* "FUGG": some big-endian files begin so */
    GGUF_VERSION_MIN = 2,        /* version 1 had 32-bit lengths; no engine reads it any more */
    GGUF_VERSION_MAX = 3,
    GGUF_ALIGNMENT_DEFAULT = 32, /* of tensor data, unless general.alignment says otherwise */
    GGUF_DIMS_MAX = 4,
};

enum gguf_value_type {
    GGUF_UINT8, GGUF_INT8, GGUF_UINT16, GGUF_INT16, GGUF_UINT32, GGUF_INT32, GGUF_FLOAT32,
    GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_UINT64, GGUF_INT64, GGUF_FLOAT64
};

/* The format's name of a value type ("uint8"), or NULL when there is no such type. */
const char *gguf_value_name(uint32_t type);

/* Bytes of one value; 0 for strings and arrays, which state their size, and unknown types. */
size_t gguf_value_size(uint32_t type);

/* Element types that this code writes; gguf_tensor_type() knows all. */
enum {
    GGUF_TENSOR_F32 = 0,
    GGUF_TENSOR_TYPE_END = 43, /* numbers below are given out; some were withdrawn again */
};

struct gguf_tensor_type {
    uint32_t id;         /* number in the file */
    uint32_t elements;   /* weights in a block */
    uint32_t bytes;      /* size of a block */
    const char *name;    /* ggml's name: "Q4_K" */
};

/* The element type with number `id`, or NULL when it is unknown or was withdrawn. Static memory. */
const struct gguf_tensor_type *gguf_tensor_type(uint32_t id);

/* Name of general.file_type, the label of a quantisation mix ("Q4_K_M"), or NULL when unknown. */
const char *gguf_file_type_name(uint64_t file_type);
