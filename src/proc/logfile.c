/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/logfile.h"

#include "base/num.h"
#include "base/str.h"
#include "proc/logview_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    LOG_MODE = 0640,
    LOG_COPY_STEP = 128 << 10,
    LOG_KEPT_PARTS = 4, /* an engine that floods its log between two looks keeps so many parts */
};

/* ---- runs ---- */

static int check_name(const char *name, struct err *err)
{
    if (!*name || strchr(name, '/'))
        return err_set(err, -EINVAL, "log name must be a file name without '/', not '%s'", name);
    return 0;
}

char *logfile_path(const char *dir, const char *name, unsigned run)
{
    return mem_printf("%s/%s.%u.log", dir, name, run);
}

/* Takes "<name>.<run>.log" apart. */
static bool parse_file_name(const char *file, const char *name, unsigned *ret)
{
    struct str rest = str_of(file);
    int64_t run;
    if (!str_has_prefix(rest, str_of(name)) || !str_has_suffix(rest, STR(".log")))
        return false;
    rest = str_skip(str_sub(rest.ptr, rest.len - strlen(".log")), strlen(name));
    if (rest.len < 2 || rest.ptr[0] != '.' || rest.ptr[1] == '-' ||
        num_parse_i64(str_skip(rest, 1), 0, UINT_MAX, &run) < 0)
        return false;
    *ret = (unsigned)run;
    return true;
}

static int compare_runs(const void *a, const void *b)
{
    unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;
    return (left > right) - (left < right);
}

/* All run numbers, ascending. Returns how many; `*ret` is owned. */
static int list_runs(const char *dir, const char *name, unsigned **ret)
{
    DIR *stream = opendir(dir);
    if (!stream)
        return errno == ENOENT ? 0 : -errno;
    unsigned *runs = NULL, run;
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(stream))) {
        if (!parse_file_name(entry->d_name, name, &run))
            continue;
        runs = mem_resize(runs, (size_t)(count + 1) * sizeof *runs);
        runs[count++] = run;
    }
    closedir(stream);
    if (count)
        qsort(runs, (size_t)count, sizeof *runs, compare_runs);
    *ret = runs;
    return count;
}

int logfile_runs(const char *dir, const char *name, unsigned *ret, size_t max)
{
    auto_free unsigned *runs = NULL;
    int count = list_runs(dir, name, &runs);
    if (count <= 0)
        return count;
    int skipped = (size_t)count > max ? count - (int)max : 0;
    memcpy(ret, runs + skipped, (size_t)(count - skipped) * sizeof *ret);
    return count - skipped;
}

static void remove_run(const char *dir, const char *name, unsigned run)
{
    static const char *const suffixes[] = {"", ".1", ".1.tmp"};
    auto_free char *path = logfile_path(dir, name, run);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        auto_free char *part = mem_printf("%s%s", path, suffixes[i]);
        unlink(part);
    }
}

/* Keeps the first run and the last ones. */
static void remove_surplus_runs(const char *dir, const char *name)
{
    auto_free unsigned *runs = NULL;
    int count = list_runs(dir, name, &runs);
    for (int i = 1; i < count - LOG_RUNS_KEPT; i++)
        remove_run(dir, name, runs[i]);
}

void logfile_remove_all(const char *dir, const char *name)
{
    auto_free unsigned *runs = NULL;
    int count = list_runs(dir, name, &runs);
    for (int i = 0; i < count; i++)
        remove_run(dir, name, runs[i]);
}

int logfile_open_run(const char *dir, const char *name, unsigned run, struct err *err)
{
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    auto_free char *path = logfile_path(dir, name, run);
    auto_close int fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
    if (fd < 0 || fchmod(fd, LOG_MODE) < 0)
        return err_errno(err, errno, "can't create log %s", path);
    remove_surplus_runs(dir, name);
    int opened = fd;
    fd = -1;
    return opened;
}

uint64_t logfile_size(const char *dir, const char *name, unsigned run)
{
    struct logview view;
    if (logview_open(dir, name, run, false, &view, NULL) < 0)
        return 0;
    uint64_t size = view.end;
    logview_fini(&view);
    return size;
}

/* ---- rotation ---- */

