/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accelerator detection: one file per vendor behind one ops table, here for users.
 *
 * Detection may block, leak or crash inside a vendor's library: only the prober process calls it
 * (`gpustack prober`, a child of the worker that prints one JSON line per round), never a loop.
 */
#pragma once

#include "base/err.h"
#include "domain/device.h"

struct accel_options {
    const char *fake_file; /* devices from this file instead of the machine's; NULL: real ones */
};

/*
 * Detects all devices of the machine, numbered 0.. in `index`. A machine without any gives an empty
 * list and 0. A vendor that is present but broken gives its error text in `err`, the others'
 * devices and a positive count of failed vendors. A bad fake file is ERR_INVALID.
 */
int accel_detect(const struct accel_options *options, struct device_list *ret,
                 struct err *err) must_check;
