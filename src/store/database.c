/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { BUSY_TIMEOUT_MS = 5000 }; /* an operator may look into the file with the sqlite3 program */

static int code_of(int sqlite_code)
{
    switch (sqlite_code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return ERR_EXISTS;
    }
    switch (sqlite_code & 0xff) {
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    }
    return -EIO;
}

int db_fail(sqlite3 *db, struct err *err)
{
    return err_set(err, code_of(sqlite3_extended_errcode(db)), "%s", sqlite3_errmsg(db));
}

int db_exec(sqlite3 *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, err);
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    return rc == SQLITE_OK ? 0 : db_fail(db, err);
}

int db_run(sqlite3 *db, sqlite3_stmt *statement, struct err *err)
{
    int rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : db_fail(db, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

int db_query_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db, sql, &statement, err);
    if (rc < 0)
        return rc;
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW || step == SQLITE_DONE)
        *ret = step == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    else
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    return rc;
}

/* SQLite would create the file by umask; it gives its WAL the mode of the file. */
static int make_private(const char *path, struct err *err)
{
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "can't open database %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0 || ((st.st_mode & 0077) && fchmod(fd, 0600) < 0))
        return err_errno(err, errno, "can't make database %s private", path);
    return 0;
}

/* First column of the pragma's first row equals `expected`. */
static int expect_text(sqlite3 *db, const char *pragma, const char *expected, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db, pragma, &statement, err);
    if (rc < 0)
        return rc;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (!text || strcmp(text, expected) != 0)
            rc = err_set(err, -EBADMSG, "%s: %s", pragma, text ? text : "no answer");
    } else {
        rc = db_fail(db, err);
    }
    sqlite3_finalize(statement);
    return rc;
}

/*
 * Looks for damage in what control loads. Usage is left out: it may be gigabytes, and a start
 * that reads them all takes minutes.
 */
static int check_tables(sqlite3 *db, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db,
                        "SELECT 'PRAGMA quick_check(\"' || name || '\")' FROM sqlite_schema"
                        " WHERE type = 'table' AND name NOT GLOB 'usage_*'",
                        &statement, err);
    if (rc < 0)
        return rc;
    int step = SQLITE_DONE;
    while (rc == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        rc = expect_text(db, (const char *)sqlite3_column_text(statement, 0), "ok", err);
    if (rc == 0 && step != SQLITE_DONE)
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    return rc;
}

static int prepare_connection(sqlite3 *db, struct err *err)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    /* Half a MiB of pages: the whole state is read once, at start; later there are writes only. */
    int rc =
        db_exec(db, "PRAGMA synchronous=FULL; PRAGMA cache_size=-512; PRAGMA mmap_size=0", err);
    return rc == 0 ? check_tables(db, err) : rc;
}

int db_set_modes(sqlite3 *db, struct err *err)
{
    int rc = expect_text(db, "PRAGMA journal_mode=WAL", "wal", err);
    return rc == 0 ? db_exec(db, "PRAGMA foreign_keys=ON", err) : rc;
}

int db_open(const char *path, sqlite3 **ret, struct err *err)
{
    int rc = make_private(path, err);
    if (rc < 0)
        return rc;
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        rc = prepare_connection(db, err);
    else
        rc = db_fail(db, err);
    if (rc < 0) {
        sqlite3_close(db);
        return err_wrap(err, rc, "database %s", path);
    }
    *ret = db;
    return 0;
}
