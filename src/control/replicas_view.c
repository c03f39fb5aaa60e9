/* SPDX-License-Identifier: Apache-2.0 */
/* What the instances of a model are, for the steps in replicas.c. Changes nothing. */
#include "control/replicas.h"
#include "domain/reason.h"
#include "sched/score.h"

/* Iterates over the model's instances in the order of their making. */
#define FOR_EACH_OF(pass, model, var)                                                              \
    CLUSTER_FOR_KEY(&(pass)->cluster->instances_of_model, (model)->id, struct model_instance, var)

static bool is_lost(const struct pass *pass, int64_t worker_id)
{
    const struct int_list *lost = pass->env->lost;
    for (size_t i = 0; lost && i < lost->count; i++)
        if (lost->items[i] == worker_id)
            return true;
    return false;
}

static enum leaving leaving_worker(const struct pass *pass, int64_t worker_id)
{
    if (is_lost(pass, worker_id))
        return LEAVING_LOST;
    const struct worker *worker = cluster_find(pass->cluster, KIND_WORKER, worker_id);
    return worker && worker_maintenance(worker).drains ? LEAVING_MAINTENANCE : LEAVING_NOT;
}

enum leaving replicas_leaving(const struct pass *pass, const struct model *model,
                              const struct model_instance *instance)
{
    if (!instance->worker_id)
        return LEAVING_NOT;
    enum leaving worst = instance->model_generation == model->generation ? LEAVING_NOT
                                                                         : LEAVING_OUTDATED;
    enum leaving of_worker = leaving_worker(pass, instance->worker_id);
    worst = of_worker > worst ? of_worker : worst;
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++) {
        of_worker = leaving_worker(pass, instance->subordinate_worker_ids.items[i]);
        worst = of_worker > worst ? of_worker : worst;
    }
    return worst;
}

struct model_instance *replicas_replacement(const struct pass *pass,
                                            const struct model_instance *old)
{
    CLUSTER_FOR_KEY(&pass->cluster->instances_of_model, old->model_id, struct model_instance, one) {
        if (one->replaces_id == old->id)
            return one;
    }
    return NULL;
}

struct model_instance *replicas_surge(const struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        if (one->replaces_id)
            return one;
    }
    return NULL;
}

bool replicas_comes_back(const struct model_instance *instance)
{
    return instance->is_draining && instance->state_reason == REASON_NEW_SETTINGS;
}

int64_t replicas_count(const struct pass *pass, const struct model *model)
{
    int64_t count = 0;
    FOR_EACH_OF(pass, model, one)
        count += !one->replaces_id && (!one->is_draining || replicas_comes_back(one));
    return count;
}

bool replicas_new_ones_serve(const struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        /* One that finds no room says nothing about the settings. */
        if (one->model_generation == model->generation && !one->is_draining && one->worker_id &&
            one->state != INSTANCE_RUNNING)
            return false;
    }
    return true;
}

int64_t replicas_ready(const struct pass *pass, const struct model *model)
{
    int64_t ready = 0;
    FOR_EACH_OF(pass, model, one)
        ready += one->state == INSTANCE_RUNNING && !one->is_draining;
    return ready;
}

bool replicas_drains(const struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        if (one->is_draining)
            return true;
    }
    return false;
}

static bool find_lost_surge(const struct pass *pass)
{
    CLUSTER_FOR_EACH(pass->cluster, KIND_INSTANCE, struct model_instance, one) {
        const struct model_instance *old =
            one->replaces_id ? cluster_find(pass->cluster, KIND_INSTANCE, one->replaces_id) : NULL;
        /* One that fails again and again must not hold up all others. */
        if (old && is_lost(pass, old->worker_id) && one->failures < RECONCILE_MOVE_FAILURES)
            return true;
    }
    return false;
}

bool replicas_lost_surge(const struct pass *pass)
{
    if (*pass->lost_surge == LOST_SURGE_UNKNOWN)
        *pass->lost_surge = find_lost_surge(pass) ? LOST_SURGE_RUNS : LOST_SURGE_NONE;
    return *pass->lost_surge == LOST_SURGE_RUNS;
}

/* ---- scores ---- */

static enum score_status status_of(const struct pass *pass, const struct model_instance *instance)
{
    const struct worker *worker = cluster_find(pass->cluster, KIND_WORKER, instance->worker_id);
    if (!worker || worker->state == WORKER_NOT_READY || instance->state == INSTANCE_ERROR)
        return SCORE_DOWN;
    bool is_up = worker->state == WORKER_READY && instance->state == INSTANCE_RUNNING;
    return is_up ? SCORE_UP : SCORE_UNSURE;
}

/* Percent of the layers on devices; 0 when not known. */
static double offload_of(const struct model_instance *instance)
{
    auto_fini(json_release) json_t *claim = NULL;
    const char *text = instance->computed_resource_claim;
    if (!text || json_read(str_of(text), &claim, NULL) < 0)
        return 0;
    double layers = (double)json_member_int(claim, "offload_layers", 0);
    double total = (double)json_member_int(claim, "total_layers", 0);
    return total > 0 ? 100 * layers / total : 0;
}

static double placement_of(const struct pass *pass, const struct model *model,
                           const struct model_instance *instance)
{
    const struct worker *worker = cluster_find(pass->cluster, KIND_WORKER, instance->worker_id);
    if (!worker)
        return 0;
    size_t devices = worker->device_indexes.count;
    auto_free unsigned *same_on = mem_alloc_array(devices + 1, sizeof *same_on);
    auto_free unsigned *others_on = mem_alloc_array(devices + 1, sizeof *others_on);
    struct score_worker seen = {.device_count = instance->gpu_indexes.count ? devices : 0,
                                .same_on = same_on,
                                .others_on = others_on};
    CLUSTER_FOR_KEY(&pass->cluster->instances_on_worker, worker->id, struct model_instance, one) {
        if (one->id == instance->id)
            continue;
        bool is_same = one->model_id == model->id;
        seen.same += is_same;
        seen.others += !is_same;
        for (size_t i = 0; i < one->gpu_indexes.count; i++)
            for (size_t k = 0; k < devices; k++)
                if (worker->device_indexes.items[k] == one->gpu_indexes.items[i])
                    (is_same ? same_on : others_on)[k]++;
    }
    return score_spread(&seen);
}

struct model_instance *replicas_least_useful(const struct pass *pass, const struct model *model)
{
    struct model_instance *worst = NULL;
    double lowest = 0;
    FOR_EACH_OF(pass, model, one) {
        if (one->replaces_id || (one->is_draining && !replicas_comes_back(one)))
            continue;
        double score = score_scale_down(status_of(pass, one), offload_of(one),
                                        placement_of(pass, model, one));
        /* Among equals the newest goes: `<=` keeps the last one in the order of ids. */
        if (!worst || score <= lowest) {
            worst = one;
            lowest = score;
        }
    }
    return worst;
}
