/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines that nothing is known about: weights, a fifth of them, and what a framework takes; and
 * encoders, whose engines differ little.
 */
#include "estimate/estimate_priv.h"

enum { BATCH_TOKENS = 8192, WIDTHS = 12, BYTES_OF_HALF = 2 };

/* A framework and its kernels. */
#define RUNTIME_LLM (2 * GIB)
#define RUNTIME_OTHER (512 * MIB)
#define RUNTIME_ENCODER (614 * MIB)

static void add_encoder(const struct estimate_request *request, int place, struct estimate *ret)
{
    const struct model_shape *shape = request->shape;
    estimate_add(ret, place, ESTIMATE_WEIGHTS, shape->tensor_bytes + shape->tensor_bytes / 20,
                 "%llu B of tensors x 1.05", (unsigned long long)shape->tensor_bytes);
    const uint64_t tokens = max_u64(estimate_trained_context(shape, BATCH_TOKENS), BATCH_TOKENS);
    estimate_add(ret, place, ESTIMATE_COMPUTE,
                 tokens * shape->hidden_size * WIDTHS * BYTES_OF_HALF,
                 "%llu tokens x %llu x 12 x 2 B", (unsigned long long)tokens,
                 (unsigned long long)shape->hidden_size);
    estimate_add(ret, place, ESTIMATE_RUNTIME, RUNTIME_ENCODER, "framework");
}

static void add_other(const struct estimate_request *request, int place, uint64_t parts,
                      struct estimate *ret)
{
    const struct model_shape *shape = request->shape;
    const uint64_t weights = shape->tensor_bytes + request->lora_bytes;
    const uint64_t runtime = shape->kind == KIND_LLM ? RUNTIME_LLM : RUNTIME_OTHER;
    estimate_add(ret, place, ESTIMATE_WEIGHTS, ceil_div(weights, parts),
                 "%llu B of tensors over %llu", (unsigned long long)weights,
                 (unsigned long long)parts);
    estimate_add(ret, place, ESTIMATE_COMPUTE, ceil_div(weights / 5, parts),
                 "a fifth of the weights");
    estimate_add(ret, place, ESTIMATE_RUNTIME, runtime, "framework");
}

int estimate_custom(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    (void)err;
    const size_t count = request->device_count;
    if (estimate_is_encoder(request->shape))
        add_encoder(request, count ? 0 : ESTIMATE_HOST, ret);
    else
        for (size_t i = 0; i < (count ? count : 1); i++)
            add_other(request, count ? (int)i : ESTIMATE_HOST, count ? count : 1, ret);
    uint64_t devices = 0;
    for (size_t i = 0; i < count; i++)
        devices += estimate_place_bytes(&ret->devices[i]);
    if (count > 0)
        estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, max_u64(devices / 10, 2 * GIB),
                     "a tenth of what the devices hold, at least 2 GiB");
    estimate_judge(request, ret);
    return 0;
}
