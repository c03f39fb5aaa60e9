/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/worker.h"

#include "domain/record_priv.h"

#include <assert.h>

static const char *const state_names[] = {
    [WORKER_NOT_READY] = "not_ready",
    [WORKER_READY] = "ready",
    [WORKER_UNREACHABLE] = "unreachable",
    [WORKER_MAINTENANCE] = "maintenance",
};

#define DEVICE_FIELD(member) FIELD_OF(struct worker_device, member)

static const struct field device_fields[] = {
    {DEVICE_FIELD(index), .kind = FIELD_INT, .max = INT32_MAX},
    {DEVICE_FIELD(type), .kind = FIELD_STRING},
    {DEVICE_FIELD(name), .kind = FIELD_STRING},
    {DEVICE_FIELD(vendor), .kind = FIELD_STRING},
    {DEVICE_FIELD(island), .kind = FIELD_INT, .min = -1, .max = INT32_MAX},
    {DEVICE_FIELD(link), .kind = FIELD_STRING},
    {DEVICE_FIELD(total_bytes), .kind = FIELD_INT, .max = INT64_MAX},
    {DEVICE_FIELD(used_bytes), .kind = FIELD_INT, .max = INT64_MAX},
    {DEVICE_FIELD(is_unified), .kind = FIELD_BOOL},
    {DEVICE_FIELD(is_healthy), .kind = FIELD_BOOL},
    {DEVICE_FIELD(utilization), .kind = FIELD_DOUBLE, .fallback = "-1"},
    {DEVICE_FIELD(temperature_c), .kind = FIELD_DOUBLE, .fallback = "-1"},
    {DEVICE_FIELD(power_w), .kind = FIELD_DOUBLE, .fallback = "-1"},
};

static const struct record_type device_type = {
    .noun = "device",
    .size = sizeof(struct worker_device),
    .fields = device_fields,
    .field_count = ARRAY_LEN(device_fields),
};

/* In the words of a report: "engines":[{"name":"vllm","version":"0.11",...}]. */
static const struct field engine_fields[] = {
    {FIELD_OF(struct worker_engine, name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED,
     .max = 128},
    {FIELD_OF(struct worker_engine, version), .kind = FIELD_STRING, .max = 128},
    {.name = "present", .offset = offsetof(struct worker_engine, is_present), .kind = FIELD_BOOL},
    {.name = "distributable",
     .offset = offsetof(struct worker_engine, is_distributable),
     .kind = FIELD_BOOL},
    {FIELD_OF(struct worker_engine, device_types), .kind = FIELD_STRINGS, .max = 64},
};

static const struct record_type engine_type = {
    .noun = "engine",
    .size = sizeof(struct worker_engine),
    .fields = engine_fields,
    .field_count = ARRAY_LEN(engine_fields),
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
    {FIELD(maintenance), .kind = FIELD_JSON},
    {FIELD(state), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = state_names,
     .name_count = WORKER_STATE_COUNT},
    {FIELD(state_message), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY},
    {FIELD(heartbeat_time), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT},
    {FIELD(status), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT},
    {FIELD(memory_total), .kind = FIELD_INT, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .max = INT64_MAX},
    {FIELD(memory_used), .kind = FIELD_INT, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .max = INT64_MAX},
    {FIELD(cpu_utilization), .kind = FIELD_DOUBLE, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .fallback = "-1"},
    {FIELD(device_indexes), .kind = FIELD_INTS, .flags = FIELD_SECRET | FIELD_TRANSIENT},
    {FIELD(device_types), .kind = FIELD_STRINGS, .flags = FIELD_SECRET | FIELD_TRANSIENT},
    {FIELD(devices), .kind = FIELD_RECORDS, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .items = &device_type},
    {FIELD(engines), .kind = FIELD_RECORDS, .flags = FIELD_SECRET | FIELD_TRANSIENT,
     .items = &engine_type, .max = WORKER_ENGINES_MAX},
    {FIELD(knows_engines), .kind = FIELD_BOOL, .flags = FIELD_SECRET | FIELD_TRANSIENT},
    {FIELD(inspects), .kind = FIELD_BOOL, .flags = FIELD_SECRET},
    {FIELD(downloads), .kind = FIELD_BOOL, .flags = FIELD_SECRET},
    {FIELD(storage_id), .kind = FIELD_STRING, .flags = FIELD_SECRET, .max = 64},
    {FIELD(cache_dir), .kind = FIELD_STRING, .flags = FIELD_SECRET},
    {FIELD(cache), .kind = FIELD_JSON, .flags = FIELD_SECRET | FIELD_TRANSIENT},
    {FIELD(cache_error), .kind = FIELD_STRING, .flags = FIELD_SECRET | FIELD_TRANSIENT},
    {FIELD(version), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX,
     .fallback = "1"},
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

static_assert(offsetof(struct worker, device_count) ==
                  offsetof(struct worker, devices) + sizeof(void *) &&
              offsetof(struct worker, engine_count) ==
                  offsetof(struct worker, engines) + sizeof(void *),
              "a FIELD_RECORDS is a pointer and a count");

const struct worker_device *worker_device_at(const struct worker *worker, int64_t index)
{
    for (size_t i = 0; i < worker->device_count; i++)
        if (worker->devices[i].index == index)
            return &worker->devices[i];
    return NULL;
}

void worker_clear_devices(struct worker *worker)
{
    field_clear(record_field(&worker_type, "devices"), worker);
    int_list_fini(&worker->device_indexes);
    string_list_fini(&worker->device_types);
}

const char *worker_state_name(enum worker_state state)
{
    assert(state < WORKER_STATE_COUNT);
    return state_names[state];
}

struct maintenance worker_maintenance(const struct worker *worker)
{
    auto_fini(json_release) json_t *root = NULL;
    if (!worker->maintenance || json_read(str_of(worker->maintenance), &root, NULL) < 0)
        return (struct maintenance){0};
    bool is_on = json_is_true(json_object_get(root, "enabled"));
    return (struct maintenance){.is_on = is_on,
                                .drains = is_on && json_is_true(json_object_get(root, "drain"))};
}

int worker_validate(const struct worker *worker, struct err *err)
{
    struct faults faults = {0};
    auto_fini(json_release) json_t *root = NULL;
    if (worker->maintenance && json_read(str_of(worker->maintenance), &root, err) < 0)
        return ERR_SYNTAX;
    static const char *const flags[] = {"enabled", "drain"};
    for (size_t i = 0; root && i < ARRAY_LEN(flags); i++) {
        const json_t *value = json_object_get(root, flags[i]);
        if (value && !json_is_boolean(value))
            faults_add(&faults, "maintenance", "must have true or false as \"%s\"", flags[i]);
    }
    const json_t *message = json_object_get(root, "message");
    if (root && !json_is_object(root))
        faults_add(&faults, "maintenance",
                   "must be {\"enabled\": true, \"message\": \"...\", \"drain\": false} or null");
    if (message && !json_is_null(message) &&
        (!json_is_string(message) || json_string_length(message) > MAINTENANCE_MESSAGE_MAX))
        faults_add(&faults, "maintenance", "must have a message of at most %d bytes",
                   MAINTENANCE_MESSAGE_MAX);
    return faults_finish(&faults, err);
}
