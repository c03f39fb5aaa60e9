/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one engine process holds of a worker: host memory and bytes of devices, and how the model
 * is cut for that. Of an instance (or of a rank of a gang) it is what placement has decided upon,
 * `computed_resource_claim`, or what its worker has measured, `measured_claim`. In JSON it has
 * GPUStack's shape:
 *
 *     {"ram":N,"vram":{"0":N,"1":N},"is_unified_memory":false,"offload_layers":N,
 *      "total_layers":N,"tensor_split":[N,N],"context_length":N,
 *      "tensor_parallel":N,"pipeline_parallel":N}
 *
 * Members of 0 are left out. `tensor_split` repeats the devices' bytes for GPUStack's clients; we
 * write it when layers are cut over several devices, and don't read it. `"is_whole":true` is ours.
 *
 * Plain data, pure, any thread.
 */
#pragma once

#include "base/json.h"

enum {
    CLAIM_DEVICES_MAX = 1024,  /* as many as a worker has at most; indexes are below it */
    CLAIM_TEXT_MAX = 64 << 10, /* bytes of its JSON */
    CLAIM_BYTES_MAX_BITS = 56, /* sizes are below 2 to the power of it: sums don't overflow */
};

struct claim_device {
    int64_t index; /* as in gpu_indexes */
    uint64_t bytes;
};

struct resource_claim {
    uint64_t ram_bytes;           /* of the host */
    struct claim_device *devices; /* owned; in the order in which the engine uses them */
    size_t device_count;
    int64_t layers_offloaded;     /* to devices, of `layers_total`; both 0: not known */
    int64_t layers_total;
    int64_t context_length;       /* tokens that were reckoned with; 0: not known */
    int64_t tensor_parallel;      /* 0: not cut so */
    int64_t pipeline_parallel;
    bool is_unified;              /* host and devices share their memory */
    bool is_whole;                /* the devices are held as a whole: what it needs isn't known */
};

/*
 * Reads JSON text. ERR_SYNTAX, ERR_INVALID, ERR_TOO_LARGE; unknown members are ignored, null is 0.
 * `ret` is zeroed before and owned by the caller: claim_fini(). Text that claim_text() has written
 * takes a short way: a placement pass reads tens of thousands.
 */
int claim_read(struct str text, struct resource_claim *ret, struct err *err) must_check;

/* The same of a parsed value; NULL and null are a claim of nothing. */
int claim_read_value(const json_t *value, struct resource_claim *ret, struct err *err) must_check;

/* Its JSON. Returns owned. */
char *claim_text(const struct resource_claim *claim) __attribute__((returns_nonnull));

/* Writes the JSON object. */
void claim_write(const struct resource_claim *claim, struct json_writer *w);

/* Adds a device behind the others. */
void claim_add_device(struct resource_claim *claim, int64_t index, uint64_t bytes);

/* Whether it holds nothing at all: none was made. */
bool claim_is_empty(const struct resource_claim *claim);

/* What it holds of that device; 0 when it doesn't hold it. */
uint64_t claim_device_bytes(const struct resource_claim *claim, int64_t index);

/* Deep copy; `to` is zeroed or valid before. */
void claim_copy(struct resource_claim *to, const struct resource_claim *from);

/* Frees what it owns and zeroes it. */
void claim_fini(struct resource_claim *claim);
