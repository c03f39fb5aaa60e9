/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time series as a file: written whole, read whole or not at all.
 *
 * All numbers little-endian. Head: "GPSTACKT", u32 version (1), u32 count of blocks; then per kind
 * of entity u32 count of its metrics; then the blocks: i64 kind, i64 id, i64 index, i64 level, i64
 * slot, and its values (control/series.h), metric by metric; at the end u32 CRC-32C of all before.
 *
 * Pure. Writing reads a copy only (series_copy()), so it may run on another thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "control/series.h"

enum { SERIES_FILE_MAX = SERIES_BUDGET_BYTES + (64 << 20) };

/* Appends the file's bytes. */
void series_write_file(const struct series_copy *copy, struct buf *out);

/*
 * Puts what the file holds into `series`, which must be empty, and keeps its values' order: the
 * newest blocks survive a smaller budget. ERR_INVALID says what is wrong with it, ERR_NEWER that
 * another version wrote it; nothing is taken then.
 */
int series_read_file(struct series *series, struct str bytes, struct err *err) must_check;
