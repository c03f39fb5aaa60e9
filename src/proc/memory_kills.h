/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the kernel has killed a process for want of main memory: what tells such an end from a
 * kill by somebody. No state.
 */
#pragma once

#include <stdint.h>

/*
 * Kills since boot, in any control group (oom_kill of /proc/vmstat); 0 where the kernel doesn't
 * tell.
 */
int64_t memory_kills_read(void);
