/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the process of an engine: argv and environment from its description, the labels by which
 * it is found again, its log. No state; blocks for the time of a fork and exec.
 *
 * Labels in the environment: GPUSTACK_WORKER_UUID, GPUSTACK_CLUSTER_ID, GPUSTACK_INSTANCE_ID,
 * GPUSTACK_INSTANCE_NAME, GPUSTACK_MODEL_NAME, GPUSTACK_GENERATION, GPUSTACK_PORTS ("40000,40001"),
 * GPUSTACK_RUN, GPUSTACK_READY_PATH (of those that take requests) and, of a gang's rank,
 * GPUSTACK_RANK, GPUSTACK_RANK_COUNT and GPUSTACK_GANG_EPOCH.
 */
#pragma once

#include "domain/device.h"
#include "proc/identity.h"
#include "worker/prepare.h"

struct launch {
    const struct desired_instance *wanted;
    const struct prepared *prepared;
    const struct int_list *ports;      /* reserved for it */
    const struct device_list *devices; /* of this machine */
    unsigned run;                      /* number of the run, for its log */
    const char *serve_dir;             /* folder of the engines' logs */
    const char *worker_name, *worker_uuid;
    const char *cluster_id;
};

struct launched {
    struct proc_identity id;
    char *note; /* owned: what it was started with, see worker/launch_note.h */
};

/* Negative with `fault` (zeroed before) set. */
int launch_engine(const struct launch *launch, struct launched *ret,
                  struct trouble *fault) must_check;

/* <log_dir>/serve. Returns owned. */
char *launch_serve_dir(const char *log_dir);

/* Name of an instance in logfile calls: its id. Fits 24 bytes. */
enum { LAUNCH_LOG_NAME_MAX = 24 };
void launch_log_name(int64_t instance_id, char name[LAUNCH_LOG_NAME_MAX]);
