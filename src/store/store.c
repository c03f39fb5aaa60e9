/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "store/store_priv.h"

#include <errno.h>
#include <libgen.h>
#include <sys/vfs.h>

/* ---- open and close ---- */

static int magic_by_statfs(const char *path, uint64_t *ret)
{
    struct statfs fs;
    auto_free char *copy = mem_strdup(path);
    if (statfs(path, &fs) < 0 && (errno != ENOENT || statfs(dirname(copy), &fs) < 0))
        return -errno;
    *ret = (uint64_t)(unsigned)fs.f_type; /* 32 bits; some machines extend the sign */
    return 0;
}

static int check_place(const struct store_options *options, const struct store_seams *seams,
                       struct err *err)
{
    uint64_t magic;
    int rc = seams->fs_magic(options->path, &magic);
    if (rc < 0)
        return err_errno(err, -rc, "can't open database %s", options->path);
    return options->allow_network_fs ? 0 : place_check(options->path, magic, err);
}

static int open_database(struct store *store, const char *path, const struct store_seams *seams,
                         struct err *err)
{
    int rc = place_lock(path, &store->lock_fd, err);
    if (rc == 0)
        rc = db_open(path, &store->db, err);
    if (rc == 0)
        rc = migrate(store->db, path, seams->migrations, err);
    if (rc == 0)
        rc = db_set_modes(store->db, err);
    return rc;
}

int store_open_with(const struct store_options *options, const struct store_seams *seams,
                    struct store **ret, struct err *err)
{
    int rc = check_place(options, seams, err);
    if (rc < 0)
        return rc;
    struct store *store = mem_alloc(sizeof *store);
    store->lock_fd = -1;
    store->path = mem_strdup(options->path);
    pthread_mutex_init(&store->db_lock, NULL);
    pthread_mutex_init(&store->queue_lock, NULL);
    pthread_cond_init(&store->queue_changed, NULL);
    list_init(&store->queue);
    rc = open_database(store, options->path, seams, err);
    if (rc < 0)
        store_close(store);
    else
        *ret = store;
    return rc;
}

int store_open(const struct store_options *options, struct store **ret, struct err *err)
{
    static const struct store_seams real = {.migrations = schema_files,
                                            .fs_magic = magic_by_statfs};
    return store_open_with(options, &real, ret, err);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    writer_stop(store);
    rows_fini(&store->rows);
    usage_statements_fini(&store->usage);
    sqlite3_close(store->db);
    fd_close_slot(&store->lock_fd); /* after the database: this lets the next one in */
    pthread_cond_destroy(&store->queue_changed);
    pthread_mutex_destroy(&store->queue_lock);
    pthread_mutex_destroy(&store->db_lock);
    free(store->path);
    free(store);
}

/* ---- reading ---- */

int store_load(struct store *store, const struct record_type *type,
               void (*each)(void *record, void *ctx), void *ctx, struct err *err)
{
    pthread_mutex_lock(&store->db_lock);
    int rc = row_load(store->db, type, each, ctx, err);
    pthread_mutex_unlock(&store->db_lock);
    return rc < 0 ? err_wrap(err, rc, "can't load %s", type->table) : 0;
}

int store_last_id(struct store *store, const struct record_type *type, int64_t *ret,
                  struct err *err)
{
    auto_free char *sql =
        mem_printf("SELECT last_id FROM last_ids WHERE table_name = '%s'", type->table);
    pthread_mutex_lock(&store->db_lock);
    int rc = db_query_int(store->db, sql, ret, err);
    pthread_mutex_unlock(&store->db_lock);
    return rc < 0 ? err_wrap(err, rc, "can't load the last id of %s", type->table) : 0;
}

int store_load_sums(struct store *store, struct usage_sums *sums, struct err *err)
{
    pthread_mutex_lock(&store->db_lock);
    int rc = usage_sum(store->db, sums, err);
    pthread_mutex_unlock(&store->db_lock);
    return rc < 0 ? err_wrap(err, rc, "can't load sums of usage") : 0;
}

static int load_gateways(sqlite3 *db, void (*each)(const char *uuid, int64_t applied, void *ctx),
                         void *ctx, struct err *err)
{
    sqlite3_stmt *statement;
    int rc =
        db_prepare(db, "SELECT uuid, applied FROM usage_gateways ORDER BY id", &statement, err);
    if (rc < 0)
        return rc;
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        each((const char *)sqlite3_column_text(statement, 0), sqlite3_column_int64(statement, 1),
             ctx);
    if (step != SQLITE_DONE)
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    return rc;
}

int store_load_gateways(struct store *store,
                        void (*each)(const char *uuid, int64_t applied, void *ctx), void *ctx,
                        struct err *err)
{
    pthread_mutex_lock(&store->db_lock);
    int rc = load_gateways(store->db, each, ctx, err);
    pthread_mutex_unlock(&store->db_lock);
    return rc < 0 ? err_wrap(err, rc, "can't load usage_gateways") : 0;
}

/* ---- settings ---- */

static int query_setting(sqlite3 *db, const char *name, char **ret, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db, "SELECT value FROM settings WHERE name = ?1", &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        *ret = mem_strdup((const char *)sqlite3_column_text(statement, 0));
    else if (step == SQLITE_DONE)
        *ret = NULL;
    else
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    return rc;
}

int store_get_setting(struct store *store, const char *name, char **ret, struct err *err)
{
    pthread_mutex_lock(&store->db_lock);
    int rc = query_setting(store->db, name, ret, err);
    pthread_mutex_unlock(&store->db_lock);
    return rc < 0 ? err_wrap(err, rc, "can't load setting %s", name) : 0;
}

static int write_setting(sqlite3 *db, const char *name, const char *value, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db,
                        "INSERT INTO settings (name, value) VALUES (?1, ?2)"
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, value, -1, SQLITE_STATIC);
    rc = db_run(db, statement, err);
    sqlite3_finalize(statement);
    return rc;
}

int store_put_setting(struct store *store, const char *name, const char *value, struct err *err)
{
    pthread_mutex_lock(&store->db_lock);
    int rc = write_setting(store->db, name, value, err);
    pthread_mutex_unlock(&store->db_lock);
    return rc < 0 ? err_wrap(err, rc, "can't store setting %s", name) : 0;
}
