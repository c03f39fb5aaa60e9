/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner set on a loop with a scratch data folder and stub engines, for tests of what runs them.
 */
#pragma once

#include "engine_stub.h"
#include "folder.h"
#include "worker/runner_set.h"

#define RUN_UNTIL(bench, condition)                                                                \
    do {                                                                                           \
        while (!(condition))                                                                       \
            loop_run((bench)->loop);                                                               \
    } while (0)

struct bench {
    char *dir;
    struct config config;
    struct node node;
    struct loop *loop;
    struct http_pool *pool;
    struct runner_set *set;
    const char *model;                 /* of bench_desire_with() */
    const char *model_name;            /* likewise */
    const struct device_list *devices; /* what the prober says; NULL: nothing yet */
    uint64_t looks, looked; /* at the devices, that were asked for and that are over */
    bool looks_later;       /* the test says when a look is over */
};

static inline void bench_on_change(void *ctx)
{
    struct bench *bench = ctx;
    loop_stop(bench->loop);
}

static inline const struct device_list *bench_devices(void *ctx)
{
    const struct bench *bench = ctx;
    return bench->devices;
}

static inline uint64_t bench_look(void *ctx)
{
    struct bench *bench = ctx;
    bench->looks++;
    if (!bench->looks_later)
        bench->looked = bench->looks;
    return bench->looks;
}

static inline bool bench_has_looked(void *ctx, uint64_t look)
{
    const struct bench *bench = ctx;
    return bench->looked >= look;
}

static inline void bench_start_set(struct bench *bench)
{
    struct runner_set_params params = {.loop = bench->loop,
                                       .pool = bench->pool,
                                       .config = &bench->config,
                                       .node = &bench->node,
                                       .devices = bench_devices,
                                       .look = bench_look,
                                       .has_looked = bench_has_looked,
                                       .on_change = bench_on_change,
                                       .ctx = bench};
    struct err err = {0};
    if (runner_set_new(&params, &bench->set, &err) < 0)
        abort();
}

/* As when the worker ends and comes again. */
static inline void bench_restart_set(struct bench *bench)
{
    runner_set_free(bench->set);
    bench_start_set(bench);
}

static inline struct bench *bench_new(void)
{
    struct bench *bench = mem_alloc(sizeof *bench);
    bench->dir = folder_new();
    bench->config = (struct config){.data_dir = bench->dir,
                                    .log_dir = mem_printf("%s/log", bench->dir),
                                    .bin_dir = mem_printf("%s/bin", bench->dir),
                                    .drain_timeout = 120,
                                    .service_port_first = 20000 + getpid() % 20000,
                                    .service_port_last = 20000 + getpid() % 20000 + 20};
    bench->node = (struct node){.uuid = mem_strdup("test-worker"),
                                .name = mem_strdup("w1"),
                                .cluster_id = mem_strdup("test-cluster")};
    auto_free char *uuid = mem_printf("test-%d", (int)getpid());
    mem_replace(&bench->node.uuid, uuid);
    engine_stub_install(bench->config.bin_dir);
    folder_write(bench->dir, "m.gguf", NULL, 1000);
    bench->model = "m.gguf";
    bench->model_name = "m";
    bench->loop = loop_new(&clock_system);
    bench->pool = http_pool_new(bench->loop);
    bench_start_set(bench);
    return bench;
}

static inline void bench_free(struct bench *bench)
{
    runner_set_free(bench->set);
    http_pool_free(bench->pool);
    loop_free(bench->loop);
    node_fini(&bench->node);
    free(bench->config.log_dir);
    free(bench->config.bin_dir);
    folder_free(bench->dir);
    free(bench);
}

/*
 * Desires instance 7 of m.gguf whose engine behaves as `stub`; `more` are further members, each
 * with a comma before it.
 */
static inline void bench_desire_with(struct bench *bench, const char *stub, int generation,
                                     const char *more)
{
    auto_free char *line = mem_printf(
        "{\"generation\":1,\"instances\":[{\"id\":7,\"name\":\"m-a\",\"model_name\":\"%s\","
        "\"model_generation\":%d,\"source\":\"local_path\",\"local_path\":\"%s/%s\","
        "\"env\":{\"STUB\":\"%s\"},\"token\":\"secret\"%s}]}",
        bench->model_name, generation, bench->dir, bench->model, stub, more);
    struct desired_state desired = {0};
    struct err err = {0};
    if (desired_state_read(str_of(line), &desired, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    runner_set_desire(bench->set, &desired);
}

/* The same of `model`, a file in the data folder. */
static inline void bench_desire(struct bench *bench, const char *model, const char *stub,
                                int generation)
{
    bench->model = model;
    bench_desire_with(bench, stub, generation, "");
    bench->model = "m.gguf";
}

static inline void bench_desire_nothing(struct bench *bench)
{
    runner_set_desire(bench->set, &(struct desired_state){.known = true});
}

static inline struct runner *bench_runner(const struct bench *bench)
{
    return runner_set_find(bench->set, 7);
}

static inline bool bench_is(const struct bench *bench, enum runner_phase phase)
{
    const struct runner *runner = bench_runner(bench);
    return runner && runner->phase == phase;
}

/* The array "instances" of the report. Returns owned. */
static inline json_t *bench_report(const struct bench *bench)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_t *root = NULL;
    runner_set_write_report(bench->set, &w);
    if (json_read(buf_str(&out), &root, NULL) < 0)
        abort();
    buf_fini(&out);
    return root;
}

/* A member of the first instance in the report as JSON text (of a string: its content). Returns
 * owned. */
static inline char *bench_told(const struct bench *bench, const char *key)
{
    auto_fini(json_release) json_t *root = bench_report(bench);
    const json_t *value = json_object_get(json_array_get(root, 0), key);
    if (json_is_string(value))
        return mem_strdup(json_string_value(value));
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    return text ? text : mem_strdup("(absent)");
}

#define assert_report(bench, key, expected)                                                        \
    do {                                                                                           \
        auto_free char *told = bench_told(bench, key);                                             \
        assert_string_equal(told, expected);                                                       \
    } while (0)

#define assert_message_has(bench, part)                                                            \
    do {                                                                                           \
        auto_free char *told = bench_told(bench, "state_message");                                 \
        if (!strstr(told, part))                                                                   \
            fail_msg("\"%s\" is not in \"%s\"", part, told);                                       \
    } while (0)
