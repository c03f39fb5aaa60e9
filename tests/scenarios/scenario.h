/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario as placement sees it: read from a file (README.md), played, and compared. */
#pragma once

#include "control/needs.h"
#include "tree.h"

enum {
    ENGINES_MAX = 64,   /* of all workers */
    PROFILES_MAX = 32,  /* of a request's `needs` */
};

struct scenario {
    const node *root; /* borrowed, as all texts */
    struct place_view view;
    struct place_engine engines[ENGINES_MAX];
    size_t engine_count;
    struct string_list racks, zones; /* their names; number i + 1 */
    struct needs *needs;
    /* the request */
    struct model model;
    struct model_shape shape;
    struct need_source source;
    struct need need;
    struct place_request request;
    struct place_ways ways[PLACE_CLASSES_MAX];
    struct estimate_profile profiles[PLACE_CLASSES_MAX][PROFILES_MAX], processor;
    struct string_list gpu_ids;
    struct int_list avoid, absent;
    uint32_t *start_seconds;
    size_t replicas; /* that are placed, one after the other */
};

/* Reads `cluster` into the view. */
void scenario_read_cluster(struct scenario *scenario);

/* Reads `request`: what is needed on the cluster's devices. */
void scenario_read_request(struct scenario *scenario);

/* Places what is asked for, and compares it with `expect`. */
void scenario_play(struct scenario *scenario);

/* The place of the worker with that name. */
size_t scenario_worker(const struct scenario *scenario, const node *name);
