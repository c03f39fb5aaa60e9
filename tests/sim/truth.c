/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/truth.h"

#include "sched/place.h"
#include "sim/world.h"

static const struct model_instance *durable_instance(const struct sim *sim, int64_t id)
{
    return cluster_find(&sim->store.durable, KIND_INSTANCE, id);
}

/* Whether the instance is, by what is durable, this node's to run. */
static bool belongs_to(const struct sim_node *node, const struct model_instance *instance)
{
    if (!instance)
        return false;
    const struct worker *worker =
        cluster_find(&node->sim->store.durable, KIND_WORKER, instance->worker_id);
    return worker && strcmp(worker->worker_uuid, node->name) == 0;
}

/* ---- engines ---- */

void truth_engine_starts(struct sim_node *node, const struct sim_engine *engine)
{
    struct sim *sim = node->sim;
    for (size_t n = 0; n < sim->node_count; n++)
        for (size_t i = 0; i < sim->nodes[n].machine.engine_count; i++)
            if (sim->nodes[n].machine.engines[i].instance_id == engine->instance_id)
                trace_fail(&sim->trace, "one engine an instance",
                           "instance %lld runs on %s and is started on %s",
                           (long long)engine->instance_id, sim->nodes[n].name, node->name);
    if (engine->instance_id > sim->store.durable.tables[KIND_INSTANCE].last_id)
        trace_fail(&sim->trace, "only what is durable is told",
                   "instance %lld is started and was never durable",
                   (long long)engine->instance_id);
    if (!machine_record(&node->machine, engine->instance_id))
        trace_fail(&sim->trace, "no engine without a record",
                   "instance %lld is started on %s, which has no record of it",
                   (long long)engine->instance_id, node->name);
    const struct model_instance *instance = durable_instance(sim, engine->instance_id);
    if (instance && instance->model_id != engine->model_id)
        trace_fail(&sim->trace, "an id means one thing",
                   "instance %lld is of model %lld and is started with model %lld",
                   (long long)instance->id, (long long)instance->model_id,
                   (long long)engine->model_id);
}

static bool has_served(const struct truth *truth, int64_t instance_id, int64_t generation)
{
    for (size_t i = 0; i < truth->served_count; i++)
        if (truth->served[i].instance_id == instance_id &&
            truth->served[i].generation == generation)
            return true;
    return false;
}

void truth_engine_serves(struct sim *sim, const struct sim_engine *engine)
{
    struct truth *truth = &sim->truth;
    truth->served = mem_resize(truth->served, (truth->served_count + 1) * sizeof *truth->served);
    truth->served[truth->served_count++] =
        (struct truth_served){engine->instance_id, engine->generation};
}

void truth_engine_stops(struct sim_node *node, int64_t instance_id, const struct sim_engine *engine)
{
    struct sim *sim = node->sim;
    trace_note(&sim->trace, "%s: engine of instance %lld is told to stop", node->name,
               (long long)engine->instance_id);
    if (engine->instance_id != instance_id)
        trace_fail(&sim->trace, "foreign processes are left alone",
                   "%s stops pid %lld for instance %lld; it is of instance %lld", node->name,
                   (long long)engine->pid, (long long)instance_id, (long long)engine->instance_id);
    const struct model_instance *instance = durable_instance(sim, instance_id);
    if (engine->is_serving && belongs_to(node, instance) &&
        instance->model_generation == engine->generation)
        trace_fail(&sim->trace, "healthy engines are left alone",
                   "%s stops the serving engine of instance %lld, which is wanted there",
                   node->name, (long long)instance_id);
}

/* ---- control's records ---- */

static struct truth_written *written_as(struct truth *truth, int64_t id)
{
    for (size_t i = 0; i < truth->written_count; i++)
        if (truth->written[i].id == id)
            return &truth->written[i];
    truth->written =
        mem_resize(truth->written, (truth->written_count + 1) * sizeof *truth->written);
    struct truth_written *written = &truth->written[truth->written_count++];
    *written = (struct truth_written){.id = id};
    return written;
}

/* Takes the new state; returns the one before. */
static struct truth_written note_written(struct truth *truth, const struct model_instance *instance)
{
    struct truth_written *written = written_as(truth, instance->id);
    struct truth_written before = *written;
    written->generation = instance->model_generation;
    written->state = instance->state;
    return before;
}

void truth_control_started(struct sim *sim)
{
    sim->truth.written_count = 0;
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_INSTANCE, struct model_instance, instance)
        note_written(&sim->truth, instance);
}

void truth_instance_put(struct sim *sim, const struct model_instance *instance)
{
    struct truth_written before = note_written(&sim->truth, instance);
    if (before.state != INSTANCE_RUNNING || before.generation == instance->model_generation)
        return;
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_INSTANCE, struct model_instance, other) {
        if (other->model_id == instance->model_id && other->id != instance->id &&
            other->model_generation == instance->model_generation &&
            !has_served(&sim->truth, other->id, other->model_generation))
            trace_fail(&sim->trace, "settings roll one by one",
                       "instance %lld takes generation %lld before instance %lld has served it",
                       (long long)instance->id, (long long)instance->model_generation,
                       (long long)other->id);
    }
}

