/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/reader_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int reader_init(struct reader *reader, int fd, uint64_t limit, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "fstat");
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "is not a file");
    reader->fd = fd;
    reader->err = err;
    reader->failure = 0;
    reader->file_bytes = (uint64_t)st.st_size;
    reader->limit = limit;
    reader_rewind(reader);
    return 0;
}

void reader_rewind(struct reader *reader)
{
    reader->position = 0;
    reader->used = reader->filled = 0;
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
                    (unsigned long long)reader->file_bytes);
        return false;
    }
    if (n > reader->limit - reader->position) {
        reader_fail(reader, ERR_TOO_LARGE, "has a header of more than %llu bytes",
                    (unsigned long long)reader->limit);
        return false;
    }
    return true;
}

/* Fills the empty buffer from the position on. */
static bool refill(struct reader *reader)
{
    ssize_t n;
    do {
        n = pread(reader->fd, reader->buffer, READER_BUFFER, (off_t)reader->position);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        reader->failure = err_errno(reader->err, errno, "read");
        return false;
    }
    if (n == 0) {
        reader_fail(reader, ERR_SYNTAX, "was cut off while it was read");
        return false;
    }
    reader->used = 0;
    reader->filled = (size_t)n;
    return true;
}

void reader_get(struct reader *reader, void *out, size_t n)
{
    unsigned char *to = out;
    memset(to, 0, n);
    if (!may_take(reader, n))
        return;
    while (n > 0) {
        if (reader->used == reader->filled && !refill(reader))
            return;
        const size_t have = reader->filled - reader->used;
        const size_t take = n < have ? n : have;
        memcpy(to, reader->buffer + reader->used, take);
        reader->used += take;
        reader->position += take;
        to += take;
        n -= take;
    }
}

void reader_skip(struct reader *reader, uint64_t n)
{
    if (!may_take(reader, n))
        return;
    const size_t have = reader->filled - reader->used;
    reader->position += n;
    if (n <= have)
        reader->used += (size_t)n;
    else
        reader->used = reader->filled = 0;
}

uint32_t reader_u32(struct reader *reader)
{
    unsigned char b[4];
    reader_get(reader, b, sizeof b);
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t reader_u64(struct reader *reader)
{
    const uint64_t low = reader_u32(reader);
    return low | (uint64_t)reader_u32(reader) << 32;
}
