/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a list request asks for: which page, what to look for, which rows, in which order. Read from
 * the query by the fields of a record type, so that every plain field of every resource can be
 * filtered and sorted by. Pure, any thread.
 *
 *     page=2&perPage=20&search=hello&sort_by=state,-created_at&state=running&state=error
 *
 * A field named twice lets both values pass; different fields must all pass. Strings must be the
 * same, enums and booleans are given by their word, a list must have the value. The empty value
 * of a list means the empty list, that of others is no filter: GPUStack's UI sends its unused ones
 * so. Maps, times and numbers with a fraction can't be filtered by.
 */
#pragma once

#include "domain/record.h"

enum {
    LIST_PER_PAGE = 100, /* rows of a page, unless fewer are asked for */
    LIST_PAGE_MAX = 1 << 30,
    LIST_SORT_MAX = 8,   /* fields of sort_by */
};

/* A query parameter that is another name of a field. */
struct list_alias {
    const char *name; /* NULL ends a table */
    const char *field;
};

/* A value that a field may have. */
struct list_value {
    int64_t number; /* of what isn't text */
    char *text;     /* owned */
};

struct list_filter {
    const struct field *field;
    struct list_value *values; /* owned; one of them must match */
    size_t count;
};

struct list_sort {
    const struct field *field;
    bool is_descending;
};

struct list_query {
    int64_t page;     /* from 1; -1: all rows on one page */
    int64_t per_page; /* 1-LIST_PER_PAGE */
    bool watch;
    char *search;     /* owned; NULL: none */
    struct list_filter *filters; /* owned */
    size_t filter_count;
    struct list_sort sort[LIST_SORT_MAX];
    size_t sort_count; /* 0: newest first */
};

/*
 * Reads a query, still percent-encoded. `aliases` may be NULL. ERR_INVALID names the parameter, its
 * value and what is allowed. `ret` must be given to list_query_fini() on success only.
 */
int list_query_read(struct str query, const struct record_type *type,
                    const struct list_alias *aliases, struct list_query *ret,
                    struct err *err) must_check;

void list_query_fini(struct list_query *query);

/* Whether a record passes the filters and the search. */
bool list_query_accepts(const struct list_query *query, const struct record_type *type,
                        const void *record);

/*
 * Brings rows into the order that is asked for; they come in ascending order of their ids. Rows
 * with equal fields stay in this order; without sort_by the newest come first.
 */
void list_query_sort(const struct list_query *query, const void **rows, size_t count);
