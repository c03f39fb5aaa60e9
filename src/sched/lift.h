/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As if some of what is held weren't there: holdings are lifted from a board, questions asked, and
 * they are put back exactly as they were. Cheaper than a second board: only workers that change are
 * looked at again. Deterministic.
 *
 *     struct place_lifted lifted = {0};
 *     place_lift_model(board, victim_id, &lifted);
 *     fits = place(board, &request, &result) == 0;
 *     place_put_back(board, &lifted);
 */
#pragma once

#include "sched/place.h"

struct place_lifted_one {
    size_t worker; /* place in the view */
    size_t at;     /* place in the worker's list when it was taken out */
    struct place_holding holding;
};

/* The zero value is empty. */
struct place_lifted {
    struct place_lifted_one *items; /* owned; in the order in which they were taken out */
    size_t count;
};

/* Takes out what instances of the model hold, and adds it to `ret`. */
void place_lift_model(struct place_board *board, int64_t model_id, struct place_lifted *ret);

/* The same of one instance; 0 is what place_take() gave to one that there isn't. */
void place_lift_instance(struct place_board *board, int64_t instance_id,
                         struct place_lifted *ret);

/* Puts all back, last taken first, and empties `lifted`. Nothing else was given out in between, or
 * was lifted again. */
void place_put_back(struct place_board *board, struct place_lifted *lifted);

/*
 * What giving it out would make useless to the demand that is expected, in bytes, by the score of
 * outlook.h; below 0 when it would tidy up. Of what was lifted, and of a place that was found.
 */
double place_lifted_loss(struct place_board *board, const struct place_lifted *lifted);
double place_result_loss(struct place_board *board, const struct place_result *result);

/* Forgets what was lifted: it stays away. */
void place_lifted_fini(struct place_lifted *lifted);
