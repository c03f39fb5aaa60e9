/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On which file system a path lies, and how much room there is:
 *
 *     {"mount_point":"/models","mount_from":"nas:/export","type":"nfs4","is_shared":true,
 *      "total":1000000000,"available":400000000}
 *
 * No state.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* JSON text, owned; NULL when it can't be found out. Blocks as long as the file system does. */
char *storage_of(const char *path);

struct storage_mount {
    struct str point, type, source; /* octal escapes as the kernel writes them */
};

/* Finds a mount by its id in the text of /proc/self/mountinfo. Pure; borrows from `text`. */
bool storage_find_mount(struct str text, uint64_t id, struct storage_mount *ret);

/* Whether other machines see the same files on a file system of that type. */
bool storage_is_shared(struct str type);
