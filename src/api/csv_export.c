/* SPDX-License-Identifier: Apache-2.0 */
#include "api/csv_export.h"

#include "api/api_priv.h"
#include "api/usage_query.h"

static void end_export(struct csv_export *export)
{
    struct request *rq = export->rq;
    export->ops->free(export);
    request_drop(rq);
}

static void read_on(struct csv_export *export)
{
    export->is_reading = true;
    export->ops->read(export);
}

/* ---- the exchange's side ---- */

static void on_end(struct http_exchange *ex, void *ctx)
{
}

static void on_drain(struct http_exchange *ex, void *ctx)
{
    struct csv_export *export = ctx;
    if (!export->is_reading)
        read_on(export);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct csv_export *export = ctx;
    export->ex = NULL;
    if (!export->is_reading)
        end_export(export);
}

static const struct http_exchange_ops exchange_ops = {
    .on_end = on_end, .on_drain = on_drain, .on_close = on_close};

/* ---- pages ---- */

/* Whether the caller may still see what the question, made once, lets through. */
static bool may_go_on(const struct csv_export *export)
{
    return caller_is_still_allowed(export->rq) &&
           request_user(export->rq)->is_admin == export->is_admin;
}

/* Ends a request whose first page has failed; the answer can still say why. */
static void refuse(struct csv_export *export, int rc, const char *text)
{
    request_hold(export->rq);
    request_finish_read(export->rq, rc, text);
    end_export(export);
}

static bool take_first(struct csv_export *export, int rc, const char *text)
{
    if (rc == 0 && export->rq->ex && may_go_on(export))
        return true;
    if (rc < 0 || !export->rq->ex)
        refuse(export, rc, text);
    else
        refuse(export, ERR_FORBIDDEN, "access was withdrawn meanwhile");
    return false;
}

bool csv_export_take(struct csv_export *export, int rc, const char *text)
{
    export->is_reading = false;
    if (!export->has_begun)
        return take_first(export, rc, text);
    if (!export->ex) /* the client has left */
        end_export(export);
    else if (rc < 0 || !may_go_on(export))
        http_exchange_abort(export->ex);
    else
        return true;
    return false;
}

/* The first page is there: from now on errors can only cut the answer. */
static void begin(struct csv_export *export)
{
    const struct http_header type = {STR("Content-Type"), STR(USAGE_CSV_TYPE)};
    export->ex = export->rq->ex;
    export->has_begun = true;
    (void)request_take(export->rq);
    http_exchange_set_ops(export->ex, &exchange_ops, export);
    http_reply_start(export->ex, 200, &type, 1, -1);
}

void csv_export_send(struct csv_export *export, struct str page, bool has_more)
{
    if (!export->has_begun)
        begin(export);
    size_t waiting = http_reply_write(export->ex, page);
    if (!has_more)
        http_reply_end(export->ex);
    else if (waiting <= HTTP_HIGH_WATER)
        read_on(export);
}

int csv_export_start(struct csv_export *export, struct request *rq,
                     const struct csv_export_ops *ops)
{
    export->ops = ops;
    export->rq = rq;
    export->is_admin = request_user(rq)->is_admin;
    request_hold(rq);
    read_on(export);
    return REQUEST_PENDING;
}
