/* SPDX-License-Identifier: Apache-2.0 */
/* What placement sees of the cluster's records. */
#include "control/placing.h"
#include "domain/gang.h"

/* ---- workers ---- */

/* Numbers texts in the order in which they come; 0 is for none. */
struct numbering {
    const char **texts; /* owned; borrows the texts */
    size_t count;
};

static uint32_t number_of(struct numbering *numbering, const char *text)
{
    if (!text || !*text)
        return 0;
    for (size_t i = 0; i < numbering->count; i++)
        if (strcmp(numbering->texts[i], text) == 0)
            return (uint32_t)i + 1;
    numbering->texts =
        mem_resize(numbering->texts, (numbering->count + 1) * sizeof *numbering->texts);
    numbering->texts[numbering->count++] = text;
    return (uint32_t)numbering->count;
}

/* The first of these labels that the worker has; NULL: none. */
static const char *label_of(const struct worker *worker, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = string_map_get(&worker->labels, names[i]);
        if (value)
            return value;
    }
    return NULL;
}

static size_t view_engines(const struct worker *worker, struct place_engine *engines)
{
    for (size_t i = 0; i < worker->engine_count; i++)
        engines[i] = (struct place_engine){.name = worker->engines[i].name,
                                           .version = worker->engines[i].version,
                                           .device_types = &worker->engines[i].device_types,
                                           .is_present = worker->engines[i].is_present};
    return worker->engine_count;
}

/* Main memory that the worker's engines are known to use; what was only claimed isn't used yet. */
static uint64_t own_ram(const struct cluster *cluster, const struct worker *worker)
{
    uint64_t sum = 0;
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker->id, struct model_instance, instance) {
        struct resource_claim claim = {0};
        if (instance->state < INSTANCE_STARTING || !instance->measured_claim ||
            claim_read(str_of(instance->measured_claim), &claim, NULL) < 0)
            continue;
        sum += claim.ram_bytes;
        claim_fini(&claim);
    }
    return sum;
}

static uint64_t foreign_ram(const struct cluster *cluster, const struct worker *worker)
{
    uint64_t used = (uint64_t)worker->memory_used, own = used ? own_ram(cluster, worker) : 0;
    return used > own ? used - own : 0;
}

static void add_worker(struct placing *placing, const struct worker *worker,
                       struct place_engine *engines, struct numbering *racks,
                       struct numbering *zones)
{
    static const char *const rack[] = {"rack", "topology.kubernetes.io/rack"};
    static const char *const zone[] = {"zone", "topology.kubernetes.io/zone"};
    const struct reconcile_env *env = placing->env;
    const struct place_worker view = {
        .id = worker->id,
        .name = worker->name,
        .labels = &worker->labels,
        .is_ready = worker->state == WORKER_READY,
        .is_in_maintenance = worker->state == WORKER_MAINTENANCE,
        .ram_total_bytes = (uint64_t)worker->memory_total,
        .ram_reserved_bytes = env->reserved_ram_bytes,
        .ram_foreign_bytes = foreign_ram(placing->cluster, worker),
        .vram_reserved_bytes = env->reserved_vram_bytes,
        .engines = engines,
        .engine_count = view_engines(worker, engines),
        .knows_engines = worker->knows_engines,
        .rack = number_of(racks, label_of(worker, rack, ARRAY_LEN(rack))),
        .zone = number_of(zones, label_of(worker, zone, ARRAY_LEN(zone)))};
    place_view_add_worker(&placing->view, &view);
}

/* ---- devices ---- */

/* Bytes of a device that running instances of ours are known to use, or else have claimed. */
static uint64_t own_use(const struct cluster *cluster, const struct worker *worker, int64_t index)
{
    uint64_t sum = 0;
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker->id, struct model_instance, instance) {
        struct resource_claim claim = {0};
        if (instance->state < INSTANCE_STARTING)
            continue;
        instance_claim_on(instance, worker->id, &claim);
        sum += claim_device_bytes(&claim, index);
        claim_fini(&claim);
    }
    return sum;
}

static void add_device(struct placing *placing, const struct worker *worker,
                       const struct worker_device *device)
{
    const bool has_fast_links = device->link && *device->link && strcmp(device->link, "pcie") != 0;
    struct place_device view = {.index = device->index,
                                .type = device->type,
                                .name = device->name,
                                .vendor = device->vendor,
                                .total_bytes = device->total_bytes,
                                .is_unhealthy = !device->is_healthy,
                                .is_unified = device->is_unified,
                                .has_fast_links = has_fast_links && device->island >= 0};
    /* One that is linked to none is an island of its own, apart from the numbered ones. */
    view.island = device->island >= 0 ? (uint8_t)(device->island & 0x7f)
                                      : (uint8_t)(0x80 | (device->index & 0x7f));
    if (device->used_bytes && !device->is_unified) {
        uint64_t own = own_use(placing->cluster, worker, device->index);
        view.foreign_bytes = device->used_bytes > own ? device->used_bytes - own : 0;
    }
    place_view_add_device(&placing->view, &view);
}

