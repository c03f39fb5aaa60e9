/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What placement sees of a cluster: workers, their devices, what is claimed of them and by which
 * models. The one ledger of memory: whoever gives something out says so here with place_hold().
 *
 *     struct place_view view = {0};
 *     place_view_add_worker(&view, &(struct place_worker){.name = "node1", ...});
 *     place_view_add_device(&view, &(struct place_device){.type = "npu", ...});
 *     place_hold(&view, worker, &(struct place_holding){.model_id = 3, ...});
 *     place_view_fini(&view);
 *
 * Names of workers, labels and engines are borrowed. Owned by one thread at a time; deterministic.
 */
#pragma once

#include "domain/record.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PLACE_DEVICES_MAX = 64,  /* of a worker; further ones aren't used */
    PLACE_CLASSES_MAX = 32,  /* kinds of devices of a cluster; those of others aren't used */
    PLACE_HOST = -1,         /* in place of a device's number: main memory */
};

/* Devices of a class are alike: an estimate for one holds for all. */
struct place_class {
    const char *type, *name, *vendor; /* "npu", "910B4", "ascend" */
    uint64_t total_bytes;
    unsigned most_on_worker; /* devices of the worker that has the most */
    unsigned worker_count;   /* workers that have any */
};

struct place_device {
    int64_t index;
    const char *type;       /* "cuda" */
    const char *name;       /* product; NULL: not known */
    const char *vendor;     /* as estimates call it; NULL: not known */
    uint64_t total_bytes;   /* 0: not reported */
    uint64_t foreign_bytes; /* measured to be in use, and not by instances of ours */
    bool is_unhealthy;
    bool is_unified;        /* its memory is the host's */
    uint8_t island;         /* devices of an island reach each other by their fastest links */
    bool has_fast_links;    /* within its island: NVLink, HCCS, XGMI */
    /* kept by the view */
    int class;              /* index in view.classes; -1: too many */
    uint64_t claimed_bytes; /* sum of all claims */
    unsigned holders;       /* instances that have it */
    bool is_held_whole;     /* by one whose need isn't known */
    uint64_t kept_bytes;    /* for an instance that waits in front of others */
};

/* An engine that a worker has. */
struct place_engine {
    const char *name, *version;             /* version: NULL for the one on PATH */
    const struct string_list *device_types; /* that it can use; NULL or empty: any */
    bool is_present;
};

/* What an instance has of a worker: of one device, or of its main memory. */
struct place_holding {
    int64_t instance_id; /* 0: of one that there isn't yet */
    int64_t model_id;
    const char *model_name; /* the view keeps a copy */
    int device;     /* place in the worker's devices, or PLACE_HOST */
    uint64_t bytes;
    bool is_whole;  /* the device is not to be shared */
    bool is_first;  /* of the instance on this worker: counts it */
};

struct place_worker {
    int64_t id;
    const char *name;
    const struct string_map *labels;
    bool is_ready;          /* in contact, and not in maintenance */
    bool is_in_maintenance; /* for the words of the refusal */
    uint64_t ram_total_bytes;     /* 0: not reported yet */
    uint64_t ram_reserved_bytes;  /* not for engines */
    uint64_t ram_foreign_bytes;   /* measured to be in use, and not by engines */
    uint64_t vram_reserved_bytes; /* of each device */
    const struct place_engine *engines;
    size_t engine_count;
    bool knows_engines;     /* false: any may be there */
    uint32_t rack, zone;    /* those with the same number fail together, and are near; 0: none */
    /* kept by the view */
    uint64_t ram_claimed_bytes;
    uint64_t ram_kept_bytes; /* for an instance that waits in front of others */
    unsigned instance_count;
    struct place_device *devices; /* owned */
    size_t device_count;
    struct place_holding *holdings; /* owned */
    size_t holding_count;
};

/* The name of a model that has a holding; records may go or be renamed while a view is in use. */
struct place_name {
    int64_t model_id;
    char *name; /* owned */
};

/* The zero value is empty. */
struct place_view {
    struct place_worker *workers; /* owned; in the order in which they were added */
    size_t count;
    struct place_class classes[PLACE_CLASSES_MAX];
    size_t class_count;
    struct place_name *names; /* owned; in the order of ids */
    size_t name_count;
    uint64_t version; /* grows with each holding */
};

/* Adds a worker without devices and holdings; gives its place. */
size_t place_view_add_worker(struct place_view *view, const struct place_worker *worker);

/* Adds a device to the worker that was added last. */
void place_view_add_device(struct place_view *view, const struct place_device *device);

/*
 * Keeps of what is free on a device (or of PLACE_HOST) up to that many bytes for an instance that
 * waits in front of others.
 */
void place_view_keep(struct place_view *view, size_t worker, int device, uint64_t bytes);

/* Counts something that an instance has. */
void place_hold(struct place_view *view, size_t worker, const struct place_holding *holding);

/* Takes back the holding at that place in the worker's list. */
void place_release(struct place_view *view, size_t worker, size_t at);

/* Puts one into that place of the list; place_hold() puts it behind all others. */
void place_hold_at(struct place_view *view, size_t worker, size_t at,
                   const struct place_holding *holding);

/* The place of the worker with that id, or -1; workers are in the order of ids. */
int64_t place_view_find(const struct place_view *view, int64_t worker_id);

/* The place of the device with that index among the worker's, or -1. */
int place_device_at(const struct place_worker *worker, int64_t index);

/* Main memory that is left for another instance. */
uint64_t place_ram_free(const struct place_worker *worker);

/*
 * Memory of a device that is left for another instance: of its total what is neither claimed nor
 * kept nor taken by others, whichever of reserve and foreign use is the larger. Bounded by main
 * memory where that is the same.
 */
uint64_t place_device_free(const struct place_worker *worker, const struct place_device *device);

/* The holding that takes the most of a device (or PLACE_HOST), or NULL. Borrowed. */
const struct place_holding *place_largest_holding(const struct place_worker *worker, int device);

/* Instances of a model on the worker. */
unsigned place_count_model(const struct place_worker *worker, int64_t model_id);

void place_view_fini(struct place_view *view);
