/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "sched/place_priv.h"

#include <assert.h>

static const char *const refusal_names[] = {
    [PLACE_FITS] = "fits",
    [PLACE_WORKER_NOT_READY] = "worker_not_ready",
    [PLACE_WORKER_IN_MAINTENANCE] = "worker_in_maintenance",
    [PLACE_LABEL_MISMATCH] = "label_mismatch",
    [PLACE_MEMORY_UNKNOWN] = "memory_unknown",
    [PLACE_MEMORY_SHORT] = "memory_short",
    [PLACE_FAILED_BEFORE] = "failed_before",
    [PLACE_DEVICES_SHORT] = "devices_short",
};

static_assert(ARRAY_LEN(refusal_names) == PLACE_REFUSAL_COUNT, "every refusal has a name");

const char *place_refusal_name(enum place_refusal refusal)
{
    return refusal_names[refusal];
}

static void explain_one(const struct place_request *request, const struct place_worker *worker,
                        enum place_refusal refusal, struct buf *out)
{
    buf_printf(out, "%s%s: ", out->len ? "; " : "", worker->name);
    switch (refusal) {
    case PLACE_FITS:
    case PLACE_REFUSAL_COUNT:
        buf_add_cstr(out, "fits");
        return;
    case PLACE_WORKER_NOT_READY:
        buf_add_cstr(out, "not ready");
        return;
    case PLACE_WORKER_IN_MAINTENANCE:
        buf_add_cstr(out, "in maintenance");
        return;
    case PLACE_LABEL_MISMATCH: {
        int at = place_mismatched_label(request->selector, worker->labels);
        const char *has = string_map_get(worker->labels, request->selector->keys[at]);
        buf_printf(out, "label %s is %s, not %s", request->selector->keys[at],
                   has ? has : "missing", request->selector->values[at]);
        return;
    }
    case PLACE_MEMORY_UNKNOWN:
        buf_add_cstr(out, "has not reported its memory yet");
        return;
    case PLACE_MEMORY_SHORT: {
        auto_free char *need = num_format_bytes(request->ram_bytes);
        auto_free char *have = num_format_bytes(place_ram_free(worker));
        buf_printf(out, "needs %s of memory, %s free", need, have);
        return;
    }
    case PLACE_FAILED_BEFORE:
        buf_add_cstr(out, "failed there twice in a row");
        return;
    case PLACE_DEVICES_SHORT:
        buf_printf(out, "needs %zu devices%s, %zu of %zu free", request->device_count,
                   request->gpu_ids && request->gpu_ids->count ? " of the selected ones" : "",
                   place_devices_free(request, worker), worker->device_count);
        return;
    }
}

void place_explain(const struct place_request *request, const struct place_worker *workers,
                   size_t count, struct buf *reasons, unsigned *refusals)
{
    for (size_t i = 0; i < count; i++) {
        enum place_refusal refusal = place_fit(request, &workers[i]);
        if (reasons && i < PLACE_EXPLAINED_MAX)
            explain_one(request, &workers[i], refusal, reasons);
        if (refusals)
            refusals[refusal]++;
    }
    if (reasons && count > PLACE_EXPLAINED_MAX)
        buf_printf(reasons, "; and %zu more", count - PLACE_EXPLAINED_MAX);
}
