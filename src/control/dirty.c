/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dirty.h"

void dirty_note_worker(struct dirty *dirty, const struct cluster *cluster, int64_t worker_id)
{
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker_id, struct model_instance, instance)
        id_set_add(&dirty->models, instance->model_id);
}

void dirty_note(struct dirty *dirty, const struct cluster *cluster, enum kind kind,
                const void *record, bool durable, bool is_delete)
{
    if (kind == KIND_MODEL && durable) {
        id_set_add(&dirty->models, record_id(record));
    } else if (kind == KIND_INSTANCE) { /* that it is drained isn't stored, yet it matters */
        id_set_add(&dirty->models, ((const struct model_instance *)record)->model_id);
        dirty->has_room_news = dirty->has_room_news || is_delete;
    } else if (kind == KIND_WORKER && durable) {
        dirty_note_worker(dirty, cluster, record_id(record));
        dirty->has_room_news = true;
    }
}

void dirty_note_all(struct dirty *dirty, const struct cluster *cluster)
{
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model)
        id_set_add(&dirty->models, model->id);
    dirty->has_room_news = true;
}

bool dirty_has_work(const struct dirty *dirty)
{
    return dirty->models.count > 0 || (dirty->has_room_news && dirty_waits(dirty));
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
