/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/control.h"

#include "control/liveness.h"
#include "control/registration.h"
#include "control/report.h"
#include "sim/world.h"

#include <assert.h>

enum { TICK_MS = 1000 };

/* ---- requests ---- */

static char *make_digits(void *ctx)
{
    struct sim *sim = ctx;
    return mem_printf("%05llu", (unsigned long long)(rng_next(&sim->rng) % 100000));
}

static int apply_registration(struct sim *sim, const json_t *body, struct worker **ret,
                              struct err *err)
{
    struct registration_env env = {
        .now_ms = sim_wall_ms(sim), .make_digits = make_digits, .ctx = sim};
    return registration_apply(&sim->control.cluster, body, &env, ret, err);
}

static void take_registration(struct sim *sim, struct sim_node *node, uint64_t request,
                              const json_t *body)
{
    struct worker *worker;
    struct err err = {0};
    if (apply_registration(sim, body, &worker, &err) < 0) {
        trace_fail(&sim->trace, "registration", "%s", err.text);
        return;
    }
    struct sim_member *member = sim_members_get(sim, worker->id);
    int64_t after = member->order.session + 1;
    member->order.session = sim_wall_ms(sim) > after ? sim_wall_ms(sim) : after;
    member->order.seq = 0;
    member->contact_ms = sim->events.now_ms;
    truth_heard(sim, worker->id);
    auto_free char *token = cluster_worker_token(&sim->control.cluster, worker);
    struct sim_parcel *parcel = sim_turn_add(sim_turn_open(sim));
    parcel->to = node;
    parcel->request = request;
    parcel->text = mem_printf("{\"id\":%lld,\"name\":\"%s\",\"token\":\"%s\",\"cluster_id\":\"c\","
                              "\"session\":%lld}",
                              (long long)worker->id, worker->name, token,
                              (long long)member->order.session);
}

int sim_control_register_copy(struct sim *sim, const struct sim_node *node)
{
    struct sim_control *control = &sim->control;
    const struct worker *known = cluster_worker_by_uuid(&control->cluster, node->name);
    if (!control->is_up || !known || known->state == WORKER_NOT_READY)
        return -1;
    bool is_same = sim->sabotage == SABOTAGE_TAKE_COPIES;
    auto_fini(json_release) json_t *body = json_pack(
        "{s:s,s:s,s:s,s:i}", "name", node->name, "worker_uuid", node->name, "ip",
        is_same ? known->ip : "10.9.9.9", "port", 10150);
    struct worker *worker;
    return apply_registration(sim, body, &worker, NULL);
}

static void take_report(struct sim *sim, struct sim_node *node, uint64_t request,
                        const struct worker *worker, const json_t *body)
{
    struct sim_member *member = sim_members_get(sim, worker->id);
    enum report_age age = report_age(&member->order, body);
    if (sim->sabotage == SABOTAGE_LATE_REPORTS)
        age = REPORT_NEW;
    sim->tally->counts[TALLY_REPORT_STALE] += age != REPORT_NEW;
    if (age != REPORT_NEW) {
        net_reply(node, request, age == REPORT_FORSAKEN ? 401 : 204, "");
        return;
    }
    struct report_env env = {
        .now_ms = sim_wall_ms(sim),
        .now_mono_ms = sim->events.now_ms,
        .is_current =
            member->generation != 0 && json_member_int(body, "generation", 0) == member->generation,
    };
    struct err err = {0};
    int rc = report_apply(&sim->control.cluster, worker->id, body, &env, &err);
    if (rc < 0) {
        trace_fail(&sim->trace, "report", "%s", err.text);
        return;
    }
    if (rc > 0)
        sim->control.dirty.has_room_news = true;
    member->contact_ms = sim->events.now_ms;
    truth_heard(sim, worker->id);
    bool was_silent = worker->state == WORKER_NOT_READY;
    liveness_regain(&sim->control.cluster, worker, env.now_ms);
    if (was_silent)
        sim_members_find_lost(sim);
    net_reply(node, request, 204, "");
}

void sim_control_request(struct sim *sim, struct sim_node *node, int64_t kind, uint64_t request,
                         const struct sim_event *event)
{
    struct sim_control *control = &sim->control;
    const struct worker *worker = NULL;
    if (control->is_up && kind != REQUEST_REGISTER)
        worker = cluster_worker_by_token(&control->cluster, event->bearer);
    if (!control->is_up || (kind != REQUEST_REGISTER && !worker)) {
        net_reply(node, request, control->is_up ? 401 : 503, "");
        return;
    }
    auto_fini(json_release) json_t *body = NULL;
    int rc = event->text ? json_read(str_of(event->text), &body, NULL) : 0;
    assert(rc == 0);
    if (kind == REQUEST_REGISTER)
        take_registration(sim, node, request, body);
    else if (kind == REQUEST_STREAM)
        sim_members_subscribe(sim, node, request, worker);
    else
        take_report(sim, node, request, worker, body);
    if (kind == REQUEST_STREAM)
        truth_heard(sim, worker->id);
}

/* ---- life ---- */

static void on_tick(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    if (event->tag != sim->control.life)
        return;
    sim_members_tick(sim);
    events_add(&sim->events, TICK_MS, on_tick, sim)->tag = event->tag;
}

void sim_control_start(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    uint64_t life = control->life + 1, last_turn = control->last_turn;
    *control = (struct sim_control){.is_up = true, .life = life, .last_turn = last_turn};
    list_init(&control->sealed);
    cluster_init(&control->cluster);
    control->cluster.id = mem_strdup("cluster");
    control->cluster.secret = mem_strdup("secret");
    sim_store_load(sim, &control->cluster);
    if (sim->sabotage == SABOTAGE_FORGET_DEVICES)
        CLUSTER_FOR_EACH(&control->cluster, KIND_INSTANCE, struct model_instance, instance)
            int_list_fini(&instance->gpu_indexes);
    control->cluster.sink = &sim_turn_sink;
    control->cluster.sink_ctx = sim;
    control->generation = sim_wall_ms(sim);
    dirty_note_all(&control->dirty, &control->cluster);
    (void)sim_turn_open(sim);
    events_add(&sim->events, TICK_MS, on_tick, sim)->tag = life;
    trace_note(&sim->trace, "control: starts");
    truth_control_started(sim);
    sim_user_control_started(sim);
}

static void on_restart(struct sim_event *event)
{
    sim_control_start(event->ctx);
}

void sim_control_fini(struct sim_control *control)
{
    if (!control->is_up)
        return;
    control->is_up = false;
    sim_turn_free(TAKE(control->open));
    LIST_FOR_EACH(struct sim_turn, turn, &control->sealed, node)
        sim_turn_free(turn);
    sim_members_fini(control);
    dirty_fini(&control->dirty);
    int_list_fini(&control->lost);
    cluster_fini(&control->cluster);
}

void sim_control_kill(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    if (!control->is_up)
        return;
    sim->tally->counts[TALLY_CONTROL_KILLED]++;
    trace_note(&sim->trace, "control: is killed");
    sim_members_close(control);
    sim_control_fini(control);
    control->life++;
    sim_store_orphan(sim);
    events_add(&sim->events, rng_between(&sim->rng, 100, 60000), on_restart, sim);
}
