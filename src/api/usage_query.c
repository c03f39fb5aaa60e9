/* SPDX-License-Identifier: Apache-2.0 */
#include "api/usage_query.h"

#include "base/num.h"
#include "domain/timestamp.h"

static bool has_parameter(const struct request *rq, const char *name)
{
    auto_free char *text = request_query(rq, name);
    return text != NULL;
}

/* ---- times ---- */

static int64_t round_down(int64_t ms, int64_t step_ms)
{
    int64_t rest = ms % step_ms;
    return ms - rest - (rest < 0 ? step_ms : 0);
}

int usage_read_time(const struct request *rq, const char *name, int64_t fallback, int64_t *ret,
                    struct err *err)
{
    auto_free char *text = request_query(rq, name);
    if (!text || !*text) {
        *ret = fallback;
        return 0;
    }
    auto_free char *midnight = mem_printf("%.16sT00:00:00Z", text);
    if (timestamp_parse(str_of(strlen(text) == 10 ? midnight : text), ret) == 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "%s must be a date (2026-01-31) or a time with its zone (2026-01-31T12:00:00Z), "
                   "not %.48s",
                   name, text);
}

int64_t usage_days_back(const struct request *rq, int days)
{
    int64_t today_ms = round_down(control_now_ms(rq->control), USAGE_DAY_MS);
    return today_ms - (days - 1) * (int64_t)USAGE_DAY_MS;
}

/* Nothing was before 1970; an end then still is one. */
static void clamp(struct usage_filter *filter)
{
    if (filter->start_ms < 0)
        filter->start_ms = 0;
    if (filter->end_ms < 0)
        filter->end_ms = 1;
}

static int read_range(const struct request *rq, int64_t default_start_ms,
                      struct usage_filter *filter, struct err *err)
{
    int rc = usage_read_time(rq, "start", default_start_ms, &filter->start_ms, err);
    if (rc == 0)
        rc = usage_read_time(rq, "end", 0, &filter->end_ms, err);
    bool is_empty = filter->end_ms && filter->end_ms <= filter->start_ms;
    if (rc == 0 && is_empty && has_parameter(rq, "start"))
        rc = err_set(err, ERR_INVALID, "start must be before end");
    if (rc == 0 && is_empty)
        rc = err_set(err, ERR_INVALID,
                     "without start there are %d days, today included: name a start before end",
                     USAGE_DEFAULT_DAYS);
    if (rc == 0)
        clamp(filter);
    return rc;
}

/* ---- lists with commas ---- */

static int add_ids(const char *name, const char *text, struct int_list *ret, struct err *err)
{
    struct str rest = str_of(text), item;
    while (str_split(&rest, ',', &item)) {
        int64_t id;
        if (num_parse_i64(str_trim(item), 0, INT64_MAX, &id) < 0)
            return err_set(err, ERR_INVALID, "%s must be ids with commas between, not %.48s", name,
                           text);
        if (ret->count == USAGE_IDS_MAX)
            return err_set(err, ERR_INVALID, "%s must be at most %d ids", name, USAGE_IDS_MAX);
        int_list_add(ret, id);
    }
    return 0;
}

int usage_read_ids(const struct request *rq, const char *name, struct int_list *ret,
                   struct err *err)
{
    struct str rest = http_exchange_head(rq->ex)->query;
    char *given, *value;
    int rc = 0;
    while (rc == 0 && http_query_next(&rest, &given, &value)) {
        if (strcmp(given, name) == 0)
            rc = add_ids(name, value, ret, err);
        free(given);
        free(value);
    }
    return rc;
}

