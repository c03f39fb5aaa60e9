/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/control.h"

#include "control/desired.h"
#include "control/liveness.h"
#include "control/reconcile.h"
#include "control/registration.h"
#include "control/report.h"
#include "sim/world.h"

#include <assert.h>

enum { TICK_MS = 1000, RECONCILE_PASSES_MAX = 8, PLACE_AGAIN_MS = 1000 };

/* What leaves when its turn is durable: a call, or a reply or line for a node. */
struct parcel {
    struct list_node node;
    void (*fn)(struct sim *sim, int64_t number);
    int64_t number;
    struct sim_node *to;
    uint64_t request; /* of the reply, or the stream of the line */
    bool is_line;
    char *text; /* owned */
};

struct sim_turn {
    struct list_node node;
    uint64_t number;
    struct sim_txn *txn;
    struct list_node parcels;
    bool is_durable;
};

/* ---- turns ---- */

static void on_turn_end(struct sim_event *event);

static struct sim_turn *open_turn(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    if (control->open)
        return control->open;
    struct sim_turn *turn = mem_alloc(sizeof *turn);
    turn->number = ++control->last_turn;
    turn->txn = sim_txn_new();
    list_init(&turn->parcels);
    control->open = turn;
    events_add(&sim->events, 0, on_turn_end, sim)->tag = turn->number;
    return turn;
}

static struct parcel *add_parcel(struct sim_turn *turn)
{
    struct parcel *parcel = mem_alloc(sizeof *parcel);
    list_add_tail(&turn->parcels, &parcel->node);
    return parcel;
}

static void free_parcel(struct parcel *parcel)
{
    list_remove(&parcel->node);
    free(parcel->text);
    free(parcel);
}

static void free_turn(struct sim_turn *turn)
{
    if (!turn)
        return;
    list_remove(&turn->node);
    LIST_FOR_EACH(struct parcel, parcel, &turn->parcels, node)
        free_parcel(parcel);
    sim_txn_free(turn->txn);
    free(turn);
}

static void send_parcels(struct sim *sim, struct sim_turn *turn)
{
    LIST_FOR_EACH(struct parcel, parcel, &turn->parcels, node) {
        if (parcel->fn)
            parcel->fn(sim, parcel->number);
        else if (parcel->is_line)
            net_line(parcel->to, parcel->request, parcel->text);
        else
            net_reply(parcel->to, parcel->request, 200, parcel->text);
        free_parcel(parcel);
    }
}

/* ---- desired states ---- */

static struct sim_member *find_member(struct sim_control *control, int64_t worker_id)
{
    for (size_t i = 0; i < control->member_count; i++)
        if (control->members[i].worker_id == worker_id)
            return &control->members[i];
    return NULL;
}

static struct sim_member *get_member(struct sim *sim, int64_t worker_id)
{
    struct sim_control *control = &sim->control;
    struct sim_member *member = find_member(control, worker_id);
    if (member)
        return member;
    control->members =
        mem_resize(control->members, (control->member_count + 1) * sizeof *control->members);
    member = &control->members[control->member_count++];
    *member = (struct sim_member){.worker_id = worker_id, .contact_ms = sim->events.now_ms};
    return member;
}

static void drop_member(struct sim_control *control, struct sim_member *member)
{
    if (member->stream)
        net_close(member->node, member->stream);
    free(member->sent);
    *member = control->members[--control->member_count];
}

/* The line with what the worker shall run now, or NULL when it was told before. */
static char *compose_desired(struct sim_control *control, struct sim_member *member)
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

static void add_desired(struct sim_control *control, struct sim_turn *turn,
                        struct sim_member *member)
{
    char *line = compose_desired(control, member);
    if (!line)
        return;
    struct parcel *parcel = add_parcel(turn);
    parcel->to = member->node;
    parcel->request = member->stream;
    parcel->is_line = true;
    parcel->text = line;
}

static void drop_removed(struct sim *sim, int64_t worker_id)
{
    struct sim_member *member = find_member(&sim->control, worker_id);
    if (member)
        drop_member(&sim->control, member);
}

/* The worker was removed. */
static void add_farewell(struct sim_turn *turn, const struct sim_member *member)
{
    struct parcel *parcel = add_parcel(turn);
    parcel->fn = drop_removed;
    parcel->number = member->worker_id;
}

/* Composes what the turn has changed; it leaves with the turn. */
static void seal_desired(struct sim_control *control, struct sim_turn *turn)
{
    for (size_t i = control->member_count; i-- > 0;) {
        struct sim_member *member = &control->members[i];
        if (!member->is_dirty)
            continue;
        member->is_dirty = false;
        if (!cluster_find(&control->cluster, KIND_WORKER, member->worker_id))
            add_farewell(turn, member);
        else if (member->stream)
            add_desired(control, turn, member);
    }
}

