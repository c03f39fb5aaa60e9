/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/cache.h"

#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ID_FILE_MAX = 256, FOLDER_MODE = 0755, FILE_MODE = 0644 };

#define ID_FILE ".gpustack-storage"

/* ---- folders ---- */

int cache_open(const char *path, struct cache *ret, struct err *err)
{
    *ret = (struct cache){.fd = -1};
    const int rc = file_make_dirs(path, FOLDER_MODE, err);
    if (rc < 0)
        return rc;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "can't open cache folder %s", path);
    *ret = (struct cache){.fd = fd, .path = mem_strdup(path)};
    return 0;
}

void cache_close(struct cache *cache)
{
    if (cache->fd >= 0)
        close(cache->fd);
    free(cache->path);
    *cache = (struct cache){.fd = -1};
}

static int open_step(int at, const char *name, bool creates)
{
    if (creates && mkdirat(at, name, FOLDER_MODE) < 0 && errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int cache_open_folder(const struct cache *cache, const char *folder, bool creates, struct err *err)
{
    struct str rest = str_of(folder), step;
    auto_close int fd = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && rest.len && str_split(&rest, '/', &step)) {
        auto_free char *name = str_dup(step);
        const int next = open_step(fd, name, creates);
        const int cause = errno;
        close(fd);
        fd = next;
        errno = cause;
    }
    if (fd < 0)
        return err_errno(err, errno, "can't open folder %s of %s", folder, cache->path);
    const int kept = fd;
    fd = -1;
    return kept;
}

int cache_open_parent(const struct cache *cache, const char *path, bool creates,
                      const char **ret_name, struct err *err)
{
    const char *slash = strrchr(path, '/');
    *ret_name = slash ? slash + 1 : path;
    auto_free char *folder = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup("");
    return cache_open_folder(cache, folder, creates, err);
}

int cache_stat(const struct cache *cache, const char *folder, const char *name, struct stat *ret)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    const char *last;
    auto_close int fd = cache_open_parent(cache, path, false, &last, NULL);
    if (fd < 0)
        return fd;
    if (fstatat(fd, last, ret, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISREG(ret->st_mode) ? 0 : -EINVAL;
}

/* ---- small files ---- */

static int write_fd(int fd, struct str content)
{
    while (content.len) {
        const ssize_t n = write(fd, content.ptr, content.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            content = str_skip(content, (size_t)n);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* A new file with a name that nobody else has; `*ret_name` is owned. Returns 0 or -errno. */
static int write_unnamed(int folder, const char *stem, struct str content, char **ret_name)
{
    auto_free char *uuid = random_uuid();
    auto_free char *name = mem_printf(".%s.%s", stem, uuid);
    auto_close int fd =
        openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return -errno;
    const int rc = write_fd(fd, content);
    if (rc < 0)
        unlinkat(folder, name, 0);
    else
        *ret_name = TAKE(name);
    return rc;
}

int cache_write(const struct cache *cache, const char *path, struct str content, struct err *err)
{
    const char *name;
    auto_close int folder = cache_open_parent(cache, path, true, &name, err);
    if (folder < 0)
        return folder;
    auto_free char *fresh = NULL;
    int rc = write_unnamed(folder, name, content, &fresh);
    if (rc == 0 && renameat(folder, fresh, folder, name) < 0) {
        rc = -errno;
        unlinkat(folder, fresh, 0);
    }
    if (rc == 0 && fsync(folder) < 0)
        rc = -errno;
    return rc < 0 ? err_errno(err, -rc, "can't write %s/%s", cache->path, path) : 0;
}

int cache_read(const struct cache *cache, const char *path, size_t max, struct buf *ret,
               struct err *err)
{
    enum { STEP = 16384 };
    const char *name;
    auto_close int folder = cache_open_parent(cache, path, false, &name, err);
    if (folder < 0)
        return folder;
    auto_close int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s/%s", cache->path, path);
    for (buf_clear(ret); ret->len <= max;) {
        const ssize_t n = read(fd, buf_reserve(ret, STEP), STEP);
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "can't read %s/%s", cache->path, path);
        if (n == 0)
            return 0;
        if (n > 0)
            buf_grew(ret, (size_t)n);
    }
    return err_set(err, ERR_TOO_LARGE, "%s/%s is larger than %zu bytes", cache->path, path, max);
}

/* ---- whose it is ---- */

static bool is_uuid(struct str text)
{
    if (text.len != CACHE_ID_MAX - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text.ptr[i] != '-' : !strchr("0123456789abcdef", text.ptr[i]))
            return false;
    }
    return true;
}

static int read_id(const struct cache *cache, char ret[CACHE_ID_MAX], struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    const int rc = cache_read(cache, ID_FILE, ID_FILE_MAX, &text, err);
    if (rc < 0)
        return rc;
    const struct str id = str_trim(buf_str(&text));
    if (!is_uuid(id))
        return err_set(err, ERR_INVALID,
                       "%s/" ID_FILE " holds no uuid; remove it to make a new one", cache->path);
    memcpy(ret, id.ptr, id.len);
    ret[id.len] = '\0';
    return 0;
}

/* link() doesn't replace what another worker was faster to make. */
static int make_id(const struct cache *cache, struct err *err)
{
    auto_free char *uuid = random_uuid();
    auto_free char *text = mem_printf("%s\n", uuid);
    auto_free char *fresh = NULL;
    int rc = write_unnamed(cache->fd, "storage", str_of(text), &fresh);
    if (rc == 0) {
        if (linkat(cache->fd, fresh, cache->fd, ID_FILE, 0) < 0 && errno != EEXIST)
            rc = -errno;
        unlinkat(cache->fd, fresh, 0);
    }
    if (rc == 0 && fsync(cache->fd) < 0)
        rc = -errno;
    return rc < 0 ? err_errno(err, -rc, "can't write into cache folder %s", cache->path) : 0;
}

int cache_storage_id(const struct cache *cache, char ret[CACHE_ID_MAX], struct err *err)
{
    int rc = read_id(cache, ret, err);
    if (rc != -ENOENT)
        return rc;
    rc = make_id(cache, err);
    return rc < 0 ? rc : read_id(cache, ret, err);
}

/* ---- removing ---- */

/* The folders above `path`, from below, as long as they are empty. */
static void remove_folders(const struct cache *cache, const char *keep, const char *path)
{
    auto_free char *at = mem_strdup(path);
    for (char *slash = strrchr(at, '/'); slash; slash = strrchr(at, '/')) {
        *slash = '\0';
        const char *name;
        if (strcmp(at, keep) == 0)
            return;
        auto_close int parent = cache_open_parent(cache, at, false, &name, NULL);
        if (parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) < 0)
            return;
    }
}

int cache_remove(const struct cache *cache, const char *keep, const char *path, struct err *err)
{
    const char *name;
    auto_close int folder = cache_open_parent(cache, path, false, &name, err);
    if (folder == -ENOENT)
        return 0;
    if (folder < 0)
        return folder;
    if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
        return err_errno(err, errno, "can't remove %s/%s", cache->path, path);
    remove_folders(cache, keep, path);
    return 0;
}

uint64_t cache_available(const struct cache *cache)
{
    struct statvfs room;
    return fstatvfs(cache->fd, &room) == 0 ? (uint64_t)room.f_bavail * room.f_frsize : 0;
}
