/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: migrations, copies, and everything that is refused. */
#include "base/file.h"
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SQL(name, text)                                                                            \
    {                                                                                              \
        name, (const unsigned char *)(text), sizeof(text) - 1                                      \
    }

#define FIRST SQL("0001_first.sql", "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT);")

static const struct embedded_file one[] = {FIRST, {0}};
static const struct embedded_file two[] = {
    FIRST, SQL("0002_more.sql", "CREATE TABLE more (a TEXT); DELETE FROM settings;"), {0}};
static const struct embedded_file broken[] = {
    FIRST, SQL("0002_broken.sql", "DELETE FROM settings; CREATE TABLE settings (a);"), {0}};
static const struct embedded_file dangling[] = {
    FIRST,
    SQL("0002_dangling.sql",
        "CREATE TABLE child (p INTEGER REFERENCES parent (id)); INSERT INTO child VALUES (1);"
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"),
    {0}};

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

/* A database of the first version with the setting k=v. */
static void make_first(void)
{
    struct store *store = fixture_open(one, NULL);
    assert_int_equal(store_put_setting(store, "k", "v", NULL), 0);
    store_close(store);
}

static void assert_setting(const struct embedded_file *migrations, const char *value)
{
    struct store *store = fixture_open(migrations, NULL);
    auto_free char *found = NULL;
    assert_int_equal(store_get_setting(store, "k", &found, NULL), 0);
    if (value)
        assert_string_equal(found, value);
    else
        assert_null(found);
    store_close(store);
}

static int64_t query(const char *path, const char *sql)
{
    sqlite3 *db;
    int64_t value;
    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(db_query_int(db, sql, &value, NULL), 0);
    sqlite3_close(db);
    return value;
}

static void test_created_private_and_migrated(void **state)
{
    umask(0);
    struct store *store = fixture_open(schema_files, NULL);
    auto_free char *wal = mem_printf("%s-wal", fixture.path);
    auto_free char *lock = mem_printf("%s.lock", fixture.path);
    assert_int_equal(store_put_setting(store, "k", "v", NULL), 0);
    assert_int_equal(mode_of(fixture.path), 0600);
    assert_int_equal(mode_of(wal), 0600);
    assert_int_equal(mode_of(lock), 0600);
    store_close(store);
    int64_t count = 0;
    while (schema_files[count].name)
        count++;
    assert_int_equal(query(fixture.path, "SELECT max(version) FROM schema_version"), count);
    assert_int_equal(query(fixture.path, "SELECT count(*) FROM schema_version"), count);
    assert_setting(schema_files, "v");
}

static void test_open_mode_is_tightened(void **state)
{
    make_first();
    assert_int_equal(chmod(fixture.path, 0644), 0);
    assert_setting(one, "v");
    assert_int_equal(mode_of(fixture.path), 0600);
}

static void test_copy_before_migration(void **state)
{
    make_first();
    auto_free char *copy = backup_path(fixture.path, 1);
    assert_false(file_exists(copy));
    assert_setting(two, NULL); /* 0002 deletes it */
    assert_int_equal(mode_of(copy), 0600);
    assert_int_equal(query(copy, "SELECT count(*) FROM settings"), 1);
    assert_int_equal(query(copy, "SELECT max(version) FROM schema_version"), 1);
    assert_int_equal(query(fixture.path, "SELECT max(version) FROM schema_version"), 2);
}

static void test_no_copy_without_migration(void **state)
{
    make_first();
    assert_setting(one, "v");
    auto_free char *none = backup_path(fixture.path, 0), *first = backup_path(fixture.path, 1);
    assert_false(file_exists(none));
    assert_false(file_exists(first));
}

static void test_newer_is_refused(void **state)
{
    make_first();
    store_close(fixture_open(two, NULL));
    struct err err = {0};
    assert_null(fixture_open(one, &err));
    assert_int_equal(err.code, ERR_NEWER);
    auto_free char *text =
        mem_printf("database %s is of schema version 2, this gpustack " GPUSTACK_VERSION
                   " knows up to 1: start the newer gpustack, or restore the copy %s.backup-v1",
                   fixture.path, fixture.path);
    assert_string_equal(err.text, text);
    assert_int_equal(query(fixture.path, "SELECT max(version) FROM schema_version"), 2);
}

static void test_failed_migration_changes_nothing(void **state)
{
    static const struct {
        const struct embedded_file *migrations;
        const char *text;
    } rows[] = {
        {broken, "migration 0002_broken.sql: table settings already exists"},
        {dangling, "migration 0002_dangling.sql: 1 rows refer to rows that don't exist"},
    };
    make_first();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        assert_null(fixture_open(rows[i].migrations, &err));
        assert_non_null(strstr(err.text, rows[i].text));
        assert_non_null(strstr(err.text, fixture.path));
        assert_int_equal(query(fixture.path, "SELECT max(version) FROM schema_version"), 1);
        assert_setting(one, "v");
    }
}

