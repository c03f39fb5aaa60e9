/* SPDX-License-Identifier: Apache-2.0 */
/* The usage of single requests: JSON by pages, CSV as one stream. */
#include "api/api_priv.h"

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

/* ---- CSV: all rows, page after page as the client takes them ---- */

enum { EXPORT_ROWS = 1000 }; /* of a page; they are in memory at once */

struct export
{
    struct request *rq; /* held: its caller */
    struct http_exchange *ex; /* NULL once it has closed */
    struct usage_records_query query; /* of the next page */
    int64_t left;                     /* rows that may still be told */
    bool is_reading, has_begun, is_admin;
};

static void export_free(struct export *export)
{
    usage_filter_fini(&export->query.filter);
    request_drop(export->rq);
    free(export);
}

static void on_export_page(int rc, const char *text, struct usage_records *records, void *ctx);

static void read_on(struct export *export)
{
    struct usage_records_query query = export->query;
    query.filter = (struct usage_filter){0};
    usage_filter_copy(&query.filter, &export->query.filter);
    query.limit = export->left < EXPORT_ROWS ? export->left : EXPORT_ROWS;
    export->is_reading = true;
    ledger_read_records(control_ledger(export->rq->control), &query, on_export_page, export);
}

static void on_end(struct http_exchange *ex, void *ctx)
{
}

static void on_drain(struct http_exchange *ex, void *ctx)
{
    struct export *export = ctx;
    if (!export->is_reading)
        read_on(export);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct export *export = ctx;
    export->ex = NULL;
    if (!export->is_reading)
        export_free(export);
}

static const struct http_exchange_ops export_ops = {
    .on_end = on_end, .on_drain = on_drain, .on_close = on_close};

/* The first page is there: from now on errors can only cut the answer. */
static void begin_export(struct export *export, struct buf *out)
{
    const struct http_header type = {STR("Content-Type"), STR(USAGE_CSV_TYPE)};
    struct table_writer table = table_writer_into(out, NULL, true);
    export->ex = export->rq->ex;
    export->has_begun = true;
    (void)request_take(export->rq);
    http_exchange_set_ops(export->ex, &export_ops, export);
    http_reply_start(export->ex, 200, &type, 1, -1);
    table_begin_head(&table);
    write_record(&table, export->rq, &(struct usage_record_row){0});
}

static void write_rows(struct export *export, const struct usage_records *records,
                       struct buf *out)
{
    struct table_writer table = table_writer_into(out, NULL, true);
    for (size_t i = 0; i < records->count; i++) {
        table_begin_row(&table);
        write_record(&table, export->rq, &records->rows[i]);
    }
    if (records->count == 0)
        return;
    const struct usage_record_row *last = &records->rows[records->count - 1];
    export->query.before_ms = last->usage.started_ms;
    export->query.before_id = last->id;
    export->left -= (int64_t)records->count;
}

/* Sends a page, and ends the answer or goes on once the client has taken it. */
static void send_page(struct export *export, const struct usage_records *records)
{
    struct buf out = {0};
    if (!export->has_begun)
        begin_export(export, &out);
    write_rows(export, records, &out);
    size_t waiting = http_reply_write(export->ex, buf_str(&out));
    buf_fini(&out);
    if (!records->has_more || export->left == 0)
        http_reply_end(export->ex);
    else if (waiting <= HTTP_HIGH_WATER)
        read_on(export);
}

/* Whether the caller may still see what the filter, made once, lets through. */
static bool may_go_on(const struct export *export)
{
    return caller_is_still_allowed(export->rq) &&
           request_user(export->rq)->is_admin == export->is_admin;
}

/* Ends a request whose first page has failed; the answer can still say why. */
static void refuse_export(struct export *export, int rc, const char *text)
{
    request_hold(export->rq);
    request_finish_read(export->rq, rc, text);
    export_free(export);
}

static void on_first_page(struct export *export, int rc, const char *text,
                          const struct usage_records *records)
{
    if (rc < 0 || !export->rq->ex)
        refuse_export(export, rc, text);
    else if (!may_go_on(export))
        refuse_export(export, ERR_FORBIDDEN, "access was withdrawn meanwhile");
    else
        send_page(export, records);
}

static void on_export_page(int rc, const char *text, struct usage_records *records, void *ctx)
{
    struct export *export = ctx;
    export->is_reading = false;
    if (!export->has_begun)
        on_first_page(export, rc, text, records);
    else if (!export->ex)
        export_free(export); /* the client has left */
    else if (rc < 0 || !may_go_on(export))
        http_exchange_abort(export->ex);
    else
        send_page(export, records);
}

static int start_export(struct request *rq, struct usage_records_query *query)
{
    struct export *export = mem_alloc(sizeof *export);
    *export = (struct export){.rq = rq,
                              .query = *query,
                              .left = query->limit ? query->limit : INT64_MAX,
                              .is_admin = request_user(rq)->is_admin};
    request_hold(rq);
    read_on(export);
    return REQUEST_PENDING;
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
