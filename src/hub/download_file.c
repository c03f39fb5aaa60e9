/* SPDX-License-Identifier: Apache-2.0 */
/* One file: its part on the disk, taken over, filled, checked and put into its place. */
#include "hub/checksum.h"
#include "hub/download_priv.h"

#include "base/crc32c.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, OWN_CHECK_BYTES = 32 << 20, PART_MODE = 0644 };

/* ---- names of parts ---- */

char *part_content(const char *place, const struct manifest *manifest,
                   const struct listed_file *file)
{
    if (file->sum_kind != SUM_NONE)
        return mem_strdup(file->sum);
    auto_free char *text = mem_printf("%s %s %s", place, manifest->revision, file->name);
    return mem_printf("%08x.%llu", crc32c_of(str_of(text)), (unsigned long long)file->bytes);
}

static char *part_name(const char *content, int64_t lease)
{
    return mem_printf("%s-%lld.part", content, (long long)lease);
}

/* The lease in a part's name; 0: it is another content's. */
static int64_t lease_of(const char *name, const char *content)
{
    struct str rest = str_of(name);
    int64_t lease = 0;
    if (!str_has_prefix(rest, str_of(content)) || !str_has_suffix(rest, STR(".part")))
        return 0;
    rest = str_skip(rest, strlen(content));
    rest.len -= strlen(".part");
    if (!str_has_prefix(rest, STR("-")) ||
        num_parse_i64(str_skip(rest, 1), 1, INT64_MAX, &lease) < 0)
        return 0;
    return lease;
}

static int open_parts(const struct cache *cache, bool creates, struct err *err)
{
    return cache_open_folder(cache, CACHE_PARTS, creates, err);
}

static DIR *list_parts(int folder)
{
    const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

/* The highest lease of which a part is there; 0: none. */
static int64_t newest_lease(int folder, const char *content)
{
    DIR *dir = list_parts(folder);
    int64_t newest = 0;
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const int64_t lease = lease_of(entry->d_name, content);
        newest = lease > newest ? lease : newest;
    }
    if (dir)
        closedir(dir);
    return newest;
}

