/* SPDX-License-Identifier: Apache-2.0 */
#include "control/replicas.h"

#include "control/events.h"
#include "control/gangs.h"
#include "control/model_files.h"
#include "control/refusals.h"
#include "control/states.h"

#define FOR_EACH_OF(pass, model, var)                                                              \
    CLUSTER_FOR_KEY(&(pass)->cluster->instances_of_model, (model)->id, struct model_instance, var)

/* ---- single changes ---- */

static void put(const struct pass *pass, struct model_instance *copy)
{
    *pass->lost_surge = LOST_SURGE_UNKNOWN;
    cluster_put(pass->cluster, KIND_INSTANCE, copy, pass->env->now_ms);
}

static void remove_instance(const struct pass *pass, const struct model_instance *instance)
{
    *pass->lost_surge = LOST_SURGE_UNKNOWN;
    cluster_delete(pass->cluster, KIND_INSTANCE, instance->id);
}

static char *make_name(const struct pass *pass, const struct model *model)
{
    for (;;) {
        auto_free char *suffix = pass->env->make_suffix(pass->env->ctx);
        auto_free char *name = mem_printf("%s-%s", model->name, suffix);
        if (!cluster_instance_by_name(pass->cluster, name))
            return TAKE(name);
    }
}

struct model_instance *replicas_add(struct pass *pass, const struct model *model,
                                    int64_t replaces_id, const struct int_list *avoid_worker_ids)
{
    struct model_instance fresh = {0};
    record_init(&model_instance_type, &fresh);
    fresh.name = make_name(pass, model);
    fresh.model_id = model->id;
    fresh.model_generation = model->generation;
    fresh.replaces_id = replaces_id;
    for (size_t i = 0; avoid_worker_ids && i < avoid_worker_ids->count; i++)
        int_list_add(&fresh.avoid_worker_ids, avoid_worker_ids->items[i]);
    mem_replace(&fresh.model_name, model->name);
    mem_replace(&fresh.backend, model->backend);
    mem_replace(&fresh.backend_version, model->backend_version);
    instance_set_state(&fresh, INSTANCE_PENDING, &(struct cause){0}, pass->env->now_ms);
    *pass->lost_surge = LOST_SURGE_UNKNOWN;
    return cluster_put(pass->cluster, KIND_INSTANCE, &fresh, pass->env->now_ms);
}

/* It gets nothing new, ends what it has, and then goes, or with REASON_NEW_SETTINGS comes back. */
static void drain(const struct pass *pass, const struct model_instance *instance,
                  enum reason reason, const char *message)
{
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    copy.is_draining = true;
    copy.is_drained = false;
    const struct cause cause = {.reason = reason, .message = message};
    instance_set_state(&copy, (enum instance_state)copy.state, &cause, pass->env->now_ms);
    auto_free char *args = mem_printf("{\"reason\":\"%s\"}", reason_name(reason));
    events_note(pass->cluster, KIND_INSTANCE, &copy, EVENT_DRAINS, args, pass->env->now_ms, "%s",
                message);
    put(pass, &copy);
}

/* It takes the model's settings where it is, or is replaced by a fresh one if it may not stay. */
static void follow(struct pass *pass, const struct model *model, const struct model_instance *old)
{
    if (old->worker_id && !placing_may_stay(pass->cluster, model, old)) {
        remove_instance(pass, old);
        replicas_add(pass, model, 0, NULL);
        return;
    }
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, old);
    copy.model_generation = model->generation;
    copy.is_draining = copy.is_drained = false;
    copy.failures = 0;
    int_list_fini(&copy.avoid_worker_ids);
    mem_replace(&copy.backend, model->backend);
    mem_replace(&copy.backend_version, model->backend_version);
    if (instance_is_gang(&copy))
        gangs_renew(&copy);
    auto_free char *args = mem_printf("{\"generation\":%lld}", (long long)model->generation);
    const struct cause cause = {.reason = REASON_NEW_SETTINGS,
                                .args = args,
                                .message = "starts with the model's new settings"};
    enum instance_state state = old->worker_id ? INSTANCE_SCHEDULED : INSTANCE_PENDING;
    instance_set_state(&copy, state, &cause, pass->env->now_ms);
    put(pass, &copy);
}

