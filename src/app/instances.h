/* SPDX-License-Identifier: Apache-2.0 */
/* What several client commands do with models and their instances. Blocking. */
#pragma once

#include "app/cli.h"

/* Id of the model of that name. ERR_NOT_FOUND names it. */
int model_id_by_name(struct cli *cli, const char *name, int64_t *ret, struct err *err) must_check;

/*
 * Waits until all replicas of the model run, telling each new state on stderr. ERR_UNAVAILABLE with
 * the instance's own reason when one fails for good or `timeout_ms` passes (0: no limit).
 */
int model_wait(struct cli *cli, int64_t model_id, int64_t timeout_ms, struct err *err) must_check;

/* The bytes of a member as "1.5 GiB"; "-" when it isn't there. Returns owned. */
char *bytes_text(const json_t *holder, const char *key);

/* "3m", "2h" since an ISO 8601 time; "-" for NULL. Returns owned. */
char *age_since(const char *time_text);
