/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch of usage as rows. Its records are put in the order of who asked for what, and when, so
 * that a group is looked up once and its hour and day are raised once, however many there are.
 */
#include "store/store_priv.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

#define SUM_COLUMNS                                                                                \
    "(starts_at, group_id, requests, errors, prompt_tokens, cached_tokens, completion_tokens,"     \
    " queue_us, first_bytes, first_byte_us, total_us)"                                             \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"                                       \
    " ON CONFLICT (starts_at, group_id) DO UPDATE SET requests = requests + excluded.requests,"    \
    " errors = errors + excluded.errors,"                                                          \
    " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"                                     \
    " cached_tokens = cached_tokens + excluded.cached_tokens,"                                     \
    " completion_tokens = completion_tokens + excluded.completion_tokens,"                         \
    " queue_us = queue_us + excluded.queue_us, first_bytes = first_bytes + excluded.first_bytes,"  \
    " first_byte_us = first_byte_us + excluded.first_byte_us,"                                     \
    " total_us = total_us + excluded.total_us"

static const char *const statement_texts[USAGE_STATEMENT_COUNT] = {
    [USAGE_FIND_GATEWAY] = "SELECT id, applied FROM usage_gateways WHERE uuid = ?1",
    [USAGE_PUT_GATEWAY] = "INSERT INTO usage_gateways (uuid, applied) VALUES (?1, ?2)"
                          " ON CONFLICT (uuid) DO UPDATE SET applied = excluded.applied",
    [USAGE_FIND_GROUP] = "SELECT id FROM usage_groups WHERE user_id = ?1 AND key_id = ?2"
                         " AND model_id = ?3 AND operation = ?4 AND model = ?5 AND route = ?6",
    [USAGE_PUT_GROUP] = "INSERT INTO usage_groups (user_id, key_id, model_id, operation, model,"
                        " route, user_name, key_name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [USAGE_ADD_HOUR] = "INSERT INTO usage_hours " SUM_COLUMNS,
    [USAGE_ADD_DAY] = "INSERT INTO usage_days " SUM_COLUMNS,
    [USAGE_PUT_RECORD] =
        "INSERT INTO usage_records (gateway_id, seq, group_id, request_id, instance_id, outcome,"
        " status, aborted_phase, is_stream, is_estimated, prompt_tokens, cached_tokens,"
        " completion_tokens, request_bytes, response_bytes, started_at, queue_us, first_byte_us,"
        " total_us, attempts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
        " ?15, ?16, ?17, ?18, ?19, ?20)",
    [USAGE_EXPIRE] = "DELETE FROM usage_records WHERE id IN (SELECT id FROM usage_records"
                     " WHERE started_at < ?1 ORDER BY started_at LIMIT ?2)",
};

static int statement_of(struct usage_statements *statements, sqlite3 *db,
                        enum usage_statement which, sqlite3_stmt **ret, struct err *err)
{
    int rc = statements->of[which]
                 ? 0
                 : db_prepare(db, statement_texts[which], &statements->of[which], err);
    *ret = statements->of[which];
    return rc;
}

void usage_statements_fini(struct usage_statements *statements)
{
    for (size_t i = 0; i < USAGE_STATEMENT_COUNT; i++)
        sqlite3_finalize(statements->of[i]);
    *statements = (struct usage_statements){0};
}

/* ---- a batch under way ---- */

struct placed {
    const struct usage *usage;
    int64_t group_id;
};

struct adding {
    struct usage_statements *statements;
    sqlite3 *db;
    int64_t gateway_id;
    struct placed *records; /* owned; by seq */
    struct placed **sorted; /* owned; the same by group and time */
    size_t count;
};

static void bind_name(sqlite3_stmt *statement, int at, const char *name)
{
    sqlite3_bind_text(statement, at, name, -1, SQLITE_STATIC);
}

