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

static void wake_at(int64_t *wake_ms, int64_t at_ms)
{
    if (at_ms < *wake_ms)
        *wake_ms = at_ms;
}

static void start_when_due(const struct desired_instance *wanted,
                           const struct observed_instance *seen, int64_t now_ms, int64_t *wake_ms,
                           struct effects *effects)
{
    /* One that was refused hasn't failed: looking again is no restart. */
    if (seen->phase == PHASE_FAILED && !seen->is_refused &&
        restart_judge(wanted, seen->failures) != RESTART_LATER)
        return;
    if (seen->phase == PHASE_FAILED && now_ms < seen->retry_at_ms) {
        wake_at(wake_ms, seen->retry_at_ms);
        return;
    }
    add_effect(effects, (struct effect){EFFECT_START, .id = seen->id, .desired = wanted});
}

static void launch_when_ready(const struct desired_instance *wanted,
                              const struct observed_instance *seen, int64_t now_ms,
                              int64_t *wake_ms, struct effects *effects)
{
    if (desired_instance_is_gang(wanted) && !wanted->go)
        return;
    if (now_ms < seen->launch_at_ms)
        wake_at(wake_ms, seen->launch_at_ms);
    else
        add_effect(effects, (struct effect){EFFECT_LAUNCH, .id = seen->id, .desired = wanted});
}

static void stop_when_stalled(const struct observed_instance *seen, int64_t now_ms,
                              int64_t *wake_ms, struct effects *effects)
{
    int64_t deadline_ms = seen->progress_at_ms + STALL_MS;
    if (now_ms >= deadline_ms)
        add_effect(effects, (struct effect){EFFECT_STOP, .id = seen->id, .stop = STOP_STALLED});
    else
        wake_at(wake_ms, deadline_ms);
}

static void stop_when_drained(const struct observed_instance *seen, int64_t now_ms,
                              int64_t *wake_ms, struct effects *effects)
{
    int64_t deadline_ms = seen->drain_deadline_ms;
    if (seen->quiet_since_ms < INT64_MAX - DRAIN_QUIET_MS)
        wake_at(&deadline_ms, seen->quiet_since_ms + DRAIN_QUIET_MS);
    if (now_ms >= deadline_ms)
        add_effect(effects, (struct effect){EFFECT_STOP, .id = seen->id, .stop = STOP_DRAINED});
    else
        wake_at(wake_ms, deadline_ms);
}

/*
 * It isn't listed (any more), or otherwise than it is (`wanted`, else NULL): an engine is stopped
 * first, what has none is forgotten or made new.
 */
static void let_go(const struct desired_instance *wanted, const struct observed_instance *seen,
                   struct effects *effects)
{
    switch (seen->phase) {
    case PHASE_NEW:
    case PHASE_PREPARING:
    case PHASE_PREPARED:
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

/* It serves what it has, and starts nothing. */
static void drain(const struct desired_instance *wanted, const struct observed_instance *seen,
                  int64_t now_ms, int64_t *wake_ms, struct effects *effects)
{
    switch (seen->phase) {
    case PHASE_PREPARING:
    case PHASE_PREPARED:
        add_effect(effects, (struct effect){EFFECT_RENEW, .id = seen->id, .desired = wanted});
        return;
    case PHASE_STARTING:
    case PHASE_SERVING:
        stop_when_drained(seen, now_ms, wake_ms, effects);
        return;
    case PHASE_NEW:
    case PHASE_FAILED:
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
    case PHASE_PREPARED:
        if (wanted)
            launch_when_ready(wanted, seen, now_ms, wake_ms, effects);
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

/* What other settings, which come with the next generation, would replace at once is drained first
 * when control says so; what belongs to another try of its gang is of no use to anybody. */
static bool is_as_wanted(const struct desired_instance *wanted,
                         const struct observed_instance *seen)
{
    bool has_engine = seen->phase == PHASE_STARTING || seen->phase == PHASE_SERVING;
    if (!wanted || wanted->rank != seen->rank || wanted->gang_epoch != seen->gang_epoch)
        return false;
    return wanted->model_generation == seen->model_generation || (wanted->draining && has_engine);
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
        if (desired->known && !is_as_wanted(wanted, seen))
            let_go(wanted, seen, effects);
        else if (wanted && wanted->draining)
            drain(wanted, seen, now_ms, &wake_ms, effects);
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

enum restart_verdict restart_judge(const struct desired_instance *wanted, unsigned failures)
{
    if (desired_instance_is_gang(wanted))
        return RESTART_BY_GANG;
    if (!wanted->restart_on_error)
        return RESTART_NEVER;
    bool is_limited = wanted->max_restarts > 0 && (int64_t)failures >= wanted->max_restarts;
    return is_limited ? RESTART_LIMITED : RESTART_LATER;
}

int64_t restart_delay_ms(unsigned failures)
{
    int64_t delay_ms = RESTART_DELAY_MIN_MS;
    for (unsigned n = 1; n < failures && delay_ms < RESTART_DELAY_MAX_MS; n++)
        delay_ms *= 2;
    return delay_ms < RESTART_DELAY_MAX_MS ? delay_ms : RESTART_DELAY_MAX_MS;
}
