/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of usage: the question as SQL, the rows as a report. Numbers stand in the SQL as they are,
 * texts that clients chose are parameters.
 */
#include "store/store_priv.h"

enum { DAY_MS = 24 * 3600 * 1000 };

/* Columns of the answer. What isn't asked for is a constant there, so that each has its place. */
enum column {
    COLUMN_STARTS,
    COLUMN_MODEL_ID,
    COLUMN_MODEL,
    COLUMN_ROUTE,
    COLUMN_USER_ID,
    COLUMN_USER_NAME,
    COLUMN_KEY_ID,
    COLUMN_KEY_NAME,
    COLUMN_OPERATION,
    COLUMN_COUNTS /* the first of enum usage_count */
};

static const char *const count_texts[USAGE_COUNT_COUNT] = {
    [USAGE_REQUESTS] = "SUM(u.requests)",
    [USAGE_ERRORS] = "SUM(u.errors)",
    [USAGE_PROMPT_TOKENS] = "SUM(u.prompt_tokens)",
    [USAGE_CACHED_TOKENS] = "SUM(u.cached_tokens)",
    [USAGE_COMPLETION_TOKENS] = "SUM(u.completion_tokens)",
    [USAGE_TOTAL_TOKENS] = "SUM(u.prompt_tokens + u.completion_tokens)",
    [USAGE_QUEUE_US] = "SUM(u.queue_us)",
    [USAGE_FIRST_BYTES] = "SUM(u.first_bytes)",
    [USAGE_FIRST_BYTE_US] = "SUM(u.first_byte_us)",
    [USAGE_TOTAL_US] = "SUM(u.total_us)",
    [USAGE_MODELS] = "COUNT(DISTINCT g.model_id)",
    [USAGE_KEYS] = "COUNT(DISTINCT NULLIF(g.key_id, 0))",
    [USAGE_LAST_ACTIVE] = "MAX(u.starts_at)",
};

/* Begin of the period that a row belongs to. */
static const char *const period_texts[] = {
    [USAGE_BY_HOUR] = "u.starts_at",
    [USAGE_BY_DAY] = "u.starts_at / 86400000 * 86400000",
    /* 1970-01-05 was a Monday. */
    [USAGE_BY_WEEK] = "(u.starts_at - 345600000) / 604800000 * 604800000 + 345600000",
    [USAGE_BY_MONTH] = ("CAST(strftime('%s', u.starts_at / 1000, 'unixepoch', 'start of month')"
                        " AS INTEGER) * 1000"),
};

static bool is_by(const struct usage_query *query, enum usage_by by)
{
    return query->by & 1U << by;
}

static const char *period_text(const struct usage_query *query)
{
    for (unsigned by = 0; by < ARRAY_LEN(period_texts); by++)
        if (is_by(query, by))
            return period_texts[by];
    return "0";
}

/* Days where whole days are asked for: there are fewer of them. */
static const char *table_of(const struct usage_query *query)
{
    const struct usage_filter *filter = &query->filter;
    bool is_whole = filter->start_ms % DAY_MS == 0 && filter->end_ms % DAY_MS == 0;
    return is_whole && !is_by(query, USAGE_BY_HOUR) ? "usage_days" : "usage_hours";
}

/* ---- filters ---- */

static void add_ids(struct buf *sql, const char *column, const struct int_list *ids)
{
    if (!ids->count)
        return;
    buf_printf(sql, " AND %s IN (", column);
    for (size_t i = 0; i < ids->count; i++)
        buf_printf(sql, "%s%lld", i ? ", " : "", (long long)ids->items[i]);
    buf_add_char(sql, ')');
}

static void add_words(struct buf *sql, const char *column, unsigned set, const char *const *words)
{
    const char *before = "";
    if (!set)
        return;
    buf_printf(sql, " AND %s IN (", column);
    for (unsigned i = 0; set >> i; i++) {
        if (!(set & 1U << i))
            continue;
        buf_printf(sql, "%s'%s'", before, words[i]);
        before = ", ";
    }
    buf_add_char(sql, ')');
}

void usage_add_filter(struct buf *sql, const struct usage_filter *filter)
{
    add_ids(sql, "g.user_id", &filter->user_ids);
    add_ids(sql, "g.key_id", &filter->key_ids);
    add_ids(sql, "g.model_id", &filter->model_ids);
    add_words(sql, "g.operation", filter->operations, usage_operation_names);
    if (filter->route)
        buf_add_cstr(sql, " AND g.route = :route");
}

