/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model files of hubs: that they are there before an instance is started, once per storage however
 * many workers share it (domain/model_file.h). The rules stand in doc/model-files.md.
 *
 * Control makes a row when an instance has been placed where its files aren't, and gives one worker
 * of the storage the lease. Until all that an instance needs is there it is *held*: its workers
 * don't hear of it, its state says how far the download is. What runs is never touched.
 * Deterministic; control's thread.
 */
#pragma once

#include "control/cluster.h"

/* Whether this worker fetches files of hubs; others answer for themselves. */
bool model_files_can_fetch(const struct worker *worker);

/* Whether the model's files are there on the worker; true where they needn't be fetched. */
bool model_files_are_on(const struct cluster *cluster, const struct model *model,
                        const struct worker *worker);

/* The same on all workers of the instance, for the model's present settings. */
bool model_files_are_ready(const struct cluster *cluster, const struct model_instance *instance);

/* Whether workers aren't to hear of the instance: it isn't started and lacks files. */
bool model_files_hold(const struct cluster *cluster, const struct model_instance *instance);

/*
 * Where the instance's files are on that worker: what an engine gets in the place of the model's
 * source. NULL: they aren't fetched, the model's source says it. Returns owned.
 */
char *model_files_path_on(const struct cluster *cluster, const struct model_instance *instance,
                          int64_t worker_id);

/* What the worker is to do about the files whose lease it has: a JSON array. */
void model_files_write_wishes(const struct cluster *cluster, int64_t worker_id, struct buf *out);

/* Whether an instance uses the file, or will when its download is over. */
bool model_files_is_used_by(const struct cluster *cluster, const struct model_file *file,
                            const struct model_instance *instance);

/* ---- what clients do ---- */

/*
 * Has the worker of `fresh` fetch it. Takes the content of `fresh`, which is validated. Sets the
 * row. ERR_INVALID: no such worker, or it can't; ERR_EXISTS: it is there or under way.
 */
int model_files_ask(struct cluster *cluster, struct model_file *fresh, int64_t now_ms,
                    const struct model_file **ret, struct err *err) must_check;

/* No bytes are fetched, or they are again. ERR_CONFLICT: there is nothing under way. */
int model_files_set_paused(struct cluster *cluster, const struct model_file *file, bool is_paused,
                           int64_t now_ms, struct err *err) must_check;

/* Tries again now. ERR_CONFLICT: it is ready or being deleted. */
int model_files_retry(struct cluster *cluster, const struct model_file *file, int64_t now_ms,
                      struct err *err) must_check;

/*
 * Forgets the row; with `cleanup` its worker removes the files first. ERR_CONFLICT names the models
 * that use it.
 */
int model_files_remove(struct cluster *cluster, const struct model_file *file, bool cleanup,
                       int64_t now_ms, struct err *err) must_check;

/* ---- between the files of control ---- */

/* Gives the lease of a copy of a row, with a number above all that went before. */
void model_files_lend(struct model_file *copy, int64_t worker_id, int64_t now_ms);

/* The row of the model's source on that worker's storage, or NULL. */
struct model_file *model_files_find(const struct cluster *cluster, const struct model *model,
                                    const struct worker *worker);

/* Deletes a row, with its event. */
void model_files_forget(struct cluster *cluster, const struct model_file *file, int64_t now_ms,
                        const char *why);
