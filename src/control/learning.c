/* SPDX-License-Identifier: Apache-2.0 */
#include "control/learning.h"

#include "base/id_set.h"
#include "base/log.h"
#include "base/num.h"
#include "control/reconcile.h"
#include "domain/gang.h"

#include <stdio.h>

enum {
    SEEN_MAX = 4096, /* measurements that are remembered to be known; all are forgotten above */
};

/* A measurement: of which instance, and a hash of what was measured. */
struct seen {
    int64_t id;
    uint64_t hash;
};

struct learning {
    struct correction_table corrections;
    struct id_set noted; /* instances that may have something new */
    struct seen *seen;   /* owned; SEEN_MAX of them */
    size_t seen_count;
};

struct learning *learning_new(void)
{
    struct learning *learning = mem_alloc(sizeof *learning);
    learning->seen = mem_alloc_array(SEEN_MAX, sizeof *learning->seen);
    return learning;
}

void learning_free(struct learning *learning)
{
    if (!learning)
        return;
    correction_table_fini(&learning->corrections);
    id_set_fini(&learning->noted);
    free(learning->seen);
    free(learning);
}

const struct correction_table *learning_corrections(const struct learning *learning)
{
    return &learning->corrections;
}

void learning_note(struct learning *learning, const struct model_instance *instance)
{
    if (instance->state == INSTANCE_RUNNING && instance->measured_claim &&
        instance->computed_resource_claim && !instance_is_gang(instance))
        id_set_add(&learning->noted, instance->id);
}

static uint64_t hash(const char *text)
{
    uint64_t value = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return value;
}

/* Whether that measurement is new; remembers it. */
static bool is_new(struct learning *learning, const struct model_instance *instance)
{
    const struct seen one = {instance->id, hash(instance->measured_claim)};
    for (size_t i = 0; i < learning->seen_count; i++)
        if (learning->seen[i].id == one.id && learning->seen[i].hash == one.hash)
            return false;
    if (learning->seen_count == SEEN_MAX)
        learning->seen_count = 0;
    learning->seen[learning->seen_count++] = one;
    return true;
}

static uint64_t largest_device(const struct resource_claim *claim)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < claim->device_count; i++)
        largest = claim->devices[i].bytes > largest ? claim->devices[i].bytes : largest;
    return largest;
}

/* What was foretold of the device that takes the most, without corrections; 0: not to be learnt
 * from. */
static uint64_t foretold(const struct model *model, const struct worker *worker,
                         const struct need_source *source, const struct resource_claim *claim)
{
    struct estimate_device devices[PLACE_DEVICES_MAX];
    auto_fini(estimate_fini) struct estimate estimate = {0};
    struct err err = {0};
    uint64_t largest = 0;
    if (claim->device_count > PLACE_DEVICES_MAX)
        return 0;
    for (size_t i = 0; i < claim->device_count; i++) {
        const struct worker_device *device = worker_device_at(worker, claim->devices[i].index);
        devices[i] = (struct estimate_device){
            .vendor = device ? needs_vendor_of(device->type) : NULL,
            .total_bytes = device ? device->total_bytes : 0};
    }
    if (needs_estimate(model, source, devices, claim, &estimate, &err) < 0 ||
        estimate.engine == ESTIMATE_VLLM || estimate.engine == ESTIMATE_SGLANG ||
        estimate.engine == ESTIMATE_MINDIE)
        return 0;
    for (size_t i = 0; i < estimate.device_count; i++) {
        uint64_t bytes = estimate_place_bytes(&estimate.devices[i]);
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

static bool learn(struct learning *learning, const struct model_instance *instance,
                  const struct cluster *cluster, const struct need_source *source)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, instance->worker_id);
    struct resource_claim claim = {0}, measured = {0};
    uint64_t estimated = 0, taken = 0;
    if (claim_read(str_of(instance->computed_resource_claim), &claim, NULL) == 0 &&
        claim_read(str_of(instance->measured_claim), &measured, NULL) == 0 && !claim.is_whole) {
        taken = largest_device(&measured);
        estimated = taken ? foretold(model, worker, source, &claim) : 0;
    }
    claim_fini(&claim);
    claim_fini(&measured);
    if (!estimated)
        return false;
    const enum estimate_engine engine = needs_engine_of(model, source->shape);
    const struct correction_key key = correction_key_of(
        estimate_engine_name(engine), model->backend_version, source->shape->architecture);
    correction_add(&learning->corrections, &key, estimated, taken);
    auto_free char *was = num_format_bytes(taken), *said = num_format_bytes(estimated);
    log_info("model", "%s: %s takes %s of a device, %s was estimated", model->name,
             instance->name, was, said);
    return true;
}

size_t learning_settle(struct learning *learning, const struct cluster *cluster,
                       const struct reconcile_env *env)
{
    size_t count = 0;
    struct id_set noted = learning->noted;
    learning->noted = (struct id_set){0};
    for (size_t i = 0; i < noted.count && env->source_of; i++) {
        const struct model_instance *instance =
            cluster_find(cluster, KIND_INSTANCE, noted.items[i]);
        if (!instance || !instance->measured_claim || !instance->computed_resource_claim)
            continue;
        const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
        struct need_source source = {0};
        if (!model || !cluster_find(cluster, KIND_WORKER, instance->worker_id))
            continue;
        env->source_of(model, &source, env->ctx);
        if (source.known == KNOWN_SOON)
            id_set_add(&learning->noted, instance->id);
        if (source.known == KNOWN_SHAPE && is_new(learning, instance))
            count += learn(learning, instance, cluster, &source);
    }
    id_set_fini(&noted);
    return count;
}
