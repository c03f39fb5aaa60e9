/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/segments.h"

#include "base/log.h"
#include "base/num.h"
#include "gateway/segment_read.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { NAME_DIGITS = 20 };

static int open_plain(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

const struct disk_ops disk_ops_system = {.open = open_plain, .write = write, .sync = fdatasync};

/* ---- names and the list ---- */

static char *path_of(const struct segments *segments, uint64_t first)
{
    return mem_printf("%s/%0*" PRIu64 ".ndjson", segments->dir, NAME_DIGITS, first);
}

static bool parse_name(const char *name, uint64_t *ret_first)
{
    struct str text = str_of(name);
    if (!str_has_suffix(text, STR(".ndjson")) || text.len != NAME_DIGITS + STR(".ndjson").len)
        return false;
    text.len = NAME_DIGITS;
    return num_parse_u64(text, ret_first) == 0 && *ret_first > 0 && *ret_first <= INT64_MAX;
}

static struct segment *last_of(struct segments *segments)
{
    return segments->count ? &segments->items[segments->count - 1] : NULL;
}

static void add(struct segments *segments, struct segment segment)
{
    if (segments->count == segments->cap) {
        segments->cap = segments->cap ? 2 * segments->cap : 16;
        segments->items = mem_resize(segments->items, segments->cap * sizeof segments->items[0]);
    }
    segments->items[segments->count++] = segment;
}

static void remove_first(struct segments *segments)
{
    auto_free char *path = path_of(segments, segments->items[0].first);
    if (unlink(path) < 0 && errno != ENOENT)
        log_warning("usage", "%s can't be removed: %s", path, strerror(errno));
    segments->count--;
    memmove(segments->items, segments->items + 1, segments->count * sizeof segments->items[0]);
}

/* ---- opening ---- */

static int by_first(const void *a, const void *b)
{
    const struct segment *left = a, *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

static int list_folder(struct segments *segments, struct err *err)
{
    DIR *folder = opendir(segments->dir);
    if (!folder)
        return err_errno(err, errno, "can't read folder %s", segments->dir);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        struct segment segment = {0};
        struct stat st;
        if (!parse_name(entry->d_name, &segment.first) ||
            fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        segment.bytes = (uint64_t)st.st_size;
        add(segments, segment);
    }
    closedir(folder);
    if (segments->count)
        qsort(segments->items, segments->count, sizeof segments->items[0], by_first);
    return 0;
}

static bool note_seq(uint64_t seq, struct str open_object, void *ctx)
{
    *(uint64_t *)ctx = seq;
    return true;
}

/*
 * The number that its last record may have. A line that can't be read had a number too, and perhaps
 * went out before it was spoilt.
 */
static int find_end(const struct segments *segments, struct segment *last, struct err *err)
{
    auto_free char *path = path_of(segments, last->first);
    uint64_t seen = last->first - 1;
    struct segment_place place = {.after = last->first - 1, .end = last->bytes};
    int rc = segment_read(path, &place, note_seq, &seen, err);
    if (rc < 0)
        return rc;
    last->last = seen + place.bad_lines;
    return 0;
}

int segments_open(struct segments *ret, const char *dir, const struct disk_ops *ops,
                  uint64_t *ret_last, struct err *err)
{
    *ret = (struct segments){.dir = mem_strdup(dir), .ops = ops, .fd = -1};
    int rc = list_folder(ret, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i + 1 < ret->count; i++)
        ret->items[i].last = ret->items[i + 1].first - 1;
    struct segment *last = last_of(ret);
    rc = last ? find_end(ret, last, err) : 0;
    if (rc < 0)
        return rc;
    /* A file that was made and got no record keeps its name: the next one must have another. */
    if (last && last->last < last->first)
        last->last = last->first;
    *ret_last = last ? last->last : 0;
    return 0;
}

void segments_fini(struct segments *segments)
{
    if (!segments->dir)
        return;
    segments_close_last(segments);
    free(segments->items);
    free(segments->dir);
    *segments = (struct segments){.fd = -1};
}

/* ---- writing ---- */

bool segments_is_last_full(const struct segments *segments, int64_t now_ms)
{
    bool is_old = now_ms - segments->opened_ms >= SEGMENT_MS;
    return segments->fd >= 0 &&
           (segments->length >= SEGMENT_BYTES ||
            (is_old && segments->length > 0 && segments->count <= SEGMENTS_BY_AGE_MAX));
}

void segments_close_last(struct segments *segments)
{
    if (segments->fd >= 0)
        close(segments->fd);
    segments->fd = -1;
}

static int open_new(struct segments *segments, uint64_t first, int64_t now_ms, struct err *err)
{
    auto_free char *path = path_of(segments, first);
    /* One of that name is what an earlier try left: nothing of it was ever durable. */
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    segments->fd = segments->ops->open(path, flags, 0600);
    if (segments->fd < 0)
        return err_errno(err, errno, "can't create %s", path);
    segments->opened_ms = now_ms;
    segments->length = 0;
    segments->is_listed = false;
    const struct segment *last = last_of(segments);
    if (last && last->first == first)
        segments->count--;
    add(segments, (struct segment){.first = first, .last = first - 1});
    return 0;
}

static int write_all(const struct segments *segments, struct str text)
{
    while (text.len) {
        ssize_t n = segments->ops->write(segments->fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text = str_skip(text, (size_t)n);
    }
    return 0;
}

/* Leaves of the file what is durable; where that fails, its end is passed over by who reads it. */
static void give_up_last(struct segments *segments)
{
    if (ftruncate(segments->fd, (off_t)last_of(segments)->bytes) < 0)
        log_debug("usage", "the end of a segment stays: %s", strerror(errno));
    segments_close_last(segments);
}

int segments_append(struct segments *segments, struct str lines, uint64_t first, uint64_t last,
                    int64_t now_ms, struct err *err)
{
    int rc = segments->fd < 0 ? open_new(segments, first, now_ms, err) : 0;
    if (rc < 0)
        return rc;
    rc = write_all(segments, lines);
    if (rc < 0) {
        give_up_last(segments);
        return err_errno(err, -rc, "can't write to %s", segments->dir);
    }
    segments->length += lines.len;
    segments->length_last = last;
    return 0;
}

/* Without this a new file, durable as its content may be, could be in no folder after a power cut.
 */
static int sync_folder(const char *dir)
{
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* EINVAL: the file system has no such thing and needs none. */
    return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int segments_sync(struct segments *segments, struct err *err)
{
    assert(segments->fd >= 0);
    int rc = segments->ops->sync(segments->fd) < 0 ? -errno : 0;
    if (rc == 0 && !segments->is_listed)
        rc = sync_folder(segments->dir);
    if (rc < 0) {
        give_up_last(segments);
        return err_errno(err, -rc, "can't make records durable in %s", segments->dir);
    }
    struct segment *last = last_of(segments);
    segments->is_listed = true;
    last->bytes = segments->length;
    last->last = segments->length_last;
    return 0;
}

/* ---- reading ---- */

struct taking {
    bool (*take)(uint64_t seq, struct str open_object, void *ctx);
    void *ctx;
    bool is_enough;
    uint64_t last; /* number of the last record that was taken */
};

static bool take_one(uint64_t seq, struct str open_object, void *ctx)
{
    struct taking *taking = ctx;
    taking->is_enough = !taking->take(seq, open_object, taking->ctx);
    if (!taking->is_enough)
        taking->last = seq;
    return !taking->is_enough;
}

static int read_one(struct segments *segments, const struct segment *segment, struct taking *taking,
                    struct err *err)
{
    auto_free char *path = path_of(segments, segment->first);
    struct segment_place place = {.after = taking->last, .end = segment->bytes};
    if (segments->place.segment == segment->first && segments->place.seq == taking->last)
        place.offset = segments->place.offset;
    int rc = segment_read(path, &place, take_one, taking, err);
    if (rc < 0)
        return rc;
    segments->place.seq = taking->last;
    segments->place.segment = segment->first;
    segments->place.offset = place.offset;
    if (place.bad_lines)
        log_error("usage", "%s: %u lines are torn or spoilt and were passed over", path,
                  place.bad_lines);
    return 0;
}

int segments_each(struct segments *segments, uint64_t after,
                  bool (*take)(uint64_t seq, struct str open_object, void *ctx), void *ctx,
                  struct err *err)
{
    struct taking taking = {.take = take, .ctx = ctx, .last = after};
    for (size_t i = 0; i < segments->count && !taking.is_enough; i++) {
        const struct segment *segment = &segments->items[i];
        if (segment->last <= taking.last || segment->bytes == 0)
            continue;
        int rc = read_one(segments, segment, &taking, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- removing ---- */

size_t segments_forget(struct segments *segments, uint64_t seq)
{
    size_t removed = 0;
    /* A fresh file with nothing durable doesn't say which number was the last. */
    while (segments->count > 1 && segments->items[0].last <= seq &&
           (segments->count > 2 || segments->items[1].bytes > 0)) {
        remove_first(segments);
        removed++;
    }
    return removed;
}

uint64_t segments_bytes(const struct segments *segments)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < segments->count; i++)
        sum += segments->items[i].bytes;
    return sum;
}

uint64_t segments_drop_oldest(struct segments *segments)
{
    if (segments->count < 2)
        return 0;
    uint64_t last = segments->items[0].last;
    remove_first(segments);
    return last;
}
