/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/worker.h"

#include <assert.h>

static const char *const state_names[] = {
    [WORKER_NOT_READY] = "not_ready",
    [WORKER_READY] = "ready",
    [WORKER_UNREACHABLE] = "unreachable",
};

#define FIELD(member) FIELD_OF(struct worker, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(name), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 256},
    {FIELD(hostname), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 256},
    {FIELD(ip), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(port), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = 65535},
    {FIELD(worker_uuid), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(netns_id), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(worker_version), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(labels), .kind = FIELD_MAP, .max = 256},
    {FIELD(state), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = state_names,
     .name_count = WORKER_STATE_COUNT},
    {FIELD(state_message), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY},
    {FIELD(heartbeat_time), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT},
    {FIELD(status), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT},
    {FIELD(memory_total), .kind = FIELD_INT, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .max = INT64_MAX},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type worker_type = {
    .noun = "worker",
    .table = "workers",
    .size = sizeof(struct worker),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

const char *worker_state_name(enum worker_state state)
{
    assert(state < WORKER_STATE_COUNT);
    return state_names[state];
}
