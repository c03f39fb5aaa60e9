/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>

int file_read(const char *path, size_t max, struct buf *ret, struct err *err)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s", path);
    buf_clear(ret);
    for (;;) {
        enum { STEP = 16384 };
        ssize_t n = read(fd, buf_reserve(ret, STEP), STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "can't read %s", path);
        if (n == 0)
            return 0;
        buf_grew(ret, (size_t)n);
        if (ret->len > max)
            return err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max);
    }
}

int file_read_line(const char *path, size_t max, char **ret, struct err *err)
{
    struct buf content = {0};
    int rc = file_read(path, max, &content, err);
    if (rc == 0)
        *ret = str_dup(str_trim(buf_str(&content)));
    buf_fini(&content);
    return rc;
}

static int write_all(int fd, struct str content)
{
    while (content.len) {
        ssize_t n = write(fd, content.ptr, content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        content = str_skip(content, (size_t)n);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static void sync_folder_of(const char *path)
{
    auto_free char *copy = mem_strdup(path);
    auto_close int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(
            fd); /* some file systems refuse it for folders; the rename stands all the same */
}

int file_write(const char *path, struct str content, mode_t mode, struct err *err)
{
    auto_free char *tmp = mem_printf("%s.tmp-%d", path, (int)getpid());
    auto_close int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_errno(err, errno, "can't create %s", tmp);
    int rc = fchmod(fd, mode) < 0 ? -errno : write_all(fd, content);
    if (rc == 0 && rename(tmp, path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(tmp);
        return err_errno(err, -rc, "can't write %s", path);
    }
    sync_folder_of(path);
    return 0;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err)
{
    auto_free char *copy = mem_strdup(path);
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return err_errno(err, errno, "can't create folder %s", copy);
        if (kept == '\0')
            break;
        *at = kept;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "can't use folder %s", path);
    return S_ISDIR(st.st_mode) ? 0 : err_set(err, -ENOTDIR, "%s is not a folder", path);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
