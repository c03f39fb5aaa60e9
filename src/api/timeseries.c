/* SPDX-License-Identifier: Apache-2.0 */
/* Figures over time and of this moment, and the gateways' posts that they are made of. */
#include "api/api_priv.h"

#include "api/usage_query.h"
#include "base/num.h"
#include "control/sampler.h"

#include <math.h>

enum {
    POINTS_WANTED = 720, /* at most, when no step is given */
    POINTS_MAX = 10000,  /* of a metric, when one is */
    IDS_MAX = 256,
    VALUES_MAX = 200000, /* of an answer: ids, metrics and points multiplied */
    STEP_S_MAX = 24 * 3600,
    DEFAULT_SPAN_MS = 3600 * 1000,
    ID_MAX = 512, /* bytes */
};

struct wanted {
    enum series_entity entity;
    struct string_list ids; /* owned; of the cluster none */
    unsigned metrics;       /* 1 << enum series_metric */
    int64_t start_ms, end_ms;
    struct series_range range;
};

/* ---- what is asked for ---- */

/* Its words were checked; without it, the cluster. */
static void read_entity(const struct request *rq, struct wanted *wanted)
{
    auto_free char *text = request_query(rq, "entity");
    for (int i = 0; text && i < SERIES_ENTITIES; i++)
        if (strcmp(text, series_entity_names[i]) == 0)
            wanted->entity = (enum series_entity)i;
}

