/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof that an acknowledged commit survives a kill.
 *
 *     store_crash write DB      commits without end and writes the number of each durable commit to
 *                               stdout, one a line; meant to be killed
 *     store_crash check DB N    commits 1..N must be there, each whole, and the file must be sound
 *
 * Commit N puts user N and session N, so that a torn one shows.
 */
#include "base/num.h"
#include "domain/user.h"
#include "store/store.h"

#include <err.h>
#include <sqlite3.h>
#include <stdio.h>

enum { IN_FLIGHT = 8 }; /* commits that wait at the same time: some share an fsync */

struct writer {
    struct store *store;
    int64_t next, acknowledged;
};

static struct store *open_store(const char *path)
{
    struct store *store;
    struct err err = {0};
    if (store_open(&(struct store_options){.path = path}, &store, &err) < 0)
        errx(1, "%s", err.text);
    return store;
}

/* ---- write ---- */

static void on_done(int rc, const char *text, void *ctx);

static void commit_next(struct writer *writer)
{
    char name[32];
    int64_t number = writer->next++;
    snprintf(name, sizeof name, "n%lld", (long long)number);
    struct user user = {.id = number, .username = name, .is_active = true};
    struct session session = {.id = number, .user_id = number, .token_digest = name};
    struct store_txn *txn = store_txn_new(writer->store);
    store_txn_put(txn, &user_type, &user);
    store_txn_put(txn, &session_type, &session);
    store_txn_commit(txn, on_done, writer);
}

static void on_done(int rc, const char *text, void *ctx)
{
    struct writer *writer = ctx;
    if (rc < 0)
        errx(1, "commit %lld: %s", (long long)writer->acknowledged + 1, text);
    dprintf(STDOUT_FILENO, "%lld\n", (long long)++writer->acknowledged);
    commit_next(writer);
}

static void write_forever(const char *path)
{
    struct writer writer = {.store = open_store(path)};
    struct err err = {0};
    if (store_last_id(writer.store, &user_type, &writer.acknowledged, &err) < 0)
        errx(1, "%s", err.text);
    writer.next = writer.acknowledged + 1;
    struct loop *loop = loop_new(&clock_system);
    store_start(writer.store, loop);
    for (int i = 0; i < IN_FLIGHT; i++)
        commit_next(&writer);
    loop_run(loop);
}

/* ---- check ---- */

static void expect_next(void *record, void *ctx)
{
    int64_t *last = ctx, id = *(const int64_t *)record;
    if (id != ++*last)
        errx(1, "row %lld is missing", (long long)*last);
}

static int64_t count_rows(struct store *store, const struct record_type *type)
{
    int64_t last = 0;
    struct err err = {0};
    if (store_load(store, type, expect_next, &last, &err) < 0)
        errx(1, "%s", err.text);
    return last;
}

static void check_file(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        errx(1, "%s", sqlite3_errmsg(db));
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    if (strcmp(text, "ok") != 0)
        errx(1, "integrity_check: %s", text);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void check(const char *path, int64_t acknowledged)
{
    struct store *store = open_store(path);
    int64_t users = count_rows(store, &user_type), sessions = count_rows(store, &session_type);
    store_close(store);
    if (users != sessions)
        errx(1, "%lld users but %lld sessions: a torn commit", (long long)users,
             (long long)sessions);
    if (users < acknowledged)
        errx(1, "commit %lld was acknowledged, but the last is %lld", (long long)acknowledged,
             (long long)users);
    check_file(path);
}

int main(int argc, char **argv)
{
    int64_t acknowledged;
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        write_forever(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "check") == 0 &&
             num_parse_i64(str_of(argv[3]), 0, INT64_MAX, &acknowledged) == 0)
        check(argv[2], acknowledged);
    else
        errx(2, "usage: store_crash write DB | check DB N");
    return 0;
}
