/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the line of an engine's log that tells a person why it ended. Pure. */
#pragma once

#include "base/str.h"

enum { LOGSCAN_LINE_MAX = 300 }; /* bytes that are quoted of a line */

/*
 * The last line that speaks of an error, else with `or_last` the last that isn't empty; shortened
 * and with control characters (colours) taken out. Returns owned, or NULL when there is none.
 */
char *logscan_error_line(struct str text, bool or_last);
