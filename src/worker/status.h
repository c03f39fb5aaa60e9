/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine as GPUStack's worker status shows it: cpu, memory, swap, filesystem, os, kernel,
 * uptime. The parsers take text of /proc and /etc and are pure; machine_status_write() reads the
 * files. One thread per struct.
 */
#pragma once

#include "base/json.h"

struct cpu_times {
    uint64_t busy_ticks, total_ticks; /* since boot, of all cores */
    unsigned cores;
    int64_t boot_s; /* wall-clock seconds of the kernel's start; 0: unknown */
};

struct memory_info {
    uint64_t total_bytes, available_bytes;
    uint64_t swap_total_bytes, swap_free_bytes;
};

/* What is kept from one report to the next: utilization is what happened in between. */
struct machine_status {
    struct cpu_times before;
};

/* /proc/stat */
void status_parse_cpu(struct str text, struct cpu_times *ret);

/* /proc/meminfo */
void status_parse_memory(struct str text, struct memory_info *ret);

/* Percent of the time between two samples in which the cores were busy; 0 when there was none. */
double status_cpu_percent(const struct cpu_times *before, const struct cpu_times *after);

/* Value of a key of /etc/os-release, unquoted. Returns owned, or NULL. */
char *status_os_field(struct str text, const char *key);

struct mount {
    struct str source, point, type; /* as in the file: a space is "\040" */
};

/*
 * Next line of /proc/self/mounts that is a disk of this machine ("/dev/...", or the root whatever
 * it is); network and FUSE file systems are left out because asking a dead one blocks. Moves
 * `rest` on.
 */
bool status_next_mount(struct str *rest, struct mount *ret);

/* Writes the members (not the braces): "cpu":{...},...,"uptime":{...}. Small local reads. */
void machine_status_write(struct machine_status *status, struct json_writer *w);

/* A path of /proc/self/mounts with its octal escapes ("\040") decoded. Returns owned. */
char *status_unescape(struct str text);
