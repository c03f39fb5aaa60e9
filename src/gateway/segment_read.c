/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/segment_read.h"

#include "base/buf.h"
#include "gateway/journal_line.h"

#include <errno.h>
#include <fcntl.h>

enum { PIECE_BYTES = 256 << 10 };
_Static_assert((int)PIECE_BYTES > (int)JOURNAL_LINE_MAX, "a piece holds a line");

/* False: enough. */
static bool parse_line(struct str line, struct segment_place *place, segment_take *take, void *ctx)
{
    struct str open_object;
    uint64_t seq;
    if (journal_line_check(line, &seq, &open_object) < 0) {
        place->bad_lines++;
        return true;
    }
    if (seq <= place->after) /* written again after a failure */
        return true;
    if (!take(seq, open_object, ctx))
        return false;
    place->after = seq;
    return true;
}

bool segment_parse(struct str text, bool is_last, struct segment_place *place, segment_take *take,
                   void *ctx)
{
    while (text.len) {
        size_t length = str_find(text, '\n');
        bool is_whole = length < text.len;
        if (!is_whole && !is_last && length <= JOURNAL_LINE_MAX)
            break;
        /* What has no end is torn, or so long that its end is looked for as a line of its own. */
        if (is_whole && !parse_line(str_sub(text.ptr, length), place, take, ctx))
            return false;
        place->bad_lines += !is_whole;
        size_t used = is_whole ? length + 1 : length;
        place->offset += used;
        text = str_skip(text, used);
    }
    return true;
}

static ssize_t read_piece(int fd, uint64_t offset, char *piece, size_t room)
{
    ssize_t n;
    do
        n = pread(fd, piece, room, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

static int read_pieces(int fd, struct segment_place *place, segment_take *take, void *ctx)
{
    auto_free char *piece = mem_alloc(PIECE_BYTES);
    while (place->offset < place->end) {
        uint64_t left = place->end - place->offset;
        size_t want = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        ssize_t n = read_piece(fd, place->offset, piece, want);
        if (n < 0)
            return -errno;
        bool is_last = (size_t)n < want || left == want;
        if (!segment_parse(str_sub(piece, (size_t)n), is_last, place, take, ctx))
            return 0;
        if ((size_t)n < want)
            place->end = place->offset; /* shorter than it was said to be */
    }
    return 0;
}

int segment_read(const char *path, struct segment_place *place, segment_take *take, void *ctx,
                 struct err *err)
{
    place->bad_lines = 0;
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s", path);
    int rc = read_pieces(fd, place, take, ctx);
    return rc < 0 ? err_errno(err, -rc, "can't read %s", path) : 0;
}
