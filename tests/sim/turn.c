/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/turn.h"

#include "control/reconcile.h"
#include "sim/world.h"

enum { RECONCILE_PASSES_MAX = 8, PLACE_AGAIN_MS = 1000 };

static void on_turn_end(struct sim_event *event);

struct sim_turn *sim_turn_open(struct sim *sim)
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

/* ---- what leaves ---- */

struct sim_parcel *sim_turn_add(struct sim_turn *turn)
{
    struct sim_parcel *parcel = mem_alloc(sizeof *parcel);
    list_add_tail(&turn->parcels, &parcel->node);
    return parcel;
}

static void free_parcel(struct sim_parcel *parcel)
{
    list_remove(&parcel->node);
    free(parcel->text);
    free(parcel);
}

static void send_parcel(struct sim *sim, struct sim_parcel *parcel)
{
    if (parcel->fn)
        parcel->fn(sim, parcel->number);
    else if (parcel->is_line)
        net_line(parcel->to, parcel->request, parcel->text);
    else
        net_reply(parcel->to, parcel->request, 200, parcel->text);
    free_parcel(parcel);
}

void sim_turn_free(struct sim_turn *turn)
{
    if (!turn)
        return;
    list_remove(&turn->node);
    LIST_FOR_EACH(struct sim_parcel, parcel, &turn->parcels, node)
        free_parcel(parcel);
    sim_txn_free(turn->txn);
    free(turn);
}

static void release_durable(struct sim *sim)
{
    struct sim_control *control = &sim->control;
    for (;;) {
        struct sim_turn *turn = LIST_FIRST(&control->sealed, struct sim_turn, node);
        if (!turn || !turn->is_durable)
            return;
        LIST_FOR_EACH(struct sim_parcel, parcel, &turn->parcels, node)
            send_parcel(sim, parcel);
        sim_turn_free(turn);
    }
}

void sim_turn_durable(struct sim *sim, uint64_t number)
{
    LIST_FOR_EACH(struct sim_turn, turn, &sim->control.sealed, node)
        turn->is_durable = turn->is_durable || turn->number == number;
    release_durable(sim);
}

void sim_turn_when_durable(struct sim *sim, void (*fn)(struct sim *sim, int64_t number),
                           int64_t number)
{
    struct sim_parcel *parcel = sim_turn_add(sim_turn_open(sim));
    parcel->fn = fn;
    parcel->number = number;
}

/* The mistakes that let a turn's messages leave too early. */
static void sabotage_turn(struct sim *sim, struct sim_turn *turn)
{
    LIST_FOR_EACH(struct sim_parcel, parcel, &turn->parcels, node) {
        if (sim->sabotage == (parcel->is_line ? SABOTAGE_EARLY_DESIRED : SABOTAGE_EARLY_REPLY))
            send_parcel(sim, parcel);
    }
}

/* ---- the end of a turn ---- */

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

static void on_turn_end(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    struct sim_control *control = &sim->control;
    struct sim_turn *turn = control->open;
    if (!turn || turn->number != event->tag)
        return;
    run_reconciler(sim);
    sim_members_end_turn(sim, turn);
    control->open = NULL;
    sabotage_turn(sim, turn);
    list_add_tail(&control->sealed, &turn->node);
    turn->is_durable = sim_txn_is_empty(turn->txn);
    if (turn->is_durable)
        release_durable(sim);
    else
        sim_store_commit(sim, TAKE(turn->txn), turn->number);
    if (control->is_up && dirty_has_work(&control->dirty))
        (void)sim_turn_open(sim);
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

static void note_change(struct sim *sim, enum kind kind, const void *record, bool durable,
                        bool is_delete)
{
    struct sim_control *control = &sim->control;
    dirty_note(&control->dirty, &control->cluster, kind, record, durable, is_delete);
    if (durable)
        sim_members_note(control, kind, record);
    else if (kind == KIND_WORKER)
        note_heartbeat(sim);
}

static void on_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    struct sim *sim = ctx;
    struct sim_turn *turn = sim_turn_open(sim);
    if (durable)
        sim_txn_put(turn->txn, kind, record);
    if (durable && kind == KIND_INSTANCE)
        truth_instance_put(sim, record);
    note_change(sim, kind, record, durable, false);
}

static void on_delete(enum kind kind, const void *record, void *ctx)
{
    struct sim *sim = ctx;
    sim_txn_delete(sim_turn_open(sim)->txn, kind, record_id(record));
    note_change(sim, kind, record, true, true);
}

const struct cluster_sink sim_turn_sink = {.on_put = on_put, .on_delete = on_delete};
