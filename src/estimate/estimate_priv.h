/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/estimate/ may include this: how the engines' files add to a result. */
#pragma once

#include "estimate/estimate.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static inline uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static inline uint64_t round_up(uint64_t a, uint64_t b)
{
    return ceil_div(a, b) * b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Adds a summand; one of 0 bytes leaves no trace. `fmt` makes the formula. */
void estimate_add(struct estimate *estimate, int device, enum estimate_part part, uint64_t bytes,
                  const char *fmt, ...) printf_like(5, 6);

/* What a device has for the instance: free_bytes, total_bytes; 0 when it isn't known. */
uint64_t estimate_capacity(const struct estimate_device *device);

/* Number of devices that are the first worker's own. */
size_t estimate_local_devices(const struct estimate_request *request);

/* Sets `fits`, and the advice about the first device that is short, unless there is one. */
void estimate_judge(const struct estimate_request *request, struct estimate *estimate);

/* Bytes of an element of a dtype ("bfloat16", "fp8", "auto" as `fallback`). */
uint64_t estimate_dtype_bytes(struct str dtype, uint64_t fallback);

/* The engine that serves such a model when nothing else is said. */
enum estimate_engine estimate_usual_engine(const struct model_shape *shape);

/* Tokens that the model was trained for, within the limit; `fallback` when it isn't known. */
uint64_t estimate_trained_context(const struct model_shape *shape, uint64_t fallback);

/* Whether it has no cache and sees a text at once, as BERT does. */
bool estimate_is_encoder(const struct model_shape *shape);

/* Matrices of MLA; "down" are those to the low ranks, queries without one are all "up". */
enum latent_matrix {
    LATENT_QUERIES_DOWN,
    LATENT_QUERIES_UP,
    LATENT_KEYS_DOWN, /* of keys and values, with the part that has positions */
    LATENT_KEYS_UP,
    LATENT_OUTPUT,
    LATENT_MATRIX_COUNT
};

/* Their elements in a layer of CACHE_LATENT. */
void estimate_latent_elements(const struct model_shape *shape, const struct layer_shape *layer,
                              double ret[LATENT_MATRIX_COUNT]);

/* Whether `word` stands in `text`, in whatever case. */
bool estimate_contains(const char *text, const char *word);

/* The engines; `ret` has its engine and the number of devices. */
int estimate_llama_cpp(const struct estimate_request *request, struct estimate *ret,
                       struct err *err) must_check;
int estimate_vllm(const struct estimate_request *request, struct estimate *ret,
                  struct err *err) must_check;
int estimate_sglang(const struct estimate_request *request, struct estimate *ret,
                    struct err *err) must_check;
int estimate_mindie(const struct estimate_request *request, struct estimate *ret,
                    struct err *err) must_check;
int estimate_audio(const struct estimate_request *request, struct estimate *ret,
                   struct err *err) must_check;
int estimate_diffusion(const struct estimate_request *request, struct estimate *ret,
                       struct err *err) must_check;
int estimate_custom(const struct estimate_request *request, struct estimate *ret,
                    struct err *err) must_check;
