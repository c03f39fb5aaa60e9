/* SPDX-License-Identifier: Apache-2.0 */
/* Finds in the end of an engine's log why it ended: the line for people, the reason for programs.
 * Pure. */
#pragma once

#include "base/str.h"
#include "domain/reason.h"

enum { LOGSCAN_LINE_MAX = 300 }; /* bytes that are quoted of a line */

/*
 * The last line that speaks of an error, else with `or_last` the last that isn't empty; shortened
 * and with control characters (colours) taken out. Returns owned, or NULL when there is none.
 */
char *logscan_error_line(struct str text, bool or_last);

/*
 * What the runtimes' own phrases tell: REASON_OUT_OF_DEVICE_MEMORY, REASON_DEVICE_LOST,
 * REASON_OUT_OF_MEMORY, REASON_PORT_TAKEN or REASON_BAD_PARAMETERS; `*ret_line` is then the first
 * line that says so, as above (what follows it are mostly consequences). Else REASON_NONE.
 */
enum reason logscan_reason(struct str text, char **ret_line);
