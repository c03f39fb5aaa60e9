/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environment variables by which a vendor's runtime shows a process some of the machine's devices
 * only. Pure.
 */
#pragma once

#include "domain/device.h"
#include "domain/record.h"

/*
 * Sets in `env` what makes exactly the devices with these indexes visible, in that order: by uuid
 * where the runtime takes that, since a number is another card when one is lost. Nothing for no
 * indexes. ERR_NOT_FOUND when a device isn't in the list, its index then in `*ret_missing`.
 */
int visible_devices_set(const struct device_list *devices, const struct int_list *indexes,
                        struct string_map *env, int64_t *ret_missing, struct err *err) must_check;
