/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the header of a GGUF model file says: architecture, shape and the bytes of its tensors.
 *
 * For placement and for showing a model to people, not for loading it: tensor data is never read.
 * The file is hostile input: every length is checked against the bytes that are left and the limits
 * below, and all sums are checked for overflow. Blocks on the disk (a header is some MB,
 * mostly the vocabulary): never on a loop thread. Any thread; nothing is kept between calls.
 *
 *     struct gguf_info info;
 *     if (gguf_read(path, &info, err) < 0) ...
 *     uint64_t bytes = info.tensor_bytes;
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    GGUF_HEADER_MAX = 256 << 20,  /* bytes before the tensor data */
    GGUF_KEY_MAX = 65535,         /* bytes of a key, as the format says */
    GGUF_KEYS_MAX = 65536,        /* metadata entries */
    GGUF_TENSORS_MAX = 1 << 20,
    GGUF_TENSOR_NAME_MAX = 255,   /* bytes; engines take 63 */
    GGUF_LAYERS_MAX = 65536,      /* entries of an array that has one per layer */
    GGUF_NAME_SIZE = 256,         /* longer names are cut off, at a whole character */
};

/* file_type when the file states none: 0 is a value of it. */
#define GGUF_FILE_TYPE_NONE UINT64_MAX

/* Plain data. Numbers that the file doesn't state are 0: a projector has no context length. */
struct gguf_info {
    uint32_t version;
    char architecture[GGUF_NAME_SIZE]; /* "llama"; the prefix of the keys below */
    char name[GGUF_NAME_SIZE];         /* general.name */
    uint64_t file_bytes;
    uint64_t data_offset;          /* where tensor data begins */
    uint64_t tensor_count;
    uint64_t tensor_bytes;         /* sum over the tensors of this file, without padding */
    bool has_unknown_types;        /* newer ones: tensor_bytes is the size of all data then */
    uint64_t file_type;            /* label of the quantisation; see gguf_file_type_name() */
    uint64_t split_index, split_count; /* part of a split model, from 0; count 0: not split */
    uint64_t block_count;          /* layers */
    uint64_t embedding_length;
    uint64_t context_length;       /* tokens that it was trained for */
    uint64_t feed_forward_length;  /* of the widest layer, as the next two */
    uint64_t head_count;
    uint64_t head_count_kv;
    uint64_t key_length, value_length; /* of a head; 0: embedding_length / head_count */
    uint64_t expert_count;
    uint64_t vocabulary_size;      /* tokens */
    bool has_chat_template;
};

/*
 * Reads the header of a file, version 2 or 3, little-endian. Errors name the path and what is wrong
 * with it: -errno, ERR_SYNTAX for a damaged file, ERR_TOO_LARGE for a passed limit, ERR_INVALID for
 * a kind of file that isn't read (other version, big-endian).
 */
int gguf_read(const char *path, struct gguf_info *ret, struct err *err) must_check;

/* The same for an open file, from its beginning; for tests and fuzzing. The errors name no path. */
int gguf_read_fd(int fd, struct gguf_info *ret, struct err *err) must_check;
