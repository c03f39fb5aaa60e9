/* SPDX-License-Identifier: Apache-2.0 */
/* Files that tools/embed put into the binary: read-only, for the life of the process. */
#pragma once

#include <stddef.h>

struct embedded_file {
    const char *name;          /* file name without folders; NULL in the last row */
    const unsigned char *data; /* followed by a NUL that doesn't count */
    size_t size;
};
