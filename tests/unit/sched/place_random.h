/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random clusters and requests for the property tests of placement. A cluster is written down as a
 * plan first, so that the same one can be made again, with a device or a worker more.
 *
 *     struct plan plan;
 *     struct world world;
 *     plan_make(&plan, seed, 6, 8);
 *     world_make(&world, &plan);
 *     place(world.board, &world.request, &result);
 *     world_fini(&world);
 */
#pragma once

#include "place_cluster.h"

#include <stdio.h>

/* Not every test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CLUSTERS = 1500 };
#else
enum { CLUSTERS = 10000 };
#endif

enum {
    KINDS = 5,       /* of devices */
    WORKERS_MAX = 8, /* one more can be added */
    HOLDINGS_MAX = 8,
    WAYS_MAX = 4,
};

/* Ends the test with the number of the cluster. */
#define CHECK(seed, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("cluster %u: not so: %s", (unsigned)(seed), #condition);                      \
    } while (0)

static const struct kind {
    const char *type, *name, *vendor;
    uint64_t total_bytes;
    bool is_unified;
} kinds[KINDS] = {
    {"cuda", "L4", "nvidia", 24 * GIB, false},   {"cuda", "A100", "nvidia", 80 * GIB, false},
    {"cuda", "H100", "nvidia", 80 * GIB, false}, {"npu", "910B4", "ascend", 32 * GIB, false},
    {"mps", "M2", "apple", 96 * GIB, true},
};

struct planned_holding {
    int device; /* or PLACE_HOST */
    uint64_t bytes;
    bool is_whole, is_kept;
};

struct planned_worker {
    struct place_worker worker;
    struct place_device devices[PLACE_DEVICES_MAX];
    size_t device_count;
    struct planned_holding holdings[HOLDINGS_MAX];
    size_t holding_count;
    bool has_label, has_cuda_engine;
};

struct plan {
    uint64_t random;
    struct planned_worker workers[WORKERS_MAX + 1];
    size_t worker_count;
    /* the request */
    bool is_known, may_span, wants_label, wants_engine, has_processor, is_mixed, is_remote_first;
    bool takes_any_devices;
    size_t device_count;
    uint64_t ram_bytes, processor_bytes, mixed_bytes;
    struct estimate_profile ways[KINDS][WAYS_MAX];
    size_t way_counts[KINDS];
    char selected[4][32]; /* ids of devices */
    size_t selected_count;
    int64_t avoided, absent; /* workers; 0: none */
    uint32_t start_seconds[WORKERS_MAX + 1];
    enum place_strategy strategy;
};

/* A plan as placement sees it. */
struct world {
    struct plan *plan; /* borrowed */
    struct place_view view;
    struct place_board *board;
    struct place_request request;
    struct place_ways ways[PLACE_CLASSES_MAX];
    struct string_map labels, no_labels, selector;
    struct string_list selected, cuda;
    struct int_list avoided, absent;
    struct place_engine engine;
    struct estimate_profile processor;
};

/* ---- numbers ---- */

