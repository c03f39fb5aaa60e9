/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

static const struct record_type *type_of(const struct list_view *view)
{
    return view->type ? view->type : kind_type(view->kind);
}

bool list_accepts(struct request *rq, const struct list_view *view, const struct list_query *query,
                  const void *record)
{
    return (!view->accept || view->accept(rq, record)) &&
           list_query_accepts(query, type_of(view), record);
}

void list_write_row(struct request *rq, const struct list_view *view, const void *record,
                    struct json_writer *w)
{
    if (view->write)
        view->write(rq, record, w);
    else
        record_write(type_of(view), record, w);
}

static void write_pagination(struct json_writer *w, const struct list_query *query, size_t total)
{
    bool all = query->page < 0;
    int64_t per_page = all ? (int64_t)total : query->per_page;
    json_add_key(w, "pagination");
    json_begin_object(w);
    json_put_int(w, "page", all ? 1 : query->page);
    json_put_int(w, "perPage", per_page);
    json_put_int(w, "total", (int64_t)total);
    json_put_int(w, "totalPage", per_page ? ((int64_t)total + per_page - 1) / per_page : 0);
    json_end_object(w);
}

/* Sorts the rows that the list shows, and writes the page. */
static void write_page(struct request *rq, const struct list_view *view,
                       const struct list_query *query, const void **rows, size_t count)
{
    /* Rows that are no records have no age: they stay in the order of their ids. */
    if (!view->type || query->sort_count)
        list_query_sort(query, rows, count);
    size_t first = query->page < 0 ? 0 : (size_t)((query->page - 1) * query->per_page);
    size_t behind = query->page < 0 ? count : first + (size_t)query->per_page;
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    json_begin_array(&rq->json);
    for (size_t i = first; i < behind && i < count; i++)
        list_write_row(rq, view, rows[i], &rq->json);
    json_end_array(&rq->json);
    write_pagination(&rq->json, query, count);
    json_end_object(&rq->json);
}

int list_read_query(const struct request *rq, const struct list_view *view, struct list_query *ret,
                    struct err *err)
{
    return list_query_read(http_exchange_head(rq->ex)->query, type_of(view), view->aliases, ret,
                           err);
}

void list_write(struct request *rq, const struct list_view *view, const struct list_query *query,
                void *const *rows, size_t count)
{
    auto_free const void **shown = mem_alloc_array(count, sizeof *shown);
    size_t shown_count = 0;
    for (size_t i = 0; i < count; i++)
        if (list_accepts(rq, view, query, rows[i]))
            shown[shown_count++] = rows[i];
    write_page(rq, view, query, shown, shown_count);
}

int list_reply(struct request *rq, const struct list_view *view, struct err *err)
{
    struct list_query query;
    int rc = list_read_query(rq, view, &query, err);
    if (rc < 0)
        return rc;
    if (query.watch)
        return list_watch(rq, view, &query, err);
    const struct table *table = &rq->cluster->tables[view->kind];
    list_write(rq, view, &query, table->rows, table->count);
    list_query_fini(&query);
    return 0;
}

int no_such(const struct request *rq, enum kind kind, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "there is no %s with id %lld", kind_type(kind)->noun,
                   (long long)rq->id);
}

int list_read_unwatched(const struct request *rq, const struct list_view *view,
                        struct list_query *ret, struct err *err)
{
    struct list_query query;
    int rc = list_read_query(rq, view, &query, err);
    if (rc < 0)
        return rc;
    if (query.watch) {
        list_query_fini(&query);
        return err_set(err, ERR_INVALID, "%ss can't be watched in this version", view->type->noun);
    }
    *ret = query;
    return 0;
}
