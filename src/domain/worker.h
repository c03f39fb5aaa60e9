/* SPDX-License-Identifier: Apache-2.0 */
/* A machine that runs engines, as control knows it. Plain data, see record.h. */
#pragma once

#include "domain/record.h"

enum worker_state {
    WORKER_NOT_READY, /* registered, but its heartbeat is overdue */
    WORKER_READY,
    WORKER_UNREACHABLE, /* alive by heartbeat, but can't be reached: set by later issues */
    WORKER_MAINTENANCE, /* in contact, but takes no new instances */
    WORKER_STATE_COUNT
};

const char *worker_state_name(enum worker_state state);

/* An accelerator as placement sees it: what it needs of a `struct device`. */
struct worker_device {
    int64_t index;        /* as in gpu_indexes */
    char *type;           /* "cuda" */
    char *name, *vendor;  /* "910B4", "Huawei"; NULL when unknown */
    int64_t island;       /* those of one number are linked to each other; -1: to none */
    char *link;           /* by what: "nvlink", "xgmi", "hccs", "pcie"; "" when unknown */
    uint64_t total_bytes; /* of memory; 0 when unknown */
    uint64_t used_bytes;  /* by whomever, as measured */
    bool is_unified;      /* memory is shared with the host */
    bool is_healthy;      /* false: nothing new may run on it */
    double utilization;   /* percent; < 0 when unknown, as the next two */
    double temperature_c, power_w;
};

/* An engine that a worker has a description of. */
struct worker_engine {
    char *name, *version; /* version NULL: the one on PATH */
    bool is_present;      /* its program is there */
    bool is_distributable; /* and can run on several workers */
    struct string_list device_types; /* that it can use; empty: any */
};

struct worker {
    int64_t id;
    char *name; /* unique; host name unless configured */
    char *hostname;
    char *ip;          /* address that gateways connect to */
    int64_t port;      /* of the worker's API and relay */
    char *worker_uuid; /* identity: made once in its data dir */
    char *netns_id;    /* host boot and network namespace: a gateway with the same one reaches
                          the engines on 127.0.0.1 without the relay */
    char *worker_version;
    struct string_map labels; /* os, arch, worker-name and what the user adds */
    char *maintenance;        /* JSON {"enabled":true,"message":"...","drain":false} or NULL */
    int state;                /* enum worker_state; from the server's clock only */
    char *state_message;
    int64_t heartbeat_time; /* server's wall ms of the last byte from it; transient */
    char *status;           /* JSON object: cpu, memory, swap, filesystem, os, kernel, uptime,
                               gpu_devices, as the worker sent it (GPUStack's shape); transient */
    int64_t memory_total;   /* bytes, out of `status`, so that placement needn't parse; transient */
    int64_t memory_used;    /* likewise: by whomever, without what the kernel can drop */
    double cpu_utilization; /* percent; < 0 when unknown; out of `status`; transient */
    struct int_list device_indexes;  /* of its accelerators, out of `status`; transient */
    struct string_list device_types; /* their types ("cuda"), in the same order; transient */
    /* The same and more, typed, out of `status`; transient. Each count stands behind its array. */
    struct worker_device *devices; /* owned */
    size_t device_count;
    struct worker_engine *engines; /* owned; meaningless unless `knows_engines` */
    size_t engine_count;
    bool knows_engines; /* false: a worker of an earlier version, or none has reported yet */
    bool inspects;   /* it tells which model files it has, see control/shapes.h */
    bool downloads;  /* it fetches model files of hubs, see control/model_files.h */
    char *storage_id; /* uuid of the storage that its cache folder is; NULL: not told yet */
    char *cache_dir; /* the folder, absolute */
    char *cache; /* JSON object of the folder: dir, storage_id, total, available, is_shared, error,
                    out of `status`; NULL: not told; transient */
    char *cache_error; /* why it can't keep files there, or NULL; transient */
    int64_t version; /* grows with every change by a client */
    int64_t created_at, updated_at;
};

extern const struct record_type worker_type;

/* Its device with that index, or NULL. Borrows. */
const struct worker_device *worker_device_at(const struct worker *worker, int64_t index);

/* Forgets its devices, in all their forms. */
void worker_clear_devices(struct worker *worker);

enum { WORKER_ENGINES_MAX = 256 };

enum { MAINTENANCE_MESSAGE_MAX = 1024 };

struct maintenance {
    bool is_on;  /* takes no new instances */
    bool drains; /* and those that it has move away */
};

/* What its `maintenance` says. */
struct maintenance worker_maintenance(const struct worker *worker);

/* What the field table can't say: the shape of `maintenance`. ERR_INVALID, ERR_SYNTAX. */
int worker_validate(const struct worker *worker, struct err *err) must_check;
