/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/estimate/ may include this: how vLLM, SGLang and MindIE cut a model over devices.
 *
 * Rank r is device r: tensor parallel ranks are next to each other, then ranks that share prompts,
 * then stages of the pipeline, then replicas of data parallelism.
 */
#pragma once

#include "estimate/estimate_priv.h"

struct parallel {
    uint64_t tensor, pipeline, data; /* 0: the user left it open */
    uint64_t prompt;    /* ranks that each prefill a part of a prompt; 0: one */
    uint64_t attention; /* of the tensor ranks, those that attention is cut over; 0: all of them */
    uint64_t expert;    /* ranks that hold the experts together; set by parallel_settle() */
    bool has_whole_towers; /* vision towers aren't cut, but whole on each rank */
    bool deals_experts; /* whole ones to each rank; else each rank has a part of all */
    bool has_own_experts; /* each replica, as SGLang has it; else they are shared by all */
};

/* How the files' bytes become bytes in memory. */
struct parallel_weights {
    double layer_factor; /* quantised while it is loaded, or another dtype */
    double other_factor; /* embeddings and output keep their dtype */
    uint64_t dtype_bytes; /* that activations and the cache have */
};

/* By --dtype and --quantization; both may be empty. */
struct parallel_weights parallel_weights_of(const struct model_shape *shape, struct str dtype,
                                            struct str quantization);

/*
 * Fills in what was left open (all devices work on tensors) and checks that the model can be cut
 * so. ERR_INVALID says which number doesn't divide what, and which do.
 */
int parallel_settle(const struct estimate_request *request, struct parallel *parallel,
                    struct err *err) must_check;

/* Number of devices that it takes; settled. */
size_t parallel_world(const struct parallel *parallel);

/* The nearest divisors of `whole` to one that isn't: "2 or 4 do". */
void parallel_suggest_divisor(uint64_t whole, uint64_t number, char *out, size_t size);

/*
 * Whether `ranks` divide heads, those of a vision tower, widths and quantisation blocks.
 * Vocabularies are padded by the engines, experts in MXFP4 and the heads of InternVL's tower, too.
 */
bool parallel_divides(const struct model_shape *shape, uint64_t ranks,
                      const struct parallel *parallel);

/* Layers of a stage: the rest goes one each to stages before the last one, as vLLM deals them. */
uint32_t parallel_stage_layers(uint32_t layers, uint64_t stages, uint64_t stage);

/* First layer of a stage. */
uint32_t parallel_stage_first(uint32_t layers, uint64_t stages, uint64_t stage);

/* The stage that a device works on. */
uint64_t parallel_stage_of(const struct parallel *parallel, size_t device);

/* Heads for keys and values that a rank has: at least one. */
uint64_t parallel_kv_heads(const struct layer_shape *layer, const struct parallel *parallel);

/* Adds the lines of a device's weights; returns their bytes. */
uint64_t parallel_add_weights(const struct estimate_request *request,
                              const struct parallel *parallel,
                              const struct parallel_weights *weights, size_t device,
                              struct estimate *ret);
