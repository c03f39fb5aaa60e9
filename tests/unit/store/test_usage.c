/* SPDX-License-Identifier: Apache-2.0 */
/* Usage: counted once, summed up right, asked for in all ways, and gone when it is old. */
#include "fixture.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define MONDAY INT64_C(1764547200000) /* 2025-12-01 00:00, a Monday and the first of a month */

enum { RANDOM_RECORDS = 3000 };

/* ---- making and adding ---- */

static struct usage make(int64_t seq, int64_t started_ms)
{
    return (struct usage){
        .seq = seq,
        .request_id = mem_printf("req_%lld", (long long)seq),
        .model = mem_strdup("m"),
        .route = mem_strdup("r"),
        .user_name = mem_strdup("ann"),
        .key_name = mem_strdup("laptop"),
        .user_id = 1,
        .key_id = 2,
        .model_id = 3,
        .instance_id = 4,
        .status = 200,
        .prompt_tokens = 10,
        .cached_tokens = 4,
        .completion_tokens = 5,
        .started_ms = started_ms,
        .queue_us = 7,
        .first_byte_us = 100,
        .total_us = 1000,
        .attempts = 1,
    };
}

/* Records `first` to `last`, a minute apart from `start_ms` on. */
static struct usage_batch make_batch(const char *gateway, int64_t first, int64_t last,
                                     int64_t start_ms)
{
    struct usage_batch batch = {.count = (size_t)(last - first + 1)};
    snprintf(batch.gateway, sizeof batch.gateway, "%s", gateway);
    batch.records = mem_alloc_array(batch.count, sizeof *batch.records);
    for (size_t i = 0; i < batch.count; i++)
        batch.records[i] = make(first + (int64_t)i, start_ms + (int64_t)i * 60000);
    return batch;
}

static void add(struct store *store, struct usage_batch batch)
{
    struct store_txn *txn = store_txn_new(store);
    store_txn_add_usage(txn, &batch);
    assert_int_equal(batch.count, 0);
    assert_false(store_txn_is_empty(txn));
    assert_int_equal(fixture_commit(txn), 0);
}

static int64_t query_int(struct store *store, const char *sql)
{
    int64_t number = -1;
    struct err err = {0};
    pthread_mutex_lock(&store->db_lock);
    int rc = db_query_int(store->db, sql, &number, &err);
    pthread_mutex_unlock(&store->db_lock);
    assert_int_equal(rc, 0);
    return number;
}

/* ---- asking ---- */

static struct usage_report report;
static struct usage_records records;

static void note_report(int rc, const char *text, struct usage_report *answer, void *ctx)
{
    fixture.rc = rc;
    snprintf(fixture.text, sizeof fixture.text, "%s", text);
    usage_report_fini(&report);
    if (answer) {
        report = *answer;
        *answer = (struct usage_report){0};
    }
    loop_stop(fixture.loop);
}

static void ask(struct store *store, struct usage_query query)
{
    query.page = query.page ? query.page : 1;
    query.per_page = query.per_page ? query.per_page : 100;
    store_read_usage(store, &query, note_report, NULL);
    loop_run(fixture.loop);
    assert_string_equal(fixture.text, "");
    assert_int_equal(fixture.rc, 0);
}

static void note_records(int rc, const char *text, struct usage_records *answer, void *ctx)
{
    fixture.rc = rc;
    snprintf(fixture.text, sizeof fixture.text, "%s", text);
    usage_records_fini(&records);
    if (answer) {
        records = *answer;
        *answer = (struct usage_records){0};
    }
    loop_stop(fixture.loop);
}

static void ask_records(struct store *store, struct usage_records_query query)
{
    query.limit = query.limit ? query.limit : 100;
    store_read_records(store, &query, note_records, NULL);
    loop_run(fixture.loop);
    assert_string_equal(fixture.text, "");
    assert_int_equal(fixture.rc, 0);
}

static void forget_answers(void)
{
    usage_report_fini(&report);
    usage_records_fini(&records);
}

/* ---- counted once ---- */

static int64_t applied_of(struct store *store, const char *gateway)
{
    auto_free char *sql =
        mem_printf("SELECT applied FROM usage_gateways WHERE uuid = '%s'", gateway);
    return query_int(store, sql);
}

