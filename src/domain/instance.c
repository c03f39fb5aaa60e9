/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/instance.h"

#include "domain/reason.h"

#include <assert.h>
#include <errno.h>

static const char *const state_names[] = {
    [INSTANCE_PENDING] = "pending",
    [INSTANCE_ANALYZING] = "analyzing",
    [INSTANCE_SCHEDULED] = "scheduled",
    [INSTANCE_INITIALIZING] = "initializing",
    [INSTANCE_DOWNLOADING] = "downloading",
    [INSTANCE_STARTING] = "starting",
    [INSTANCE_RUNNING] = "running",
    [INSTANCE_UNREACHABLE] = "unreachable",
    [INSTANCE_ERROR] = "error",
};

#define FIELD(member) FIELD_OF(struct model_instance, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(name), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 256},
    {FIELD(model_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(model_name), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(model_generation), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(worker_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE,
     .max = INT64_MAX},
    {FIELD(worker_name), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 256},
    {FIELD(worker_ip), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(gpu_indexes), .kind = FIELD_INTS, .flags = FIELD_READ_ONLY},
    {FIELD(is_draining), .kind = FIELD_BOOL, .flags = FIELD_READ_ONLY},
    {FIELD(replaces_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE,
     .max = INT64_MAX},
    {FIELD(avoid_worker_ids), .kind = FIELD_INTS, .flags = FIELD_READ_ONLY},
    {FIELD(distributed_servers), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(subordinate_worker_ids), .kind = FIELD_INTS, .flags = FIELD_READ_ONLY | FIELD_SECRET},
    {FIELD(backend), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(backend_version), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(state), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = state_names,
     .name_count = INSTANCE_STATE_COUNT},
    {FIELD(state_reason), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = reason_names,
     .name_count = REASON_COUNT},
    {FIELD(state_args), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(state_message), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 16 << 10},
    {FIELD(state_since), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(timeline), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY | FIELD_SECRET},
    {FIELD(pid), .kind = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE, .max = INT32_MAX},
    {FIELD(port), .kind = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE, .max = 65535},
    {FIELD(ports), .kind = FIELD_INTS, .flags = FIELD_READ_ONLY},
    {FIELD(served_name), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(download_progress), .kind = FIELD_DOUBLE, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT,
     .max = 100},
    {FIELD(resolved_path), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY},
    {FIELD(computed_resource_claim), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(refusals), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(measured_claim), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(restart_count), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(last_restart_time), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(failures), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT32_MAX},
    {FIELD(is_held), .kind = FIELD_BOOL, .flags = FIELD_SECRET},
    {FIELD(is_drained), .kind = FIELD_BOOL, .flags = FIELD_SECRET | FIELD_TRANSIENT},
    {FIELD(gang_retry_ms), .kind = FIELD_INT, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .max = INT64_MAX},
    {FIELD(gang_serving_ms), .kind = FIELD_INT, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .max = INT64_MAX},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type model_instance_type = {
    .noun = "model-instance",
    .table = "model_instances",
    .size = sizeof(struct model_instance),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

const char *instance_state_name(enum instance_state state)
{
    assert(state < INSTANCE_STATE_COUNT);
    return state_names[state];
}

int instance_state_parse(const char *name, enum instance_state *ret)
{
    for (unsigned i = 0; i < INSTANCE_STATE_COUNT; i++)
        if (strcmp(state_names[i], name) == 0) {
            *ret = (enum instance_state)i;
            return 0;
        }
    return -EINVAL;
}
