/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of this process, for /metrics. Reads /proc/self; any thread. */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct process_stats {
    int64_t cpu_ms; /* user and system time */
    uint64_t resident_bytes, virtual_bytes;
    unsigned open_fds, max_fds;
    int64_t start_ms; /* wall time */
};

/* -errno when /proc can't be read; what isn't known is 0. */
int process_stats_read(struct process_stats *ret, struct err *err) must_check;
