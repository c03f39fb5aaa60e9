/* SPDX-License-Identifier: Apache-2.0 */
/* The page: every family once, with the sums of all shards. */
#include "gateway/metrics_priv.h"

#include <string.h>

#define PREFIX "gpustack_gateway_"

/* Series of all shards with the same labels. */
struct group {
    const struct series *const *items;
    size_t count;
};

struct page {
    const struct metrics_view *view;
    struct buf *out;
    const struct series **series; /* owned; of all shards, sorted by labels */
    struct group *groups;   /* owned */
    size_t group_count;
};

/* ---- text ---- */

static void begin_family(struct page *page, const char *name, const char *type, const char *help)
{
    buf_printf(page->out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name,
               type);
}

static void put_label(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_add_char(out, '\\');
        if (*value == '\n')
            buf_add_cstr(out, "\\n");
        else
            buf_add_char(out, *value);
    }
    buf_add_char(out, '"');
}

static void put_u64(struct buf *out, uint64_t value)
{
    buf_printf(out, " %llu\n", (unsigned long long)value);
}

/* Microseconds as seconds, without an error of a floating-point number: "1.0", "0.25". */
static void put_seconds(struct buf *out, uint64_t us)
{
    uint64_t fraction = us % 1000000;
    int digits = 6;
    for (; digits > 1 && fraction % 10 == 0; fraction /= 10)
        digits--;
    buf_printf(out, "%llu.%0*llu", (unsigned long long)(us / 1000000), digits,
               (unsigned long long)fraction);
}

/* A family of one sample. */
static void put_single(struct page *page, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    begin_family(page, name, type, help);
    buf_printf(page->out, PREFIX "%s", name);
    put_u64(page->out, value);
}

/* A sample with one label of ours, which needs no escapes. */
static void put_labelled(struct page *page, const char *name, const char *label, const char *value,
                         uint64_t count)
{
    buf_printf(page->out, PREFIX "%s{%s=\"%s\"}", name, label, value);
    put_u64(page->out, count);
}

/* ---- histograms ---- */

struct sums {
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
    uint64_t sum_us;
};

