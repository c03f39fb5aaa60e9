/* SPDX-License-Identifier: Apache-2.0 */
/* The journal with its thread: what shards add is numbered, durable, handed out and forgotten. */
#include "base/log.h"
#include "fault_disk.h"
#include "gateway/journal.h"
#include "gateway/journal_home.h"
#include "gateway/segments.h"

enum { WAIT_MS = 20000, TICK_MS = 2 };

struct site {
    char *dir;
    struct loop *loop;
    struct journal *journal;
    struct journal_outbox *outbox;
    struct journal_batch *batch; /* the last that came, or NULL */
    unsigned durable;            /* notices */
    struct timer tick;
};

static void on_tick(struct timer *timer, void *ctx)
{
    loop_stop(ctx);
    timer_start(timer, TICK_MS);
}

#define WAIT_UNTIL(site, condition)                                                                \
    do {                                                                                           \
        int64_t until_ = clock_mono_ms(&clock_system) + WAIT_MS;                                   \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms(&clock_system) > until_)                                             \
                fail_msg("waited too long for " #condition);                                       \
            loop_run((site)->loop);                                                                \
        }                                                                                          \
    } while (0)

static void on_durable(void *ctx)
{
    struct site *site = ctx;
    site->durable++;
}

static void on_batch(struct journal_batch *batch, void *ctx)
{
    struct site *site = ctx;
    journal_batch_free(site->batch);
    site->batch = batch;
}

static const struct journal_reader_ops reader = {.on_durable = on_durable, .on_batch = on_batch};

static struct journal_params params_of(const struct site *site)
{
    return (struct journal_params){.loop = site->loop, .data_dir = site->dir, .ops = &fault_disk};
}

static void start(struct site *site, const struct journal_params *params)
{
    struct err err = {0};
    if (journal_open(params, &site->journal, &err) < 0 || journal_start(site->journal, &err) < 0)
        fail_msg("%s", err.text);
    journal_set_reader(site->journal, &reader, site);
    site->outbox = journal_outbox_new(site->journal, site->loop);
}

static void stop(struct site *site)
{
    journal_outbox_free(TAKE(site->outbox));
    journal_free(TAKE(site->journal));
}

static void site_init(struct site *site)
{
    *site = (struct site){.dir = folder_new(), .loop = loop_new(&clock_system)};
    timer_init(&site->tick, site->loop, on_tick, site->loop);
    timer_start(&site->tick, TICK_MS);
    struct journal_params params = params_of(site);
    start(site, &params);
}

static void site_fini(struct site *site)
{
    if (site->journal)
        stop(site);
    timer_stop(&site->tick);
    loop_free(site->loop);
    journal_batch_free(site->batch);
    folder_free(site->dir);
    fault_disk_heal();
}

static void add(struct site *site, unsigned count)
{
    struct usage_record record = {.request_id = "r", .model = "hello", .started_ms = 5};
    for (unsigned i = 0; i < count; i++)
        journal_add(site->outbox, &record);
}

static void fetch(struct site *site, uint64_t after, unsigned max)
{
    journal_batch_free(TAKE(site->batch));
    journal_fetch(site->journal, after, max);
    WAIT_UNTIL(site, site->batch);
}

static struct journal_stats stats_of(struct site *site)
{
    struct journal_stats stats;
    journal_measure(site->journal, &stats);
    return stats;
}

/* ---- tests ---- */

/* No one asks for it: the outbox, the write and the sync follow by themselves. */
static void test_becomes_durable(void **state)
{
    struct site s;
    site_init(&s);
    add(&s, 3);
    WAIT_UNTIL(&s, s.durable == 1);
    fetch(&s, 0, 2);
    assert_int_equal(s.batch->count, 2);
    assert_int_equal(s.batch->last, 2);
    assert_int_equal(s.batch->started_ms, 5);
    auto_free char *head =
        mem_printf("{\"gateway\":\"%s\",\"records\":[{\"seq\":1,", journal_uuid(s.journal));
    assert_true(str_has_prefix(buf_str(&s.batch->body), str_of(head)));
    assert_null(strstr(s.batch->body.ptr, "crc32c"));
    json_t *root = NULL;
    assert_int_equal(json_read(buf_str(&s.batch->body), &root, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(root, "records")), 2);
    json_decref(root);
    fetch(&s, 2, 100);
    assert_int_equal(s.batch->count, 1);
    fetch(&s, 3, 100);
    assert_int_equal(s.batch->count, 0);
    assert_int_equal(stats_of(&s).unsent, 3);
    site_fini(&s);
}

