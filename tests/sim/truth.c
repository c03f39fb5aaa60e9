/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/truth.h"

#include "control/lost.h"
#include "domain/gang.h"
#include "domain/reason.h"
#include "sched/place.h"
#include "sim/world.h"

static const struct model_instance *durable_instance(const struct sim *sim, int64_t id)
{
    return cluster_find(&sim->store.durable, KIND_INSTANCE, id);
}

static bool is_node(const struct sim_node *node, int64_t worker_id)
{
    const struct worker *worker =
        cluster_find(&node->sim->store.durable, KIND_WORKER, worker_id);
    return worker && strcmp(worker->worker_uuid, node->name) == 0;
}

/* Whether the instance is, by what is durable, this node's to run. */
static bool belongs_to(const struct sim_node *node, const struct model_instance *instance)
{
    if (!instance)
        return false;
    if (is_node(node, instance->worker_id))
        return true;
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        if (is_node(node, instance->subordinate_worker_ids.items[i]))
            return true;
    return false;
}

/* Whether that try of a gang was ever told to go. */
static bool has_gone(const struct sim *sim, int64_t instance_id, int64_t epoch)
{
    for (size_t i = 0; i < sim->truth.written_count; i++)
        if (sim->truth.written[i].id == instance_id)
            return sim->truth.written[i].epoch_that_went >= epoch;
    return true; /* control has started anew and the instance is gone by now */
}

/* ---- engines ---- */

/* What must be so when a process begins, besides that there is none yet. */
static void check_start(struct sim_node *node, const struct sim_engine *engine)
{
    struct sim *sim = node->sim;
    const struct desired_instance *wanted = desired_state_find(&node->desired, engine->instance_id);
    if (wanted && wanted->draining)
        trace_fail(&sim->trace, "what drains isn't started", "instance %lld is started on %s",
                   (long long)engine->instance_id, node->name);
    if (engine->what.rank_count > 1 && !has_gone(sim, engine->instance_id, engine->what.epoch))
        trace_fail(&sim->trace, "a gang starts when all are prepared",
                   "rank %lld of instance %lld is started on %s in epoch %lld, which didn't go",
                   (long long)engine->what.rank, (long long)engine->instance_id, node->name,
                   (long long)engine->what.epoch);
    for (size_t i = 0; i < node->machine.engine_count; i++)
        if (ports_overlap(&node->machine.engines[i].ports, &engine->ports))
            trace_fail(&sim->trace, "engines don't share ports",
                       "%s starts instance %lld on ports of instance %lld", node->name,
                       (long long)engine->instance_id,
                       (long long)node->machine.engines[i].instance_id);
}

void truth_engine_starts(struct sim_node *node, const struct sim_engine *engine)
{
    struct sim *sim = node->sim;
    for (size_t n = 0; n < sim->node_count; n++)
        for (size_t i = 0; i < sim->nodes[n].machine.engine_count; i++)
            if (sim->nodes[n].machine.engines[i].instance_id == engine->instance_id &&
                sim->nodes[n].machine.engines[i].what.rank == engine->what.rank)
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
    if (instance && instance->model_id != engine->what.model_id)
        trace_fail(&sim->trace, "an id means one thing",
                   "instance %lld is of model %lld and is started with model %lld",
                   (long long)instance->id, (long long)instance->model_id,
                   (long long)engine->what.model_id);
    check_start(node, engine);
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
        (struct truth_served){engine->instance_id, engine->what.generation};
}

/* Of a gang: whether the engine belongs to the try that goes on. */
static bool is_present_try(const struct model_instance *instance, const struct sim_engine *engine)
{
    struct gang gang = {0};
    if (!instance_is_gang(instance) || gang_read(instance->distributed_servers, &gang, NULL) < 0)
        return true;
    bool is_present = gang.epoch == engine->what.epoch;
    gang_fini(&gang);
    return is_present;
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
    if (engine->is_serving && belongs_to(node, instance) && !instance->is_draining &&
        instance->model_generation == engine->what.generation && is_present_try(instance, engine))
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
    written->worker_id = instance->worker_id;
    written->is_draining = instance->is_draining;
    struct gang gang = {0};
    if (instance_is_gang(instance) && gang_read(instance->distributed_servers, &gang, NULL) == 0 &&
        gang.go)
        written->epoch_that_went = gang.epoch;
    gang_fini(&gang);
    return before;
}

void truth_control_started(struct sim *sim)
{
    sim->truth.written_count = 0;
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_INSTANCE, struct model_instance, instance)
        note_written(&sim->truth, instance);
}

/* ---- replacing ---- */

void truth_heard(struct sim *sim, int64_t worker_id)
{
    struct truth *truth = &sim->truth;
    size_t i = 0;
    while (i < truth->contact_count && truth->contacts[i].worker_id != worker_id)
        i++;
    if (i == truth->contact_count) {
        truth->contacts =
            mem_resize(truth->contacts, (truth->contact_count + 1) * sizeof *truth->contacts);
        truth->contact_count++;
    }
    truth->contacts[i] = (struct truth_contact){worker_id, sim->events.now_ms};
}

static int64_t heard_ms(const struct sim *sim, int64_t worker_id)
{
    for (size_t i = 0; i < sim->truth.contact_count; i++)
        if (sim->truth.contacts[i].worker_id == worker_id)
            return sim->truth.contacts[i].heard_ms;
    return 0;
}

/* How many workers are silent that were heard last within a minute of that time. */
static size_t count_together(const struct sim *sim, int64_t at_ms)
{
    size_t count = 0;
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_WORKER, struct worker, worker) {
        int64_t apart_ms = heard_ms(sim, worker->id) - at_ms;
        count += worker->state == WORKER_NOT_READY && apart_ms >= 0 && apart_ms <= LOST_TOGETHER_MS;
    }
    return count;
}

