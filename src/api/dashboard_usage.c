/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dashboard_usage.h"

#include "api/api_priv.h"
#include "api/usage_query.h"
#include "control/ledger.h"

enum { TOP_USERS_MAX = 10 };

/* ---- asking ---- */

struct board {
    struct request *rq; /* held */
    struct usage_report reports[DASHBOARD_QUERIES];
    unsigned count, left; /* of them; those that aren't there yet */
    int rc;               /* of the first that failed */
    struct err err;
    void (*write)(struct request *rq, const struct usage_report *reports);
};

struct board_read {
    struct board *board;
    unsigned number;
};

static void finish(struct board *board)
{
    struct request *rq = board->rq;
    if (board->rc == 0 && rq->ex)
        board->write(rq, board->reports);
    for (unsigned i = 0; i < board->count; i++)
        usage_report_fini(&board->reports[i]);
    request_finish_read(rq, board->rc, board->err.text);
    free(board);
}

static void on_report(int rc, const char *text, struct usage_report *report, void *ctx)
{
    struct board_read *read = ctx;
    struct board *board = read->board;
    if (rc == 0) {
        board->reports[read->number] = *report;
        *report = (struct usage_report){0};
    } else if (board->rc == 0) {
        board->rc = err_set(&board->err, rc, "%s", text);
    }
    free(read);
    if (--board->left == 0)
        finish(board);
}

int dashboard_read(struct request *rq, struct usage_query *queries, unsigned count,
                   void (*write)(struct request *rq, const struct usage_report *reports))
{
    struct board *board = mem_alloc(sizeof *board);
    *board = (struct board){.rq = rq, .count = count, .left = count, .write = write};
    request_hold(rq);
    for (unsigned i = 0; i < count; i++) {
        struct board_read *read = mem_alloc(sizeof *read);
        *read = (struct board_read){.board = board, .number = i};
        ledger_read_usage(control_ledger(rq->control), &queries[i], on_report, read);
    }
    return REQUEST_PENDING;
}

void dashboard_queries(const struct request *rq, struct usage_query queries[DASHBOARD_QUERIES])
{
    int64_t start_ms = usage_days_back(rq, USAGE_DEFAULT_DAYS);
    queries[DASHBOARD_DAYS] = (struct usage_query){.filter = {.start_ms = start_ms},
                                                   .by = 1U << USAGE_BY_DAY,
                                                   .sort = -1 - USAGE_BY_DAY,
                                                   .page = 1,
                                                   .per_page = USAGE_ROWS_MAX};
    queries[DASHBOARD_USERS] = (struct usage_query){.filter = {.start_ms = start_ms},
                                                    .by = 1U << USAGE_BY_USER,
                                                    .sort = USAGE_TOTAL_TOKENS,
                                                    .is_descending = true,
                                                    .page = 1,
                                                    .per_page = TOP_USERS_MAX};
    queries[DASHBOARD_MODELS] = (struct usage_query){.by = 1U << USAGE_BY_MODEL,
                                                     .sort = USAGE_TOTAL_TOKENS,
                                                     .is_descending = true,
                                                     .page = 1,
                                                     .per_page = USAGE_ROWS_MAX};
}

/* ---- writing ---- */

/* A list of {timestamp (seconds), value}. */
static void write_history(struct json_writer *w, const char *key, const struct usage_report *days,
                          enum usage_count count)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < days->count; i++) {
        json_begin_object(w);
        json_put_int(w, "timestamp", days->rows[i].starts_ms / 1000);
        json_put_int(w, "value", days->rows[i].counts[count]);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_histories(struct json_writer *w, const struct usage_report *days)
{
    write_history(w, "api_request_history", days, USAGE_REQUESTS);
    write_history(w, "prompt_token_history", days, USAGE_PROMPT_TOKENS);
    write_history(w, "completion_token_history", days, USAGE_COMPLETION_TOKENS);
}

static void write_user(struct request *rq, const struct usage_row *row)
{
    const struct user *user = cluster_find(rq->cluster, KIND_USER, row->user_id);
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "user_id", row->user_id);
    json_put_string(&rq->json, "username", user ? user->username : row->user_name);
    json_put_int(&rq->json, "prompt_token_count", row->counts[USAGE_PROMPT_TOKENS]);
    json_put_int(&rq->json, "completion_token_count", row->counts[USAGE_COMPLETION_TOKENS]);
    json_end_object(&rq->json);
}

