/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a safetensors file: names, types and sizes of its tensors; data is never read.
 *
 * The file is hostile input. Checked are: the header's length against the file and the limit, its
 * JSON, each tensor's bytes against type and dimensions, and that all ranges together cover the
 * data without hole or overlap. Memory is at most four times the header. Blocks as its source does.
 *
 *     auto_fini(safetensors_fini) struct safetensors header = {0};
 *     if (safetensors_read(source, file, SAFETENSORS_HEADER_MAX, &header, err) < 0) ...
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "weights/source.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SAFETENSORS_HEADER_MAX = 100000000, /* bytes, as the format's own library */
    SAFETENSORS_DIMS_MAX = 16,
};

/* In the order of the names' table in safetensors.c. */
enum safetensors_type {
    SAFETENSORS_UNKNOWN,
    SAFETENSORS_BOOL,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_F8_E4M3,
    SAFETENSORS_F8_E5M2,
    SAFETENSORS_F8_E8M0,
    SAFETENSORS_I16,
    SAFETENSORS_U16,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_I32,
    SAFETENSORS_U32,
    SAFETENSORS_F32,
    SAFETENSORS_I64,
    SAFETENSORS_U64,
    SAFETENSORS_F64,
    SAFETENSORS_C64,
    SAFETENSORS_F4,
    SAFETENSORS_F6_E2M3,
    SAFETENSORS_F6_E3M2,
    SAFETENSORS_TYPE_COUNT
};

struct safetensors_tensor {
    struct str name;    /* borrows from the header's text, escapes left as they are */
    uint64_t begin;     /* of its bytes within the data */
    uint64_t bytes;
    uint64_t elements;
    uint8_t type;       /* enum safetensors_type */
};

struct safetensors {
    struct buf text;                    /* owned: the header's JSON */
    struct safetensors_tensor *tensors; /* owned, in the order of their bytes */
    size_t tensor_count;
    uint64_t data_bytes;
    bool has_unknown_types; /* newer ones: the bytes are right, whatever the type */
};

/* Reads a file's header of at most `header_max` bytes. ERR_SYNTAX for a damaged file, ERR_TOO_LARGE
 * for a longer header; errors begin with the file's name. */
int safetensors_read(struct source *source, const struct source_file *file, size_t header_max,
                     struct safetensors *ret, struct err *err) must_check;

/* The same for a header's JSON that is there already; takes `text` in any case. */
int safetensors_parse(struct buf *text, uint64_t data_bytes, struct safetensors *ret,
                      struct err *err) must_check;

void safetensors_fini(struct safetensors *header);

/* Bits of an element; 0 for SAFETENSORS_UNKNOWN. */
unsigned safetensors_type_bits(enum safetensors_type type);

/* As config.json calls a type: "bfloat16", "float8_e4m3fn"; "" when it has no word for it. */
const char *safetensors_type_dtype(enum safetensors_type type);
