/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about usage and their answers: sums by time, model, user and so on, and single
 * requests. Asked in api/, answered in store/. Times are UTC. Plain data; pure, any thread.
 */
#pragma once

#include "domain/record.h"
#include "domain/usage.h"

enum {
    USAGE_ROWS_MAX = 10000, /* of one answer */
    USAGE_PAGE_MAX = 1000000,
    USAGE_IDS_MAX = 100, /* of one filter */
};

/* What sums may be split by. Periods begin at UTC midnight or full hours, weeks on Monday. */
enum usage_by {
    USAGE_BY_HOUR,
    USAGE_BY_DAY,
    USAGE_BY_WEEK,
    USAGE_BY_MONTH,
    USAGE_BY_MODEL,
    USAGE_BY_ROUTE,
    USAGE_BY_USER,
    USAGE_BY_KEY,
    USAGE_BY_OPERATION,
    USAGE_BY_COUNT
};

extern const char *const usage_by_names[USAGE_BY_COUNT];

/* What is counted; columns of the answer that it may be sorted by. */
enum usage_count {
    USAGE_REQUESTS,
    USAGE_ERRORS, /* see usage_is_error() */
    USAGE_PROMPT_TOKENS,
    USAGE_CACHED_TOKENS, /* part of the prompt's */
    USAGE_COMPLETION_TOKENS,
    USAGE_TOTAL_TOKENS,
    USAGE_QUEUE_US,
    USAGE_FIRST_BYTES, /* requests that had a first byte */
    USAGE_FIRST_BYTE_US,
    USAGE_TOTAL_US,
    USAGE_MODELS, /* different ones */
    USAGE_KEYS,
    USAGE_LAST_ACTIVE, /* ms: begin of the last hour or day with a request; 0: none */
    USAGE_COUNT_COUNT
};

extern const char *const usage_count_names[USAGE_COUNT_COUNT];

/* What is looked at. The zero value is everything. */
struct usage_filter {
    int64_t start_ms, end_ms; /* begin of the requests: start <= it < end; end 0: no end */
    struct int_list user_ids, key_ids, model_ids; /* empty: all */
    unsigned operations; /* set of 1 << enum usage_operation; 0: all */
    unsigned outcomes;   /* set of 1 << enum usage_outcome; 0: all. Of records only */
    char *route;         /* owned; NULL: all */
    char *request_id;    /* owned; NULL: all. Of records only */
};

/* Sums. `start_ms` and `end_ms` must be full hours. */
struct usage_query {
    struct usage_filter filter;
    unsigned by; /* set of 1 << enum usage_by, one period at most; 0: one row with all */
    int sort;    /* enum usage_count, or -1 - enum usage_by */
    bool is_descending;
    int64_t page, per_page; /* from 1; 1-USAGE_ROWS_MAX */

    /* All rows, `per_page` by `per_page`, in the order of what they are split by, whatever `sort`
     * and `page` say: rows that are there all the time come once, though others come up meanwhile.
     * There is no summary, and the report's total is above its count when there are more. */
    bool is_walk;
    struct usage_row *after; /* owned; the last row of the page before, NULL: from the first */
};

struct usage_row {
    int64_t starts_ms; /* of the period; what isn't asked for is 0 or NULL here */
    int64_t model_id, user_id, key_id;
    char *model, *route, *user_name, *key_name, *operation; /* owned */
    int64_t counts[USAGE_COUNT_COUNT];
};

struct usage_report {
    struct usage_row *rows; /* owned */
    size_t count;
    int64_t total;                     /* rows of all pages */
    int64_t summary[USAGE_COUNT_COUNT]; /* of all rows */
};

/* Single requests, the latest first. */
struct usage_records_query {
    struct usage_filter filter;
    int64_t before_ms, before_id; /* only those behind this one in the order; 0, 0: from the top */
    int64_t limit;                /* 1-USAGE_ROWS_MAX */
};

struct usage_record_row {
    int64_t id;
    char *gateway; /* owned */
    struct usage usage;
};

struct usage_records {
    struct usage_record_row *rows; /* owned */
    size_t count;
    bool has_more;
};

/* A deep copy into `to`, which is empty before. */
void usage_filter_copy(struct usage_filter *to, const struct usage_filter *from);

void usage_filter_fini(struct usage_filter *filter);
void usage_query_fini(struct usage_query *query);
void usage_report_fini(struct usage_report *report);
void usage_records_fini(struct usage_records *records);
