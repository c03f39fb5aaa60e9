/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scale_control.h"

#include "control/desired.h"
#include "control/gangs.h"
#include "control/liveness.h"
#include "control/lost.h"
#include "control/reconcile.h"
#include "control/registration.h"
#include "control/report.h"

#include <assert.h>
#include <time.h>

enum { RECONCILE_PASSES_MAX = 8, PLACE_AGAIN_MS = 1000 };

static double cpu_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the cluster's sink ---- */

static void mark_member(struct scale_control *control, int64_t worker_id)
{
    if (worker_id)
        id_set_add(&control->dirty_members, worker_id);
}

static void mark_workers_of(struct scale_control *control, const struct model_instance *instance)
{
    mark_member(control, instance->worker_id);
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        mark_member(control, instance->subordinate_worker_ids.items[i]);
}

static void note_durable(struct scale_control *control, enum kind kind, const void *record)
{
    control->cost->rows++;
    if (kind == KIND_WORKER)
        mark_member(control, record_id(record));
    else if (kind == KIND_INSTANCE)
        mark_workers_of(control, record);
    if (kind != KIND_MODEL)
        return;
    CLUSTER_FOR_KEY(&control->cluster.instances_of_model, record_id(record), struct model_instance,
                    instance)
        mark_workers_of(control, instance);
}

static void on_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    struct scale_control *control = ctx;
    dirty_note(&control->dirty, &control->cluster, kind, record, durable, false);
    if (durable)
        note_durable(control, kind, record);
    else if (kind == KIND_WORKER && dirty_waits(&control->dirty) &&
             control->now_ms - control->placed_ms >= PLACE_AGAIN_MS)
        control->dirty.has_room_news = true;
}

static void on_delete(enum kind kind, const void *record, void *ctx)
{
    struct scale_control *control = ctx;
    dirty_note(&control->dirty, &control->cluster, kind, record, true, true);
    note_durable(control, kind, record);
}

static const struct cluster_sink sink = {.on_put = on_put, .on_delete = on_delete};

/* ---- turns ---- */

static char *make_suffix(void *ctx)
{
    struct scale_control *control = ctx;
    return mem_printf("%05u", ++control->suffixes);
}

static void run_reconciler(struct scale_control *control)
{
    struct reconcile_env env = {.now_ms = control->now_ms,
                                .make_suffix = make_suffix,
                                .ctx = control,
                                .lost = &control->lost};
    for (int i = 0; dirty_has_work(&control->dirty) && i < RECONCILE_PASSES_MAX; i++) {
        if (control->dirty.has_room_news)
            control->placed_ms = control->now_ms;
        reconcile(&control->cluster, &env, &control->dirty);
    }
}

static void write_desired(struct scale_control *control, int64_t worker_id)
{
    struct scale_member *member = &control->members[worker_id];
    if (!member->has_stream)
        return;
    struct buf instances = {0};
    desired_write(&control->cluster, worker_id, &instances);
    if (member->generation && str_eq(buf_str(&instances), buf_str(&member->desired))) {
        buf_fini(&instances);
        return;
    }
    buf_fini(&member->desired);
    member->desired = instances;
    member->generation = ++control->generation;
}

static void begin_turn(struct scale_control *control)
{
    control->turn_began_s = cpu_now_s();
}

static double end_one_turn(struct scale_control *control)
{
    run_reconciler(control);
    struct id_set members = control->dirty_members;
    control->dirty_members = (struct id_set){0};
    for (size_t i = 0; i < members.count; i++)
        write_desired(control, members.items[i]);
    id_set_fini(&members);
    double now_s = cpu_now_s(), took_s = now_s - control->turn_began_s;
    struct scale_cost *cost = control->cost;
    cost->turns++;
    cost->cpu_s += took_s;
    if (took_s > cost->longest_turn_s)
        cost->longest_turn_s = took_s;
    control->turn_began_s = now_s;
    return took_s;
}

/* What is left to do makes turns of its own. Returns the CPU time of all. */
static double end_turn(struct scale_control *control)
{
    double took_s = end_one_turn(control);
    while (dirty_has_work(&control->dirty))
        took_s += end_one_turn(control);
    return took_s;
}

/* ---- the second's tick, as fleet.c has it ---- */

static void set_lost(struct scale_control *control, struct int_list *lost)
{
    struct int_list before = control->lost;
    control->lost = *lost;
    for (size_t i = 0; i < before.count; i++)
        dirty_note_worker(&control->dirty, &control->cluster, before.items[i]);
    for (size_t i = 0; i < control->lost.count; i++)
        dirty_note_worker(&control->dirty, &control->cluster, control->lost.items[i]);
    int_list_fini(&before);
}

/* A worker is back: at once none of those that are given up. */
static void drop_lost(struct scale_control *control, int64_t worker_id)
{
    struct int_list *lost = &control->lost;
    size_t kept = 0;
    for (size_t i = 0; i < lost->count; i++)
        if (lost->items[i] != worker_id)
            lost->items[kept++] = lost->items[i];
    if (kept < lost->count)
        dirty_note_worker(&control->dirty, &control->cluster, worker_id);
    lost->count = kept;
}

