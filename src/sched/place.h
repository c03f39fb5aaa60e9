/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: which workers and devices an instance gets, or why none. Pure: no clock, no I/O, no
 * store; equal input gives equal output.
 *
 * What a model needs comes as profiles (estimate/profiles.h), one set for each class of devices.
 * All of them are tried on all workers, and the cheapest place wins; doc/placement.md has the cost
 * and an example by hand. An instance whose need isn't known gets devices for itself, as many as
 * its model asks for, or none.
 *
 *     struct place_board *board = place_board_new(&view, &mix);
 *     struct place_result result = {0};
 *     if (place(board, &request, &result) == 0) {
 *         ... result.ranks[0] ...
 *         place_take(board, &request, &result);
 *     } else
 *         place_explain(&view, &request, &explanation); // sched/explain.h
 *     place_result_fini(&result);
 */
#pragma once

#include "estimate/profiles.h"
#include "sched/mix.h"
#include "sched/view.h"

enum { PLACE_RANKS_MAX = 64 }; /* workers of a gang */

/* How places that fit are compared. */
enum place_strategy {
    PLACE_CHEAPEST, /* by all that counts, see struct place_cost */
    PLACE_SPREAD,   /* GPUStack's `spread`: workers and devices with the least company */
    PLACE_BINPACK,  /* GPUStack's `binpack`: the fullest that has room */
    PLACE_STRATEGY_COUNT
};

/* The ways in which the model runs on the devices of one class; none: it can't. */
struct place_ways {
    const struct estimate_profile *profiles; /* borrowed */
    size_t count;
};

struct place_request {
    int64_t instance_id; /* that gets it, for place_take(); 0: one that there isn't yet */
    int64_t model_id;
    const char *model_name;
    enum place_strategy strategy;
    /* Hard constraints. */
    const struct string_map *selector;       /* labels that the worker must have */
    const struct string_list *gpu_ids;       /* only these ("worker:type:index"); empty: any */
    size_t device_count;                     /* exactly so many; 0: as its profiles say */
    bool may_span;                           /* over several workers */
    const struct int_list *avoid_worker_ids; /* where it failed or was refused; NULL: none */
    const struct int_list *absent_on;        /* workers that don't have its local path; NULL */
    const char *engine, *engine_version;     /* that must be there; NULL: any */
    /* What it needs; without any of it, see `ram_bytes`. */
    bool is_known;
    const struct place_ways *ways;              /* by class of the view; NULL: none on any */
    const struct estimate_profile *processor;   /* on processors alone; NULL: not allowed */
    bool is_remote_first; /* profiles name other workers' devices before those of the main one */
    bool takes_any_devices; /* a number chosen by hand is had whole where no profile has it */
    /*
     * For devices that aren't alike, where the engine allows it: the bytes that it would take of
     * each, given what is free there. Negative: it can't be. NULL: all must be of a class.
     */
    int (*split)(void *ctx, const uint64_t *free_bytes, const int *classes, size_t count,
                 uint64_t *rank_bytes, uint64_t *host_bytes);
    void *ctx;
    uint64_t ram_bytes; /* of an instance whose need isn't known: what others of it took; or 0 */
    const uint32_t *start_seconds; /* per worker, until it serves there; NULL: all alike */
};

/* Why a worker can't take it, in the order in which it is asked. Stable names. */
enum place_refusal {
    PLACE_FITS,
    PLACE_WORKER_IN_MAINTENANCE,
    PLACE_WORKER_NOT_READY,
    PLACE_LABEL_MISMATCH,
    PLACE_FAILED_BEFORE,   /* it is one to avoid */
    PLACE_ENGINE_MISSING,
    PLACE_FILE_MISSING,    /* the local path isn't there */
    PLACE_MEMORY_UNKNOWN,
    PLACE_MEMORY_SHORT,
    PLACE_DEVICES_SHORT,   /* fewer devices are free than it wants */
    PLACE_DEVICES_UNFIT,   /* there are none that its engine can use */
    PLACE_DEVICE_MEMORY_SHORT,
    PLACE_WORKERS_SHORT,   /* it has room for its part, but too few workers have */
    PLACE_REFUSAL_COUNT
};