static inline uint64_t next_random(uint64_t *random) /* splitmix64 */
{
    uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 to `below` - 1. */
static inline uint64_t upto(struct plan *plan, uint64_t below)
{
    return next_random(&plan->random) % below;
}

static inline bool percent(struct plan *plan, unsigned part)
{
    return upto(plan, 100) < part;
}

/* ---- a cluster ---- */

static inline struct place_device plan_device(struct plan *plan, size_t kind)
{
    struct place_device device = {.type = kinds[kind].type,
                                  .name = kinds[kind].name,
                                  .vendor = kinds[kind].vendor,
                                  .total_bytes = kinds[kind].total_bytes,
                                  .is_unified = kinds[kind].is_unified};
    device.is_unhealthy = percent(plan, 6);
    if (percent(plan, 35))
        device.foreign_bytes = upto(plan, 1 + device.total_bytes / GIB) * GIB;
    return device;
}

static inline void plan_holdings(struct plan *plan, struct planned_worker *on)
{
    uint64_t ram = on->worker.ram_total_bytes / 2;
    while (on->holding_count < HOLDINGS_MAX && percent(plan, 45)) {
        struct planned_holding *holding = &on->holdings[on->holding_count++];
        *holding = (struct planned_holding){.device = PLACE_HOST};
        uint64_t most = ram;
        if (on->device_count > 0 && percent(plan, 85)) {
            holding->device = (int)upto(plan, on->device_count);
            most = on->devices[holding->device].total_bytes / 2;
            most = on->devices[holding->device].is_unified && most > ram ? ram : most;
            holding->is_whole = percent(plan, 10);
            holding->is_kept = !holding->is_whole && percent(plan, 15);
        }
        holding->bytes = upto(plan, most / GIB + 1) * GIB;
        bool is_ram = holding->device == PLACE_HOST || on->devices[holding->device].is_unified;
        ram -= is_ram && !holding->is_kept ? holding->bytes : 0;
    }
}

static inline void plan_worker(struct plan *plan, size_t devices_max)
{
    static const char *const names[] = {"a", "b", "c:d", "d", "e", "f", "g", "h", "more"};
    struct planned_worker *on = &plan->workers[plan->worker_count];
    const bool is_unlike = percent(plan, 20);
    size_t kind = upto(plan, KINDS);
    *on = (struct planned_worker){0};
    on->worker = (struct place_worker){.id = (int64_t)plan->worker_count + 1,
                                       .name = names[plan->worker_count],
                                       .is_ready = percent(plan, 92),
                                       .ram_total_bytes = (8 + upto(plan, 80)) * GIB,
                                       .rack = (uint32_t)upto(plan, 3),
                                       .zone = (uint32_t)upto(plan, 2),
                                       .knows_engines = percent(plan, 50)};
    on->worker.is_in_maintenance = !on->worker.is_ready && percent(plan, 50);
    on->worker.ram_total_bytes = percent(plan, 3) ? 0 : on->worker.ram_total_bytes;
    on->worker.ram_reserved_bytes = upto(plan, 3) * GIB;
    on->worker.ram_foreign_bytes = upto(plan, percent(plan, 20) ? 60 : 6) * GIB;
    on->worker.vram_reserved_bytes = upto(plan, 2) * GIB;
    on->has_label = percent(plan, 80);
    on->has_cuda_engine = percent(plan, 80);
    size_t count = percent(plan, 15) ? 0 : upto(plan, devices_max + 1);
    for (size_t i = 0; i < count; i++) {
        if (is_unlike) /* no machine has several that share its memory beside others */
            kind = upto(plan, i > 0 ? KINDS - 1 : KINDS);
        on->devices[i] = plan_device(plan, kind);
        on->devices[i].index = (int64_t)i;
        on->devices[i].island = (uint8_t)(i / 4);
        on->devices[i].has_fast_links = kind == 2;
    }
    on->device_count = count;
    plan_holdings(plan, on);
    plan->start_seconds[plan->worker_count++] = (uint32_t)upto(plan, 600);
}

/* ---- a request ---- */

static inline struct estimate_profile plan_profile(struct plan *plan, size_t kind,
                                                   size_t devices_max)
{
    static const unsigned counts[] = {1, 1, 1, 2, 2, 4, 8};
    const uint64_t total = kinds[kind].total_bytes;
    unsigned devices = counts[upto(plan, ARRAY_LEN(counts))];
    unsigned nodes = percent(plan, 30) ? 2 + (unsigned)upto(plan, 2) : 1;
    devices = devices > devices_max ? (unsigned)devices_max : devices;
    struct estimate_profile profile = profile_of(nodes, devices, 0);
    profile.host_bytes = upto(plan, 12) * GIB;
    uint64_t bytes = GIB + upto(plan, total);
    for (unsigned i = 0; i < nodes * devices; i++) {
        if (i > 0 && percent(plan, 40))
            bytes = GIB + upto(plan, total);
        profile.rank_bytes[i] = profile.preferred_bytes[i] = bytes;
    }
    if (percent(plan, 40))
        for (unsigned i = 0; i < nodes * devices; i++)
            profile.preferred_bytes[i] += upto(plan, 3) * total / 4;
    if (nodes == 1 && percent(plan, 20))
        profile.kind = PROFILE_PARTIAL;
    return profile;
}

static inline void plan_need(struct plan *plan, size_t devices_max)
{
    for (size_t k = 0; k < KINDS; k++)
        while (plan->way_counts[k] < WAYS_MAX && percent(plan, 55))
            plan->ways[k][plan->way_counts[k]++] = plan_profile(plan, k, devices_max);
    plan->has_processor = percent(plan, 10);
    plan->processor_bytes = upto(plan, 100) * GIB;
    plan->is_mixed = percent(plan, 25);
    plan->mixed_bytes = (20 + upto(plan, 150)) * GIB;
    plan->is_remote_first = percent(plan, 30);
    plan->takes_any_devices = percent(plan, 30);
}

static inline void plan_request(struct plan *plan, size_t devices_max)
{
    plan->is_known = percent(plan, 80);
    plan->may_span = percent(plan, 60);
    plan->wants_label = percent(plan, 30);
    plan->wants_engine = percent(plan, 40);
    plan->device_count = percent(plan, plan->is_known ? 15 : 75) ? 1 + upto(plan, devices_max) : 0;
    plan->ram_bytes = upto(plan, 16) * GIB;
    plan->avoided = percent(plan, 20) ? 1 + (int64_t)upto(plan, plan->worker_count) : 0;
    plan->absent = percent(plan, 20) ? 1 + (int64_t)upto(plan, plan->worker_count) : 0;
    plan->strategy = percent(plan, 70) ? PLACE_CHEAPEST
                     : percent(plan, 50) ? PLACE_SPREAD
                                         : PLACE_BINPACK;
    if (plan->is_known)
        plan_need(plan, devices_max);
    while (plan->selected_count < ARRAY_LEN(plan->selected) && percent(plan, 15)) {
        const struct planned_worker *on = &plan->workers[upto(plan, plan->worker_count)];
        size_t i = upto(plan, devices_max);
        snprintf(plan->selected[plan->selected_count++], sizeof plan->selected[0], "%s:%s:%zu",
                 on->worker.name, on->device_count > i ? on->devices[i].type : "cuda", i);
    }
}

/* A cluster of 1 to `workers` with up to that many devices each, and what is asked of it. */
static inline void plan_make(struct plan *plan, unsigned seed, size_t workers, size_t devices_max)
{
    *plan = (struct plan){.random = UINT64_C(0x5eed) << 32 | seed};
    const size_t count = 1 + upto(plan, workers);
    while (plan->worker_count < count)
        plan_worker(plan, devices_max);
    plan_request(plan, devices_max);
}

/* ---- as placement sees it ---- */

/* So many bytes in all, and half a GiB on each device: as much from each as it has. */
static inline int split_evenly(void *ctx, const uint64_t *free_bytes, const int *classes,
                               size_t count, uint64_t *rank_bytes, uint64_t *host_bytes)
{
    const struct plan *plan = ctx;
    uint64_t missing = plan->mixed_bytes + count * 512 * MIB;
    for (size_t i = 0; i < count; i++) {
        rank_bytes[i] = free_bytes[i] < missing ? free_bytes[i] : missing;
        missing -= rank_bytes[i];
    }
    *host_bytes = GIB;
    return missing > 0 ? -1 : 0;
}

static inline void world_worker(struct world *world, const struct planned_worker *on)
{
    struct place_worker worker = on->worker;
    worker.labels = on->has_label ? &world->labels : &world->no_labels;
    worker.engines = &world->engine;
    worker.engine_count = on->has_cuda_engine ? 1 : 0;
    size_t at = place_view_add_worker(&world->view, &worker);
    for (size_t i = 0; i < on->device_count; i++)
        place_view_add_device(&world->view, &on->devices[i]);
    for (size_t i = 0; i < on->holding_count; i++) {
        const struct planned_holding *holding = &on->holdings[i];
        if (holding->is_kept)
            place_view_keep(&world->view, at, holding->device, holding->bytes);
        else
            place_hold(&world->view, at,
                       &(struct place_holding){.model_id = 1 + (int64_t)(i % 3),
                                               .model_name = "held",
                                               .device = holding->device,
                                               .bytes = holding->bytes,
                                               .is_whole = holding->is_whole,
                                               .is_first = true});
    }
}

static inline size_t kind_of(const char *name)
{
    for (size_t k = 0; k < KINDS; k++)
        if (strcmp(kinds[k].name, name) == 0)
            return k;
    fail();
    return 0;
}

static inline void world_request(struct world *world)
{
    struct plan *plan = world->plan;
    world->request = (struct place_request){.model_id = 1,
                                            .model_name = "asked",
                                            .strategy = plan->strategy,
                                            .selector = &world->selector,
                                            .gpu_ids = &world->selected,
                                            .device_count = plan->device_count,
                                            .may_span = plan->may_span,
                                            .avoid_worker_ids = &world->avoided,
                                            .absent_on = &world->absent,
                                            .engine = plan->wants_engine ? "vllm" : NULL,
                                            .is_known = plan->is_known,
                                            .is_remote_first = plan->is_remote_first,
                                            .takes_any_devices = plan->takes_any_devices,
                                            .ram_bytes = plan->ram_bytes,
                                            .start_seconds = plan->start_seconds};
    if (plan->avoided)
        int_list_add(&world->avoided, plan->avoided);
    if (plan->absent)
        int_list_add(&world->absent, plan->absent);
    for (size_t i = 0; i < plan->selected_count; i++)
        string_list_add(&world->selected, plan->selected[i]);
    if (plan->wants_label)
        string_map_set(&world->selector, "disk", "fast");
    if (!plan->is_known)
        return;
    for (size_t c = 0; c < world->view.class_count; c++) {
        size_t kind = kind_of(world->view.classes[c].name);
        world->ways[c] = (struct place_ways){plan->ways[kind], plan->way_counts[kind]};
    }
    world->request.ways = world->ways;
    world->processor = (struct estimate_profile){
        .kind = PROFILE_PROCESSOR, .nodes = 1, .host_bytes = plan->processor_bytes};
    world->request.processor = plan->has_processor ? &world->processor : NULL;
    world->request.split = plan->is_mixed ? split_evenly : NULL;
    world->request.ctx = plan;
}

static inline void world_make(struct world *world, struct plan *plan)
{
    *world = (struct world){.plan = plan};
    string_map_set(&world->labels, "disk", "fast");
    string_list_add(&world->cuda, "cuda");
    world->engine = (struct place_engine){
        .name = "vllm", .device_types = &world->cuda, .is_present = true};
    for (size_t i = 0; i < plan->worker_count; i++)
        world_worker(world, &plan->workers[i]);
    world_request(world);
    world->board = place_board_new(&world->view, NULL);
}

static inline void world_fini(struct world *world)
{
    place_board_free(world->board);
    place_view_fini(&world->view);
    string_map_fini(&world->labels);
    string_map_fini(&world->selector);
    string_list_fini(&world->selected);
    string_list_fini(&world->cuda);
    int_list_fini(&world->avoided);
    int_list_fini(&world->absent);
}

/* ---- what must hold, worked out anew from the plan ---- */

static inline uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static inline uint64_t greater_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Whether the worker may be used at all. */
static inline bool is_open_worker(const struct plan *plan, const struct planned_worker *on)
{
    const bool has_engine = !plan->wants_engine || !on->worker.knows_engines || on->has_cuda_engine;
    return on->worker.is_ready && !on->worker.is_in_maintenance && on->worker.ram_total_bytes > 0 &&
           (!plan->wants_label || on->has_label) && on->worker.id != plan->avoided &&
           on->worker.id != plan->absent && has_engine;
}

static inline bool is_open_device(const struct plan *plan, const struct planned_worker *on,
                                  size_t at)
{
    const struct place_device *device = &on->devices[at];
    bool is_selected = plan->selected_count == 0;
    char id[32];
    snprintf(id, sizeof id, "%s:%s:%zu", on->worker.name, device->type, at);
    for (size_t i = 0; i < plan->selected_count; i++)
        is_selected = is_selected || strcmp(plan->selected[i], id) == 0;
    const bool is_usable =
        !plan->wants_engine || !on->worker.knows_engines || strcmp(device->type, "cuda") == 0;
    return !device->is_unhealthy && is_selected && is_usable;
}

/* Main memory that is left, claimed and kept taken off. */
static inline uint64_t ram_left(const struct place_worker *on)
{
    return less(less(on->ram_total_bytes,
                     greater_of(on->ram_reserved_bytes, on->ram_foreign_bytes)),
                on->ram_claimed_bytes + on->ram_kept_bytes);
}

static inline uint64_t device_left(const struct place_worker *on, size_t at)
{
    const struct place_device *device = &on->devices[at];
    uint64_t left = less(less(device->total_bytes,
                              greater_of(on->vram_reserved_bytes, device->foreign_bytes)),
                         device->claimed_bytes + device->kept_bytes);
    if (device->is_held_whole)
        return 0;
    return device->is_unified && ram_left(on) < left ? ram_left(on) : left;
}
