/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include "control/file_pass.h"
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

enum { HEADS_MAX = 8 }; /* for which is looked in a pass what they wait for */

struct waiting {
    const struct model_instance *instance;
    int64_t priority;
    bool is_due; /* a place is looked for in this pass */
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

/*
 * All in the order in which they are placed. Those are due whose model is looked at, and with room
 * news all of them: only that can bring a place to the others.
 */
static size_t list_waiting(const struct pass *pass, const struct id_set *models, bool has_room_news,
                           struct waiting *waiting)
{
    size_t count = 0;
    CLUSTER_FOR_KEY(&pass->cluster->instances_on_worker, 0, struct model_instance, instance) {
        const struct model *model = cluster_find(pass->cluster, KIND_MODEL, instance->model_id);
        bool is_due = has_room_news || id_set_has(models, instance->model_id);
        waiting[count++] = (struct waiting){instance, model->priority, is_due};
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

/* Who waits in front of the others. */
struct head {
    const struct waiting *first; /* NULL: nobody yet */
    bool is_kept; /* what it waits for */
    unsigned tries_left;
};

/* One that could be placed nowhere, whatever came free, keeps nothing and is passed over. */
static void keep_for_head(struct pass *pass, struct head *head, const struct waiting *next)
{
    if (!head->first || head->is_kept || head->tries_left == 0 ||
        !is_kept_from(pass, head->first, next))
        return;
    head->is_kept = placing_keep(&pass->placing, head->first->instance);
    head->tries_left--;
    if (!head->is_kept)
        head->first = NULL;
}

/* Those behind the first one that finds no place get what it doesn't wait for. */
static void place_unplaced(struct pass *pass, const struct id_set *models, bool has_room_news)
{
    const struct index_bucket *bucket = number_index_find(&pass->cluster->instances_on_worker, 0);
    const size_t most = bucket ? bucket->count : 0;
    /* Placing takes them out of the bucket. */
    auto_free struct waiting *waiting = mem_alloc_array(most + 1, sizeof *waiting);
    const size_t count = list_waiting(pass, models, has_room_news, waiting);
    struct head head = {.tries_left = HEADS_MAX};
    size_t placed = 0;
    for (size_t i = 0; i < count && placed < RECONCILE_PLACED_MAX; i++) {
        bool is_placed = false;
        if (waiting[i].is_due) {
            keep_for_head(pass, &head, &waiting[i]);
            is_placed = placing_place(&pass->placing, waiting[i].instance);
            placed += is_placed;
        }
        if (!is_placed && !head.first)
            head.first = &waiting[i];
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
    if (dirty->has_file_news) {
        dirty->has_file_news = false;
        file_pass(cluster, env->now_ms);
    }
    id_set_fini(&models);
    placing_fini(&pass.placing);
}
