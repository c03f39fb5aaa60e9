/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/event.h"

#include <assert.h>

static const char *const code_names[] = {
    [EVENT_JOINED] = "joined",
    [EVENT_LOST] = "lost",
    [EVENT_BACK] = "back",
    [EVENT_ADDRESS_CHANGED] = "address_changed",
    [EVENT_UUID_REFUSED] = "uuid_refused",
    [EVENT_MAINTENANCE] = "maintenance",
    [EVENT_HELD_BACK] = "held_back",
    [EVENT_CREATED] = "created",
    [EVENT_SETTINGS_CHANGED] = "settings_changed",
    [EVENT_SCALED] = "scaled",
    [EVENT_ROLLED_BACK] = "rolled_back",
    [EVENT_DELETED] = "deleted",
    [EVENT_PLACED] = "placed",
    [EVENT_UNPLACED] = "unplaced",
    [EVENT_SERVES] = "serves",
    [EVENT_FAILED] = "failed",
    [EVENT_UNREACHABLE] = "unreachable",
    [EVENT_DRAINS] = "drains",
    [EVENT_REPLACED] = "replaced",
    [EVENT_MOVED] = "moved",
    [EVENT_GANG_STOPPED] = "gang_stopped",
    [EVENT_DOWNLOAD_BEGUN] = "download_begun",
    [EVENT_DOWNLOAD_READY] = "download_ready",
    [EVENT_DOWNLOAD_FAILED] = "download_failed",
    [EVENT_DOWNLOAD_MOVED] = "download_moved",
};

static_assert(ARRAY_LEN(code_names) == EVENT_CODE_COUNT, "every code has a name");

static const char *const type_names[] = {[EVENT_NORMAL] = "normal", [EVENT_WARNING] = "warning"};

#define FIELD(member) FIELD_OF(struct event, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(object_kind), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(object_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(object_name), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 256},
    {.name = "reason", .offset = offsetof(struct event, code), .kind = FIELD_ENUM,
     .flags = FIELD_READ_ONLY, .names = code_names, .name_count = EVENT_CODE_COUNT},
    {FIELD(type), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = type_names,
     .name_count = EVENT_TYPE_COUNT},
    {FIELD(message), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 16 << 10},
    {FIELD(args), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(count), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(first_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(last_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type event_type = {
    .noun = "event",
    .table = "events",
    .size = sizeof(struct event),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

const char *event_code_name(enum event_code code)
{
    assert(code < EVENT_CODE_COUNT);
    return code_names[code];
}

enum event_type event_code_type(enum event_code code)
{
    static const enum event_code warnings[] = {
        EVENT_LOST,   EVENT_ADDRESS_CHANGED, EVENT_UUID_REFUSED, EVENT_HELD_BACK,   EVENT_UNPLACED,
        EVENT_FAILED, EVENT_UNREACHABLE,     EVENT_MOVED,        EVENT_GANG_STOPPED,
        EVENT_DOWNLOAD_FAILED};
    for (size_t i = 0; i < ARRAY_LEN(warnings); i++)
        if (warnings[i] == code)
            return EVENT_WARNING;
    return EVENT_NORMAL;
}
