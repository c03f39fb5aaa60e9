/* SPDX-License-Identifier: Apache-2.0 */
#include "control/desired.h"

/* Fields of the model that an instance runs with, as they stand in its record. */
static const char *const model_fields[] = {
    "source",
    "local_path",
    "huggingface_repo_id",
    "huggingface_filename",
    "model_scope_model_id",
    "model_scope_file_path",
    "backend",
    "backend_version",
    "backend_parameters",
    "env",
    "restart_on_error",
};

static void write_model_fields(const struct model *model, struct json_writer *w)
{
    for (size_t i = 0; i < ARRAY_LEN(model_fields); i++) {
        json_add_key(w, model_fields[i]);
        record_write_field(record_field(&model_type, model_fields[i]), model, w);
    }
}

static void write_instance(const struct cluster *cluster, const struct model_instance *instance,
                           struct json_writer *w)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    auto_free char *token = cluster_instance_token(cluster, instance->id);
    json_begin_object(w);
    json_put_int(w, "id", instance->id);
    json_put_string(w, "name", instance->name);
    json_put_int(w, "model_id", instance->model_id);
    json_put_string(w, "model_name", instance->model_name);
    json_put_int(w, "model_generation", instance->model_generation);
    write_model_fields(model, w);
    json_add_key(w, "gpu_indexes");
    json_begin_array(w);
    for (size_t i = 0; i < instance->gpu_indexes.count; i++)
        json_add_int(w, instance->gpu_indexes.items[i]);
    json_end_array(w);
    json_put_string(w, "token", token);
    json_end_object(w);
}

void desired_write(const struct cluster *cluster, int64_t worker_id, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_array(&w);
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->worker_id == worker_id)
            write_instance(cluster, instance, &w);
    }
    json_end_array(&w);
}
