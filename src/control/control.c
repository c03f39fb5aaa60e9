/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "catalog/catalog.h"
#include "control/catalog_fit.h"
#include "control/hub_reads.h"
#include "control/learning.h"
#include "control/ledger.h"
#include "control/needs.h"
#include "control/reconcile.h"
#include "control/sampler.h"
#include "control/shapes.h"
#include "control/turn_priv.h"

enum {
    RECONCILE_PASSES_MAX = 8,
    RECONCILE_TURN_MS = 50, /* after which no further pass is begun in a turn */
    STORE_WAIT_TOLD_MS = 5000, /* a commit that takes longer is worth a word in the log */
    /* News of room are acted on at once; this is for what ends by itself: refusals, reservations,
       and memory that others free bit by bit. */
    PLACE_AGAIN_MS = 10000,
};

struct waiter {
    struct list_node node;
    void (*fn)(void *ctx);
    void *ctx;
};

/* What one turn of the loop has changed, until it is durable. */
struct turn {
    struct list_node node;
    struct control *control;  /* NULL: control is gone, what comes back only frees the turn */
    struct store_txn *txn;    /* owned until committed */
    struct list_node waiters; /* struct waiter */
    struct feed_turn feed;
    struct desired_turn desired;
    struct change_batch changes;
    int64_t sealed_ms; /* loop time at which its commit began */
    bool is_durable;
};

struct control {
    struct loop *loop;
    struct store *store;
    struct cluster cluster;
    struct feed_hub *feed;
    struct fleet *fleet;
    struct ledger *ledger;
    struct catalog *catalog;
    struct catalog_fit *catalog_fit;
    struct shapes *shapes;
    struct hub_reads *hub_reads;
    struct sampler *sampler;
    struct watch_hub *watch;
    struct http_pool *pool;
    char *cluster_token;
    uint64_t reserved_ram_bytes, reserved_vram_bytes;
    struct needs *needs; /* estimates that were made */
    struct learning *learning;
    struct turn *open;       /* turn in progress, or NULL */
    struct list_node sealed; /* turns whose commit is under way, oldest first */
    uint64_t change_count;
    bool is_waiting; /* the log tells that commits wait */
    struct dirty dirty;    /* what the reconciler must look at */
    struct int_list lost;  /* workers that are given up, ascending */
    int64_t placed_ms;     /* loop time of the last pass that tried all that have no place */
};

/* ---- turns ---- */

static void end_turn(void *arg);

static struct turn *open_turn(struct control *control)
{
    if (control->open)
        return control->open;
    struct turn *turn = mem_alloc(sizeof *turn);
    turn->control = control;
    turn->txn = store_txn_new(control->store);
    list_init(&turn->waiters);
    control->open = turn;
    loop_defer(control->loop, end_turn, turn);
    return turn;
}

static void turn_free(struct turn *turn)
{
    list_remove(&turn->node);
    LIST_FOR_EACH(struct waiter, waiter, &turn->waiters, node)
        free(waiter);
    store_txn_free(turn->txn);
    feed_turn_fini(&turn->feed);
    desired_turn_fini(&turn->desired);
    change_batch_fini(&turn->changes);
    free(turn);
}

static void release(struct turn *turn)
{
    struct control *control = turn->control;
    feed_flush(control->feed, &turn->feed);
    fleet_flush(control->fleet, &turn->desired);
    watch_flush(control->watch, &turn->changes);
    LIST_FOR_EACH(struct waiter, waiter, &turn->waiters, node) {
        list_remove(&waiter->node);
        waiter->fn(waiter->ctx);
        free(waiter);
    }
    turn_free(turn);
}

/* Lets go of the durable turns at the front, in order. */
static void release_durable(struct control *control)
{
    for (;;) {
        struct turn *turn = LIST_FIRST(&control->sealed, struct turn, node);
        if (!turn || !turn->is_durable)
            break;
        release(turn);
    }
}

static void commit_done(int rc, const char *text, void *ctx)
{
    struct turn *turn = ctx;
    if (rc < 0) {
        log_error("store", "a commit failed, control restarts from the store: %s", text);
        exit(EXIT_FAILURE);
    }
    turn->is_durable = true;
    if (turn->control)
        release_durable(turn->control);
    else
        turn_free(turn);
}

static char *make_suffix(void *ctx)
{
    (void)ctx;
    return random_text(5, "abcdefghijklmnopqrstuvwxyz0123456789");
}

