/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gangs.h"

#include "control/events.h"
#include "control/states.h"

#include <stdio.h>

static int64_t delay_ms(int64_t failures)
{
    int64_t delay = GANG_DELAY_MIN_MS;
    for (int64_t n = 1; n < failures && delay < GANG_DELAY_MAX_MS; n++)
        delay *= 2;
    return delay < GANG_DELAY_MAX_MS ? delay : GANG_DELAY_MAX_MS;
}

static bool is_stopped(const struct model_instance *instance)
{
    return instance->state == INSTANCE_ERROR &&
           reason_class((enum reason)instance->state_reason) == CLASS_STOPPED;
}

/* ---- failing ---- */

static void begin_epoch(struct gang *gang)
{
    gang->epoch++;
    gang->go = false;
    for (size_t i = 0; i < gang->rank_count; i++) {
        struct gang_rank *rank = &gang->ranks[i];
        rank->is_prepared = false;
        rank->pid = 0;
        rank->state = INSTANCE_SCHEDULED;
        int_list_fini(&rank->ports);
    }
}

static char *fail_args(const struct gang *gang, const struct gang_rank *rank)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    json_put_int(&w, "rank", gang->failed_rank);
    json_put_string(&w, "worker", rank->worker_name);
    json_put_string(&w, "reason", reason_name((enum reason)rank->state_reason));
    json_end_object(&w);
    return buf_take(&text);
}

/* Why no further try is made, or REASON_RANK_FAILED when one is. */
static enum reason end_of_tries(const struct cluster *cluster,
                                const struct model_instance *instance)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    if (!model->restart_on_error)
        return REASON_RESTART_DISABLED;
    bool is_over = model->max_restarts > 0 && instance->failures >= model->max_restarts;
    return is_over ? REASON_RESTART_LIMIT : REASON_RANK_FAILED;
}

static void count_failure(struct model_instance *copy, const struct gang_env *env)
{
    bool was_healthy = copy->gang_serving_ms &&
                       env->now_mono_ms - copy->gang_serving_ms >= GANG_HEALTHY_MS;
    copy->failures = (was_healthy ? 0 : copy->failures) + 1;
    copy->restart_count++;
    copy->last_restart_time = env->now_ms;
    copy->gang_serving_ms = 0;
    copy->gang_retry_ms = env->now_mono_ms + delay_ms(copy->failures);
}

/* The first failure of an epoch ends it for all ranks. */
static void fail(struct cluster *cluster, struct model_instance *copy, struct gang *gang, int rank,
                 const struct gang_env *env)
{
    const struct gang_rank *failed = &gang->ranks[rank];
    gang->failed_rank = rank;
    count_failure(copy, env);
    enum reason reason = end_of_tries(cluster, copy);
    auto_free char *args = fail_args(gang, failed);
    char next[64] = "";
    if (reason == REASON_RANK_FAILED)
        snprintf(next, sizeof next, "; all start anew in %lld s",
                 (long long)delay_ms(copy->failures) / 1000);
    auto_free char *message =
        mem_printf("rank %d on worker %s failed: %s%s", rank, failed->worker_name,
                   failed->state_message ? failed->state_message : "", next);
    events_note(cluster, KIND_INSTANCE, copy, EVENT_GANG_STOPPED, args, env->now_ms, "%s", message);
    const struct cause cause = {.reason = reason, .args = args, .message = message};
    state_enter(cluster, copy, INSTANCE_ERROR, &cause, env->now_ms);
    begin_epoch(gang);
}

/* ---- what the ranks are ---- */

static bool all_are(const struct gang *gang, enum instance_state state)
{
    for (size_t i = 0; i < gang->rank_count; i++)
        if (gang->ranks[i].state != (int)state)
            return false;
    return true;
}

static bool all_are_prepared(const struct gang *gang)
{
    for (size_t i = 0; i < gang->rank_count; i++)
        if (!gang->ranks[i].is_prepared)
            return false;
    return true;
}

/* The first worker of a rank that is out of contact, or NULL. */
static const struct worker *silent_worker(const struct cluster *cluster, const struct gang *gang)
{
    for (size_t i = 0; i < gang->rank_count; i++) {
        const struct worker *worker =
            cluster_find(cluster, KIND_WORKER, gang->ranks[i].worker_id);
        if (worker && worker->state == WORKER_NOT_READY)
            return worker;
    }
    return NULL;
}

/* What clients connect to is rank 0's. */
static void show_main(const struct gang *gang, struct model_instance *copy)
{
    const struct gang_rank *main_rank = &gang->ranks[0];
    copy->pid = main_rank->pid;
    copy->port = main_rank->ports.count ? main_rank->ports.items[0] : 0;
    int_list_fini(&copy->ports);
    for (size_t i = 0; i < main_rank->ports.count; i++)
        int_list_add(&copy->ports, main_rank->ports.items[i]);
}

static void settle_serving(struct cluster *cluster, struct model_instance *copy,
                           const struct gang *gang, const struct gang_env *env)
{
    const struct worker *silent = silent_worker(cluster, gang);
    if (silent) {
        auto_free char *message = mem_printf("contact to worker %s is lost", silent->name);
        const struct cause cause = {.reason = REASON_WORKER_LOST, .message = message};
        state_enter(cluster, copy, INSTANCE_UNREACHABLE, &cause, env->now_ms);
        return;
    }
    if (!copy->gang_serving_ms)
        copy->gang_serving_ms = env->now_mono_ms;
    state_enter(cluster, copy, INSTANCE_RUNNING, &(struct cause){0}, env->now_ms);
}

