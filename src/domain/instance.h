/* SPDX-License-Identifier: Apache-2.0 */
/* One replica of a model: desired by control, run and observed by a worker. Plain data. */
#pragma once

#include "domain/record.h"

/* GPUStack's state words. Control owns the first three, the worker all others. */
enum instance_state {
    INSTANCE_PENDING,      /* wants a worker */
    INSTANCE_ANALYZING,
    INSTANCE_SCHEDULED,    /* has a worker that hasn't taken it up yet */
    INSTANCE_INITIALIZING, /* the worker prepares: ports, engine, files */
    INSTANCE_DOWNLOADING,
    INSTANCE_STARTING,     /* the engine's process runs, its probe doesn't answer yet */
    INSTANCE_RUNNING,      /* the probe answered */
    INSTANCE_UNREACHABLE,  /* the worker's contact was lost; the engine may well serve on */
    INSTANCE_ERROR,        /* see state_message; a restart may be due */
    INSTANCE_STATE_COUNT
};

const char *instance_state_name(enum instance_state state);

/* -EINVAL for an unknown word. */
int instance_state_parse(const char *name, enum instance_state *ret) must_check;

struct model_instance {
    int64_t id;
    char *name;            /* "<model>-<5 letters or digits>", unique */
    int64_t model_id;
    char *model_name;
    int64_t model_generation; /* of the model's settings that it was made from */
    /* desired: control */
    int64_t worker_id;     /* 0: none yet */
    char *worker_name, *worker_ip;
    struct int_list gpu_indexes;
    bool is_draining;      /* serves what it has, gets nothing new, and goes */
    int64_t replaces_id;   /* the instance that goes when this one serves; 0: none */
    struct int_list avoid_worker_ids; /* where this replica failed twice in a row */
    char *refusals;        /* JSON array of workers that hadn't the room, see control/refusals.h */
    char *distributed_servers; /* JSON of a gang, see domain/gang.h; NULL: one worker runs it */
    struct int_list subordinate_worker_ids; /* of a gang's ranks 1 and on, in their order */
    char *backend, *backend_version;
    char *computed_resource_claim; /* JSON, see domain/claim.h: what it holds of its worker, of a
                                      gang rank 0; NULL: it was placed without knowing its need */
    /* observed: worker */
    int state;             /* enum instance_state */
    int state_reason;      /* enum reason; state and reasons are set by instance_set_state() */
    char *state_args;      /* JSON object of the reason's arguments, or NULL */
    char *state_message;   /* why, in words; empty when all is well */
    int64_t state_since;   /* wall ms */
    char *timeline;        /* JSON array, see domain/timeline.h; its own request shows it */
    int64_t pid;           /* 0: none */
    int64_t port;          /* engine's port on the worker's loopback; 0: none */
    struct int_list ports; /* all reserved ports */
    char *served_name;     /* the model's name when its engine was started, by which the engine
                              knows it; NULL: none runs, or its worker is too old to tell */
    double download_progress; /* percent; transient */
    char *resolved_path;   /* file or folder given to the engine */
    char *measured_claim;  /* JSON, see domain/claim.h: what it was seen to use; NULL: not known */
    int64_t restart_count;
    int64_t last_restart_time; /* wall ms */
    int64_t failures;      /* in a row, by its worker's count; of a gang by control's */
    bool is_held;          /* its files aren't there yet: control keeps it from its workers */
    bool is_drained;       /* its worker says that no engine is left; transient */
    int64_t gang_retry_ms; /* of a gang: monotonic time of the next try; transient */
    int64_t gang_serving_ms; /* of a gang: monotonic time since which it serves; transient */
    int64_t created_at, updated_at;
};

extern const struct record_type model_instance_type;
