/* SPDX-License-Identifier: Apache-2.0 */
#include "control/sampler.h"

#include "base/file.h"
#include "base/log.h"
#include "control/series_save.h"

#include <errno.h>
#include <math.h>

enum {
    STEP_S = 10,
    STEPS_PER_MINUTE = 6,
    FILE_MODE = 0600,
};

/* A file being written: path and copy are for the pool's thread to read, until it is done. */
struct save {
    struct sampler *sampler; /* NULL: it is gone */
    char *path;              /* owned */
    struct series_copy copy;
    struct err err;
    int rc;
    bool is_last;
};

struct sampler {
    struct loop *loop;
    const struct cluster *cluster;
    char *path; /* owned; NULL: nothing is kept */
    struct series *series;
    struct rates *rates;
    struct timer tick, save_timer;
    int64_t step;         /* the present one, since 1970 */
    unsigned heard_steps; /* of the present minute, in which gateways were heard */
    bool is_full;         /* the log tells that there is no room */
    struct save *save;    /* under way, or NULL */
    void (*done)(void *ctx); /* the last save is wanted, or under way */
    void *ctx;
};

static int64_t wall_ms(const struct sampler *sampler)
{
    return clock_wall_ms(loop_clock(sampler->loop));
}

/* ---- putting ---- */

static void put(struct sampler *sampler, enum series_level level, const struct series_key *key,
                const float values[SERIES_METRICS])
{
    int64_t at_ms = sampler->step * STEP_S * 1000;
    bool has_room = series_put(sampler->series, level, key, at_ms, values);
    if (!has_room && !sampler->is_full)
        log_warning("series", "the history has no room for all devices and models: %zu MiB are "
                    "full",
                    series_bytes(sampler->series) >> 20);
    sampler->is_full = !has_room;
}

static void clear(float values[SERIES_METRICS])
{
    for (int i = 0; i < SERIES_METRICS; i++)
        values[i] = NAN;
}

/* ---- workers and devices ---- */

/* Sums over devices or workers, and how many told. */
struct sums {
    double values[SERIES_METRICS];
    unsigned counts[SERIES_METRICS];
};

static void add(struct sums *sums, enum series_metric metric, double value)
{
    if (!(value >= 0))
        return;
    bool is_hottest = metric == SERIES_TEMPERATURE;
    double *sum = &sums->values[metric];
    *sum = !is_hottest ? *sum + value : *sum > value ? *sum : value;
    sums->counts[metric]++;
}

static void add_sums(struct sums *to, const struct sums *from)
{
    for (int i = 0; i < SERIES_METRICS; i++) {
        if (!from->counts[i])
            continue;
        add(to, (enum series_metric)i, from->values[i]);
        to->counts[i] += from->counts[i] - 1;
    }
}

static void put_sums(struct sampler *sampler, const struct series_key *key,
                     const struct sums *sums, float values[SERIES_METRICS])
{
    for (int i = 0; i <= SERIES_RAM_USED; i++) {
        bool is_mean = i == SERIES_UTILIZATION || i == SERIES_CPU;
        if (sums->counts[i])
            values[i] = (float)(sums->values[i] / (is_mean ? sums->counts[i] : 1));
    }
    put(sampler, SERIES_FINE, key, values);
}

static struct series_key device_key(const struct worker *worker, size_t i)
{
    return (struct series_key){SERIES_DEVICE, worker->id, worker->devices[i].index};
}

static void sample_device(struct sampler *sampler, const struct worker *worker, size_t i,
                          struct sums *of_worker)
{
    const struct worker_device *device = &worker->devices[i];
    const struct series_key key = device_key(worker, i);
    struct sums own = {0};
    float values[SERIES_METRICS];
    clear(values);
    add(&own, SERIES_UTILIZATION, device->utilization);
    add(&own, SERIES_MEMORY_USED, device->total_bytes ? (double)device->used_bytes : -1);
    add(&own, SERIES_TEMPERATURE, device->temperature_c);
    add(&own, SERIES_POWER, device->power_w);
    put_sums(sampler, &key, &own, values);
    add_sums(of_worker, &own);
}

static bool is_fresh(const struct sampler *sampler, const struct worker *worker)
{
    int64_t age_ms = wall_ms(sampler) - worker->heartbeat_time;
    return worker->status && age_ms <= SAMPLER_FRESH_MS;
}

static void sample_worker(struct sampler *sampler, const struct worker *worker,
                          struct sums *of_cluster)
{
    const struct series_key key = {.entity = SERIES_WORKER, .id = worker->id};
    struct sums own = {0};
    float values[SERIES_METRICS];
    clear(values);
    for (size_t i = 0; i < worker->device_count; i++)
        sample_device(sampler, worker, i, &own);
    add(&own, SERIES_CPU, worker->cpu_utilization);
    add(&own, SERIES_RAM_USED, worker->memory_total ? (double)worker->memory_used : -1);
    put_sums(sampler, &key, &own, values);
    add_sums(of_cluster, &own);
}