/* How an instance runs where it was placed. */
enum place_mode {
    PLACE_ON_DEVICES,
    PLACE_PARTLY,       /* some layers on devices, the others on the host */
    PLACE_ON_PROCESSOR,
    PLACE_WHOLE,        /* need not known: devices for itself, or none */
    PLACE_MODE_COUNT
};

/* Devices are by their index on the worker. */
struct place_rank {
    size_t worker; /* place in the view */
    struct int_list gpu_indexes, gpu_bytes; /* owned; in the engine's order */
    uint64_t ram_bytes;
};

/* What a place costs, in thousandths; the lowest total wins. Units: see doc/placement.md. */
struct place_cost {
    int64_t fragments; /* what it leaves useless to others */
    int64_t start;     /* time until it serves */
    int64_t links;     /* what its devices have to talk: number, stages, slow links, islands */
    int64_t company;   /* replicas of the same model that would fail together with it */
    int64_t balance;   /* how busy the worker is */
    int64_t shortage;  /* less cache than it had better have, or layers on the host */
    int64_t total;
};

/* Rank 0 takes the requests; more than one rank is a gang. The zero value is empty. */
struct place_result {
    enum place_mode mode;
    struct place_rank *ranks; /* owned */
    size_t rank_count;
    unsigned tensor_parallel, pipeline_parallel;
    uint64_t layers_offloaded, context_length;
    struct place_cost cost; /* with PLACE_CHEAPEST */
    double score;           /* with the others: higher is better */
    size_t candidates;      /* places that were compared */
};

/* Scores that survive from one decision to the next. Borrows the view. */
struct place_board;

/* `mix`: what is expected to come, not finished; empty or NULL: a prior. Returns owned. */
struct place_board *place_board_new(struct place_view *view, const struct mix *mix);
void place_board_free(struct place_board *board);

/* 0 with what it gets in `ret`, which is zeroed or finished; -1: nowhere. */
int place(struct place_board *board, const struct place_request *request,
          struct place_result *ret) must_check;

/* Counts what was given out into the view, so that the next call sees it. */
void place_take(struct place_board *board, const struct place_request *request,
                const struct place_result *result);

/*
 * Keeps what `result` takes of devices and main memory for it, as far as it is free by now: others
 * see it as taken.
 */
void place_keep(struct place_board *board, const struct place_result *result);

/* Whether one worker refuses before its devices are looked at. */
enum place_refusal place_refuse_worker(const struct place_request *request,
                                       const struct place_worker *worker);

/* Whether `labels` have all that `selector` asks for. */
bool place_labels_match(const struct string_map *selector, const struct string_map *labels);

/*
 * Bytes that each of the devices chosen by hand must have free when they are had whole; 0: any.
 * Only with `takes_any_devices`.
 */
uint64_t place_bytes_by_hand(const struct place_request *request, size_t class_count);

/* First label of the selector that is missing or otherwise, or -1. */
int place_mismatched_label(const struct string_map *selector, const struct string_map *labels);

/* Whether the request may have that device, whatever is free there. */
bool place_may_have(const struct place_request *request, const struct place_worker *worker,
                    const struct place_device *device);

/* Whether the devices that were chosen, by number or by name, leave it the processor alone. */
bool place_may_use_processor(const struct place_request *request);

/* Whether the device is among those that were chosen by name, or none were. */
bool place_is_selected(const struct place_request *request, const struct place_worker *worker,
                       const struct place_device *device);

/* "label_mismatch", "on_devices". */
const char *place_refusal_name(enum place_refusal refusal);
const char *place_mode_name(enum place_mode mode);

/* Frees what it owns and zeroes it. */
void place_result_fini(struct place_result *result);
