/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>

char *backup_path(const char *path, int64_t version)
{
    return mem_printf("%s.backup-v%lld", path, (long long)version);
}

static int create_private(const char *path, struct err *err)
{
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_errno(err, errno, "can't create %s", path) : 0;
}

/* Copies all pages into the open database `to`. */
static int copy_pages(sqlite3 *from, sqlite3 *to, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup) {
        (void)sqlite3_backup_step(backup, -1); /* its fault is in the code of finish */
        sqlite3_backup_finish(backup);
    }
    return sqlite3_errcode(to) == SQLITE_OK ? 0 : db_fail(to, err);
}

static int copy_into(sqlite3 *from, const char *path, struct err *err)
{
    int rc = create_private(path, err);
    if (rc < 0)
        return rc;
    sqlite3 *to = NULL;
    if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        rc = copy_pages(from, to, err);
    else
        rc = db_fail(to, err);
    sqlite3_close(to);
    return rc;
}

static int sync_folder_of(const char *path, struct err *err)
{
    auto_free char *copy = mem_strdup(path);
    auto_close int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? err_errno(err, errno, "can't sync the folder of %s", path) : 0;
}

int backup_write(sqlite3 *db, const char *path, int64_t version, struct err *err)
{
    auto_free char *target = backup_path(path, version);
    auto_free char *draft = mem_printf("%s.tmp", target);
    int rc = copy_into(db, draft, err);
    if (rc == 0 && rename(draft, target) < 0)
        rc = err_errno(err, errno, "can't rename to %s", target);
    if (rc == 0)
        rc = sync_folder_of(target, err);
    if (rc < 0) {
        unlink(draft);
        return err_wrap(err, rc, "backup %s", target);
    }
    return 0;
}