static enum known known_of(const struct shape_entry *entry)
{
    switch (entry->state) {
    case SHAPE_AWAITED:
        return KNOWN_SOON;
    case SHAPE_KNOWN:
        return KNOWN_SHAPE;
    case SHAPE_UNREACHABLE:
        return KNOWN_UNREACHABLE;
    case SHAPE_MISSING:
        return KNOWN_MISSING;
    case SHAPE_UNREADABLE: /* the engine may know better */
    case SHAPE_UNASKED:
    case SHAPE_STATE_COUNT:
        break;
    }
    return KNOWN_NOT;
}

static void source_of(const struct model *model, struct need_source *ret, void *ctx)
{
    const struct control *control = ctx;
    const struct shape_entry *entry = shapes_of(control->shapes, model);
    *ret = (struct need_source){.known = known_of(entry),
                                .key = entry->key,
                                .shape = entry->shape,
                                .projector = entry->projector,
                                .message = entry->message,
                                .is_stated = entry->is_stated,
                                .absent_on = entry->is_local ? &entry->absent_on : NULL};
}

struct reconcile_env control_reconcile_env(struct control *control)
{
    return (struct reconcile_env){
        .now_ms = control_now_ms(control),
        .make_suffix = make_suffix,
        .ctx = control,
        .reserved_ram_bytes = control->reserved_ram_bytes,
        .reserved_vram_bytes = control->reserved_vram_bytes,
        .needs = control->needs,
        .source_of = source_of,
        .lost = &control->lost,
    };
}

static void run_reconciler(struct control *control, const struct reconcile_env *env)
{
    /* A pass may make work for the next (a ready count, a freed place); it settles in two or three.
     */
    const int64_t end_ms = clock_mono_ms(loop_clock(control->loop)) + RECONCILE_TURN_MS;
    for (int i = 0; dirty_has_work(&control->dirty) && i < RECONCILE_PASSES_MAX; i++) {
        if (i > 0 && clock_mono_ms(loop_clock(control->loop)) > end_ms)
            break; /* the rest is for the next turn */
        if (control->dirty.has_room_news)
            control->placed_ms = loop_now_ms(control->loop);
        reconcile(&control->cluster, env, &control->dirty);
    }
}

static void end_turn(void *arg)
{
    struct turn *turn = arg;
    struct control *control = turn->control;
    if (!control) {
        turn_free(turn);
        return;
    }
    if (shapes_settle(control->shapes, &control->dirty.models))
        control->dirty.has_room_news = true;
    const struct reconcile_env env = control_reconcile_env(control);
    learning_settle(control->learning, &control->cluster, &env);
    run_reconciler(control, &env);
    shapes_end_waits(control->shapes);
    if (shapes_take_questions_news(control->shapes))
        fleet_note_questions(control->fleet);
    watch_end_turn(control->watch);
    control->open = NULL;
    feed_end_turn(control->feed, &turn->feed);
    fleet_end_turn(control->fleet, &turn->desired);
    turn->sealed_ms = loop_now_ms(control->loop);
    list_add_tail(&control->sealed, &turn->node);
    if (store_txn_is_empty(turn->txn)) {
        turn->is_durable = true;
        release_durable(control);
    } else {
        store_txn_commit(TAKE(turn->txn), commit_done, turn);
    }
    if (dirty_has_work(&control->dirty) || shapes_have_news(control->shapes))
        control_wake(control);
}

/* ---- the cluster's sink ---- */

/* Heartbeats come by the hundred. */
static void note_heartbeat(struct control *control)
{
    if (dirty_waits(&control->dirty) &&
        loop_now_ms(control->loop) - control->placed_ms >= PLACE_AGAIN_MS)
        control->dirty.has_room_news = true;
}

void control_note_room(struct control *control)
{
    control->dirty.has_room_news = true;
}

static void note_change(struct control *control, enum kind kind, const void *record, bool durable,
                        bool is_delete)
{
    control->change_count++;
    dirty_note(&control->dirty, &control->cluster, kind, record, durable, is_delete);
    if (durable)
        shapes_note_change(control->shapes, kind);
    if (durable)
        catalog_fit_note_change(control->catalog_fit, kind);
    if (durable)
        ledger_note_change(control->ledger, kind, record, is_delete);
    if (durable && kind == KIND_INSTANCE && !is_delete)
        learning_note(control->learning, record);
    if (durable)
        fleet_note_change(control->fleet, kind, record);
    else if (kind == KIND_WORKER)
        note_heartbeat(control);
}

static void on_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    struct control *control = ctx;
    struct turn *turn = open_turn(control);
    if (durable) {
        store_txn_put(turn->txn, kind_type(kind), record);
        feed_note_put(control->feed, kind, record, &turn->feed);
    }
    watch_note_put(control->watch, &turn->changes, kind, record, durable);
    note_change(control, kind, record, durable, false);
}

