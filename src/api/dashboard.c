/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v2/dashboard in GPUStack's shape, of what control knows and the store has of usage. */
#include "api/api_priv.h"
#include "api/dashboard_usage.h"
#include "domain/gang.h"

enum { ACTIVE_MODELS_MAX = 10, FRESH_MS = 5000 };

static void sample(struct timer *timer, void *ctx)
{
    struct api *api = ctx;
    load_measure(control_cluster(api->control), control_now_ms(api->control), &api->load);
    load_add(&api->load_history, &api->load);
    timer_start(timer, LOAD_STEP_MS);
}

void dashboard_start(struct api *api)
{
    timer_init(&api->load_timer, control_loop(api->control), sample, api);
    timer_start(&api->load_timer, LOAD_STEP_MS);
}

void dashboard_stop(struct api *api)
{
    timer_stop(&api->load_timer);
}

/* ---- parts ---- */

static void write_counts(struct request *rq, unsigned device_count)
{
    const struct table *tables = rq->cluster->tables;
    json_add_key(&rq->json, "resource_counts");
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "worker_count", (int64_t)tables[KIND_WORKER].count);
    json_put_int(&rq->json, "gpu_count", device_count);
    json_put_int(&rq->json, "model_count", (int64_t)tables[KIND_MODEL].count);
    json_put_int(&rq->json, "model_instance_count", (int64_t)tables[KIND_INSTANCE].count);
    json_end_object(&rq->json);
}

struct active {
    const struct model *model;
    size_t instance_count;
    int64_t tokens; /* of all times */
};

static int compare_active(const void *left, const void *right)
{
    const struct active *a = left, *b = right;
    if (a->tokens != b->tokens)
        return a->tokens < b->tokens ? 1 : -1;
    if (a->instance_count != b->instance_count)
        return a->instance_count < b->instance_count ? 1 : -1;
    return strcmp(a->model->name, b->model->name);
}

static void sum_claim(const struct model_instance *instance, int64_t worker_id, int64_t *ram,
                      int64_t *vram)
{
    struct resource_claim claim = {0};
    instance_claim_on(instance, worker_id, &claim);
    *ram += (int64_t)claim.ram_bytes;
    for (size_t i = 0; i < claim.device_count; i++)
        *vram += (int64_t)claim.devices[i].bytes;
    claim_fini(&claim);
}

/* Sums of what the model's instances hold, all ranks of gangs included, in bytes. */
static void write_claim(struct request *rq, const struct model *model)
{
    int64_t ram = 0, vram = 0;
    CLUSTER_FOR_KEY(&rq->cluster->instances_of_model, model->id, struct model_instance, instance) {
        const struct int_list *others = &instance->subordinate_worker_ids;
        sum_claim(instance, instance->worker_id, &ram, &vram);
        for (size_t i = 0; i < others->count; i++)
            sum_claim(instance, others->items[i], &ram, &vram);
    }
    json_add_key(&rq->json, "resource_claim");
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "ram", ram);
    json_put_int(&rq->json, "vram", vram);
    json_end_object(&rq->json);
}

static void write_active(struct request *rq, const struct active *active)
{
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "id", active->model->id);
    json_put_string(&rq->json, "name", active->model->name);
    json_add_key(&rq->json, "categories");
    record_write_field(record_field(&model_type, "categories"), active->model, &rq->json);
    write_claim(rq, active->model);
    json_put_int(&rq->json, "instance_count", (int64_t)active->instance_count);
    json_put_int(&rq->json, "token_count", active->tokens);
    json_end_object(&rq->json);
}

static void write_actives(struct request *rq, const struct usage_report *of_models)
{
    const struct table *models = &rq->cluster->tables[KIND_MODEL];
    auto_free struct active *actives = mem_alloc_array(models->count, sizeof *actives);
    size_t count = 0;
    CLUSTER_FOR_EACH(rq->cluster, KIND_MODEL, struct model, model) {
        const struct index_bucket *instances =
            number_index_find(&rq->cluster->instances_of_model, model->id);
        if (instances && instances->count)
            actives[count++] = (struct active){
                model, instances->count, dashboard_model_tokens(of_models, model->id)};
    }
    qsort(actives, count, sizeof *actives, compare_active);
    json_add_key(&rq->json, "active_models");
    json_begin_array(&rq->json);
    for (size_t i = 0; i < count && i < ACTIVE_MODELS_MAX; i++)
        write_active(rq, &actives[i]);
    json_end_array(&rq->json);
}

static void write_dashboard(struct request *rq, const struct usage_report *reports)
{
    struct api *api = rq->api;
    int64_t now_ms = control_now_ms(rq->control);
    if (now_ms - api->load.at_ms >= FRESH_MS || now_ms < api->load.at_ms)
        load_measure(rq->cluster, now_ms, &api->load);
    json_begin_object(&rq->json);
    write_counts(rq, api->load.device_count);
    json_add_key(&rq->json, "system_load");
    load_write(&api->load_history, &api->load, &rq->json);
    dashboard_write_usage(rq, reports);
    write_actives(rq, &reports[DASHBOARD_MODELS]);
    json_end_object(&rq->json);
}

int dashboard_get(struct request *rq, struct err *err)
{
    struct usage_query queries[DASHBOARD_QUERIES] = {0};
    dashboard_queries(rq, queries);
    return dashboard_read(rq, queries, DASHBOARD_QUERIES, write_dashboard);
}
