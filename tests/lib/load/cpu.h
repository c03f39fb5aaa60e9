/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time of processes and of a core, as the kernel tells it. Linux. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { CPU_PIDS_MAX = 16 };

/* Nanoseconds on a core of all threads of the processes (/proc/PID/task/N/schedstat). */
int64_t cpu_of_processes(const int *pids, size_t count);

/*
 * Nanoseconds that the core was busy, interrupts included, to a tick of 10 ms; time that the
 * hypervisor kept for itself isn't in it.
 */
int64_t cpu_of_core(int core);