/* ---- requests ---- */

static void set_percentiles(const struct rates_figures *figures, float values[SERIES_METRICS])
{
    values[SERIES_TTFT_P50] = (float)figures->ttft_p50_ms;
    values[SERIES_TTFT_P95] = (float)figures->ttft_p95_ms;
}

/* Whether anything happened in the step. */
static bool read_step(const struct sampler *sampler, int64_t model_id,
                      float values[SERIES_METRICS])
{
    struct rates_figures figures;
    bool is_busy = rates_step(sampler->rates, model_id, &figures);
    values[SERIES_REQUESTS] = (float)figures.counts[RATES_REQUESTS];
    values[SERIES_ERRORS] = (float)figures.counts[RATES_ERRORS];
    values[SERIES_TOKENS_IN] = (float)figures.counts[RATES_TOKENS_IN];
    values[SERIES_TOKENS_OUT] = (float)figures.counts[RATES_TOKENS_OUT];
    values[SERIES_RUNNING] = (float)figures.gauges[RATES_RUNNING];
    values[SERIES_WAITING] = (float)figures.gauges[RATES_WAITING];
    set_percentiles(&figures, values);
    return is_busy;
}

/* Idle models take no memory: see control/series.h. */
static void sample_model(int64_t model_id, void *ctx)
{
    struct sampler *sampler = ctx;
    const struct series_key key = {.entity = SERIES_MODEL, .id = model_id};
    float values[SERIES_METRICS];
    clear(values);
    if (!cluster_find(sampler->cluster, KIND_MODEL, model_id)) {
        rates_drop(sampler->rates, model_id);
        return;
    }
    bool is_busy = read_step(sampler, model_id, values);
    if (is_busy || series_has_block(sampler->series, SERIES_FINE, &key,
                                    sampler->step * STEP_S * 1000))
        put(sampler, SERIES_FINE, &key, values);
}

static void sample(struct sampler *sampler)
{
    static const struct series_key key = {.entity = SERIES_CLUSTER};
    struct sums sums = {0};
    float values[SERIES_METRICS];
    clear(values);
    CLUSTER_FOR_EACH(sampler->cluster, KIND_WORKER, struct worker, worker) {
        if (is_fresh(sampler, worker))
            sample_worker(sampler, worker, &sums);
    }
    rates_end_step(sampler->rates, loop_now_ms(sampler->loop));
    if (rates_is_heard(sampler->rates)) {
        sampler->heard_steps++;
        rates_each(sampler->rates, sample_model, sampler);
        read_step(sampler, 0, values);
    }
    put_sums(sampler, &key, &sums, values);
}

/* ---- minutes ---- */

/* `steps` 0: the mean over those that are known. */
static void put_minute(struct sampler *sampler, const struct series_key *key, unsigned steps)
{
    float values[SERIES_METRICS];
    struct rates_figures figures;
    series_minute_means(sampler->series, key, sampler->step * STEP_S * 1000, steps, values);
    if (sampler->heard_steps &&
        (key->entity == SERIES_MODEL || key->entity == SERIES_CLUSTER)) {
        rates_percentiles(sampler->rates, key->entity == SERIES_MODEL ? key->id : 0,
                          STEPS_PER_MINUTE, &figures);
        set_percentiles(&figures, values);
    }
    put(sampler, SERIES_MINUTE, key, values);
}

static void end_minute_of_model(int64_t model_id, void *ctx)
{
    struct sampler *sampler = ctx;
    const struct series_key key = {.entity = SERIES_MODEL, .id = model_id};
    int64_t at_ms = sampler->step * STEP_S * 1000;
    float means[SERIES_METRICS];
    bool is_busy = false;
    series_minute_means(sampler->series, &key, at_ms, 0, means);
    for (int i = 0; i < SERIES_METRICS; i++)
        is_busy = is_busy || means[i] > 0;
    if (is_busy || series_has_block(sampler->series, SERIES_MINUTE, &key, at_ms))
        put_minute(sampler, &key, sampler->heard_steps);
}

static void end_minute(struct sampler *sampler)
{
    static const struct series_key cluster = {.entity = SERIES_CLUSTER};
    CLUSTER_FOR_EACH(sampler->cluster, KIND_WORKER, struct worker, worker) {
        const struct series_key key = {.entity = SERIES_WORKER, .id = worker->id};
        if (!is_fresh(sampler, worker))
            continue;
        put_minute(sampler, &key, 0);
        for (size_t i = 0; i < worker->device_count; i++) {
            const struct series_key device = device_key(worker, i);
            put_minute(sampler, &device, 0);
        }
    }
    if (sampler->heard_steps)
        rates_each(sampler->rates, end_minute_of_model, sampler);
    put_minute(sampler, &cluster, 0);
    sampler->heard_steps = 0;
    series_expire(sampler->series, wall_ms(sampler));
}

