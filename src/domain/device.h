/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accelerator of a worker: one entry of status.gpu_devices. Plain data in GPUStack's shape.
 */
#pragma once

#include "base/json.h"

struct device_memory {
    uint64_t total_bytes;
    uint64_t used_bytes;
    bool is_unified; /* shared with the host (Apple, GH200, Orin) */
};

struct device {
    int64_t index;             /* place among the worker's devices: what gpu_indexes mean */
    int64_t device_index;      /* card number for the vendor's tools */
    int64_t device_chip_index; /* chip on the card (Ascend); 0 elsewhere */
    char *name;                /* "910B4" */
    char *vendor;              /* NVIDIA, AMD, Huawei, Apple, Hygon, Moore Threads, Iluvatar,
                                  Cambricon */
    char *type;                /* cuda, rocm, npu, mps, dcu, musa, corex, mlu */
    char *uuid;
    char *driver_version, *runtime_version; /* NULL when unknown */
    struct device_memory memory;
    double core_utilization;   /* percent; < 0 when unknown */
    double temperature_c;      /* < 0 when unknown */
    double power_w;            /* < 0 when unknown */
    int64_t island;            /* those of the same number are linked to each other; -1: to none */
    char *link;                /* by what: "nvlink", "xgmi", "hccs", "pcie"; NULL when unknown */
    bool is_healthy;           /* false: nothing new may run on it */
};

struct device_list {
    struct device *items; /* owned */
    size_t count;
};

enum { DEVICES_MAX = 1024 }; /* per worker */

void device_list_fini(struct device_list *list);

/* Writes the JSON array. */
void device_list_write(const struct device_list *list, struct json_writer *w);

/* Reads the JSON array; ERR_INVALID names the entry and the field. `ret` is zeroed before. */
int device_list_read(const json_t *array, struct device_list *ret, struct err *err) must_check;