static int refuse_metric(enum series_entity entity, struct str word, struct err *err)
{
    struct buf known = {0};
    const struct series_shape *shape = &series_shapes[entity];
    for (unsigned i = 0; i < shape->count; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", series_metric_names[shape->metrics[i]]);
    int rc = err_set(err, ERR_INVALID, "metrics of a %s must be some of %s, not %.*s",
                     series_entity_names[entity], known.ptr, word.len > 48 ? 48 : (int)word.len,
                     word.ptr);
    buf_fini(&known);
    return rc;
}

static int add_metric(struct wanted *wanted, struct str word, struct err *err)
{
    for (int i = 0; i < SERIES_METRICS; i++) {
        if (!series_has(wanted->entity, (enum series_metric)i) ||
            !str_eq(word, str_of(series_metric_names[i])))
            continue;
        wanted->metrics |= 1U << i;
        return 0;
    }
    return refuse_metric(wanted->entity, word, err);
}

/* Without the parameter: all. */
static int read_metrics(const struct request *rq, struct wanted *wanted, struct err *err)
{
    auto_free char *text = request_query(rq, "metrics");
    struct str rest = str_of(text), word;
    const struct series_shape *shape = &series_shapes[wanted->entity];
    int rc = 0;
    while (rc == 0 && str_split(&rest, ',', &word))
        rc = add_metric(wanted, str_trim(word), err);
    bool has_all = !wanted->metrics;
    for (unsigned i = 0; has_all && i < shape->count; i++)
        wanted->metrics |= 1U << shape->metrics[i];
    return rc;
}

static int add_id(struct wanted *wanted, struct str word, struct err *err)
{
    int64_t number;
    auto_free char *id = str_dup(word);
    if (wanted->ids.count == IDS_MAX)
        return err_set(err, ERR_INVALID, "id must be at most %d ids", IDS_MAX);
    if (wanted->entity != SERIES_DEVICE && num_parse_i64(word, 1, INT64_MAX, &number) < 0)
        return err_set(err, ERR_INVALID, "id must be ids of %ss, not %.48s",
                       series_entity_names[wanted->entity], id);
    if (word.len > ID_MAX)
        return err_set(err, ERR_INVALID, "id must be ids of devices: worker:type:index");
    string_list_add(&wanted->ids, id);
    return 0;
}

static int read_ids(const struct request *rq, struct wanted *wanted, struct err *err)
{
    auto_free char *text = request_query(rq, "id");
    struct str rest = str_of(text), word;
    int rc = 0;
    if (wanted->entity == SERIES_CLUSTER)
        return !text || !*text ? 0
                               : err_set(err, ERR_INVALID,
                                         "id must be left out: there is one cluster");
    while (rc == 0 && str_split(&rest, ',', &word))
        rc = add_id(wanted, str_trim(word), err);
    if (rc == 0 && wanted->ids.count == 0)
        rc = err_set(err, ERR_INVALID, "id must be one or more ids of %ss, with commas between",
                     series_entity_names[wanted->entity]);
    return rc;
}

/* ---- the range ---- */

/* The least step that is no finer than what is kept for so long, and of which there aren't many. */
static int64_t choose_step(const struct wanted *wanted, int64_t now_ms)
{
    static const int64_t steps_s[] = {10,   20,   30,   60,   120,  180,   300,   600,  900,
                                      1200, 1800, 3600, 7200, 10800, 21600, 43200, STEP_S_MAX};
    int64_t span_s = (wanted->end_ms - wanted->start_ms) / 1000;
    bool is_old = now_ms - wanted->start_ms > series_kept_s[SERIES_FINE] * 1000 + 60000;
    size_t i = is_old ? 3 : 0;
    while (i + 1 < ARRAY_LEN(steps_s) && span_s / steps_s[i] > POINTS_WANTED)
        i++;
    return steps_s[i];
}

static int read_range(const struct request *rq, struct wanted *wanted, struct err *err)
{
    int64_t now_ms = control_now_ms(rq->control), step_s;
    int rc = usage_read_time(rq, "end", now_ms, &wanted->end_ms, err);
    if (rc == 0)
        rc = usage_read_time(rq, "start", wanted->end_ms - DEFAULT_SPAN_MS, &wanted->start_ms,
                             err);
    if (rc == 0)
        rc = request_query_int(rq, "step", 10, STEP_S_MAX, 0, &step_s, err);
    if (rc < 0)
        return rc;
    if (wanted->start_ms < 0 || wanted->start_ms >= wanted->end_ms)
        return err_set(err, ERR_INVALID, "start must be before end, and not before 1970");
    if (step_s % 10)
        return err_set(err, ERR_INVALID, "step must be a multiple of 10 s, not %lld",
                       (long long)step_s);
    step_s = step_s ? step_s : choose_step(wanted, now_ms);
    /* The present step isn't over, it would always be null. */
    int64_t kept_s = series_step_s[step_s % 60 ? SERIES_FINE : SERIES_MINUTE];
    int64_t end_s = wanted->end_ms / 1000 / kept_s * kept_s;
    int64_t start_s = wanted->start_ms / 1000 / step_s * step_s;
    int64_t count = end_s > start_s ? (end_s - start_s + step_s - 1) / step_s : 0;
    if (count > POINTS_MAX)
        return err_set(err, ERR_INVALID,
                       "step must be so large that there are at most %d points, not %lld",
                       POINTS_MAX, (long long)count);
    wanted->range = (struct series_range){start_s, step_s, (size_t)count};
    return 0;
}

static size_t metric_count(const struct wanted *wanted)
{
    return (size_t)__builtin_popcount(wanted->metrics);
}

static int read_wanted(const struct request *rq, struct wanted *wanted, struct err *err)
{
    read_entity(rq, wanted);
    int rc = read_metrics(rq, wanted, err);
    if (rc == 0)
        rc = read_ids(rq, wanted, err);
    if (rc == 0)
        rc = read_range(rq, wanted, err);
    size_t values = (wanted->ids.count ? wanted->ids.count : 1) * metric_count(wanted) *
                    wanted->range.count;
    if (rc == 0 && values > VALUES_MAX)
        rc = err_set(err, ERR_INVALID,
                     "ids, metrics and points multiplied must be at most %d, not %zu: take a "
                     "larger step, fewer metrics or fewer ids",
                     VALUES_MAX, values);
    return rc;
}

/* ---- the answer ---- */

/* As many digits as a value has that was kept in 16 bits. */
static void add_value(struct buf *out, double value)
{
    uint64_t scale = value < 1 ? 1000000 : value < 1000 ? 1000 : 1;
    if (isnan(value)) {
        buf_add_cstr(out, "null");
        return;
    }
    uint64_t scaled = (uint64_t)(value * (double)scale + 0.5), rest = scaled % scale;
    buf_add_uint(out, scaled / scale);
    if (rest == 0)
        return;
    char digits[8];
    size_t count = 0;
    for (uint64_t at = scale / 10; at && rest; rest %= at, at /= 10)
        digits[count++] = (char)('0' + rest / at);
    buf_add_char(out, '.');
    buf_add(out, digits, count);
}

static void write_values(struct json_writer *w, const float *values, size_t count)
{
    struct buf text = {0};
    buf_add_char(&text, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&text, ',');
        add_value(&text, (double)values[i]);
    }
    buf_add_char(&text, ']');
    json_add_raw(w, buf_str(&text));
    buf_fini(&text);
}

static const struct worker *worker_named(const struct cluster *cluster, struct str name)
{
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker) {
        if (str_eq(name, str_of(worker->name)))
            return worker;
    }
    return NULL;
}

/* "worker:type:index". Of one that isn't known nothing is known either. */
static struct series_key device_key(const struct cluster *cluster, const char *id)
{
    struct series_key key = {.entity = SERIES_DEVICE, .id = -1};
    const char *index = strrchr(id, ':');
    if (!index || index == id)
        return key;
    size_t end = (size_t)(index - id);
    while (end > 0 && id[end - 1] != ':')
        end--;
    const struct worker *worker =
        end ? worker_named(cluster, str_sub(id, end - 1)) : NULL;
    if (worker && num_parse_i64(str_of(index + 1), 0, INT32_MAX, &key.index) == 0)
        key.id = worker->id;
    return key;
}

