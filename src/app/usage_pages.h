/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage that is longer than one answer of the API, with all its pages in one: an answer of the same
 * shape. It is in memory as a whole; what must not be is asked for as CSV.
 */
#pragma once

#include "app/cli.h"

enum { USAGE_PAGE_ROWS = 10000 }; /* the API's most; see /v2/usage and /v2/usage/records */

/*
 * GET of sums: `path` has a query and no page in it, `word` is the first of what they are split by
 * (NULL: nothing). Above USAGE_PAGE_ROWS they come in its order. ERR_UNAVAILABLE when rows came up
 * each time while they were read. `*ret` is owned.
 */
int usage_pages_sums(struct cli *cli, const char *path, const char *word, json_t **ret,
                     struct err *err) must_check;

/* GET of the latest `limit` records: `path` has no limit and no cursor in it. `*ret` is owned. */
int usage_pages_records(struct cli *cli, const char *path, int64_t limit, json_t **ret,
                        struct err *err) must_check;
