/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a model needs: what its files say, the engine's rules and the user's parameters
 * -> bytes on each device and of the host, each with the sum behind it in words.
 *
 * Pure: no clock, no I/O; equal input gives equal output. It isn't for choosing a place (sched/)
 * nor for finding out what a model is (weights/). The rules of each engine stand in a file of their
 * own; doc/estimates.md explains them.
 *
 *     struct estimate_device device = {.vendor = "nvidia", .total_bytes = 24ULL << 30};
 *     struct estimate_request request = {.shape = &shape, .engine = ESTIMATE_VLLM,
 *                                        .devices = &device, .device_count = 1};
 *     auto_fini(estimate_fini) struct estimate estimate = {0};
 *     if (estimate_model(&request, &estimate, err) < 0)
 *         ...                            // parameters that can't be: says which and what could
 *     if (!estimate.fits) puts(estimate.advice);
 *     uint64_t claim = estimate_place_bytes(&estimate.devices[0]);
 *
 * Numbers err on the large side where an engine's behaviour isn't known to the byte.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "weights/model_shape.h"

enum {
    ESTIMATE_DEVICES_MAX = 128, /* of one instance, over all its workers */
    ESTIMATE_LINES_MAX = 4096,
    ESTIMATE_PARAMETERS_MAX = 1024,
    ESTIMATE_FORMULA_SIZE = 200,
    ESTIMATE_HOST = -1, /* in place of a device's index */

    /* Above all models; what is larger is refused, so that no product below overflows. */
    ESTIMATE_CONTEXT_MAX = 1 << 28, /* tokens; longer ones of files count as this */
    ESTIMATE_BATCH_MAX = 1 << 20,
    ESTIMATE_HEADS_MAX = 1 << 12,
    ESTIMATE_WIDTH_MAX = 1 << 20,   /* hidden size; heads x length of one */
    ESTIMATE_FORWARD_MAX = 1 << 24, /* feed-forward length */
    ESTIMATE_VOCABULARY_MAX = 1 << 28,
    ESTIMATE_IMAGE_MAX = 1 << 20,   /* tokens of an image */
};

enum estimate_engine {
    ESTIMATE_AUTO,      /* the usual one for the model's format and kind */
    ESTIMATE_LLAMA_CPP, /* llama-server and llama-box */
    ESTIMATE_VLLM,      /* V1 */
    ESTIMATE_SGLANG,
    ESTIMATE_MINDIE,
    ESTIMATE_AUDIO,     /* vox-box, faster-whisper, whisper.cpp */
    ESTIMATE_DIFFUSION, /* diffusers and stable-diffusion.cpp */
    ESTIMATE_CUSTOM,    /* anything else: weights and a margin */
    ESTIMATE_ENGINE_COUNT
};

/* What the bytes are for. */
enum estimate_part {
    ESTIMATE_WEIGHTS,
    ESTIMATE_CACHE,   /* keys and values */
    ESTIMATE_STATE,   /* of recurrent layers */
    ESTIMATE_COMPUTE, /* buffers of activations, inputs and outputs */
    ESTIMATE_GRAPHS,  /* captured graphs of kernels */
    ESTIMATE_RUNTIME, /* contexts, libraries, communication */
    ESTIMATE_PART_COUNT
};

/* A device, in the engine's order: those of other workers (RPC) before the local ones. */
struct estimate_device {
    const char *vendor;    /* "nvidia", "amd", "ascend", ...; NULL: unknown; borrowed */
    uint64_t total_bytes;  /* 0: not known, then everything fits */
    uint64_t free_bytes;   /* that the instance may take; 0: all of it */
    bool is_unified;       /* the host's memory is the device's, too */
    bool is_remote;        /* of another worker */
};

struct estimate_request {
    const struct model_shape *shape;     /* all of these are borrowed */
    const struct model_shape *projector; /* file beside a GGUF model; NULL: none */
    const struct model_shape *draft;     /* for speculative decoding; NULL: none */
    uint64_t lora_bytes;                 /* of adapters that are loaded with it */
    enum estimate_engine engine;
    const char *version;                 /* the engine's; NULL or "": the newest that is known */
    const char *const *argv;             /* the user's parameters, without program and model */
    size_t argc;
    const struct estimate_device *devices;
    size_t device_count;                 /* 0: on the processor */
    bool is_minimal; /* of engines that fill devices up: a cache for one request only; and no */
                     /* context is looked for that would fit, which takes longer than the rest */
};

/* One summand. */
struct estimate_line {
    int device;              /* index in the request, or ESTIMATE_HOST */
    enum estimate_part part;
    uint64_t bytes;
    char formula[ESTIMATE_FORMULA_SIZE]; /* "28 layers x (512 + 512) x 2 B x 4096 tokens" */
};

struct estimate_place {
    uint64_t parts[ESTIMATE_PART_COUNT];
};

struct estimate {
    enum estimate_engine engine;      /* never ESTIMATE_AUTO */
    struct estimate_line *lines;      /* owned */
    size_t line_count;
    struct estimate_place host;
    struct estimate_place devices[ESTIMATE_DEVICES_MAX];
    size_t device_count;
    uint64_t host_reclaimable_bytes;  /* pages of mapped files besides: the kernel may drop them */
    uint64_t context_length;          /* tokens that one request may have; 0: no such thing */
    uint64_t context_fits;            /* largest that would fit; 0: not known */
    uint64_t cache_tokens;            /* tokens that all requests together may keep */
    uint64_t sequences;               /* requests at a time, where the engine fixes them */
    unsigned tensor_parallel, pipeline_parallel, data_parallel; /* 1 where there is no such thing */
    uint64_t layers_offloaded;        /* on devices, the output counted as one; llama.cpp */
    bool fits;                        /* each device has the bytes; the host isn't looked at */
    char advice[512];                 /* when it doesn't: what is short, and what would fit */
};

/*
 * Fills in `ret`, which is zeroed or finished. ERR_INVALID for parameters that can't be, with the
 * nearest values that could; ERR_TOO_LARGE for a passed limit.
 */
int estimate_model(const struct estimate_request *request, struct estimate *ret,
                   struct err *err) must_check;

/* Frees what it owns and zeroes it. */
void estimate_fini(struct estimate *estimate);

/* Sum over the parts. */
uint64_t estimate_place_bytes(const struct estimate_place *place);

/* The bytes of one part and place in words: a line each, with the formula. */
void estimate_explain(const struct estimate *estimate, struct buf *out);

/* The whole result as one JSON object. */
void estimate_write(const struct estimate *estimate, struct json_writer *w);

/* "llama.cpp"; also what estimate_engine_of() takes. */
const char *estimate_engine_name(enum estimate_engine engine);

/* By name or GPUStack's name for it ("llama-box", "vox-box"); ESTIMATE_CUSTOM when unknown. */
enum estimate_engine estimate_engine_of(struct str name);

/* "weights". */
const char *estimate_part_name(enum estimate_part part);