static int refuse_word(const char *name, struct str word, const char *const *words, unsigned count,
                       struct err *err)
{
    struct buf known = {0};
    for (unsigned i = 0; i < count; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", words[i]);
    int rc = err_set(err, ERR_INVALID, "%s must be some of %s, not %.*s", name, known.ptr,
                     word.len > 48 ? 48 : (int)word.len, word.ptr);
    buf_fini(&known);
    return rc;
}

/* Reads words with commas as a set of 1 << number. */
static int read_words(const struct request *rq, const char *name, const char *const *words,
                      unsigned count, unsigned *ret, struct err *err)
{
    auto_free char *text = request_query(rq, name);
    struct str rest = str_of(text), word;
    while (str_split(&rest, ',', &word)) {
        unsigned i = 0;
        while (i < count && !str_eq(str_trim(word), str_of(words[i])))
            i++;
        if (i == count)
            return refuse_word(name, word, words, count, err);
        *ret |= 1U << i;
    }
    return 0;
}

/* ---- filters ---- */

int usage_limit_to_caller(const struct request *rq, struct usage_filter *filter, struct err *err)
{
    const struct user *user = request_user(rq);
    if (user->is_admin)
        return 0;
    for (size_t i = 0; i < filter->user_ids.count; i++)
        if (filter->user_ids.items[i] != user->id)
            return err_set(err, ERR_FORBIDDEN,
                           "only administrators may see the usage of others, %s is none",
                           user->username);
    if (filter->user_ids.count == 0)
        int_list_add(&filter->user_ids, user->id);
    return 0;
}

static char *read_text(const struct request *rq, const char *name)
{
    auto_free char *text = request_query(rq, name);
    return text && *text ? TAKE(text) : NULL;
}

static int read_filter(const struct request *rq, struct usage_filter *filter, struct err *err)
{
    int rc = usage_read_ids(rq, "user_ids", &filter->user_ids, err);
    if (rc == 0)
        rc = usage_read_ids(rq, "key_ids", &filter->key_ids, err);
    if (rc == 0)
        rc = usage_read_ids(rq, "model_ids", &filter->model_ids, err);
    if (rc == 0)
        rc = read_words(rq, "operation", usage_operation_names, USAGE_OPERATION_COUNT,
                        &filter->operations, err);
    if (rc == 0)
        rc = usage_limit_to_caller(rq, filter, err);
    filter->route = read_text(rq, "route");
    return rc;
}

/* ---- sums ---- */

static bool is_name(const char *const *names, int count, const char *name, int *ret)
{
    for (*ret = 0; *ret < count; ++*ret)
        if (strcmp(names[*ret], name) == 0)
            return true;
    return false;
}

/* Without sort_by: periods in their order, else the most tokens first. */
static void read_sort(const struct request *rq, struct usage_query *query)
{
    static const unsigned periods = 1U << USAGE_BY_HOUR | 1U << USAGE_BY_DAY |
                                    1U << USAGE_BY_WEEK | 1U << USAGE_BY_MONTH;
    auto_free char *text = request_query(rq, "sort_by");
    bool is_by_time = query->by & periods;
    int number;
    query->sort = is_by_time ? -1 - USAGE_BY_HOUR : USAGE_TOTAL_TOKENS;
    query->is_descending = !is_by_time;
    if (!text || !*text)
        return;
    query->is_descending = *text == '-';
    const char *name = text + query->is_descending;
    if (is_name(usage_count_names, USAGE_COUNT_COUNT, name, &number))
        query->sort = number;
    else if (is_name(usage_by_names, USAGE_BY_COUNT, name, &number))
        query->sort = -1 - number;
}

static int read_by(const struct request *rq, unsigned *ret, struct err *err)
{
    int rc = read_words(rq, "group_by", usage_by_names, USAGE_BY_COUNT, ret, err);
    unsigned periods = *ret & ((1U << USAGE_BY_MODEL) - 1);
    if (rc == 0 && periods & (periods - 1))
        rc = err_set(err, ERR_INVALID,
                     "group_by must be by one of hour, day, week and month, not by several");
    return rc;
}

bool usage_wants_all(const struct request *rq)
{
    return usage_wants_csv(rq) && !has_parameter(rq, "page") && !has_parameter(rq, "perPage");
}

static int read_query(const struct request *rq, struct usage_query *query, struct err *err)
{
    int rc = read_range(rq, usage_days_back(rq, USAGE_DEFAULT_DAYS), &query->filter, err);
    if (rc == 0)
        rc = read_filter(rq, &query->filter, err);
    if (rc == 0)
        rc = read_by(rq, &query->by, err);
    if (rc == 0)
        rc = request_query_int(rq, "page", 1, USAGE_PAGE_MAX, 1, &query->page, err);
    if (rc == 0)
        rc = request_query_int(rq, "perPage", 1, USAGE_ROWS_MAX,
                               usage_wants_csv(rq) ? USAGE_ROWS_MAX : 100, &query->per_page, err);
    return rc;
}

int usage_query_read(const struct request *rq, struct usage_query *ret, struct err *err)
{
    *ret = (struct usage_query){0};
    int rc = read_query(rq, ret, err);
    if (rc < 0) {
        usage_filter_fini(&ret->filter);
        return rc;
    }
    read_sort(rq, ret);
    ret->is_walk = usage_wants_all(rq) && !has_parameter(rq, "sort_by");
    struct usage_filter *filter = &ret->filter;
    filter->start_ms = round_down(filter->start_ms, USAGE_HOUR_MS);
    if (filter->end_ms)
        filter->end_ms = round_down(filter->end_ms + USAGE_HOUR_MS - 1, USAGE_HOUR_MS);
    return 0;
}

/* ---- records ---- */

char *usage_cursor(const struct usage_record_row *row)
{
    return mem_printf("%lld-%lld", (long long)row->usage.started_ms, (long long)row->id);
}

static int read_cursor(const struct request *rq, struct usage_records_query *query,
                       struct err *err)
{
    auto_free char *text = request_query(rq, "cursor");
    if (!text || !*text)
        return 0;
    struct str whole = str_of(text);
    size_t dash = str_find(whole, '-');
    if (num_parse_i64(str_sub(text, dash), 0, INT64_MAX, &query->before_ms) < 0 ||
        num_parse_i64(str_skip(whole, dash + 1), 1, INT64_MAX, &query->before_id) < 0)
        return err_set(err, ERR_INVALID, "cursor must be the next_cursor of an answer, not %.48s",
                       text);
    return 0;
}

static int read_records_query(const struct request *rq, struct usage_records_query *query,
                              struct err *err)
{
    int rc = read_range(rq, 0, &query->filter, err);
    if (rc == 0)
        rc = read_filter(rq, &query->filter, err);
    if (rc == 0)
        rc = read_words(rq, "outcome", usage_outcome_names, USAGE_OUTCOME_COUNT,
                        &query->filter.outcomes, err);
    if (rc == 0)
        rc = read_cursor(rq, query, err);
    if (rc == 0)
        rc = usage_wants_csv(rq)
                 ? request_query_int(rq, "limit", 1, USAGE_EXPORT_MAX, 0, &query->limit, err)
                 : request_query_int(rq, "limit", 1, USAGE_ROWS_MAX, 100, &query->limit, err);
    query->filter.request_id = read_text(rq, "request_id");
    return rc;
}

int usage_records_query_read(const struct request *rq, struct usage_records_query *ret,
                             struct err *err)
{
    *ret = (struct usage_records_query){0};
    int rc = read_records_query(rq, ret, err);
    if (rc < 0)
        usage_filter_fini(&ret->filter);
    return rc;
}

/* ---- CSV or JSON ---- */

bool usage_wants_csv(const struct request *rq)
{
    auto_free char *format = request_query(rq, "format");
    if (format && *format)
        return strcmp(format, "csv") == 0;
    return str_has_prefix(http_headers_get(&http_exchange_head(rq->ex)->headers, "accept"),
                          STR("text/csv"));
}

/* ---- names ---- */

const char *usage_user_name(const struct request *rq, int64_t id, const char *then)
{
    const struct user *user = cluster_find(rq->cluster, KIND_USER, id);
    return user ? user->username : then;
}

const char *usage_key_name(const struct request *rq, int64_t id, const char *then)
{
    const struct api_key *key = cluster_find(rq->cluster, KIND_API_KEY, id);
    return key ? key->name : then;
}
