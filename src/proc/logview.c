/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/logview_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { BLOCK = 32768 };

static ssize_t read_at(int fd, void *out, size_t n, uint64_t offset)
{
    ssize_t got;
    do
        got = pread(fd, out, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static int size_of(int fd, uint64_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret = (uint64_t)st.st_size;
    return 0;
}

/*
 * Where the text of the live part begins: behind the hole and behind the zero bytes that punching
 * leaves in the block in which it ends. A file system that can't tell its holes is read through.
 */
static int find_start(int fd, uint64_t size, uint64_t *ret)
{
    char block[BLOCK];
    off_t data = lseek(fd, 0, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        *ret = size;
        return 0;
    }
    uint64_t pos = data < 0 ? 0 : (uint64_t)data;
    for (;;) {
        ssize_t n = read_at(fd, block, sizeof block, pos);
        if (n < 0)
            return (int)n;
        ssize_t zeros = 0;
        while (zeros < n && block[zeros] == '\0')
            zeros++;
        pos += (uint64_t)zeros;
        if (zeros < n || n == 0)
            break;
    }
    *ret = pos;
    return 0;
}

/* Takes the lock, then the bounds: they hold as long as the lock does. */
static int measure(struct logview *view, const char *old_path, bool to_rotate)
{
    uint64_t size = 0, old_size = 0, start = 0;
    int rc;
    do
        rc = flock(view->live_fd, to_rotate ? LOCK_EX : LOCK_SH) < 0 ? -errno : 0;
    while (rc == -EINTR);
    if (rc < 0)
        return rc;
    view->old_fd = open(old_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if ((view->old_fd >= 0 && (rc = size_of(view->old_fd, &old_size)) < 0) ||
        (rc = size_of(view->live_fd, &size)) < 0 ||
        (rc = find_start(view->live_fd, size, &start)) < 0)
        return rc;
    /* The engine may have written since the size was taken. */
    size = start > size ? start : size;
    view->live_shift = start > 0 ? 0 : old_size;
    view->start = start + view->live_shift;
    view->base = view->start > old_size ? view->start - old_size : 0;
    view->end = size + view->live_shift;
    return 0;
}

int logview_open(const char *dir, const char *name, unsigned run, bool to_rotate,
                 struct logview *ret, struct err *err)
{
    auto_free char *path = logfile_path(dir, name, run);
    auto_free char *old_path = mem_printf("%s.1", path);
    struct logview view = {.old_fd = -1};
    view.live_fd = open(path, (to_rotate ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    if (view.live_fd < 0)
        return err_errno(err, errno, "can't open log %s", path);
    int rc = measure(&view, old_path, to_rotate);
    if (rc < 0) {
        logview_fini(&view);
        return err_errno(err, -rc, "can't read log %s", path);
    }
    *ret = view;
    return 0;
}

void logview_fini(struct logview *view)
{
    if (view->old_fd >= 0)
        close(view->old_fd);
    close(view->live_fd);
}

ssize_t logview_read(const struct logview *view, uint64_t pos, void *out, size_t n)
{
    if (pos >= view->end)
        return 0;
    uint64_t limit = pos < view->start ? view->start : view->end;
    if (n > limit - pos)
        n = (size_t)(limit - pos);
    if (pos < view->start)
        return read_at(view->old_fd, out, n, pos - view->base);
    return read_at(view->live_fd, out, n, pos - view->live_shift);
}

/* The block that ends at `pos`, within one part. Returns its bytes. */
static ssize_t read_block_before(const struct logview *view, uint64_t pos, char block[static BLOCK])
{
    uint64_t floor = pos > view->start ? view->start : view->base;
    uint64_t n = pos - floor < BLOCK ? pos - floor : BLOCK;
    return logview_read(view, pos - n, block, (size_t)n);
}

int logview_find_line(const struct logview *view, uint64_t end, uint64_t max, unsigned count,
                      uint64_t *ret)
{
    char block[BLOCK];
    uint64_t pos = end;
    while (pos > view->base && end - pos < max) {
        ssize_t n = read_block_before(view, pos, block);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        for (ssize_t i = n; i > 0; i--, pos--) {
            if (block[i - 1] != '\n' || pos == end)
                continue;
            if (--count == 0) {
                *ret = pos;
                return 0;
            }
        }
    }
    *ret = pos;
    return 0;
}

uint64_t logview_locate(const struct logview *view, const struct logfile_cursor *cursor)
{
    uint64_t pos = cursor->offset;
    if (view->live_shift > 0) {
        bool is_fresh = cursor->offset == 0 && cursor->old_offset == 0;
        if (cursor->in_old || is_fresh)
            pos = cursor->old_offset;
        else if (pos + view->live_shift <= view->end)
            pos += view->live_shift;
        /* Else the live part was truncated since: what it was is the old part now. */
    }
    if (pos < view->base)
        return view->base;
    return pos > view->end ? view->end : pos;
}

struct logfile_cursor logview_cursor(const struct logview *view, uint64_t pos)
{
    bool in_old = pos < view->start;
    if (view->live_shift == 0)
        return (struct logfile_cursor){.offset = pos, .in_old = in_old};
    if (in_old)
        return (struct logfile_cursor){.in_old = true, .old_offset = pos};
    return (struct logfile_cursor){.offset = pos - view->start, .old_offset = view->start};
}
