/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler with a loop whose clock is moved by hand: steps, minutes, silence, the file. */
#include "control/sampler.h"

#include "base/log.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BEGIN_MS INT64_C(1764547200000) /* 2025-12-01 00:00 */

static int64_t clock_ms;

static int64_t now(void *ctx)
{
    return clock_ms;
}

static const struct clock test_clock = {.mono_ms = now, .wall_ms = now};

struct world {
    char folder[64];
    char *path;
    struct loop *loop;
    struct cluster cluster;
    struct sampler *sampler;
    int64_t worker_id, model_id;
};

static void stop(void *arg)
{
    loop_stop(arg);
}

/* One turn of the loop in which due timers run. */
static void turn(struct world *w)
{
    loop_post(w->loop, stop, w->loop);
    loop_run(w->loop);
}

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/gpustack-sampler-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->path = mem_printf("%s/timeseries", w->folder);
    clock_ms = BEGIN_MS;
    w->loop = loop_new(&test_clock);
    cluster_init(&w->cluster);
    struct model model = {0};
    record_init(&model_type, &model);
    mem_replace(&model.name, "m");
    w->model_id = record_id(cluster_put(&w->cluster, KIND_MODEL, &model, 1));
    struct worker worker = {0};
    record_init(&worker_type, &worker);
    mem_replace(&worker.name, "w");
    w->worker_id = record_id(cluster_put(&w->cluster, KIND_WORKER, &worker, 1));
    w->sampler = sampler_new(w->loop, &w->cluster, w->path);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    sampler_free(w->sampler);
    loop_free(w->loop);
    cluster_fini(&w->cluster);
    unlink(w->path);
    assert_int_equal(rmdir(w->folder), 0);
    free(w->path);
    free(w);
    return 0;
}

/* Two devices, one of which tells its memory only. */
static void report(struct world *w, double utilization)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&w->cluster, KIND_WORKER, w->worker_id));
    worker_clear_devices(&copy);
    mem_replace(&copy.status, "{}");
    copy.heartbeat_time = clock_ms;
    copy.cpu_utilization = 25;
    copy.devices = mem_alloc_array(2, sizeof *copy.devices);
    copy.device_count = 2;
    for (int64_t i = 0; i < 2; i++)
        copy.devices[i] = (struct worker_device){.index = i,
                                                 .type = mem_strdup("npu"),
                                                 .link = mem_strdup(""),
                                                 .total_bytes = 1000,
                                                 .used_bytes = 100,
                                                 .utilization = i ? -1 : utilization,
                                                 .temperature_c = i ? -1 : 40,
                                                 .power_w = -1};
    cluster_put(&w->cluster, KIND_WORKER, &copy, clock_ms);
}

static void post(struct world *w, int64_t requests)
{
    auto_fini(json_release) json_t *body = json_pack(
        "{s:s,s:I,s:b,s:[{s:I,s:I,s:i}]}", "gateway", "g", "age_ms",
        (json_int_t)(clock_ms - BEGIN_MS), "is_complete", 1, "models", "model_id",
        (json_int_t)w->model_id, "requests", (json_int_t)requests, "running", 1);
    assert_int_equal(rates_take(sampler_rates(w->sampler), body, clock_ms, NULL), 0);
}

/* So much time, tick by tick. */
static void pass(struct world *w, int64_t ms)
{
    for (int64_t end_ms = clock_ms + ms; clock_ms < end_ms;) {
        clock_ms += SAMPLER_TICK_MS;
        turn(w);
    }
}

static float value(struct world *w, struct series_key key, enum series_metric metric,
                   int64_t at_ms, int64_t step_s)
{
    const struct series_range range = {.start_s = at_ms / 1000, .step_s = step_s, .count = 1};
    float ret;
    series_read(sampler_series(w->sampler), &key, metric, &range, &ret);
    return ret;
}

static void assert_near(float value, double expected)
{
    if (isnan(value) || fabs((double)value - expected) > expected / 1000)
        fail_msg("%g is not %g", (double)value, expected);
}