static void test_what_is_sent_again_is_passed_over(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 10, MONDAY));
    add(store, make_batch("a", 1, 10, MONDAY));
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 10);
    add(store, make_batch("a", 6, 12, MONDAY + 5 * 60000)); /* two of them are new */
    add(store, make_batch("a", 3, 4, MONDAY));
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 12);
    assert_int_equal(query_int(store, "SELECT COUNT(DISTINCT seq) FROM usage_records"), 12);
    assert_int_equal(query_int(store, "SELECT requests FROM usage_hours"), 12);
    assert_int_equal(query_int(store, "SELECT requests FROM usage_days"), 12);
    assert_int_equal(query_int(store, "SELECT total_us FROM usage_days"), 12000);
    assert_int_equal(applied_of(store, "a"), 12);
    store_close(store);
}

static void test_each_gateway_has_its_own_mark(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 10, MONDAY));
    add(store, make_batch("b", 1, 4, MONDAY));
    add(store, make_batch("b", 3, 5, MONDAY));
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 15);
    assert_int_equal(applied_of(store, "a"), 10);
    assert_int_equal(applied_of(store, "b"), 5);
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_groups"), 1);
    store_close(store);
}

struct marks {
    unsigned count;
    int64_t sum;
};

static void note_mark(const char *uuid, int64_t applied, void *ctx)
{
    struct marks *marks = ctx;
    marks->count++;
    marks->sum += applied;
}

static void test_marks_come_back(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 10, MONDAY));
    add(store, make_batch("b", 1, 4, MONDAY));
    store_close(store);
    store = fixture_open(schema_files, NULL);
    struct marks marks = {0};
    assert_int_equal(store_load_gateways(store, note_mark, &marks, NULL), 0);
    assert_int_equal(marks.count, 2);
    assert_int_equal(marks.sum, 14);
    add(store, make_batch("a", 1, 11, MONDAY));
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 15);
    store_close(store);
}

/* A failed transaction leaves nothing: neither rows nor a mark that would hide them. */
static void test_all_or_nothing(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 2, MONDAY));
    assert_int_equal(db_exec(store->db,
                             "CREATE TRIGGER fault BEFORE INSERT ON usage_records"
                             " WHEN NEW.seq = 5 BEGIN SELECT RAISE(ABORT, 'no'); END",
                             NULL),
                     0);
    struct usage_batch batch = make_batch("a", 3, 6, MONDAY);
    struct store_txn *txn = store_txn_new(store);
    store_txn_add_usage(txn, &batch);
    assert_true(fixture_commit(txn) < 0);
    assert_string_equal(fixture.text, "usage: no");
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 2);
    assert_int_equal(query_int(store, "SELECT SUM(requests) FROM usage_hours"), 2);
    assert_int_equal(applied_of(store, "a"), 2);
    store_close(store);
}

/* ---- summed up right ---- */

static unsigned dice(unsigned sides)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % sides);
}

static struct usage make_random(int64_t seq)
{
    struct usage usage = make(seq, MONDAY + (int64_t)dice(40 * 24 * 3600) * 1000);
    usage.user_id = dice(3);
    usage.key_id = dice(4);
    usage.model_id = 1 + dice(3);
    usage.operation = (int)dice(USAGE_OPERATION_COUNT);
    usage.outcome = (int)dice(USAGE_OUTCOME_COUNT);
    usage.prompt_tokens = dice(5000);
    usage.cached_tokens = dice(100);
    usage.completion_tokens = dice(700);
    usage.queue_us = dice(100000);
    usage.first_byte_us = dice(3) ? dice(900000) : 0;
    usage.total_us = dice(9000000);
    usage.route[0] = (char)('a' + dice(3));
    usage.model[0] = (char)('a' + dice(2));
    return usage;
}

static int64_t route_counts[3]; /* of what add_random() has added */

static void add_random(struct store *store)
{
    memset(route_counts, 0, sizeof route_counts);
    for (int64_t seq = 1; seq <= RANDOM_RECORDS; seq += USAGE_BATCH_MAX) {
        struct usage_batch batch = {.gateway = "a", .count = USAGE_BATCH_MAX};
        batch.records = mem_alloc_array(batch.count, sizeof *batch.records);
        for (size_t i = 0; i < batch.count; i++) {
            batch.records[i] = make_random(seq + (int64_t)i);
            route_counts[batch.records[i].route[0] - 'a']++;
        }
        add(store, batch);
    }
}