/* Runs a bound query of integers; `*found` says whether there was a row. */
static int query_row(sqlite3 *db, sqlite3_stmt *statement, int64_t *ret, int columns, bool *found,
                     struct err *err)
{
    int step = sqlite3_step(statement), rc = 0;
    *found = step == SQLITE_ROW;
    for (int i = 0; *found && i < columns; i++)
        ret[i] = sqlite3_column_int64(statement, i);
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        rc = db_fail(db, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

/* ---- gateways ---- */

/* Its id and mark; a gateway that isn't known has none. */
static int find_gateway(struct adding *adding, const char *uuid, int64_t *ret_applied,
                        struct err *err)
{
    sqlite3_stmt *statement;
    int64_t row[2] = {0};
    bool found;
    int rc = statement_of(adding->statements, adding->db, USAGE_FIND_GATEWAY, &statement, err);
    if (rc < 0)
        return rc;
    bind_name(statement, 1, uuid);
    rc = query_row(adding->db, statement, row, 2, &found, err);
    adding->gateway_id = row[0];
    *ret_applied = row[1];
    return rc;
}

static int put_gateway(struct adding *adding, const char *uuid, int64_t applied, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = statement_of(adding->statements, adding->db, USAGE_PUT_GATEWAY, &statement, err);
    if (rc < 0)
        return rc;
    bind_name(statement, 1, uuid);
    sqlite3_bind_int64(statement, 2, applied);
    rc = db_run(adding->db, statement, err);
    if (rc == 0 && adding->gateway_id == 0)
        adding->gateway_id = sqlite3_last_insert_rowid(adding->db);
    return rc;
}

/* ---- groups ---- */

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_groups(const struct usage *a, const struct usage *b)
{
    int order = compare_numbers(a->user_id, b->user_id);
    order = order ? order : compare_numbers(a->key_id, b->key_id);
    order = order ? order : compare_numbers(a->model_id, b->model_id);
    order = order ? order : compare_numbers(a->operation, b->operation);
    order = order ? order : strcmp(a->model, b->model);
    return order ? order : strcmp(a->route, b->route);
}

static int compare_placed(const void *left, const void *right)
{
    const struct usage *a = (*(struct placed *const *)left)->usage;
    const struct usage *b = (*(struct placed *const *)right)->usage;
    int order = compare_groups(a, b);
    return order ? order : compare_numbers(a->started_ms, b->started_ms);
}

static void bind_group(sqlite3_stmt *statement, const struct usage *usage)
{
    sqlite3_bind_int64(statement, 1, usage->user_id);
    sqlite3_bind_int64(statement, 2, usage->key_id);
    sqlite3_bind_int64(statement, 3, usage->model_id);
    bind_name(statement, 4, usage_operation_names[usage->operation]);
    bind_name(statement, 5, usage->model);
    bind_name(statement, 6, usage->route);
}

static int make_group(struct adding *adding, const struct usage *usage, int64_t *ret_id,
                      struct err *err)
{
    sqlite3_stmt *statement;
    int rc = statement_of(adding->statements, adding->db, USAGE_PUT_GROUP, &statement, err);
    if (rc < 0)
        return rc;
    bind_group(statement, usage);
    bind_name(statement, 7, usage->user_name);
    bind_name(statement, 8, usage->key_name);
    rc = db_run(adding->db, statement, err);
    *ret_id = sqlite3_last_insert_rowid(adding->db);
    return rc;
}

static int find_group(struct adding *adding, const struct usage *usage, int64_t *ret_id,
                      struct err *err)
{
    sqlite3_stmt *statement;
    bool found;
    int rc = statement_of(adding->statements, adding->db, USAGE_FIND_GROUP, &statement, err);
    if (rc < 0)
        return rc;
    bind_group(statement, usage);
    rc = query_row(adding->db, statement, ret_id, 1, &found, err);
    return rc == 0 && !found ? make_group(adding, usage, ret_id, err) : rc;
}

/* ---- sums ---- */

struct sum {
    int64_t requests, errors, prompt_tokens, cached_tokens, completion_tokens;
    int64_t queue_us, first_bytes, first_byte_us, total_us;
};

static void sum_add(struct sum *sum, const struct usage *usage)
{
    sum->requests++;
    sum->errors += usage_is_error(usage);
    sum->prompt_tokens += usage->prompt_tokens;
    sum->cached_tokens += usage->cached_tokens;
    sum->completion_tokens += usage->completion_tokens;
    sum->queue_us += usage->queue_us;
    sum->first_bytes += usage->first_byte_us > 0;
    sum->first_byte_us += usage->first_byte_us;
    sum->total_us += usage->total_us;
}

static int put_sum(struct adding *adding, enum usage_statement which, int64_t starts_ms,
                   int64_t group_id, const struct sum *sum, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = statement_of(adding->statements, adding->db, which, &statement, err);
    if (rc < 0)
        return rc;
    const int64_t values[] = {starts_ms,          group_id,           sum->requests,
                              sum->errors,        sum->prompt_tokens, sum->cached_tokens,
                              sum->completion_tokens, sum->queue_us,  sum->first_bytes,
                              sum->first_byte_us, sum->total_us};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        sqlite3_bind_int64(statement, (int)i + 1, values[i]);
    return db_run(adding->db, statement, err);
}

/* Raises the sums of one group, whose records are the sorted ones from `first` to before `end`. */
static int add_sums(struct adding *adding, size_t first, size_t end, enum usage_statement which,
                    struct err *err)
{
    int64_t step_ms = which == USAGE_ADD_HOUR ? HOUR_MS : DAY_MS;
    int rc = 0;
    for (size_t i = first; rc == 0 && i < end;) {
        int64_t period = adding->sorted[i]->usage->started_ms / step_ms;
        struct sum sum = {0};
        for (; i < end && adding->sorted[i]->usage->started_ms / step_ms == period; i++)
            sum_add(&sum, adding->sorted[i]->usage);
        rc = put_sum(adding, which, period * step_ms, adding->sorted[first]->group_id, &sum, err);
    }
    return rc;
}

static int add_group(struct adding *adding, size_t first, size_t end, struct err *err)
{
    int64_t id = 0;
    int rc = find_group(adding, adding->sorted[first]->usage, &id, err);
    if (rc < 0)
        return rc;
    for (size_t i = first; i < end; i++)
        adding->sorted[i]->group_id = id;
    rc = add_sums(adding, first, end, USAGE_ADD_HOUR, err);
    return rc == 0 ? add_sums(adding, first, end, USAGE_ADD_DAY, err) : rc;
}

static int add_groups(struct adding *adding, struct err *err)
{
    qsort(adding->sorted, adding->count, sizeof *adding->sorted, compare_placed);
    int rc = 0;
    for (size_t first = 0, end; rc == 0 && first < adding->count; first = end) {
        const struct usage *usage = adding->sorted[first]->usage;
        for (end = first + 1; end < adding->count; end++)
            if (compare_groups(usage, adding->sorted[end]->usage) != 0)
                break;
        rc = add_group(adding, first, end, err);
    }
    return rc;
}

/* ---- records ---- */

static int put_record(struct adding *adding, const struct placed *placed, struct err *err)
{
    sqlite3_stmt *statement;
    const struct usage *usage = placed->usage;
    int rc = statement_of(adding->statements, adding->db, USAGE_PUT_RECORD, &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, adding->gateway_id);
    sqlite3_bind_int64(statement, 2, usage->seq);
    sqlite3_bind_int64(statement, 3, placed->group_id);
    bind_name(statement, 4, usage->request_id);
    sqlite3_bind_int64(statement, 5, usage->instance_id);
    bind_name(statement, 6, usage_outcome_names[usage->outcome]);
    sqlite3_bind_int64(statement, 7, usage->status);
    bind_name(statement, 8, usage_phase_names[usage->aborted_phase]);
    sqlite3_bind_int(statement, 9, usage->is_stream);
    sqlite3_bind_int(statement, 10, usage->is_estimated);
    const int64_t rest[] = {usage->prompt_tokens,  usage->cached_tokens, usage->completion_tokens,
                            usage->request_bytes,  usage->response_bytes, usage->started_ms,
                            usage->queue_us,       usage->first_byte_us, usage->total_us,
                            usage->attempts};
    for (size_t i = 0; i < ARRAY_LEN(rest); i++)
        sqlite3_bind_int64(statement, (int)i + 11, rest[i]);
    return db_run(adding->db, statement, err);
}

/* ---- all together ---- */

/* Takes up the records that are above the mark. */
static void place(struct adding *adding, const struct usage_batch *batch, int64_t applied)
{
    size_t known = 0;
    while (known < batch->count && batch->records[known].seq <= applied)
        known++;
    adding->count = batch->count - known;
    adding->records = mem_alloc_array(adding->count, sizeof *adding->records);
    adding->sorted = mem_alloc_array(adding->count, sizeof *adding->sorted);
    for (size_t i = 0; i < adding->count; i++) {
        adding->records[i].usage = &batch->records[known + i];
        adding->sorted[i] = &adding->records[i];
    }
}

static int add_placed(struct adding *adding, const struct usage_batch *batch, struct err *err)
{
    int rc = put_gateway(adding, batch->gateway, batch->records[batch->count - 1].seq, err);
    if (rc == 0)
        rc = add_groups(adding, err);
    for (size_t i = 0; rc == 0 && i < adding->count; i++)
        rc = put_record(adding, &adding->records[i], err);
    return rc;
}

int usage_add(struct usage_statements *statements, sqlite3 *db, const struct usage_batch *batch,
              struct err *err)
{
    struct adding adding = {.statements = statements, .db = db};
    int64_t applied;
    int rc = find_gateway(&adding, batch->gateway, &applied, err);
    if (rc < 0)
        return err_wrap(err, rc, "usage");
    place(&adding, batch, applied);
    rc = adding.count ? add_placed(&adding, batch, err) : 0;
    free(adding.records);
    free(adding.sorted);
    return rc < 0 ? err_wrap(err, rc, "usage") : 0;
}

int usage_expire(struct usage_statements *statements, sqlite3 *db, int64_t before_ms,
                 int64_t *ret_count, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = statement_of(statements, db, USAGE_EXPIRE, &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, before_ms);
    sqlite3_bind_int(statement, 2, USAGE_EXPIRE_MAX);
    rc = db_run(db, statement, err);
    if (rc < 0)
        return err_wrap(err, rc, "old usage");
    *ret_count = sqlite3_changes(db);
    return 0;
}
