/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/reader_priv.h"

#include <string.h>

enum { LOCAL_PIECE = 64 << 10, EXPECTED_MIN = 64 << 10 };

/*
 * Pieces of a hub's file: each costs a round trip, and what was asked for in vain costs its time.
 * Hyperparameters stand in the first piece; four of them hold a header with a vocabulary of 150,000
 * tokens and its merges (6 MB) and are no more than 8 MB.
 */
static const size_t hub_pieces[] = {512 << 10, 1536 << 10, 2560 << 10, 3008 << 10, 4 << 20};

void reader_init(struct reader *reader, struct source *source, const struct source_file *file,
                 uint64_t limit, struct err *err)
{
    *reader = (struct reader){.source = source, .file = file, .limit = limit, .err = err};
}

void reader_fini(struct reader *reader)
{
    buf_fini(&reader->piece);
}

void reader_rewind(struct reader *reader)
{
    reader->position = 0;
}

int reader_fail(struct reader *reader, int code, const char *fmt, ...)
{
    if (reader->failure)
        return reader->failure;
    va_list args;
    va_start(args, fmt);
    auto_free char *text = mem_vprintf(fmt, args);
    va_end(args);
    reader->failure = err_set(reader->err, code, "%s", text);
    return reader->failure;
}

/* Whether `n` more bytes may be taken; the only place that compares with the file and the limit. */
static bool may_take(struct reader *reader, uint64_t n)
{
    if (reader->failure)
        return false;
    if (n > reader_left(reader)) {
        reader_fail(reader, ERR_SYNTAX, "ends at byte %llu, in the middle of its header",
                    (unsigned long long)reader->file->bytes);
        return false;
    }
    if (n > reader->limit - reader->position) {
        reader_fail(reader, ERR_TOO_LARGE, "has a header of more than %llu bytes",
                    (unsigned long long)reader->limit);
        return false;
    }
    return true;
}

static size_t piece_size(const struct reader *reader)
{
    const size_t last = ARRAY_LEN(hub_pieces) - 1;
    uint64_t size = reader->source->is_local ? LOCAL_PIECE
                                             : hub_pieces[reader->fetches < last ? reader->fetches
                                                                                 : last];
    uint64_t expected = reader->expected < EXPECTED_MIN ? EXPECTED_MIN : reader->expected;
    if (reader->expected && size > expected)
        size = expected;
    const uint64_t left = reader_left(reader);
    return (size_t)(size < left ? size : left);
}

/* The piece that begins at the position. */
static bool refill(struct reader *reader)
{
    buf_clear(&reader->piece);
    reader->piece_start = reader->position;
    const size_t size = piece_size(reader);
    const int rc = source_read(reader->source, reader->file, reader->position, size,
                               &reader->piece, reader->err);
    reader->fetches++;
    if (rc < 0) {
        reader->failure = rc;
        return false;
    }
    if (reader->piece.len == 0) {
        reader_fail(reader, ERR_SYNTAX, "was cut off while it was read");
        return false;
    }
    return true;
}

/* Bytes of the piece from the position on. */
static struct str in_piece(const struct reader *reader)
{
    if (reader->position < reader->piece_start)
        return (struct str){0};
    const uint64_t past = reader->position - reader->piece_start;
    return past < reader->piece.len ? str_skip(buf_str(&reader->piece), (size_t)past)
                                    : (struct str){0};
}

void reader_get(struct reader *reader, void *out, size_t n)
{
    unsigned char *to = out;
    memset(to, 0, n);
    if (!may_take(reader, n))
        return;
    while (n > 0) {
        struct str have = in_piece(reader);
        if (have.len == 0) {
            if (!refill(reader))
                return;
            have = in_piece(reader);
        }
        const size_t take = n < have.len ? n : have.len;
        memcpy(to, have.ptr, take);
        reader->position += take;
        to += take;
        n -= take;
    }
}

void reader_skip(struct reader *reader, uint64_t n)
{
    if (may_take(reader, n))
        reader->position += n;
}

uint64_t reader_number(struct reader *reader, size_t bytes)
{
    unsigned char raw[8];
    reader_get(reader, raw, bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | raw[reader->is_big_endian ? i : bytes - 1 - i];
    return value;
}
