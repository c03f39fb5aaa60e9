/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/place.h"

#include "base/mem.h"
#include "sched/option_priv.h"

#include <assert.h>

static const char *const mode_names[] = {
    [PLACE_ON_DEVICES] = "on_devices",
    [PLACE_PARTLY] = "partly_on_devices",
    [PLACE_ON_PROCESSOR] = "on_processor",
    [PLACE_WHOLE] = "whole_devices",
};

static_assert(ARRAY_LEN(mode_names) == PLACE_MODE_COUNT, "every mode has a name");

const char *place_mode_name(enum place_mode mode)
{
    return mode_names[mode];
}

/* ---- ranks ---- */

static void fill_grant(const struct place_worker *on, const struct room_grant *grant,
                       struct place_rank *ret)
{
    for (size_t i = 0; i < grant->count; i++) {
        int_list_add(&ret->gpu_indexes, on->devices[grant->devices[i]].index);
        int_list_add(&ret->gpu_bytes, (int64_t)grant->bytes[i]);
    }
}

void option_fill_rank(const struct search *search, const struct option *option,
                      const struct room_want *want, struct place_rank *ret)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    struct room room;
    struct room_grant grant;
    *ret = (struct place_rank){.worker = option->worker, .ram_bytes = want->host_bytes};
    room_measure(search->board->view, search->request, on, &room);
    if (!room_grant(&room, option->device_set, want, &grant))
        assert(!"what was found once is found again");
    fill_grant(on, &grant, ret);
}

/* Devices for itself: it claims all that is free on them, or of the main memory that they share. */
static void fill_whole(const struct search *search, const struct option *option,
                       struct place_rank *ret)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    ret->ram_bytes = search->request->ram_bytes;
    uint64_t shared = place_ram_free(on) - ret->ram_bytes;
    for (uint64_t left = option->device_set; left; left &= left - 1) {
        const struct place_device *device = &on->devices[__builtin_ctzll(left)];
        uint64_t bytes = place_device_free(on, device);
        if (device->is_unified) {
            bytes = bytes < shared ? bytes : shared;
            shared -= bytes;
        }
        int_list_add(&ret->gpu_indexes, device->index);
        int_list_add(&ret->gpu_bytes, (int64_t)bytes);
    }
}

static void fill_mixed(const struct search *search, const struct option *option,
                       struct place_rank *ret)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    struct room room;
    struct room_grant grant;
    room_measure(search->board->view, search->request, on, &room);
    if (!options_split(search, &room, option->device_set, &grant, &ret->ram_bytes))
        assert(!"what was found once is found again");
    fill_grant(on, &grant, ret);
}

static void fill_profile(const struct search *search, const struct option *option,
                         struct place_result *ret)
{
    const struct estimate_profile *profile = option_profile(search, option);
    struct room_want want;
    room_want_of(profile, &want);
    option_fill_rank(search, option, &want, &ret->ranks[0]);
    ret->tensor_parallel = profile->tensor_parallel;
    ret->pipeline_parallel = profile->pipeline_parallel;
    ret->layers_offloaded = profile->layers_offloaded;
    ret->context_length = profile->context_length;
}

static void fill(const struct search *search, const struct option *option,
                 struct place_result *ret)
{
    ret->mode = option->mode;
    ret->cost = option->cost;
    ret->ranks = mem_alloc_array(1, sizeof *ret->ranks);
    ret->rank_count = 1;
    ret->ranks[0] = (struct place_rank){.worker = option->worker};
    if (option->mode == PLACE_WHOLE)
        fill_whole(search, option, &ret->ranks[0]);
    else if (option_profile(search, option))
        fill_profile(search, option, ret);
    else
        fill_mixed(search, option, &ret->ranks[0]);
}

void place_result_fini(struct place_result *result)
{
    for (size_t i = 0; i < result->rank_count; i++) {
        int_list_fini(&result->ranks[i].gpu_indexes);
        int_list_fini(&result->ranks[i].gpu_bytes);
    }
    free(result->ranks);
    *result = (struct place_result){0};
}

/* ---- devices for itself, over several workers ---- */

static size_t unused_devices(const struct search *search, size_t worker, struct room *room)
{
    room_measure(search->board->view, search->request, &search->board->view->workers[worker], room);
    if (room->ram_free == 0 || room->ram_free < search->request->ram_bytes)
        return 0;
    return (size_t)__builtin_popcountll(options_unused(search, room));
}

/* The worker that isn't used yet and has the most unused devices; -1: none has any. */
static int64_t most_devices(const struct search *search, const bool *is_used, size_t *ret_count)
{
    int64_t best = -1;
    struct room room;
    *ret_count = 0;
    for (size_t i = 0; i < search->board->view->count; i++) {
        if (is_used[i] || !search->is_open[i])
            continue;
        size_t count = unused_devices(search, i, &room);
        if (count > *ret_count) {
            best = (int64_t)i;
            *ret_count = count;
        }
    }
    return best;
}

