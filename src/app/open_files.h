/* SPDX-License-Identifier: Apache-2.0 */
/* The process's limit of open files. */
#pragma once

#include <stdint.h>

/*
 * Raises it to what the system allows, at most `max`; child processes inherit it. Returns the limit
 * as it is then. Logs under `area` when it can't be raised.
 */
uint64_t open_files_raise(const char *area, uint64_t max);
