/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a model is made of out of a source, whatever the format: a GGUF file (with its other
 * parts and the projector beside it), a folder of safetensors with config.json, a diffusers
 * pipeline. Blocks; see source.h.
 */
#pragma once

#include "weights/model_shape.h"
#include "weights/source.h"

/*
 * `file` names a GGUF file of a source that has several, may be a pattern ("*Q4_K_M*.gguf"), and
 * may be "": then the source must leave no doubt. ERR_NOT_FOUND when there is no model; ERR_INVALID
 * when there are several, with their names; ERR_SYNTAX for a damaged file, ERR_TOO_LARGE for a
 * passed limit.
 */
int weights_read(struct source *source, const char *file, struct model_shape *ret,
                 struct err *err) must_check;

/*
 * The same, with the projector beside a GGUF model by itself and nothing of it in `ret`, as an
 * estimate wants it: `ret_projector` has format FORMAT_UNKNOWN when there is none.
 */
int weights_read_apart(struct source *source, const char *file, struct model_shape *ret,
                       struct model_shape *ret_projector, struct err *err) must_check;
