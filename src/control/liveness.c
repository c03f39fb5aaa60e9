/* SPDX-License-Identifier: Apache-2.0 */
#include "control/liveness.h"

#include "base/log.h"

bool liveness_is_overdue(const struct worker *worker, int64_t contact_ms, int64_t now_mono_ms)
{
    return worker->state == WORKER_READY && now_mono_ms - contact_ms >= LIVENESS_SILENCE_MS;
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
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->worker_id != worker->id || instance->state != INSTANCE_RUNNING)
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        copy.state = INSTANCE_UNREACHABLE;
        mem_replace(&copy.state_message, why);
        cluster_put(cluster, KIND_INSTANCE, &copy, now_ms);
    }
}

void liveness_lose(struct cluster *cluster, const struct worker *worker, int64_t now_ms)
{
    auto_free char *message =
        mem_printf("no contact for %d s; check the worker's process, its log and the network",
                   LIVENESS_SILENCE_MS / 1000);
    set_state(cluster, worker, WORKER_NOT_READY, message, now_ms);
    mark_instances_unreachable(cluster, worker, now_ms);
}

void liveness_regain(struct cluster *cluster, const struct worker *worker, int64_t now_ms)
{
    if (worker->state != WORKER_READY)
        set_state(cluster, worker, WORKER_READY, NULL, now_ms);
}
