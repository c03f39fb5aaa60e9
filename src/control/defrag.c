/* SPDX-License-Identifier: Apache-2.0 */
#include "control/defrag.h"

#include "sched/lift.h"

/* A move that was tried: the new place is taken, the old one lifted. */
struct move {
    const struct model_instance *instance;
    struct place_result to;    /* owned */
    struct place_lifted from;  /* owned */
    int64_t ghost_id;          /* what holds the new place in the view */
    double gain;               /* bytes */
    uint64_t bytes;            /* that are loaded anew */
    uint32_t seconds;
    bool interrupts;           /* no other replica serves meanwhile */
    const struct model *enables; /* NULL: it only tidies up */
};

struct defrag {
    struct placing *placing;
    struct move moves[DEFRAG_MOVES_MAX];
    size_t count;
    unsigned tries_left;
    int64_t next_ghost_id;         /* below 0, each its own */
    const struct model **placed;   /* owned; waiting ones that find a place */
    size_t placed_count;
};

/* ---- asking ---- */

static bool is_answerable(const struct asking *asking)
{
    const enum known known = asking->source.known;
    bool is_by_hand = asking->wishes.device_count > 0;
    return !asking->need.error[0] && known != KNOWN_SOON &&
           (is_by_hand || (known != KNOWN_UNREACHABLE && known != KNOWN_MISSING));
}

/* A place for the asking's model; counts as a try. */
static bool find(struct defrag *defrag, struct asking *asking, struct place_result *ret)
{
    if (defrag->tries_left == 0)
        return false;
    defrag->tries_left--;
    asking->request.avoid_worker_ids = &asking->avoid;
    return is_answerable(asking) &&
           place(defrag->placing->board, &asking->request, ret) == 0;
}

/* ---- a move, and back ---- */

static unsigned ready_replicas(const struct cluster *cluster, int64_t model_id)
{
    unsigned count = 0;
    CLUSTER_FOR_KEY(&cluster->instances_of_model, model_id, struct model_instance, one)
        count += one->state == INSTANCE_RUNNING && !one->is_draining;
    return count;
}

static void avoid_own_workers(const struct model_instance *instance, struct int_list *avoid)
{
    int_list_add(avoid, instance->worker_id);
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        int_list_add(avoid, instance->subordinate_worker_ids.items[i]);
}

static uint64_t claimed_bytes(const struct place_result *result)
{
    uint64_t sum = 0;
    for (size_t r = 0; r < result->rank_count; r++)
        for (size_t i = 0; i < result->ranks[r].gpu_bytes.count; i++)
            sum += (uint64_t)result->ranks[r].gpu_bytes.items[i];
    return sum;
}

static void make_move(struct defrag *defrag, struct asking *asking, struct move *move)
{
    struct place_board *board = defrag->placing->board;
    const struct model_shape *shape = asking->source.shape;
    const uint32_t *seconds = asking->request.start_seconds;
    move->gain = -place_result_loss(board, &move->to);
    move->bytes = shape ? shape->file_bytes : claimed_bytes(&move->to);
    move->seconds = seconds ? seconds[move->to.ranks[0].worker] : 0;
    move->interrupts = ready_replicas(defrag->placing->cluster, move->instance->model_id) < 2;
    move->ghost_id = --defrag->next_ghost_id;
    asking->request.instance_id = move->ghost_id;
    place_take(board, &asking->request, &move->to);
    place_lift_instance(board, move->instance->id, &move->from);
    move->gain += place_lifted_loss(board, &move->from);
}

/* Moves it to another worker if one has room beside what runs now. */
static bool try_move(struct defrag *defrag, const struct model_instance *instance,
                     struct move *ret)
{
    const struct model *model =
        cluster_find(defrag->placing->cluster, KIND_MODEL, instance->model_id);
    struct asking asking;
    *ret = (struct move){.instance = instance};
    asking_begin(&asking, defrag->placing, model);
    asking_count_time(&asking, defrag->placing);
    avoid_own_workers(instance, &asking.avoid);
    bool is_found = find(defrag, &asking, &ret->to);
    if (is_found)
        make_move(defrag, &asking, ret);
    asking_end(&asking);
    return is_found;
}

