/* SPDX-License-Identifier: Apache-2.0 */
#include "control/liveness.h"

#include "base/log.h"
#include "control/events.h"
#include "control/states.h"

bool liveness_is_overdue(const struct worker *worker, int64_t contact_ms, int64_t now_mono_ms)
{
    return worker->state != WORKER_NOT_READY && now_mono_ms - contact_ms >= LIVENESS_SILENCE_MS;
}

static void set_state(struct cluster *cluster, const struct worker *worker, enum worker_state state,
                      const char *message, int64_t now_ms)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker);
    copy.state = state;
    mem_replace(&copy.state_message, message);
    log_info("worker", "%s: %s%s%s", worker->name, worker_state_name(state), message ? ": " : "",
             message ? message : "");
    cluster_put(cluster, KIND_WORKER, &copy, now_ms);
}

/* What ran on it is out of sight; it may well serve on, so it stays routed. */
static void mark_instances_unreachable(struct cluster *cluster, const struct worker *worker,
                                       int64_t now_ms)
{
    auto_free char *why = mem_printf("contact to worker %s is lost", worker->name);
    auto_free char *args = mem_printf("{\"worker\":\"%s\",\"seconds\":%d}", worker->name,
                                      LIVENESS_SILENCE_MS / 1000);
    const struct cause cause = {.reason = REASON_WORKER_LOST, .args = args, .message = why};
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker->id, struct model_instance, instance) {
        /* One that drains takes no requests; why it drains must not be forgotten. */
        if (instance->state != INSTANCE_RUNNING || instance->is_draining)
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        state_enter(cluster, &copy, INSTANCE_UNREACHABLE, &cause, now_ms);
        cluster_put(cluster, KIND_INSTANCE, &copy, now_ms);
    }
}

void liveness_lose(struct cluster *cluster, const struct worker *worker, int64_t now_ms)
{
    auto_free char *message =
        mem_printf("no contact for %d s; check the worker's process, its log and the network",
                   LIVENESS_SILENCE_MS / 1000);
    auto_free char *args = mem_printf("{\"seconds\":%d}", LIVENESS_SILENCE_MS / 1000);
    events_note(cluster, KIND_WORKER, worker, EVENT_LOST, args, now_ms, "%s", message);
    set_state(cluster, worker, WORKER_NOT_READY, message, now_ms);
    mark_instances_unreachable(cluster, worker, now_ms);
}

void liveness_regain(struct cluster *cluster, const struct worker *worker, int64_t now_ms)
{
    if (worker->state == WORKER_NOT_READY &&
        events_has(cluster, KIND_WORKER, worker->id, EVENT_LOST))
        events_note(cluster, KIND_WORKER, worker, EVENT_BACK, NULL, now_ms, "in contact");
    liveness_settle(cluster, worker, now_ms, true);
}

void liveness_settle(struct cluster *cluster, const struct worker *worker, int64_t now_ms,
                     bool is_in_contact)
{
    if (worker->state == WORKER_NOT_READY && !is_in_contact)
        return;
    enum worker_state state =
        worker_maintenance(worker).is_on ? WORKER_MAINTENANCE : WORKER_READY;
    if (worker->state != (int)state)
        set_state(cluster, worker, state, NULL, now_ms);
}
