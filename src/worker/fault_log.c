/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/fault_log.h"

#include <string.h>

void fault_log_tell(struct fault_log *log, enum log_level level, const char *cause)
{
    if (log->last && strcmp(log->last, cause) == 0)
        return;
    log_write(level, log->area, "%s: %s", log->what, cause);
    mem_replace(&log->last, cause);
}

void fault_log_clear(struct fault_log *log)
{
    if (!log->last)
        return;
    log_info(log->area, "no longer: %s", log->what);
    mem_replace(&log->last, NULL);
}

void fault_log_fini(struct fault_log *log)
{
    free(log->last);
    log->last = NULL;
}
