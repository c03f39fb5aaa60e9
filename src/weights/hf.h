/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a folder or repository of a Hugging Face style model into a model_shape: safetensors or
 * PyTorch files with config.json (or Mistral's params.json), a diffusers pipeline with
 * model_index.json, a LoRA adapter with adapter_config.json, or weights alone.
 *
 * Of a local source all safetensors headers are read. Of a hub: config.json, the sizes of the
 * files, the header of a model in one file when that is short (HF_REMOTE_HEADER_MAX), and small
 * files that tell about images and chat templates; no more than 200 KB and six reads for published
 * models. The bytes of layers then come from a formula, corrected so that they add up to the files.
 *
 * `parameter_count` is without layers that predict further tokens (draft_layer_count). A
 * config.json alone, without weights, describes the model as its files would be; file_bytes is by
 * formula then. Hostile input: see json_view.h, safetensors.h, hf_config_priv.h for the limits;
 * memory stays below four times the bytes read.
 */
#pragma once

#include "weights/model_shape.h"
#include "weights/source.h"

/*
 * ERR_NOT_FOUND when there is no such model in the source; ERR_SYNTAX for a damaged file;
 * ERR_INVALID for a number that isn't allowed or a part that is missing; ERR_TOO_LARGE for a passed
 * limit. Errors name the file and the key. `*ret` is owned: model_shape_fini().
 */
int hf_read(struct source *source, struct model_shape *ret, struct err *err) must_check;