#define RAW_SUMS(step)                                                                             \
    "SELECT started_at / " step " * " step ", group_id, COUNT(*),"                                 \
    " SUM(outcome NOT IN ('ok', 'aborted')), SUM(prompt_tokens), SUM(cached_tokens),"              \
    " SUM(completion_tokens), SUM(queue_us), SUM(first_byte_us > 0), SUM(first_byte_us),"          \
    " SUM(total_us) FROM usage_records GROUP BY 1, 2"
#define DIFFERENCE(table, step)                                                                    \
    "SELECT COUNT(*) FROM (SELECT * FROM (" RAW_SUMS(step) " EXCEPT SELECT * FROM " table          \
    ") UNION ALL SELECT * FROM (SELECT * FROM " table " EXCEPT " RAW_SUMS(step) "))"

static void test_sums_are_those_of_the_records(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add_random(store);
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), RANDOM_RECORDS);
    assert_int_equal(query_int(store, DIFFERENCE("usage_hours", "3600000")), 0);
    assert_int_equal(query_int(store, DIFFERENCE("usage_days", "86400000")), 0);
    assert_true(query_int(store, "SELECT COUNT(*) FROM usage_hours") >
                query_int(store, "SELECT COUNT(*) FROM usage_days"));
    store_close(store);
}

