/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/sched/: the view as the score of fragments sees it (outlook.h). A worker with devices of
 * several classes is a node for each of them.
 */
#pragma once

#include "sched/outlook.h"
#include "sched/place.h"
#include "sched/room.h"

struct place_board {
    struct place_view *view;
    struct inventory inventory;
    struct mix mix;
    struct outlook *outlook; /* NULL: no worker has devices */
    size_t *first_node;      /* by worker: its first node; `view->count` + 1 of them */
    double units;            /* of all devices */
};

/* What fragments the devices' loss would leave, in bytes; below 0 when it tidies up. */
double board_loss(struct place_board *board, size_t worker, int class, uint64_t device_set,
                  uint64_t units, uint64_t ram_bytes);

/* Follows the view after the worker's claims have changed. */
void board_update(struct place_board *board, size_t worker);
