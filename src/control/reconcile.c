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

struct waiting {
    const struct model_instance *instance;
    int64_t priority;
};

/* By falling priority, then by age; ids grow with time. */
static int compare_waiting(const void *one, const void *other)
{
    const struct waiting *a = one, *b = other;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    int64_t id_of_a = a->instance->id, id_of_b = b->instance->id;
    return (id_of_a > id_of_b) - (id_of_a < id_of_b);
}

/* Those whose model is looked at, and with room news all; in the order in which they are placed. */
static size_t list_waiting(const struct pass *pass, const struct id_set *models, bool has_room_news,
                           struct waiting *waiting)
{
    size_t count = 0;
    CLUSTER_FOR_KEY(&pass->cluster->instances_on_worker, 0, struct model_instance, instance) {
        const struct model *model = cluster_find(pass->cluster, KIND_MODEL, instance->model_id);
        if (has_room_news || id_set_has(models, instance->model_id))
            waiting[count++] = (struct waiting){instance, model->priority};
    }
    qsort(waiting, count, sizeof *waiting, compare_waiting);
    return count;
}

/*
 * Whether what the first one in the queue waits for is kept from this one: always if it has a lower
 * priority, else for a while, so that many small ones don't keep a large one out for ever.
 */
static bool is_kept_from(const struct pass *pass, const struct waiting *first,
                         const struct waiting *next)
{
    if (next->instance->model_id == first->instance->model_id)
        return false;
    return next->priority < first->priority ||
           pass->env->now_ms - first->instance->created_at < RECONCILE_RESERVE_MS;
}

/*
 * Only room news can bring a place to those whose model isn't looked at in this pass. Those behind
 * the first one that finds no place get what it doesn't wait for.
 */
static void place_unplaced(struct pass *pass, const struct id_set *models, bool has_room_news)
{
    const struct index_bucket *bucket = number_index_find(&pass->cluster->instances_on_worker, 0);
    const size_t most = bucket ? bucket->count : 0;
    /* Placing takes them out of the bucket. */
    auto_free struct waiting *waiting = mem_alloc_array(most + 1, sizeof *waiting);
    const size_t count = list_waiting(pass, models, has_room_news, waiting);
    size_t first = SIZE_MAX, placed = 0;
    bool is_kept = false;
    for (size_t i = 0; i < count && placed < RECONCILE_PLACED_MAX; i++) {
        if (first != SIZE_MAX && !is_kept && is_kept_from(pass, &waiting[first], &waiting[i])) {
            placing_keep(&pass->placing, waiting[first].instance);
            is_kept = true;
        }
        bool is_placed = placing_place(&pass->placing, waiting[i].instance);
        placed += is_placed;
        if (!is_placed && first == SIZE_MAX)
            first = i;
    }
    if (placed == RECONCILE_PLACED_MAX)
        pass->dirty->has_room_news = true; /* to go on with the next pass */
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
