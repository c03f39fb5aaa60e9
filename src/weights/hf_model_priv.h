/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model while it is read: what its files say, and the shape that is made of it. The pieces of
 * this folder's hf_*.c that fill the shape share it; on the heap, owned by one call of hf_read().
 */
#pragma once

#include "weights/hf_blocks_priv.h"
#include "weights/hf_files_priv.h"
#include "weights/hf_quant_priv.h"
#include "weights/hf_towers_priv.h"
#include "weights/model_shape.h"

enum {
    HF_REMOTE_HEADER_MAX = 100 << 10, /* bytes of a safetensors header that is read from a hub */
};

struct hf_model {
    struct source *source; /* borrowed */
    struct hf_config config;
    struct hf_quant quant;
    struct hf_files files;
    struct hf_tower vision, audio, encoder;
    struct hf_block blocks[MODEL_SHAPE_LAYERS_MAX];
    struct model_shape shape;
};

/* What the model is for, by its architecture, its type and the files beside it. */
enum model_kind hf_kind_of(const struct hf_config *config, const struct source *source);

/*
 * Fills in what things take: bytes of layers, input, output and parts, and the number of weights.
 * From the headers of the safetensors files where they are at hand: all of a local model's, one
 * file's of a hub's. Else by formula, so that the sum is that of the files.
 */
int hf_bytes_fill(struct hf_model *model, struct err *err) must_check;

/* Counts the weights of files without config.json into a shape: of a local source only, as a hub's
 * headers aren't read for it. */
int hf_bytes_count(struct source *source, const struct hf_files *files, struct model_shape *shape,
                   struct err *err) must_check;

/* Adds a part; more than MODEL_SHAPE_PARTS_MAX are added to the last one. */
void hf_part_add(struct model_shape *shape, struct str name, uint64_t bytes);

/*
 * A folder of components with weights of their own: a diffusers pipeline by its model_index.json,
 * or (`index` NULL) all folders of the source that have weights.
 */
int hf_pipeline_read(struct source *source, const struct source_file *index,
                     struct model_shape *ret, struct err *err) must_check;
