/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/place.h"

#include "base/num.h"

#include <assert.h>

static const char *const refusal_names[] = {
    [PLACE_FITS] = "fits",
    [PLACE_WORKER_NOT_READY] = "worker_not_ready",
    [PLACE_LABEL_MISMATCH] = "label_mismatch",
    [PLACE_MEMORY_UNKNOWN] = "memory_unknown",
    [PLACE_MEMORY_SHORT] = "memory_short",
};

static_assert(ARRAY_LEN(refusal_names) == PLACE_REFUSAL_COUNT, "every refusal has a name");

const char *place_refusal_name(enum place_refusal refusal)
{
    return refusal_names[refusal];
}

static uint64_t ram_free(const struct place_worker *worker)
{
    uint64_t taken = worker->ram_reserved_bytes + worker->ram_claimed_bytes;
    return taken < worker->ram_total_bytes ? worker->ram_total_bytes - taken : 0;
}

/* First label of the selector that is missing or otherwise, or -1. */
static int mismatched_label(const struct string_map *selector, const struct string_map *labels)
{
    for (size_t i = 0; i < selector->count; i++) {
        const char *has = string_map_get(labels, selector->keys[i]);
        if (!has || strcmp(has, selector->values[i]) != 0)
            return (int)i;
    }
    return -1;
}

bool place_labels_match(const struct string_map *selector, const struct string_map *labels)
{
    return mismatched_label(selector, labels) < 0;
}

enum place_refusal place_fit(const struct place_request *request, const struct place_worker *worker)
{
    if (!worker->is_ready)
        return PLACE_WORKER_NOT_READY;
    if (!place_labels_match(request->selector, worker->labels))
        return PLACE_LABEL_MISMATCH;
    if (worker->ram_total_bytes == 0)
        return PLACE_MEMORY_UNKNOWN;
    uint64_t free_bytes = ram_free(worker);
    return free_bytes == 0 || free_bytes < request->ram_bytes ? PLACE_MEMORY_SHORT : PLACE_FITS;
}

static void explain(const struct place_request *request, const struct place_worker *worker,
                    enum place_refusal refusal, struct buf *out)
{
    if (out->len)
        buf_add_cstr(out, "; ");
    buf_printf(out, "%s: ", worker->name);
    switch (refusal) {
    case PLACE_FITS:
    case PLACE_REFUSAL_COUNT:
        buf_add_cstr(out, "fits");
        break;
    case PLACE_WORKER_NOT_READY:
        buf_add_cstr(out, "not ready");
        break;
    case PLACE_LABEL_MISMATCH: {
        int at = mismatched_label(request->selector, worker->labels);
        const char *has = string_map_get(worker->labels, request->selector->keys[at]);
        buf_printf(out, "label %s is %s, not %s", request->selector->keys[at],
                   has ? has : "missing", request->selector->values[at]);
        break;
    }
    case PLACE_MEMORY_UNKNOWN:
        buf_add_cstr(out, "has not reported its memory yet");
        break;
    case PLACE_MEMORY_SHORT: {
        auto_free char *need = num_format_bytes(request->ram_bytes);
        auto_free char *have = num_format_bytes(ram_free(worker));
        buf_printf(out, "needs %s of memory, %s free", need, have);
        break;
    }
    }
}

int place(const struct place_request *request, const struct place_worker *workers, size_t count,
          struct buf *reasons)
{
    int best = -1;
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        enum place_refusal refusal = place_fit(request, &workers[i]);
        if (refusal != PLACE_FITS) {
            if (reasons && refused++ < PLACE_EXPLAINED_MAX)
                explain(request, &workers[i], refusal, reasons);
        } else if (best < 0 || workers[i].instance_count < workers[best].instance_count) {
            best = (int)i;
        }
    }
    if (reasons && refused > PLACE_EXPLAINED_MAX)
        buf_printf(reasons, "; and %zu more", refused - PLACE_EXPLAINED_MAX);
    return best;
}