static void add_histogram(struct sums *sums, const struct histogram *histogram)
{
    for (int i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        sums->counts[i] += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
    sums->sum_us += atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
}

/* `labels` is empty or ends in a comma. The count is that of the buckets, so they always agree. */
static void put_histogram(struct page *page, const char *name, struct str labels,
                          const struct histogram_scale *scale, const struct sums *sums)
{
    uint64_t below = 0;
    struct str own = labels;
    for (size_t i = 0; i <= scale->count; i++) {
        below += sums->counts[i];
        buf_printf(page->out, PREFIX "%s_bucket{%.*sle=\"", name, STR_ARGS(labels));
        if (i < scale->count)
            put_seconds(page->out, (uint64_t)scale->bounds_us[i]);
        else
            buf_add_cstr(page->out, "+Inf");
        buf_add_cstr(page->out, "\"}");
        put_u64(page->out, below);
    }
    if (own.len)
        own.len--;
    const char *open = own.len ? "{" : "", *close = own.len ? "}" : "";
    buf_printf(page->out, PREFIX "%s_sum%s%.*s%s ", name, open, STR_ARGS(own), close);
    put_seconds(page->out, sums->sum_us);
    buf_printf(page->out, "\n" PREFIX "%s_count%s%.*s%s", name, open, STR_ARGS(own), close);
    put_u64(page->out, below);
}

/* ---- groups of series ---- */

static const char *operation_of(const struct series *series)
{
    return series->operation < OPERATION_COUNT ? operation_names[series->operation] : "other";
}

static int compare(const struct series *a, const struct series *b)
{
    int order = strcmp(a->model, b->model);
    if (order == 0)
        order = strcmp(a->route, b->route);
    return order ? order : strcmp(operation_of(a), operation_of(b));
}

static int compare_places(const void *left, const void *right)
{
    return compare(*(const struct series *const *)left, *(const struct series *const *)right);
}

static size_t collect(const struct shard_metrics *metrics, const struct series **to)
{
    size_t count = 0;
    for (size_t i = 0; i < SERIES_SLOTS && count < METRICS_SERIES_MAX; i++) {
        const struct series *series =
            atomic_load_explicit(&metrics->slots[i], memory_order_acquire);
        if (series)
            to[count++] = series;
    }
    return count;
}

static void collect_groups(struct page *page)
{
    size_t count = 0, most = page->view->shard_count * (METRICS_SERIES_MAX + 1);
    page->series = mem_alloc_array(most, sizeof page->series[0]);
    page->groups = mem_alloc_array(most, sizeof page->groups[0]);
    for (size_t i = 0; i < page->view->shard_count; i++) {
        count += collect(page->view->shards[i], page->series + count);
        page->series[count++] = &page->view->shards[i]->other;
    }
    qsort(page->series, count, sizeof page->series[0], compare_places);
    for (size_t i = 0; i < count; i++) {
        struct group *last = page->group_count ? &page->groups[page->group_count - 1] : NULL;
        if (last && compare(last->items[0], page->series[i]) == 0)
            last->count++;
        else
            page->groups[page->group_count++] = (struct group){&page->series[i], 1};
    }
}

/* model, route and operation, with a comma behind. */
static void put_kind(struct buf *out, const struct series *series)
{
    put_label(out, "model", series->model);
    buf_add_char(out, ',');
    put_label(out, "route", series->route);
    buf_printf(out, ",operation=\"%s\",", operation_of(series));
}

/* ---- requests ---- */

struct code_sum {
    unsigned status;
    enum outcome outcome;
    uint64_t count;
};

/* Adds a code of one shard to the sums, of which there is room for all. */
static size_t add_code(struct code_sum *sums, size_t count, const struct series_code *code)
{
    uint64_t n = atomic_load_explicit(&code->count, memory_order_acquire);
    size_t i = 0;
    if (n == 0)
        return count;
    while (i < count && (sums[i].status != code->status || sums[i].outcome != code->outcome))
        i++;
    if (i == count)
        sums[count++] = (struct code_sum){code->status, code->outcome, 0};
    sums[i].count += n;
    return count;
}

static void put_code(struct page *page, const struct series *series, const struct code_sum *sum)
{
    buf_add_cstr(page->out, PREFIX "requests_total{");
    put_kind(page->out, series);
    if (sum->status == CODE_OTHER)
        buf_add_cstr(page->out, "code=\"other\",outcome=\"other\"}");
    else if (sum->status == 0)
        buf_printf(page->out, "code=\"none\",outcome=\"%s\"}", outcome_names[sum->outcome]);
    else
        buf_printf(page->out, "code=\"%u\",outcome=\"%s\"}", sum->status,
                   outcome_names[sum->outcome]);
    put_u64(page->out, sum->count);
}

/* It may be more than there are shards: a model that was deleted and made again has another id. */
static size_t largest_group(const struct page *page)
{
    size_t most = 0;
    for (size_t g = 0; g < page->group_count; g++)
        most = page->groups[g].count > most ? page->groups[g].count : most;
    return most;
}

static void write_requests(struct page *page)
{
    size_t most = largest_group(page) * SERIES_CODES;
    auto_free struct code_sum *sums = mem_alloc_array(most, sizeof sums[0]);
    begin_family(page, "requests_total", "counter",
                 "Requests that ended; code is the status sent to the client.");
    for (size_t g = 0; g < page->group_count; g++) {
        const struct group *group = &page->groups[g];
        size_t count = 0;
        for (size_t i = 0; i < group->count; i++)
            for (int c = 0; c < SERIES_CODES; c++)
                count = add_code(sums, count, &group->items[i]->codes[c]);
        for (size_t i = 0; i < count; i++)
            put_code(page, group->items[0], &sums[i]);
    }
}

static void write_tokens(struct page *page)
{
    static const char *const kinds[TOKEN_KINDS] = {"input", "cached", "output"};
    begin_family(page, "tokens_total", "counter",
                 "Tokens of requests that ended; cached ones are part of the input.");
    for (size_t g = 0; g < page->group_count; g++) {
        const struct group *group = &page->groups[g];
        for (int kind = 0; kind < TOKEN_KINDS; kind++) {
            uint64_t sum = 0;
            for (size_t i = 0; i < group->count; i++)
                sum += atomic_load_explicit(&group->items[i]->tokens[kind], memory_order_relaxed);
            if (sum == 0)
                continue;
            buf_add_cstr(page->out, PREFIX "tokens_total{");
            put_kind(page->out, group->items[0]);
            buf_printf(page->out, "kind=\"%s\"}", kinds[kind]);
            put_u64(page->out, sum);
        }
    }
}

/* One of the histograms of series_times; `offset` is its place there. */
static void put_times(struct page *page, const struct group *group, enum outcome outcome,
                      const char *name, const struct histogram_scale *scale, size_t offset)
{
    struct sums sums = {{0}, 0};
    uint64_t count = 0;
    for (size_t i = 0; i < group->count; i++) {
        const struct series_times *times =
            atomic_load_explicit(&group->items[i]->times[outcome], memory_order_acquire);
        if (times)
            add_histogram(&sums, (const struct histogram *)((const char *)times + offset));
    }
    for (size_t i = 0; i <= scale->count; i++)
        count += sums.counts[i];
    if (count == 0)
        return;
    struct buf labels = {0};
    put_kind(&labels, group->items[0]);
    buf_printf(&labels, "outcome=\"%s\",", outcome_names[outcome]);
    put_histogram(page, name, buf_str(&labels), scale, &sums);
    buf_fini(&labels);
}

static void write_times(struct page *page, const char *name, const char *help,
                        const struct histogram_scale *scale, size_t offset)
{
    begin_family(page, name, "histogram", help);
    for (size_t g = 0; g < page->group_count; g++)
        for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
            put_times(page, &page->groups[g], (enum outcome)outcome, name, scale, offset);
}

static void write_all_times(struct page *page)
{
    write_times(page, "time_to_first_token_seconds",
                "From the complete head of a request to the first token of its stream.",
                &histogram_first_token, offsetof(struct series_times, first_token));
    write_times(page, "time_per_output_token_seconds",
                "Between the first and the last token of a stream, by the tokens behind the first.",
                &histogram_per_token, offsetof(struct series_times, per_token));
    write_times(page, "request_duration_seconds",
                "From the complete head of a request to the end of its response.",
                &histogram_duration, offsetof(struct series_times, duration));
}

/* ---- the shards' own ---- */

static uint64_t sum_counter(const struct page *page, enum metrics_counter counter)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < page->view->shard_count; i++)
        sum += atomic_load_explicit(&page->view->shards[i]->counters[counter],
                                    memory_order_relaxed);
    return sum;
}

