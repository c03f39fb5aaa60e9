/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker reports of its instances, as worker/runner_report.c has it. */
#include "domain/instance.h"
#include "domain/reason.h"
#include "sim/runner_priv.h"

bool sim_runners_are_settled(const struct sim_runners *runners)
{
    for (size_t i = 0; i < runners->count; i++)
        if (!runners->items[i].was_probed)
            return false;
    return true;
}

static enum instance_state state_of(const struct sim_runner *runner)
{
    switch (runner->phase) {
    case PHASE_NEW:
    case PHASE_PREPARING:
    case PHASE_PREPARED:
        return INSTANCE_INITIALIZING;
    case PHASE_STARTING:
        return INSTANCE_STARTING;
    case PHASE_SERVING:
        return INSTANCE_RUNNING;
    case PHASE_STOPPING:
        return runner->stop == STOP_STALLED ? INSTANCE_ERROR : INSTANCE_INITIALIZING;
    case PHASE_FAILED:
        break;
    }
    return INSTANCE_ERROR;
}

static void write_ports(const struct sim_runner *runner, struct json_writer *w)
{
    json_put_int(w, "port", runner->ports.count ? runner->ports.first : 0);
    json_add_key(w, "ports");
    json_begin_array(w);
    for (int64_t i = 0; i < runner->ports.count; i++)
        json_add_int(w, runner->ports.first + i);
    json_end_array(w);
}

static void write_runner(const struct sim_node *node, const struct sim_runner *runner,
                         struct json_writer *w)
{
    bool is_error = state_of(runner) == INSTANCE_ERROR;
    json_begin_object(w);
    json_put_int(w, "id", runner->id);
    if (node->sim->sabotage != SABOTAGE_ANY_GENERATION)
        json_put_int(w, "model_generation", runner->what.generation);
    json_put_string(w, "state", instance_state_name(state_of(runner)));
    json_put_string(w, "state_reason", reason_name(is_error ? REASON_ENGINE_EXITED : REASON_NONE));
    json_put_string(w, "state_message", is_error ? "it has ended" : "");
    json_put_int(w, "pid", runner->start);
    write_ports(runner, w);
    json_put_int(w, "failures", runner->failures);
    json_put_bool(w, "drained",
                  runner->is_draining && !runner->start && runner->phase != PHASE_PREPARING);
    json_put_int(w, "rank", runner->what.rank);
    json_put_int(w, "gang_epoch", runner->what.epoch);
    json_put_bool(w, "prepared", runner->phase == PHASE_PREPARED || runner->start);
    json_put_int(w, "restart_count", runner->restart_count);
    json_add_key(w, "last_restart_time");
    json_add_time(w, runner->last_restart_ms);
    json_end_object(w);
}

void sim_runners_write_report(const struct sim_node *node, struct json_writer *w)
{
    json_begin_array(w);
    for (size_t i = 0; i < node->runners.count; i++)
        write_runner(node, &node->runners.items[i], w);
    json_end_array(w);
}
