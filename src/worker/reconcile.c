/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/reconcile.h"

void effects_fini(struct effects *effects)
{
    free(effects->items);
    *effects = (struct effects){0};
}

static void add_effect(struct effects *effects, struct effect effect)
{
    if (effects->count == effects->cap) {
        effects->cap = effects->cap ? 2 * effects->cap : 16;
        effects->items = mem_resize(effects->items, effects->cap * sizeof *effects->items);
    }
    effects->items[effects->count++] = effect;
}

static void start_when_due(const struct desired_instance *wanted,
                           const struct observed_instance *seen, int64_t now_ms, int64_t *wake_ms,
                           struct effects *effects)
{
    if (seen->phase == PHASE_FAILED && !wanted->restart_on_error)
        return;
    if (seen->phase == PHASE_FAILED && now_ms < seen->retry_at_ms) {
        if (seen->retry_at_ms < *wake_ms)
            *wake_ms = seen->retry_at_ms;
        return;
    }
    add_effect(effects, (struct effect){EFFECT_START, .id = seen->id, .desired = wanted});
}

static void stop_when_stalled(const struct observed_instance *seen, int64_t now_ms,
                              int64_t *wake_ms, struct effects *effects)
{
    int64_t deadline_ms = seen->progress_at_ms + STALL_MS;
    if (now_ms >= deadline_ms)
        add_effect(effects, (struct effect){EFFECT_STOP, .id = seen->id, .stop = STOP_STALLED});
    else if (deadline_ms < *wake_ms)
        *wake_ms = deadline_ms;
}

/*
 * It isn't listed (any more), or in another generation (`wanted`, else NULL): an engine is stopped
 * first, what has none is forgotten or made new.
 */
static void let_go(const struct desired_instance *wanted, const struct observed_instance *seen,
                   struct effects *effects)
{
    switch (seen->phase) {
    case PHASE_NEW:
    case PHASE_PREPARING:
    case PHASE_FAILED:
        add_effect(effects, (struct effect){wanted ? EFFECT_RENEW : EFFECT_REMOVE, .id = seen->id,
                                            .desired = wanted});
        return;
    case PHASE_STARTING:
    case PHASE_SERVING:
        add_effect(effects, (struct effect){EFFECT_STOP, .id = seen->id, .stop = STOP_UNWANTED});
        return;
    case PHASE_STOPPING:
        return;
    }
}

/* `wanted` is NULL while control hasn't said anything: then nothing is started. */
static void keep(const struct desired_instance *wanted, const struct observed_instance *seen,
                 int64_t now_ms, int64_t *wake_ms, struct effects *effects)
{
    switch (seen->phase) {
    case PHASE_NEW:
    case PHASE_FAILED:
        if (wanted)
            start_when_due(wanted, seen, now_ms, wake_ms, effects);
        return;
    case PHASE_STARTING:
        stop_when_stalled(seen, now_ms, wake_ms, effects);
        return;
    case PHASE_PREPARING:
    case PHASE_SERVING:
    case PHASE_STOPPING:
        return;
    }
}

static bool is_observed(const struct observed_instance *observed, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (observed[i].id == id)
            return true;
    return false;
}

int64_t worker_reconcile(const struct desired_state *desired,
                         const struct observed_instance *observed, size_t count, int64_t now_ms,
                         struct effects *effects)
{
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct observed_instance *seen = &observed[i];
        const struct desired_instance *wanted = desired_state_find(desired, seen->id);
        bool same = wanted && wanted->model_generation == seen->model_generation;
        if (desired->known && !same)
            let_go(wanted, seen, effects);
        else
            keep(wanted, seen, now_ms, &wake_ms, effects);
    }
    for (size_t i = 0; i < desired->count; i++) {
        const struct desired_instance *wanted = &desired->items[i];
        if (!is_observed(observed, count, wanted->id))
            add_effect(effects, (struct effect){EFFECT_ADD, .id = wanted->id, .desired = wanted});
    }
    return wake_ms;
}

unsigned restart_failures(unsigned failures_before, int64_t served_ms)
{
    return (served_ms >= RESTART_HEALTHY_MS ? 0 : failures_before) + 1;
}

int64_t restart_delay_ms(unsigned failures)
{
    int64_t delay_ms = RESTART_DELAY_MIN_MS;
    for (unsigned n = 1; n < failures && delay_ms < RESTART_DELAY_MAX_MS; n++)
        delay_ms *= 2;
    return delay_ms < RESTART_DELAY_MAX_MS ? delay_ms : RESTART_DELAY_MAX_MS;
}