/* A fresh instance replaces one of a worker that nobody hears of. */
static void check_giving_up(struct sim *sim, const struct model_instance *fresh,
                            const struct worker *worker)
{
    int64_t silent_ms = sim->events.now_ms - heard_ms(sim, worker->id);
    size_t together = count_together(sim, heard_ms(sim, worker->id));
    sim->tally->counts[TALLY_LOST_REPLACED]++;
    if (silent_ms < LOST_GRACE_MS)
        trace_fail(&sim->trace, "nothing is replaced before the grace",
                   "instance %lld replaces one on %s, silent for %lld ms", (long long)fresh->id,
                   worker->name, (long long)silent_ms);
    if (together >= 2 && together * 3 > sim->control.cluster.tables[KIND_WORKER].count)
        trace_fail(&sim->trace, "nothing is replaced when many are silent",
                   "instance %lld replaces one on %s, %zu workers fell silent together",
                   (long long)fresh->id, worker->name, together);
}

static void check_replacement(struct sim *sim, const struct model_instance *fresh)
{
    const struct cluster *cluster = &sim->control.cluster;
    const struct model_instance *old = cluster_find(cluster, KIND_INSTANCE, fresh->replaces_id);
    const struct model *model = cluster_find(cluster, KIND_MODEL, fresh->model_id);
    const struct worker *worker =
        old ? cluster_find(cluster, KIND_WORKER, old->worker_id) : NULL;
    sim->tally->counts[TALLY_SURGE]++;
    if (worker && !instance_is_gang(old) && worker->state == WORKER_NOT_READY &&
        !worker_maintenance(worker).drains && old->model_generation == model->generation)
        check_giving_up(sim, fresh, worker);
}

/* It serves and drains to take new settings: those that have them must have served with them. */
static void check_rolling(struct sim *sim, const struct model_instance *instance)
{
    const struct cluster *cluster = &sim->control.cluster;
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    CLUSTER_FOR_KEY(&cluster->instances_of_model, model->id, struct model_instance, other) {
        if (other->id != instance->id && other->worker_id && !other->is_draining &&
            other->model_generation == model->generation &&
            !has_served(&sim->truth, other->id, other->model_generation))
            trace_fail(&sim->trace, "settings roll one by one",
                       "instance %lld drains for generation %lld before instance %lld served it",
                       (long long)instance->id, (long long)model->generation,
                       (long long)other->id);
    }
}

void truth_instance_put(struct sim *sim, const struct model_instance *instance)
{
    bool is_new = cluster_find(&sim->store.durable, KIND_INSTANCE, instance->id) == NULL;
    int64_t went = written_as(&sim->truth, instance->id)->epoch_that_went;
    struct truth_written before = note_written(&sim->truth, instance);
    int64_t goes = written_as(&sim->truth, instance->id)->epoch_that_went;
    sim->tally->counts[TALLY_GANG_WENT] += goes > went;
    sim->tally->counts[TALLY_GANG_FAILED] +=
        before.state != instance->state && instance->state_reason == REASON_RANK_FAILED;
    if (is_new && instance->replaces_id && !before.generation)
        check_replacement(sim, instance);
    if (instance->is_draining && !before.is_draining &&
        instance->state_reason == REASON_NEW_SETTINGS)
        check_rolling(sim, instance);
}

static void check_replicas(struct sim *sim, const struct model *model)
{
    int64_t count = 0, surges = 0;
    CLUSTER_FOR_EACH(&sim->store.durable, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->model_id != model->id || instance->is_draining)
            continue;
        count += !instance->replaces_id;
        surges += instance->replaces_id != 0;
    }
    if (count > model->replicas || surges > 1)
        trace_fail(&sim->trace, "replicas and one surge",
                   "model %s has %lld instances and %lld surges, %lld are wanted", model->name,
                   (long long)count, (long long)surges, (long long)model->replicas);
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

/* ---- devices ---- */

struct held {
    int64_t worker_id, index;
};

static void hold(struct sim *sim, struct held **held, size_t *count, int64_t worker_id,
                 const struct int_list *indexes)
{
    for (size_t i = 0; i < indexes->count; i++) {
        for (size_t k = 0; k < *count; k++)
            if ((*held)[k].worker_id == worker_id && (*held)[k].index == indexes->items[i])
                trace_fail(&sim->trace, "a device holds one instance",
                           "device %lld of worker %lld is given out twice",
                           (long long)indexes->items[i], (long long)worker_id);
        *held = mem_resize(*held, (*count + 1) * sizeof **held);
        (*held)[(*count)++] = (struct held){worker_id, indexes->items[i]};
    }
}

static void check_devices(struct sim *sim)
{
    struct held *held = NULL;
    size_t count = 0;
    CLUSTER_FOR_EACH(&sim->store.durable, KIND_INSTANCE, struct model_instance, instance) {
        hold(sim, &held, &count, instance->worker_id, &instance->gpu_indexes);
        struct gang gang = {0};
        if (instance_is_gang(instance) &&
            gang_read(instance->distributed_servers, &gang, NULL) == 0)
            for (size_t i = 1; i < gang.rank_count; i++)
                hold(sim, &held, &count, gang.ranks[i].worker_id, &gang.ranks[i].gpu_indexes);
        gang_fini(&gang);
    }
    free(held);
}

void truth_check_durable(struct sim *sim)
{
    check_devices(sim);
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

void truth_fini(struct truth *truth)
{
    free(truth->served);
    free(truth->written);
    free(truth->contacts);
    *truth = (struct truth){0};
}
