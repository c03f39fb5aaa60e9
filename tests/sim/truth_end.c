/* SPDX-License-Identifier: Apache-2.0 */
/* The last invariant: in the end all is as wanted. */
#include "domain/gang.h"
#include "domain/reason.h"
#include "sched/place.h"
#include "sim/world.h"

/* Whether an engine of that try serves as a rank of the instance, on the node of that worker. */
static bool rank_runs(const struct sim *sim, const struct model *model,
                      const struct model_instance *instance, int64_t worker_id, int64_t rank)
{
    const struct worker *worker = cluster_find(&sim->store.durable, KIND_WORKER, worker_id);
    for (size_t n = 0; worker && n < sim->node_count; n++) {
        const struct sim_machine *machine = &sim->nodes[n].machine;
        for (size_t i = 0; i < machine->engine_count; i++) {
            const struct sim_engine *engine = &machine->engines[i];
            if (engine->instance_id == instance->id && engine->what.rank == rank)
                return engine->is_serving && engine->what.generation == model->generation &&
                       strcmp(engine->what.settings, model->backend_parameters.items[0]) == 0 &&
                       strcmp(worker->worker_uuid, sim->nodes[n].name) == 0;
        }
    }
    return false;
}

static bool instance_runs(const struct sim *sim, const struct model *model,
                          const struct model_instance *instance)
{
    bool runs = instance->state == INSTANCE_RUNNING && !instance->is_draining &&
                !instance->replaces_id && instance->model_generation == model->generation &&
                rank_runs(sim, model, instance, instance->worker_id, 0);
    for (size_t i = 0; runs && i < instance->subordinate_worker_ids.count; i++)
        runs = rank_runs(sim, model, instance, instance->subordinate_worker_ids.items[i],
                         (int64_t)i + 1);
    return runs;
}

/* Devices that nobody holds on the workers that the model may have. */
static int64_t free_devices(const struct sim *sim, const struct model *model)
{
    int64_t count = 0;
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_WORKER, struct worker, worker) {
        if (place_labels_match(&model->worker_selector, &worker->labels))
            count += (int64_t)worker->device_indexes.count;
    }
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_INSTANCE, struct model_instance, instance) {
        struct gang gang = {0};
        if (instance_is_gang(instance) &&
            gang_read(instance->distributed_servers, &gang, NULL) == 0) {
            for (size_t i = 0; i < gang.rank_count; i++) {
                const struct worker *worker =
                    cluster_find(&sim->control.cluster, KIND_WORKER, gang.ranks[i].worker_id);
                if (worker && place_labels_match(&model->worker_selector, &worker->labels))
                    count -= (int64_t)gang.ranks[i].gpu_indexes.count;
            }
        } else {
            const struct worker *worker =
                cluster_find(&sim->control.cluster, KIND_WORKER, instance->worker_id);
            if (worker && place_labels_match(&model->worker_selector, &worker->labels))
                count -= (int64_t)instance->gpu_indexes.count;
        }
        gang_fini(&gang);
    }
    return count;
}

/* What wants more devices than are left may wait, with its reason. */
static bool waits_rightly(const struct sim *sim, const struct model *model,
                          const struct model_instance *instance)
{
    auto_fini(json_release) json_t *selector = NULL;
    if (instance->state != INSTANCE_PENDING || !model->gpu_selector ||
        instance->state_reason != REASON_NO_WORKER_FITS ||
        json_read(str_of(model->gpu_selector), &selector, NULL) < 0)
        return false;
    return free_devices(sim, model) < json_member_int(selector, "gpus_per_replica", 0);
}

static size_t count_engines(const struct sim *sim)
{
    size_t count = 0;
    for (size_t n = 0; n < sim->node_count; n++)
        for (size_t i = 0; i < sim->nodes[n].machine.engine_count; i++)
            count += sim->nodes[n].machine.engines[i].instance_id != 0;
    return count;
}

bool truth_is_converged(const struct sim *sim)
{
    const struct cluster *durable = &sim->store.durable;
    int64_t wanted = 0;
    size_t engines = 0;
    if (!sim->control.is_up || !list_is_empty(&sim->store.pending))
        return false;
    CLUSTER_FOR_EACH(durable, KIND_MODEL, struct model, model)
        wanted += model->replicas;
    CLUSTER_FOR_EACH(durable, KIND_INSTANCE, struct model_instance, instance) {
        const struct model *model = cluster_find(durable, KIND_MODEL, instance->model_id);
        if (waits_rightly(sim, model, instance))
            continue;
        if (!instance_runs(sim, model, instance))
            return false;
        engines += 1 + instance->subordinate_worker_ids.count;
    }
    return (int64_t)durable->tables[KIND_INSTANCE].count == wanted && count_engines(sim) == engines;
}

void truth_describe(struct sim *sim)
{
    const struct cluster *durable = &sim->store.durable;
    CLUSTER_FOR_EACH(durable, KIND_MODEL, struct model, model)
        trace_note(&sim->trace, "durable: model %s, %lld replicas, generation %lld", model->name,
                   (long long)model->replicas, (long long)model->generation);
    CLUSTER_FOR_EACH(durable, KIND_WORKER, struct worker, worker)
        trace_note(&sim->trace, "durable: worker %lld is %s, %s", (long long)worker->id,
                   worker->name, worker_state_name((enum worker_state)worker->state));
    CLUSTER_FOR_EACH(durable, KIND_INSTANCE, struct model_instance, instance)
        trace_note(&sim->trace, "durable: instance %lld of %s on %lld, %s, generation %lld: %s",
                   (long long)instance->id, instance->model_name, (long long)instance->worker_id,
                   instance_state_name((enum instance_state)instance->state),
                   (long long)instance->model_generation, instance->state_message);
    trace_note(&sim->trace, "%zu engines run", count_engines(sim));
}

