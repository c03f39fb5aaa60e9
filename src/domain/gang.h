/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance over several workers: one rank per worker, rank 0 takes the requests. Kept in the
 * instance's row as `distributed_servers`, in GPUStack's shape with members of ours:
 *
 *     {"mode":"initialize_later","download_model_files":true,"epoch":2,"go":false,
 *      "failed_rank":1,"main_worker":{RANK},"subordinate_workers":[{RANK},...]}
 *
 *     RANK: {"worker_id":3,"worker_name":"b","worker_ip":"10.0.0.6","gpu_indexes":[0,1],
 *            "gpu_addresses":[],"computed_resource_claim":{CLAIM},"ports":[40000],"pid":77,
 *            "prepared":true,"state":"starting","state_reason":"none","state_message":""}
 *
 * Plain data; the rules stand in control/gangs.h. Pure, any thread.
 */
#pragma once

#include "domain/claim.h"
#include "domain/instance.h"

struct gang_rank {
    int64_t worker_id;
    char *worker_name, *worker_ip;
    struct int_list gpu_indexes;
    struct resource_claim claim; /* what it holds of its worker; empty: not known */
    /* as its worker reported it for the present epoch */
    struct int_list ports;
    int64_t pid;
    bool is_prepared; /* has reserved all that it needs */
    int state;        /* enum instance_state */
    int state_reason; /* enum reason */
    char *state_message;
};

struct gang {
    int64_t epoch;       /* number of the present try, from 1 on */
    bool go;             /* all are prepared and may start */
    int64_t failed_rank; /* the first that failed in the last epoch that did; -1: none has */
    struct gang_rank *ranks; /* owned */
    size_t rank_count;
};

/* Reads an instance's distributed_servers. ERR_INVALID; `ret` is zeroed before. */
int gang_read(const char *text, struct gang *ret, struct err *err) must_check;

/* Writes it into the instance, its subordinate_worker_ids too. */
void gang_store(const struct gang *gang, struct model_instance *instance);

/* The rank that runs on that worker, or -1. */
int gang_rank_of(const struct gang *gang, int64_t worker_id);

/* Adds a rank, which the caller may give a claim; copies. */
void gang_add_rank(struct gang *gang, int64_t worker_id, const char *worker_name,
                   const char *worker_ip, const struct int_list *gpu_indexes);

void gang_fini(struct gang *gang);

/* Whether the instance is a gang. */
bool instance_is_gang(const struct model_instance *instance);

/*
 * What placement has given the instance of that worker: its claim, or of a gang that of the rank
 * there. Empty when nothing was reckoned. Put over `ret`, which is zeroed or valid before; the
 * caller's to free.
 */
void instance_desired_claim_on(const struct model_instance *instance, int64_t worker_id,
                               struct resource_claim *ret);

/* The same, and where nothing was reckoned, what the worker has measured. */
void instance_claim_on(const struct model_instance *instance, int64_t worker_id,
                       struct resource_claim *ret);