static int write_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t done = write(fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        data += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Copies from the live part at `offset`, which moves on, up to `end` or the end of the file. */
static int copy_range(int live_fd, int to_fd, uint64_t *offset, uint64_t end)
{
    auto_free char *block = mem_alloc(LOG_COPY_STEP);
    while (*offset < end) {
        size_t want = end - *offset < LOG_COPY_STEP ? (size_t)(end - *offset) : LOG_COPY_STEP;
        ssize_t n = pread(live_fd, block, want, (off_t)*offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        int rc = write_all(to_fd, block, (size_t)n);
        if (rc < 0)
            return rc;
        *offset += (uint64_t)n;
    }
    return 0;
}

/* Gives back the space of what was copied; where that can't be done, copies the rest and truncates.
 */
static int drop_copied(int live_fd, int old_fd, uint64_t cut)
{
    if (fallocate(live_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)cut) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    int rc = copy_range(live_fd, old_fd, &cut, UINT64_MAX);
    if (rc < 0)
        return rc;
    return ftruncate(live_fd, 0) < 0 ? -errno : 0;
}

/* Copies [from, cut) of the live part, given as offsets in it, to `old_path` and drops it there. */
static int move_to_old(int live_fd, const char *old_path, uint64_t from, uint64_t cut)
{
    auto_free char *tmp = mem_printf("%s.tmp", old_path);
    auto_close int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
    if (fd < 0)
        return -errno;
    int rc = fchmod(fd, LOG_MODE) < 0 ? -errno : copy_range(live_fd, fd, &from, cut);
    if (rc == 0 && rename(tmp, old_path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(tmp);
        return rc;
    }
    return drop_copied(live_fd, fd, cut);
}

/* Where to cut: behind the last whole line, so that both parts hold whole lines. */
static int find_cut(const struct logview *view, uint64_t *ret)
{
    char last = '\0';
    uint64_t cut = view->end;
    ssize_t n = logview_read(view, view->end - 1, &last, 1);
    int rc = n < 0 ? (int)n : 0;
    if (rc == 0 && last != '\n')
        rc = logview_find_line(view, view->end, UINT64_MAX, 1, &cut);
    if (rc == 0)
        *ret =
            cut > view->start ? cut : view->end; /* a single line without an end is cut anywhere */
    return rc;
}

static int rotate_view(const struct logview *view, const char *old_path, uint64_t max_bytes)
{
    uint64_t from = view->start, cut = view->end;
    int rc = find_cut(view, &cut);
    if (rc < 0)
        return rc;
    if ((cut - from) / LOG_KEPT_PARTS > max_bytes)
        from = cut - LOG_KEPT_PARTS * max_bytes;
    return move_to_old(view->live_fd, old_path, from - view->live_shift, cut - view->live_shift);
}

int logfile_rotate(const char *dir, const char *name, unsigned run, uint64_t max_bytes,
                   struct err *err)
{
    struct logview view;
    int rc = logview_open(dir, name, run, true, &view, err);
    if (rc < 0)
        return rc;
    if (view.end - view.start > max_bytes) {
        auto_free char *path = logfile_path(dir, name, run);
        auto_free char *old_path = mem_printf("%s.1", path);
        rc = rotate_view(&view, old_path, max_bytes);
        rc = rc < 0 ? err_errno(err, -rc, "can't rotate log %s", path) : 1;
    }
    logview_fini(&view);
    return rc;
}

/* ---- reading ---- */

int logfile_seek_tail(const char *dir, const char *name, unsigned run, unsigned lines,
                      struct logfile_cursor *cursor, struct err *err)
{
    struct logview view;
    int rc = logview_open(dir, name, run, false, &view, err);
    if (rc < 0)
        return rc;
    uint64_t pos = view.end;
    if (lines > 0)
        rc = logview_find_line(&view, view.end, LOG_TAIL_MAX_BYTES, lines, &pos);
    if (rc == 0)
        *cursor = logview_cursor(&view, pos);
    else
        rc = err_errno(err, -rc, "can't read log of %s", name);
    logview_fini(&view);
    return rc;
}

static uint64_t clamp(int64_t offset, uint64_t first, uint64_t end)
{
    if (offset < 0) {
        uint64_t back = -(uint64_t)offset;
        return back < end - first ? end - back : first;
    }
    if ((uint64_t)offset < first)
        return first;
    return (uint64_t)offset < end ? (uint64_t)offset : end;
}

int logfile_seek(const char *dir, const char *name, unsigned run, int64_t offset,
                 struct logfile_cursor *cursor, struct logfile_bounds *ret, struct err *err)
{
    struct logview view;
    int rc = logview_open(dir, name, run, false, &view, err);
    if (rc < 0)
        return rc;
    uint64_t pos = clamp(offset, view.base, view.end);
    *ret = (struct logfile_bounds){.first = view.base, .end = view.end, .offset = pos};
    *cursor = logview_cursor(&view, pos);
    logview_fini(&view);
    return 0;
}

int logfile_read(const char *dir, const char *name, unsigned run, struct logfile_cursor *cursor,
                 size_t max, struct buf *ret, struct err *err)
{
    struct logview view;
    int rc = logview_open(dir, name, run, false, &view, err);
    if (rc < 0)
        return rc;
    uint64_t pos = logview_locate(&view, cursor);
    if (max > INT_MAX)
        max = INT_MAX;
    if (max > view.end - pos)
        max = (size_t)(view.end - pos);
    ssize_t n = max ? logview_read(&view, pos, buf_reserve(ret, max), max) : 0;
    if (n > 0)
        buf_grew(ret, (size_t)n);
    if (n >= 0)
        *cursor = logview_cursor(&view, pos + (uint64_t)n);
    logview_fini(&view);
    return n < 0 ? err_errno(err, (int)-n, "can't read log of %s", name) : (int)n;
}