/* ---- what instances hold ---- */

static void hold_devices(struct placing *placing, size_t at, const struct resource_claim *claim,
                         struct place_holding holding)
{
    const struct place_worker *on = &placing->view.workers[at];
    holding.is_first = false;
    holding.is_whole = claim->is_whole;
    for (size_t i = 0; i < claim->device_count; i++) {
        holding.device = place_device_at(on, claim->devices[i].index);
        holding.bytes = claim->devices[i].bytes;
        if (holding.device >= 0)
            place_hold(&placing->view, at, &holding);
    }
}

/* The devices of an instance that was placed without knowing its need are its own. */
static void hold_unreckoned(struct placing *placing, size_t at, const struct int_list *indexes,
                            struct place_holding holding)
{
    const struct place_worker *on = &placing->view.workers[at];
    holding.is_first = false;
    holding.is_whole = true;
    for (size_t i = 0; i < indexes->count; i++) {
        holding.device = place_device_at(on, indexes->items[i]);
        if (holding.device < 0)
            continue;
        holding.bytes = place_device_free(on, &on->devices[holding.device]);
        place_hold(&placing->view, at, &holding);
    }
}

/* Devices of the instance on that worker; empties `ret`, which is zeroed or valid before. */
static void indexes_on(const struct model_instance *instance, int64_t worker_id,
                       struct int_list *ret)
{
    struct gang gang = {0};
    const struct int_list *indexes = &instance->gpu_indexes;
    if (instance->worker_id != worker_id && instance_is_gang(instance) &&
        gang_read(instance->distributed_servers, &gang, NULL) == 0) {
        int rank = gang_rank_of(&gang, worker_id);
        indexes = rank >= 0 ? &gang.ranks[rank].gpu_indexes : indexes;
    }
    for (size_t i = 0; i < indexes->count; i++)
        int_list_add(ret, indexes->items[i]);
    gang_fini(&gang);
}

static void hold_instance(struct placing *placing, size_t at, const struct model_instance *instance)
{
    const int64_t worker_id = placing->view.workers[at].id;
    struct resource_claim claim = {0};
    struct int_list indexes = {0};
    instance_claim_on(instance, worker_id, &claim);
    const struct place_holding holding = {.instance_id = instance->id,
                                          .model_id = instance->model_id,
                                          .model_name = instance->model_name,
                                          .device = PLACE_HOST,
                                          .bytes = claim.ram_bytes,
                                          .is_first = true};
    place_hold(&placing->view, at, &holding);
    indexes_on(instance, worker_id, &indexes);
    if (claim.device_count > 0)
        hold_devices(placing, at, &claim, holding);
    else
        hold_unreckoned(placing, at, &indexes, holding);
    int_list_fini(&indexes);
    claim_fini(&claim);
}

static bool is_left_out(const struct placing *placing, const struct model_instance *instance)
{
    if (placing->without_model_id == PLACING_WITHOUT_LEAVING)
        return instance->is_draining;
    return placing->without_model_id == PLACING_WITHOUT_ALL ||
           placing->without_model_id == instance->model_id;
}

static void hold_instances(struct placing *placing)
{
    for (size_t i = 0; i < placing->view.count; i++) {
        int64_t worker_id = placing->view.workers[i].id;
        CLUSTER_FOR_KEY(&placing->cluster->instances_on_worker, worker_id, struct model_instance,
                        instance) {
            if (!is_left_out(placing, instance))
                hold_instance(placing, i, instance);
        }
    }
}

void placing_view_workers(struct placing *placing)
{
    size_t engines = 0;
    struct numbering racks = {0}, zones = {0};
    CLUSTER_FOR_EACH(placing->cluster, KIND_WORKER, struct worker, worker)
        engines += worker->engine_count;
    placing->engines = mem_alloc_array(engines + 1, sizeof *placing->engines);
    engines = 0;
    CLUSTER_FOR_EACH(placing->cluster, KIND_WORKER, struct worker, worker) {
        add_worker(placing, worker, placing->engines + engines, &racks, &zones);
        engines += worker->engine_count;
        for (size_t i = 0; i < worker->device_count; i++)
            add_device(placing, worker, &worker->devices[i]);
    }
    hold_instances(placing);
    free(racks.texts);
    free(zones.texts);
}