static void reports_become_steps_and_minutes(void **state)
{
    struct world *w = *state;
    const struct series_key first = {SERIES_DEVICE, w->worker_id, 0};
    const struct series_key second = {SERIES_DEVICE, w->worker_id, 1};
    const struct series_key worker = {SERIES_WORKER, w->worker_id, 0};
    const struct series_key cluster = {SERIES_CLUSTER, 0, 0};
    for (int i = 0; i < 6; i++) {
        report(w, 10 * i);
        pass(w, 10000);
    }
    assert_near(value(w, first, SERIES_UTILIZATION, BEGIN_MS + 20000, 10), 20);
    assert_near(value(w, first, SERIES_UTILIZATION, BEGIN_MS, 60), 25);
    assert_true(isnan(value(w, second, SERIES_UTILIZATION, BEGIN_MS, 10)));
    assert_near(value(w, second, SERIES_MEMORY_USED, BEGIN_MS, 10), 100);
    assert_near(value(w, worker, SERIES_MEMORY_USED, BEGIN_MS, 60), 200);
    assert_near(value(w, worker, SERIES_UTILIZATION, BEGIN_MS + 10000, 10), 10);
    assert_near(value(w, cluster, SERIES_CPU, BEGIN_MS, 60), 25);
    assert_near(value(w, cluster, SERIES_TEMPERATURE, BEGIN_MS, 60), 40);
    assert_true(isnan(value(w, cluster, SERIES_POWER, BEGIN_MS, 10)));
    assert_true(isnan(value(w, cluster, SERIES_REQUESTS, BEGIN_MS, 10)));
}

static void a_silent_worker_has_gaps(void **state)
{
    struct world *w = *state;
    const struct series_key worker = {SERIES_WORKER, w->worker_id, 0};
    report(w, 50);
    pass(w, 60000);
    assert_near(value(w, worker, SERIES_UTILIZATION, BEGIN_MS + 10000, 10), 50);
    assert_true(isnan(value(w, worker, SERIES_UTILIZATION, BEGIN_MS + 20000, 10)));
    assert_true(isnan(value(w, worker, SERIES_UTILIZATION, BEGIN_MS + 50000, 10)));
}

static void requests_become_steps_and_minutes(void **state)
{
    struct world *w = *state;
    const struct series_key model = {SERIES_MODEL, w->model_id, 0};
    for (int i = 1; i <= 5; i++, pass(w, 2000))
        post(w, 4 * i);
    assert_near(value(w, model, SERIES_REQUESTS, BEGIN_MS, 10), 2);
    assert_near(value(w, model, SERIES_RUNNING, BEGIN_MS, 10), 1);
    for (int i = 0; i < 25; i++, pass(w, 2000))
        post(w, 20);
    assert_true(value(w, model, SERIES_REQUESTS, BEGIN_MS + 30000, 10) == 0);
    assert_near(value(w, model, SERIES_REQUESTS, BEGIN_MS, 60), 1.0 / 3);
    pass(w, 30000);
    assert_true(isnan(value(w, model, SERIES_REQUESTS, BEGIN_MS + 80000, 10)));
}

static void end(struct world *w)
{
    sampler_end(w->sampler, stop, w->loop);
    loop_run(w->loop);
    sampler_free(w->sampler);
}

static void history_is_saved_at_the_end(void **state)
{
    struct world *w = *state;
    const struct series_key worker = {SERIES_WORKER, w->worker_id, 0};
    report(w, 50);
    pass(w, 10000);
    end(w);
    w->sampler = sampler_new(w->loop, &w->cluster, w->path);
    assert_near(value(w, worker, SERIES_UTILIZATION, BEGIN_MS, 10), 50);
}

/* The time passes in which it is written now and then; who is gone meanwhile isn't missed. */
static void history_is_saved_now_and_then(void **state)
{
    struct world *w = *state;
    const struct series_key worker = {SERIES_WORKER, w->worker_id, 0};
    report(w, 50);
    pass(w, SAMPLER_SAVE_MS);
    sampler_free(w->sampler);
    w->sampler = NULL;
    loop_free(w->loop); /* what the pool does is done then */
    w->loop = loop_new(&test_clock);
    w->sampler = sampler_new(w->loop, &w->cluster, w->path);
    assert_near(value(w, worker, SERIES_UTILIZATION, BEGIN_MS, 10), 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_become_steps_and_minutes),
        TEST(a_silent_worker_has_gaps),
        TEST(requests_become_steps_and_minutes),
        TEST(history_is_saved_at_the_end),
        TEST(history_is_saved_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
