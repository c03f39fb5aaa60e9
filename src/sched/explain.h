/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an instance has no place: per worker the first thing that speaks against it, per device one
 * code with numbers, and a funnel of how many workers pass each filter. Pure.
 *
 *     struct place_explanation why = {0};
 *     place_explain(&view, &request, &why);
 *     place_explain_words(&why, &view, &request, &text); // "node1: needs 41 GiB of ..."
 *     place_explanation_fini(&why);
 */
#pragma once

#include "base/json.h"
#include "sched/place.h"

enum { PLACE_EXPLAINED_MAX = 10 }; /* workers whose refusal is told one by one in words */

/* What is the matter with one device. Stable names. */
enum place_device_code {
    PLACE_DEVICE_FITS,        /* it has room; others that are needed with it haven't */
    PLACE_DEVICE_OF_WORKER,   /* its worker refuses, whatever the device has */
    PLACE_DEVICE_UNHEALTHY,
    PLACE_DEVICE_NOT_SELECTED,
    PLACE_DEVICE_UNSUPPORTED, /* the engine can't use it, or the model can't run on its like */
    PLACE_DEVICE_HELD,        /* by an instance that has it for itself, or needs it for itself */
    PLACE_DEVICE_KEPT,        /* for an instance that waits in front */
    PLACE_DEVICE_SHORT,       /* too little free memory */
    PLACE_DEVICE_CODE_COUNT
};

struct place_device_reason {
    uint32_t worker;  /* place in the view */
    uint32_t device;  /* place in the worker's devices */
    enum place_device_code code;
    uint64_t needs_bytes; /* of such a device, at least, by any profile; 0: not known */
    uint64_t free_bytes, total_bytes;
    const char *held_by;  /* model with the largest claim; NULL: none; borrowed from the view */
    uint64_t held_bytes;  /* of that claim */
};

struct place_worker_reason {
    enum place_refusal refusal;
    uint64_t needs_bytes, free_bytes; /* of main memory or of its best device */
    unsigned devices_wanted, devices_fit; /* of this worker, by the way that comes nearest */
    unsigned workers_wanted;              /* by the same way */
};

struct place_explanation {
    struct place_worker_reason *workers; /* owned; as in the view */
    size_t worker_count;
    unsigned refusals[PLACE_REFUSAL_COUNT];
    struct place_device_reason *devices; /* owned; in the order of workers and devices */
    size_t device_count;
};

/* Fills in `ret`, which is zeroed or finished, for a request that place() found no place for. */
void place_explain(const struct place_view *view, const struct place_request *request,
                   struct place_explanation *ret);

/* "node1: not ready; node2: needs 8.0 GiB of memory, 3.1 GiB free", PLACE_EXPLAINED_MAX of them. */
void place_explain_words(const struct place_explanation *why, const struct place_view *view,
                         const struct place_request *request, struct buf *out);

/*
 * Members of a JSON object: "workers", "refusals", "funnel" and "devices", the first `devices_max`
 * of these, those that could be had first.
 */
void place_explain_write(const struct place_explanation *why, const struct place_view *view,
                         size_t devices_max, struct json_writer *w);

/* "memory_short". */
const char *place_device_code_name(enum place_device_code code);

/* Frees what it owns and zeroes it. */
void place_explanation_fini(struct place_explanation *why);