static void on_delete(enum kind kind, const void *record, void *ctx)
{
    struct control *control = ctx;
    struct turn *turn = open_turn(control);
    store_txn_delete(turn->txn, kind_type(kind), record_id(record));
    feed_note_delete(control->feed, kind, record, &turn->feed);
    watch_note_delete(control->watch, &turn->changes, kind, record);
    note_change(control, kind, record, true, true);
}

static const struct cluster_sink sink = {.on_put = on_put, .on_delete = on_delete};

/* ---- loading ---- */

struct loading {
    struct cluster *cluster;
    enum kind kind;
};

static void load_row(void *record, void *ctx)
{
    struct loading *loading = ctx;
    cluster_load(loading->cluster, loading->kind, record);
}

/* A setting that is made when it is first asked for. Returns owned in `*ret`. */
static int load_setting(struct store *store, const char *name, char *(*make)(void), char **ret,
                        struct err *err)
{
    int rc = store_get_setting(store, name, ret, err);
    if (rc < 0 || *ret)
        return rc;
    *ret = make();
    return store_put_setting(store, name, *ret, err);
}

static char *make_secret(void)
{
    return random_hex(32);
}

static int load_cluster(struct control *control, struct err *err)
{
    struct cluster *cluster = &control->cluster;
    int rc = load_setting(control->store, "cluster_id", random_uuid, &cluster->id, err);
    if (rc == 0)
        rc = load_setting(control->store, "cluster_secret", make_secret, &cluster->secret, err);
    for (int kind = 0; rc == 0 && kind < KIND_COUNT; kind++) {
        struct table *table = &cluster->tables[kind];
        struct loading loading = {.cluster = cluster, .kind = (enum kind)kind};
        rc = store_load(control->store, table->type, load_row, &loading, err);
        if (rc == 0)
            rc = store_last_id(control->store, table->type, &table->last_id, err);
    }
    return rc;
}

/* ---- what models are made of ---- */

static void read_hub(const char *key, void *ctx)
{
    struct control *control = ctx;
    hub_reads_ask(control->hub_reads, key);
}

static void take_hub(struct hub_read *read, void *ctx)
{
    struct control *control = ctx;
    shapes_take_hub(control->shapes, read);
}

static void wake(void *ctx)
{
    control_wake(ctx);
}

static void start_shapes(struct control *control)
{
    const struct shapes_params params = {.loop = control->loop,
                                         .catalog = control->catalog,
                                         .cluster = &control->cluster,
                                         .read_hub = read_hub,
                                         .wake = wake,
                                         .ctx = control};
    control->hub_reads = hub_reads_new(control->loop, take_hub, control);
    control->shapes = shapes_new(&params);
}

/* Those that run teach again what they taught before the restart. */
static void note_measured(struct control *control)
{
    CLUSTER_FOR_EACH(&control->cluster, KIND_INSTANCE, struct model_instance, instance)
        learning_note(control->learning, instance);
}

int control_new(const struct control_params *params, struct control **ret, struct err *err)
{
    struct control *control = mem_alloc(sizeof *control);
    control->loop = params->loop;
    control->store = params->store;
    control->cluster_token = mem_strdup(params->cluster_token);
    control->reserved_ram_bytes = params->reserved_ram_bytes;
    control->reserved_vram_bytes = params->reserved_vram_bytes;
    list_init(&control->sealed);
    cluster_init(&control->cluster);
    int rc = load_cluster(control, err);
    if (rc == 0)
        rc = ledger_new(control, params->store, params->usage_retention_days, &control->ledger,
                        err);
    if (rc < 0) {
        cluster_fini(&control->cluster);
        mem_free_secret(control->cluster_token);
        free(control);
        return rc;
    }
    control->cluster.sink = &sink;
    control->cluster.sink_ctx = control;
    control->learning = learning_new();
    control->needs = needs_new(learning_corrections(control->learning));
    note_measured(control);
    control->catalog = catalog_new();
    control->catalog_fit = catalog_fit_new(control);
    control->pool = http_pool_new(control->loop);
    control->feed = feed_hub_new(control);
    control->fleet = fleet_new(control, params->reschedule_grace_ms);
    control->watch = watch_hub_new(control);
    control->sampler = sampler_new(control->loop, &control->cluster, params->series_path);
    start_shapes(control);
    store_start(control->store, control->loop);
    ledger_start(control->ledger);
    dirty_note_all(&control->dirty, &control->cluster);
    control_wake(control);
    *ret = control;
    return 0;
}

/* Something will still come back for each of them, from the loop or from the store. */
static void abandon_turns(struct control *control)
{
    if (control->open)
        control->open->control = NULL;
    LIST_FOR_EACH(struct turn, turn, &control->sealed, node) {
        list_remove(&turn->node);
        turn->control = NULL;
    }
}

