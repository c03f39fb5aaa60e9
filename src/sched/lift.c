/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/lift.h"

#include "base/mem.h"
#include "sched/board_priv.h"

#include <stdlib.h>

static void note(struct place_lifted *lifted, size_t worker, size_t at,
                 const struct place_holding *holding)
{
    if ((lifted->count & (lifted->count - 1)) == 0) /* grows to the powers of two */
        lifted->items = mem_resize(lifted->items, (lifted->count ? lifted->count * 2 : 1) *
                                                      sizeof *lifted->items);
    lifted->items[lifted->count++] = (struct place_lifted_one){worker, at, *holding};
}

/* Which holdings are meant. */
struct meant {
    bool by_model;
    int64_t id;
};

static bool is_meant(const struct meant *meant, const struct place_holding *holding)
{
    return (meant->by_model ? holding->model_id : holding->instance_id) == meant->id;
}

static void lift(struct place_board *board, const struct meant *meant, struct place_lifted *ret)
{
    for (size_t i = 0; i < board->view->count; i++) {
        struct place_worker *on = &board->view->workers[i];
        const size_t before = ret->count;
        for (size_t k = on->holding_count; k-- > 0;) {
            if (!is_meant(meant, &on->holdings[k]))
                continue;
            note(ret, i, k, &on->holdings[k]);
            place_release(board->view, i, k);
        }
        if (ret->count > before)
            board_update(board, i);
    }
}

void place_lift_model(struct place_board *board, int64_t model_id, struct place_lifted *ret)
{
    lift(board, &(struct meant){.by_model = true, .id = model_id}, ret);
}

void place_lift_instance(struct place_board *board, int64_t instance_id, struct place_lifted *ret)
{
    lift(board, &(struct meant){.by_model = false, .id = instance_id}, ret);
}

void place_put_back(struct place_board *board, struct place_lifted *lifted)
{
    for (size_t i = lifted->count; i-- > 0;) {
        const struct place_lifted_one *one = &lifted->items[i];
        place_hold_at(board->view, one->worker, one->at, &one->holding);
        if (i == 0 || lifted->items[i - 1].worker != one->worker)
            board_update(board, one->worker);
    }
    place_lifted_fini(lifted);
}

/* ---- losses ---- */

/* What one worker gives. */
struct gift {
    uint64_t device_set, units, ram_bytes;
};

static void gift_add(struct gift *gift, const struct place_worker *on, int device, uint64_t bytes)
{
    if (device == PLACE_HOST) {
        gift->ram_bytes += bytes;
        return;
    }
    uint64_t left = place_device_free(on, &on->devices[device]);
    bytes = bytes < left ? bytes : left;
    gift->device_set |= UINT64_C(1) << device;
    gift->units = bytes > gift->units ? bytes : gift->units;
}

static double gift_loss(struct place_board *board, size_t worker, const struct gift *gift)
{
    if (gift->device_set == 0)
        return 0;
    const struct place_worker *on = &board->view->workers[worker];
    int class = on->devices[__builtin_ctzll(gift->device_set)].class;
    return class < 0 ? 0
                     : board_loss(board, worker, class, gift->device_set, gift->units,
                                  gift->ram_bytes);
}

double place_lifted_loss(struct place_board *board, const struct place_lifted *lifted)
{
    struct gift gift = {0};
    double loss = 0;
    for (size_t i = 0; i < lifted->count; i++) {
        const struct place_lifted_one *one = &lifted->items[i];
        gift_add(&gift, &board->view->workers[one->worker], one->holding.device,
                 one->holding.bytes);
        if (i + 1 < lifted->count && one[1].worker == one->worker)
            continue;
        loss += gift_loss(board, one->worker, &gift);
        gift = (struct gift){0};
    }
    return loss;
}

double place_result_loss(struct place_board *board, const struct place_result *result)
{
    double loss = 0;
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        const struct place_worker *on = &board->view->workers[rank->worker];
        struct gift gift = {.ram_bytes = rank->ram_bytes};
        for (size_t i = 0; i < rank->gpu_indexes.count; i++)
            gift_add(&gift, on, place_device_at(on, rank->gpu_indexes.items[i]),
                     (uint64_t)rank->gpu_bytes.items[i]);
        loss += gift_loss(board, rank->worker, &gift);
    }
    return loss;
}

void place_lifted_fini(struct place_lifted *lifted)
{
    free(lifted->items);
    *lifted = (struct place_lifted){0};
}
