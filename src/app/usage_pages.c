/* SPDX-License-Identifier: Apache-2.0 */
#include "app/usage_pages.h"

enum { TRIES = 5 };

static char glue_of(const char *path)
{
    return strchr(path, '?') ? '&' : '?';
}

/* Adds the rows of an answer to those of the first, which is that answer when there is none. */
static void add_page(json_t **whole, json_t *page)
{
    if (!*whole) {
        *whole = page;
        return;
    }
    json_array_extend(json_object_get(*whole, "items"), json_object_get(page, "items"));
    json_decref(page);
}

/* ---- sums ---- */

static int64_t number_of(const json_t *answer, const char *name)
{
    return json_member_int(json_object_get(answer, "pagination"), name, 0);
}

/* Reads page after page, as long as there are as many rows in all; `*is_same` says whether. */
static int read_pages(struct cli *cli, const char *path, json_t **ret, bool *is_same,
                      struct err *err)
{
    int64_t total = 0, pages = 1;
    *is_same = true;
    for (int64_t number = 1; *is_same && number <= pages; number++) {
        auto_free char *one = mem_printf("%s&page=%lld", path, (long long)number);
        json_t *page;
        int rc = cli_call(cli, HTTP_GET, one, NULL, &page, err);
        if (rc < 0)
            return rc;
        if (number == 1) {
            total = number_of(page, "total");
            pages = number_of(page, "totalPage");
        }
        *is_same = number_of(page, "total") == total;
        add_page(ret, page);
    }
    return 0;
}

static void set_single_page(json_t *answer)
{
    json_t *pagination = json_object_get(answer, "pagination");
    json_object_set(pagination, "perPage", json_object_get(pagination, "total"));
    json_object_set_new(pagination, "totalPage", json_integer(1));
}

/* In an order that no request changes only a row that comes up moves others: all is read again. */
static int read_all(struct cli *cli, const char *path, json_t **ret, struct err *err)
{
    for (int i = 0; i < TRIES; i++) {
        auto_fini(json_release) json_t *whole = NULL;
        bool is_same;
        int rc = read_pages(cli, path, &whole, &is_same, err);
        if (rc < 0)
            return rc;
        if (!is_same)
            continue;
        set_single_page(whole);
        *ret = TAKE(whole);
        return 0;
    }
    return err_set(err, ERR_UNAVAILABLE,
                   "new usage came up %d times while its pages were read: use --csv, which is one "
                   "answer, or --until with a time before now",
                   TRIES);
}

int usage_pages_sums(struct cli *cli, const char *path, const char *word, json_t **ret,
                     struct err *err)
{
    auto_fini(json_release) json_t *first = NULL;
    auto_free char *whole = mem_printf("%s%cperPage=%d", path, glue_of(path), USAGE_PAGE_ROWS);
    int rc = cli_call(cli, HTTP_GET, whole, NULL, &first, err);
    if (rc < 0)
        return rc;
    if (number_of(first, "totalPage") <= 1 || !word) {
        *ret = TAKE(first);
        return 0;
    }
    const char *start = json_member_string(first, "start"); /* must not move on at midnight */
    bool has_start = strstr(path, "?start=") || strstr(path, "&start=");
    auto_free char *ordered = mem_printf("%s&sort_by=%s%s%s", whole, word,
                                         has_start || !start ? "" : "&start=",
                                         has_start || !start ? "" : start);
    return read_all(cli, ordered, ret, err);
}

/* ---- records ---- */

int usage_pages_records(struct cli *cli, const char *path, int64_t limit, json_t **ret,
                        struct err *err)
{
    auto_fini(json_release) json_t *whole = NULL;
    auto_free char *cursor = NULL;
    do {
        int64_t rows = limit < USAGE_PAGE_ROWS ? limit : USAGE_PAGE_ROWS;
        auto_free char *one =
            mem_printf("%s%climit=%lld%s%s", path, glue_of(path), (long long)rows,
                       cursor ? "&cursor=" : "", cursor ? cursor : "");
        json_t *page;
        int rc = cli_call(cli, HTTP_GET, one, NULL, &page, err);
        if (rc < 0)
            return rc;
        json_t *next = json_object_get(page, "next_cursor");
        mem_replace(&cursor, json_string_value(next));
        if (whole)
            json_object_set(whole, "next_cursor", next);
        add_page(&whole, page);
        limit -= rows;
    } while (cursor && limit > 0);
    *ret = TAKE(whole);
    return 0;
}