/* ---- time ---- */

static void arm(struct sampler *sampler)
{
    timer_start(&sampler->tick, SAMPLER_TICK_MS - wall_ms(sampler) % SAMPLER_TICK_MS);
}

static void on_tick(struct timer *timer, void *ctx)
{
    struct sampler *sampler = ctx;
    int64_t step = wall_ms(sampler) / 1000 / STEP_S;
    rates_tick(sampler->rates, loop_now_ms(sampler->loop));
    if (step != sampler->step) {
        sample(sampler);
        if (step / STEPS_PER_MINUTE != sampler->step / STEPS_PER_MINUTE)
            end_minute(sampler);
        sampler->step = step;
    }
    arm(sampler);
}

/* ---- saving ---- */

static void write_file(void *arg)
{
    struct save *save = arg;
    struct buf bytes = {0};
    series_write_file(&save->copy, &bytes);
    save->rc = file_write(save->path, buf_str(&bytes), FILE_MODE, &save->err);
    buf_fini(&bytes);
}

static void start_save(struct sampler *sampler);

static void on_written(void *arg)
{
    struct save *save = arg;
    struct sampler *sampler = save->sampler;
    series_copy_fini(&save->copy);
    if (save->rc < 0)
        log_warning("series", "the history was not saved: %s", save->err.text);
    bool is_last = save->is_last;
    free(save->path);
    free(save);
    if (!sampler)
        return;
    sampler->save = NULL;
    if (is_last)
        sampler->done(sampler->ctx);
    else if (sampler->done)
        start_save(sampler);
}

/* Also says when the next one is due: never behind the last. */
static void start_save(struct sampler *sampler)
{
    int64_t spread_ms = (int64_t)(series_bytes(sampler->series) / (SAMPLER_SAVE_RATE / 1000));
    struct save *save = mem_alloc(sizeof *save);
    *save = (struct save){
        .sampler = sampler, .path = mem_strdup(sampler->path), .is_last = sampler->done != NULL};
    series_copy(sampler->series, &save->copy);
    sampler->save = save;
    timer_stop(&sampler->save_timer);
    if (!sampler->done)
        timer_start(&sampler->save_timer,
                    spread_ms > SAMPLER_SAVE_MS ? spread_ms : SAMPLER_SAVE_MS);
    loop_work(sampler->loop, write_file, on_written, save);
}

static void on_save_due(struct timer *timer, void *ctx)
{
    struct sampler *sampler = ctx;
    if (sampler->save)
        timer_start(timer, SAMPLER_SAVE_MS);
    else
        start_save(sampler);
}

void sampler_end(struct sampler *sampler, void (*done)(void *ctx), void *ctx)
{
    timer_stop(&sampler->tick);
    sampler->done = done;
    sampler->ctx = ctx;
    if (!sampler->path)
        done(ctx);
    else if (!sampler->save)
        start_save(sampler); /* else when that one is done */
}

static void load(struct sampler *sampler)
{
    struct buf bytes = {0};
    struct err err = {0};
    int rc = file_read(sampler->path, SERIES_FILE_MAX, &bytes, &err);
    if (rc == 0)
        rc = series_read_file(sampler->series, buf_str(&bytes), &err);
    if (rc < 0 && rc != -ENOENT)
        log_warning("series", "%s can't be used, the history begins anew: %s", sampler->path,
                    err.text);
    buf_fini(&bytes);
    series_expire(sampler->series, wall_ms(sampler));
}

/* ---- life ---- */

struct sampler *sampler_new(struct loop *loop, const struct cluster *cluster, const char *path)
{
    struct sampler *sampler = mem_alloc(sizeof *sampler);
    *sampler = (struct sampler){.loop = loop, .cluster = cluster, .path = mem_strdup(path)};
    sampler->series = series_new(SERIES_BUDGET_BYTES);
    sampler->rates = rates_new(loop_now_ms(loop));
    sampler->step = wall_ms(sampler) / 1000 / STEP_S;
    timer_init(&sampler->tick, loop, on_tick, sampler);
    timer_init(&sampler->save_timer, loop, on_save_due, sampler);
    if (path) {
        load(sampler);
        timer_start(&sampler->save_timer, SAMPLER_SAVE_MS);
    }
    arm(sampler);
    return sampler;
}

void sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return;
    timer_stop(&sampler->tick);
    timer_stop(&sampler->save_timer);
    if (sampler->save)
        sampler->save->sampler = NULL;
    series_free(sampler->series);
    rates_free(sampler->rates);
    free(sampler->path);
    free(sampler);
}

struct series *sampler_series(struct sampler *sampler)
{
    return sampler->series;
}

struct rates *sampler_rates(struct sampler *sampler)
{
    return sampler->rates;
}