static void find_lost(struct scale_control *control)
{
    auto_free struct silent_worker *silent =
        mem_alloc_array(control->worker_count + 1, sizeof *silent);
    size_t count = 0;
    CLUSTER_FOR_EACH(&control->cluster, KIND_WORKER, struct worker, worker) {
        int64_t contact_ms = control->members[worker->id].contact_ms;
        if (worker->state == WORKER_NOT_READY &&
            control->now_ms - contact_ms >= LIVENESS_SILENCE_MS)
            silent[count++] = (struct silent_worker){.id = worker->id, .contact_ms = contact_ms};
    }
    struct int_list lost = {0};
    lost_find(silent, count, control->cluster.tables[KIND_WORKER].count, SCALE_GRACE_MS,
              control->now_ms, &lost);
    bool is_same = lost.count == control->lost.count;
    for (size_t i = 0; is_same && i < lost.count; i++)
        is_same = lost.items[i] == control->lost.items[i];
    if (is_same)
        int_list_fini(&lost);
    else
        set_lost(control, &lost);
}

static void start_due_gangs(struct scale_control *control)
{
    const struct gang_env env = {.now_ms = control->now_ms, .now_mono_ms = control->now_ms};
    CLUSTER_FOR_EACH(&control->cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (!gangs_is_due(instance, &env))
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        gangs_settle(&control->cluster, &copy, &env);
        cluster_put(&control->cluster, KIND_INSTANCE, &copy, env.now_ms);
    }
}

void scale_tick(struct scale_control *control)
{
    begin_turn(control);
    CLUSTER_FOR_EACH(&control->cluster, KIND_WORKER, struct worker, worker) {
        if (liveness_is_overdue(worker, control->members[worker->id].contact_ms, control->now_ms))
            liveness_lose(&control->cluster, worker, control->now_ms);
    }
    find_lost(control);
    start_due_gangs(control);
    end_turn(control);
}

/* ---- requests ---- */

static json_t *read_body(const char *body)
{
    json_t *root;
    int rc = json_read(str_of(body), &root, NULL);
    assert(rc == 0);
    return root;
}

void scale_register(struct scale_control *control, const char *body)
{
    struct registration_env env = {
        .now_ms = control->now_ms, .make_digits = make_suffix, .ctx = control};
    struct worker *worker;
    begin_turn(control);
    auto_fini(json_release) json_t *root = read_body(body);
    int rc = registration_apply(&control->cluster, root, &env, &worker, NULL);
    assert(rc == 0 && (size_t)worker->id <= control->worker_count);
    control->members[worker->id].contact_ms = control->now_ms;
    end_turn(control);
}

void scale_subscribe(struct scale_control *control, int64_t worker_id)
{
    struct scale_member *member = &control->members[worker_id];
    begin_turn(control);
    member->has_stream = true;
    member->generation = 0;
    member->contact_ms = control->now_ms;
    mark_member(control, worker_id);
    end_turn(control);
}

void scale_report(struct scale_control *control, int64_t worker_id, const char *body)
{
    struct scale_member *member = &control->members[worker_id];
    begin_turn(control);
    auto_fini(json_release) json_t *root = read_body(body);
    struct report_env env = {.now_ms = control->now_ms,
                             .now_mono_ms = control->now_ms,
                             .is_current = member->generation &&
                                           json_member_int(root, "generation", 0) ==
                                               member->generation};
    int rc = report_apply(&control->cluster, worker_id, root, &env, NULL);
    assert(rc >= 0);
    if (rc > 0)
        control->dirty.has_room_news = true;
    member->contact_ms = control->now_ms;
    const struct worker *worker = cluster_find(&control->cluster, KIND_WORKER, worker_id);
    bool was_silent = worker->state == WORKER_NOT_READY;
    liveness_regain(&control->cluster, worker, control->now_ms);
    if (was_silent)
        drop_lost(control, worker_id);
    control->cost->report_cpu_s += end_turn(control);
    control->cost->reports++;
}

void scale_put_model(struct scale_control *control, struct model *model)
{
    begin_turn(control);
    cluster_put(&control->cluster, KIND_MODEL, model, control->now_ms);
    end_turn(control);
}

/* ---- life ---- */

void scale_control_init(struct scale_control *control, size_t worker_count)
{
    *control = (struct scale_control){.worker_count = worker_count, .now_ms = 1800000000000};
    cluster_init(&control->cluster);
    control->cluster.secret = mem_strdup("secret");
    control->cluster.sink = &sink;
    control->cluster.sink_ctx = control;
    control->members = mem_alloc_array(worker_count + 1, sizeof *control->members);
}

void scale_control_fini(struct scale_control *control)
{
    for (size_t i = 0; i <= control->worker_count; i++)
        buf_fini(&control->members[i].desired);
    free(control->members);
    id_set_fini(&control->dirty_members);
    dirty_fini(&control->dirty);
    int_list_fini(&control->lost);
    cluster_fini(&control->cluster);
}
