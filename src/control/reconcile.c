/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include "sched/place.h"

#include <assert.h>

/* ---- replicas ---- */

/* How much is lost when an instance in this state goes; the least useful goes first. */
static int usefulness(const struct model_instance *instance)
{
    switch ((enum instance_state)instance->state) {
    case INSTANCE_ERROR:
        return 0;
    case INSTANCE_PENDING:
    case INSTANCE_ANALYZING:
        return 1;
    case INSTANCE_UNREACHABLE:
        return 2;
    case INSTANCE_SCHEDULED:
    case INSTANCE_INITIALIZING:
        return 3;
    case INSTANCE_DOWNLOADING:
        return 4;
    case INSTANCE_STARTING:
        return 5;
    case INSTANCE_RUNNING:
        return 6;
    case INSTANCE_STATE_COUNT:
        break;
    }
    return 0;
}

static struct model_instance *least_useful(struct cluster *cluster, const struct model *model)
{
    struct model_instance *worst = NULL;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->model_id != model->id)
            continue;
        /* Among equals the newest goes: `<=` keeps the last one in the order of ids. */
        if (!worst || usefulness(instance) <= usefulness(worst))
            worst = instance;
    }
    return worst;
}

static void add_instance(struct cluster *cluster, const struct model *model,
                         const struct reconcile_env *env)
{
    struct model_instance fresh = {0};
    record_init(&model_instance_type, &fresh);
    do {
        auto_free char *suffix = env->make_suffix(env->ctx);
        free(fresh.name);
        fresh.name = mem_printf("%s-%s", model->name, suffix);
    } while (cluster_instance_by_name(cluster, fresh.name));
    fresh.model_id = model->id;
    fresh.model_generation = model->generation;
    mem_replace(&fresh.model_name, model->name);
    mem_replace(&fresh.backend, model->backend);
    mem_replace(&fresh.backend_version, model->backend_version);
    fresh.state = INSTANCE_PENDING;
    cluster_put(cluster, KIND_INSTANCE, &fresh, env->now_ms);
}

static int64_t count_instances(const struct cluster *cluster, const struct model *model)
{
    int64_t count = 0;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance)
        count += instance->model_id == model->id;
    return count;
}

static void match_replicas(struct cluster *cluster, const struct model *model,
                           const struct reconcile_env *env)
{
    int64_t count = count_instances(cluster, model);
    for (; count < model->replicas; count++)
        add_instance(cluster, model, env);
    for (; count > model->replicas; count--)
        cluster_delete(cluster, KIND_INSTANCE, least_useful(cluster, model)->id);
}

static void update_ready_replicas(struct cluster *cluster, const struct model *model,
                                  const struct reconcile_env *env)
{
    int64_t ready = 0;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance)
        ready += instance->model_id == model->id && instance->state == INSTANCE_RUNNING;
    if (ready == model->ready_replicas)
        return;
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.ready_replicas = ready;
    cluster_put(cluster, KIND_MODEL, &copy, env->now_ms);
}

/* ---- new settings ---- */

/*
 * Lets one instance at a time take the model's new settings, and the next only when those that have
 * them run: a bad setting then costs one replica and not all. Instances that don't serve anyway
 * follow at once.
 */
static void roll_generation(struct cluster *cluster, const struct model *model,
                            const struct reconcile_env *env)
{
    bool may_take_serving = true;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, current) {
        if (current->model_id == model->id && current->model_generation == model->generation &&
            current->state != INSTANCE_RUNNING)
            may_take_serving = false;
    }
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, old) {
        if (old->model_id != model->id || old->model_generation == model->generation)
            continue;
        bool serves = old->state == INSTANCE_RUNNING;
        if (serves && !may_take_serving)
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, old);
        copy.model_generation = model->generation;
        mem_replace(&copy.backend, model->backend);
        mem_replace(&copy.backend_version, model->backend_version);
        if (serves) {
            copy.state = INSTANCE_SCHEDULED;
            mem_replace(&copy.state_message, "restarting with the model's new settings");
            may_take_serving = false;
        }
        cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
    }
}

/* ---- placement ---- */

