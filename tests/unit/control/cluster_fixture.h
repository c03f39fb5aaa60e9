/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster without sockets and store, for tests of control's decisions. */
#pragma once

#include "control/events.h"
#include "control/liveness.h"
#include "control/reconcile.h"
#include "control/report.h"
#include "domain/gang.h"
#include "domain/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Not every test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct cluster cluster;
static unsigned suffixes;
static int64_t mono_ms = 1000000; /* control's monotonic clock */

static char *make_suffix(void *ctx)
{
    return mem_printf("%05u", ++suffixes);
}

static struct int_list lost_workers;

static struct reconcile_env env = {
    .now_ms = 1000, .make_suffix = make_suffix, .lost = &lost_workers};

static int set_up(void **state)
{
    cluster_init(&cluster);
    cluster.secret = mem_strdup("secret");
    suffixes = 0;
    return 0;
}

static int tear_down(void **state)
{
    cluster_fini(&cluster);
    int_list_fini(&lost_workers);
    return 0;
}

/* Passes until nothing changes any more. Whether an instance is left without a worker. */
static bool settle(void)
{
    struct dirty dirty = {0};
    for (int i = 0; i < 6; i++) {
        dirty_note_all(&dirty, &cluster);
        reconcile(&cluster, &env, &dirty);
    }
    bool has_unplaced = dirty.has_unplaced;
    dirty_fini(&dirty);
    return has_unplaced;
}

static int64_t add_worker(const char *name, enum worker_state worker_state)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.worker_uuid, name);
    mem_replace(&fresh.ip, "10.0.0.1");
    fresh.memory_total = 16LL << 30;
    fresh.state = worker_state;
    return record_id(cluster_put(&cluster, KIND_WORKER, &fresh, 1));
}

static struct model *add_model(const char *name, int64_t replicas)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/models/x.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.replicas = replicas;
    fresh.generation = 1;
    return cluster_put(&cluster, KIND_MODEL, &fresh, 1);
}

static void set_replicas(struct model *model, int64_t replicas)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.replicas = replicas;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

static struct model_instance *instance_at(size_t i)
{
    assert_true(i < cluster.tables[KIND_INSTANCE].count);
    return cluster.tables[KIND_INSTANCE].rows[i];
}

static size_t instance_count(void)
{
    return cluster.tables[KIND_INSTANCE].count;
}

static struct model_instance *instance_by_id(int64_t id)
{
    return cluster_find(&cluster, KIND_INSTANCE, id);
}

/* Sends a report of `entries`, JSON objects in an array's brackets, as the worker would. */
static int report_entries(int64_t worker_id, const char *entries, bool is_current)
{
    auto_free char *text = mem_printf("{\"instances\":%s}", entries);
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(str_of(text), &body, NULL), 0);
    struct report_env report = {.now_ms = 5, .now_mono_ms = mono_ms, .is_current = is_current};
    struct err err = {0};
    return report_apply(&cluster, worker_id, body, &report, &err);
}

/* A report of one instance in that state, with more members of its entry (",..." or ""). */
static int report_more(int64_t worker_id, int64_t id, const char *word, const char *more)
{
    auto_free char *entry = mem_printf(
        "[{\"id\":%lld,\"state\":\"%s\",\"pid\":7,\"port\":40000,\"model_generation\":%lld%s}]",
        (long long)id, word, (long long)instance_by_id(id)->model_generation, more);
    return report_entries(worker_id, entry, false);
}

static int report_state(int64_t worker_id, int64_t id, const char *word)
{
    return report_more(worker_id, id, word, "");
}

/* Another generation of the model, and with a zone another selector. */
static void set_generation(struct model *model, int64_t generation, const char *zone)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.generation = generation;
    if (zone)
        string_map_set(&copy.worker_selector, "zone", zone);
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

static void set_memory(int64_t worker_id, int64_t bytes)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&cluster, KIND_WORKER, worker_id));
    copy.memory_total = bytes;
    cluster_put(&cluster, KIND_WORKER, &copy, 2);
}

static void set_maintenance(int64_t worker_id, const char *text)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&cluster, KIND_WORKER, worker_id));
    mem_replace(&copy.maintenance, text);
    liveness_settle(&cluster, cluster_put(&cluster, KIND_WORKER, &copy, 2), 2, false);
}

static bool has_event(enum event_code code)
{
    for (size_t i = 0; i < cluster.tables[KIND_EVENT].count; i++)
        if (((const struct event *)cluster.tables[KIND_EVENT].rows[i])->code == (int)code)
            return true;
    return false;
}
