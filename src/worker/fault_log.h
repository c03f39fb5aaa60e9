/* SPDX-License-Identifier: Apache-2.0 */
/* One log line per change of cause: what fails every second for hours is told once. One thread. */
#pragma once

#include "base/log.h"

struct fault_log {
    const char *area; /* borrowed, static */
    const char *what; /* "can't join the cluster"; borrowed, static */
    char *last;       /* owned; the cause that was told; NULL: all was well */
};

/* It fails because of `cause`: logged when that is another cause than before. */
void fault_log_tell(struct fault_log *log, enum log_level level, const char *cause);

/* It works (again): logged when it didn't before. */
void fault_log_clear(struct fault_log *log);

void fault_log_fini(struct fault_log *log);