static void bind_text(sqlite3_stmt *statement, const char *name, const char *text)
{
    int at = sqlite3_bind_parameter_index(statement, name);
    if (at)
        sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

void usage_bind_filter(sqlite3_stmt *statement, const struct usage_filter *filter)
{
    bind_text(statement, ":route", filter->route);
    bind_text(statement, ":request_id", filter->request_id);
}

static void bind_after(sqlite3_stmt *statement, const struct usage_row *after)
{
    bind_text(statement, ":after_model", after->model);
    bind_text(statement, ":after_route", after->route);
    bind_text(statement, ":after_operation", after->operation);
}

/* ---- the question ---- */

static void add_counts(struct buf *sql)
{
    for (size_t i = 0; i < USAGE_COUNT_COUNT; i++)
        buf_printf(sql, "%sCOALESCE(%s, 0)", i ? ", " : "", count_texts[i]);
}

static void add_source(struct buf *sql, const struct usage_query *query)
{
    const struct usage_filter *filter = &query->filter;
    buf_printf(sql, " FROM %s u JOIN usage_groups g ON g.id = u.group_id WHERE u.starts_at >= %lld",
               table_of(query), (long long)filter->start_ms);
    if (filter->end_ms)
        buf_printf(sql, " AND u.starts_at < %lld", (long long)filter->end_ms);
    usage_add_filter(sql, filter);
}

/* What rows are split by, in the order of the columns. */
static const struct split {
    unsigned by; /* set */
    enum column column;
    const char *text;      /* NULL: the period's */
    const char *parameter; /* of its value; NULL: it is a number */
} splits[] = {
    {1U << USAGE_BY_HOUR | 1U << USAGE_BY_DAY | 1U << USAGE_BY_WEEK | 1U << USAGE_BY_MONTH,
     COLUMN_STARTS, NULL, NULL},
    {1U << USAGE_BY_MODEL, COLUMN_MODEL, "g.model", ":after_model"},
    {1U << USAGE_BY_MODEL, COLUMN_MODEL_ID, "g.model_id", NULL},
    {1U << USAGE_BY_ROUTE, COLUMN_ROUTE, "g.route", ":after_route"},
    {1U << USAGE_BY_USER, COLUMN_USER_ID, "g.user_id", NULL},
    {1U << USAGE_BY_KEY, COLUMN_KEY_ID, "g.key_id", NULL},
    {1U << USAGE_BY_OPERATION, COLUMN_OPERATION, "g.operation", ":after_operation"},
};

/* Adds the numbers of the columns that rows are split by. */
static void add_split(struct buf *sql, const struct usage_query *query, const char *before)
{
    for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
        if (!(query->by & splits[i].by))
            continue;
        buf_printf(sql, "%s%d", before, splits[i].column + 1);
        before = ", ";
    }
}

static int64_t number_of(const struct usage_row *row, enum column column)
{
    return column == COLUMN_STARTS     ? row->starts_ms
           : column == COLUMN_MODEL_ID ? row->model_id
           : column == COLUMN_USER_ID  ? row->user_id
                                       : row->key_id;
}

/* Only what belongs to rows behind `after`; all that rows are split by is known before they are
 * summed up. */
static void add_after(struct buf *sql, const struct usage_query *query)
{
    struct buf values = {0};
    const char *before = " AND (";
    for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
        const struct split *split = &splits[i];
        if (!(query->by & split->by))
            continue;
        buf_printf(sql, "%s%s", before, split->text ? split->text : period_text(query));
        before = ", ";
        buf_add_cstr(&values, values.len ? ", " : ") > (");
        if (split->parameter)
            buf_add_cstr(&values, split->parameter);
        else
            buf_printf(&values, "%lld", (long long)number_of(query->after, split->column));
    }
    if (values.len) {
        buf_add_str(sql, buf_str(&values));
        buf_add_char(sql, ')');
    }
    buf_fini(&values);
}

static enum column sort_column(const struct usage_query *query)
{
    static const enum column columns[USAGE_BY_COUNT] = {
        [USAGE_BY_MODEL] = COLUMN_MODEL,    [USAGE_BY_ROUTE] = COLUMN_ROUTE,
        [USAGE_BY_USER] = COLUMN_USER_NAME, [USAGE_BY_KEY] = COLUMN_KEY_NAME,
        [USAGE_BY_OPERATION] = COLUMN_OPERATION,
    };
    return query->sort >= 0 ? COLUMN_COUNTS + (unsigned)query->sort : columns[-1 - query->sort];
}

/* Of a walk one row more than asked for tells whether there are more. */
static void add_order(struct buf *sql, const struct usage_query *query)
{
    if (query->is_walk) {
        add_split(sql, query, " ORDER BY ");
        buf_printf(sql, " LIMIT %lld", (long long)query->per_page + 1);
        return;
    }
    buf_printf(sql, " ORDER BY %u%s", sort_column(query) + 1, query->is_descending ? " DESC" : "");
    add_split(sql, query, ", ");
}

