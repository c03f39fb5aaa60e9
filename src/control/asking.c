/* SPDX-License-Identifier: Apache-2.0 */
/* What one decision asks for: a model's wishes, needs and files. */
#include "control/model_files.h"
#include "control/placing.h"

enum {
    DOWNLOAD_BYTES_PER_S = 100 << 20, /* of a hub, when nothing better is known */
    DISK_BYTES_PER_S = 1 << 30,
    CACHE_BYTES_PER_S_SHIFT = 33,     /* 8 GiB/s out of the page cache */
};

void placing_source_of(const struct placing *placing, const struct model *model,
                       struct need_source *ret)
{
    *ret = (struct need_source){0};
    if (placing->env->source_of && placing->env->needs)
        placing->env->source_of(model, ret, placing->env->ctx);
}

static enum place_strategy strategy_of(const struct model *model)
{
    switch ((enum placement_strategy)model->placement_strategy) {
    case PLACEMENT_SPREAD:
        return PLACE_SPREAD;
    case PLACEMENT_BINPACK:
        return PLACE_BINPACK;
    case PLACEMENT_AUTO:
    case PLACEMENT_COUNT:
        break;
    }
    return PLACE_CHEAPEST;
}

/* ---- time to start ---- */

/* Whether two models are made of the same files. */
static bool are_same_files(const struct model *a, const struct model *b)
{
    static const char *const fields[] = {"source", "local_path", "huggingface_repo_id",
                                         "huggingface_filename", "model_scope_model_id",
                                         "model_scope_file_path"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (!record_field_is_equal(record_field(&model_type, fields[i]), a, b))
            return false;
    return true;
}

/* How near a model's files are to a worker. */
enum nearness { FAR, ON_DISK, IN_MEMORY };

/* Whether they needn't be fetched first. */
static bool has_files(const struct cluster *cluster, const struct model *model, int64_t worker_id)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    return model->source == MODEL_LOCAL_PATH ||
           (worker && model_files_can_fetch(worker) && model_files_are_on(cluster, model, worker));
}

static enum nearness nearness_on(const struct cluster *cluster, const struct model *model,
                                 int64_t worker_id)
{
    enum nearness nearest = has_files(cluster, model, worker_id) ? ON_DISK : FAR;
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker_id, struct model_instance, one) {
        const struct model *other = cluster_find(cluster, KIND_MODEL, one->model_id);
        if (!other || one->is_held || one->state < INSTANCE_STARTING ||
            !are_same_files(model, other))
            continue;
        enum nearness here = one->state == INSTANCE_RUNNING ? IN_MEMORY : ON_DISK;
        nearest = here > nearest ? here : nearest;
    }
    return nearest;
}

/* Seconds per worker until the files are loaded there. Returns owned. */
static uint32_t *start_seconds(const struct placing *placing, const struct model *model,
                               uint64_t bytes)
{
    uint32_t *seconds = mem_alloc_array(placing->view.count + 1, sizeof *seconds);
    const uint64_t load = bytes / DISK_BYTES_PER_S;
    for (size_t i = 0; i < placing->view.count; i++) {
        enum nearness near =
            nearness_on(placing->cluster, model, placing->view.workers[i].id);
        seconds[i] = (uint32_t)(near == IN_MEMORY ? bytes >> CACHE_BYTES_PER_S_SHIFT
                                : near == ON_DISK ? load
                                                  : load + bytes / DOWNLOAD_BYTES_PER_S);
    }
    return seconds;
}

void asking_begin(struct asking *asking, struct placing *placing, const struct model *model)
{
    *asking = (struct asking){.wishes = wishes_of(model)};
    placing_source_of(placing, model, &asking->source);
    if (placing->env->needs)
        needs_of(placing->env->needs, model, &asking->source, &placing->view, &asking->need);
    else
        asking->need = (struct need){
            .model = model, .source = &asking->source, .view = &placing->view};
    asking->request = (struct place_request){
        .model_id = model->id,
        .model_name = model->name,
        .strategy = strategy_of(model),
        .selector = &model->worker_selector,
        .gpu_ids = &asking->wishes.gpu_ids,
        .device_count = asking->wishes.device_count,
        .may_span = model->distributed_inference_across_workers,
    };
    need_fill(&asking->need, &asking->request);
}

void asking_count_time(struct asking *asking, const struct placing *placing)
{
    if (!asking->source.shape)
        return;
    asking->start_seconds = start_seconds(placing, asking->need.model,
                                          asking->source.shape->file_bytes);
    asking->request.start_seconds = asking->start_seconds;
}

void asking_end(struct asking *asking)
{
    wishes_fini(&asking->wishes);
    int_list_fini(&asking->avoid);
    free(asking->start_seconds);
}
