/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/placement/replay.h"

#include "base/mem.h"

#include <time.h>

enum { ARRIVALS_PERCENT = 130 };

/* Of this thread: what else runs on the machine doesn't count. */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void shuffle(struct rng *rng, uint32_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rng_between(rng, 0, (int64_t)i - 1);
        SWAP(items[i - 1], items[other]);
    }
}

/* The numbers 0 to count - 1 in a random order. Returns owned. */
static uint32_t *random_order(struct rng *rng, size_t count)
{
    uint32_t *order = mem_alloc_array(count + 1, sizeof *order);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    shuffle(rng, order, count);
    return order;
}

static void add_nodes(struct replay *replay)
{
    const struct inventory *from = &replay->trace->nodes;
    auto_free uint32_t *order = random_order(&replay->rng, from->node_count);
    for (size_t i = 0; i < from->node_count; i++) {
        inventory_add_node(&replay->inventory, &from->nodes[order[i]]);
        for (uint32_t d = 0; d < from->nodes[order[i]].device_count; d++)
            inventory_add_device(&replay->inventory, inventory_devices(from, order[i])[d]);
    }
}

/* Tasks that ask for `units`: all of them and some again, or some. Returns owned. */
static uint32_t *draw_arrivals(struct replay *replay, uint64_t units, size_t *ret_count)
{
    const struct trace *trace = replay->trace;
    uint32_t *order = random_order(&replay->rng, trace->task_count);
    uint64_t asked = 0;
    size_t count = 0;
    for (; count < trace->task_count && asked < units; count++)
        asked += trace_units(&trace->tasks[order[count]].demand);
    size_t limit = count == trace->task_count ? 64 * count : count;
    order = mem_resize(order, (limit + 1) * sizeof *order);
    for (; asked < units && count < limit; count++) {
        order[count] = (uint32_t)rng_between(&replay->rng, 0, (int64_t)trace->task_count - 1);
        asked += trace_units(&trace->tasks[order[count]].demand);
    }
    shuffle(&replay->rng, order, count);
    *ret_count = count;
    return order;
}

/* Tries one task and gives the units that it got. */
static uint64_t arrive(struct replay *replay, const struct policy *policy, void *state,
                       const struct trace_task *task)
{
    struct inventory_claim claim = {0};
    if (policy->choose(state, replay, task, &claim) < 0)
        return 0;
    claim.demand = task->demand;
    claim.model = task->shape;
    inventory_apply(&replay->inventory, &claim);
    if (policy->placed)
        policy->placed(state, &claim);
    return trace_units(&task->demand);
}

static void run_arrivals(struct replay *replay, const struct policy *policy, size_t decisions_max,
                         struct replay_result *ret)
{
    uint64_t capacity = 0, arrived = 0, allocated = 0;
    for (size_t i = 0; i < replay->inventory.device_count; i++)
        capacity += replay->inventory.devices[i].total;
    auto_free uint32_t *arrivals =
        draw_arrivals(replay, capacity * ARRIVALS_PERCENT / 100, &ret->decision_count);
    if (ret->decision_count > decisions_max)
        ret->decision_count = decisions_max;
    ret->decision_ns = mem_alloc_array(ret->decision_count + 1, sizeof *ret->decision_ns);
    void *state = policy->start ? policy->start(replay) : NULL;
    for (size_t i = 0; i < ret->decision_count; i++) {
        const struct trace_task *task = &replay->trace->tasks[arrivals[i]];
        uint64_t start = cpu_ns();
        allocated += arrive(replay, policy, state, task);
        ret->decision_ns[i] = cpu_ns() - start;
        bool was_below = arrived < capacity;
        arrived += trace_units(&task->demand);
        if (was_below && arrived >= capacity)
            ret->at_100 = 100 * (double)allocated / (double)capacity;
    }
    ret->at_130 = 100 * (double)allocated / (double)capacity;
    if (policy->end)
        policy->end(state);
}

void replay_run(const struct replay_plan *plan, const struct policy *policy, uint64_t seed,
                struct replay_result *ret)
{
    uint64_t start = cpu_ns();
    struct replay replay = {.trace = plan->trace, .mix = plan->mix, .rng = {seed}};
    *ret = (struct replay_result){0};
    add_nodes(&replay);
    run_arrivals(&replay, policy, plan->decisions_max, ret);
    inventory_fini(&replay.inventory);
    ret->seconds = (double)(cpu_ns() - start) / 1e9;
}

void replay_result_fini(struct replay_result *result)
{
    free(result->decision_ns);
    *result = (struct replay_result){0};
}