void control_free(struct control *control)
{
    if (!control)
        return;
    feed_hub_free(control->feed);
    fleet_free(control->fleet);
    ledger_free(control->ledger);
    watch_hub_free(control->watch);
    hub_reads_free(control->hub_reads);
    sampler_free(control->sampler);
    catalog_fit_free(control->catalog_fit);
    shapes_free(control->shapes);
    catalog_free(control->catalog);
    http_pool_free(control->pool);
    needs_free(control->needs);
    learning_free(control->learning);
    abandon_turns(control);
    dirty_fini(&control->dirty);
    int_list_fini(&control->lost);
    cluster_fini(&control->cluster);
    mem_free_secret(control->cluster_token);
    free(control);
}

/* ---- access ---- */

struct cluster *control_cluster(struct control *control)
{
    return &control->cluster;
}

struct loop *control_loop(struct control *control)
{
    return control->loop;
}

struct feed_hub *control_feed(struct control *control)
{
    return control->feed;
}

struct fleet *control_fleet(struct control *control)
{
    return control->fleet;
}

struct ledger *control_ledger(struct control *control)
{
    return control->ledger;
}

struct sampler *control_sampler(struct control *control)
{
    return control->sampler;
}

struct shapes *control_shapes(struct control *control)
{
    return control->shapes;
}

const struct catalog *control_catalog(const struct control *control)
{
    return control->catalog;
}

struct catalog_fit *control_catalog_fit(struct control *control)
{
    return control->catalog_fit;
}

struct watch_hub *control_watch(struct control *control)
{
    return control->watch;
}

struct http_pool *control_pool(struct control *control)
{
    return control->pool;
}

int64_t control_now_ms(const struct control *control)
{
    return clock_wall_ms(loop_clock(control->loop));
}

const char *control_cluster_token(const struct control *control)
{
    return control->cluster_token;
}

bool control_is_cluster_token(const struct control *control, const char *token)
{
    return str_eq_const_time(str_of(control->cluster_token), str_of(token));
}

uint64_t control_change_count(const struct control *control)
{
    return control->change_count;
}

void control_when_durable(struct control *control, void (*fn)(void *ctx), void *ctx)
{
    struct waiter *waiter = mem_alloc(sizeof *waiter);
    waiter->fn = fn;
    waiter->ctx = ctx;
    list_add_tail(&open_turn(control)->waiters, &waiter->node);
}

struct store_txn *control_turn_txn(struct control *control)
{
    control->change_count++;
    return open_turn(control)->txn;
}

void control_tell_spending(struct control *control, const struct spending_line *line)
{
    feed_note_spending(control->feed, line, &open_turn(control)->feed);
}

void control_wake(struct control *control)
{
    (void)open_turn(control);
}

void control_drop_lost(struct control *control, int64_t worker_id)
{
    struct int_list *lost = &control->lost;
    size_t kept = 0;
    for (size_t i = 0; i < lost->count; i++)
        if (lost->items[i] != worker_id)
            lost->items[kept++] = lost->items[i];
    if (kept == lost->count)
        return;
    lost->count = kept;
    dirty_note_worker(&control->dirty, &control->cluster, worker_id);
}

int64_t control_store_wait_ms(const struct control *control)
{
    const struct turn *oldest = LIST_FIRST(&control->sealed, struct turn, node);
    return oldest ? loop_now_ms(control->loop) - oldest->sealed_ms : 0;
}

void control_watch_store(struct control *control)
{
    int64_t waits_ms = control_store_wait_ms(control);
    if (!control->is_waiting && waits_ms >= STORE_WAIT_TOLD_MS)
        log_warning("store",
                    "writes wait for the database since %lld s; is its disk slow or full, or does "
                    "another program hold it? Reads and inference go on",
                    (long long)waits_ms / 1000);
    else if (control->is_waiting && waits_ms < STORE_WAIT_TOLD_MS)
        log_info("store", "writes no longer wait for the database");
    control->is_waiting = waits_ms >= STORE_WAIT_TOLD_MS;
}

static bool has_id(const struct int_list *list, int64_t id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == id)
            return true;
    return false;
}

void control_set_lost(struct control *control, struct int_list *lost)
{
    struct int_list before = control->lost;
    control->lost = *lost;
    *lost = (struct int_list){0};
    for (size_t i = 0; i < before.count; i++)
        if (!has_id(&control->lost, before.items[i]))
            dirty_note_worker(&control->dirty, &control->cluster, before.items[i]);
    for (size_t i = 0; i < control->lost.count; i++)
        if (!has_id(&before, control->lost.items[i]))
            dirty_note_worker(&control->dirty, &control->cluster, control->lost.items[i]);
    int_list_fini(&before);
    if (dirty_has_work(&control->dirty))
        control_wake(control);
}