static void test_groups_are_told_apart(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add_random(store);
    ask(store, (struct usage_query){.by = 1U << USAGE_BY_ROUTE, .sort = -1 - USAGE_BY_ROUTE});
    assert_int_equal(report.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(report.rows[i].counts[USAGE_REQUESTS], route_counts[i]);
    forget_answers();
    store_close(store);
}

/* Whatever it is split by, the rows of an answer have the sum of its summary. */
static void test_splits_add_up(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add_random(store);
    int64_t tokens = query_int(
        store, "SELECT SUM(prompt_tokens + completion_tokens) FROM usage_records");
    for (unsigned by = 0; by < USAGE_BY_COUNT; by++) {
        ask(store, (struct usage_query){.by = 1U << by | 1U << USAGE_BY_MODEL, .per_page = 10000});
        int64_t sum = 0, requests = 0;
        for (size_t i = 0; i < report.count; i++) {
            sum += report.rows[i].counts[USAGE_TOTAL_TOKENS];
            requests += report.rows[i].counts[USAGE_REQUESTS];
        }
        assert_int_equal(report.total, report.count);
        assert_true(report.count > 3);
        assert_int_equal(sum, tokens);
        assert_int_equal(requests, RANDOM_RECORDS);
        assert_int_equal(report.summary[USAGE_TOTAL_TOKENS], tokens);
    }
    forget_answers();
    store_close(store);
}

static bool is_same_row(const struct usage_row *a, const struct usage_row *b)
{
    return a->starts_ms == b->starts_ms && a->model_id == b->model_id &&
           a->user_id == b->user_id && a->key_id == b->key_id &&
           str_eq(str_of(a->model), str_of(b->model)) &&
           str_eq(str_of(a->route), str_of(b->route)) &&
           str_eq(str_of(a->operation), str_of(b->operation)) &&
           memcmp(a->counts, b->counts, sizeof a->counts) == 0;
}

/* Takes the last row of the report as the place at which the next page begins. */
static struct usage_row *take_last(void)
{
    struct usage_row *last = mem_alloc(sizeof *last);
    *last = report.rows[report.count - 1];
    report.rows[report.count - 1] = (struct usage_row){0};
    return last;
}

/* Page by page, by whatever rows are split, all rows come once, and in their order. */
static void test_walks_see_each_row_once(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add_random(store);
    for (unsigned by = 0; by < 1U << USAGE_BY_COUNT; by += 11) {
        unsigned periods = by & ((1U << USAGE_BY_MODEL) - 1);
        if (periods & (periods - 1))
            continue;
        ask(store, (struct usage_query){.by = by, .is_walk = true, .per_page = 10000});
        struct usage_report whole = report;
        struct usage_row *after = NULL;
        size_t at = 0, step = whole.count / 7 + 1;
        report = (struct usage_report){0};
        for (bool has_more = true; has_more;) {
            ask(store, (struct usage_query){.by = by, .is_walk = true, .page = 3,
                                            .per_page = (int64_t)step, .after = after});
            has_more = report.total > (int64_t)report.count;
            assert_int_equal(report.count, has_more ? step : whole.count - at);
            for (size_t i = 0; i < report.count; i++)
                assert_true(is_same_row(&report.rows[i], &whole.rows[at++]));
            after = has_more ? take_last() : NULL;
        }
        assert_int_equal(at, whole.count);
        usage_report_fini(&whole);
    }
    forget_answers();
    store_close(store);
}

/* A row that comes up before the place where a walk stands moves no other. */
static void test_walks_while_rows_are_added(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    const struct usage_query query = {
        .by = 1U << USAGE_BY_DAY | 1U << USAGE_BY_KEY, .is_walk = true, .per_page = 2};
    for (int64_t seq = 1; seq <= 4; seq++)
        add(store, make_batch("a", seq, seq, MONDAY + seq * DAY_MS));
    ask(store, query);
    assert_int_equal(report.rows[1].starts_ms, MONDAY + 2 * DAY_MS);
    struct usage_query next = query;
    next.after = take_last();
    add(store, make_batch("b", 1, 1, MONDAY));
    ask(store, next);
    assert_int_equal(report.count, 2);
    assert_int_equal(report.total, 2);
    assert_int_equal(report.rows[0].starts_ms, MONDAY + 3 * DAY_MS);
    forget_answers();
    store_close(store);
}

static void test_sums_of_filtered_records(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add_random(store);
    struct usage_query query = {
        .filter = {.start_ms = MONDAY + DAY_MS + HOUR_MS,
                   .end_ms = MONDAY + 20 * DAY_MS,
                   .operations = 1U << USAGE_CHAT | 1U << USAGE_SCORE,
                   .route = mem_strdup("a")}};
    int_list_add(&query.filter.user_ids, 1);
    int_list_add(&query.filter.user_ids, 2);
    int_list_add(&query.filter.model_ids, 3);
    int_list_add(&query.filter.key_ids, 0);
    int_list_add(&query.filter.key_ids, 3);
    ask(store, query);
    assert_int_equal(report.count, 1);
    int64_t want = query_int(store, "SELECT SUM(completion_tokens) FROM usage_records r"
                                    " JOIN usage_groups g ON g.id = group_id"
                                    " WHERE started_at >= 1764637200000"
                                    " AND started_at < 1766275200000 AND user_id IN (1, 2)"
                                    " AND model_id = 3 AND key_id IN (0, 3) AND route = 'a'"
                                    " AND operation IN ('chat', 'score')");
    assert_true(want > 0);
    assert_int_equal(report.summary[USAGE_COMPLETION_TOKENS], want);
    forget_answers();
    store_close(store);
}

/* ---- periods ---- */

static void add_one(struct store *store, int64_t seq, int64_t started_ms)
{
    add(store, make_batch("a", seq, seq, started_ms));
}

static void test_periods(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    const int64_t at[] = {MONDAY - 1,          MONDAY,
                          MONDAY + DAY_MS - 1, MONDAY + DAY_MS,
                          MONDAY + 7 * DAY_MS - 1, MONDAY + 7 * DAY_MS,
                          MONDAY + 31 * DAY_MS - 1, MONDAY + 31 * DAY_MS};
    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        add_one(store, (int64_t)i + 1, at[i]);
    static const struct {
        enum usage_by by;
        size_t count;
        int64_t first_ms, second_ms;
    } periods[] = {
        {USAGE_BY_HOUR, 8, MONDAY - HOUR_MS, MONDAY},
        {USAGE_BY_DAY, 7, MONDAY - DAY_MS, MONDAY},
        {USAGE_BY_WEEK, 4, MONDAY - 7 * DAY_MS, MONDAY},
        {USAGE_BY_MONTH, 3, MONDAY - 30 * DAY_MS, MONDAY},
    };
    for (size_t i = 0; i < ARRAY_LEN(periods); i++) {
        ask(store, (struct usage_query){.by = 1U << periods[i].by, .sort = -1 - USAGE_BY_DAY});
        assert_int_equal(report.count, periods[i].count);
        assert_int_equal(report.rows[0].starts_ms, periods[i].first_ms);
        assert_int_equal(report.rows[1].starts_ms, periods[i].second_ms);
    }
    forget_answers();
    store_close(store);
}

static int64_t sum_since(struct store *store, int64_t start_ms, bool is_hourly)
{
    struct usage_sums sums = {.start_ms = start_ms, .is_hourly = is_hourly};
    assert_int_equal(store_load_sums(store, &sums, NULL), 0);
    int64_t tokens = 0;
    for (size_t i = 0; i < sums.count; i++) {
        assert_int_equal(sums.items[i].user_id, 1);
        assert_int_equal(sums.items[i].key_id, 2);
        assert_int_equal(sums.items[i].model_id, 3);
        tokens += sums.items[i].tokens;
    }
    usage_sums_fini(&sums);
    return tokens;
}

static void test_tokens_since(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add_one(store, 1, MONDAY - 1);
    add_one(store, 2, MONDAY);
    add_one(store, 3, MONDAY + HOUR_MS - 1);
    add_one(store, 4, MONDAY + HOUR_MS);
    assert_int_equal(sum_since(store, 0, false), 60);
    assert_int_equal(sum_since(store, MONDAY, false), 45);
    assert_int_equal(sum_since(store, MONDAY, true), 45);
    assert_int_equal(sum_since(store, MONDAY + HOUR_MS, true), 15);
    assert_int_equal(sum_since(store, MONDAY + DAY_MS, false), 0);
    store_close(store);
}

/* Sums stand at their place among the batches of a transaction. */
static void test_sums_inside_a_transaction(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    struct usage_sums before = {0}, after = {0};
    struct usage_batch batch = make_batch("a", 1, 3, MONDAY);
    struct store_txn *txn = store_txn_new(store);
    store_txn_sum_usage(txn, &before);
    store_txn_add_usage(txn, &batch);
    store_txn_sum_usage(txn, &after);
    assert_int_equal(fixture_commit(txn), 0);
    assert_int_equal(before.count, 0);
    assert_int_equal(after.count, 1);
    assert_int_equal(after.items[0].tokens, 45);
    usage_sums_fini(&after);
    store_close(store);
}

/* ---- single requests ---- */

static void test_records_page_by_page(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 5, MONDAY));
    add(store, make_batch("b", 1, 5, MONDAY)); /* the same times: the id decides */
    int64_t before_ms = 0, before_id = 0, last_ms = INT64_MAX, last_id = INT64_MAX;
    for (int seen = 0; seen < 10;) {
        ask_records(store, (struct usage_records_query){
                               .before_ms = before_ms, .before_id = before_id, .limit = 3});
        assert_int_equal(records.count, seen < 9 ? 3 : 1);
        for (size_t i = 0; i < records.count; i++, seen++) {
            const struct usage_record_row *row = &records.rows[i];
            assert_true(row->usage.started_ms < last_ms ||
                        (row->usage.started_ms == last_ms && row->id < last_id));
            last_ms = before_ms = row->usage.started_ms;
            last_id = before_id = row->id;
        }
        assert_int_equal(records.has_more, seen < 10);
    }
    forget_answers();
    store_close(store);
}