static void test_second_opener_is_refused(void **state)
{
    struct store *store = fixture_open(one, NULL);
    struct err err = {0};
    assert_null(fixture_open(one, &err));
    auto_free char *text =
        mem_printf("database %s is in use by process %d", fixture.path, (int)getpid());
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.text, text);
    store_close(store);
    store_close(fixture_open(one, NULL));
}

static void test_network_file_systems(void **state)
{
    static const struct {
        uint64_t magic;
        const char *name; /* NULL: opens */
    } rows[] = {{0x6969, "NFS"},   {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
                {0x517b, "SMB"},   {0xef53, NULL},       {0x65735546 /* FUSE */, NULL},
                {0x58465342, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        fixture.magic = rows[i].magic;
        struct store *store = fixture_open(one, &err);
        assert_true((store == NULL) == (rows[i].name != NULL));
        assert_true(store || strstr(err.text, rows[i].name));
        store_close(store);
    }
}

static void test_network_is_allowed_when_asked(void **state)
{
    struct store *store = NULL;
    struct store_seams seams = {one, fixture_magic};
    struct store_options options = {.path = fixture.path, .allow_network_fs = true};
    fixture.magic = 0x6969;
    assert_int_equal(store_open_with(&options, &seams, &store, NULL), 0);
    store_close(store);
}

static void test_damaged_and_foreign_files(void **state)
{
    struct err err = {0};
    assert_int_equal(file_write(fixture.path,
                                STR("not SQLite, but long enough to look at it: "
                                    "0123456789012345678901234567890123456789"
                                    "012345678901234567890123456789"),
                                0600, NULL),
                     0);
    assert_null(fixture_open(one, &err));
    assert_int_equal(err.code, -EBADMSG);
    assert_non_null(strstr(err.text, "file is not a database"));
    assert_int_equal(unlink(fixture.path), 0);

    sqlite3 *db;
    assert_int_equal(sqlite3_open(fixture.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_null(fixture_open(one, &err));
    assert_non_null(strstr(err.text, "is the database of another program"));
}

static void test_missing_folder(void **state)
{
    struct store *store = NULL;
    struct err err = {0};
    assert_true(store_open(&(struct store_options){.path = "/nonexistent/x.db"}, &store, &err) < 0);
    assert_string_equal(err.text,
                        "can't open database /nonexistent/x.db: No such file or directory");
}

static void test_real_file_system(void **state)
{
    struct store *store = NULL;
    struct err err = {0};
    struct store_options options = {.path = fixture.path, .allow_network_fs = true};
    assert_int_equal(store_open(&options, &store, &err), 0);
    store_close(store);
}

static void test_settings(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    char *value = (char *)1;
    assert_int_equal(store_get_setting(store, "a", &value, NULL), 0);
    assert_null(value);
    assert_int_equal(store_put_setting(store, "a", "it's", NULL), 0);
    assert_int_equal(store_put_setting(store, "a", "it's 2", NULL), 0);
    assert_int_equal(store_get_setting(store, "a", &value, NULL), 0);
    assert_string_equal(value, "it's 2");
    free(value);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_created_private_and_migrated),
        STORE_TEST(test_open_mode_is_tightened),
        STORE_TEST(test_copy_before_migration),
        STORE_TEST(test_no_copy_without_migration),
        STORE_TEST(test_newer_is_refused),
        STORE_TEST(test_failed_migration_changes_nothing),
        STORE_TEST(test_second_opener_is_refused),
        STORE_TEST(test_network_file_systems),
        STORE_TEST(test_network_is_allowed_when_asked),
        STORE_TEST(test_damaged_and_foreign_files),
        STORE_TEST(test_missing_folder),
        STORE_TEST(test_real_file_system),
        STORE_TEST(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
