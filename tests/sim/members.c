/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/members.h"

#include "control/desired.h"
#include "control/gangs.h"
#include "control/liveness.h"
#include "control/lost.h"
#include "sim/world.h"

static struct sim_member *find(struct sim_control *control, int64_t worker_id)
{
    for (size_t i = 0; i < control->member_count; i++)
        if (control->members[i].worker_id == worker_id)
            return &control->members[i];
    return NULL;
}

struct sim_member *sim_members_get(struct sim *sim, int64_t worker_id)
{
    struct sim_control *control = &sim->control;
    struct sim_member *member = find(control, worker_id);
    if (member)
        return member;
    control->members =
        mem_resize(control->members, (control->member_count + 1) * sizeof *control->members);
    member = &control->members[control->member_count++];
    *member = (struct sim_member){.worker_id = worker_id, .contact_ms = sim->events.now_ms};
    return member;
}

void sim_members_close(struct sim_control *control)
{
    for (size_t i = 0; i < control->member_count; i++)
        if (control->members[i].stream)
            net_close(control->members[i].node, control->members[i].stream);
}

void sim_members_fini(struct sim_control *control)
{
    for (size_t i = 0; i < control->member_count; i++)
        free(control->members[i].sent);
    free(TAKE(control->members));
    control->member_count = 0;
}

void sim_members_subscribe(struct sim *sim, struct sim_node *node, uint64_t stream,
                           const struct worker *worker)
{
    struct sim_member *member = sim_members_get(sim, worker->id);
    if (member->stream)
        net_close(member->node, member->stream);
    member->node = node;
    member->stream = stream;
    member->generation = 0;
    member->contact_ms = sim->events.now_ms;
    member->is_dirty = true;
    (void)sim_turn_open(sim);
}

/* ---- desired states ---- */

static void mark(struct sim_control *control, int64_t worker_id)
{
    struct sim_member *member = find(control, worker_id);
    if (member)
        member->is_dirty = true;
}

static void mark_workers_of(struct sim_control *control, const struct model_instance *instance)
{
    mark(control, instance->worker_id);
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        mark(control, instance->subordinate_worker_ids.items[i]);
}

void sim_members_note(struct sim_control *control, enum kind kind, const void *record)
{
    if (kind == KIND_WORKER) {
        mark(control, record_id(record));
    } else if (kind == KIND_INSTANCE) {
        mark_workers_of(control, record);
    } else if (kind == KIND_MODEL) {
        CLUSTER_FOR_KEY(&control->cluster.instances_of_model, record_id(record),
                        struct model_instance, instance)
            mark_workers_of(control, instance);
    }
}

/* The line with what the worker shall run now, or NULL when it was told before. */
static char *compose(struct sim_control *control, struct sim_member *member)
{
    struct buf instances = {0};
    desired_write(&control->cluster, member->worker_id, &instances);
    char *text = buf_take(&instances);
    if (member->generation && strcmp(text, member->sent) == 0) {
        free(text);
        return NULL;
    }
    free(member->sent);
    member->sent = text;
    member->generation = ++control->generation;
    return mem_printf("{\"generation\":%lld,\"instances\":%s}", (long long)member->generation,
                      text);
}

static void add_line(struct sim_control *control, struct sim_turn *turn, struct sim_member *member)
{
    char *line = compose(control, member);
    if (!line)
        return;
    struct sim_parcel *parcel = sim_turn_add(turn);
    parcel->to = member->node;
    parcel->request = member->stream;
    parcel->is_line = true;
    parcel->text = line;
}

/* The worker was removed. */
static void drop(struct sim *sim, int64_t worker_id)
{
    struct sim_control *control = &sim->control;
    struct sim_member *member = find(control, worker_id);
    if (!member)
        return;
    if (member->stream)
        net_close(member->node, member->stream);
    free(member->sent);
    *member = control->members[--control->member_count];
}

static void add_farewell(struct sim_turn *turn, const struct sim_member *member)
{
    struct sim_parcel *parcel = sim_turn_add(turn);
    parcel->fn = drop;
    parcel->number = member->worker_id;
}

void sim_members_end_turn(struct sim *sim, struct sim_turn *turn)
{
    struct sim_control *control = &sim->control;
    for (size_t i = control->member_count; i-- > 0;) {
        struct sim_member *member = &control->members[i];
        if (!member->is_dirty)
            continue;
        member->is_dirty = false;
        if (!cluster_find(&control->cluster, KIND_WORKER, member->worker_id))
            add_farewell(turn, member);
        else if (member->stream)
            add_line(control, turn, member);
    }
}

/* ---- giving up ---- */

static bool has_id(const struct int_list *list, int64_t id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == id)
            return true;
    return false;
}

static void note_missing(struct sim_control *control, const struct int_list *in,
                         const struct int_list *from)
{
    for (size_t i = 0; i < in->count; i++)
        if (!has_id(from, in->items[i]))
            dirty_note_worker(&control->dirty, &control->cluster, in->items[i]);
}

/* The mistakes in who is given up and when. */
static int64_t grace_ms(const struct sim *sim)
{
    return sim->sabotage == SABOTAGE_NO_GRACE ? LIVENESS_SILENCE_MS : LOST_GRACE_MS;
}

static size_t total_workers(const struct sim *sim)
{
    return sim->sabotage == SABOTAGE_GIVE_UP_MANY ? 1000
                                                  : sim->control.cluster.tables[KIND_WORKER].count;
}

void sim_members_find_lost(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    int64_t now_ms = sim->events.now_ms;
    auto_free struct silent_worker *silent =
        mem_alloc_array(control->cluster.tables[KIND_WORKER].count + 1, sizeof *silent);
    size_t count = 0;
    CLUSTER_FOR_EACH(&control->cluster, KIND_WORKER, struct worker, worker) {
        const struct sim_member *member = find(control, worker->id);
        if (worker->state == WORKER_NOT_READY && member &&
            now_ms - member->contact_ms >= LIVENESS_SILENCE_MS)
            silent[count++] =
                (struct silent_worker){.id = worker->id, .contact_ms = member->contact_ms};
    }
    struct int_list lost = {0}, before = control->lost;
    lost_find(silent, count, total_workers(sim), grace_ms(sim), now_ms, &lost);
    for (size_t i = 0; i < count; i++)
        sim->tally->counts[TALLY_HELD_BACK] += silent[i].is_held;
    control->lost = lost;
    note_missing(control, &before, &lost);
    note_missing(control, &lost, &before);
    int_list_fini(&before);
    if (dirty_has_work(&control->dirty))
        (void)sim_turn_open(sim);
}

/* ---- every second ---- */

static void check_silence(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    CLUSTER_FOR_EACH(&control->cluster, KIND_WORKER, struct worker, worker) {
        int64_t contact_ms = sim_members_get(sim, worker->id)->contact_ms;
        if (!liveness_is_overdue(worker, contact_ms, sim->events.now_ms))
            continue;
        trace_note(&sim->trace, "control: %s is silent", worker->name);
        liveness_lose(&control->cluster, worker, sim_wall_ms(sim));
    }
}

static void start_due_gangs(struct sim *sim)
{
    struct cluster *cluster = &sim->control.cluster;
    const struct gang_env env = {.now_ms = sim_wall_ms(sim), .now_mono_ms = sim->events.now_ms};
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (!gangs_is_due(instance, &env))
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        gangs_settle(cluster, &copy, &env);
        cluster_put(cluster, KIND_INSTANCE, &copy, env.now_ms);
    }
}

void sim_members_tick(struct sim *sim)
{
    check_silence(sim);
    sim_members_find_lost(sim);
    start_due_gangs(sim);
}
