/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: all or nothing, in order, each with its own outcome. */
#include "domain/user.h"
#include "fixture.h"

#include <errno.h>
#include <sched.h>

enum { COMMITS = 200, FAULTY = 37 };

struct outcome {
    int number;
    int rc;
};

static struct {
    struct outcome of[COMMITS];
    int count, wanted;
} outcomes;

static void note(int rc, const char *text, void *ctx)
{
    assert_true((rc < 0) == (*text != '\0'));
    outcomes.of[outcomes.count].number = *(int *)ctx;
    outcomes.of[outcomes.count++].rc = rc;
    free(ctx);
    if (outcomes.count == outcomes.wanted)
        loop_stop(fixture.loop);
}

static void put_user(struct store_txn *txn, int id, const char *name)
{
    auto_free char *username = mem_strdup(name);
    struct user user = {.id = id, .username = username};
    store_txn_put(txn, &user_type, &user);
}

static void commit(struct store_txn *txn, int number)
{
    int *ctx = mem_alloc(sizeof *ctx);
    *ctx = number;
    store_txn_commit(txn, note, ctx);
}

/* Commit `number` puts user `number`; FAULTY also one whose name is taken. */
static void commit_many(struct store *store)
{
    outcomes.count = 0;
    outcomes.wanted = COMMITS;
    for (int number = 1; number <= COMMITS; number++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", number);
        struct store_txn *txn = store_txn_new(store);
        put_user(txn, number, name);
        if (number == FAULTY)
            put_user(txn, 1000 + number, "n1");
        commit(txn, number);
    }
}

static void test_order_and_outcomes(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    store_start(store, fixture.loop);
    commit_many(store);
    loop_run(fixture.loop);
    for (int i = 0; i < COMMITS; i++) {
        assert_int_equal(outcomes.of[i].number, i + 1);
        int want = i + 1 < FAULTY ? 0 : i + 1 == FAULTY ? ERR_EXISTS : ERR_UNAVAILABLE;
        assert_int_equal(outcomes.of[i].rc, want);
    }
    assert_int_equal(fixture_count(store, &user_type), FAULTY - 1);
    store_close(store);
}

static void test_close_writes_what_was_committed(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    store_start(store, fixture.loop);
    commit_many(store);
    store_close(store);
    loop_run(fixture.loop); /* the replies outlive the store */
    assert_int_equal(outcomes.count, COMMITS);
    store = fixture_open(schema_files, NULL);
    assert_int_equal(fixture_count(store, &user_type), FAULTY - 1);
    store_close(store);
}

static void test_failed_commit_says_why(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    struct store_txn *txn = store_txn_new(store);
    put_user(txn, 1, "a");
    put_user(txn, 2, "a");
    assert_int_equal(fixture_commit(txn), ERR_EXISTS);
    assert_string_equal(fixture.text, "user 2: UNIQUE constraint failed: users.username");
    assert_int_equal(fixture_count(store, &user_type), 0);
    store_close(store);
    store = fixture_open(schema_files, NULL);
    char name[] = "k";
    struct api_key orphan = {
        .id = 1, .name = name, .user_id = 9, .access_key = name, .secret_digest = name};
    assert_int_equal(fixture_put(store, &api_key_type, &orphan), ERR_CONFLICT);
    assert_string_equal(fixture.text, "api-key 1: FOREIGN KEY constraint failed");
    int64_t last;
    assert_int_equal(store_last_id(store, &api_key_type, &last, NULL), 0);
    assert_int_equal(last, 0);
    store_close(store);
}

/* Some faults end the whole transaction under the savepoints, as a full disk does. */
static void test_fault_that_ends_the_batch(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    assert_int_equal(db_exec(store->db,
                             "CREATE TRIGGER fault BEFORE INSERT ON users WHEN NEW.id = 3"
                             " BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END",
                             NULL),
                     0);
    outcomes.count = 0;
    outcomes.wanted = 4;
    pthread_mutex_lock(&store->db_lock); /* so that what follows waits and becomes a batch */
    store_start(store, fixture.loop);
    for (int number = 1; number <= 4; number++) {
        static const char *const names[] = {"a", "b", "c", "d"};
        struct store_txn *txn = store_txn_new(store);
        put_user(txn, number, names[number - 1]);
        commit(txn, number);
    }
    pthread_mutex_unlock(&store->db_lock);
    loop_run(fixture.loop);
    /* The thread may have taken the first ones before the others came; what was acknowledged must
     * be stored, what wasn't must not. */
    int acknowledged = 0;
    for (int i = 0; i < 4; i++)
        acknowledged += outcomes.of[i].rc == 0;
    assert_int_equal(outcomes.of[2].rc, ERR_CONFLICT);
    assert_int_equal(fixture_count(store, &user_type), acknowledged);
    struct store_txn *next = store_txn_new(store);
    put_user(next, 9, "z");
    assert_int_equal(fixture_commit(next), ERR_UNAVAILABLE);
    store_close(store);
}

/* Waits until the store's thread has found the database taken `count` times. */
static void wait_busy(struct store *store, unsigned count)
{
    for (unsigned seen = 0; seen < count;) {
        pthread_mutex_lock(&store->queue_lock);
        seen = store->busy_count;
        pthread_mutex_unlock(&store->queue_lock);
        sched_yield();
    }
}

static sqlite3 *hold_database(void)
{
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &other), SQLITE_OK);
    assert_int_equal(db_exec(other, "BEGIN EXCLUSIVE", NULL), 0);
    return other;
}

static void test_commits_wait_for_another_writer(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    sqlite3 *other = hold_database();
    store_start(store, fixture.loop);
    commit_many(store);
    wait_busy(store, 3);
    assert_int_equal(outcomes.count, 0);
    assert_int_equal(db_exec(other, "COMMIT", NULL), 0);
    sqlite3_close(other);
    loop_run(fixture.loop);
    assert_int_equal(outcomes.of[0].rc, 0);
    assert_int_equal(fixture_count(store, &user_type), FAULTY - 1);
    store_close(store);
}

static void test_close_does_not_wait_for_ever(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    sqlite3 *other = hold_database();
    store_start(store, fixture.loop);
    commit_many(store);
    store_close(store);
    sqlite3_close(other);
    loop_run(fixture.loop);
    assert_int_equal(outcomes.of[0].rc, -EBUSY);
    assert_int_equal(outcomes.of[COMMITS - 1].rc, ERR_UNAVAILABLE);
    store = fixture_open(schema_files, NULL);
    assert_int_equal(fixture_count(store, &user_type), 0);
    store_close(store);
}

static void test_put_and_delete_in_one(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    struct store_txn *txn = store_txn_new(store);
    assert_true(store_txn_is_empty(txn));
    put_user(txn, 1, "a");
    store_txn_delete(txn, &user_type, 1);
    put_user(txn, 2, "a"); /* the name is free again */
    assert_false(store_txn_is_empty(txn));
    assert_int_equal(fixture_commit(txn), 0);
    assert_int_equal(fixture_count(store, &user_type), 1);
    assert_int_equal(fixture_commit(store_txn_new(store)), 0); /* an empty one is fine */
    txn = store_txn_new(store);
    put_user(txn, 3, "dropped");
    store_txn_free(txn);
    store_txn_free(NULL);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_order_and_outcomes),     STORE_TEST(test_close_writes_what_was_committed),
        STORE_TEST(test_failed_commit_says_why), STORE_TEST(test_fault_that_ends_the_batch),
        STORE_TEST(test_commits_wait_for_another_writer),
        STORE_TEST(test_close_does_not_wait_for_ever), STORE_TEST(test_put_and_delete_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
