/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a model's weights are quantised, as config.json and the files beside it say. Labels are for
 * people ("awq 4 bit", "W8A8", "BF16"); bits are for sizes by formula.
 */
#pragma once

#include "weights/hf_config_priv.h"
#include "weights/source.h"

struct hf_quant {
    bool exists;            /* some of the weights are quantised */
    bool is_packed;         /* several in one element of a tensor: elements don't count weights */
    char label[64];
    char dtype[16];         /* of what isn't quantised; "" when no file says it */
    uint64_t group;         /* weights that share a scale; 0: none, or a whole row */
    double linear_bits;     /* per weight with its share of scales */
    double expert_bits;
    double plain_bits;
};

/* Reads hf_quant_config.json of the source as well, where it is the one that tells. Errors name
 * that file. */
int hf_quant_read(const struct hf_config *config, struct source *source, struct hf_quant *ret,
                  struct err *err) must_check;

/* Bits of a dtype's element, 0 for unknown ones; its label, which may be "". */
unsigned hf_dtype_bits(const char *dtype);
const char *hf_dtype_label(const char *dtype);
