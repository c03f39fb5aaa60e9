/* SPDX-License-Identifier: Apache-2.0 */
/* Single requests, the latest first, by the index on their begin or on their id. */
#include "store/store_priv.h"

#include <errno.h>

#define COLUMNS                                                                                    \
    "r.id, w.uuid, r.seq, r.request_id, g.user_id, g.user_name, g.key_id, g.key_name, g.model_id," \
    " g.model, g.route, g.operation, r.instance_id, r.outcome, r.status, r.aborted_phase,"         \
    " r.is_stream, r.is_estimated, r.prompt_tokens, r.cached_tokens, r.completion_tokens,"         \
    " r.request_bytes, r.response_bytes, r.started_at, r.queue_us, r.first_byte_us, r.total_us,"   \
    " r.attempts"

static void add_outcomes(struct buf *sql, unsigned set)
{
    const char *before = " AND r.outcome IN (";
    for (unsigned i = 0; set >> i; i++) {
        if (!(set & 1U << i))
            continue;
        buf_printf(sql, "%s'%s'", before, usage_outcome_names[i]);
        before = ", ";
    }
    if (set)
        buf_add_char(sql, ')');
}

/* One row more than asked for tells whether there are more. Returns owned. */
static char *records_sql(const struct usage_records_query *query)
{
    const struct usage_filter *filter = &query->filter;
    struct buf sql = {0};
    /* CROSS JOIN keeps SQLite from beginning with the groups: it would have to sort all it finds.
     */
    buf_printf(&sql,
               "SELECT " COLUMNS " FROM usage_records r CROSS JOIN usage_groups g"
               " ON g.id = r.group_id CROSS JOIN usage_gateways w ON w.id = r.gateway_id"
               " WHERE r.started_at >= %lld",
               (long long)filter->start_ms);
    if (filter->end_ms)
        buf_printf(&sql, " AND r.started_at < %lld", (long long)filter->end_ms);
    if (query->before_id)
        buf_printf(&sql, " AND (r.started_at, r.id) < (%lld, %lld)", (long long)query->before_ms,
                   (long long)query->before_id);
    if (filter->request_id)
        buf_add_cstr(&sql, " AND r.request_id = :request_id");
    usage_add_filter(&sql, filter);
    add_outcomes(&sql, filter->outcomes);
    buf_printf(&sql, " ORDER BY r.started_at DESC, r.id DESC LIMIT %lld",
               (long long)query->limit + 1);
    return buf_take(&sql);
}

/* The number of a word of the store; one that this version doesn't know is damage. */
static int word_of(sqlite3_stmt *statement, int column, const char *const *words, int count,
                   int *ret, struct err *err)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], text) != 0)
            continue;
        *ret = i;
        return 0;
    }
    return err_set(err, -EBADMSG, "usage record %lld: %s is no word of this version",
                   (long long)sqlite3_column_int64(statement, 0), text);
}

static int read_words(sqlite3_stmt *statement, struct usage *usage, struct err *err)
{
    int rc = word_of(statement, 11, usage_operation_names, USAGE_OPERATION_COUNT,
                     &usage->operation, err);
    if (rc == 0)
        rc = word_of(statement, 13, usage_outcome_names, USAGE_OUTCOME_COUNT, &usage->outcome, err);
    if (rc == 0)
        rc = word_of(statement, 15, usage_phase_names, USAGE_PHASE_COUNT, &usage->aborted_phase,
                     err);
    return rc;
}

static void read_texts(sqlite3_stmt *statement, struct usage *usage)
{
    usage->request_id = usage_column_text(statement, 3);
    usage->user_name = usage_column_text(statement, 5);
    usage->key_name = usage_column_text(statement, 7);
    usage->model = usage_column_text(statement, 9);
    usage->route = usage_column_text(statement, 10);
}

static void read_numbers(sqlite3_stmt *statement, struct usage *usage)
{
    const struct {
        int column;
        int64_t *to;
    } numbers[] = {
        {2, &usage->seq},
        {4, &usage->user_id},
        {6, &usage->key_id},
        {8, &usage->model_id},
        {12, &usage->instance_id},
        {14, &usage->status},
        {18, &usage->prompt_tokens},
        {19, &usage->cached_tokens},
        {20, &usage->completion_tokens},
        {21, &usage->request_bytes},
        {22, &usage->response_bytes},
        {23, &usage->started_ms},
        {24, &usage->queue_us},
        {25, &usage->first_byte_us},
        {26, &usage->total_us},
        {27, &usage->attempts},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i].to = sqlite3_column_int64(statement, numbers[i].column);
    usage->is_stream = sqlite3_column_int(statement, 16) != 0;
    usage->is_estimated = sqlite3_column_int(statement, 17) != 0;
}

static int read_row(sqlite3_stmt *statement, struct usage_record_row *row, struct err *err)
{
    *row = (struct usage_record_row){.id = sqlite3_column_int64(statement, 0),
                                     .gateway = usage_column_text(statement, 1)};
    read_texts(statement, &row->usage);
    read_numbers(statement, &row->usage);
    return read_words(statement, &row->usage, err);
}

static int read_rows(sqlite3 *db, sqlite3_stmt *statement, int64_t limit,
                     struct usage_records *records, struct err *err)
{
    size_t room = 0;
    int step, rc = 0;
    while (rc == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        records->has_more = (int64_t)records->count == limit;
        if (records->has_more)
            return 0;
        if (records->count == room) {
            room = room ? room * 2 : 16;
            records->rows = mem_resize(records->rows, room * sizeof *records->rows);
        }
        rc = read_row(statement, &records->rows[records->count++], err);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = db_fail(db, err);
    return rc;
}

int usage_records_read(sqlite3 *db, const struct usage_records_query *query,
                       struct usage_records *ret, struct err *err)
{
    auto_free char *sql = records_sql(query);
    sqlite3_stmt *statement;
    int rc = db_prepare(db, sql, &statement, err);
    if (rc < 0)
        return rc;
    usage_bind_filter(statement, &query->filter);
    rc = read_rows(db, statement, query->limit, ret, err);
    sqlite3_finalize(statement);
    return rc;
}
