/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/store.h"

#include "sim/world.h"

struct txn_row {
    struct list_node node;
    enum kind kind;
    int64_t id;
    void *record; /* owned; NULL: the row is deleted */
};

struct sim_txn *sim_txn_new(void)
{
    struct sim_txn *txn = mem_alloc(sizeof *txn);
    list_init(&txn->rows);
    return txn;
}

static void free_row(struct txn_row *row)
{
    list_remove(&row->node);
    if (row->record)
        record_fini(kind_type(row->kind), row->record);
    free(row->record);
    free(row);
}

void sim_txn_free(struct sim_txn *txn)
{
    if (!txn)
        return;
    list_remove(&txn->node);
    LIST_FOR_EACH(struct txn_row, row, &txn->rows, node)
        free_row(row);
    free(txn);
}

bool sim_txn_is_empty(const struct sim_txn *txn)
{
    return list_is_empty(&txn->rows);
}

static struct txn_row *add_row(struct sim_txn *txn, enum kind kind, int64_t id)
{
    struct txn_row *row = mem_alloc(sizeof *row);
    row->kind = kind;
    row->id = id;
    list_add_tail(&txn->rows, &row->node);
    return row;
}

/* The store keeps no transient fields: what is loaded has their defaults. */
static void drop_transient(const struct record_type *type, void *record)
{
    auto_fini(json_release) json_t *null = json_null();
    for (unsigned i = 0; i < type->field_count; i++)
        if (type->fields[i].flags & FIELD_TRANSIENT)
            (void)!record_read_field(&type->fields[i], record, null, NULL);
}

static void *stored_copy(enum kind kind, const void *record)
{
    void *copy = mem_alloc(kind_type(kind)->size);
    record_copy(kind_type(kind), copy, record);
    drop_transient(kind_type(kind), copy);
    return copy;
}

void sim_txn_put(struct sim_txn *txn, enum kind kind, const void *record)
{
    add_row(txn, kind, record_id(record))->record = stored_copy(kind, record);
}

void sim_txn_delete(struct sim_txn *txn, enum kind kind, int64_t id)
{
    add_row(txn, kind, id);
}

/* A row that is changed, yet isn't there: what made it is lost. */
static bool is_orphan(const struct table *table, const struct txn_row *row)
{
    return row->record && !table_find(table, row->id) && row->id <= table->last_id;
}

static void apply(struct sim *sim, struct sim_txn *txn)
{
    LIST_FOR_EACH(struct txn_row, row, &txn->rows, node) {
        struct table *table = &sim->store.durable.tables[row->kind];
        if (is_orphan(table, row)) {
            trace_fail(&sim->trace, "what is durable is whole", "%s %lld is changed, but not there",
                       kind_type(row->kind)->noun, (long long)row->id);
            record_fini(kind_type(row->kind), row->record);
        } else if (row->record)
            table_put(table, row->record);
        else
            table_free_row(table, table_take(table, row->id));
    }
    truth_check_durable(sim);
}

/* Nothing that came later may be written: control dies of it. */
static void fail_commit(struct sim *sim, struct sim_txn *txn)
{
    struct sim_store *store = &sim->store;
    trace_note(&sim->trace, "store: the commit of turn %llu fails", (unsigned long long)txn->turn);
    sim_txn_free(txn);
    LIST_FOR_EACH(struct sim_txn, later, &store->pending, node) {
        if (sim->sabotage == SABOTAGE_COMMIT_AFTER_FAIL)
            apply(sim, later);
        sim_txn_free(later);
    }
    sim_control_kill(sim);
}

static bool is_refused(struct sim *sim)
{
    bool is_full = sim->events.now_ms < sim->store.full_until_ms;
    bool is_unlucky = rng_chance(&sim->rng, sim->faults.mix[FAULT_COMMIT_FAILS]);
    sim->tally->counts[TALLY_STORE_FULL] += is_full;
    sim->tally->counts[TALLY_COMMIT_FAILED] += is_unlucky && !is_full;
    return is_full || is_unlucky;
}

static void on_due(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    struct sim_store *store = &sim->store;
    if (event->tag != store->epoch)
        return;
    struct sim_txn *txn = LIST_FIRST(&store->pending, struct sim_txn, node);
    if (is_refused(sim)) {
        fail_commit(sim, txn);
        return;
    }
    uint64_t turn = txn->turn;
    apply(sim, txn);
    sim_txn_free(txn);
    sim_turn_durable(sim, turn);
}

static int64_t commit_delay(struct sim *sim)
{
    bool is_slow = rng_chance(&sim->rng, sim->faults.mix[FAULT_STORE_SLOW]);
    sim->tally->counts[TALLY_STORE_SLOW] += is_slow;
    return is_slow ? rng_between(&sim->rng, 100, 5000) : rng_between(&sim->rng, 1, 20);
}

void sim_store_commit(struct sim *sim, struct sim_txn *txn, uint64_t turn)
{
    struct sim_store *store = &sim->store;
    int64_t due_ms = sim->events.now_ms + commit_delay(sim);
    if (due_ms < store->frozen_until_ms)
        due_ms = store->frozen_until_ms;
    if (due_ms < store->last_due_ms)
        due_ms = store->last_due_ms;
    store->last_due_ms = due_ms;
    txn->turn = turn;
    list_add_tail(&store->pending, &txn->node);
    events_add(&sim->events, due_ms - sim->events.now_ms, on_due, sim)->tag = store->epoch;
}

void sim_store_orphan(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    bool is_written = true;
    LIST_FOR_EACH(struct sim_txn, txn, &store->pending, node) {
        is_written = is_written && rng_chance(&sim->rng, 300);
        sim->tally->counts[TALLY_ORPHAN_WRITTEN] += is_written;
        if (is_written)
            apply(sim, txn);
        sim_txn_free(txn);
    }
    store->epoch++;
    store->last_due_ms = 0;
}

void sim_store_load(const struct sim *sim, struct cluster *cluster)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct table *from = &sim->store.durable.tables[kind];
        struct table *to = &cluster->tables[kind];
        for (size_t i = 0; i < from->count; i++) {
            cluster_load(cluster, (enum kind)kind, from->rows[i]);
        }
        if (sim->sabotage != SABOTAGE_REUSE_IDS)
            to->last_id = from->last_id;
    }
}

void sim_store_init(struct sim_store *store)
{
    cluster_init(&store->durable);
    list_init(&store->pending);
}

void sim_store_fini(struct sim_store *store)
{
    LIST_FOR_EACH(struct sim_txn, txn, &store->pending, node)
        sim_txn_free(txn);
    cluster_fini(&store->durable);
}
