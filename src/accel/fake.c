/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake.h"

#include "accel/accel_impl.h"
#include "base/clock.h"
#include "base/file.h"
#include "domain/record.h"

/* One entry of the file: `count` devices that differ in their numbers only. */
struct fake_entry {
    int type; /* place in type_names */
    char *name, *vendor;
    char *driver_version, *runtime_version;
    int64_t count;
    int64_t memory_total, memory_used;
    bool is_unified_memory, is_healthy;
    int64_t island_size; /* 0: they are linked to none */
    int link;            /* place in link_names */
    double core_utilization, temperature, power;
    int64_t moves; /* percent */
};

static const char *const type_names[] = {"cuda", "rocm", "npu",   "mps",
                                         "dcu",  "musa", "corex", "mlu"};
static const char *const type_vendors[ARRAY_LEN(type_names)] = {
    "NVIDIA", "AMD", "Huawei", "Apple", "Hygon", "Moore Threads", "Iluvatar", "Cambricon"};

static const char *const link_names[] = {"", "nvlink", "xgmi", "hccs", "pcie"};

#define FIELD(member) FIELD_OF(struct fake_entry, member)
#define MEASURED .kind = FIELD_DOUBLE, .fallback = "-1"

static const struct field entry_fields[] = {
    {FIELD(type), .kind = FIELD_ENUM, .flags = FIELD_REQUIRED, .names = type_names,
     .name_count = ARRAY_LEN(type_names)},
    {FIELD(name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED, .max = 256},
    {FIELD(vendor), .kind = FIELD_STRING, .max = 64},
    {FIELD(driver_version), .kind = FIELD_STRING, .max = 128},
    {FIELD(runtime_version), .kind = FIELD_STRING, .max = 128},
    {FIELD(count), .kind = FIELD_INT, .min = 1, .max = DEVICES_MAX, .fallback = "1"},
    {FIELD(memory_total), .kind = FIELD_INT, .flags = FIELD_REQUIRED, .min = 1, .max = INT64_MAX},
    {FIELD(memory_used), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD(is_unified_memory), .kind = FIELD_BOOL},
    {FIELD(island_size), .kind = FIELD_INT, .max = DEVICES_MAX},
    {FIELD(link), .kind = FIELD_ENUM, .names = link_names, .name_count = ARRAY_LEN(link_names)},
    {.name = "healthy", .offset = offsetof(struct fake_entry, is_healthy), .kind = FIELD_BOOL,
     .fallback = "true"},
    {FIELD(core_utilization), MEASURED},
    {FIELD(temperature), MEASURED},
    {FIELD(power), MEASURED},
    {FIELD(moves), .kind = FIELD_INT, .max = 100},
};

static const struct record_type entry_type = {
    .noun = "fake device",
    .size = sizeof(struct fake_entry),
    .fields = entry_fields,
    .field_count = ARRAY_LEN(entry_fields),
};

static int refuse_key(const char *key, struct err *err)
{
    struct buf allowed = {0};
    for (size_t i = 0; i < ARRAY_LEN(entry_fields); i++)
        buf_printf(&allowed, "%s%s", i ? ", " : "", entry_fields[i].name);
    int rc = err_set(err, ERR_INVALID, "unknown key '%s', allowed are %s", key, allowed.ptr);
    buf_fini(&allowed);
    return rc;
}

static int read_entry(const json_t *object, struct fake_entry *entry, struct err *err)
{
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "must be an object");
    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at;
         at = json_object_iter_next((json_t *)(uintptr_t)object, at))
        if (!record_field(&entry_type, json_object_iter_key(at)))
            return refuse_key(json_object_iter_key(at), err);
    int rc = record_read(&entry_type, entry, object, RECORD_CREATE, err);
    if (rc == 0 && entry->memory_used > entry->memory_total)
        rc = err_set(err, ERR_INVALID, "memory_used %lld is more than memory_total %lld",
                     (long long)entry->memory_used, (long long)entry->memory_total);
    return rc;
}

/* Up and down between -1 and 1 once in `period_s`, in straight lines. */
static double wave(int64_t at_s, int64_t period_s)
{
    double phase = (double)(at_s % period_s) / (double)period_s;
    return phase < 0.5 ? 4 * phase - 1 : 3 - 4 * phase;
}

