/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails when it is told to, and a folder of a test's own. */
#pragma once

#include "base/file.h"
#include "gateway/disk_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

/* 0: well. The journal's thread reads them, the test sets them. */
static atomic_int open_error, write_error, sync_error;
static atomic_long write_room = LONG_MAX; /* bytes until the disk is full */
static atomic_uint syncs, failures;

static int fault_open(const char *path, int flags, mode_t mode)
{
    if (open_error) {
        failures++;
        errno = open_error;
        return -1;
    }
    return open(path, flags, mode);
}

static ssize_t fault_write(int fd, const void *data, size_t n)
{
    long room = write_room;
    if (write_error || room == 0) {
        failures++;
        errno = write_error ? write_error : ENOSPC;
        return -1;
    }
    if ((long)n > room)
        n = (size_t)room;
    if (room != LONG_MAX)
        write_room -= (long)n;
    return write(fd, data, n);
}

static int fault_sync(int fd)
{
    syncs++;
    if (sync_error) {
        failures++;
        errno = sync_error;
        return -1;
    }
    return fdatasync(fd);
}

static const struct disk_ops fault_disk = {
    .open = fault_open, .write = fault_write, .sync = fault_sync};

static inline void fault_disk_heal(void)
{
    open_error = write_error = sync_error = 0;
    write_room = LONG_MAX;
    failures = 0;
}

static inline char *folder_new(void)
{
    char *dir = mem_strdup("/tmp/gateway-journal-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void folder_free(char *dir)
{
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

static inline char *content_of(const char *dir, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);
    struct buf content = {0};
    assert_int_equal(file_read(path, 64 << 20, &content, NULL), 0);
    return buf_take(&content);
}
