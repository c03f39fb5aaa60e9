/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only llama_cpp*.c may include this: what llama-server makes of its parameters.
 *
 * The order: options (what stands in argv) -> plan (sizes of context, cells, where each layer goes)
 * -> lines (llama_cpp.c, llama_cpp_cache.c) and compute buffers (llama_cpp_graph.c, _mixers.c).
 */
#pragma once

#include "estimate/estimate_priv.h"
#include "estimate/parameters.h"

#include <stdbool.h>

enum { LLAMA_PAD = 256 /* cells of a cache come in multiples */ };

/* What differs between versions; llama_rules_of(). */
struct llama_rules {
    bool has_auto_parallel;   /* 4 slots with one cache unless told otherwise; before: 1 slot */
    bool outputs_by_sequence; /* logits are reserved for one token a sequence, not a whole ubatch */
    bool mask_is_half;        /* F16 with flash attention; before: F32 with a copy in F16 */
    bool mixes_inputs;        /* tokens and embeddings in one batch: further inputs */
};

struct llama_options {
    uint64_t context, batch, ubatch;
    int64_t parallel;
    struct str type_k, type_v;
    struct str flash_attention;
    struct str gpu_layers;
    struct str tensor_split, split_mode, device;
    struct str load_mode, fit;
    uint64_t main_gpu;
    bool mmap, swa_full, unified, separate, kv_offload, cpu_moe;
    uint64_t cpu_moe_layers;
    bool embedding, reranking;
    bool projector, projector_offload;
    uint64_t image_tokens; /* at most; 0: as the projector has it */
    uint64_t cache_ram_mib;
    struct parameter_list overrides; /* "PATTERN=BUFFER,..." */
    struct {
        struct str type_k, type_v, gpu_layers;
        bool cpu_moe;
        uint64_t cpu_moe_layers, ubatch;
        struct parameter_list overrides;
    } draft;
};

/* An element type of the cache: `elements` take `bytes`. */
struct llama_type {
    const char *name;
    unsigned elements, bytes;
};

/* Tensors of a layer; in MoE layers FFN_* are the shared expert's. */
enum llama_tensor {
    LLAMA_ATTN_NORM,
    LLAMA_ATTN_Q,
    LLAMA_ATTN_K,
    LLAMA_ATTN_V,
    LLAMA_ATTN_OUTPUT,
    LLAMA_FFN_NORM,
    LLAMA_FFN_GATE,
    LLAMA_FFN_UP,
    LLAMA_FFN_DOWN,
    LLAMA_GATE_EXPS, /* from here on experts */
    LLAMA_UP_EXPS,
    LLAMA_DOWN_EXPS,
    LLAMA_TENSOR_COUNT
};

struct llama_place {
    int8_t device; /* or ESTIMATE_HOST */
    bool is_moved; /* by --override-tensor */
};

struct llama_plan {
    const struct estimate_request *request;
    const struct model_shape *shape;
    struct llama_rules rules;
    struct llama_options options;
    const struct llama_type *type_k, *type_v;
    bool flash_attention;
    bool is_unified;
    bool is_encoder;          /* no cache; the whole batch at once */
    bool embeds;              /* vectors of all tokens are outputs, beside the logits */
    uint64_t sequences;       /* slots */
    uint64_t streams;         /* caches side by side: 1 when unified */
    uint64_t context;         /* cells a stream: what one sequence may have */
    uint64_t tokens;          /* of a ubatch */
    uint64_t outputs;         /* tokens of a ubatch whose logits are kept */
    unsigned layers_on_host;  /* the first ones */
    unsigned device_count;    /* that hold layers */
    unsigned copies;          /* of inputs: 4 with pipeline parallelism */
    int order[ESTIMATE_DEVICES_MAX]; /* devices that may be used, as --device lists them */
    size_t order_count;
    float shares[ESTIMATE_DEVICES_MAX]; /* of each of these and those before it; up to 1 */
    int layer_device[MODEL_SHAPE_LAYERS_MAX + 1]; /* or ESTIMATE_HOST; the last one: the output */
    struct llama_place tensors[MODEL_SHAPE_LAYERS_MAX][LLAMA_TENSOR_COUNT];
    struct llama_place embedding, output;
};

/*
 * Reads the parameters into `ret` with the defaults of that version, and checks them; of a draft
 * model, what it has of its own is in the place of the others.
 */
int llama_options_read(const struct estimate_request *request, bool is_draft,
                       struct llama_options *ret, struct err *err) must_check;

/* The rules of a version: "b6800", "0.7.0 (build 11669)", "0.7.0"; NULL: the newest. */
struct llama_rules llama_rules_of(const char *version);

/* By name ("q8_0"), or NULL. */
const struct llama_type *llama_type_of(struct str name);

/* Whether --flash-attn has one of the words for "off". */
bool llama_is_off(struct str text);

/* Bytes of a projector that was read together with the model, within its `other_bytes`. */
uint64_t llama_projector_part(const struct model_shape *shape);

/* Works out sizes and places; of a draft model, when the request's shape is that. */
int llama_plan_make(const struct estimate_request *request, bool is_draft, struct llama_plan *ret,
                    struct err *err) must_check;

/* "CUDA1", "RPC0[host:port]", "Metal": which device that is, or ESTIMATE_HOST. */
int llama_device_of(const struct estimate_request *request, struct str name);

/* Puts tensors where their layers are, or where parameters say. */
int llama_place_tensors(struct llama_plan *plan, struct err *err) must_check;

/* Bytes of a layer's tensors; their sum is exact, what each has follows from its dimensions. */
void llama_layer_tensors(const struct model_shape *shape, uint32_t il,
                         uint64_t bytes[LLAMA_TENSOR_COUNT]);

/* Cells that the cache of a layer has, in one stream. */
uint64_t llama_layer_cells(const struct llama_plan *plan, const struct layer_shape *layer);

/* Adds the lines of keys, values and states, where each layer is. */
void llama_add_caches(const struct llama_plan *plan, struct estimate *ret);

/* Bytes of the compute buffer of a device, or of the host for ESTIMATE_HOST. */
uint64_t llama_compute_bytes(const struct llama_plan *plan, int device);