void part_remove(const struct cache *cache, const char *content, int64_t lease)
{
    auto_close int folder = open_parts(cache, false, NULL);
    DIR *dir = folder < 0 ? NULL : list_parts(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const int64_t own = lease_of(entry->d_name, content);
        if (own && (lease == 0 || own == lease))
            unlinkat(folder, entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

void parts_remove_old(const struct cache *cache, int64_t now_s)
{
    auto_close int folder = open_parts(cache, false, NULL);
    DIR *dir = folder < 0 ? NULL : list_parts(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct stat st;
        if (str_has_suffix(str_of(entry->d_name), STR(".part")) &&
            fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_mtime < now_s - DOWNLOAD_PARTS_KEPT_S)
            unlinkat(folder, entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

uint64_t part_bytes(const struct transfer *transfer, const struct manifest *manifest,
                    const struct listed_file *file)
{
    auto_free char *content = part_content(transfer->request->place, manifest, file);
    auto_close int folder = open_parts(transfer->cache, false, NULL);
    const int64_t lease = folder < 0 ? 0 : newest_lease(folder, content);
    auto_free char *name = part_name(content, lease);
    struct stat st;
    if (lease == 0 || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return (uint64_t)st.st_size <= file->bytes ? (uint64_t)st.st_size : 0;
}

/* ---- a part ---- */

struct part {
    struct transfer *transfer;
    const struct listed_file *file;
    struct checksum *checksum;
    int folder, fd; /* of the parts, of this one */
    char *name;     /* owned */
    uint64_t bytes; /* that it has */
    uint64_t checked; /* of these, when we last looked whether it is still ours */
    bool is_taken_over; /* its earlier writer may go on for a while */
};

static void part_close(struct part *part)
{
    if (part->fd >= 0)
        close(part->fd);
    if (part->folder >= 0)
        close(part->folder);
    checksum_free(part->checksum);
    free(part->name);
}

/* An older worker's becomes ours; of a newer worker's we keep off. */
static int take_over(struct part *part, const char *content)
{
    const int64_t own = part->transfer->request->lease;
    const int64_t newest = newest_lease(part->folder, content);
    if (newest > own)
        return transfer_fail(part->transfer, DOWNLOAD_LOST, ERR_CONFLICT,
                             "another worker fetches %s", part->file->name);
    if (newest == 0 || newest == own)
        return 0;
    auto_free char *older = part_name(content, newest);
    part->is_taken_over = true;
    if (renameat(part->folder, older, part->folder, part->name) < 0 && errno != ENOENT)
        return transfer_fail_disk(part->transfer, errno, part->name);
    return 0;
}

/* Reads what it has into the checksum. */
static int rehash(struct part *part)
{
    auto_free char *piece = mem_alloc(READ_BYTES);
    while (part->bytes < part->file->bytes) {
        if (atomic_load(&part->transfer->progress->is_stopped))
            return transfer_fail(part->transfer, DOWNLOAD_STOPPED, -ECANCELED, "stopped");
        const ssize_t n = pread(part->fd, piece, READ_BYTES, (off_t)part->bytes);
        if (n < 0 && errno != EINTR)
            return transfer_fail_disk(part->transfer, errno, part->name);
        if (n == 0)
            break;
        if (n > 0) {
            checksum_add(part->checksum, str_sub(piece, (size_t)n));
            part->bytes += (uint64_t)n;
            progress_set(part->transfer->progress, part->bytes);
        }
    }
    part->checked = part->bytes;
    return 0;
}

static int part_open(struct transfer *transfer, const struct manifest *manifest,
                     const struct listed_file *file, struct part *ret)
{
    struct err err = {0};
    struct stat st;
    auto_free char *content = part_content(transfer->request->place, manifest, file);
    *ret = (struct part){.transfer = transfer, .file = file, .fd = -1};
    ret->folder = open_parts(transfer->cache, true, &err);
    if (ret->folder < 0)
        return transfer_fail_disk(transfer, -ret->folder, CACHE_PARTS);
    ret->name = part_name(content, transfer->request->lease);
    const int rc = take_over(ret, content);
    if (rc < 0)
        return rc;
    ret->fd = openat(ret->folder, ret->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, PART_MODE);
    if (ret->fd < 0 || fstat(ret->fd, &st) < 0 ||
        ((uint64_t)st.st_size > file->bytes && ftruncate(ret->fd, 0) < 0))
        return transfer_fail_disk(transfer, errno, ret->name);
    ret->checksum = checksum_new(file->sum_kind, file->bytes);
    return rehash(ret);
}

/* Whether the name still leads to what we write. */
static bool is_ours(const struct part *part)
{
    struct stat named, own;
    return fstatat(part->folder, part->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(part->fd, &own) == 0 && named.st_ino == own.st_ino &&
           named.st_dev == own.st_dev;
}

static int check_ours(struct part *part)
{
    part->checked = part->bytes;
    return is_ours(part) ? 0
                         : transfer_fail(part->transfer, DOWNLOAD_LOST, ERR_CONFLICT,
                                         "another worker fetches %s", part->file->name);
}

static int write_all(struct part *part, struct str piece)
{
    while (piece.len) {
        const ssize_t n = pwrite(part->fd, piece.ptr, piece.len, (off_t)part->bytes);
        if (n < 0 && errno != EINTR)
            return transfer_fail_disk(part->transfer, errno, part->name);
        if (n > 0) {
            part->bytes += (uint64_t)n;
            piece = str_skip(piece, (size_t)n);
        }
    }
    return 0;
}

static int take_piece(struct str piece, void *ctx)
{
    struct part *part = ctx;
    if (atomic_load(&part->transfer->progress->is_stopped))
        return transfer_fail(part->transfer, DOWNLOAD_STOPPED, -ECANCELED, "stopped");
    checksum_add(part->checksum, piece);
    const int rc = write_all(part, piece);
    if (rc < 0)
        return rc;
    progress_set(part->transfer->progress, part->bytes);
    return part->bytes - part->checked >= OWN_CHECK_BYTES ? check_ours(part) : 0;
}

/* ---- filling it ---- */

static int fail_fetch(struct transfer *transfer, int rc, const struct err *err)
{
    if (rc == ERR_UNAUTHORIZED || rc == ERR_FORBIDDEN)
        return transfer_fail(transfer, DOWNLOAD_HUB_REFUSED, rc, "%s", err->text);
    if (rc == ERR_NOT_FOUND)
        return transfer_fail(transfer, DOWNLOAD_FILE_MISSING, rc, "%s", err->text);
    return transfer_fail(transfer, DOWNLOAD_HUB_UNREACHABLE, rc, "%s", err->text);
}

/* A connection that breaks is made anew, as long as each brings something. */
static int fill(struct part *part, const char *url)
{
    struct transfer *transfer = part->transfer;
    const struct fetch_request request = {
        .url = url, .origin = transfer->origin, .bearer = transfer->token};
    for (int tries = 0; part->bytes < part->file->bytes;) {
        struct err err = {0};
        const uint64_t before = part->bytes;
        const struct fetch_stream_params params = {.offset = part->bytes,
                                                   .total = part->file->bytes,
                                                   .sink = take_piece,
                                                   .ctx = part,
                                                   .stop = &transfer->progress->is_stopped};
        const int rc = fetch_stream(transfer->fetcher, &request, &params, &err);
        if (rc == 0 || transfer->result->fault != DOWNLOAD_DONE)
            return rc;
        if (rc == -ECANCELED)
            return transfer_fail(transfer, DOWNLOAD_STOPPED, rc, "stopped");
        tries = part->bytes > before ? 0 : tries + 1;
        const bool is_final = rc == ERR_UNAUTHORIZED || rc == ERR_FORBIDDEN || rc == ERR_NOT_FOUND;
        if (is_final || tries == DOWNLOAD_TRIES)
            return fail_fetch(transfer, rc, &err);
    }
    return 0;
}

/* ---- into its place ---- */

static int publish(struct part *part, const struct manifest *manifest)
{
    const struct cache *cache = part->transfer->cache;
    const char *name;
    auto_free char *path = mem_printf("%s/%s", manifest->folder, part->file->name);
    auto_close int folder = cache_open_parent(cache, path, true, &name, NULL);
    if (folder < 0)
        return transfer_fail_disk(part->transfer, -folder, path);
    if (fsync(part->fd) < 0)
        return transfer_fail_disk(part->transfer, errno, part->name);
    const int rc = check_ours(part);
    if (rc < 0)
        return rc;
    if (renameat(part->folder, part->name, folder, name) < 0 || fsync(folder) < 0)
        return transfer_fail_disk(part->transfer, errno, path);
    return 0;
}

static int mismatch(struct part *part)
{
    struct transfer *transfer = part->transfer;
    unlinkat(part->folder, part->name, 0);
    progress_set(transfer->progress, 0);
    free(transfer->result->file);
    transfer->result->file = mem_strdup(part->file->name);
    return transfer_fail(transfer, DOWNLOAD_CHECKSUM_MISMATCH, ERR_PROTOCOL,
                         "%s isn't what its hub says: the checksum differs; it is fetched again",
                         part->file->name);
}

/* What another one wrote meanwhile is on the disk only. */
static int verify_disk(struct part *part)
{
    checksum_free(part->checksum);
    part->checksum = checksum_new(part->file->sum_kind, part->file->bytes);
    part->bytes = 0;
    const int rc = rehash(part);
    if (rc < 0)
        return rc;
    return checksum_matches(part->checksum, part->file->sum) ? 0 : mismatch(part);
}

static int verify(struct part *part)
{
    progress_set_state(part->transfer->progress, DOWNLOAD_VERIFYING);
    if (!checksum_matches(part->checksum, part->file->sum))
        return mismatch(part);
    return part->is_taken_over ? verify_disk(part) : 0;
}

int transfer_file(struct transfer *transfer, const struct manifest *manifest,
                  const struct listed_file *file, const char *url)
{
    struct part part;
    int rc = part_open(transfer, manifest, file, &part);
    if (rc == 0)
        rc = fill(&part, url);
    if (rc == 0)
        rc = verify(&part);
    if (rc == 0)
        rc = publish(&part, manifest);
    part_close(&part);
    progress_set_state(transfer->progress, DOWNLOAD_FETCHING);
    return rc;
}

/* ---- what is there ---- */

bool transfer_has_content(struct transfer *transfer, const char *folder,
                          const struct listed_file *file)
{
    struct stat st;
    const char *name;
    auto_free char *path = mem_printf("%s/%s", folder, file->name);
    auto_close int parent = cache_open_parent(transfer->cache, path, false, &name, NULL);
    auto_close int fd =
        parent < 0 ? -1 : openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != file->bytes || file->sum_kind == SUM_NONE)
        return false;
    struct checksum *checksum = checksum_new(file->sum_kind, file->bytes);
    struct part part = {
        .transfer = transfer, .file = file, .checksum = checksum, .folder = -1, .fd = fd};
    progress_set_state(transfer->progress, DOWNLOAD_VERIFYING);
    const bool is_same = rehash(&part) == 0 && checksum_matches(checksum, file->sum);
    progress_set_state(transfer->progress, DOWNLOAD_FETCHING);
    progress_set(transfer->progress, is_same ? file->bytes : 0);
    checksum_free(checksum);
    return is_same;
}
