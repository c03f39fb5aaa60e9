/* SPDX-License-Identifier: Apache-2.0 */
/* An explanation for people, and for programs. */
#include "base/num.h"
#include "sched/explain.h"

static void say_label(const struct place_request *request, const struct place_worker *worker,
                      struct buf *out)
{
    int at = place_mismatched_label(request->selector, worker->labels);
    const char *has = string_map_get(worker->labels, request->selector->keys[at]);
    buf_printf(out, "label %s is %s, not %s", request->selector->keys[at], has ? has : "missing",
               request->selector->values[at]);
}

static void say_memory(const struct place_worker_reason *reason, const char *of, struct buf *out)
{
    auto_free char *needs = num_format_bytes(reason->needs_bytes);
    auto_free char *has = num_format_bytes(reason->free_bytes);
    buf_printf(out, "needs %s of %s, %s free", needs, of, has);
}

/* The claims that stand in the way on the worker: the largest one of its devices. */
static void say_holder(const struct place_worker *worker, struct buf *out)
{
    const struct place_holding *largest = NULL;
    for (size_t i = 0; i < worker->device_count; i++) {
        const struct place_holding *one = place_largest_holding(worker, (int)i);
        if (one && (!largest || one->bytes > largest->bytes))
            largest = one;
    }
    if (!largest || !largest->model_name)
        return;
    auto_free char *bytes = num_format_bytes(largest->bytes);
    buf_printf(out, " (%s held by %s)", bytes, largest->model_name);
}

static void say_devices(const struct place_worker_reason *reason,
                        const struct place_request *request, const struct place_worker *worker,
                        struct buf *out)
{
    buf_printf(out, "needs %u device%s%s, %u of %zu free", reason->devices_wanted,
               reason->devices_wanted == 1 ? "" : "s",
               request->gpu_ids && request->gpu_ids->count ? " of the selected ones" : "",
               reason->devices_fit, worker->device_count);
    if (request->is_known)
        say_holder(worker, out);
}

static void say_engine(const struct place_request *request, struct buf *out)
{
    buf_printf(out, "engine %s%s%s isn't there", request->engine,
               request->engine_version ? " " : "",
               request->engine_version ? request->engine_version : "");
}

static void say_one(const struct place_worker_reason *reason, const struct place_request *request,
                    const struct place_worker *worker, struct buf *out)
{
    buf_printf(out, "%s%s: ", out->len ? "; " : "", worker->name);
    switch (reason->refusal) {
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
    case PLACE_LABEL_MISMATCH:
        say_label(request, worker, out);
        return;
    case PLACE_FAILED_BEFORE:
        buf_add_cstr(out, "failed there twice in a row");
        return;
    case PLACE_ENGINE_MISSING:
        say_engine(request, out);
        return;
    case PLACE_FILE_MISSING:
        buf_add_cstr(out, "the model's path isn't there");
        return;
    case PLACE_MEMORY_UNKNOWN:
        buf_add_cstr(out, "has not reported its memory yet");
        return;
    case PLACE_MEMORY_SHORT:
        say_memory(reason, "memory", out);
        return;
    case PLACE_DEVICES_SHORT:
        say_devices(reason, request, worker, out);
        return;
    case PLACE_DEVICES_UNFIT:
        if (worker->device_count == 0)
            buf_add_cstr(out, "has no devices");
        else
            buf_printf(out, "none of its %zu devices can run it", worker->device_count);
        return;
    case PLACE_DEVICE_MEMORY_SHORT:
        say_memory(reason, "device memory", out);
        say_holder(worker, out);
        return;
    case PLACE_WORKERS_SHORT:
        buf_printf(out, "has room for its part, but %u workers with %u devices each are needed",
                   reason->workers_wanted, reason->devices_wanted);
        return;
    }
}

void place_explain_words(const struct place_explanation *why, const struct place_view *view,
                         const struct place_request *request, struct buf *out)
{
    for (size_t i = 0; i < why->worker_count && i < PLACE_EXPLAINED_MAX; i++)
        say_one(&why->workers[i], request, &view->workers[i], out);
    if (why->worker_count > PLACE_EXPLAINED_MAX)
        buf_printf(out, "; and %zu more workers", why->worker_count - PLACE_EXPLAINED_MAX);
}

/* ---- JSON ---- */

/* How many workers are left after each filter, in the order in which they are asked. */
static void write_funnel(const struct place_explanation *why, struct json_writer *w)
{
    size_t left = why->worker_count;
    json_add_key(w, "funnel");
    json_begin_array(w);
    for (int i = PLACE_FITS + 1; i < PLACE_REFUSAL_COUNT; i++) {
        if (!why->refusals[i])
            continue;
        left -= why->refusals[i];
        json_begin_object(w);
        json_put_string(w, "filter", place_refusal_name((enum place_refusal)i));
        json_put_int(w, "refused", why->refusals[i]);
        json_put_int(w, "left", (int64_t)left);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_device(const struct place_device_reason *reason, const struct place_view *view,
                         const struct place_explanation *why, struct json_writer *w)
{
    const struct place_worker *worker = &view->workers[reason->worker];
    json_begin_object(w);
    json_put_string(w, "worker", worker->name);
    json_put_int(w, "gpu_index", worker->devices[reason->device].index);
    json_put_string(w, "code", place_device_code_name(reason->code));
    if (reason->code == PLACE_DEVICE_OF_WORKER)
        json_put_string(w, "reason", place_refusal_name(why->workers[reason->worker].refusal));
    if (reason->needs_bytes)
        json_put_int(w, "needs", (int64_t)reason->needs_bytes);
    json_put_int(w, "free", (int64_t)reason->free_bytes);
    json_put_int(w, "total", (int64_t)reason->total_bytes);
    if (reason->held_by) {
        json_put_string(w, "held_by", reason->held_by);
        json_put_int(w, "held", (int64_t)reason->held_bytes);
    }
    json_end_object(w);
}

static void write_devices(const struct place_explanation *why, const struct place_view *view,
                          bool could_be_had, size_t *left, struct json_writer *w)
{
    for (size_t i = 0; i < why->device_count && *left > 0; i++) {
        const struct place_device_reason *reason = &why->devices[i];
        bool could = reason->code != PLACE_DEVICE_OF_WORKER;
        if (could != could_be_had)
            continue;
        write_device(reason, view, why, w);
        (*left)--;
    }
}

void place_explain_write(const struct place_explanation *why, const struct place_view *view,
                         size_t devices_max, struct json_writer *w)
{
    json_put_int(w, "workers", (int64_t)why->worker_count);
    json_add_key(w, "refusals");
    json_begin_object(w);
    for (int i = PLACE_FITS + 1; i < PLACE_REFUSAL_COUNT; i++)
        if (why->refusals[i])
            json_put_int(w, place_refusal_name((enum place_refusal)i), why->refusals[i]);
    json_end_object(w);
    write_funnel(why, w);
    json_put_int(w, "device_count", (int64_t)why->device_count);
    json_add_key(w, "devices");
    json_begin_array(w);
    write_devices(why, view, true, &devices_max, w);
    write_devices(why, view, false, &devices_max, w);
    json_end_array(w);
}
