/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include "control/replicas.h"

/* Models whose turn it is in this pass: what changes during it makes work for the next. */
static struct id_set take_models(struct dirty *dirty)
{
    struct id_set models = dirty->models;
    dirty->models = (struct id_set){0};
    if (!dirty->has_room_news)
        return models;
    for (size_t i = 0; i < dirty->waiting.count; i++)
        id_set_add(&models, dirty->waiting.items[i]);
    id_set_fini(&dirty->waiting);
    dirty->has_room_news = false;
    return models;
}

/* Only room news can bring a place to those whose model isn't looked at in this pass. */
static void place_unplaced(struct pass *pass, const struct id_set *models, bool has_room_news)
{
    const struct index_bucket *bucket = number_index_find(&pass->cluster->instances_on_worker, 0);
    size_t count = bucket ? bucket->count : 0;
    /* Placing takes them out of the bucket. */
    auto_free void **unplaced = mem_alloc_array(count + 1, sizeof *unplaced);
    if (bucket)
        memcpy(unplaced, bucket->rows, count * sizeof *unplaced);
    for (size_t i = 0; i < count; i++) {
        const struct model_instance *instance = unplaced[i];
        if (has_room_news || id_set_has(models, instance->model_id))
            placing_place(&pass->placing, instance);
    }
    pass->dirty->has_unplaced = number_index_find(&pass->cluster->instances_on_worker, 0) != NULL;
}

void reconcile(struct cluster *cluster, const struct reconcile_env *env, struct dirty *dirty)
{
    enum lost_surge lost_surge = LOST_SURGE_UNKNOWN;
    struct pass pass = {.cluster = cluster,
                        .lost_surge = &lost_surge,
                        .env = env,
                        .dirty = dirty,
                        .placing = {.cluster = cluster, .env = env}};
    bool has_room_news = dirty->has_room_news;
    struct id_set models = take_models(dirty);
    for (size_t i = 0; i < models.count; i++) {
        id_set_remove(&dirty->waiting, models.items[i]);
        const struct model *model = cluster_find(cluster, KIND_MODEL, models.items[i]);
        if (model)
            replicas_step(&pass, model);
    }
    place_unplaced(&pass, &models, has_room_news || dirty->has_room_news);
    id_set_fini(&models);
    placing_fini(&pass.placing);
}
