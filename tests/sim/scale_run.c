/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scale_run.h"

#include "domain/instance.h"
#include "sim/scale_agents.h"

#include <sys/resource.h>

enum {
    INSTANCES_PER_WORKER = 4,
    REPLICAS = 400, /* of a model: there are as many models as that needs */
    JOIN_S = 30,
    DEPLOY_S = 60,
    LOST_WORKERS = 5,
    CUT_S = 60,
};

static const struct {
    const char *name;
    int64_t seconds;
} phases[SCALE_PHASES] = {
    [SCALE_JOIN] = {"join", 60},
    [SCALE_DEPLOY] = {"deploy", 120},
    [SCALE_STEADY] = {"steady", 60},
    [SCALE_SCALE] = {"scale", 60}, [SCALE_ROLL] = {"roll", 120},     [SCALE_LOSE] = {"lose", 180},
    [SCALE_CUT] = {"cut", 120},
};

struct run {
    struct scale_control control;
    struct scale_agents agents;
    size_t model_count;
    int64_t now_s;
};

const char *scale_phase_name(enum scale_phase phase)
{
    return phases[phase].name;
}

int64_t scale_phase_s(enum scale_phase phase)
{
    return phases[phase].seconds;
}

/* How many of `count` are due by second `at_s` of `within_s`. */
static size_t due_by(size_t count, int64_t at_s, int64_t within_s)
{
    return at_s >= within_s ? count : count * (size_t)(at_s + 1) / (size_t)within_s;
}

static void join(struct run *run, int64_t at_s)
{
    for (size_t i = due_by(run->agents.count, at_s - 1, JOIN_S);
         i < due_by(run->agents.count, at_s, JOIN_S); i++)
        scale_agent_join(&run->agents, i, &run->control);
}

static void create_model(struct run *run, size_t number)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    fresh.name = mem_printf("m%zu", number);
    mem_replace(&fresh.local_path, "/models/m.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.generation = 1;
    fresh.replicas = REPLICAS;
    mem_replace(&fresh.gpu_selector, "{\"gpus_per_replica\":1}");
    scale_put_model(&run->control, &fresh);
}

static void deploy(struct run *run, int64_t at_s)
{
    for (size_t i = due_by(run->model_count, at_s - 1, DEPLOY_S);
         i < due_by(run->model_count, at_s, DEPLOY_S); i++)
        create_model(run, i + 1);
}

static void change_model(struct run *run, int64_t replicas, bool is_new_generation)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, cluster_model_by_name(&run->control.cluster, "m1"));
    copy.replicas = replicas;
    if (is_new_generation) {
        copy.generation++;
        string_list_add(&copy.backend_parameters, "--ctx-size=8192");
    }
    scale_put_model(&run->control, &copy);
}

static void vanish(struct run *run, size_t count, bool is_silent)
{
    for (size_t i = 0; i < count; i++)
        run->agents.items[i].is_silent = is_silent;
}

/* What happens at second `at_s` of the phase. */
static void act(struct run *run, enum scale_phase phase, int64_t at_s)
{
    switch (phase) {
    case SCALE_JOIN:
        join(run, at_s);
        return;
    case SCALE_DEPLOY:
        deploy(run, at_s);
        return;
    case SCALE_SCALE:
        if (at_s == 0 || at_s == 30)
            change_model(run, at_s ? REPLICAS : REPLICAS + REPLICAS / 4, false);
        return;
    case SCALE_ROLL:
        if (at_s == 0)
            change_model(run, REPLICAS, true);
        return;
    case SCALE_LOSE:
        if (at_s == 0)
            vanish(run, LOST_WORKERS, true);
        return;
    case SCALE_CUT:
        if (at_s == 0 || at_s == CUT_S)
            vanish(run, run->agents.count, at_s == 0);
        return;
    case SCALE_STEADY:
    case SCALE_PHASES:
        return;
    }
}

static void run_phase(struct run *run, enum scale_phase phase, struct scale_cost *cost)
{
    run->control.cost = cost;
    for (int64_t at_s = 0; at_s < phases[phase].seconds; at_s++) {
        run->now_s++;
        run->control.now_ms += 1000;
        act(run, phase, at_s);
        scale_agents_step(&run->agents, run->now_s, &run->control);
        scale_tick(&run->control);
    }
}

static uint64_t peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

void scale_run(size_t worker_count, struct scale_result *ret)
{
    struct run run = {.model_count = worker_count * INSTANCES_PER_WORKER / REPLICAS};
    uint64_t before_bytes = peak_bytes();
    *ret = (struct scale_result){0};
    scale_control_init(&run.control, worker_count);
    scale_agents_init(&run.agents, worker_count);
    for (int phase = 0; phase < SCALE_PHASES; phase++)
        run_phase(&run, (enum scale_phase)phase, &ret->costs[phase]);
    ret->peak_bytes = peak_bytes() - before_bytes;
    const struct table *instances = &run.control.cluster.tables[KIND_INSTANCE];
    for (size_t i = 0; i < instances->count; i++)
        ret->running += ((struct model_instance *)instances->rows[i])->state == INSTANCE_RUNNING;
    ret->replaced = (uint64_t)instances->last_id - run.model_count * REPLICAS;
    scale_agents_fini(&run.agents);
    scale_control_fini(&run.control);
}