/* ---- the end of a turn ---- */

static void release_durable(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    for (;;) {
        struct sim_turn *turn = LIST_FIRST(&control->sealed, struct sim_turn, node);
        if (!turn || !turn->is_durable)
            return;
        send_parcels(sim, turn);
        free_turn(turn);
    }
}

static char *make_suffix(void *ctx)
{
    struct sim *sim = ctx;
    return mem_printf("%05llu", (unsigned long long)(rng_next(&sim->rng) % 100000));
}

static void run_reconciler(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    struct reconcile_env env = {.now_ms = sim_wall_ms(sim),
                                .make_suffix = make_suffix,
                                .ctx = sim,
                                .lost = &control->lost};
    for (int i = 0; dirty_has_work(&control->dirty) && i < RECONCILE_PASSES_MAX; i++) {
        if (control->dirty.has_room_news)
            control->placed_ms = sim->events.now_ms;
        reconcile(&control->cluster, &env, &control->dirty);
    }
}

/* The mistakes that let a turn's messages leave too early. */
static void sabotage_turn(struct sim *sim, struct sim_turn *turn)
{
    LIST_FOR_EACH(struct parcel, parcel, &turn->parcels, node) {
        enum sabotage mistake = parcel->is_line ? SABOTAGE_EARLY_DESIRED : SABOTAGE_EARLY_REPLY;
        if (sim->sabotage != mistake)
            continue;
        if (parcel->is_line)
            net_line(parcel->to, parcel->request, parcel->text);
        else if (parcel->fn)
            parcel->fn(sim, parcel->number);
        else
            net_reply(parcel->to, parcel->request, 200, parcel->text);
        free_parcel(parcel);
    }
}

static void on_turn_end(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    struct sim_control *control = &sim->control;
    struct sim_turn *turn = control->open;
    if (!turn || turn->number != event->tag)
        return;
    run_reconciler(sim);
    seal_desired(control, turn);
    control->open = NULL;
    sabotage_turn(sim, turn);
    list_add_tail(&control->sealed, &turn->node);
    turn->is_durable = sim_txn_is_empty(turn->txn);
    if (turn->is_durable)
        release_durable(sim);
    else
        sim_store_commit(sim, TAKE(turn->txn), turn->number);
    if (control->is_up && dirty_has_work(&control->dirty))
        (void)open_turn(sim);
}

void sim_control_durable(struct sim *sim, uint64_t number)
{
    LIST_FOR_EACH(struct sim_turn, turn, &sim->control.sealed, node)
        turn->is_durable = turn->is_durable || turn->number == number;
    release_durable(sim);
}

void sim_control_when_durable(struct sim *sim, void (*fn)(struct sim *sim, int64_t number),
                              int64_t number)
{
    struct parcel *parcel = add_parcel(open_turn(sim));
    parcel->fn = fn;
    parcel->number = number;
}

/* ---- the cluster's sink ---- */

/* Heartbeats tell of free memory, for which a look a second will do. */
static void note_heartbeat(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    if (dirty_waits(&control->dirty) &&
        sim->events.now_ms - control->placed_ms >= PLACE_AGAIN_MS)
        control->dirty.has_room_news = true;
}

/* Whose desired state the change may change; models concern everybody. */
static int64_t worker_concerned(enum kind kind, const void *record)
{
    if (kind == KIND_WORKER)
        return record_id(record);
    return kind == KIND_INSTANCE ? ((const struct model_instance *)record)->worker_id : 0;
}

static void note_change(struct sim *sim, enum kind kind, const void *record, bool durable,
                        bool is_delete)
{
    struct sim_control *control = &sim->control;
    int64_t worker_id = worker_concerned(kind, record);
    dirty_note(&control->dirty, &control->cluster, kind, record, durable, is_delete);
    if (kind == KIND_WORKER && !durable)
        note_heartbeat(sim);
    for (size_t i = 0; durable && i < control->member_count; i++) {
        struct sim_member *member = &control->members[i];
        bool is_concerned = kind == KIND_MODEL || member->worker_id == worker_id;
        member->is_dirty = member->is_dirty || is_concerned;
    }
}

static void on_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    struct sim *sim = ctx;
    struct sim_turn *turn = open_turn(sim);
    if (durable)
        sim_txn_put(turn->txn, kind, record);
    if (durable && kind == KIND_INSTANCE)
        truth_instance_put(sim, record);
    note_change(sim, kind, record, durable, false);
}

