/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/usage_report.h"

const char *const usage_by_names[USAGE_BY_COUNT] = {
    [USAGE_BY_HOUR] = "hour",   [USAGE_BY_DAY] = "day",     [USAGE_BY_WEEK] = "week",
    [USAGE_BY_MONTH] = "month", [USAGE_BY_MODEL] = "model", [USAGE_BY_ROUTE] = "route",
    [USAGE_BY_USER] = "user",   [USAGE_BY_KEY] = "key",     [USAGE_BY_OPERATION] = "operation",
};

const char *const usage_count_names[USAGE_COUNT_COUNT] = {
    [USAGE_REQUESTS] = "requests",
    [USAGE_ERRORS] = "errors",
    [USAGE_PROMPT_TOKENS] = "prompt_tokens",
    [USAGE_CACHED_TOKENS] = "cached_tokens",
    [USAGE_COMPLETION_TOKENS] = "completion_tokens",
    [USAGE_TOTAL_TOKENS] = "total_tokens",
    [USAGE_QUEUE_US] = "queue_us",
    [USAGE_FIRST_BYTES] = "first_bytes",
    [USAGE_FIRST_BYTE_US] = "first_byte_us",
    [USAGE_TOTAL_US] = "total_us",
    [USAGE_MODELS] = "models",
    [USAGE_KEYS] = "keys",
    [USAGE_LAST_ACTIVE] = "last_active",
};

static void copy_ids(struct int_list *to, const struct int_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        int_list_add(to, from->items[i]);
}

void usage_filter_copy(struct usage_filter *to, const struct usage_filter *from)
{
    *to = *from;
    to->user_ids = to->key_ids = to->model_ids = (struct int_list){0};
    copy_ids(&to->user_ids, &from->user_ids);
    copy_ids(&to->key_ids, &from->key_ids);
    copy_ids(&to->model_ids, &from->model_ids);
    to->route = mem_strdup(from->route);
    to->request_id = mem_strdup(from->request_id);
}

void usage_filter_fini(struct usage_filter *filter)
{
    int_list_fini(&filter->user_ids);
    int_list_fini(&filter->key_ids);
    int_list_fini(&filter->model_ids);
    free(filter->route);
    free(filter->request_id);
    *filter = (struct usage_filter){0};
}

static void row_fini(struct usage_row *row)
{
    free(row->model);
    free(row->route);
    free(row->user_name);
    free(row->key_name);
    free(row->operation);
}

void usage_query_fini(struct usage_query *query)
{
    usage_filter_fini(&query->filter);
    if (query->after)
        row_fini(query->after);
    free(query->after);
    *query = (struct usage_query){0};
}

void usage_report_fini(struct usage_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        row_fini(&report->rows[i]);
    free(report->rows);
    *report = (struct usage_report){0};
}

void usage_records_fini(struct usage_records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        free(records->rows[i].gateway);
        usage_fini(&records->rows[i].usage);
    }
    free(records->rows);
    *records = (struct usage_records){0};
}
