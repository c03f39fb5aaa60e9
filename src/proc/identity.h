/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process is meant: a pid alone may be reused, so pid + start time + boot id.
 *
 * Read from /proc/PID/stat field 22 and /proc/sys/kernel/random/boot_id (proc(5)).
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_identity {
    pid_t pid;            /* the process group's id too, for what spawn() gave its own session */
    uint64_t start_ticks; /* clock ticks after boot at which it started */
    char boot_id[40];     /* of the kernel's run that the two belong to */
};

/* Reads the identity of a live pid. -ESRCH when there is none. A zombie counts as gone. */
int proc_identify(pid_t pid, struct proc_identity *ret) must_check;

/* Whether exactly this process is alive (not a zombie, not a namesake). */
bool proc_is_alive(const struct proc_identity *id);

/*
 * Calls `cb` for every process of this user whose environment has the entry `entry` ("K=V"). For
 * finding engines whose record was lost. The children of an engine inherit the entry and are given
 * too: the engine itself is the one with getpgid(pid) == pid. Blocks for a scan of /proc.
 */
void proc_find_by_env(const char *entry, void (*cb)(const struct proc_identity *id, void *ctx),
                      void *ctx);

/* Value of one environment variable of a process, as it was at its exec. Returns owned, or NULL. */
char *proc_read_env(const struct proc_identity *id, const char *name);

/*
 * Sum of what the process group has done so far: changes when it works. For progress deadlines.
 * Blocks for a scan of /proc.
 */
struct proc_progress {
    uint64_t cpu_ticks;  /* with those of children that ended */
    uint64_t read_bytes; /* rchar of /proc/PID/io; 0 where it can't be read */
    uint64_t rss_bytes;
};
int proc_read_progress(const struct proc_identity *id, struct proc_progress *ret) must_check;