/* ---- steps; each returns whether it has changed something ---- */

static bool is_stranded(const struct pass *pass, const struct model_instance *instance)
{
    if (instance->worker_id && !cluster_find(pass->cluster, KIND_WORKER, instance->worker_id))
        return true;
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        if (!cluster_find(pass->cluster, KIND_WORKER, instance->subordinate_worker_ids.items[i]))
            return true;
    return false;
}

/*
 * An instance whose worker was deleted goes with it and a fresh one takes its place: its engine may
 * run there still, and an instance must not run twice.
 */
static bool drop_stranded(struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        if (is_stranded(pass, one)) {
            remove_instance(pass, one);
            return true;
        }
    }
    return false;
}

/* Draining ones that are empty go, or take the new settings; those whose worker is lost just go. */
static bool end_drains(struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        bool is_lost = replicas_leaving(pass, model, one) == LEAVING_LOST;
        if (!one->is_draining || !(one->is_drained || is_lost))
            continue;
        if (replicas_comes_back(one) && !is_lost)
            follow(pass, model, one);
        else
            remove_instance(pass, one);
        return true;
    }
    return false;
}

static void forget_replaced(const struct pass *pass, const struct model_instance *fresh)
{
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, fresh);
    copy.replaces_id = 0;
    put(pass, &copy);
}

/* The fresh one serves: the old one drains, or just goes when nobody hears from it. */
static void hand_over(const struct pass *pass, const struct model_instance *old,
                      const struct model_instance *fresh)
{
    auto_free char *message = mem_printf("replaced by %s, which serves", fresh->name);
    auto_free char *args = mem_printf("{\"by\":\"%s\"}", fresh->name);
    forget_replaced(pass, fresh);
    events_note(pass->cluster, KIND_INSTANCE, old, EVENT_REPLACED, args, pass->env->now_ms, "%s",
                message);
    if (old->state == INSTANCE_RUNNING)
        drain(pass, old, REASON_REPLACED, message);
    else
        remove_instance(pass, old);
}

static bool serves(const struct model_instance *instance)
{
    return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_UNREACHABLE;
}

/* The surge goes on: the pair is dissolved when the fresh one serves, or there's no need of it. */
static bool end_surge(struct pass *pass, const struct model *model)
{
    const struct model_instance *fresh = replicas_surge(pass, model);
    if (!fresh)
        return false;
    const struct model_instance *old =
        cluster_find(pass->cluster, KIND_INSTANCE, fresh->replaces_id);
    if (!old || old->is_draining) {
        forget_replaced(pass, fresh);
        return true;
    }
    enum leaving leaving = replicas_leaving(pass, model, old);
    if (fresh->state == INSTANCE_RUNNING)
        hand_over(pass, old, fresh);
    else if (leaving == LEAVING_NOT)
        remove_instance(pass, fresh);
    else if (fresh->state_reason == REASON_NO_WORKER_FITS)
        remove_instance(pass, fresh); /* what had room is taken: it must not hold up others */
    else if (!serves(old) && leaving != LEAVING_LOST)
        remove_instance(pass, old);
    else
        return false;
    return true;
}

static bool remove_surplus(struct pass *pass, const struct model *model)
{
    if (replicas_count(pass, model) <= model->replicas)
        return false;
    const struct model_instance *surge = replicas_surge(pass, model);
    const struct model_instance *victim = surge ? surge : replicas_least_useful(pass, model);
    if (!victim)
        return false;
    if (victim->state == INSTANCE_RUNNING)
        drain(pass, victim, REASON_SCALED_DOWN, "fewer replicas are wanted");
    else
        remove_instance(pass, victim);
    return true;
}

static bool add_missing(struct pass *pass, const struct model *model)
{
    if (replicas_count(pass, model) >= model->replicas)
        return false;
    replicas_add(pass, model, 0, NULL);
    return true;
}