static void check_replicas(struct sim *sim, const struct model *model)
{
    int64_t count = 0;
    CLUSTER_FOR_EACH(&sim->store.durable, KIND_INSTANCE, struct model_instance, instance)
        count += instance->model_id == model->id;
    if (count > model->replicas)
        trace_fail(&sim->trace, "replicas", "model %s has %lld instances, %lld are wanted",
                   model->name, (long long)count, (long long)model->replicas);
}

static void check_instance(struct sim *sim, const struct model_instance *instance)
{
    const struct cluster *durable = &sim->store.durable;
    const struct model *model = cluster_find(durable, KIND_MODEL, instance->model_id);
    const struct worker *worker = cluster_find(durable, KIND_WORKER, instance->worker_id);
    if (!model) {
        trace_fail(&sim->trace, "instances have models", "instance %lld has none",
                   (long long)instance->id);
        return;
    }
    if (!worker || instance->model_generation != model->generation)
        return;
    if (!place_labels_match(&model->worker_selector, &worker->labels))
        trace_fail(&sim->trace, "placed where the selector allows",
                   "instance %lld of model %s is on worker %s", (long long)instance->id,
                   model->name, worker->name);
}

void truth_check_durable(struct sim *sim)
{
    CLUSTER_FOR_EACH(&sim->store.durable, KIND_MODEL, struct model, model)
        check_replicas(sim, model);
    CLUSTER_FOR_EACH(&sim->store.durable, KIND_INSTANCE, struct model_instance, instance)
        check_instance(sim, instance);
}

/* ---- time ---- */

/* Contact counts from the first desired state of an open stream, and anew after a partition. */
static void update_contact(struct sim_node *node)
{
    int64_t now_ms = node->sim->events.now_ms;
    if (node->contact_since_ms && !net_is_open(node, node->stream))
        node->contact_since_ms = now_ms;
}

static void check_deleted(struct sim_node *node, struct sim_engine *engine)
{
    struct sim *sim = node->sim;
    int64_t now_ms = sim->events.now_ms;
    if (!engine->instance_id || belongs_to(node, durable_instance(sim, engine->instance_id))) {
        engine->gone_since_ms = 0;
        return;
    }
    if (!engine->gone_since_ms)
        engine->gone_since_ms = now_ms;
    int64_t since_ms = engine->gone_since_ms > node->contact_since_ms ? engine->gone_since_ms
                                                                      : node->contact_since_ms;
    if (node->contact_since_ms && now_ms - since_ms > TRUTH_DELETED_ENGINE_MS)
        trace_fail(&sim->trace, "engines of deleted instances end",
                   "%s still runs instance %lld, which is gone for %lld ms", node->name,
                   (long long)engine->instance_id, (long long)(now_ms - engine->gone_since_ms));
}

void truth_tick(struct sim *sim)
{
    for (size_t n = 0; n < sim->node_count; n++) {
        struct sim_node *node = &sim->nodes[n];
        update_contact(node);
        for (size_t i = 0; i < node->machine.engine_count; i++)
            check_deleted(node, &node->machine.engines[i]);
    }
}

/* ---- the end ---- */

static bool instance_runs(const struct sim *sim, const struct model *model,
                          const struct model_instance *instance)
{
    for (size_t n = 0; n < sim->node_count; n++) {
        const struct sim_machine *machine = &sim->nodes[n].machine;
        for (size_t i = 0; i < machine->engine_count; i++) {
            const struct sim_engine *engine = &machine->engines[i];
            if (engine->instance_id == instance->id)
                return engine->is_serving && engine->generation == model->generation &&
                       strcmp(engine->settings, model->backend_parameters.items[0]) == 0 &&
                       belongs_to(&sim->nodes[n], instance);
        }
    }
    return false;
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
    if (!sim->control.is_up || !list_is_empty(&sim->store.pending))
        return false;
    CLUSTER_FOR_EACH(durable, KIND_MODEL, struct model, model)
        wanted += model->replicas;
    if ((int64_t)durable->tables[KIND_INSTANCE].count != wanted ||
        count_engines(sim) != (size_t)wanted)
        return false;
    CLUSTER_FOR_EACH(durable, KIND_INSTANCE, struct model_instance, instance) {
        const struct model *model = cluster_find(durable, KIND_MODEL, instance->model_id);
        if (instance->state != INSTANCE_RUNNING ||
            instance->model_generation != model->generation || !instance_runs(sim, model, instance))
            return false;
    }
    return true;
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

void truth_fini(struct truth *truth)
{
    free(truth->served);
    free(truth->written);
    *truth = (struct truth){0};
}
