/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include <strings.h>

enum { PER_PAGE_MAX = 100, PAGE_MAX = 1 << 30 };

struct page {
    int64_t number; /* from 1; -1: everything on one page */
    int64_t per_page;
};

static int read_page(const struct request *rq, struct page *ret, struct err *err)
{
    int rc = request_query_int(rq, "page", -1, PAGE_MAX, 1, &ret->number, err);
    if (rc == 0 && ret->number == 0)
        rc = err_set(err, ERR_INVALID, "page must be 1 or more, or -1 for all, not 0");
    if (rc == 0)
        rc = request_query_int(rq, "perPage", 1, PER_PAGE_MAX, PER_PAGE_MAX, &ret->per_page, err);
    return rc;
}

/* The text of a string field of a record, or NULL when the type has no such field. */
static const char *text_of(const struct record_type *type, const void *record, const char *name)
{
    const struct field *field = record_field(type, name);
    if (!field || field->kind != FIELD_STRING)
        return NULL;
    const char *text;
    memcpy(&text, (const char *)record + field->offset, sizeof text);
    return text;
}

static bool matches_search(const struct record_type *type, const void *record, const char *search)
{
    static const char *const searched[] = {"name", "username", "full_name"};
    if (!search || !*search)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(searched); i++) {
        const char *text = text_of(type, record, searched[i]);
        if (text && strcasestr(text, search))
            return true;
    }
    return false;
}

bool list_accepts(struct request *rq, const struct list_view *view, const void *record,
                  const char *search)
{
    return (!view->accept || view->accept(rq, record)) &&
           matches_search(kind_type(view->kind), record, search);
}

void list_write_row(struct request *rq, const struct list_view *view, const void *record,
                    struct json_writer *w)
{
    if (view->write)
        view->write(rq, record, w);
    else
        record_write(kind_type(view->kind), record, w);
}

static void write_pagination(struct json_writer *w, const struct page *page, int64_t total)
{
    bool all = page->number < 0;
    int64_t per_page = all ? total : page->per_page;
    json_add_key(w, "pagination");
    json_begin_object(w);
    json_put_int(w, "page", all ? 1 : page->number);
    json_put_int(w, "perPage", per_page);
    json_put_int(w, "total", total);
    json_put_int(w, "totalPage", per_page ? (total + per_page - 1) / per_page : 0);
    json_end_object(w);
}

int list_reply(struct request *rq, enum kind kind, bool (*accept)(struct request *, const void *),
               void (*write)(struct request *, const void *, struct json_writer *), struct err *err)
{
    struct page page;
    int rc = read_page(rq, &page, err);
    if (rc < 0)
        return rc;
    bool watch;
    rc = request_query_bool(rq, "watch", false, &watch, err);
    if (rc < 0)
        return rc;
    const struct list_view view = {.kind = kind, .accept = accept, .write = write};
    if (watch)
        return list_watch(rq, &view, err);
    auto_free char *search = request_query(rq, "search");
    const struct table *table = &rq->cluster->tables[kind];
    int64_t total = 0;
    int64_t first = page.number < 0 ? 0 : (page.number - 1) * page.per_page;
    int64_t last = page.number < 0 ? INT64_MAX : first + page.per_page;
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    json_begin_array(&rq->json);
    for (size_t i = table->count; i-- > 0;) { /* newest first, as GPUStack lists */
        const void *record = table->rows[i];
        if (!list_accepts(rq, &view, record, search))
            continue;
        if (total >= first && total < last) {
            list_write_row(rq, &view, record, &rq->json);
        }
        total++;
    }
    json_end_array(&rq->json);
    write_pagination(&rq->json, &page, total);
    json_end_object(&rq->json);
    return 0;
}

int no_such(const struct request *rq, enum kind kind, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "there is no %s with id %lld", kind_type(kind)->noun,
                   (long long)rq->id);
}