static uint64_t sum_gauge(const struct page *page, enum metrics_gauge gauge)
{
    int64_t sum = 0;
    for (size_t i = 0; i < page->view->shard_count; i++)
        sum += atomic_load_explicit(&page->view->shards[i]->gauges[gauge], memory_order_relaxed);
    return sum > 0 ? (uint64_t)sum : 0;
}

static void write_gauges(struct page *page)
{
    put_single(page, "requests_in_flight", "gauge", "Requests under way.",
               sum_gauge(page, METRICS_IN_FLIGHT));
    put_single(page, "queue_depth", "gauge", "Requests that wait for an instance.",
               sum_gauge(page, METRICS_QUEUED));
    put_single(page, "connections_open", "gauge", "Open connections of clients.",
               sum_gauge(page, METRICS_OPEN));
    put_single(page, "connections_total", "counter", "Connections accepted from clients.",
               sum_counter(page, METRICS_CONNECTIONS));
}

static void write_retries(struct page *page)
{
    static const char *const reasons[] = {"connect", "status"};
    begin_family(page, "retries_total", "counter",
                 "Requests that another instance was asked for, by what was wrong with the first.");
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        put_labelled(page, "retries_total", "reason", reasons[i],
                     sum_counter(page, (enum metrics_counter)(METRICS_RETRY_CONNECT + i)));
    put_single(page, "stale_connection_retries_total", "counter",
               "Requests sent again because a kept connection was closed already.",
               sum_counter(page, METRICS_STALE_RETRIES));
    put_single(page, "stream_anomalies_total", "counter",
               "Streams of engines that ended without their last event.",
               sum_counter(page, METRICS_STREAM_NO_END));
}

static void write_engine_connections(struct page *page)
{
    uint64_t made = sum_counter(page, METRICS_ENGINE_NEW);
    uint64_t reused = sum_counter(page, METRICS_ENGINE_REUSED);
    begin_family(page, "engine_connections_total", "counter",
                 "Connections to engines that requests took.");
    put_labelled(page, "engine_connections_total", "source", "new", made);
    put_labelled(page, "engine_connections_total", "source", "reused", reused);
    begin_family(page, "engine_connection_reuse_ratio", "gauge",
                 "Share of these that were reused, since the start.");
    buf_printf(page->out, PREFIX "engine_connection_reuse_ratio %.6f\n",
               made + reused ? (double)reused / (double)(made + reused) : 0.0);
}

static void write_attempts(struct page *page)
{
    uint64_t attempts = 0;
    for (size_t i = 0; i < page->view->shard_count; i++)
        attempts += atomic_load_explicit(&page->view->shards[i]->attempts, memory_order_relaxed);
    put_single(page, "attempts_total", "counter", "Instances asked, by requests that ended.",
               attempts);
    begin_family(page, "aborted_total", "counter", "Requests whose client left, by phase.");
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < page->view->shard_count; i++)
            sum += atomic_load_explicit(&page->view->shards[i]->aborted[phase],
                                        memory_order_relaxed);
        put_labelled(page, "aborted_total", "phase", phase_names[phase], sum);
    }
}

