/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/sched/: the places that fit, while they are compared. */
#pragma once

#include "sched/board_priv.h"

enum {
    OPTIONS_KEPT = 4096, /* of which what they leave useless is worked out */
    OPTION_MARKS = 8192, /* a power of two */
};

/* A place for an instance on one worker, or a rank of a gang. */
struct option {
    uint32_t worker;
    uint16_t profile; /* of the ways of its class */
    int8_t class;     /* -1: none, or several */
    uint8_t mode;     /* enum place_mode */
    bool is_ample;    /* it may get all that it had better have */
    uint64_t device_set;
    struct place_cost cost;
};

struct options {
    struct option *items; /* owned */
    size_t count;
    size_t seen; /* with those that were dropped */
    bool keeps_all;
    uint64_t *marks; /* owned; of those that were added, a table by hash; 0: unused */
    size_t mark_count;
};

/* One decision. */
struct search {
    struct place_board *board;
    const struct place_request *request;
    bool *is_open;     /* by worker: no hard constraint speaks against it; owned */
    unsigned *same_of; /* replicas of the model by worker, rack and zone; owned */
    unsigned *same_in_rack, *same_in_zone;
    double loss_bytes; /* what losses are measured by */
    double whole_bytes; /* that the way that takes the least of devices takes, all of it there */
    unsigned fewest_ranks[PLACE_CLASSES_MAX]; /* by class, of a way that is on devices; 0: none */
    bool is_by_hand;   /* looks for whole devices, though profiles are known */
    uint64_t worker_mark; /* of the worker that is looked at: equal ones are alike */
    struct options options;
    size_t on_devices; /* places that were found for it as a whole */
};

/* Begins and ends a decision. */
void search_begin(struct search *search, struct place_board *board,
                  const struct place_request *request);
void search_end(struct search *search);

/* Profile of an option; NULL for PLACE_WHOLE and mixed devices. */
const struct estimate_profile *option_profile(const struct search *search,
                                              const struct option *option);

/* What a profile takes of all devices beyond the way that takes the least. */
double search_more_bytes(const struct search *search, const struct estimate_profile *profile);

/* Whether the request may be met by that many devices. */
bool search_wants_devices(const struct place_request *request, unsigned devices);

/* ---- cost.c ---- */

/* All of the cost but fragments. */
void cost_of_place(const struct search *search, struct option *option);

/* A guess at those, by how much is left on the devices: for which options are looked at closely. */
void cost_guess_fragments(const struct search *search, struct option *option);

/* And those. */
void cost_of_fragments(const struct search *search, struct option *option);

/* Sets the total. */
void cost_sum(struct place_cost *cost);

/* Links of a gang: 0 in a rack, 1 in a zone, 2 anywhere. */
int64_t cost_of_distance(int level);

/* No gang costs less, fragments aside. */
int64_t gang_floor(void);

/* Negative: the first is better. Equal only for the same place. */
int option_compare(const void *one, const void *other);

/* ---- options.c ---- */

/* Sets of devices that have what is wanted of a worker, first those that give all of it. */
struct found_sets {
    size_t count;
    uint64_t device_sets[2 * PLACE_DEVICES_MAX];
    bool is_ample[2 * PLACE_DEVICES_MAX];
};
void options_sets(const struct room *room, uint64_t from, const struct room_want *want,
                  struct found_sets *ret);

/* Adds all places on single workers, whatever their mode. */
void options_find(struct search *search);

/*
 * What devices of several classes give, by the request's split(), and the host's part. False: it
 * doesn't fit so.
 */
bool options_split(const struct search *search, const struct room *room, uint64_t device_set,
                   struct room_grant *ret, uint64_t *ret_host_bytes);

/* Devices of a worker that an instance could have for itself. */
uint64_t options_unused(const struct search *search, const struct room *room);

/* Adds one; those that cost least stay. */
void options_add(struct search *search, const struct option *option);

/* The best by the request's strategy, or NULL. */
const struct option *options_best(struct search *search);

/* ---- strategy.c ---- */

/* GPUStack's score of an option; higher is better. */
const struct option *strategy_best(struct search *search, double *ret_score);

/* ---- gang.c ---- */

/* A gang that costs less than `below` in total, else -1. */
int gang_find(struct search *search, int64_t below, struct place_result *ret);

/* ---- place.c ---- */

/* Writes a rank with the devices of an option, which were found for what is wanted. */
void option_fill_rank(const struct search *search, const struct option *option,
                      const struct room_want *want, struct place_rank *ret);

