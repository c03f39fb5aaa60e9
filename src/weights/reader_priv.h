/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffered reading of a file's beginning, forwards, with a limit on how far it goes.
 *
 * The first failure stays: later reads return zeros and the same code, so that a caller may read a
 * few fields in a row and ask once. Owned by one call.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { READER_BUFFER = 64 << 10 };

struct reader {
    int fd;               /* borrowed */
    struct err *err;      /* borrowed; takes the sentence of the first failure */
    int failure;          /* 0, or the code of the first failure */
    uint64_t position;    /* of the next byte handed out */
    uint64_t file_bytes;
    uint64_t limit;       /* position that is never passed */
    size_t used, filled;  /* of the buffer */
    unsigned char buffer[READER_BUFFER];
};

/* Starts at the file's beginning. -errno when it can't be examined. */
int reader_init(struct reader *reader, int fd, uint64_t limit, struct err *err) must_check;

/* Starts again at the file's beginning; a failure stays. */
void reader_rewind(struct reader *reader);

/* Records a failure, the first one counts; returns the code that stays. */
int reader_fail(struct reader *reader, int code, const char *fmt, ...) printf_like(3, 4);

/* Bytes between the position and the end of the file. */
static inline uint64_t reader_left(const struct reader *reader)
{
    return reader->file_bytes - reader->position;
}

/* Copies `n` bytes out; zeros after a failure. */
void reader_get(struct reader *reader, void *out, size_t n);

/* Passes over `n` bytes. */
void reader_skip(struct reader *reader, uint64_t n);

/* Little-endian numbers. */
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
