/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: which worker takes an instance, which devices it gets there, or why none does. Pure:
 * no clock, no I/O, no store; equal input gives equal output.
 *
 * This version gives out devices whole: one holds one instance. An instance that wants none takes
 * the ready worker with the fewest instances that has room in main memory. How much memory of a
 * device a model needs joins with the estimate.
 *
 *     struct place_result result = {0};
 *     if (place(&request, workers, count, &result, &reasons) == 0) ... result.ranks[0] ...
 *     place_result_fini(&result);
 */
#pragma once

#include "base/buf.h"
#include "domain/record.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLACE_EXPLAINED_MAX = 10 }; /* workers whose refusal is told one by one */

struct place_device {
    int64_t index;
    const char *type; /* "cuda"; borrowed */
    bool is_held;     /* an instance has it */
};

/* What placement sees of a worker. */
struct place_worker {
    int64_t id;
    const char *name;                /* borrowed */
    const struct string_map *labels; /* borrowed */
    bool is_ready;          /* in contact, and not in maintenance */
    bool is_in_maintenance; /* for the words of the refusal */
    uint64_t ram_total_bytes;    /* 0: not reported yet */
    uint64_t ram_reserved_bytes; /* not for engines */
    uint64_t ram_claimed_bytes;  /* sum of the claims of its instances */
    unsigned instance_count;
    struct place_device *devices; /* borrowed */
    size_t device_count;
};

struct place_request {
    const struct string_map *selector;     /* labels that the worker must have; borrowed */
    uint64_t ram_bytes;                    /* on each worker; 0: not known yet */
    size_t device_count;                   /* whole devices that it wants; 0: none */
    const struct string_list *gpu_ids;     /* only these ("worker:type:index"); empty: any */
    bool may_span;                         /* over several workers when none has enough */
    const struct int_list *avoid_worker_ids; /* borrowed; NULL: none */
};

/* Why a worker can't take it. Stable names: place_refusal_name(). */
enum place_refusal {
    PLACE_FITS,
    PLACE_WORKER_NOT_READY,
    PLACE_WORKER_IN_MAINTENANCE,
    PLACE_LABEL_MISMATCH,
    PLACE_MEMORY_UNKNOWN,
    PLACE_MEMORY_SHORT,
    PLACE_FAILED_BEFORE,  /* it is one to avoid */
    PLACE_DEVICES_SHORT,  /* fewer devices are free than it wants */
    PLACE_REFUSAL_COUNT
};

/* What it gets on one worker. */
struct place_rank {
    size_t worker; /* index in the array given to place() */
    struct int_list gpu_indexes;
};

/* Rank 0 takes the requests; more than one rank is a gang. The zero value is empty. */
struct place_result {
    struct place_rank *ranks; /* owned */
    size_t rank_count;
};

/* "label_mismatch". */
const char *place_refusal_name(enum place_refusal refusal);

/* Whether `labels` have all that `selector` asks for. */
bool place_labels_match(const struct string_map *selector, const struct string_map *labels);

/* Whether one worker fits alone. */
enum place_refusal place_fit(const struct place_request *request,
                             const struct place_worker *worker);

/*
 * 0 with what it gets in `ret`, or -1; then `reasons` (if not NULL) gets one clause a worker:
 * "node1: not ready; node2: needs 8.0 GiB of memory, 3.1 GiB free", the first PLACE_EXPLAINED_MAX
 * of them, and `refusals` (if not NULL) the number of workers by refusal.
 */
int place(const struct place_request *request, const struct place_worker *workers, size_t count,
          struct place_result *ret, struct buf *reasons, unsigned refusals[PLACE_REFUSAL_COUNT]);

/* Counts what was given out into the workers, so that the next call sees it. */
void place_take(const struct place_request *request, const struct place_result *result,
                struct place_worker *workers);

/* Frees what it owns and zeroes it. */
void place_result_fini(struct place_result *result);
