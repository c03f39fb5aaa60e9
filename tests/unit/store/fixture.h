/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own for each test, and short forms of what each test does with a store. */
#pragma once

#include "store/store_priv.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    char *folder, *path; /* owned */
    uint64_t magic;      /* the file system that the seam tells of */
    struct loop *loop;
    int left; /* commits that are not done */
    int rc;   /* of the last one done */
    char text[512];
};

static struct fixture fixture;

static inline int fixture_setup(void **state)
{
    char folder[] = "/tmp/gpustack-store-XXXXXX";
    assert_non_null(mkdtemp(folder));
    fixture = (struct fixture){.folder = mem_strdup(folder),
                               .path = mem_printf("%s/database.db", folder),
                               .loop = loop_new(&clock_system)};
    return 0;
}

static inline void fixture_remove_files(void)
{
    DIR *dir = opendir(fixture.folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0); /* refused for "." and ".." */
    closedir(dir);
}

static inline int fixture_teardown(void **state)
{
    loop_free(fixture.loop);
    fixture_remove_files();
    assert_int_equal(rmdir(fixture.folder), 0);
    free(fixture.folder);
    free(fixture.path);
    return 0;
}

static inline int fixture_magic(const char *path, uint64_t *ret)
{
    *ret = fixture.magic;
    return 0;
}

/* NULL and the text in `err` when it is refused. */
static inline struct store *fixture_open(const struct embedded_file *migrations, struct err *err)
{
    struct store *store = NULL;
    struct store_seams seams = {migrations, fixture_magic};
    int rc = store_open_with(&(struct store_options){.path = fixture.path}, &seams, &store, err);
    assert_true((rc == 0) == (store != NULL));
    return store;
}

static inline void fixture_done(int rc, const char *text, void *ctx)
{
    fixture.rc = rc;
    snprintf(fixture.text, sizeof fixture.text, "%s", text);
    if (--fixture.left == 0)
        loop_stop(fixture.loop);
}

/* Commits and waits; the outcome is in the fixture. Starts the store's thread at first use. */
static inline int fixture_commit(struct store_txn *txn)
{
    if (!txn->store->loop)
        store_start(txn->store, fixture.loop);
    fixture.left = 1;
    store_txn_commit(txn, fixture_done, NULL);
    loop_run(fixture.loop);
    return fixture.rc;
}

static inline int fixture_put(struct store *store, const struct record_type *type,
                              const void *record)
{
    struct store_txn *txn = store_txn_new(store);
    store_txn_put(txn, type, record);
    return fixture_commit(txn);
}

static inline int fixture_delete(struct store *store, const struct record_type *type, int64_t id)
{
    struct store_txn *txn = store_txn_new(store);
    store_txn_delete(txn, type, id);
    return fixture_commit(txn);
}

static inline void fixture_count_one(void *record, void *ctx)
{
    ++*(int *)ctx;
}

static inline int fixture_count(struct store *store, const struct record_type *type)
{
    int count = 0;
    assert_int_equal(store_load(store, type, fixture_count_one, &count, NULL), 0);
    return count;
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
