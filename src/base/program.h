/* SPDX-License-Identifier: Apache-2.0 */
/* Where a program's file is. Blocks for a few stat() calls on local folders. */
#pragma once

#include "base/mem.h"

/*
 * Looks `name` up in the folders of `path_variable` ("/usr/bin:/bin") as a shell would, but in
 * absolute folders only; a name with a '/' stands for itself. Returns owned, or NULL with errno:
 * ENOENT, or EACCES when what was found isn't executable.
 */
char *program_find(const char *name, const char *path_variable);
