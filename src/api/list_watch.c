/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUStack's `?watch=true` on a list route: frames {"type":N,"data":{row}} with an empty line
 * behind each, without the "data:" of server-sent events. doc/api-watch.md describes them.
 *
 * Which rows a client was told is remembered as ids, so that a row that no longer passes the filter
 * is told as deleted, and only then.
 */
#include "api/api_priv.h"
#include "base/id_set.h"
#include "control/watch.h"

enum frame_type { FRAME_CREATED = 1, FRAME_UPDATED = 2, FRAME_DELETED = 3 };

struct list_watcher {
    struct request *rq; /* held: its caller */
    struct list_view view;
    struct list_query query;
    struct id_set known; /* rows that the client was told */
};

static void write_frame(struct list_watcher *watcher, enum frame_type type, const void *record,
                        struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_int(&w, "type", type);
    json_add_key(&w, "data");
    list_write_row(watcher->rq, &watcher->view, record, &w);
    json_end_object(&w);
    buf_add_cstr(out, "\n\n");
}

static void write_put(struct list_watcher *watcher, const void *record, struct buf *out)
{
    int64_t id = record_id(record);
    if (list_accepts(watcher->rq, &watcher->view, &watcher->query, record))
        write_frame(watcher, id_set_add(&watcher->known, id) ? FRAME_CREATED : FRAME_UPDATED,
                    record, out);
    else if (id_set_remove(&watcher->known, id))
        write_frame(watcher, FRAME_DELETED, record, out);
}

static void write_news(const struct news *news, struct buf *out, void *ctx)
{
    struct list_watcher *watcher = ctx;
    switch (news->op) {
    case NEWS_PUT:
        write_put(watcher, news->record, out);
        break;
    case NEWS_DELETE:
        if (id_set_remove(&watcher->known, record_id(news->record)))
            write_frame(watcher, FRAME_DELETED, news->record, out);
        break;
    case NEWS_HEARTBEAT:
        buf_add_cstr(out, "\n\n");
        break;
    case NEWS_RESET:
    case NEWS_RESUME:
    case NEWS_READY:
    case NEWS_END:
        break; /* GPUStack's protocol has no words for these */
    }
}

static bool is_allowed(void *ctx)
{
    struct list_watcher *watcher = ctx;
    return caller_is_still_allowed(watcher->rq);
}

static void watcher_free(struct list_watcher *watcher)
{
    request_drop(watcher->rq);
    list_query_fini(&watcher->query);
    id_set_fini(&watcher->known);
    free(watcher);
}

static void on_close(void *ctx)
{
    watcher_free(ctx);
}

static const struct watcher_ops ops = {
    .write = write_news, .is_allowed = is_allowed, .on_close = on_close};

int list_watch(struct request *rq, const struct list_view *view, const struct list_query *query,
               struct err *err)
{
    struct list_watcher *watcher = mem_alloc(sizeof *watcher);
    watcher->rq = rq;
    watcher->view = *view;
    watcher->query = *query;
    request_hold(rq);
    const struct watch_params params = {
        .kinds = 1U << view->kind,
        .user_id = rq->caller.user_id,
        .ops = &ops,
        .ctx = watcher,
    };
    int rc = watch_open(control_watch(rq->control), rq->ex, &params, err);
    if (rc < 0) {
        watcher_free(watcher);
        return rc;
    }
    return request_take(rq);
}
