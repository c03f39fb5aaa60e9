/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a GGUF model's headers into a model_shape: versions 2 and 3, either byte order, one file or
 * all parts of a split, models, projectors and adapters.
 *
 * For placement and for showing a model to people, not for loading it: tensor data is never read.
 * The file is hostile input: every length is checked against the bytes that are left and the limits
 * below, and all sums are checked for overflow. Memory is below four times the bytes read, and some
 * constant. Arrays of numbers that nobody wants are passed over, arrays of strings (the
 * vocabulary, some MB) are read but not kept. Blocks.
 */
#pragma once

#include "weights/model_shape.h"
#include "weights/source.h"

enum {
    GGUF_HEADER_MAX = 256 << 20,  /* bytes before the tensor data */
    GGUF_KEY_MAX = 65535,         /* bytes of a key, as the format says */
    GGUF_STRING_MAX = 16 << 20,   /* bytes of a string in the metadata */
    GGUF_ITEMS_MAX = 1 << 30,     /* of an array */
    GGUF_KEYS_MAX = 65536,        /* metadata entries */
    GGUF_TENSORS_MAX = 1 << 20,   /* of one file */
    GGUF_TENSOR_NAME_MAX = 255,   /* bytes; engines take 63 */
    GGUF_EXPERTS_MAX = 512,       /* llama.cpp's limit */
};

/*
 * Reads the file, and if it is one of a split model all its parts, which must be in the source.
 * Errors name the file and what is wrong with it: ERR_SYNTAX for a damaged file, ERR_TOO_LARGE for
 * a passed limit, ERR_INVALID for a kind of file that isn't read, ERR_NOT_FOUND for a missing part.
 */
int gguf_read(struct source *source, const struct source_file *file, struct model_shape *ret,
              struct err *err) must_check;

/* Whether a file begins as a GGUF file does; a negative code when it can't be read. */
int gguf_probe(struct source *source, const struct source_file *file, struct err *err) must_check;
