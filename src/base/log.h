/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event, one line, on stderr: time, level, role[pid], area, sentence.
 *
 *     2026-11-23T20:54:01.123Z info  worker[4711] instance: hello-a1b2c: engine is ready port=40000
 *
 * Levels say what an operator does: error = act now, warning = look today, info = a state change
 * worth keeping, debug = for developers. Folders of level 0-3 never log above debug: they return
 * errors. Nothing on a per-chunk or per-token path logs. Safe from any thread (one write per line).
 * Never pass a secret.
 */
#pragma once

#include "base/mem.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Name of the process in each line ("control"); borrowed for the life of the process. */
void log_set_role(const char *role);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warning", "info", "debug". */
const char *log_level_name(enum log_level level);

/* Parses a level's name; -EINVAL when there is no such level. */
int log_level_parse(const char *name, enum log_level *ret) must_check;

/* `area` is the object kind ("instance", "store"); the text starts with the object's name if any.
 */
void log_write(enum log_level level, const char *area, const char *fmt, ...) printf_like(3, 4);

#define log_error(area, ...) log_write(LOG_ERROR, area, __VA_ARGS__)
#define log_warning(area, ...) log_write(LOG_WARNING, area, __VA_ARGS__)
#define log_info(area, ...) log_write(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_write(LOG_DEBUG, area, __VA_ARGS__)