static void write_shard_histograms(struct page *page)
{
    static const struct str stages[METRICS_HISTOGRAMS] = {
        STR("stage=\"request\","), STR("stage=\"first_byte\","), STR("stage=\"event\",")};
    struct sums waits = {{0}, 0};
    for (size_t s = 0; s < page->view->shard_count; s++)
        add_histogram(&waits, &page->view->shards[s]->queue_wait);
    begin_family(page, "queue_wait_seconds", "histogram",
                 "Wait for an instance, of requests that had to.");
    put_histogram(page, "queue_wait_seconds", (struct str){0}, &histogram_first_token, &waits);
    begin_family(page, "added_seconds", "histogram", "Time that the gateway itself took.");
    for (int i = 0; i < METRICS_HISTOGRAMS; i++) {
        struct sums sums = {{0}, 0};
        for (size_t s = 0; s < page->view->shard_count; s++)
            add_histogram(&sums, &page->view->shards[s]->histograms[i]);
        put_histogram(page, "added_seconds", stages[i], &histogram_overhead, &sums);
    }
}

/* ---- beside the shards ---- */

static void put_instance(struct page *page, const char *name,
                         const struct metrics_instance *instance, uint64_t value)
{
    buf_printf(page->out, PREFIX "%s{", name);
    put_label(page->out, "model", instance->model);
    buf_add_char(page->out, ',');
    put_label(page->out, "instance", instance->name);
    buf_add_char(page->out, '}');
    put_u64(page->out, value);
}

static void write_instances(struct page *page)
{
    const struct metrics_view *view = page->view;
    begin_family(page, "breaker_state", "gauge",
                 "Whether an instance is asked: 0 yes, 1 by one request as a probe, 2 no.");
    for (size_t i = 0; i < view->instance_count; i++)
        put_instance(page, "breaker_state", &view->instances[i],
                     (uint64_t)view->instances[i].breaker);
    begin_family(page, "instance_requests", "gauge", "Requests that an instance has under way.");
    for (size_t i = 0; i < view->instance_count; i++)
        put_instance(page, "instance_requests", &view->instances[i],
                     view->instances[i].outstanding);
}

static void write_state(struct page *page)
{
    const struct metrics_view *view = page->view;
    put_single(page, "control_connected", "gauge", "Whether control's feed is followed.",
               view->is_connected);
    put_single(page, "journal_unsent_records", "gauge",
               "Usage records on disk that control doesn't have yet.", view->journal_unsent);
    put_single(page, "journal_dropped_records_total", "counter",
               "Usage records that could not be kept.", view->journal_dropped);
    put_single(page, "journal_disk_errors_total", "counter", "Writes of the journal that failed.",
               view->journal_disk_errors);
    put_single(page, "access_log_dropped_lines_total", "counter",
               "Lines that the access log could not take.", view->access_log_dropped);
    if (view->snapshot_seq < 0)
        return;
    put_single(page, "snapshot_seq", "gauge", "Number of the feed's last line that is in force.",
               (uint64_t)view->snapshot_seq);
    begin_family(page, "snapshot_age_seconds", "gauge", "Time since the last change took effect.");
    buf_printf(page->out, PREFIX "snapshot_age_seconds %lld.%03lld\n",
               (long long)(view->snapshot_age_ms / 1000),
               (long long)(view->snapshot_age_ms % 1000));
}

static void put_process(struct buf *out, const char *name, const char *type, const char *help,
                        uint64_t value)
{
    buf_printf(out, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s", name, help, name,
               type, name);
    put_u64(out, value);
}

static void put_process_ms(struct buf *out, const char *name, const char *type, const char *help,
                           int64_t ms)
{
    buf_printf(out, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %lld.%03lld\n", name,
               help, name, type, name, (long long)(ms / 1000), (long long)(ms % 1000));
}

static void write_process(struct buf *out, const struct process_stats *stats)
{
    put_process_ms(out, "cpu_seconds_total", "counter", "User and system time.", stats->cpu_ms);
    put_process_ms(out, "start_time_seconds", "gauge", "Start, in seconds since 1970.",
                   stats->start_ms);
    put_process(out, "resident_memory_bytes", "gauge", "Resident memory.", stats->resident_bytes);
    put_process(out, "virtual_memory_bytes", "gauge", "Virtual memory.", stats->virtual_bytes);
    put_process(out, "open_fds", "gauge", "Open file descriptors.", stats->open_fds);
    put_process(out, "max_fds", "gauge", "Most file descriptors that may be open.",
                stats->max_fds);
}

void metrics_write(const struct metrics_view *view, struct buf *out)
{
    struct page page = {.view = view, .out = out};
    collect_groups(&page);
    write_requests(&page);
    write_tokens(&page);
    write_all_times(&page);
    write_gauges(&page);
    write_shard_histograms(&page);
    write_attempts(&page);
    write_retries(&page);
    write_engine_connections(&page);
    write_instances(&page);
    write_state(&page);
    if (view->process)
        write_process(out, view->process);
    free(page.series);
    free(page.groups);
}