static void on_delete(enum kind kind, const void *record, void *ctx)
{
    struct sim *sim = ctx;
    sim_txn_delete(open_turn(sim)->txn, kind, record_id(record));
    note_change(sim, kind, record, true, true);
}

static const struct cluster_sink sink = {.on_put = on_put, .on_delete = on_delete};

/* ---- requests ---- */

static char *make_digits(void *ctx)
{
    return make_suffix(ctx);
}

static void take_registration(struct sim *sim, struct sim_node *node, uint64_t request,
                              const json_t *body)
{
    struct sim_control *control = &sim->control;
    struct registration_env env = {
        .now_ms = sim_wall_ms(sim), .make_digits = make_digits, .ctx = sim};
    struct worker *worker;
    struct err err = {0};
    if (registration_apply(&control->cluster, body, &env, &worker, &err) < 0) {
        trace_fail(&sim->trace, "registration", "%s", err.text);
        return;
    }
    get_member(sim, worker->id)->contact_ms = sim->events.now_ms;
    struct parcel *parcel = add_parcel(open_turn(sim));
    auto_free char *token = cluster_worker_token(&control->cluster, worker);
    parcel->to = node;
    parcel->request = request;
    parcel->text = mem_printf("{\"id\":%lld,\"name\":\"%s\",\"token\":\"%s\",\"cluster_id\":\"c\"}",
                              (long long)worker->id, worker->name, token);
}

static void open_stream(struct sim *sim, struct sim_node *node, uint64_t stream,
                        const struct worker *worker)
{
    struct sim_member *member = get_member(sim, worker->id);
    if (member->stream)
        net_close(member->node, member->stream);
    member->node = node;
    member->stream = stream;
    member->generation = 0;
    member->contact_ms = sim->events.now_ms;
    member->is_dirty = true;
    (void)open_turn(sim);
}

static void take_report(struct sim *sim, struct sim_node *node, uint64_t request,
                        const struct worker *worker, const json_t *body)
{
    struct sim_member *member = get_member(sim, worker->id);
    struct report_env env = {
        .now_ms = sim_wall_ms(sim),
        .now_mono_ms = sim->events.now_ms,
        .is_current =
            member->generation != 0 && json_member_int(body, "generation", 0) == member->generation,
    };
    struct err err = {0};
    if (report_apply(&sim->control.cluster, worker->id, body, &env, &err) < 0) {
        trace_fail(&sim->trace, "report", "%s", err.text);
        return;
    }
    member->contact_ms = sim->events.now_ms;
    liveness_regain(&sim->control.cluster, worker, env.now_ms);
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
        open_stream(sim, node, request, worker);
    else
        take_report(sim, node, request, worker, body);
}

/* ---- life ---- */

static void on_tick(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    struct sim_control *control = &sim->control;
    if (event->tag != control->life)
        return;
    CLUSTER_FOR_EACH(&control->cluster, KIND_WORKER, struct worker, worker) {
        int64_t contact_ms = get_member(sim, worker->id)->contact_ms;
        if (liveness_is_overdue(worker, contact_ms, sim->events.now_ms)) {
            trace_note(&sim->trace, "control: %s is silent", worker->name);
            liveness_lose(&control->cluster, worker, sim_wall_ms(sim));
        }
    }
    events_add(&sim->events, TICK_MS, on_tick, sim)->tag = control->life;
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
    control->cluster.sink = &sink;
    control->cluster.sink_ctx = sim;
    control->generation = sim_wall_ms(sim);
    dirty_note_all(&control->dirty, &control->cluster);
    (void)open_turn(sim);
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
    free_turn(TAKE(control->open));
    LIST_FOR_EACH(struct sim_turn, turn, &control->sealed, node)
        free_turn(turn);
    for (size_t i = 0; i < control->member_count; i++)
        free(control->members[i].sent);
    free(TAKE(control->members));
    control->member_count = 0;
    dirty_fini(&control->dirty);
    int_list_fini(&control->lost);
    cluster_fini(&control->cluster);
}

void sim_control_kill(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    if (!control->is_up)
        return;
    trace_note(&sim->trace, "control: is killed");
    for (size_t i = 0; i < control->member_count; i++)
        if (control->members[i].stream)
            net_close(control->members[i].node, control->members[i].stream);
    sim_control_fini(control);
    control->life++;
    sim_store_orphan(sim);
    events_add(&sim->events, rng_between(&sim->rng, 100, 60000), on_restart, sim);
}
