/* SPDX-License-Identifier: Apache-2.0 */
#include "control/desired.h"

#include "control/model_files.h"
#include "domain/gang.h"

/* Fields of the model that an instance runs with, as they stand in its record. */
static const char *const model_fields[] = {
    "huggingface_repo_id",
    "huggingface_filename",
    "model_scope_model_id",
    "model_scope_file_path",
    "backend_version",
    "backend_parameters",
    "env",
    "categories",
    "restart_on_error",
    "max_restarts",
};

static void write_field(const struct model *model, const char *name, struct json_writer *w)
{
    json_add_key(w, name);
    record_write_field(record_field(&model_type, name), model, w);
}

/* What was fetched for it is a local path to its worker. `path` NULL: as the model says. */
static void write_source(const struct model *model, const char *path, struct json_writer *w)
{
    if (!path) {
        write_field(model, "source", w);
        write_field(model, "local_path", w);
        return;
    }
    json_put_string(w, "source", "local_path");
    json_put_string(w, "local_path", path);
}

static void write_model_fields(const struct model *model, struct json_writer *w)
{
    for (size_t i = 0; i < ARRAY_LEN(model_fields); i++)
        write_field(model, model_fields[i], w);
}

static void write_ints(struct json_writer *w, const char *key, const struct int_list *list)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_int(w, list->items[i]);
    json_end_array(w);
}

/* Where the ranks are found, once all may start. */
static void write_ranks(const struct gang *gang, struct json_writer *w)
{
    json_add_key(w, "ranks");
    json_begin_array(w);
    for (size_t i = 0; gang->go && i < gang->rank_count; i++) {
        const struct gang_rank *rank = &gang->ranks[i];
        json_begin_object(w);
        json_put_int(w, "rank", (int64_t)i);
        json_put_string(w, "ip", rank->worker_ip);
        write_ints(w, "ports", &rank->ports);
        write_ints(w, "gpu_indexes", &rank->gpu_indexes);
        json_end_object(w);
    }
    json_end_array(w);
}

/* What it may take of this worker; left out when nothing was reckoned. */
static void write_claim(const struct model_instance *instance, int64_t worker_id,
                        struct json_writer *w)
{
    struct resource_claim claim = {0};
    instance_desired_claim_on(instance, worker_id, &claim);
    if (!claim_is_empty(&claim)) {
        json_add_key(w, "claim");
        claim_write(&claim, w);
    }
    claim_fini(&claim);
}

/* Which part of the instance this worker runs. Requests drain at rank 0; the others follow it. */
static void write_rank(const struct model_instance *instance, int64_t worker_id,
                       struct json_writer *w)
{
    struct gang gang = {0};
    if (!instance_is_gang(instance) || gang_read(instance->distributed_servers, &gang, NULL) < 0)
        gang = (struct gang){.go = true, .rank_count = 1};
    int rank = gang.ranks ? gang_rank_of(&gang, worker_id) : 0;
    write_ints(w, "gpu_indexes",
               rank > 0 ? &gang.ranks[rank].gpu_indexes : &instance->gpu_indexes);
    json_put_bool(w, "draining", instance->is_draining && rank == 0);
    json_put_int(w, "rank", rank);
    json_put_int(w, "rank_count", (int64_t)gang.rank_count);
    json_put_int(w, "gang_epoch", gang.epoch);
    json_put_bool(w, "go", gang.go);
    if (gang.ranks) {
        write_ranks(&gang, w);
        gang_fini(&gang);
    } else {
        write_ints(w, "ranks", &(struct int_list){0});
    }
}

static void write_instance(const struct cluster *cluster, const struct model_instance *instance,
                           int64_t worker_id, struct json_writer *w)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    auto_free char *token = cluster_instance_token(cluster, instance->id);
    json_begin_object(w);
    json_put_int(w, "id", instance->id);
    json_put_string(w, "name", instance->name);
    json_put_int(w, "model_id", instance->model_id);
    json_put_string(w, "model_name", instance->model_name);
    json_put_int(w, "model_generation", instance->model_generation);
    /* What the model says, or else what it was placed for: only control knows the devices. */
    json_put_string(w, "backend",
                    model->backend && *model->backend ? model->backend : instance->backend);
    auto_free char *path = model_files_path_on(cluster, instance, worker_id);
    write_source(model, path, w);
    write_model_fields(model, w);
    write_rank(instance, worker_id, w);
    write_claim(instance, worker_id, w);
    json_put_string(w, "token", token);
    json_end_object(w);
}

void desired_write(const struct cluster *cluster, int64_t worker_id, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_array(&w);
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker_id, struct model_instance, instance) {
        if (!model_files_hold(cluster, instance))
            write_instance(cluster, instance, worker_id, &w);
    }
    json_end_array(&w);
}