/* What is asked for behind a flush has all that was handed over before it. */
static void test_flush(void **state)
{
    struct site s;
    site_init(&s);
    for (unsigned i = 1; i <= 5; i++) {
        add(&s, 1);
        journal_outbox_flush(s.outbox);
        journal_flush(s.journal);
        fetch(&s, 0, 10);
        assert_int_equal(s.batch->count, i);
    }
    site_fini(&s);
}

static void test_is_private(void **state)
{
    struct site s;
    struct stat st;
    site_init(&s);
    add(&s, 1);
    stop(&s);
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{"gateway", 0700},      {"gateway/usage", 0700},
                {"gateway/uuid", 0600}, {"gateway/usage/00000000000000000001.ndjson", 0600},
                {"gateway/lock", 0600}, {"gateway/usage/applied", 0600}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *path = mem_printf("%s/%s", s.dir, rows[i].name);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, rows[i].mode);
    }
    site_fini(&s);
}

static void count_record(const struct usage_record *record, void *ctx)
{
    uint64_t *last = ctx;
    assert_int_equal(record->seq, ++*last);
}

/* What is in the outbox at the end is written; numbers and name go on. */
static void test_restart(void **state)
{
    struct site s;
    struct journal_params params;
    uint64_t last = 0;
    site_init(&s);
    auto_free char *uuid = mem_strdup(journal_uuid(s.journal));
    add(&s, 1500);
    stop(&s);
    params = params_of(&s);
    assert_int_equal(journal_open(&params, &s.journal, NULL), 0);
    assert_int_equal(journal_replay(s.journal, count_record, &last, NULL), 0);
    assert_int_equal(last, 1500);
    journal_free(TAKE(s.journal));
    start(&s, &params);
    assert_string_equal(journal_uuid(s.journal), uuid);
    add(&s, 1);
    journal_outbox_flush(s.outbox);
    journal_flush(s.journal);
    fetch(&s, 1400, JOURNAL_BATCH_MAX);
    assert_int_equal(s.batch->last, 1501);
    assert_int_equal(s.batch->count, 101);
    journal_applied(s.journal, 1501);
    stop(&s);
    start(&s, &params);
    assert_int_equal(journal_applied_at_start(s.journal), 1501);
    assert_int_equal(stats_of(&s).unsent, 0);
    site_fini(&s);
}

/* A folder whose records are gone would give control old numbers under the old name. */
static void test_lost_folder_has_new_name(void **state)
{
    struct site s;
    site_init(&s);
    auto_free char *uuid = mem_strdup(journal_uuid(s.journal));
    add(&s, 1);
    stop(&s);
    folder_free(mem_printf("%s/gateway/usage", s.dir));
    struct journal_params params = params_of(&s);
    start(&s, &params);
    assert_string_not_equal(journal_uuid(s.journal), uuid);
    site_fini(&s);
}

static void test_second_is_refused(void **state)
{
    struct site s;
    struct journal *second = NULL;
    struct err err = {0};
    site_init(&s);
    struct journal_params params = params_of(&s);
    auto_free char *holder =
        mem_printf("another gateway (pid %d) already uses folder %s/gateway", (int)getpid(), s.dir);
    assert_int_equal(journal_open(&params, &second, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, holder));
    assert_null(second);
    site_fini(&s);
}

static void test_bad_uuid_is_named(void **state)
{
    struct site s;
    struct err err = {0};
    site_init(&s);
    stop(&s);
    auto_free char *path = mem_printf("%s/gateway/uuid", s.dir);
    assert_int_equal(file_write(path, STR("x\n"), 0600, NULL), 0);
    struct journal_params params = params_of(&s);
    assert_int_equal(journal_open(&params, &s.journal, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, path));
    site_fini(&s);
}