static void test_a_record_comes_back_whole(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    struct usage_batch batch = make_batch("a", 41, 43, MONDAY);
    struct usage *usage = &batch.records[1];
    usage->outcome = USAGE_ABORTED;
    usage->operation = USAGE_MESSAGES;
    usage->aborted_phase = USAGE_STREAMING;
    usage->is_stream = usage->is_estimated = true;
    usage->status = 0;
    usage->request_bytes = 77;
    usage->response_bytes = 88;
    usage->attempts = 2;
    add(store, batch);
    ask_records(store, (struct usage_records_query){
                           .filter = {.request_id = mem_strdup("req_42")}});
    assert_int_equal(records.count, 1);
    const struct usage *seen = &records.rows[0].usage;
    assert_string_equal(records.rows[0].gateway, "a");
    assert_int_equal(seen->seq, 42);
    assert_string_equal(seen->request_id, "req_42");
    assert_string_equal(seen->user_name, "ann");
    assert_string_equal(seen->key_name, "laptop");
    assert_string_equal(seen->model, "m");
    assert_string_equal(seen->route, "r");
    assert_int_equal(seen->outcome, USAGE_ABORTED);
    assert_int_equal(seen->operation, USAGE_MESSAGES);
    assert_int_equal(seen->aborted_phase, USAGE_STREAMING);
    assert_true(seen->is_stream && seen->is_estimated);
    const int64_t want[] = {1, 2, 3, 4, 0, 10, 4, 5, 77, 88, MONDAY + 60000, 7, 100, 1000, 2};
    const int64_t got[] = {seen->user_id,        seen->key_id,         seen->model_id,
                           seen->instance_id,    seen->status,         seen->prompt_tokens,
                           seen->cached_tokens,  seen->completion_tokens, seen->request_bytes,
                           seen->response_bytes, seen->started_ms,     seen->queue_us,
                           seen->first_byte_us,  seen->total_us,       seen->attempts};
    assert_memory_equal(got, want, sizeof want);
    ask_records(store,
                (struct usage_records_query){.filter = {.outcomes = 1U << USAGE_ABORTED}});
    assert_int_equal(records.count, 1);
    ask_records(store, (struct usage_records_query){.filter = {.outcomes = 1U << USAGE_CUT}});
    assert_int_equal(records.count, 0);
    forget_answers();
    store_close(store);
}

