/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: placement for one pass of the reconciler. What placement sees of
 * the workers is written down when it is first asked for, and follows what the pass gives out; what
 * the pass takes away comes free with the next one. Deterministic.
 */
#pragma once

#include "control/needs.h"
#include "control/reconcile.h"
#include "control/wishes.h"
#include "domain/reason.h"
#include "sched/explain.h"

enum {
    PLACING_DEVICES_TOLD = 64, /* devices in an instance's reason */
    PLACING_WAYS_OUT = 2,      /* reasons of a pass for which ways out are looked for */
    PLACING_WITHOUT_ALL = -1,     /* as if nothing ran */
    PLACING_WITHOUT_LEAVING = -2, /* as if those that drain had gone */
};

/* The zero value with `cluster` and `env` set. */
struct placing {
    struct cluster *cluster;         /* borrowed */
    const struct reconcile_env *env; /* borrowed */
    int64_t without_model_id;        /* as if it had no instances; 0: none; or one of those below */
    struct place_view view;
    struct place_engine *engines;    /* owned; of all workers */
    struct mix mix;                  /* owned; what is expected to come */
    struct place_board *board;       /* owned; NULL: not asked for yet */
    bool has_view;
    unsigned ways_out_left;          /* see PLACING_WAYS_OUT */
    int64_t refused_model_id; /* no worker takes another instance of it; 0: none */
    enum reason refused_reason;
    char *refusal;            /* why; owned */
    char *refusal_args;       /* JSON; owned */
};

void placing_fini(struct placing *placing);

/* Whether another instance of the model would find room now, besides on the workers to avoid. */
bool placing_has_room(struct placing *placing, const struct model *model,
                      const struct int_list *avoid_worker_ids);

/*
 * Gives the instance a worker and devices, several workers if it is to be a gang, or its reason to
 * wait. Puts it. Whether it was placed.
 */
bool placing_place(struct placing *placing, const struct model_instance *instance);

/* Keeps what a waiting instance could have soonest from those behind it. Whether there is such. */
bool placing_keep(struct placing *placing, const struct model_instance *instance);

/* Whether the instance, where it is, has what the model's settings ask for: labels, devices. */
bool placing_may_stay(const struct cluster *cluster, const struct model *model,
                      const struct model_instance *instance);

/* ---- between the files of placing ---- */

/* Makes view and board when there are none yet. */
void placing_look(struct placing *placing);

/* Writes the workers down. */
void placing_view_workers(struct placing *placing);

/* What is known of the model's files. */
void placing_source_of(const struct placing *placing, const struct model *model,
                       struct need_source *ret);

/* All that one decision needs of a model. */
struct asking {
    struct wishes wishes;
    struct need_source source;
    struct need need;
    struct int_list avoid;   /* owned */
    uint32_t *start_seconds; /* owned; NULL: all alike */
    struct place_request request;
};

/* Fills in `asking`; what it borrows of `placing` and `model` must stay. */
void asking_begin(struct asking *asking, struct placing *placing, const struct model *model);

/* Adds how long it takes to start on each worker; of no use to who asks only whether it fits. */
void asking_count_time(struct asking *asking, const struct placing *placing);
/* Frees what it owns. */
void asking_end(struct asking *asking);

/* What becomes of one more instance of the model, without giving anything out. */
struct placing_answer {
    struct asking asking;
    struct place_result result; /* with REASON_NONE */
    enum reason reason;
    char *words;                /* why not; owned; NULL with REASON_NONE */
};

/* Fills in `ret`, which is the caller's to free. */
/*
 * From now on the model, which is none of the cluster's, counts among what is expected to come, as
 * it would if it were deployed; the one of the last call doesn't any more.
 */
void placing_expect(struct placing *placing, const struct model *model);

/* Answers; `ret` is the caller's to free, until which it borrows from `placing`. */
void placing_ask(struct placing *placing, const struct model *model, struct placing_answer *ret);
/* Frees what it owns. */
void placing_answer_fini(struct placing_answer *answer);

/* Counts what was answered as given out, to an instance that there isn't (lift.h takes it back). */
void placing_take(struct placing *placing, const struct placing_answer *answer);

/*
 * Ranked ways in which the model would find a place, as a JSON array of {"code","message"}; each
 * was tried.
 */
void placing_write_ways_out(struct placing *placing, const struct model *model,
                            struct json_writer *w);
