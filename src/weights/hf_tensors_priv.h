/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which part of a model a tensor of safetensors files belongs to, by its name, and the sums of what
 * the headers say.
 */
#pragma once

#include "weights/hf_files_priv.h"
#include "weights/model_shape.h"
#include "weights/safetensors.h"

enum hf_place {
    HF_LAYER,
    HF_INPUT,
    HF_OUTPUT,
    HF_DRAFT,   /* predicts further tokens */
    HF_VISION,
    HF_AUDIO,
    HF_ENCODER_PART,
    HF_OTHER,
};

struct hf_tensor_place {
    uint8_t place;  /* enum hf_place */
    uint32_t layer; /* of HF_LAYER */
    bool is_expert; /* a routed one */
};

/* `layer_count`: from there on "layers" are drafts. With `has_encoder`, encoder.layers.N are none
 * of the decoder's layers. */
struct hf_tensor_place hf_tensor_place_of(struct str name, uint32_t layer_count,
                                          bool has_encoder);

struct hf_tensor_sums {
    uint64_t bytes[HF_OTHER + 1]; /* by place */
    uint64_t elements;            /* without scales, zero points and drafts */
    uint64_t type_bytes[SAFETENSORS_TYPE_COUNT];
    bool has_output_matrix;
    bool has_unknown_types;
};

/* Adds up the headers of all files, and into the bytes of `shape`'s layers. Only one header is in
 * memory at a time. */
int hf_tensors_sum(struct source *source, const struct hf_files *files, size_t header_max,
                   bool has_encoder, struct model_shape *shape, struct hf_tensor_sums *ret,
                   struct err *err) must_check;

/* The type that takes most bytes. */
enum safetensors_type hf_tensor_sums_type(const struct hf_tensor_sums *sums);
