/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ops table behind accel_detect(), for those who write a vendor's file (users: accel/accel.h).
 *
 * A vendor is one file with one `const struct accel_ops` and a row in the table of detect.c. Vendor
 * libraries are opened at run time; nothing is linked.
 */
#pragma once

#include "accel/accel.h"

struct accel_ops {
    const char *name; /* for error texts: "nvidia" */

    /*
     * Whether there is anything to ask: a cheap look (a library or a device node). False when
     * `options` names a fake file, which stands for the whole machine.
     */
    bool (*is_present)(const struct accel_options *options);

    /*
     * Fills `ret` (zeroed before) with this vendor's devices, all strings owned by the list;
     * `index` is set by accel_detect(). On failure `ret` stays empty and `err` says why.
     */
    int (*detect)(const struct accel_options *options, struct device_list *ret, struct err *err);
};

extern const struct accel_ops accel_fake;

/* Moves the devices of `from` to the end of `to` and empties `from`. ERR_TOO_LARGE: DEVICES_MAX. */
int accel_append(struct device_list *to, struct device_list *from, struct err *err) must_check;
