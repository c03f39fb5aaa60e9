/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program.h"

#include "base/str.h"

#include <errno.h>
#include <sys/stat.h>

/* 0 or the reason why `path` can't be run. */
static int check_program(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EACCES;
    return access(path, X_OK) == 0 ? 0 : errno;
}

static char *find_in_folders(const char *name, struct str folders)
{
    struct str folder;
    int fault = ENOENT;
    while (str_split(&folders, ':', &folder)) {
        if (!str_has_prefix(folder, STR("/")))
            continue;
        auto_free char *path = mem_printf("%.*s/%s", STR_ARGS(folder), name);
        int rc = check_program(path);
        if (rc == 0)
            return TAKE(path);
        if (rc == EACCES)
            fault = rc;
    }
    errno = fault;
    return NULL;
}

char *program_find(const char *name, const char *path_variable)
{
    if (!strchr(name, '/'))
        return find_in_folders(name, str_of(path_variable));
    int rc = check_program(name);
    if (rc == 0)
        return mem_strdup(name);
    errno = rc;
    return NULL;
}
