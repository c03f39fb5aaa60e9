/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices out of a file instead of the machine, for tests and for trying a cluster out.
 *
 * The file is JSON: an array of entries, or an object with such an array under "devices".
 *
 *     {"devices": [{"type": "npu", "name": "910B4", "count": 8, "memory_total": 34359738368}]}
 *
 * Keys of an entry:
 *     type               required; cuda, rocm, npu, mps, dcu, musa, corex or mlu
 *     name               required; the product's name
 *     memory_total       required; bytes
 *     vendor             the one that `type` belongs to, unless given ("Huawei" for npu)
 *     count              so many of them, 1 unless given
 *     memory_used        bytes, 0 unless given
 *     is_unified_memory  false unless given
 *     island_size        so many neighbours are linked to each other; no islands unless given
 *     link               by what: nvlink, xgmi, hccs or pcie; unknown unless given
 *     healthy            true unless given
 *     driver_version, runtime_version
 *     core_utilization (percent), temperature (degrees C), power (W); unknown unless given
 *     moves              percent by which these three go up and down with time, each device in its
 *                        own way; 0 unless given
 *
 * Indexes and uuids ("FAKE-npu-0") are given in the order of the file. Any other key is an error.
 */
#pragma once

#include "base/str.h"
#include "domain/device.h"

enum { FAKE_FILE_MAX = 1 << 20 };

/*
 * Reads the text of a fake file; what moves is as it is at `now_s`, seconds by any clock.
 * ERR_SYNTAX, ERR_INVALID with entry and key, ERR_TOO_LARGE.
 */
int accel_fake_parse(struct str text, int64_t now_s, struct device_list *ret,
                     struct err *err) must_check;
