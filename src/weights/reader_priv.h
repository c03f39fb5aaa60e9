/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a file's beginning out of a source, forwards and piece by piece, with a limit on how far
 * it goes. Passing over bytes doesn't read them.
 *
 * The first failure stays: later reads return zeros and the same code, so that a caller may read a
 * few fields in a row and ask once. One piece is in memory at a time. Owned by one call.
 */
#pragma once

#include "weights/source.h"

struct reader {
    struct source *source;          /* borrowed */
    const struct source_file *file; /* borrowed */
    struct err *err;                /* borrowed; takes the sentence of the first failure */
    int failure;                    /* 0, or the code of the first failure */
    bool is_big_endian;             /* how numbers are read */
    uint64_t position;              /* of the next byte handed out */
    uint64_t limit;                 /* position that is never passed */
    uint64_t expected;  /* guess of how many bytes are still needed; 0: no idea */
    unsigned fetches;               /* pieces that were read */
    struct buf piece;               /* owned; bytes of the file from piece_start on */
    uint64_t piece_start;
};

/* Starts at the file's beginning. */
void reader_init(struct reader *reader, struct source *source, const struct source_file *file,
                 uint64_t limit, struct err *err);
void reader_fini(struct reader *reader);

/* Starts again at the file's beginning; a failure stays. */
void reader_rewind(struct reader *reader);

/* Records a failure, the first one counts; returns the code that stays. */
int reader_fail(struct reader *reader, int code, const char *fmt, ...) printf_like(3, 4);

/* Bytes between the position and the end of the file. */
static inline uint64_t reader_left(const struct reader *reader)
{
    return reader->file->bytes - reader->position;
}

/* Copies `n` bytes out; zeros after a failure. */
void reader_get(struct reader *reader, void *out, size_t n);

/* Passes over `n` bytes. */
void reader_skip(struct reader *reader, uint64_t n);

/* An unsigned number of 1, 2, 4 or 8 bytes. */
uint64_t reader_number(struct reader *reader, size_t bytes);

static inline uint32_t reader_u32(struct reader *reader)
{
    return (uint32_t)reader_number(reader, 4);
}

static inline uint64_t reader_u64(struct reader *reader)
{
    return reader_number(reader, 8);
}
