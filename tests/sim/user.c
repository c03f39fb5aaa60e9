/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/user.h"

#include "control/liveness.h"
#include "sim/world.h"

#include <stdio.h>

static void model_name(size_t slot, char name[24])
{
    snprintf(name, 24, "m%zu", slot);
}

/* ---- changes, as api/models.c makes them ---- */

/* Returns owned; NULL when no devices are asked for. */
static char *make_selector(const struct user_model *asked)
{
    return asked->devices
               ? mem_printf("{\"gpus_per_replica\":%lld}", (long long)asked->devices)
               : NULL;
}

static void fill(struct model *model, const struct user_model *asked)
{
    auto_free char *parameter = mem_printf("--v=%u", asked->settings);
    model->replicas = asked->replicas;
    string_list_fini(&model->backend_parameters);
    string_list_add(&model->backend_parameters, parameter);
    string_map_fini(&model->worker_selector);
    if (*asked->zone)
        string_map_set(&model->worker_selector, "zone", asked->zone);
    free(model->gpu_selector);
    model->gpu_selector = make_selector(asked);
}

static void create(struct sim *sim, const char *name, const struct user_model *asked)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/models/m.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.generation = 1;
    fill(&fresh, asked);
    cluster_put(&sim->control.cluster, KIND_MODEL, &fresh, sim_wall_ms(sim));
}

static void change(struct sim *sim, const struct model *model, const struct user_model *asked)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    fill(&copy, asked);
    if (model_needs_restart(model, &copy))
        copy.generation++;
    cluster_put(&sim->control.cluster, KIND_MODEL, &copy, sim_wall_ms(sim));
}

static void on_model_durable(struct sim *sim, int64_t number)
{
    struct user_slot *slot = &sim->user.slots[number];
    slot->acknowledged = slot->asked;
    slot->is_waiting = false;
}

static void ask(struct sim *sim, size_t number, const struct user_model *asked)
{
    struct user_slot *slot = &sim->user.slots[number];
    struct cluster *cluster = &sim->control.cluster;
    char name[24];
    model_name(number, name);
    trace_note(&sim->trace, "user: %s: %s, %lld replicas, settings %u, zone \"%s\"", name,
               asked->exists ? "wanted" : "deleted", (long long)asked->replicas, asked->settings,
               asked->zone);
    slot->asked = *asked;
    slot->is_waiting = true;
    const struct model *model = cluster_model_by_name(cluster, name);
    if (!model && asked->exists)
        create(sim, name, asked);
    else if (model && asked->exists)
        change(sim, model, asked);
    else if (model)
        cluster_delete(cluster, KIND_MODEL, model->id);
    sim_turn_when_durable(sim, on_model_durable, (int64_t)number);
}

static void draw_zone(struct sim *sim, char zone[2])
{
    static const char zones[][2] = {"", "a", "b"};
    memcpy(zone, zones[rng_between(&sim->rng, 0, 2)], 2);
}

static void act_on_model(struct sim *sim)
{
    size_t number = (size_t)rng_between(&sim->rng, 0, USER_MODELS - 1);
    struct user_slot *slot = &sim->user.slots[number];
    if (slot->is_waiting)
        return;
    struct user_model asked = slot->acknowledged;
    if (!asked.exists) {
        asked = (struct user_model){.exists = true, .settings = asked.settings + 1};
        asked.replicas = rng_between(&sim->rng, 1, 3);
        draw_zone(sim, asked.zone);
        asked.devices = rng_chance(&sim->rng, 400) ? rng_between(&sim->rng, 1, 6) : 0;
    } else {
        int64_t what = rng_between(&sim->rng, 0, 9);
        asked.exists = what > 1;
        if (what >= 2 && what <= 5)
            asked.replicas = rng_between(&sim->rng, 0, 4);
        else if (what == 6)
            draw_zone(sim, asked.zone);
        else
            asked.settings++;
    }
    ask(sim, number, &asked);
}

static void on_delete_durable(struct sim *sim, int64_t number)
{
    sim->user.deleted[number].is_acknowledged = true;
}

static void delete_one(struct sim *sim, enum kind kind)
{
    const struct table *table = &sim->control.cluster.tables[kind];
    struct sim_user *user = &sim->user;
    if (!table->count || user->deleted_count == USER_DELETED_MAX)
        return;
    int64_t id = record_id(table->rows[rng_between(&sim->rng, 0, (int64_t)table->count - 1)]);
    trace_note(&sim->trace, "user: deletes %s %lld", kind_type(kind)->noun, (long long)id);
    cluster_delete(&sim->control.cluster, kind, id);
    user->deleted[user->deleted_count] = (struct user_deleted){.kind = (int)kind, .id = id};
    sim_turn_when_durable(sim, on_delete_durable, user->deleted_count++);
}