static void write_series(struct request *rq, const struct wanted *wanted,
                         const struct series_key *key)
{
    auto_free float *values = mem_alloc_array(wanted->range.count + 1, sizeof *values);
    const struct series *series = sampler_series(control_sampler(rq->control));
    json_add_key(&rq->json, "series");
    json_begin_object(&rq->json);
    for (int i = 0; i < SERIES_METRICS; i++) {
        if (!(wanted->metrics & 1U << i))
            continue;
        series_read(series, key, (enum series_metric)i, &wanted->range, values);
        json_add_key(&rq->json, series_metric_names[i]);
        write_values(&rq->json, values, wanted->range.count);
    }
    json_end_object(&rq->json);
}

static void write_item(struct request *rq, const struct wanted *wanted, const char *id)
{
    struct series_key key = {.entity = wanted->entity};
    json_begin_object(&rq->json);
    if (wanted->entity == SERIES_DEVICE) {
        key = device_key(rq->cluster, id);
        json_put_string(&rq->json, "id", id);
    } else if (id && num_parse_i64(str_of(id), 1, INT64_MAX, &key.id) == 0) {
        json_put_int(&rq->json, "id", key.id);
    } else {
        json_add_key(&rq->json, "id");
        json_add_null(&rq->json);
    }
    write_series(rq, wanted, &key);
    json_end_object(&rq->json);
}

int timeseries_get(struct request *rq, struct err *err)
{
    struct wanted wanted = {0};
    int rc = read_wanted(rq, &wanted, err);
    const struct series_range *range = &wanted.range;
    if (rc == 0) {
        json_begin_object(&rq->json);
        json_put_string(&rq->json, "entity", series_entity_names[wanted.entity]);
        json_add_key(&rq->json, "start");
        json_add_time(&rq->json, range->start_s * 1000);
        json_put_int(&rq->json, "step_seconds", range->step_s);
        json_put_int(&rq->json, "points", (int64_t)range->count);
        json_add_key(&rq->json, "items");
        json_begin_array(&rq->json);
        if (wanted.entity == SERIES_CLUSTER)
            write_item(rq, &wanted, NULL);
        for (size_t i = 0; i < wanted.ids.count; i++)
            write_item(rq, &wanted, wanted.ids.items[i]);
        json_end_array(&rq->json);
        json_end_object(&rq->json);
    }
    string_list_fini(&wanted.ids);
    return rc;
}

/* ---- this moment ---- */

static void put_number(struct json_writer *w, enum series_metric metric, double value)
{
    struct buf text = {0};
    add_value(&text, value);
    json_add_key(w, series_metric_names[metric]);
    json_add_raw(w, buf_str(&text));
    buf_fini(&text);
}

/* Nothing is known while no gateway is heard. */
static void write_figures(struct request *rq, int64_t model_id)
{
    const struct rates *rates = sampler_rates(control_sampler(rq->control));
    struct rates_figures now;
    rates_read(rates, model_id, &now);
    bool is_known = rates_is_heard(rates);
    const struct {
        enum series_metric metric;
        double value;
    } figures[] = {
        {SERIES_TOKENS_IN, now.counts[RATES_TOKENS_IN]},
        {SERIES_TOKENS_OUT, now.counts[RATES_TOKENS_OUT]},
        {SERIES_REQUESTS, now.counts[RATES_REQUESTS]},
        {SERIES_ERRORS, now.counts[RATES_ERRORS]},
        {SERIES_RUNNING, now.gauges[RATES_RUNNING]},
        {SERIES_WAITING, now.gauges[RATES_WAITING]},
        {SERIES_TTFT_P50, now.ttft_p50_ms},
        {SERIES_TTFT_P95, now.ttft_p95_ms},
    };
    for (size_t i = 0; i < ARRAY_LEN(figures); i++)
        put_number(&rq->json, figures[i].metric, is_known ? figures[i].value : (double)NAN);
}

int rates_get(struct request *rq, struct err *err)
{
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "at");
    json_add_time(&rq->json, control_now_ms(rq->control));
    json_add_key(&rq->json, "cluster");
    json_begin_object(&rq->json);
    write_figures(rq, 0);
    json_end_object(&rq->json);
    json_add_key(&rq->json, "models");
    json_begin_array(&rq->json);
    CLUSTER_FOR_EACH(rq->cluster, KIND_MODEL, struct model, model) {
        json_begin_object(&rq->json);
        json_put_int(&rq->json, "id", model->id);
        json_put_string(&rq->json, "name", model->name);
        write_figures(rq, model->id);
        json_end_object(&rq->json);
    }
    json_end_array(&rq->json);
    json_end_object(&rq->json);
    return 0;
}

/* ---- what gateways tell ---- */

int gateway_samples_add(struct request *rq, struct err *err)
{
    struct rates *rates = sampler_rates(control_sampler(rq->control));
    int rc = rates_take(rates, rq->body, loop_now_ms(control_loop(rq->control)), err);
    rq->status = 204;
    return rc;
}
