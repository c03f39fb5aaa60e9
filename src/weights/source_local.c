/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of this machine. Links to files are followed, as engines do (a Hugging Face cache holds
 * nothing else); links to folders aren't, so that a walk ends and stays below its folder.
 */
#include "weights/gguf_split.h"
#include "weights/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDER_DEPTH_MAX = 8 };

struct local_source {
    struct source base;
    int folder;                      /* owned; that names are relative to */
    const struct source_file *open;  /* the file that `fd` is */
    int fd;                          /* owned; -1: none */
    char *path;                      /* owned; of the folder, for texts */
};

/* ---- reading ---- */

static int open_file(struct local_source *local, const struct source_file *file, struct err *err)
{
    if (local->open == file)
        return 0;
    if (local->fd >= 0)
        close(local->fd);
    local->open = NULL;
    local->fd = openat(local->folder, file->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (local->fd < 0)
        return err_errno(err, errno, "%s/%s", local->path, file->name);
    local->open = file;
    return 0;
}

static int local_read(struct source *source, const struct source_file *file, uint64_t offset,
                      size_t n, struct buf *out, struct err *err)
{
    struct local_source *local = CONTAINER_OF(source, struct local_source, base);
    const int rc = open_file(local, file, err);
    if (rc < 0)
        return rc;
    while (n > 0) {
        const ssize_t got = pread(local->fd, buf_reserve(out, n), n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "%s/%s", local->path, file->name);
        if (got == 0)
            return 0;
        buf_grew(out, (size_t)got);
        offset += (size_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static void local_free(struct source *source)
{
    struct local_source *local = CONTAINER_OF(source, struct local_source, base);
    if (local->folder >= 0)
        close(local->folder);
    if (local->fd >= 0)
        close(local->fd);
    free(local->path);
    free(local);
}

static const struct source_ops local_ops = {.read = local_read, .free = local_free};

static struct local_source *local_new(const char *path)
{
    struct local_source *local = mem_alloc(sizeof *local);
    local->base.ops = &local_ops;
    local->base.is_local = true;
    local->folder = -1;
    local->fd = -1;
    local->path = mem_strdup(path);
    return local;
}

static int open_folder(struct local_source *local, struct err *err)
{
    local->folder = open(local->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return local->folder < 0 ? err_errno(err, errno, "%s", local->path) : 0;
}

/* ---- finding ---- */

static int add_file(struct local_source *local, const char *name, const struct stat *st,
                    struct err *err)
{
    struct source *source = &local->base;
    if (source->file_count == SOURCE_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s holds more than %d files", local->path,
                       SOURCE_FILES_MAX);
    if ((source->file_count & (source->file_count - 1)) == 0) { /* room doubles */
        const size_t room = source->file_count ? source->file_count * 2 : 1;
        source->files = mem_resize(source->files, room * sizeof *source->files);
    }
    source->files[source->file_count++] = (struct source_file){
        .name = mem_strdup(name),
        .bytes = (uint64_t)st->st_size,
        .modified_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec};
    return 0;
}

static int walk(struct local_source *local, const char *below, int depth, struct err *err);

/* One entry of a folder; what can't be looked at (a link to nothing) is passed over. */
static int visit(struct local_source *local, const char *name, int depth, struct err *err)
{
    struct stat st;
    if (fstatat(local->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return depth < FOLDER_DEPTH_MAX ? walk(local, name, depth + 1, err) : 0;
    if (strlen(name) >= SOURCE_NAME_MAX || fstatat(local->folder, name, &st, 0) < 0 ||
        !S_ISREG(st.st_mode))
        return 0;
    return add_file(local, name, &st, err);
}

/* All files of a folder and those below it but for hidden ones; `below` is "" at the top. */
static int walk(struct local_source *local, const char *below, int depth, struct err *err)
{
    const int fd = openat(local->folder, *below ? below : ".",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder)
        return err_errno(err, errno, "%s/%s", local->path, below);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        auto_free char *name = mem_printf("%s%s%s", below, *below ? "/" : "", entry->d_name);
        rc = visit(local, name, depth, err);
    }
    closedir(folder);
    return rc;
}

static int add_by_name(struct local_source *local, const char *name, struct err *err)
{
    struct stat st;
    if (fstatat(local->folder, name, &st, 0) < 0)
        return err_errno(err, errno, "%s/%s", local->path, name);
    return add_file(local, name, &st, err);
}

static int add_parts(struct local_source *local, const char *name, struct err *err)
{
    struct gguf_split split;
    if (!gguf_split_parse(str_of(name), &split))
        return add_by_name(local, name, err);
    int rc = 0;
    for (unsigned part = 1; rc == 0 && part <= split.count; part++) {
        auto_free char *sibling = gguf_split_name(&split, part);
        rc = add_by_name(local, sibling, err);
    }
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct source_file *)a)->name, ((const struct source_file *)b)->name);
}

static int open_tree(struct local_source *local, struct err *err)
{
    int rc = open_folder(local, err);
    if (rc == 0)
        rc = walk(local, "", 0, err);
    if (rc == 0 && local->base.file_count > 0)
        qsort(local->base.files, local->base.file_count, sizeof *local->base.files,
              compare_names);
    return rc;
}

static int finish(struct local_source *local, int rc, struct source **ret)
{
    if (rc < 0)
        source_free(&local->base);
    else
        *ret = &local->base;
    return rc;
}

int source_open_path(const char *path, struct source **ret, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "%s", path);
    if (S_ISDIR(st.st_mode)) {
        struct local_source *local = local_new(path);
        return finish(local, open_tree(local, err), ret);
    }
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is neither a file nor a folder", path);
    const char *slash = strrchr(path, '/');
    auto_free char *folder = !slash            ? mem_strdup(".")
                             : slash == path ? mem_strdup("/")
                                             : mem_strndup(path, (size_t)(slash - path));
    struct local_source *local = local_new(folder);
    int rc = open_folder(local, err);
    if (rc == 0)
        rc = add_parts(local, slash ? slash + 1 : path, err);
    return finish(local, rc, ret);
}