static void set_maintenance(struct sim *sim, const struct worker *worker, const char *text)
{
    struct cluster *cluster = &sim->control.cluster;
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker);
    mem_replace(&copy.maintenance, text);
    trace_note(&sim->trace, "user: maintenance of %s: %s", worker->name, text ? text : "none");
    worker = cluster_put(cluster, KIND_WORKER, &copy, sim_wall_ms(sim));
    liveness_settle(cluster, worker, sim_wall_ms(sim), false);
}

static void maintain_one(struct sim *sim)
{
    static const char *const texts[] = {NULL, "{\"enabled\":true}",
                                        "{\"enabled\":true,\"drain\":true}"};
    const struct table *table = &sim->control.cluster.tables[KIND_WORKER];
    if (!table->count)
        return;
    sim->tally->counts[TALLY_MAINTENANCE]++;
    set_maintenance(sim, table->rows[rng_between(&sim->rng, 0, (int64_t)table->count - 1)],
                    texts[rng_between(&sim->rng, 0, 2)]);
}

/* A clone of a node's machine comes up elsewhere. */
static void copy_one(struct sim *sim)
{
    const struct sim_node *node =
        &sim->nodes[rng_between(&sim->rng, 0, (int64_t)sim->node_count - 1)];
    int rc = sim_control_register_copy(sim, node);
    sim->tally->counts[TALLY_COPY_REFUSED] += rc == ERR_EXISTS;
    if (rc == 0)
        trace_fail(&sim->trace, "a copied uuid is refused", "%s was taken from another address",
                   node->name);
}

void sim_user_calm(struct sim *sim)
{
    if (!sim->control.is_up)
        return;
    CLUSTER_FOR_EACH(&sim->control.cluster, KIND_WORKER, struct worker, worker) {
        if (worker->maintenance)
            set_maintenance(sim, worker, NULL);
    }
}

void sim_user_act(struct sim *sim)
{
    if (!sim->control.is_up)
        return;
    int64_t what = rng_between(&sim->rng, 0, 12);
    if (what == 10 || what == 11)
        maintain_one(sim);
    else if (what == 12)
        copy_one(sim);
    else if (what == 0)
        delete_one(sim, KIND_WORKER);
    else if (what == 1)
        delete_one(sim, KIND_INSTANCE);
    else
        act_on_model(sim);
}

/* ---- checks ---- */

static bool is_as(const struct model *model, const struct user_model *asked)
{
    if (!model || !asked->exists)
        return !model && !asked->exists;
    auto_free char *parameter = mem_printf("--v=%u", asked->settings);
    const char *zone = string_map_get(&model->worker_selector, "zone");
    auto_free char *selector = make_selector(asked);
    if ((selector == NULL) != (model->gpu_selector == NULL) ||
        (selector && strcmp(selector, model->gpu_selector) != 0))
        return false;
    return model->replicas == asked->replicas && strcmp(zone ? zone : "", asked->zone) == 0 &&
           strcmp(model->backend_parameters.items[0], parameter) == 0;
}

static void check_slot(struct sim *sim, size_t number)
{
    struct user_slot *slot = &sim->user.slots[number];
    char name[24];
    model_name(number, name);
    const struct model *model = cluster_model_by_name(&sim->control.cluster, name);
    if (slot->is_waiting && is_as(model, &slot->asked))
        slot->acknowledged = slot->asked;
    slot->is_waiting = false;
    if (!is_as(model, &slot->acknowledged))
        trace_fail(&sim->trace, "acknowledged writes survive",
                   "model %s isn't what was acknowledged", name);
}

void sim_user_control_started(struct sim *sim)
{
    struct sim_user *user = &sim->user;
    for (size_t i = 0; i < USER_MODELS; i++)
        check_slot(sim, i);
    for (int64_t i = 0; i < user->deleted_count; i++) {
        const struct user_deleted *deleted = &user->deleted[i];
        if (deleted->is_acknowledged &&
            cluster_find(&sim->control.cluster, (enum kind)deleted->kind, deleted->id))
            trace_fail(&sim->trace, "acknowledged writes survive", "%s %lld is there again",
                       kind_type((enum kind)deleted->kind)->noun, (long long)deleted->id);
    }
}