/* A number at object.key of a small JSON text, or 0. */
static uint64_t number_in(const char *json, const char *object, const char *key)
{
    auto_fini(json_release) json_t *root = NULL;
    if (!json || json_read(str_of(json), &root, NULL) < 0)
        return 0;
    const json_t *holder = object ? json_object_get(root, object) : root;
    int64_t value = json_member_int(holder, key, 0);
    return value > 0 ? (uint64_t)value : 0;
}

static uint64_t claimed_ram(const struct model_instance *instance)
{
    return number_in(instance->computed_resource_claim, NULL, "ram");
}

/* What one worker looks like to placement. */
static struct place_worker view_worker(const struct cluster *cluster, const struct worker *worker,
                                       const struct reconcile_env *env)
{
    struct place_worker view = {
        .id = worker->id,
        .name = worker->name,
        .labels = &worker->labels,
        .is_ready = worker->state == WORKER_READY,
        .ram_total_bytes = number_in(worker->status, "memory", "total"),
        .ram_reserved_bytes = env->reserved_ram_bytes,
    };
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->worker_id != worker->id)
            continue;
        view.instance_count++;
        view.ram_claimed_bytes += claimed_ram(instance);
    }
    return view;
}

/* The largest claim that a worker has measured for an instance of this model; 0 when none has. */
static uint64_t known_claim(const struct cluster *cluster, int64_t model_id)
{
    uint64_t claim = 0;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        uint64_t ram = instance->model_id == model_id ? claimed_ram(instance) : 0;
        claim = ram > claim ? ram : claim;
    }
    return claim;
}

static void assign(struct model_instance *copy, const struct worker *worker)
{
    copy->worker_id = worker->id;
    mem_replace(&copy->worker_name, worker->name);
    mem_replace(&copy->worker_ip, worker->ip);
    copy->state = INSTANCE_SCHEDULED;
    mem_replace(&copy->state_message, NULL);
}

static void place_instance(struct cluster *cluster, const struct model_instance *instance,
                           struct place_worker *workers, size_t count,
                           const struct reconcile_env *env)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    assert(model);
    struct place_request request = {
        .selector = &model->worker_selector,
        .ram_bytes = known_claim(cluster, model->id),
    };
    struct buf reasons = {0};
    int chosen = place(&request, workers, count, &reasons);
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    if (chosen >= 0) {
        assign(&copy, cluster_find(cluster, KIND_WORKER, workers[chosen].id));
        workers[chosen].instance_count++;
        workers[chosen].ram_claimed_bytes += request.ram_bytes;
    } else {
        auto_free char *why = count == 0 ? mem_strdup("no worker has joined yet")
                                         : mem_printf("no worker fits: %s", reasons.ptr);
        mem_replace(&copy.state_message, why);
    }
    cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
    buf_fini(&reasons);
}

static bool wants_worker(const struct model_instance *instance)
{
    return instance->worker_id == 0;
}

static bool has_pending(const struct cluster *cluster)
{
    bool any = false;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance)
        any = any || wants_worker(instance);
    return any;
}

static void place_pending(struct cluster *cluster, const struct reconcile_env *env)
{
    const struct table *table = &cluster->tables[KIND_WORKER];
    auto_free struct place_worker *views = mem_alloc_array(table->count, sizeof *views);
    for (size_t i = 0; i < table->count; i++)
        views[i] = view_worker(cluster, table->rows[i], env);
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, pending) {
        if (wants_worker(pending))
            place_instance(cluster, pending, views, table->count, env);
    }
}

/* An instance whose worker was deleted starts over. */
static void release_from_removed_workers(struct cluster *cluster, const struct reconcile_env *env)
{
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (!instance->worker_id || cluster_find(cluster, KIND_WORKER, instance->worker_id))
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        copy.worker_id = copy.pid = copy.port = 0;
        copy.state = INSTANCE_PENDING;
        int_list_fini(&copy.ports);
        mem_replace(&copy.worker_name, NULL);
        mem_replace(&copy.worker_ip, NULL);
        mem_replace(&copy.state_message, "its worker was removed");
        cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
    }
}

bool reconcile(struct cluster *cluster, const struct reconcile_env *env)
{
    release_from_removed_workers(cluster, env);
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        match_replicas(cluster, model, env);
        roll_generation(cluster, model, env);
        update_ready_replicas(cluster, model, env);
    }
    if (!has_pending(cluster))
        return false;
    place_pending(cluster, env);
    return has_pending(cluster);
}