/* Each kind of trouble: nothing is lost, and it goes on by itself. */
static void with_trouble(atomic_int *error, int value)
{
    struct site s;
    site_init(&s);
    add(&s, 1);
    journal_outbox_flush(s.outbox);
    journal_flush(s.journal);
    WAIT_UNTIL(&s, s.durable >= 1);
    *error = value;
    add(&s, 400);
    WAIT_UNTIL(&s, failures > 0);
    add(&s, 400);
    journal_outbox_flush(s.outbox);
    fetch(&s, 0, JOURNAL_BATCH_MAX);
    assert_int_equal(s.batch->count, 1);
    fault_disk_heal();
    WAIT_UNTIL(&s, (fetch(&s, 0, JOURNAL_BATCH_MAX), s.batch->count == 801));
    assert_int_equal(s.batch->last, 801);
    assert_int_equal(stats_of(&s).dropped, 0);
    site_fini(&s);
}

static void test_write_trouble(void **state)
{
    with_trouble(&write_error, EIO);
}

static void test_sync_trouble(void **state)
{
    with_trouble(&sync_error, EIO);
}

static void test_read_only(void **state)
{
    struct site s;
    site_init(&s);
    open_error = EROFS;
    add(&s, 2);
    WAIT_UNTIL(&s, failures > 0);
    fault_disk_heal();
    WAIT_UNTIL(&s, s.durable >= 1);
    fetch(&s, 0, 10);
    assert_int_equal(s.batch->last, 2);
    site_fini(&s);
}

/* The disk takes half a line more; memory takes so much; the oldest that wait are given up. */
static void test_memory_limit(void **state)
{
    struct site s;
    site_init(&s);
    stop(&s);
    struct journal_params params = params_of(&s);
    params.memory_max_bytes = 2 * JOURNAL_OUTBOX_BYTES;
    start(&s, &params);
    write_room = 100;
    add(&s, 10);
    journal_outbox_flush(s.outbox);
    journal_flush(s.journal);
    WAIT_UNTIL(&s, failures > 0);
    add(&s, 5000);
    journal_outbox_flush(s.outbox);
    struct journal_stats stats = stats_of(&s);
    assert_true(stats.dropped > 1000 && stats.dropped < 5000);
    assert_true(stats.memory_bytes <= params.memory_max_bytes + 1000);
    assert_int_equal(stats.unsent + stats.dropped, 5010);
    fault_disk_heal();
    WAIT_UNTIL(&s, stats_of(&s).memory_bytes == 0);
    journal_flush(s.journal);
    uint64_t got = 0, after = 0;
    for (fetch(&s, 0, JOURNAL_BATCH_MAX); s.batch->count; fetch(&s, after, JOURNAL_BATCH_MAX)) {
        after = s.batch->last;
        got += s.batch->count;
    }
    assert_int_equal(got, 5010 - stats.dropped);
    assert_int_equal(after, got);
    site_fini(&s);
}

static void test_disk_limit(void **state)
{
    struct site s;
    site_init(&s);
    stop(&s);
    struct journal_params params = params_of(&s);
    params.disk_max_bytes = 2 * SEGMENT_BYTES;
    start(&s, &params);
    uint64_t added = 0;
    while (stats_of(&s).dropped == 0) {
        add(&s, 1000);
        added += 1000;
        journal_outbox_flush(s.outbox);
        journal_flush(s.journal);
        fetch(&s, 0, 1); /* so that the thread isn't left behind */
    }
    struct journal_stats stats = stats_of(&s);
    assert_true(stats.disk_bytes <= params.disk_max_bytes);
    assert_int_equal(stats.unsent + stats.dropped, added);
    fetch(&s, 0, 1);
    assert_int_equal(s.batch->last, stats.dropped + 1);
    site_fini(&s);
}