static void move_fini(struct move *move)
{
    place_result_fini(&move->to);
    place_lifted_fini(&move->from);
}

static void undo(struct defrag *defrag, struct move *move)
{
    struct place_lifted ghost = {0};
    place_put_back(defrag->placing->board, &move->from);
    place_lift_instance(defrag->placing->board, move->ghost_id, &ghost);
    place_lifted_fini(&ghost);
    move_fini(move);
}

/* ---- what can be moved ---- */

static bool is_movable(const struct model_instance *instance)
{
    return instance->state == INSTANCE_RUNNING && !instance->is_draining &&
           instance->worker_id && instance->gpu_indexes.count > 0;
}

static bool is_moved(const struct defrag *defrag, const struct model_instance *instance)
{
    for (size_t i = 0; i < defrag->count; i++)
        if (defrag->moves[i].instance == instance)
            return true;
    return false;
}

/* Those that aren't moved yet. Returns owned. */
static const struct model_instance **movable(const struct defrag *defrag, size_t *ret_count)
{
    const struct cluster *cluster = defrag->placing->cluster;
    const struct model_instance **list =
        mem_alloc_array(cluster->tables[KIND_INSTANCE].count + 1, sizeof *list);
    *ret_count = 0;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, one) {
        if (is_movable(one) && !is_moved(defrag, one))
            list[(*ret_count)++] = one;
    }
    return list;
}

/* ---- room for one that waits ---- */

/* Whether the model finds a place now; takes it if so. */
static bool place_waiting(struct defrag *defrag, const struct model *model)
{
    struct asking asking;
    struct place_result result = {0};
    asking_begin(&asking, defrag->placing, model);
    bool is_found = find(defrag, &asking, &result);
    asking.request.instance_id = --defrag->next_ghost_id;
    if (is_found)
        place_take(defrag->placing->board, &asking.request, &result);
    place_result_fini(&result);
    asking_end(&asking);
    return is_found;
}

static bool would_fit(struct defrag *defrag, const struct model *model)
{
    bool fits = place_waiting(defrag, model);
    struct place_lifted ghost = {0};
    if (fits)
        place_lift_instance(defrag->placing->board, defrag->next_ghost_id, &ghost);
    place_lifted_fini(&ghost);
    return fits;
}

static bool is_cheaper(const struct move *a, const struct move *b)
{
    if (a->interrupts != b->interrupts)
        return b->interrupts;
    return a->bytes != b->bytes ? a->bytes < b->bytes : a->gain > b->gain;
}

static void keep(struct defrag *defrag, const struct move *move)
{
    defrag->moves[defrag->count++] = *move;
}

/* The one move that costs the least and lets the model in. Whether there is one; it is made. */
static bool by_one_move(struct defrag *defrag, const struct model *model)
{
    size_t count;
    auto_free const struct model_instance **list = movable(defrag, &count);
    struct move best = {0}, move;
    for (size_t i = 0; i < count; i++) {
        if (!try_move(defrag, list[i], &move))
            continue;
        bool is_better = would_fit(defrag, model) && (!best.instance || is_cheaper(&move, &best));
        if (is_better)
            best = move; /* its lists are freed below; only what it costs is compared */
        undo(defrag, &move);
    }
    defrag->tries_left += 2; /* those that are repeated */
    if (!best.instance || !try_move(defrag, best.instance, &move))
        return false;
    move.enables = model;
    keep(defrag, &move);
    return true;
}

/* Clears one worker, smallest first, until the model fits. Whether it does. */
static bool by_clearing(struct defrag *defrag, const struct model *model, int64_t worker_id)
{
    const size_t before = defrag->count;
    CLUSTER_FOR_KEY(&defrag->placing->cluster->instances_on_worker, worker_id,
                    struct model_instance, one) {
        struct move move;
        if (defrag->count == DEFRAG_MOVES_MAX || defrag->count - before == DEFRAG_MOVES_FOR_ONE)
            break;
        if (!is_movable(one) || is_moved(defrag, one) || !try_move(defrag, one, &move))
            continue;
        move.enables = model;
        keep(defrag, &move);
        if (would_fit(defrag, model))
            return true;
    }
    while (defrag->count > before)
        undo(defrag, &defrag->moves[--defrag->count]);
    return false;
}

