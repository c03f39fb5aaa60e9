/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/model_metadata.h"

#define FIELD(member) FIELD_OF(struct model_metadata, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(key), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = MODEL_METADATA_KEY_MAX},
    {FIELD(shape), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(projector), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(identity), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(worker_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(read_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(used_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type model_metadata_type = {
    .noun = "model-metadata",
    .table = "model_metadata",
    .size = sizeof(struct model_metadata),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};