static void test_applied_removes_segments(void **state)
{
    struct site s;
    site_init(&s);
    while (stats_of(&s).disk_bytes < 3 * (uint64_t)SEGMENT_BYTES) {
        add(&s, 1000);
        journal_outbox_flush(s.outbox);
        journal_flush(s.journal);
        fetch(&s, 0, 1);
    }
    uint64_t last = stats_of(&s).unsent;
    journal_applied(s.journal, last);
    fetch(&s, last, 1);
    assert_true(stats_of(&s).disk_bytes <= SEGMENT_BYTES + (1 << 20)); /* the open one */
    assert_int_equal(stats_of(&s).unsent, 0);
    auto_free char *applied = content_of(s.dir, "gateway/usage/applied");
    auto_free char *expected = mem_printf("%llu\n", (unsigned long long)last);
    assert_string_equal(applied, expected);
    site_fini(&s);
}

/* The folder is an older copy than what control has: fresh records get numbers behind those. */
static void test_control_is_ahead(void **state)
{
    struct site s;
    site_init(&s);
    journal_applied(s.journal, 1000);
    add(&s, 1);
    journal_outbox_flush(s.outbox);
    journal_flush(s.journal);
    fetch(&s, 0, 10);
    assert_int_equal(s.batch->last, 1001);
    site_fini(&s);
}

static void test_reject(void **state)
{
    struct site s;
    site_init(&s);
    add(&s, 2);
    journal_outbox_flush(s.outbox);
    journal_flush(s.journal);
    fetch(&s, 0, 1);
    journal_reject(s.journal, TAKE(s.batch), "no such \"model\"");
    fetch(&s, 1, 10);
    assert_int_equal(s.batch->last, 2);
    assert_int_equal(stats_of(&s).rejected, 1);
    assert_int_equal(stats_of(&s).unsent, 1);
    auto_free char *kept = content_of(s.dir, "gateway/usage/rejected.ndjson");
    assert_true(str_has_prefix(
        str_of(kept), STR("{\"answer\":\"no such \\\"model\\\"\",\"sent\":{\"gateway\":")));
    assert_int_equal(kept[strlen(kept) - 1], '\n');
    site_fini(&s);
}

/* ---- several shards ---- */

enum { SHARDS = 4, PER_SHARD = 20000 };

static void *run_shard(void *arg)
{
    struct journal_outbox *outbox = arg;
    struct usage_record record = {.request_id = "r", .model = "hello"};
    for (int i = 0; i < PER_SHARD; i++)
        journal_add(outbox, &record);
    journal_outbox_free(outbox);
    return NULL;
}

static void test_several_shards(void **state)
{
    struct site s;
    pthread_t threads[SHARDS];
    struct loop *loops[SHARDS];
    uint64_t last = 0;
    site_init(&s);
    for (int i = 0; i < SHARDS; i++) {
        loops[i] = loop_new(&clock_system);
        struct journal_outbox *outbox = journal_outbox_new(s.journal, loops[i]);
        assert_int_equal(pthread_create(&threads[i], NULL, run_shard, outbox), 0);
    }
    for (int i = 0; i < SHARDS; i++)
        pthread_join(threads[i], NULL);
    stop(&s);
    for (int i = 0; i < SHARDS; i++)
        loop_free(loops[i]);
    struct journal_params params = params_of(&s);
    assert_int_equal(journal_open(&params, &s.journal, NULL), 0);
    assert_int_equal(journal_replay(s.journal, count_record, &last, NULL), 0);
    assert_int_equal(last, SHARDS * PER_SHARD);
    journal_free(TAKE(s.journal));
    site_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_becomes_durable),   cmocka_unit_test(test_is_private),
        cmocka_unit_test(test_restart),           cmocka_unit_test(test_lost_folder_has_new_name),
        cmocka_unit_test(test_second_is_refused), cmocka_unit_test(test_bad_uuid_is_named),
        cmocka_unit_test(test_write_trouble),     cmocka_unit_test(test_sync_trouble),
        cmocka_unit_test(test_read_only),         cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_disk_limit),        cmocka_unit_test(test_applied_removes_segments),
        cmocka_unit_test(test_control_is_ahead),  cmocka_unit_test(test_reject),
        cmocka_unit_test(test_several_shards),    cmocka_unit_test(test_flush),
    };
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
