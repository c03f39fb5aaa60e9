/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: which worker takes an instance, or why none does. Pure: no clock, no I/O, no store.
 *
 * This version takes the ready worker with the fewest instances that matches the model's labels and
 * has room in main memory; device memory joins with the estimate of what a model needs.
 */
#pragma once

#include "base/buf.h"
#include "domain/record.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLACE_EXPLAINED_MAX = 10 }; /* workers whose refusal is told one by one */

/* What placement sees of a worker. */
struct place_worker {
    int64_t id;
    const char *name;                /* borrowed */
    const struct string_map *labels; /* borrowed */
    bool is_ready;
    uint64_t ram_total_bytes;    /* 0: not reported yet */
    uint64_t ram_reserved_bytes; /* not for engines */
    uint64_t ram_claimed_bytes;  /* sum of the claims of its instances */
    unsigned instance_count;
};

struct place_request {
    const struct string_map *selector; /* labels that the worker must have; borrowed */
    uint64_t ram_bytes;                /* 0: not known yet */
};

/* Why a worker can't take it. Stable names: place_refusal_name(). */
enum place_refusal {
    PLACE_FITS,
    PLACE_WORKER_NOT_READY,
    PLACE_LABEL_MISMATCH,
    PLACE_MEMORY_UNKNOWN,
    PLACE_MEMORY_SHORT,
    PLACE_REFUSAL_COUNT
};

const char *place_refusal_name(enum place_refusal refusal);

/* Whether `labels` have all that `selector` asks for. */
bool place_labels_match(const struct string_map *selector, const struct string_map *labels);

/* Whether one worker fits. */
enum place_refusal place_fit(const struct place_request *request,
                             const struct place_worker *worker);

/*
 * Index of the chosen worker, or -1; then `reasons` (if not NULL) gets one clause a worker:
 * "node1: not ready; node2: needs 8.0 GiB of memory, 3.1 GiB free", the first PLACE_EXPLAINED_MAX
 * of them.
 */
int place(const struct place_request *request, const struct place_worker *workers, size_t count,
          struct buf *reasons);