void dashboard_write_usage(struct request *rq, const struct usage_report *reports)
{
    const struct usage_report *users = &reports[DASHBOARD_USERS];
    json_add_key(&rq->json, "model_usage");
    json_begin_object(&rq->json);
    write_histories(&rq->json, &reports[DASHBOARD_DAYS]);
    json_add_key(&rq->json, "top_users");
    json_begin_array(&rq->json);
    for (size_t i = 0; i < users->count; i++)
        write_user(rq, &users->rows[i]);
    json_end_array(&rq->json);
    json_end_object(&rq->json);
}

int64_t dashboard_model_tokens(const struct usage_report *report, int64_t model_id)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < report->count; i++)
        if (report->rows[i].model_id == model_id)
            tokens += report->rows[i].counts[USAGE_TOTAL_TOKENS];
    return tokens;
}

/* ---- the two pages of their own ---- */

/* start_date and end_date are days, both included. */
static int read_filter(const struct request *rq, struct usage_filter *filter, struct err *err)
{
    int64_t start_ms = usage_days_back(rq, USAGE_DEFAULT_DAYS);
    int rc = usage_read_time(rq, "start_date", start_ms, &filter->start_ms, err);
    if (rc == 0)
        rc = usage_read_time(rq, "end_date", 0, &filter->end_ms, err);
    if (filter->end_ms)
        filter->end_ms += USAGE_DAY_MS;
    if (rc == 0)
        rc = usage_read_ids(rq, "model_ids", &filter->model_ids, err);
    if (rc == 0)
        rc = usage_read_ids(rq, "user_ids", &filter->user_ids, err);
    return rc;
}

static int read_days(struct request *rq, unsigned by,
                     void (*write)(struct request *rq, const struct usage_report *reports),
                     struct err *err)
{
    struct usage_query query = {.by = 1U << USAGE_BY_DAY | by,
                                .sort = -1 - USAGE_BY_DAY,
                                .page = 1,
                                .per_page = USAGE_ROWS_MAX};
    int rc = read_filter(rq, &query.filter, err);
    if (rc < 0) {
        usage_filter_fini(&query.filter);
        return rc;
    }
    return dashboard_read(rq, &query, 1, write);
}

static void write_stats(struct request *rq, const struct usage_report *days)
{
    json_begin_object(&rq->json);
    write_histories(&rq->json, days);
    json_end_object(&rq->json);
}

int dashboard_usage_stats(struct request *rq, struct err *err)
{
    return read_days(rq, 0, write_stats, err);
}

static void write_counter(struct json_writer *w, const struct usage_row *row)
{
    char date[CLOCK_TEXT_MAX];
    clock_format(row->starts_ms, date);
    date[10] = '\0';
    json_begin_object(w);
    json_put_string(w, "date", date);
    json_put_int(w, "user_id", row->user_id);
    json_put_int(w, "model_id", row->model_id);
    json_put_string(w, "model_name", row->model);
    json_put_string(w, "operation", row->operation);
    json_put_int(w, "prompt_token_count", row->counts[USAGE_PROMPT_TOKENS]);
    json_put_int(w, "completion_token_count", row->counts[USAGE_COMPLETION_TOKENS]);
    json_put_int(w, "request_count", row->counts[USAGE_REQUESTS]);
    json_end_object(w);
}

static void write_counters(struct request *rq, const struct usage_report *rows)
{
    json_begin_array(&rq->json);
    for (size_t i = 0; i < rows->count; i++)
        write_counter(&rq->json, &rows->rows[i]);
    json_end_array(&rq->json);
}

int dashboard_usage(struct request *rq, struct err *err)
{
    return read_days(rq,
                     1U << USAGE_BY_USER | 1U << USAGE_BY_MODEL | 1U << USAGE_BY_OPERATION,
                     write_counters, err);
}