static bool by_several_moves(struct defrag *defrag, const struct model *model)
{
    const struct place_view *view = &defrag->placing->view;
    for (size_t i = 0; i < view->count && defrag->tries_left > 0; i++)
        if (view->workers[i].device_count > 0 &&
            by_clearing(defrag, model, view->workers[i].id))
            return true;
    return false;
}

static void let_in(struct defrag *defrag, const struct model *model)
{
    if (defrag->count == DEFRAG_MOVES_MAX || would_fit(defrag, model))
        return; /* it doesn't wait for room */
    if (!by_one_move(defrag, model) && !by_several_moves(defrag, model))
        return;
    defrag->tries_left++;
    if (place_waiting(defrag, model))
        defrag->placed[defrag->placed_count++] = model;
}

/* ---- who waits ---- */

static bool waits(const struct model_instance *instance)
{
    return !instance->worker_id && instance->state_reason == REASON_NO_WORKER_FITS;
}

static int compare_waiting(const void *one, const void *other)
{
    const struct model *a = *(const struct model *const *)one;
    const struct model *b = *(const struct model *const *)other;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* One instance of each model that waits is let in, the most important first. */
static void let_all_in(struct defrag *defrag)
{
    const struct cluster *cluster = defrag->placing->cluster;
    auto_free const struct model **list =
        mem_alloc_array(cluster->tables[KIND_MODEL].count + 1, sizeof *list);
    size_t count = 0;
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        bool is_waiting = false;
        CLUSTER_FOR_KEY(&cluster->instances_of_model, model->id, struct model_instance, one)
            is_waiting = is_waiting || waits(one);
        if (is_waiting)
            list[count++] = model;
    }
    qsort(list, count, sizeof *list, compare_waiting);
    defrag->placed = mem_alloc_array(count + 1, sizeof *defrag->placed);
    for (size_t i = 0; i < count; i++)
        let_in(defrag, list[i]);
}

/* ---- tidying up ---- */

struct chance {
    const struct model_instance *instance;
    double worth; /* gain per byte that is loaded */
};

static int compare_chances(const void *one, const void *other)
{
    const struct chance *a = one, *b = other;
    if (a->worth != b->worth)
        return a->worth > b->worth ? -1 : 1;
    return (a->instance->id > b->instance->id) - (a->instance->id < b->instance->id);
}

/* How many devices it gets more than it had. */
static int64_t more_devices(const struct move *move)
{
    int64_t count = 0;
    for (size_t i = 0; i < move->to.rank_count; i++)
        count += (int64_t)move->to.ranks[i].gpu_indexes.count;
    for (size_t i = 0; i < move->from.count; i++)
        count -= move->from.items[i].holding.device != PLACE_HOST;
    return count;
}

/* A wider cut, for crumbs that are left here and there, isn't tidier. */
static bool is_worth_it(const struct move *move)
{
    return !move->interrupts && more_devices(move) == 0 && move->gain >= (double)DEFRAG_GAIN_MIN;
}

/* Each by itself; then they are made in that order, as far as they still gain. */
static void tidy_up(struct defrag *defrag)
{
    size_t count, found = 0;
    auto_free const struct model_instance **list = movable(defrag, &count);
    auto_free struct chance *chances = mem_alloc_array(count + 1, sizeof *chances);
    struct move move;
    for (size_t i = 0; i < count; i++) {
        if (!try_move(defrag, list[i], &move))
            continue;
        if (is_worth_it(&move))
            chances[found++] =
                (struct chance){list[i], move.gain / (double)(move.bytes ? move.bytes : 1)};
        undo(defrag, &move);
    }
    qsort(chances, found, sizeof *chances, compare_chances);
    for (size_t i = 0; i < found && defrag->count < DEFRAG_MOVES_MAX; i++) {
        defrag->tries_left++;
        if (!try_move(defrag, chances[i].instance, &move))
            continue;
        if (is_worth_it(&move))
            keep(defrag, &move);
        else
            undo(defrag, &move);
    }
}

