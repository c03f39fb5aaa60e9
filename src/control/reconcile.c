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

/* Whether every instance that has the model's new settings serves with them. */
static bool new_ones_serve(const struct cluster *cluster, const struct model *model)
{
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->model_id == model->id && instance->model_generation == model->generation &&
            instance->state != INSTANCE_RUNNING)
            return false;
    }
    return true;
}

/*
 * The instance that shall take the model's new settings next, or NULL. Those that don't serve
 * anyway come first; then one at a time, and only when all that have the new settings run: a bad
 * setting costs one replica and not all. One that is out of sight may well serve: it waits for its
 * worker.
 */
static const struct model_instance *next_to_follow(const struct cluster *cluster,
                                                   const struct model *model)
{
    const struct model_instance *serving = NULL;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, old) {
        if (old->model_id != model->id || old->model_generation == model->generation ||
            old->state == INSTANCE_UNREACHABLE)
            continue;
        if (old->state != INSTANCE_RUNNING)
            return old;
        if (!serving)
            serving = old;
    }
    return serving && new_ones_serve(cluster, model) ? serving : NULL;
}

/* Whether the model's selector, which may be new, still allows the instance's worker. */
static bool may_stay(const struct cluster *cluster, const struct model *model,
                     const struct model_instance *instance)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, instance->worker_id);
    return !worker || place_labels_match(&model->worker_selector, &worker->labels);
}

static void follow(struct cluster *cluster, const struct model *model,
                   const struct model_instance *old, const struct reconcile_env *env)
{
    if (!may_stay(cluster, model, old)) {
        cluster_delete(cluster, KIND_INSTANCE, old->id);
        add_instance(cluster, model, env);
        return;
    }
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, old);
    copy.model_generation = model->generation;
    mem_replace(&copy.backend, model->backend);
    mem_replace(&copy.backend_version, model->backend_version);
    if (old->state == INSTANCE_RUNNING) {
        copy.state = INSTANCE_SCHEDULED;
        mem_replace(&copy.state_message, "restarting with the model's new settings");
    }
    cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
}

static void roll_generation(struct cluster *cluster, const struct model *model,
                            const struct reconcile_env *env)
{
    const struct model_instance *old;
    while ((old = next_to_follow(cluster, model)))
        follow(cluster, model, old, env);
}

/* ---- placement ---- */

/* Main memory that an instance's worker has measured for it, or 0. */
static uint64_t claimed_ram(const struct model_instance *instance)
{
    auto_fini(json_release) json_t *claim = NULL;
    const char *text = instance->computed_resource_claim;
    if (!text || json_read(str_of(text), &claim, NULL) < 0)
        return 0;
    int64_t ram = json_member_int(claim, "ram", 0);
    return ram > 0 ? (uint64_t)ram : 0;
}

/* The view of the worker with that id, or NULL; the views are in the order of ids. */
static struct place_worker *find_view(struct place_worker *views, size_t count, int64_t id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (views[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && views[low].id == id ? &views[low] : NULL;
}

/* What placement sees of all workers, in the order of ids. Returns owned. */
static struct place_worker *view_workers(const struct cluster *cluster,
                                         const struct reconcile_env *env)
{
    const struct table *table = &cluster->tables[KIND_WORKER];
    struct place_worker *views = mem_alloc_array(table->count, sizeof *views);
    for (size_t i = 0; i < table->count; i++) {
        const struct worker *worker = table->rows[i];
        views[i] = (struct place_worker){.id = worker->id,
                                         .name = worker->name,
                                         .labels = &worker->labels,
                                         .is_ready = worker->state == WORKER_READY,
                                         .ram_total_bytes = (uint64_t)worker->memory_total,
                                         .ram_reserved_bytes = env->reserved_ram_bytes};
    }
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        struct place_worker *view = find_view(views, table->count, instance->worker_id);
        if (!view)
            continue;
        view->instance_count++;
        view->ram_claimed_bytes += claimed_ram(instance);
    }
    return views;
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

/* The workers during one pass, and what was found out for the model that was placed last. */
struct placing {
    struct place_worker *views; /* owned */
    size_t count;
    int64_t refused_model_id; /* no worker takes another instance of it; 0: none */
    char *refusal;            /* why; owned */
};

static char *refusal_text(size_t workers, const struct buf *reasons)
{
    return workers == 0 ? mem_strdup("no worker has joined yet")
                        : mem_printf("no worker fits: %s", reasons->ptr);
}

/* Index of the worker for another instance of the model, or -1 with the refusal noted. */
static int choose_worker(struct placing *placing, const struct cluster *cluster,
                         const struct model *model)
{
    if (placing->refused_model_id == model->id)
        return -1;
    struct place_request request = {.selector = &model->worker_selector,
                                    .ram_bytes = known_claim(cluster, model->id)};
    struct buf reasons = {0};
    int chosen = place(&request, placing->views, placing->count, &reasons);
    if (chosen >= 0) {
        placing->views[chosen].instance_count++;
        placing->views[chosen].ram_claimed_bytes += request.ram_bytes;
    } else {
        free(placing->refusal);
        placing->refusal = refusal_text(placing->count, &reasons);
        placing->refused_model_id = model->id;
    }
    buf_fini(&reasons);
    return chosen;
}

static void place_instance(struct cluster *cluster, const struct model_instance *instance,
                           struct placing *placing, const struct reconcile_env *env)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    assert(model);
    int chosen = choose_worker(placing, cluster, model);
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    if (chosen >= 0)
        assign(&copy, cluster_find(cluster, KIND_WORKER, placing->views[chosen].id));
    else
        mem_replace(&copy.state_message, placing->refusal);
    cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
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
    struct placing placing = {.views = view_workers(cluster, env),
                              .count = cluster->tables[KIND_WORKER].count};
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, pending) {
        if (wants_worker(pending))
            place_instance(cluster, pending, &placing, env);
    }
    free(placing.views);
    free(placing.refusal);
}

static const struct model_instance *find_stranded(const struct cluster *cluster)
{
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->worker_id && !cluster_find(cluster, KIND_WORKER, instance->worker_id))
            return instance;
    }
    return NULL;
}

/*
 * An instance whose worker was deleted goes with it and a fresh one takes its place: its engine may
 * run there still, and an instance must not run twice.
 */
static void drop_stranded(struct cluster *cluster)
{
    const struct model_instance *stranded;
    while ((stranded = find_stranded(cluster)))
        cluster_delete(cluster, KIND_INSTANCE, stranded->id);
}

bool reconcile(struct cluster *cluster, const struct reconcile_env *env)
{
    drop_stranded(cluster);
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