/* What doesn't serve needs no care: it takes new settings, or leaves its worker, at once. */
static bool move_idle(struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        enum leaving leaving = replicas_leaving(pass, model, one);
        if (one->is_draining || serves(one))
            continue;
        if (!one->worker_id && one->model_generation != model->generation)
            follow(pass, model, one);
        else if (leaving == LEAVING_OUTDATED)
            follow(pass, model, one);
        else if (leaving == LEAVING_MAINTENANCE && !replicas_replacement(pass, one))
            remove_instance(pass, one);
        else
            continue;
        return true;
    }
    return false;
}

/* ---- failed twice in a row ---- */

static struct int_list places_to_avoid(const struct model_instance *instance)
{
    struct int_list avoid = {0};
    for (size_t i = 0; i < instance->avoid_worker_ids.count; i++)
        int_list_add(&avoid, instance->avoid_worker_ids.items[i]);
    int64_t failed_on = instance->worker_id;
    struct gang gang = {0};
    if (instance_is_gang(instance) && gang_read(instance->distributed_servers, &gang, NULL) == 0 &&
        gang.failed_rank >= 0 && (size_t)gang.failed_rank < gang.rank_count)
        failed_on = gang.ranks[gang.failed_rank].worker_id;
    gang_fini(&gang);
    bool is_known = false;
    for (size_t i = 0; i < avoid.count; i++)
        is_known = is_known || avoid.items[i] == failed_on;
    if (!is_known)
        int_list_add(&avoid, failed_on);
    return avoid;
}

static void note_move(const struct pass *pass, const struct model_instance *old)
{
    auto_free char *args =
        mem_printf("{\"from\":\"%s\",\"failures\":%lld}", old->worker_name ? old->worker_name : "",
                   (long long)old->failures);
    events_note(pass->cluster, KIND_INSTANCE, old, EVENT_MOVED, args, pass->env->now_ms,
                "failed %lld times in a row on worker %s, another one is tried: %s",
                (long long)old->failures, old->worker_name ? old->worker_name : "",
                old->state_message ? old->state_message : "");
}

static bool move_failed(struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        if (one->state != INSTANCE_ERROR || one->failures < RECONCILE_MOVE_FAILURES ||
            one->is_draining || replicas_leaving(pass, model, one) == LEAVING_LOST)
            continue;
        struct int_list avoid = places_to_avoid(one);
        bool has_room = placing_has_room(&pass->placing, model, &avoid);
        if (has_room) {
            int64_t replaces_id = one->replaces_id;
            note_move(pass, one);
            remove_instance(pass, one);
            replicas_add(pass, model, replaces_id, &avoid);
        }
        int_list_fini(&avoid);
        if (has_room)
            return true;
        id_set_add(&pass->dirty->waiting, model->id);
    }
    return false;
}

/* ---- refused by a worker ---- */

static void note_refused(const struct pass *pass, const struct model_instance *old)
{
    const char *worker = old->worker_name ? old->worker_name : "";
    auto_free char *args = mem_printf("{\"from\":\"%s\",\"reason\":\"%s\"}", worker,
                                      reason_name((enum reason)old->state_reason));
    events_note(pass->cluster, KIND_INSTANCE, old, EVENT_MOVED, args, pass->env->now_ms,
                "did not start on worker %s, another place is looked for: %s", worker,
                old->state_message ? old->state_message : "");
}

/* Its worker had less room than it was thought to have: another place is looked for at once. */
static bool move_refused(struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        if (!refusals_is_refused(one))
            continue;
        auto_free char *refusals = refusals_after(one, pass->cluster, pass->env->now_ms);
        int64_t replaces_id = one->replaces_id;
        struct int_list avoid = {0};
        for (size_t i = 0; i < one->avoid_worker_ids.count; i++)
            int_list_add(&avoid, one->avoid_worker_ids.items[i]);
        note_refused(pass, one);
        remove_instance(pass, one);
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, replicas_add(pass, model, replaces_id, &avoid));
        copy.refusals = TAKE(refusals);
        put(pass, &copy);
        int_list_fini(&avoid);
        return true;
    }
    return false;
}