/* ---- telling ---- */

static void write_rank(const struct defrag *defrag, size_t worker, const struct int_list *indexes,
                       struct json_writer *w)
{
    const struct place_worker *on = &defrag->placing->view.workers[worker];
    json_begin_object(w);
    json_put_string(w, "worker", on->name);
    json_put_int(w, "worker_id", on->id);
    json_add_key(w, "gpu_indexes");
    json_begin_array(w);
    for (size_t i = 0; i < indexes->count; i++)
        json_add_int(w, indexes->items[i]);
    json_end_array(w);
    json_end_object(w);
}

static void write_from(const struct defrag *defrag, const struct place_lifted *from,
                       struct json_writer *w)
{
    struct int_list indexes = {0};
    json_add_key(w, "from");
    json_begin_array(w);
    for (size_t i = 0; i < from->count; i++) {
        const struct place_lifted_one *one = &from->items[i];
        const struct place_worker *on = &defrag->placing->view.workers[one->worker];
        if (one->holding.device != PLACE_HOST)
            int_list_add(&indexes, on->devices[one->holding.device].index);
        if (i + 1 < from->count && one[1].worker == one->worker)
            continue;
        write_rank(defrag, one->worker, &indexes, w);
        int_list_fini(&indexes);
    }
    json_end_array(w);
}

static void write_to(const struct defrag *defrag, const struct place_result *to,
                     struct json_writer *w)
{
    json_add_key(w, "to");
    json_begin_array(w);
    for (size_t i = 0; i < to->rank_count; i++)
        write_rank(defrag, to->ranks[i].worker, &to->ranks[i].gpu_indexes, w);
    json_end_array(w);
}

static void write_move(const struct defrag *defrag, const struct move *move, struct json_writer *w)
{
    json_begin_object(w);
    json_put_string(w, "model", move->instance->model_name);
    json_put_string(w, "instance", move->instance->name);
    json_put_int(w, "instance_id", move->instance->id);
    write_from(defrag, &move->from, w);
    write_to(defrag, &move->to, w);
    json_put_int(w, "gain_bytes", (int64_t)move->gain);
    json_put_int(w, "load_bytes", (int64_t)move->bytes);
    json_put_int(w, "load_seconds", move->seconds);
    json_put_bool(w, "would_interrupt", move->interrupts);
    json_put_string(w, "enables", move->enables ? move->enables->name : NULL);
    json_end_object(w);
}

static void write_plan(const struct defrag *defrag, struct json_writer *w)
{
    json_add_key(w, "moves");
    json_begin_array(w);
    for (size_t i = 0; i < defrag->count; i++)
        write_move(defrag, &defrag->moves[i], w);
    json_end_array(w);
    json_add_key(w, "placed");
    json_begin_array(w);
    for (size_t i = 0; i < defrag->placed_count; i++)
        json_add_cstring(w, defrag->placed[i]->name);
    json_end_array(w);
    json_put_bool(w, "is_complete", defrag->tries_left > 0);
}

static unsigned tries_for(const struct place_view *view)
{
    unsigned tries = (unsigned)(DEFRAG_TRIES_OF_WORKERS / (view->count + 1));
    return tries < DEFRAG_TRIES_MIN   ? DEFRAG_TRIES_MIN
           : tries > DEFRAG_TRIES_MAX ? DEFRAG_TRIES_MAX
                                      : tries;
}

void defrag_write(struct placing *placing, struct json_writer *w)
{
    placing_look(placing);
    struct defrag defrag = {.placing = placing, .tries_left = tries_for(&placing->view)};
    let_all_in(&defrag);
    tidy_up(&defrag);
    write_plan(&defrag, w);
    for (size_t i = 0; i < defrag.count; i++)
        move_fini(&defrag.moves[i]);
    free(defrag.placed);
}
