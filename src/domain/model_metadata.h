/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a model were found to be made of, kept so that it is known after a restart and
 * while its hub can't be reached. Plain data; made and kept by control/shapes.h.
 */
#pragma once

#include "domain/record.h"

enum { MODEL_METADATA_KEY_MAX = 4200 }; /* bytes: a path and its prefix */

struct model_metadata {
    int64_t id;
    char *key;         /* where the files are: "hf:REPO[/FILE]", "ms:REPO[/FILE]", "path:/abs" */
    char *shape;       /* JSON of weights/shape_json.h */
    char *projector;   /* the same of the file beside it, or NULL */
    char *identity;    /* tells this content from another: bytes, time, sum */
    int64_t worker_id; /* which has read it; 0: control did, from a hub */
    int64_t read_at;   /* wall ms */
    int64_t used_at;   /* wall ms, to the day; those not used for longest go first */
};

extern const struct record_type model_metadata_type;
