/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch folder for a test: made under $TMPDIR, removed with all that is in it. */
#pragma once

#include "base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline char *folder_new(void)
{
    const char *base = getenv("TMPDIR");
    char *path = mem_printf("%s/gpustack-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        abort();
    return path;
}

static inline int folder_remove_entry(const char *path, const struct stat *st, int type,
                                      struct FTW *at)
{
    return remove(path);
}

static inline void folder_free(char *path)
{
    (void)nftw(path, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

/* Writes `bytes` of 'x' when `text` is NULL. */
static inline void folder_write(const char *folder, const char *name, const char *text,
                                size_t bytes)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    if (text)
        fputs(text, file);
    for (size_t i = 0; !text && i < bytes; i++)
        fputc('x', file);
    fclose(file);
}
