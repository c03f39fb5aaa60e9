/* SPDX-License-Identifier: Apache-2.0 */
/* The log of changes by itself: order, settling, tombstones, transient changes. */
#include "control/changes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int set_up(void **state)
{
    static struct change_log log;
    static struct cluster empty;
    cluster_init(&empty);
    changes_init(&log, &empty);
    cluster_fini(&empty);
    *state = &log;
    return 0;
}

static int tear_down(void **state)
{
    changes_fini(*state);
    return 0;
}

static void put(struct change_log *log, struct change_batch *batch, int64_t id, bool is_durable)
{
    const struct model model = {.id = id};
    changes_note_put(log, batch, KIND_MODEL, &model, is_durable);
}

static void remove_row(struct change_log *log, struct change_batch *batch, int64_t id)
{
    const struct model model = {.id = id};
    changes_note_delete(log, batch, KIND_MODEL, &model);
}

static void settle(struct change_log *log, struct change_batch *batch, int64_t now_ms)
{
    changes_settle(log, batch, now_ms);
    change_batch_fini(batch);
}

/* A turn of its own that is durable at once. */
static void put_now(struct change_log *log, int64_t id, bool is_durable, int64_t now_ms)
{
    struct change_batch batch = {0};
    put(log, &batch, id, is_durable);
    settle(log, &batch, now_ms);
}

static void remove_now(struct change_log *log, int64_t id)
{
    struct change_batch batch = {0};
    remove_row(log, &batch, id);
    settle(log, &batch, 0);
}

/* The ids that a reader at `seq` may be told, in order: "2 -1 " (- for a deleted one). */
static char *told_after(const struct change_log *log, uint64_t seq)
{
    struct buf text = {0};
    const struct change_row *row = changes_after(log, seq);
    for (; row && row->unsettled == 0; row = changes_next(log, row))
        buf_printf(&text, "%s%lld ", row->deleted ? "-" : "", (long long)row->id);
    return buf_take(&text);
}

static void expect(const struct change_log *log, uint64_t seq, const char *want)
{
    auto_free char *told = told_after(log, seq);
    assert_string_equal(told, want);
}

static void test_each_row_stands_once_at_its_last_change(void **state)
{
    struct change_log *log = *state;
    for (int64_t id = 1; id <= 3; id++)
        put_now(log, id, true, 0);
    expect(log, 0, "1 2 3 ");
    put_now(log, 1, true, 0);
    put_now(log, 1, true, 0);
    expect(log, 0, "2 3 1 ");
    expect(log, 3, "1 ");
    expect(log, log->seq, "");
}

static void test_nothing_is_told_before_it_is_durable(void **state)
{
    struct change_log *log = *state;
    put_now(log, 1, true, 0);
    put_now(log, 2, true, 0);
    struct change_batch first = {0}, second = {0};
    put(log, &first, 1, true);
    put(log, &first, 1, true);
    put(log, &second, 1, true);
    expect(log, 0, "");
    settle(log, &first, 0);
    expect(log, 0, "");
    settle(log, &second, 0);
    expect(log, 0, "2 1 ");
}

static void test_an_undurable_deletion_stops_readers(void **state)
{
    struct change_log *log = *state;
    put_now(log, 1, true, 0);
    put_now(log, 2, true, 0);
    struct change_batch batch = {0};
    remove_row(log, &batch, 1);
    expect(log, 0, "");
    settle(log, &batch, 0);
    expect(log, 0, "2 -1 ");
}

static void test_what_came_and_went_unseen_is_forgotten(void **state)
{
    struct change_log *log = *state;
    struct change_batch first = {0}, second = {0};
    put(log, &first, 1, true);
    remove_row(log, &second, 1);
    settle(log, &first, 0);
    settle(log, &second, 0);
    expect(log, 0, "");
    assert_null(log->entries);
}

static void test_tombstones_are_capped_and_set_the_horizon(void **state)
{
    struct change_log *log = *state;
    put_now(log, 1, true, 0);
    uint64_t before = log->seq;
    for (int64_t id = 2; id <= CHANGES_TOMBSTONES_MAX + 1; id++) {
        put_now(log, id, true, 0);
        remove_now(log, id);
    }
    assert_int_equal(log->tombstone_count, CHANGES_TOMBSTONES_MAX);
    assert_true(changes_knows(log, before));
    put_now(log, 9999, true, 0);
    remove_now(log, 9999);
    assert_int_equal(log->tombstone_count, CHANGES_TOMBSTONES_MAX);
    assert_false(changes_knows(log, before));
    assert_true(changes_knows(log, log->seq));
    assert_false(changes_knows(log, log->seq + 1));
}

static void test_transient_changes_are_told_once_a_second(void **state)
{
    struct change_log *log = *state;
    put_now(log, 1, true, 0);
    uint64_t seq = log->seq;
    put_now(log, 1, false, CHANGES_QUIET_MS - 1);
    expect(log, seq, "");
    assert_true(changes_has_late(log));
    changes_flush_late(log, CHANGES_QUIET_MS - 1);
    expect(log, seq, "");
    changes_flush_late(log, CHANGES_QUIET_MS);
    expect(log, seq, "1 ");
    assert_false(changes_has_late(log));
    put_now(log, 1, false, 2 * CHANGES_QUIET_MS);
    assert_int_equal(log->seq, seq + 2);
}

static void test_a_durable_change_takes_the_late_one_along(void **state)
{
    struct change_log *log = *state;
    put_now(log, 1, true, 0);
    put_now(log, 1, false, 1);
    put_now(log, 1, true, 2);
    assert_false(changes_has_late(log));
    put_now(log, 1, false, 3);
    struct change_batch batch = {0};
    put(log, &batch, 1, true);
    changes_flush_late(log, CHANGES_QUIET_MS + 2);
    expect(log, 0, "");
    settle(log, &batch, CHANGES_QUIET_MS + 2);
    assert_int_equal(log->seq, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_row_stands_once_at_its_last_change),
        TEST(test_nothing_is_told_before_it_is_durable),
        TEST(test_an_undurable_deletion_stops_readers),
        TEST(test_what_came_and_went_unseen_is_forgotten),
        TEST(test_tombstones_are_capped_and_set_the_horizon),
        TEST(test_transient_changes_are_told_once_a_second),
        TEST(test_a_durable_change_takes_the_late_one_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
