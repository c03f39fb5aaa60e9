/* SPDX-License-Identifier: Apache-2.0 */
/* What requests consumed: batches of the gateways, and sums for people. */
#include "api/api_priv.h"

#include "api/csv_export.h"
#include "api/table_writer.h"
#include "api/usage_query.h"
#include "control/ledger.h"

/* ---- what gateways tell ---- */

int usage_records_add(struct request *rq, struct err *err)
{
    struct usage_batch batch;
    int rc = usage_batch_read(rq->body, &batch, err);
    if (rc < 0)
        return rc;
    int64_t applied = ledger_take(control_ledger(rq->control), &batch);
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "applied", applied);
    json_end_object(&rq->json);
    return 0;
}

/* ---- sums ---- */

struct asking {
    struct request *rq; /* held */
    unsigned by;
    int64_t page, per_page, start_ms, end_ms;
    bool is_csv;
    bool is_all; /* what one page can't hold is refused: nobody would see that it was cut */
};

static void write_group(struct table_writer *table, const struct request *rq, unsigned by,
                        const struct usage_row *row)
{
    for (unsigned period = USAGE_BY_HOUR; period <= USAGE_BY_MONTH; period++)
        if (by & 1U << period)
            table_put_time(table, usage_by_names[period], row->starts_ms);
    if (by & 1U << USAGE_BY_MODEL) {
        table_put_int(table, "model_id", row->model_id);
        table_put_string(table, "model", row->model);
    }
    if (by & 1U << USAGE_BY_ROUTE)
        table_put_string(table, "route", row->route);
    if (by & 1U << USAGE_BY_USER) {
        table_put_int(table, "user_id", row->user_id);
        table_put_string(table, "username", usage_user_name(rq, row->user_id, row->user_name));
    }
    if (by & 1U << USAGE_BY_KEY) {
        table_put_int(table, "key_id", row->key_id);
        table_put_string(table, "key_name", usage_key_name(rq, row->key_id, row->key_name));
    }
    if (by & 1U << USAGE_BY_OPERATION)
        table_put_string(table, "operation", row->operation);
}

static void write_counts(struct table_writer *table, const int64_t *counts)
{
    for (int i = 0; i < USAGE_COUNT_COUNT; i++) {
        if (i == USAGE_LAST_ACTIVE)
            table_put_time(table, usage_count_names[i], counts[i]);
        else
            table_put_int(table, usage_count_names[i], counts[i]);
    }
}

static void write_row(struct table_writer *table, const struct request *rq, unsigned by,
                      const struct usage_row *row)
{
    write_group(table, rq, by, row);
    write_counts(table, row->counts);
    table_end_row(table);
}

static void write_csv(struct table_writer *table, const struct request *rq, unsigned by,
                      bool has_head, const struct usage_report *report)
{
    if (has_head) {
        table_begin_head(table);
        write_row(table, rq, by, &(struct usage_row){0});
    }
    for (size_t i = 0; i < report->count; i++) {
        table_begin_row(table);
        write_row(table, rq, by, &report->rows[i]);
    }
}

static void write_pagination(struct json_writer *w, const struct asking *asking, int64_t total)
{
    json_add_key(w, "pagination");
    json_begin_object(w);
    json_put_int(w, "page", asking->page);
    json_put_int(w, "perPage", asking->per_page);
    json_put_int(w, "total", total);
    json_put_int(w, "totalPage", (total + asking->per_page - 1) / asking->per_page);
    json_end_object(w);
}

static void write_json(struct table_writer *table, const struct asking *asking,
                       const struct usage_report *report)
{
    struct json_writer *w = table->json;
    json_begin_object(w);
    json_add_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < report->count; i++) {
        table_begin_row(table);
        write_row(table, asking->rq, asking->by, &report->rows[i]);
    }
    json_end_array(w);
    json_add_key(w, "summary");
    table_begin_row(table);
    write_counts(table, report->summary);
    table_end_row(table);
    json_add_key(w, "start");
    json_add_time(w, asking->start_ms);
    json_add_key(w, "end");
    json_add_time(w, asking->end_ms);
    write_pagination(w, asking, report->total);
    json_end_object(w);
}

static void on_report(int rc, const char *text, struct usage_report *report, void *ctx)
{
    struct asking *asking = ctx;
    struct request *rq = asking->rq;
    struct err err = {0};
    if (rc == 0 && asking->is_all && report->total > (int64_t)report->count) {
        rc = err_set(&err, ERR_INVALID,
                     "CSV with sort_by is at most %d rows, not %lld: leave sort_by out, or ask for "
                     "pages with perPage",
                     USAGE_ROWS_MAX, (long long)report->total);
        text = err.text;
    }
    if (rc == 0 && rq->ex) {
        struct table_writer table = table_writer_into(&rq->reply, &rq->json, asking->is_csv);
        if (asking->is_csv) {
            rq->content_type = USAGE_CSV_TYPE;
            write_csv(&table, rq, asking->by, true, report);
        } else {
            write_json(&table, asking, report);
        }
    }
    free(asking);
    request_finish_read(rq, rc, text);
}

/* ---- CSV: all rows ---- */

struct sums_export {
    struct csv_export export; /* first */
    struct usage_query query; /* of the next page */
};

static void on_export_page(int rc, const char *text, struct usage_report *report, void *ctx)
{
    struct sums_export *own = ctx;
    struct buf out = {0};
    struct table_writer table = table_writer_into(&out, NULL, true);
    if (!csv_export_take(&own->export, rc, text))
        return;
    bool has_more = report->total > (int64_t)report->count;
    write_csv(&table, own->export.rq, own->query.by, !own->export.has_begun, report);
    if (has_more) {
        own->query.after = mem_alloc(sizeof *own->query.after);
        *own->query.after = report->rows[report->count - 1];
        report->rows[report->count - 1] = (struct usage_row){0};
    }
    csv_export_send(&own->export, buf_str(&out), has_more);
    buf_fini(&out);
}

static void export_read(struct csv_export *export)
{
    struct sums_export *own = (struct sums_export *)export;
    struct usage_query query = own->query;
    query.filter = (struct usage_filter){0};
    usage_filter_copy(&query.filter, &own->query.filter);
    own->query.after = NULL; /* it is the store's now */
    ledger_read_usage(control_ledger(export->rq->control), &query, on_export_page, own);
}

static void export_free(struct csv_export *export)
{
    struct sums_export *own = (struct sums_export *)export;
    usage_query_fini(&own->query);
    free(own);
}

static int start_export(struct request *rq, const struct usage_query *query)
{
    static const struct csv_export_ops ops = {.read = export_read, .free = export_free};
    struct sums_export *own = mem_alloc(sizeof *own);
    own->query = *query;
    return csv_export_start(&own->export, rq, &ops);
}

int usage_list(struct request *rq, struct err *err)
{
    struct usage_query query;
    int rc = usage_query_read(rq, &query, err);
    if (rc < 0)
        return rc;
    if (query.is_walk)
        return start_export(rq, &query);
    struct asking *asking = mem_alloc(sizeof *asking);
    *asking = (struct asking){.rq = rq,
                              .by = query.by,
                              .page = query.page,
                              .per_page = query.per_page,
                              .start_ms = query.filter.start_ms,
                              .end_ms = query.filter.end_ms,
                              .is_csv = usage_wants_csv(rq),
                              .is_all = usage_wants_all(rq)};
    request_hold(rq);
    ledger_read_usage(control_ledger(rq->control), &query, on_report, asking);
    return REQUEST_PENDING;
}