static void add_whole_rank(const struct search *search, size_t worker, size_t count,
                           struct place_result *ret)
{
    struct room room;
    unused_devices(search, worker, &room);
    struct option option = {.worker = (uint32_t)worker, .mode = PLACE_WHOLE};
    for (uint64_t left = options_unused(search, &room); left && count > 0;
         left &= left - 1, count--)
        option.device_set |= left & -left;
    ret->ranks = mem_resize(ret->ranks, (ret->rank_count + 1) * sizeof *ret->ranks);
    struct place_rank *rank = &ret->ranks[ret->rank_count++];
    *rank = (struct place_rank){.worker = worker};
    fill_whole(search, &option, rank);
}

/* As few workers as have enough devices together: all ranks or none. */
static int whole_gang(const struct search *search, struct place_result *ret)
{
    auto_free bool *is_used =
        mem_alloc_array(search->board->view->count + 1, sizeof *is_used);
    size_t missing = search->request->device_count;
    ret->mode = PLACE_WHOLE;
    while (missing > 0 && ret->rank_count < PLACE_RANKS_MAX) {
        size_t count;
        int64_t next = most_devices(search, is_used, &count);
        if (next < 0)
            break;
        is_used[next] = true;
        add_whole_rank(search, (size_t)next, missing < count ? missing : count, ret);
        missing -= missing < count ? missing : count;
    }
    if (missing == 0)
        return 0;
    place_result_fini(ret);
    return -1;
}

/* ---- deciding ---- */

static const struct option *best_alone(struct search *search, double *ret_score)
{
    options_find(search);
    return search->request->strategy == PLACE_CHEAPEST ? options_best(search)
                                                       : strategy_best(search, ret_score);
}

/* Several workers are only for what one can't do, or not without its processor. */
static bool may_gang_be_better(const struct search *search, const struct option *best)
{
    if (search->request->strategy != PLACE_CHEAPEST)
        return !best || best->mode != PLACE_ON_DEVICES;
    return !best || best->cost.total > gang_floor();
}

/* Devices for itself: on one worker, else on several. */
static int decide_whole(struct search *search, struct place_result *ret)
{
    const struct place_request *request = search->request;
    const struct option *best = best_alone(search, &ret->score);
    if (best)
        fill(search, best, ret);
    else if (!request->may_span || request->device_count < 2 || whole_gang(search, ret) < 0)
        return -1;
    return 0;
}

/* By profiles: on one worker, or on several where that costs less. */
static int decide_by_profiles(struct search *search, struct place_result *ret)
{
    const bool is_cheapest = search->request->strategy == PLACE_CHEAPEST;
    double score = 0;
    const struct option *best = best_alone(search, &score);
    const int64_t below = best && is_cheapest ? best->cost.total : INT64_MAX;
    if (may_gang_be_better(search, best) && gang_find(search, below, ret) == 0)
        return 0;
    if (!best)
        return -1;
    fill(search, best, ret);
    ret->score = score;
    return 0;
}

static int decide(struct search *search, struct place_result *ret)
{
    const struct place_request *request = search->request;
    int rc = request->is_known ? decide_by_profiles(search, ret) : decide_whole(search, ret);
    if (rc < 0 && request->is_known && request->takes_any_devices && request->device_count > 0) {
        search->is_by_hand = true;
        rc = decide_whole(search, ret);
    }
    ret->candidates = search->options.seen;
    return rc;
}

int place(struct place_board *board, const struct place_request *request, struct place_result *ret)
{
    struct search search;
    *ret = (struct place_result){0};
    search_begin(&search, board, request);
    int rc = decide(&search, ret);
    search_end(&search);
    return rc;
}

/* ---- giving out ---- */

static void take_rank(struct place_board *board, const struct place_request *request,
                      const struct place_rank *rank, bool is_whole)
{
    struct place_view *view = board->view;
    const struct place_worker *on = &view->workers[rank->worker];
    struct place_holding holding = {.instance_id = request->instance_id,
                                    .model_id = request->model_id,
                                    .model_name = request->model_name,
                                    .device = PLACE_HOST,
                                    .bytes = rank->ram_bytes,
                                    .is_first = true};
    place_hold(view, rank->worker, &holding);
    holding.is_first = false;
    holding.is_whole = is_whole;
    for (size_t i = 0; i < rank->gpu_indexes.count; i++) {
        holding.device = place_device_at(on, rank->gpu_indexes.items[i]);
        holding.bytes = (uint64_t)rank->gpu_bytes.items[i];
        place_hold(view, rank->worker, &holding);
    }
    board_update(board, rank->worker);
}

void place_take(struct place_board *board, const struct place_request *request,
                const struct place_result *result)
{
    for (size_t r = 0; r < result->rank_count; r++)
        take_rank(board, request, &result->ranks[r], result->mode == PLACE_WHOLE);
}

void place_keep(struct place_board *board, const struct place_result *result)
{
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        const struct place_worker *on = &board->view->workers[rank->worker];
        for (size_t i = 0; i < rank->gpu_indexes.count; i++)
            place_view_keep(board->view, rank->worker,
                            place_device_at(on, rank->gpu_indexes.items[i]),
                            (uint64_t)rank->gpu_bytes.items[i]);
        place_view_keep(board->view, rank->worker, PLACE_HOST, rank->ram_bytes);
        board_update(board, rank->worker);
    }
}
