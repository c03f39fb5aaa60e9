/* SPDX-License-Identifier: Apache-2.0 */
/* What the dashboard shows of usage, in GPUStack's shapes. Control's thread. */
#pragma once

#include "api/request.h"
#include "domain/usage_report.h"

/* What the page with all of it is made of. */
enum dashboard_query {
    DASHBOARD_DAYS,   /* the last 31, by day */
    DASHBOARD_USERS,  /* of those days, the ten with the most tokens */
    DASHBOARD_MODELS, /* of all times */
    DASHBOARD_QUERIES
};

/* Sets the queries of the page with all of it. */
void dashboard_queries(const struct request *rq, struct usage_query queries[DASHBOARD_QUERIES]);

/*
 * Asks the store, then has the answers written and ends the request. Takes the content of the
 * queries. Returns REQUEST_PENDING.
 */
int dashboard_read(struct request *rq, struct usage_query *queries, unsigned count,
                   void (*write)(struct request *rq, const struct usage_report *reports));

/* Writes "model_usage". */
void dashboard_write_usage(struct request *rq, const struct usage_report *reports);

/* All tokens of a model in a report by model. */
int64_t dashboard_model_tokens(const struct usage_report *report, int64_t model_id);
