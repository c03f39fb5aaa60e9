/* SPDX-License-Identifier: Apache-2.0 */
#include "app/open_files.h"

#include "base/log.h"

#include <sys/resource.h>

uint64_t open_files_raise(const char *area, uint64_t max)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    rlim_t before = limit.rlim_cur;
    rlim_t wanted = limit.rlim_max < max ? limit.rlim_max : (rlim_t)max;
    if (before >= wanted)
        return before;
    limit.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return wanted;
    log_warning(area, "can't raise the limit of open files from %llu to %llu",
                (unsigned long long)before, (unsigned long long)wanted);
    return before;
}
