/* SPDX-License-Identifier: Apache-2.0 */
/* The usage of single requests: JSON by pages, CSV as one stream. */
#include "api/api_priv.h"

#include "api/csv_export.h"
#include "api/table_writer.h"
#include "api/usage_query.h"
#include "control/ledger.h"

/* ---- a row ---- */

static void write_who(struct table_writer *table, const struct request *rq,
                      const struct usage *usage)
{
    table_put_int(table, "user_id", usage->user_id);
    table_put_string(table, "username", usage_user_name(rq, usage->user_id, usage->user_name));
    table_put_int(table, "key_id", usage->key_id);
    table_put_string(table, "key_name", usage_key_name(rq, usage->key_id, usage->key_name));
    table_put_int(table, "model_id", usage->model_id);
    table_put_string(table, "model", usage->model);
    table_put_string(table, "route", usage->route);
    table_put_int(table, "instance_id", usage->instance_id);
    table_put_string(table, "operation", usage_operation_names[usage->operation]);
}

static void write_result(struct table_writer *table, const struct usage *usage)
{
    table_put_string(table, "outcome", usage_outcome_names[usage->outcome]);
    table_put_int(table, "status", usage->status);
    table_put_string(table, "aborted_phase",
                     usage->aborted_phase ? usage_phase_names[usage->aborted_phase] : NULL);
    table_put_bool(table, "is_stream", usage->is_stream);
    table_put_bool(table, "is_estimated", usage->is_estimated);
    table_put_int(table, "prompt_tokens", usage->prompt_tokens);
    table_put_int(table, "cached_tokens", usage->cached_tokens);
    table_put_int(table, "completion_tokens", usage->completion_tokens);
    table_put_int(table, "request_bytes", usage->request_bytes);
    table_put_int(table, "response_bytes", usage->response_bytes);
    table_put_int(table, "queue_us", usage->queue_us);
    table_put_int(table, "first_byte_us", usage->first_byte_us);
    table_put_int(table, "total_us", usage->total_us);
    table_put_int(table, "attempts", usage->attempts);
}

static void write_record(struct table_writer *table, const struct request *rq,
                         const struct usage_record_row *row)
{
    table_put_int(table, "id", row->id);
    table_put_time(table, "started_at", row->usage.started_ms);
    table_put_string(table, "request_id", row->usage.request_id);
    write_who(table, rq, &row->usage);
    write_result(table, &row->usage);
    table_put_string(table, "gateway", row->gateway);
    table_put_int(table, "seq", row->usage.seq);
    table_end_row(table);
}

/* Writes a page of JSON. */
static void write_page(struct table_writer *table, struct request *rq,
                       const struct usage_records *records)
{
    json_begin_object(table->json);
    json_add_key(table->json, "items");
    json_begin_array(table->json);
    for (size_t i = 0; i < records->count; i++) {
        table_begin_row(table);
        write_record(table, rq, &records->rows[i]);
    }
    json_end_array(table->json);
    auto_free char *cursor =
        records->has_more ? usage_cursor(&records->rows[records->count - 1]) : NULL;
    json_put_string(table->json, "next_cursor", cursor);
    json_end_object(table->json);
}

static void on_page(int rc, const char *text, struct usage_records *records, void *ctx)
{
    struct request *rq = ctx;
    if (rc == 0 && rq->ex) {
        struct table_writer table = table_writer_into(&rq->reply, &rq->json, false);
        write_page(&table, rq, records);
    }
    request_finish_read(rq, rc, text);
}

/* ---- CSV: all rows ---- */

enum { EXPORT_ROWS = 1000 }; /* of a page; they are in memory at once */

struct records_export {
    struct csv_export export; /* first */
    struct usage_records_query query; /* of the next page */
    int64_t left;                     /* rows that may still be told */
};

static void write_rows(struct records_export *own, const struct usage_records *records,
                       struct buf *out)
{
    struct table_writer table = table_writer_into(out, NULL, true);
    if (!own->export.has_begun) {
        table_begin_head(&table);
        write_record(&table, own->export.rq, &(struct usage_record_row){0});
    }
    for (size_t i = 0; i < records->count; i++) {
        table_begin_row(&table);
        write_record(&table, own->export.rq, &records->rows[i]);
    }
    if (records->count == 0)
        return;
    const struct usage_record_row *last = &records->rows[records->count - 1];
    own->query.before_ms = last->usage.started_ms;
    own->query.before_id = last->id;
    own->left -= (int64_t)records->count;
}

static void on_export_page(int rc, const char *text, struct usage_records *records, void *ctx)
{
    struct records_export *own = ctx;
    struct buf out = {0};
    if (!csv_export_take(&own->export, rc, text))
        return;
    write_rows(own, records, &out);
    csv_export_send(&own->export, buf_str(&out), records->has_more && own->left > 0);
    buf_fini(&out);
}

static void export_read(struct csv_export *export)
{
    struct records_export *own = (struct records_export *)export;
    struct usage_records_query query = own->query;
    query.filter = (struct usage_filter){0};
    usage_filter_copy(&query.filter, &own->query.filter);
    query.limit = own->left < EXPORT_ROWS ? own->left : EXPORT_ROWS;
    ledger_read_records(control_ledger(export->rq->control), &query, on_export_page, own);
}

static void export_free(struct csv_export *export)
{
    struct records_export *own = (struct records_export *)export;
    usage_filter_fini(&own->query.filter);
    free(own);
}

static int start_export(struct request *rq, struct usage_records_query *query)
{
    static const struct csv_export_ops ops = {.read = export_read, .free = export_free};
    struct records_export *own = mem_alloc(sizeof *own);
    own->query = *query;
    own->left = query->limit ? query->limit : INT64_MAX;
    return csv_export_start(&own->export, rq, &ops);
}

int usage_records_list(struct request *rq, struct err *err)
{
    struct usage_records_query query;
    int rc = usage_records_query_read(rq, &query, err);
    if (rc < 0)
        return rc;
    if (usage_wants_csv(rq))
        return start_export(rq, &query);
    request_hold(rq);
    ledger_read_records(control_ledger(rq->control), &query, on_page, rq);
    return REQUEST_PENDING;
}
