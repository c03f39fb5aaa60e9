/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways in which a model can run on devices of one kind, for placement: how many devices on how
 * many workers, how the model is cut, and what each rank needs. Pure.
 *
 *     struct estimate_profile profiles[ESTIMATE_PROFILES_MAX];
 *     int count = estimate_profiles(&request, &limits, profiles, err);
 *
 * The request's devices are ignored; parameters of the user that fix a cut (--tensor-parallel-size)
 * leave only the profiles that have it. Sorted by what they take: whole on few devices first, then
 * more devices, more workers, partly on the host, the processor alone. Several workers give equal
 * numbers of devices: powers of two, and what divides a worker's.
 */
#pragma once

#include "estimate/estimate.h"

enum {
    ESTIMATE_PROFILES_MAX = 64,
    ESTIMATE_PARTIAL_MAX = 8,        /* of those, partly on the host */
    ESTIMATE_PROFILE_RANKS_MAX = 64, /* devices of a profile */
    ESTIMATE_PREFERRED_REQUESTS = 4, /* that the preferred bytes have a cache for */
};

enum estimate_profile_kind {
    PROFILE_DEVICES,   /* whole on devices */
    PROFILE_PARTIAL,   /* some layers on devices of a worker, the others on its host */
    PROFILE_PROCESSOR, /* no device */
    ESTIMATE_PROFILE_KIND_COUNT
};

struct estimate_profile {
    enum estimate_profile_kind kind;
    unsigned nodes;            /* workers */
    unsigned devices_per_node; /* the same on each */
    unsigned tensor_parallel, pipeline_parallel, data_parallel;
    uint64_t layers_offloaded; /* llama.cpp; 0: not said */
    /* Of each device, for one request: worker by worker, the first one's last with llama.cpp. */
    uint64_t rank_bytes[ESTIMATE_PROFILE_RANKS_MAX];
    uint64_t preferred_bytes[ESTIMATE_PROFILE_RANKS_MAX]; /* for several */
    uint64_t host_bytes;       /* of the first worker's main memory */
    uint64_t context_length;
};

struct estimate_limits {
    struct estimate_device device; /* the kind; bytes of 0: not known */
    unsigned devices_per_node;     /* at most */
    unsigned nodes;                /* at most; 0 counts as 1 */
    bool may_offload_partly;
    bool may_use_processor;
};

/*
 * Number of profiles that were written. Without any: ERR_INVALID with the reason why the last one
 * that was tried can't be.
 */
int estimate_profiles(const struct estimate_request *request, const struct estimate_limits *limits,
                      struct estimate_profile profiles[ESTIMATE_PROFILES_MAX],
                      struct err *err) must_check;

/* "devices". */
const char *estimate_profile_kind_name(enum estimate_profile_kind kind);
