/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests about usage ask for, read from their query. Users are shown their own usage only;
 * whatever they name, the filter says so. Control's thread.
 */
#pragma once

#include "api/request.h"
#include "domain/usage_report.h"

enum { USAGE_DEFAULT_DAYS = 31 }; /* that are summed up without `start`, today included */

#define USAGE_EXPORT_MAX (INT64_C(1) << 53) /* records of one CSV: 2^53, see openapi.yaml */

#define USAGE_CSV_TYPE "text/csv; charset=utf-8"

enum { USAGE_HOUR_MS = 3600 * 1000, USAGE_DAY_MS = 24 * USAGE_HOUR_MS };

/* GET /v2/usage. `ret` holds memory on success only. All rows are a walk, but those in an order
 * that is asked for: it can't go on where a page has ended. */
int usage_query_read(const struct request *rq, struct usage_query *ret, struct err *err) must_check;

/* GET /v2/usage/records; of CSV a limit of 0 is none. */
int usage_records_query_read(const struct request *rq, struct usage_records_query *ret,
                             struct err *err) must_check;

/* The time of the parameter: an ISO 8601 time, or a date for its midnight in UTC; `fallback` when
 * absent. ERR_INVALID. */
int usage_read_time(const struct request *rq, const char *name, int64_t fallback, int64_t *ret,
                    struct err *err) must_check;

/* Whose usage the caller may see: administrators that of all, others their own. ERR_FORBIDDEN when
 * the filter names somebody else. */
int usage_limit_to_caller(const struct request *rq, struct usage_filter *filter,
                          struct err *err) must_check;

/* A parameter of ids, with commas or named several times. ERR_INVALID. */
int usage_read_ids(const struct request *rq, const char *name, struct int_list *ret,
                   struct err *err) must_check;

/* Midnight of the day that is `days` - 1 days before today, in UTC. */
int64_t usage_days_back(const struct request *rq, int days);

/* Whether the answer shall be CSV: by `format`, else by Accept. */
bool usage_wants_csv(const struct request *rq);

/* Whether the answer shall be CSV of all sums, for no page of them is asked for. */
bool usage_wants_all(const struct request *rq);

/* The cursor behind a record. Returns owned. */
char *usage_cursor(const struct usage_record_row *row);

/* The name of a user or key: the present one, or that of `then` when it doesn't exist any more. */
const char *usage_user_name(const struct request *rq, int64_t id, const char *then);
const char *usage_key_name(const struct request *rq, int64_t id, const char *then);
