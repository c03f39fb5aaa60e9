/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/device.h"

#include "domain/record.h"

/*
 * A device's JSON has a flat part and two nested objects; each is read through a field table of its
 * own. Unknown measurements are negative numbers in memory and null in JSON.
 */
#define FIELD(member) FIELD_OF(struct device, member)
#define MEASURED .kind = FIELD_DOUBLE, .flags = FIELD_NULLABLE, .fallback = "-1"

static const struct field flat_fields[] = {
    {FIELD(index), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD(device_index), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD(device_chip_index), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD(name), .kind = FIELD_STRING, .max = 256},
    {FIELD(vendor), .kind = FIELD_STRING, .max = 64},
    {FIELD(type), .kind = FIELD_STRING, .max = 32},
    {FIELD(uuid), .kind = FIELD_STRING, .max = 128},
    {FIELD(driver_version), .kind = FIELD_STRING, .max = 128},
    {FIELD(runtime_version), .kind = FIELD_STRING, .max = 128},
    {.name = "temperature", .offset = offsetof(struct device, temperature_c), MEASURED},
    {.name = "power", .offset = offsetof(struct device, power_w), MEASURED},
    {FIELD(island), .kind = FIELD_INT, .min = -1, .max = DEVICES_MAX - 1, .fallback = "-1"},
    {FIELD(link), .kind = FIELD_STRING, .max = 16},
    {.name = "healthy", .offset = offsetof(struct device, is_healthy), .kind = FIELD_BOOL,
     .fallback = "true"},
};

static const struct record_type flat_type = {
    .noun = "device",
    .size = sizeof(struct device),
    .fields = flat_fields,
    .field_count = ARRAY_LEN(flat_fields),
};

/* Sizes are uint64_t in the struct; FIELD_INT accesses them as the signed type of the same size. */
static const struct field memory_fields[] = {
    {.name = "total",
     .offset = offsetof(struct device_memory, total_bytes),
     .kind = FIELD_INT,
     .max = INT64_MAX},
    {.name = "used",
     .offset = offsetof(struct device_memory, used_bytes),
     .kind = FIELD_INT,
     .max = INT64_MAX},
    {.name = "is_unified_memory",
     .offset = offsetof(struct device_memory, is_unified),
     .kind = FIELD_BOOL},
};

static const struct record_type memory_type = {
    .noun = "device memory",
    .size = sizeof(struct device_memory),
    .fields = memory_fields,
    .field_count = ARRAY_LEN(memory_fields),
};

static const struct field core_fields[] = {{.name = "utilization_rate", .offset = 0, MEASURED}};

static const struct record_type core_type = {
    .noun = "device core",
    .size = sizeof(double),
    .fields = core_fields,
    .field_count = ARRAY_LEN(core_fields),
};

void device_list_fini(struct device_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        record_fini(&flat_type, &list->items[i]);
    free(list->items);
    *list = (struct device_list){0};
}

/* ---- writing ---- */

static void write_core(const struct device *device, struct json_writer *w)
{
    json_add_key(w, "core");
    json_begin_object(w);
    json_put_int(w, "total", 0); /* no vendor's tool tells it */
    record_write_members(&core_type, &device->core_utilization, w);
    json_end_object(w);
}

static void write_memory(const struct device_memory *memory, struct json_writer *w)
{
    double share = 0;
    if (memory->total_bytes)
        share = (double)memory->used_bytes * 100.0 / (double)memory->total_bytes;
    json_add_key(w, "memory");
    json_begin_object(w);
    record_write_members(&memory_type, memory, w);
    json_add_key(w, "utilization_rate");
    json_add_double(w, share);
    json_end_object(w);
}

void device_list_write(const struct device_list *list, struct json_writer *w)
{
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++) {
        json_begin_object(w);
        record_write_members(&flat_type, &list->items[i], w);
        write_core(&list->items[i], w);
        write_memory(&list->items[i].memory, w);
        json_end_object(w);
    }
    json_end_array(w);
}

/* ---- reading ---- */

/* A nested object; absent or null means its defaults. */
static int read_part(const struct record_type *type, void *part, const json_t *entry,
                     const char *key, struct err *err)
{
    const json_t *object = json_object_get(entry, key);
    if (!object || json_is_null(object)) {
        record_init(type, part);
        return 0;
    }
    int rc = record_read(type, part, object, RECORD_CREATE, err);
    return rc < 0 ? err_wrap(err, rc, "%s", key) : 0;
}

static int read_device(const json_t *entry, struct device *device, struct err *err)
{
    int rc = record_read(&flat_type, device, entry, RECORD_CREATE, err);
    if (rc == 0)
        rc = read_part(&core_type, &device->core_utilization, entry, "core", err);
    if (rc == 0)
        rc = read_part(&memory_type, &device->memory, entry, "memory", err);
    return rc;
}

int device_list_read(const json_t *array, struct device_list *ret, struct err *err)
{
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > DEVICES_MAX)
        return err_set(err, ERR_INVALID, "devices must be a list of at most %d entries",
                       DEVICES_MAX);
    struct device_list list = {.items = mem_alloc_array(count, sizeof *list.items), .count = count};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_device(json_array_get(array, i), &list.items[i], err);
        if (rc < 0)
            err_wrap(err, rc, "device %zu", i);
    }
    if (rc == 0)
        *ret = list;
    else
        device_list_fini(&list);
    return rc;
}