/* ---- old ones ---- */

static void test_old_records_go_and_sums_stay(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 1000, MONDAY));
    int64_t count = -1;
    struct store_txn *txn = store_txn_new(store);
    store_txn_expire_usage(txn, MONDAY + 100 * 60000, &count);
    assert_int_equal(fixture_commit(txn), 0);
    assert_int_equal(count, 100);
    assert_int_equal(query_int(store, "SELECT MIN(seq) FROM usage_records"), 101);
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 900);
    assert_int_equal(query_int(store, "SELECT SUM(requests) FROM usage_days"), 1000);
    add(store, make_batch("a", 1, 1000, MONDAY)); /* they don't come back */
    assert_int_equal(query_int(store, "SELECT COUNT(*) FROM usage_records"), 900);
    store_close(store);
}

/* ---- the reader ---- */

static unsigned answers;

static void count_answer(int rc, const char *text, struct usage_report *answer, void *ctx)
{
    answers++;
}

/* What the store leaves unanswered when it closes is told so. */
static void test_closing_answers_all(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    store_start(store, fixture.loop);
    answers = 0;
    for (int i = 0; i < 2 * STORE_READS_MAX; i++) {
        struct usage_query query = {.page = 1, .per_page = 1};
        store_read_usage(store, &query, count_answer, NULL);
    }
    store_close(store);
    loop_free(fixture.loop);
    fixture.loop = loop_new(&clock_system);
    assert_int_equal(answers, 2 * STORE_READS_MAX);
}

/* A writer in the middle of its transaction holds up nobody who reads. */
static void test_reading_waits_for_no_writer(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    add(store, make_batch("a", 1, 3, MONDAY));
    pthread_mutex_lock(&store->db_lock);
    assert_int_equal(db_exec(store->db, "BEGIN IMMEDIATE; DELETE FROM usage_days", NULL), 0);
    ask(store, (struct usage_query){0});
    assert_int_equal(report.summary[USAGE_REQUESTS], 3);
    assert_int_equal(db_exec(store->db, "ROLLBACK", NULL), 0);
    pthread_mutex_unlock(&store->db_lock);
    forget_answers();
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_what_is_sent_again_is_passed_over),
        STORE_TEST(test_each_gateway_has_its_own_mark),
        STORE_TEST(test_marks_come_back),
        STORE_TEST(test_all_or_nothing),
        STORE_TEST(test_sums_are_those_of_the_records),
        STORE_TEST(test_groups_are_told_apart),
        STORE_TEST(test_splits_add_up),
        STORE_TEST(test_walks_see_each_row_once),
        STORE_TEST(test_walks_while_rows_are_added),
        STORE_TEST(test_sums_of_filtered_records),
        STORE_TEST(test_periods),
        STORE_TEST(test_tokens_since),
        STORE_TEST(test_sums_inside_a_transaction),
        STORE_TEST(test_records_page_by_page),
        STORE_TEST(test_a_record_comes_back_whole),
        STORE_TEST(test_old_records_go_and_sums_stay),
        STORE_TEST(test_closing_answers_all),
        STORE_TEST(test_reading_waits_for_no_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
