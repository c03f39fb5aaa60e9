/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dirty.h"

void dirty_note_worker(struct dirty *dirty, const struct cluster *cluster, int64_t worker_id)
{
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker_id, struct model_instance, instance)
        id_set_add(&dirty->models, instance->model_id);
}

/* Those whose files these are: more may be due to them than to be let go. */
static void note_models_of(struct dirty *dirty, const struct cluster *cluster,
                           const struct model_file *file)
{
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        if (model_file_is_of(file, model))
            id_set_add(&dirty->models, model->id);
    }
}

/* Files that are there are told of again and again; only what isn't stored changes then. */
static void note_file(struct dirty *dirty, const struct cluster *cluster,
                      const struct model_file *file, bool durable)
{
    if (durable)
        note_models_of(dirty, cluster, file);
    dirty->has_file_news =
        dirty->has_file_news || durable || file->state != MODEL_FILE_READY;
}

/* Whether the instance has files that are fetched, or waits for some. */
static bool needs_files(const struct cluster *cluster, const struct model_instance *instance)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    return instance->is_held || !model || model_source_is_hub((enum model_source)model->source);
}

void dirty_note(struct dirty *dirty, const struct cluster *cluster, enum kind kind,
                const void *record, bool durable, bool is_delete)
{
    if (kind == KIND_MODEL && durable) {
        id_set_add(&dirty->models, record_id(record));
        dirty->has_file_news = true;
    } else if (kind == KIND_MODEL_FILE) {
        note_file(dirty, cluster, record, durable);
    } else if (kind == KIND_INSTANCE) { /* that it is drained isn't stored, yet it matters */
        id_set_add(&dirty->models, ((const struct model_instance *)record)->model_id);
        dirty->has_room_news = dirty->has_room_news || is_delete;
        dirty->has_file_news = dirty->has_file_news || needs_files(cluster, record);
    } else if (kind == KIND_WORKER && durable) {
        dirty_note_worker(dirty, cluster, record_id(record));
        dirty->has_room_news = dirty->has_file_news = true;
    }
}

void dirty_note_all(struct dirty *dirty, const struct cluster *cluster)
{
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model)
        id_set_add(&dirty->models, model->id);
    dirty->has_room_news = dirty->has_file_news = true;
}

bool dirty_has_work(const struct dirty *dirty)
{
    return dirty->models.count > 0 || dirty->has_file_news ||
           (dirty->has_room_news && dirty_waits(dirty));
}

bool dirty_waits(const struct dirty *dirty)
{
    return dirty->has_unplaced || dirty->waiting.count > 0;
}

void dirty_fini(struct dirty *dirty)
{
    id_set_fini(&dirty->models);
    id_set_fini(&dirty->waiting);
}
