/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/user.h"

#define FIELD(member) FIELD_OF(struct session, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(token_digest), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY | FIELD_SECRET, .max = 64},
    {FIELD(user_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(expires_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type session_type = {
    .noun = "session",
    .table = "sessions",
    .size = sizeof(struct session),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};