/* Returns owned. */
static char *report_sql(const struct usage_query *query)
{
    struct buf sql = {0};
    buf_printf(&sql, "SELECT %s", period_text(query));
    buf_add_cstr(&sql, is_by(query, USAGE_BY_MODEL) ? ", g.model_id, g.model" : ", 0, NULL");
    buf_add_cstr(&sql, is_by(query, USAGE_BY_ROUTE) ? ", g.route" : ", NULL");
    buf_add_cstr(&sql, is_by(query, USAGE_BY_USER) ? ", g.user_id, MAX(g.user_name)" : ", 0, NULL");
    buf_add_cstr(&sql, is_by(query, USAGE_BY_KEY) ? ", g.key_id, MAX(g.key_name)" : ", 0, NULL");
    buf_add_cstr(&sql, is_by(query, USAGE_BY_OPERATION) ? ", g.operation, " : ", NULL, ");
    add_counts(&sql);
    add_source(&sql, query);
    if (query->after)
        add_after(&sql, query);
    add_split(&sql, query, " GROUP BY ");
    add_order(&sql, query);
    return buf_take(&sql);
}

/* Returns owned. */
static char *summary_sql(const struct usage_query *query)
{
    struct buf sql = {0};
    buf_add_cstr(&sql, "SELECT ");
    add_counts(&sql);
    add_source(&sql, query);
    return buf_take(&sql);
}

/* ---- the answer ---- */

char *usage_column_text(sqlite3_stmt *statement, int column)
{
    return mem_strdup((const char *)sqlite3_column_text(statement, column));
}

static void read_counts(sqlite3_stmt *statement, int first, int64_t *ret)
{
    for (int i = 0; i < USAGE_COUNT_COUNT; i++)
        ret[i] = sqlite3_column_int64(statement, first + i);
}

static void read_row(sqlite3_stmt *statement, struct usage_row *row)
{
    row->starts_ms = sqlite3_column_int64(statement, COLUMN_STARTS);
    row->model_id = sqlite3_column_int64(statement, COLUMN_MODEL_ID);
    row->model = usage_column_text(statement, COLUMN_MODEL);
    row->route = usage_column_text(statement, COLUMN_ROUTE);
    row->user_id = sqlite3_column_int64(statement, COLUMN_USER_ID);
    row->user_name = usage_column_text(statement, COLUMN_USER_NAME);
    row->key_id = sqlite3_column_int64(statement, COLUMN_KEY_ID);
    row->key_name = usage_column_text(statement, COLUMN_KEY_NAME);
    row->operation = usage_column_text(statement, COLUMN_OPERATION);
    read_counts(statement, COLUMN_COUNTS, row->counts);
}

/* Counts all rows, keeps those of the page. */
static int read_rows(sqlite3 *db, sqlite3_stmt *statement, const struct usage_query *query,
                     struct usage_report *report, struct err *err)
{
    int64_t first = query->is_walk ? 0 : (query->page - 1) * query->per_page;
    size_t room = 0;
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t at = report->total++;
        if (at < first || at >= first + query->per_page)
            continue;
        if (report->count == room) {
            room = room ? room * 2 : 16;
            report->rows = mem_resize(report->rows, room * sizeof *report->rows);
        }
        read_row(statement, &report->rows[report->count++]);
    }
    return step == SQLITE_DONE ? 0 : db_fail(db, err);
}

static int read_summary(sqlite3 *db, const struct usage_query *query, struct usage_report *report,
                        struct err *err)
{
    auto_free char *sql = summary_sql(query);
    sqlite3_stmt *statement;
    int rc = db_prepare(db, sql, &statement, err);
    if (rc < 0)
        return rc;
    usage_bind_filter(statement, &query->filter);
    if (sqlite3_step(statement) == SQLITE_ROW)
        read_counts(statement, 0, report->summary);
    else
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    return rc;
}

int usage_report_read(sqlite3 *db, const struct usage_query *query, struct usage_report *ret,
                      struct err *err)
{
    auto_free char *sql = report_sql(query);
    sqlite3_stmt *statement;
    int rc = db_prepare(db, sql, &statement, err);
    if (rc < 0)
        return rc;
    usage_bind_filter(statement, &query->filter);
    if (query->after)
        bind_after(statement, query->after);
    rc = read_rows(db, statement, query, ret, err);
    sqlite3_finalize(statement);
    return rc == 0 && !query->is_walk ? read_summary(db, query, ret, err) : rc;
}
