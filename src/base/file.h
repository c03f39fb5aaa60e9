/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole small files: read with a limit, written so that a reader or a crash sees old or new, never
 * half. All calls block: on a loop thread only for small local files at start-up or on rare events.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

/* Reads all of `path` into `ret` (emptied first). ERR_TOO_LARGE above `max` bytes, -errno. */
int file_read(const char *path, size_t max, struct buf *ret, struct err *err) must_check;

/* The same with trailing white space cut off, as an owned string; for one-line secrets and names.
 */
int file_read_line(const char *path, size_t max, char **ret, struct err *err) must_check;

/* Writes to "path.tmp-PID", fsyncs, renames over `path`, fsyncs the folder. -errno. */
int file_write(const char *path, struct str content, mode_t mode, struct err *err) must_check;

/* Creates `path` and its parents with `mode`; an existing folder is fine. -errno. */
int file_make_dirs(const char *path, mode_t mode, struct err *err) must_check;

bool file_exists(const char *path);