/* A slow wave with a fast one on it; neighbours are at other points of it. */
static double moved(const struct fake_entry *entry, double value, size_t number, int64_t now_s)
{
    enum { SLOW_S = 600, FAST_S = 47, NEXT_S = 83 };
    int64_t at_s = now_s + (int64_t)number * NEXT_S;
    double share = 0.7 * wave(at_s, SLOW_S) + 0.3 * wave(at_s, FAST_S);
    return value < 0 ? value : value * (1 + share * (double)entry->moves / 100);
}

static double percent(double value)
{
    return value > 100 ? 100 : value;
}

static struct device make_device(const struct fake_entry *entry, size_t number, int64_t now_s)
{
    return (struct device){
        .index = (int64_t)number,
        .device_index = (int64_t)number,
        .name = mem_strdup(entry->name),
        .vendor = mem_strdup(entry->vendor ? entry->vendor : type_vendors[entry->type]),
        .type = mem_strdup(type_names[entry->type]),
        .uuid = mem_printf("FAKE-%s-%zu", type_names[entry->type], number),
        .driver_version = mem_strdup(entry->driver_version),
        .runtime_version = mem_strdup(entry->runtime_version),
        .memory = {.total_bytes = (uint64_t)entry->memory_total,
                   .used_bytes = (uint64_t)entry->memory_used,
                   .is_unified = entry->is_unified_memory},
        .core_utilization = percent(moved(entry, entry->core_utilization, number, now_s)),
        .temperature_c = moved(entry, entry->temperature, number, now_s),
        .power_w = moved(entry, entry->power, number, now_s),
        .island = -1,
        .link = entry->link ? mem_strdup(link_names[entry->link]) : NULL,
        .is_healthy = entry->is_healthy,
    };
}

/* The number behind those of the islands that are there already. */
static int64_t next_island(const struct device_list *list)
{
    int64_t next = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].island >= next)
            next = list->items[i].island + 1;
    return next;
}

static void make_devices(const struct fake_entry *entry, const struct device_list *before,
                         int64_t now_s, struct device_list *ret)
{
    int64_t island = next_island(before);
    ret->items = mem_alloc_array((size_t)entry->count, sizeof *ret->items);
    ret->count = (size_t)entry->count;
    for (size_t i = 0; i < ret->count; i++) {
        ret->items[i] = make_device(entry, before->count + i, now_s);
        if (entry->island_size)
            ret->items[i].island = island + (int64_t)i / entry->island_size;
    }
}

/* The devices of one entry to the end of `list`, numbered on. */
static int add_entry(const json_t *object, int64_t now_s, struct device_list *list,
                     struct err *err)
{
    struct fake_entry entry = {0};
    struct device_list more = {0};
    int rc = read_entry(object, &entry, err);
    if (rc == 0) {
        make_devices(&entry, list, now_s, &more);
        rc = accel_append(list, &more, err);
    }
    device_list_fini(&more);
    record_fini(&entry_type, &entry);
    return rc;
}

/* The array of entries: the root itself, or its only member "devices". */
static const json_t *find_entries(const json_t *root)
{
    if (json_is_object(root) && json_object_size(root) == 1)
        root = json_object_get(root, "devices");
    return json_is_array(root) ? root : NULL;
}

int accel_fake_parse(struct str text, int64_t now_s, struct device_list *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    struct device_list list = {0};
    int rc = json_read(text, &root, err);
    if (rc < 0)
        return rc;
    const json_t *entries = find_entries(root);
    if (!entries)
        return err_set(err, ERR_INVALID,
                       "must be an array of devices or an object with just that under \"devices\"");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        rc = add_entry(json_array_get(entries, i), now_s, &list, err);
        if (rc < 0) {
            device_list_fini(&list);
            return err_wrap(err, rc, "entry %zu", i);
        }
    }
    *ret = list;
    return 0;
}

static bool fake_is_present(const struct accel_options *options)
{
    return options->fake_file != NULL;
}

static int fake_detect(const struct accel_options *options, struct device_list *ret,
                       struct err *err)
{
    struct buf text = {0};
    int64_t now_s = clock_wall_ms(&clock_system) / 1000;
    int rc = file_read(options->fake_file, FAKE_FILE_MAX, &text, err);
    if (rc == 0 && (rc = accel_fake_parse(buf_str(&text), now_s, ret, err)) < 0)
        rc = err_wrap(err, ERR_INVALID, "%s", options->fake_file);
    buf_fini(&text);
    return rc;
}

const struct accel_ops accel_fake = {
    .name = "fake devices",
    .is_present = fake_is_present,
    .detect = fake_detect,
};