static void settle(struct cluster *cluster, struct model_instance *copy, struct gang *gang,
                   const struct gang_env *env)
{
    if (!gang->go && all_are_prepared(gang) && !is_stopped(copy) &&
        env->now_mono_ms >= copy->gang_retry_ms)
        gang->go = true;
    if (gang->go && all_are(gang, INSTANCE_RUNNING))
        settle_serving(cluster, copy, gang, env);
    else if (gang->go)
        state_enter(cluster, copy, INSTANCE_STARTING, &(struct cause){0}, env->now_ms);
    else if (copy->state != INSTANCE_ERROR)
        state_enter(cluster, copy, INSTANCE_INITIALIZING, &(struct cause){0}, env->now_ms);
    show_main(gang, copy);
}

void gangs_settle(struct cluster *cluster, struct model_instance *copy, const struct gang_env *env)
{
    struct gang gang = {0};
    if (gang_read(copy->distributed_servers, &gang, NULL) < 0)
        return;
    settle(cluster, copy, &gang, env);
    gang_store(&gang, copy);
    gang_fini(&gang);
}

bool gangs_is_due(const struct model_instance *instance, const struct gang_env *env)
{
    if (!instance_is_gang(instance) || instance->state != INSTANCE_ERROR || is_stopped(instance) ||
        env->now_mono_ms < instance->gang_retry_ms)
        return false;
    struct gang gang = {0};
    bool is_due = gang_read(instance->distributed_servers, &gang, NULL) == 0 && !gang.go &&
                  all_are_prepared(&gang);
    gang_fini(&gang);
    return is_due;
}

void gangs_renew(struct model_instance *copy)
{
    struct gang gang = {0};
    if (gang_read(copy->distributed_servers, &gang, NULL) < 0)
        return;
    begin_epoch(&gang);
    gang.failed_rank = -1;
    gang_store(&gang, copy);
    gang_fini(&gang);
    copy->gang_retry_ms = copy->gang_serving_ms = 0;
}

/* ---- reports ---- */

static void read_ports(const json_t *array, struct int_list *ret)
{
    int_list_fini(ret);
    size_t i;
    json_t *port;
    json_array_foreach(array, i, port)
        int_list_add(ret, json_integer_value(port));
}

static void take_rank(struct gang_rank *rank, const json_t *entry)
{
    const char *state = json_member_string(entry, "state");
    const char *reason = json_member_string(entry, "state_reason");
    enum instance_state known;
    if (state && instance_state_parse(state, &known) == 0)
        rank->state = (int)known;
    rank->state_reason = (int)(reason ? reason_parse(reason) : REASON_NONE);
    mem_replace(&rank->state_message, json_member_string(entry, "state_message"));
    rank->is_prepared = json_is_true(json_object_get(entry, "prepared"));
    rank->pid = json_member_int(entry, "pid", 0);
    read_ports(json_object_get(entry, "ports"), &rank->ports);
}

static void take_served_name(struct model_instance *copy, const json_t *entry)
{
    const char *name = json_member_string(entry, "served_name");
    bool is_name = name && strlen(name) <= MODEL_NAME_MAX;
    mem_replace(&copy->served_name, is_name ? name : NULL);
}

void gangs_take_entry(struct cluster *cluster, struct model_instance *copy, int64_t worker_id,
                      const json_t *entry, const struct gang_env *env)
{
    struct gang gang = {0};
    if (gang_read(copy->distributed_servers, &gang, NULL) < 0)
        return;
    int rank = gang_rank_of(&gang, worker_id);
    /* What is left of an earlier try is being stopped; it says nothing about this one. */
    if (rank >= 0 && json_member_int(entry, "gang_epoch", 0) == gang.epoch) {
        take_rank(&gang.ranks[rank], entry);
        if (rank == 0) /* the one that takes the requests */
            take_served_name(copy, entry);
        if (gang.ranks[rank].state == INSTANCE_ERROR)
            fail(cluster, copy, &gang, rank, env);
        settle(cluster, copy, &gang, env);
        gang_store(&gang, copy);
    }
    gang_fini(&gang);
}

void gangs_lose_rank(struct cluster *cluster, struct model_instance *copy, int64_t worker_id,
                     const struct gang_env *env)
{
    struct gang gang = {0};
    if (gang_read(copy->distributed_servers, &gang, NULL) < 0)
        return;
    int rank = gang_rank_of(&gang, worker_id);
    bool had_begun = rank >= 0 && gang.ranks[rank].state != INSTANCE_SCHEDULED;
    if (had_begun && gang.go) {
        gang.ranks[rank].state_reason = REASON_UNKNOWN_TO_WORKER;
        mem_replace(&gang.ranks[rank].state_message, "its worker does not know it any more");
        fail(cluster, copy, &gang, rank, env);
    } else if (had_begun) {
        gang.ranks[rank].state = INSTANCE_SCHEDULED;
        gang.ranks[rank].is_prepared = false;
    }
    if (had_begun) {
        settle(cluster, copy, &gang, env);
        gang_store(&gang, copy);
    }
    gang_fini(&gang);
}
