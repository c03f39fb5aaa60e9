/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what an instance was promised is there: the last look before its engine is started.
 * Placement goes by what it has given out and by figures of some seconds ago; what others have
 * taken meanwhile is seen here. Pure, any thread.
 */
#pragma once

#include "domain/claim.h"
#include "domain/device.h"

enum {
    CONFIRM_TOLERANCE = 100, /* so many parts of a device's memory; one of them may be missing */
};

/* An engine of this worker that is on its way to what it was promised. */
struct confirm_other {
    const struct resource_claim *claim;
    const struct resource_claim *before; /* what its devices had in use when it was launched */
    uint64_t ram_bytes;                  /* that it has taken already */
};

struct confirm_input {
    const struct resource_claim *claim;
    const struct device_list *devices; /* of this machine, as of now */
    uint64_t ram_total_bytes;          /* of the host */
    uint64_t ram_available_bytes;
    const struct confirm_other *others;
    size_t other_count;
};

/* Where it is too little. */
struct shortage {
    int64_t gpu_index; /* -1: of the host */
    uint64_t needs_bytes, free_bytes, total_bytes;
};

/*
 * False with `ret` set when a claimed device, or the host, has less free than was claimed, not
 * counting what other engines are about to take. A device that isn't there or whose size is unknown
 * is passed over: what it lacks is told otherwise.
 */
bool confirm_claim(const struct confirm_input *input, struct shortage *ret);
