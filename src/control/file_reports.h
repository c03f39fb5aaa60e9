/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: what a worker tells of the model files whose lease it has.
 * Deterministic.
 */
#pragma once

#include "control/cluster.h"

/*
 * Takes member "model_files" of a report: JSON from outside, NULL for none. Entries of rows whose
 * lease the worker doesn't hold, or by another number, are ignored, and so is what can't be read.
 * Progress isn't stored, a change of the state is.
 */
void file_reports_take(struct cluster *cluster, int64_t worker_id, const json_t *entries,
                       int64_t now_ms);