/* ---- serving ones, one at a time ---- */

/*
 * Another one that takes requests must be there, or none that could: where only one replica finds
 * room, an update would otherwise never come to its end.
 */
static bool may_be_missed(const struct pass *pass, const struct model *model,
                          const struct model_instance *instance)
{
    bool is_ready = instance->state == INSTANCE_RUNNING;
    if (replicas_ready(pass, model) - is_ready >= 1)
        return true;
    FOR_EACH_OF(pass, model, one) {
        if (one->id != instance->id && one->worker_id && !one->is_draining)
            return false;
    }
    return true;
}

static bool move_without_room(struct pass *pass, const struct model *model,
                              const struct model_instance *one, enum leaving leaving)
{
    id_set_add(&pass->dirty->waiting, model->id);
    if (one->state != INSTANCE_RUNNING)
        return false; /* out of sight it may well serve: it waits for its worker */
    /* It serves on until what it shall run next is there, see control/file_pass.h. */
    if (leaving == LEAVING_OUTDATED && may_be_missed(pass, model, one) &&
        model_files_are_ready(pass->cluster, one))
        drain(pass, one, REASON_NEW_SETTINGS, "drains to take the model's new settings");
    else if (leaving == LEAVING_MAINTENANCE)
        drain(pass, one, REASON_MAINTENANCE, "its worker is in maintenance and is drained");
    else
        return false;
    return true;
}

/* Whether the model's next instance may leave for that reason now. */
static bool is_its_turn(const struct pass *pass, const struct model *model,
                        const struct model_instance *one, enum leaving leaving)
{
    switch (leaving) {
    case LEAVING_NOT:
        return false;
    case LEAVING_OUTDATED:
        return one->state == INSTANCE_RUNNING && replicas_new_ones_serve(pass, model);
    case LEAVING_MAINTENANCE:
        return one->state == INSTANCE_RUNNING;
    case LEAVING_LOST:
        if (!replicas_lost_surge(pass))
            return true;
        id_set_add(&pass->dirty->waiting, model->id); /* for another model's to be over */
        return false;
    }
    return false;
}

static bool move_serving(struct pass *pass, const struct model *model)
{
    if (replicas_surge(pass, model) || replicas_drains(pass, model))
        return false;
    FOR_EACH_OF(pass, model, one) {
        enum leaving leaving = replicas_leaving(pass, model, one);
        if (one->is_draining || !is_its_turn(pass, model, one, leaving))
            continue;
        if (placing_has_room(&pass->placing, model, NULL))
            replicas_add(pass, model, one->id, NULL);
        else if (!move_without_room(pass, model, one, leaving))
            continue;
        return true;
    }
    return false;
}

/* ---- what the model shows ---- */

static void show_ready(const struct pass *pass, const struct model *model)
{
    int64_t ready = replicas_ready(pass, model);
    if (ready == model->ready_replicas)
        return;
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.ready_replicas = ready;
    cluster_put(pass->cluster, KIND_MODEL, &copy, pass->env->now_ms);
}

/* A renamed model's instances show the new name; their engines run on. */
static bool show_name(struct pass *pass, const struct model *model)
{
    FOR_EACH_OF(pass, model, one) {
        if (one->model_name && strcmp(one->model_name, model->name) == 0)
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, one);
        mem_replace(&copy.model_name, model->name);
        put(pass, &copy);
        return true;
    }
    return false;
}

void replicas_step(struct pass *pass, const struct model *model)
{
    static bool (*const steps[])(struct pass *, const struct model *) = {
        drop_stranded, end_drains,  end_surge,    remove_surplus, add_missing,
        move_idle,    move_refused, move_failed, move_serving, show_name};
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < ARRAY_LEN(steps) && !has_changed; i++)
            has_changed = steps[i](pass, model);
    }
    show_ready(pass, model);
}
