/* SPDX-License-Identifier: Apache-2.0 */
/* The calls by which the journal writes, as a table, so that tests can make a disk fail. */
#pragma once

#include <sys/types.h>

struct disk_ops {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*write)(int fd, const void *data, size_t n);
    int (*sync)(int fd); /* fdatasync(2) */
};

/* The machine's. */
extern const struct disk_ops disk_ops_system;
