/* SPDX-License-Identifier: Apache-2.0 */
/* What proc/ reads of /proc/PID/stat for itself: here a zombie is still a process. */
#pragma once

#include "proc/identity.h"

struct proc_stat {
    struct proc_identity id;
    pid_t parent;
    pid_t group;
    bool is_zombie;     /* dead, waiting for its parent */
    uint64_t cpu_ticks; /* with those of children that were waited for */
    uint64_t rss_pages;
};

/* Reads the state of a pid, zombie or not. -ESRCH when there is none. */
int proc_stat_read(pid_t pid, struct proc_stat *ret) must_check;

bool proc_identity_is_same(const struct proc_identity *a, const struct proc_identity *b);

/*
 * Whether one of the process group that `id` leads or led is alive, zombies not counted. False when
 * the number now belongs to somebody else: a pid isn't given out again while its group exists, so
 * another leader under that number means that the group had ended. Scans /proc.
 */
bool proc_group_is_alive(const struct proc_identity *id);
