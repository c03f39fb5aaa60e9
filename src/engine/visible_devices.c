/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/visible_devices.h"

#include <string.h>

/*
 * By type of device. ROCm: one variable only, or the second would count in what the first left.
 * Iluvatar's and T-Head's runtimes read CUDA's variable, as numbers.
 */
static const struct vendor {
    const char *type;
    const char *variable;
    const char *uuid_prefix; /* of uuids that the variable takes; NULL: numbers only */
    const char *order[2];    /* further variable and value, so that numbers mean what tools show */
} vendors[] = {
    {"cuda", "CUDA_VISIBLE_DEVICES", "GPU-", {"CUDA_DEVICE_ORDER", "PCI_BUS_ID"}},
    {"rocm", "ROCR_VISIBLE_DEVICES", "GPU-", {0}},
    {"npu", "ASCEND_RT_VISIBLE_DEVICES", NULL, {0}},
    {"dcu", "HIP_VISIBLE_DEVICES", NULL, {0}},
    {"musa", "MUSA_VISIBLE_DEVICES", NULL, {0}},
    {"corex", "CUDA_VISIBLE_DEVICES", NULL, {0}},
    {"mlu", "MLU_VISIBLE_DEVICES", NULL, {0}},
    {"maca", "MACA_VISIBLE_DEVICES", NULL, {0}},
    {"hggc", "CUDA_VISIBLE_DEVICES", NULL, {0}},
};

static const struct vendor *find_vendor(const char *type)
{
    for (size_t i = 0; type && i < ARRAY_LEN(vendors); i++)
        if (strcmp(vendors[i].type, type) == 0)
            return &vendors[i];
    return NULL;
}

static const struct device *find_device(const struct device_list *devices, int64_t index)
{
    for (size_t i = 0; i < devices->count; i++)
        if (devices->items[i].index == index)
            return &devices->items[i];
    return NULL;
}

/* Indexes count all devices of a worker, a runtime counts those of its vendor. */
static int64_t number_of(const struct device_list *devices, const struct device *device)
{
    int64_t first = device->index;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device *other = &devices->items[i];
        if (other->type && strcmp(other->type, device->type) == 0 && other->index < first)
            first = other->index;
    }
    return device->index - first;
}

static bool is_known_by_uuid(const struct vendor *vendor, const struct device *device)
{
    return vendor->uuid_prefix && device->uuid &&
           strncmp(device->uuid, vendor->uuid_prefix, strlen(vendor->uuid_prefix)) == 0;
}

/* Appends the device to the value that its vendor's variable has so far. */
static void add_device(const struct device_list *devices, const struct device *device,
                       struct string_map *env)
{
    const struct vendor *vendor = find_vendor(device->type);
    if (!vendor)
        return; /* its runtime has no such variable: Apple's */
    const char *before = string_map_get(env, vendor->variable);
    struct buf value = {0};
    if (before)
        buf_printf(&value, "%s,", before);
    if (is_known_by_uuid(vendor, device))
        buf_add_cstr(&value, device->uuid);
    else
        buf_printf(&value, "%lld", (long long)number_of(devices, device));
    string_map_set(env, vendor->variable, value.ptr);
    buf_fini(&value);
    if (vendor->order[0])
        string_map_set(env, vendor->order[0], vendor->order[1]);
}

int visible_devices_set(const struct device_list *devices, const struct int_list *indexes,
                        struct string_map *env, int64_t *ret_missing, struct err *err)
{
    struct string_map found = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < indexes->count; i++) {
        const struct device *device = find_device(devices, indexes->items[i]);
        if (device) {
            add_device(devices, device, &found);
            continue;
        }
        *ret_missing = indexes->items[i];
        rc = err_set(err, ERR_NOT_FOUND, "device %lld isn't there, the worker has %zu",
                     (long long)indexes->items[i], devices->count);
    }
    for (size_t i = 0; rc == 0 && i < found.count; i++)
        string_map_set(env, found.keys[i], found.values[i]);
    string_map_fini(&found);
    return rc;
}
