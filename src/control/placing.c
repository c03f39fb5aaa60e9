/* SPDX-License-Identifier: Apache-2.0 */
#include "control/placing.h"

#include "control/states.h"
#include "control/wishes.h"
#include "domain/gang.h"

#include <assert.h>

/* ---- what placement sees ---- */

/* Main memory that an instance holds, by placement's word or as its worker has measured; or 0. */
static uint64_t claimed_ram(const struct model_instance *instance)
{
    const char *text = instance->computed_resource_claim ? instance->computed_resource_claim
                                                         : instance->measured_claim;
    struct resource_claim claim = {0};
    if (!text || claim_read(str_of(text), &claim, NULL) < 0)
        return 0;
    uint64_t ram = claim.ram_bytes;
    claim_fini(&claim);
    return ram;
}

/* The view of the worker with that id, or NULL; the views are in the order of ids. */
static struct place_worker *find_view(const struct placing *placing, int64_t id)
{
    size_t low = 0, high = placing->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (placing->views[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < placing->count && placing->views[low].id == id ? &placing->views[low] : NULL;
}

static void hold_devices(struct place_worker *view, const struct int_list *indexes)
{
    for (size_t i = 0; i < indexes->count; i++)
        for (size_t k = 0; k < view->device_count; k++)
            if (view->devices[k].index == indexes->items[i])
                view->devices[k].is_held = true;
}

static void count_rank(const struct placing *placing, int64_t worker_id,
                       const struct int_list *indexes, uint64_t ram_bytes)
{
    struct place_worker *view = find_view(placing, worker_id);
    if (!view)
        return;
    view->instance_count++;
    view->ram_claimed_bytes += ram_bytes;
    hold_devices(view, indexes);
}

static void count_instance(const struct placing *placing, const struct model_instance *instance)
{
    uint64_t ram = claimed_ram(instance);
    count_rank(placing, instance->worker_id, &instance->gpu_indexes, ram);
    if (!instance_is_gang(instance))
        return;
    struct gang gang = {0};
    if (gang_read(instance->distributed_servers, &gang, NULL) == 0)
        for (size_t i = 1; i < gang.rank_count; i++)
            count_rank(placing, gang.ranks[i].worker_id, &gang.ranks[i].gpu_indexes, ram);
    gang_fini(&gang);
}

static size_t view_devices(const struct worker *worker, struct place_device *devices)
{
    for (size_t i = 0; i < worker->device_indexes.count; i++)
        devices[i] = (struct place_device){.index = worker->device_indexes.items[i],
                                           .type = worker->device_types.items[i]};
    return worker->device_indexes.count;
}

static struct place_device *make_device_space(const struct table *workers)
{
    size_t devices = 0;
    for (size_t i = 0; i < workers->count; i++)
        devices += ((const struct worker *)workers->rows[i])->device_indexes.count;
    return mem_alloc_array(devices + 1, sizeof(struct place_device));
}

static void view_workers(struct placing *placing)
{
    if (placing->views)
        return;
    const struct table *table = &placing->cluster->tables[KIND_WORKER];
    placing->views = mem_alloc_array(table->count + 1, sizeof *placing->views);
    placing->devices = make_device_space(table);
    placing->count = table->count;
    struct place_device *devices = placing->devices;
    for (size_t i = 0; i < table->count; i++) {
        const struct worker *worker = table->rows[i];
        struct place_worker *view = &placing->views[i];
        *view = (struct place_worker){.id = worker->id,
                                      .name = worker->name,
                                      .labels = &worker->labels,
                                      .is_ready = worker->state == WORKER_READY,
                                      .is_in_maintenance = worker->state == WORKER_MAINTENANCE,
                                      .ram_total_bytes = (uint64_t)worker->memory_total,
                                      .ram_reserved_bytes = placing->env->reserved_ram_bytes,
                                      .devices = devices};
        view->device_count = view_devices(worker, devices);
        devices += view->device_count;
    }
    CLUSTER_FOR_EACH(placing->cluster, KIND_INSTANCE, struct model_instance, instance)
        count_instance(placing, instance);
}

void placing_fini(struct placing *placing)
{
    free(placing->views);
    free(placing->devices);
    free(placing->refusal);
    free(placing->refusal_args);
}

/* ---- choosing ---- */

/* The largest claim that a worker has measured for an instance of this model; 0 when none has. */
static uint64_t known_claim(const struct cluster *cluster, int64_t model_id)
{
    uint64_t claim = 0;
    CLUSTER_FOR_KEY(&cluster->instances_of_model, model_id, struct model_instance, instance) {
        uint64_t ram = claimed_ram(instance);
        claim = ram > claim ? ram : claim;
    }
    return claim;
}

static struct place_request request_for(const struct placing *placing, const struct model *model,
                                        const struct wishes *wishes)
{
    return (struct place_request){.selector = &model->worker_selector,
                                  .ram_bytes = known_claim(placing->cluster, model->id),
                                  .device_count = wishes->device_count,
                                  .gpu_ids = &wishes->gpu_ids,
                                  .may_span = model->distributed_inference_across_workers};
}

static char *refusal_text(const struct placing *placing, const struct buf *reasons)
{
    return placing->count ? mem_printf("no worker fits: %s", reasons->ptr)
                          : mem_strdup("no worker has joined yet");
}

bool placing_has_room(struct placing *placing, const struct model *model,
                      const struct int_list *avoid_worker_ids)
{
    view_workers(placing);
    struct wishes wishes = wishes_of(model);
    struct place_request request = request_for(placing, model, &wishes);
    request.avoid_worker_ids = avoid_worker_ids;
    struct place_result result = {0};
    bool fits = place(&request, placing->views, placing->count, &result, NULL, NULL) == 0;
    place_result_fini(&result);
    wishes_fini(&wishes);
    return fits;
}

char *placing_refusal(struct placing *placing, const struct model *model)
{
    view_workers(placing);
    struct wishes wishes = wishes_of(model);
    struct place_request request = request_for(placing, model, &wishes);
    struct place_result result = {0};
    struct buf reasons = {0};
    bool fits = place(&request, placing->views, placing->count, &result, &reasons, NULL) == 0;
    char *why = fits ? NULL : refusal_text(placing, &reasons);
    place_result_fini(&result);
    buf_fini(&reasons);
    wishes_fini(&wishes);
    return why;
}

static char *refusal_args(size_t workers, const unsigned refusals[PLACE_REFUSAL_COUNT])
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    json_put_int(&w, "workers", (int64_t)workers);
    json_add_key(&w, "refusals");
    json_begin_object(&w);
    for (int i = PLACE_FITS + 1; i < PLACE_REFUSAL_COUNT; i++)
        if (refusals[i])
            json_put_int(&w, place_refusal_name((enum place_refusal)i), refusals[i]);
    json_end_object(&w);
    json_end_object(&w);
    return buf_take(&text);
}

static void note_refusal(struct placing *placing, const struct model *model,
                         const struct buf *reasons, const unsigned refusals[PLACE_REFUSAL_COUNT])
{
    free(placing->refusal);
    free(placing->refusal_args);
    placing->refusal = refusal_text(placing, reasons);
    placing->refusal_args = refusal_args(placing->count, refusals);
    placing->refused_model_id = model->id;
}

/* Where the instance goes: elsewhere than it failed if possible. 0, or -1 with the refusal noted.
 */
static int choose(struct placing *placing, const struct model *model,
                  const struct model_instance *instance, struct place_result *ret)
{
    if (placing->refused_model_id == model->id)
        return -1;
    struct wishes wishes = wishes_of(model);
    struct place_request request = request_for(placing, model, &wishes);
    struct buf reasons = {0};
    unsigned refusals[PLACE_REFUSAL_COUNT] = {0};
    int rc = -1;
    request.avoid_worker_ids = &instance->avoid_worker_ids;
    if (instance->avoid_worker_ids.count)
        rc = place(&request, placing->views, placing->count, ret, NULL, NULL);
    request.avoid_worker_ids = NULL;
    if (rc < 0)
        rc = place(&request, placing->views, placing->count, ret, &reasons, refusals);
    if (rc == 0)
        place_take(&request, ret, placing->views);
    else
        note_refusal(placing, model, &reasons, refusals);
    buf_fini(&reasons);
    wishes_fini(&wishes);
    return rc;
}

/* ---- giving out ---- */

static const struct worker *worker_of(const struct placing *placing, const struct place_rank *rank)
{
    return cluster_find(placing->cluster, KIND_WORKER, placing->views[rank->worker].id);
}

static void make_gang(const struct placing *placing, const struct place_result *result,
                      struct model_instance *copy)
{
    struct gang gang = {.epoch = 1, .failed_rank = -1};
    for (size_t i = 0; i < result->rank_count; i++) {
        const struct worker *worker = worker_of(placing, &result->ranks[i]);
        gang_add_rank(&gang, worker->id, worker->name, worker->ip, &result->ranks[i].gpu_indexes);
    }
    gang_store(&gang, copy);
    gang_fini(&gang);
}

static void assign(const struct placing *placing, struct place_result *result,
                   struct model_instance *copy)
{
    const struct worker *worker = worker_of(placing, &result->ranks[0]);
    copy->worker_id = worker->id;
    mem_replace(&copy->worker_name, worker->name);
    mem_replace(&copy->worker_ip, worker->ip);
    if (result->rank_count > 1)
        make_gang(placing, result, copy);
    int_list_fini(&copy->gpu_indexes);
    copy->gpu_indexes = result->ranks[0].gpu_indexes;
    result->ranks[0].gpu_indexes = (struct int_list){0};
}

void placing_place(struct placing *placing, const struct model_instance *instance)
{
    struct cluster *cluster = placing->cluster;
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    assert(model);
    view_workers(placing);
    struct place_result result = {0};
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    if (choose(placing, model, instance, &result) == 0) {
        assign(placing, &result, &copy);
        state_enter(cluster, &copy, INSTANCE_SCHEDULED, &(struct cause){0}, placing->env->now_ms);
    } else {
        const struct cause cause = {
            .reason = placing->count ? REASON_NO_WORKER_FITS : REASON_NO_WORKER,
            .args = placing->refusal_args,
            .message = placing->refusal};
        state_enter(cluster, &copy, INSTANCE_PENDING, &cause, placing->env->now_ms);
    }
    place_result_fini(&result);
    cluster_put(cluster, KIND_INSTANCE, &copy, placing->env->now_ms);
}

/* ---- staying ---- */

static bool is_allowed_on(const struct cluster *cluster, const struct model *model,
                          const struct wishes *wishes, int64_t worker_id,
                          const struct int_list *indexes)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    if (!worker)
        return true;
    if (!place_labels_match(&model->worker_selector, &worker->labels))
        return false;
    for (size_t i = 0; i < indexes->count; i++)
        if (!wishes_allow(wishes, worker, indexes->items[i]))
            return false;
    return true;
}

bool placing_may_stay(const struct cluster *cluster, const struct model *model,
                      const struct model_instance *instance)
{
    struct wishes wishes = wishes_of(model);
    size_t held = instance->gpu_indexes.count;
    bool may = is_allowed_on(cluster, model, &wishes, instance->worker_id, &instance->gpu_indexes);
    struct gang gang = {0};
    if (instance_is_gang(instance) && gang_read(instance->distributed_servers, &gang, NULL) == 0)
        for (size_t i = 1; i < gang.rank_count; i++) {
            const struct gang_rank *rank = &gang.ranks[i];
            held += rank->gpu_indexes.count;
            may = may && is_allowed_on(cluster, model, &wishes, rank->worker_id,
                                       &rank->gpu_indexes);
        }
    gang_fini(&gang);
    may = may && held == wishes.device_count;
    wishes_fini(&wishes);
    return may;
}
