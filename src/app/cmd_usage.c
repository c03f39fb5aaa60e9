/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack usage`: what requests consumed, summed up or one by one. */
#include "app/cli.h"
#include "app/command.h"
#include "app/usage_pages.h"
#include "base/clock.h"
#include "base/num.h"

#include <errno.h>
#include <stdio.h>

enum { RECORDS_SHOWN = 50, DAYS_MAX = 100000 };

#define LIMIT_MAX (INT64_C(1) << 53) /* as of /v2/usage/records */

struct usage_options {
    const char *by, *since, *until, *route, *operation, *outcome, *request_id, *limit;
    bool csv;
};

/* ---- the query ---- */

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           strchr("-._~,:", c);
}

static void add_parameter(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(path, "%c%s=", memchr(path->ptr, '?', path->len) ? '&' : '?', name);
    for (; *value; value++) {
        if (is_plain(*value))
            buf_add_char(path, *value);
        else
            buf_printf(path, "%%%02X", (unsigned)(unsigned char)*value);
    }
}

/* "7d" and "24h" are that long ago; anything else is for the server to read. Returns owned. */
static char *time_of(const char *option)
{
    struct str text = str_of(option);
    char unit = text.len ? text.ptr[text.len - 1] : '\0';
    int64_t count, hours = unit == 'd' ? 24 : 1;
    if ((unit != 'd' && unit != 'h') ||
        num_parse_i64(str_sub(text.ptr, text.len - 1), 0, DAYS_MAX, &count) < 0)
        return mem_strdup(option);
    char ago[CLOCK_TEXT_MAX];
    clock_format(clock_wall_ms(&clock_system) - count * hours * 3600 * 1000, ago);
    return mem_strdup(ago);
}

static void add_filters(struct buf *path, const struct usage_options *options)
{
    auto_free char *since = time_of(options->since);
    auto_free char *until = time_of(options->until);
    add_parameter(path, "start", since);
    add_parameter(path, "end", until);
    add_parameter(path, "route", options->route);
    add_parameter(path, "operation", options->operation);
}

/* ---- output ---- */

static void print_piece(struct str data, void *ctx)
{
    (void)fwrite(data.ptr, 1, data.len, stdout);
}

static int print_csv(struct cli *cli, struct buf *path, struct err *err)
{
    add_parameter(path, "format", "csv");
    int rc = cli_stream(cli, HTTP_GET, path->ptr, NULL, print_piece, NULL, err);
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = err_set(err, -EIO, "can't write the output");
    return rc;
}

/* A member as a cell: times without what is the same in all of them. Returns owned. */
static char *cell_of(const json_t *row, const char *name)
{
    const json_t *value = json_object_get(row, name);
    if (json_is_integer(value))
        return mem_printf("%lld", (long long)json_integer_value(value));
    if (!json_is_string(value))
        return mem_strdup("-");
    struct str text = str_of(json_string_value(value));
    bool is_time = text.len == 24 && text.ptr[10] == 'T';
    bool is_midnight = is_time && str_has_suffix(text, STR("T00:00:00.000Z"));
    return is_time ? mem_printf("%.10s%s%.*s", text.ptr, is_midnight ? "" : " ",
                                is_midnight ? 0 : 8, text.ptr + 11)
                   : str_dup(text);
}

/* Microseconds of a sum as a mean for people. Returns owned. */
static char *mean_of(const json_t *row, const char *sum, const char *count)
{
    int64_t n = json_member_int(row, count, 0);
    if (n == 0)
        return mem_strdup("-");
    return mem_printf("%.1f", (double)json_member_int(row, sum, 0) / (double)n / 1000);
}

/* ---- sums ---- */

static const char *const count_columns[] = {"requests", "errors", "prompt_tokens", "cached_tokens",
                                            "completion_tokens"};

struct split { /* the words of --by as columns */
    char *names[8]; /* owned */
    size_t count;
};

static const char *column_of(const char *word)
{
    if (strcmp(word, "user") == 0)
        return "username";
    return strcmp(word, "key") == 0 ? "key_name" : word;
}

static int read_split(const char *by, struct split *ret, struct err *err)
{
    struct str rest = str_of(by), word;
    while (str_split(&rest, ',', &word)) {
        if (ret->count == ARRAY_LEN(ret->names))
            return cli_usage(err, "--by takes at most %zu words", ARRAY_LEN(ret->names));
        ret->names[ret->count++] = str_dup(str_trim(word));
    }
    return 0;
}

static void add_cells(struct string_list *cells, const struct split *split, const json_t *row,
                      bool is_summary)
{
    for (size_t i = 0; i < split->count; i++) {
        auto_free char *cell = is_summary ? mem_strdup(i ? "" : "total")
                                          : cell_of(row, column_of(split->names[i]));
        string_list_add(cells, cell);
    }
    for (size_t i = 0; i < ARRAY_LEN(count_columns); i++) {
        auto_free char *cell = cell_of(row, count_columns[i]);
        string_list_add(cells, cell);
    }
    auto_free char *first = mean_of(row, "first_byte_us", "first_bytes");
    auto_free char *total = mean_of(row, "total_us", "requests");
    string_list_add(cells, first);
    string_list_add(cells, total);
}

static void add_head(struct text_table *table, const struct split *split)
{
    static const char *const counts[] = {"REQUESTS",   "ERRORS",         "PROMPT", "CACHED",
                                         "COMPLETION", "FIRST BYTE MS", "MS"};
    const char *titles[TEXT_TABLE_COLUMNS + 1] = {0};
    char upper[ARRAY_LEN(split->names)][16];
    size_t at = 0;
    for (; at < split->count; at++) {
        snprintf(upper[at], sizeof upper[at], "%s", split->names[at]);
        for (char *c = upper[at]; *c; c++)
            if (*c >= 'a' && *c <= 'z')
                *c = (char)(*c - 'a' + 'A');
        titles[at] = upper[at];
    }
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        titles[at++] = counts[i];
    text_table_head(table, titles);
}

static void print_sums(const struct split *split, const json_t *answer)
{
    struct text_table table = {0};
    add_head(&table, split);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "items"), i, row)
        add_cells(&table.cells, split, row, false);
    if (split->count)
        add_cells(&table.cells, split, json_object_get(answer, "summary"), true);
    text_table_print(&table);
}

static int show_sums(struct cli *cli, const struct usage_options *options, struct err *err)
{
    struct buf path = {0};
    struct split split = {0};
    auto_fini(json_release) json_t *answer = NULL;
    const char *by = options->by ? options->by : "model";
    buf_add_cstr(&path, "/v2/usage");
    add_filters(&path, options);
    add_parameter(&path, "group_by", by);
    int rc = read_split(by, &split, err);
    if (rc == 0)
        rc = options->csv ? print_csv(cli, &path, err)
                          : usage_pages_sums(cli, path.ptr, split.names[0], &answer, err);
    if (rc == 0 && cli->json)
        cli_print_json(answer);
    else if (rc == 0 && !options->csv)
        print_sums(&split, answer);
    for (size_t i = 0; i < split.count; i++)
        free(split.names[i]);
    buf_fini(&path);
    return rc;
}

/* ---- records ---- */

static void print_records(const json_t *answer)
{
    static const char *const head[] = {"STARTED",    "USER", "MODEL",  "OPERATION",  "OUTCOME",
                                       "STATUS",     "PROMPT", "COMPLETION", "MS", "REQUEST",
                                       NULL};
    static const char *const columns[] = {"started_at", "username",      "model",
                                          "operation",  "outcome",       "status",
                                          "prompt_tokens", "completion_tokens"};
    struct text_table table = {0};
    text_table_head(&table, head);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "items"), i, row)
    {
        for (size_t k = 0; k < ARRAY_LEN(columns); k++) {
            auto_free char *cell = cell_of(row, columns[k]);
            string_list_add(&table.cells, cell);
        }
        auto_free char *ms =
            mem_printf("%.1f", (double)json_member_int(row, "total_us", 0) / 1000);
        string_list_add(&table.cells, ms);
        string_list_add(&table.cells, json_member_string(row, "request_id"));
    }
    text_table_print(&table);
}

static int show_records(struct cli *cli, const struct usage_options *options, struct err *err)
{
    struct buf path = {0};
    auto_fini(json_release) json_t *answer = NULL;
    int64_t limit = RECORDS_SHOWN;
    if (options->limit &&
        num_parse_i64(str_of(options->limit), 1, LIMIT_MAX, &limit) < 0)
        return cli_usage(err, "--limit must be 1-%lld, not \"%s\"", (long long)LIMIT_MAX,
                         options->limit);
    buf_add_cstr(&path, "/v2/usage/records");
    add_filters(&path, options);
    add_parameter(&path, "outcome", options->outcome);
    add_parameter(&path, "request_id", options->request_id);
    if (options->csv)
        add_parameter(&path, "limit", options->limit);
    int rc = options->csv ? print_csv(cli, &path, err)
                          : usage_pages_records(cli, path.ptr, limit, &answer, err);
    buf_fini(&path);
    if (rc < 0 || options->csv)
        return rc;
    if (cli->json)
        cli_print_json(answer);
    else
        print_records(answer);
    return 0;
}

/* ---- the command ---- */

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct usage_options *options = ctx;
    bool is_records = cli->arg_count && strcmp(cli->args[0], "records") == 0;
    if (cli->arg_count && !is_records)
        return cli_usage(err, "usage: gpustack usage [records], not \"%s\"", cli->args[0]);
    if (options->csv && cli->json)
        return cli_usage(err, "--csv and --json can't be used together");
    if (is_records && options->by)
        return cli_usage(err, "--by is for sums, not for records");
    if (!is_records && (options->outcome || options->request_id || options->limit))
        return cli_usage(err, "--outcome, --request-id and --limit are for \"usage records\"");
    return is_records ? show_records(cli, options, err) : show_sums(cli, options, err);
}

int cmd_usage(int argc, char **argv)
{
    struct usage_options usage = {0};
    const struct cli_option options[] = {
        {.name = "by",
         .value = "WORDS",
         .help = "hour, day, week or month, and model, route, user, key, operation (model)",
         .text = &usage.by},
        {.name = "since",
         .value = "TIME",
         .help = "a date, a time with zone, or how long ago: 7d, 24h",
         .text = &usage.since},
        {.name = "until", .value = "TIME", .help = "the same (now)", .text = &usage.until},
        {.name = "route", .value = "NAME", .help = "what clients named", .text = &usage.route},
        {.name = "operation",
         .value = "WORDS",
         .help = "chat, embeddings, ...",
         .text = &usage.operation},
        {.name = "outcome",
         .value = "WORDS",
         .help = "of records: ok, aborted, engine_error, ...",
         .text = &usage.outcome},
        {.name = "request-id",
         .value = "ID",
         .help = "of records: the one with this X-Request-Id",
         .text = &usage.request_id},
        {.name = "limit",
         .value = "N",
         .help = "of records: rows at most (50, of CSV all)",
         .text = &usage.limit},
        {.name = "csv", .help = "print CSV", .flag = &usage.csv},
        {0},
    };
    const struct cli_spec spec = {
        .command = "usage",
        .arguments = "[records]",
        .summary = "Shows what requests consumed: sums since a time, or single requests, the\n"
                   "latest first. Times are UTC. Users who are no administrators see their own.\n"
                   "Without --since sums are of 31 days, today included, records of any time.",
        .options = options,
        .max_args = 1};
    return cli_main(&spec, argc, argv, run, &usage);
}
