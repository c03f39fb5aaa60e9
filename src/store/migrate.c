/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/num.h"
#include "store/store_priv.h"

#include <assert.h>

/* The number that a file's name begins with; -1 without one. */
static int64_t number_of(const struct embedded_file *migration)
{
    int64_t number = -1;
    size_t digits = strspn(migration->name, "0123456789");
    return num_parse_i64(str_sub(migration->name, digits), 1, INT32_MAX, &number) < 0 ? -1 : number;
}

/* Migrations are numbered without gaps; number and place in the list are the same thing. */
static int64_t count_migrations(const struct embedded_file *migrations)
{
    int64_t count = 0;
    for (; migrations[count].name; count++)
        assert(number_of(&migrations[count]) == count + 1);
    return count;
}

/* 0 for a file without anything in it. */
static int read_version(sqlite3 *db, const char *path, int64_t *ret, struct err *err)
{
    int64_t tables, ours;
    int rc = db_query_int(db, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc == 0)
        rc = db_query_int(db, "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'",
                          &ours, err);
    if (rc < 0)
        return err_wrap(err, rc, "database %s", path);
    if (tables == 0) {
        *ret = 0;
        return 0;
    }
    if (!ours)
        return err_set(err, ERR_INVALID, "%s is the database of another program", path);
    rc = db_query_int(db, "SELECT max(version) FROM schema_version", ret, err);
    return rc < 0 ? err_wrap(err, rc, "database %s", path) : 0;
}

static int refuse_newer(const char *path, int64_t version, int64_t known, struct err *err)
{
    auto_free char *copy = backup_path(path, known);
    auto_free char *way_back = file_exists(copy) ? mem_printf("the copy %s", copy)
                                                 : mem_strdup("a copy of the older version");
    return err_set(err, ERR_NEWER,
                   "database %s is of schema version %lld, this gpustack " GPUSTACK_VERSION
                   " knows up to %lld: start the newer gpustack, or restore %s",
                   path, (long long)version, (long long)known, way_back);
}

static int add_version(sqlite3 *db, int64_t version, const char *name, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db,
                        "INSERT INTO schema_version (version, name, applied_at)"
                        " VALUES (?1, ?2, CAST(strftime('%s', 'now') AS INTEGER) * 1000)",
                        &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, version);
    sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC);
    rc = db_run(db, statement, err);
    sqlite3_finalize(statement);
    return rc;
}

/* A migration may rebuild tables, so references are off while it runs and are checked behind it. */
static int check_references(sqlite3 *db, struct err *err)
{
    int64_t broken;
    int rc = db_query_int(db, "SELECT count(*) FROM pragma_foreign_key_check", &broken, err);
    if (rc == 0 && broken)
        rc = err_set(err, ERR_CONFLICT, "%lld rows refer to rows that don't exist",
                     (long long)broken);
    return rc;
}

static int apply_inside(sqlite3 *db, const struct embedded_file *migration, int64_t version,
                        struct err *err)
{
    int rc = db_exec(db,
                     "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY "
                     "KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT",
                     err);
    if (rc == 0)
        rc = db_exec(db, (const char *)migration->data, err);
    if (rc == 0)
        rc = add_version(db, version, migration->name, err);
    if (rc == 0)
        rc = check_references(db, err);
    return rc == 0 ? db_exec(db, "COMMIT", err) : rc;
}

static int apply(sqlite3 *db, const struct embedded_file *migration, int64_t version,
                 struct err *err)
{
    int rc = db_exec(db, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = apply_inside(db, migration, version, err);
    if (rc < 0 && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int migrate(sqlite3 *db, const char *path, const struct embedded_file *migrations, struct err *err)
{
    int64_t version, known = count_migrations(migrations);
    int rc = read_version(db, path, &version, err);
    if (rc == 0 && version > known)
        rc = refuse_newer(path, version, known, err);
    if (rc == 0 && version > 0 && version < known)
        rc = backup_write(db, path, version, err);
    for (; rc == 0 && version < known; version++) {
        rc = apply(db, &migrations[version], version + 1, err);
        if (rc < 0)
            err_wrap(err, rc, "database %s: migration %s", path, migrations[version].name);
    }
    return rc;
}
