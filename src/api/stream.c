/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v2/stream?topics=...: changes of several kinds of resources on one stream of server-sent
 * events: a snapshot, then changes, resumed by Last-Event-ID. doc/api-watch.md describes it.
 */
#include "api/api_priv.h"
#include "base/num.h"
#include "control/watch.h"

#include <stdio.h>

/* The resources that can be watched. A row that `accept` refuses is not told. */
static const struct topic {
    const char *name;
    enum kind kind;
    enum access access;
    bool (*accept)(struct request *rq, const void *record); /* NULL: all */
} topics[] = {
    {"api-keys", KIND_API_KEY, ACCESS_USER, api_keys_is_own},
    {"events", KIND_EVENT, ACCESS_ADMIN, NULL},
    {"model-files", KIND_MODEL_FILE, ACCESS_ADMIN, NULL},
    {"model-instances", KIND_INSTANCE, ACCESS_ADMIN, NULL},
    {"model-routes", KIND_ROUTE, ACCESS_USER, NULL},
    {"models", KIND_MODEL, ACCESS_ADMIN, NULL},
    {"users", KIND_USER, ACCESS_ADMIN, NULL},
    {"workers", KIND_WORKER, ACCESS_ADMIN, NULL},
};

struct topic_stream {
    struct request *rq; /* held: its caller */
    unsigned kinds;     /* set of 1 << enum kind */
    bool is_resumption; /* the client came with a Last-Event-ID */
    bool has_begun;     /* the first reset or resume was told */
};

/* ---- topics ---- */

static const struct topic *topic_of(enum kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (topics[i].kind == kind)
            return &topics[i];
    return NULL;
}

static bool may_hear(const struct request *rq, const struct topic *topic)
{
    return topic->access == ACCESS_USER || request_user(rq)->is_admin;
}

static int add_topic(const struct request *rq, struct str name, unsigned *kinds, struct err *err)
{
    struct buf known = {0};
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        buf_printf(&known, "%s%s", i ? ", " : "", topics[i].name);
        if (!str_eq(name, str_of(topics[i].name)))
            continue;
        buf_fini(&known);
        if (!may_hear(rq, &topics[i]))
            return err_set(err, ERR_FORBIDDEN, "only administrators may watch %s, %s is none",
                           topics[i].name, request_user(rq)->username);
        *kinds |= 1U << topics[i].kind;
        return 0;
    }
    int rc = err_set(err, ERR_INVALID, "topics must be some of %s, not %.*s", known.ptr,
                     name.len > 64 ? 64 : (int)name.len, name.ptr);
    buf_fini(&known);
    return rc;
}

/* Reads the query; without topics it is all that the caller may hear. */
static int read_topics(const struct request *rq, unsigned *ret, struct err *err)
{
    auto_free char *text = request_query(rq, "topics");
    unsigned kinds = 0;
    for (size_t i = 0; !text && i < ARRAY_LEN(topics); i++)
        kinds |= may_hear(rq, &topics[i]) ? 1U << topics[i].kind : 0;
    struct str rest = str_of(text), name;
    int rc = text && !*text ? add_topic(rq, STR(""), &kinds, err) : 0;
    while (rc == 0 && str_split(&rest, ',', &name))
        rc = add_topic(rq, name, &kinds, err);
    if (rc == 0)
        *ret = kinds;
    return rc;
}

/* ---- event ids: BOOT-TOPICS-SEQ ---- */

static void write_id(const struct topic_stream *stream, uint64_t seq, struct buf *out)
{
    buf_printf(out, "id: %s-%u-%llu\n", watch_boot(control_watch(stream->rq->control)),
               stream->kinds, (unsigned long long)seq);
}

/* The sequence in a Last-Event-ID of this life of control and these topics; else 0. */
static uint64_t seq_of_id(const struct topic_stream *stream, struct str id)
{
    auto_free char *prefix =
        mem_printf("%s-%u-", watch_boot(control_watch(stream->rq->control)), stream->kinds);
    uint64_t seq;
    if (!str_has_prefix(id, str_of(prefix)) ||
        num_parse_u64(str_skip(id, strlen(prefix)), &seq) < 0)
        return 0;
    return seq;
}

/* ---- events ---- */

static const char *reset_reason(const struct topic_stream *stream)
{
    if (stream->has_begun)
        return "too-slow";
    return stream->is_resumption ? "unknown-id" : "start";
}

static void write_control_event(struct topic_stream *stream, const struct news *news,
                                struct buf *out)
{
    bool is_reset = news->op == NEWS_RESET;
    write_id(stream, news->seq, out);
    buf_printf(out, "event: %s\ndata: ",
               is_reset                 ? "reset"
               : news->op == NEWS_READY ? "ready"
                                        : "resume");
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    if (is_reset)
        json_put_string(&w, "reason", reset_reason(stream));
    json_end_object(&w);
    buf_add_cstr(out, "\n\n");
    stream->has_begun = true;
}

static void write_row_event(struct topic_stream *stream, const struct news *news, struct buf *out)
{
    const struct topic *topic = topic_of(news->kind);
    if (topic->accept && !topic->accept(stream->rq, news->record))
        return;
    write_id(stream, news->seq, out);
    buf_printf(out, "event: %s\ndata: ", topic->name);
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_string(&w, "op", news->op == NEWS_PUT ? "put" : "delete");
    json_put_int(&w, "id", record_id(news->record));
    if (news->op == NEWS_PUT) {
        json_add_key(&w, "row");
        record_write(kind_type(news->kind), news->record, &w);
    }
    json_end_object(&w);
    buf_add_cstr(out, "\n\n");
}

static void write_end(struct buf *out)
{
    buf_add_cstr(out, "event: error\ndata: ");
    const struct problem problem = {ERR_UNAUTHORIZED,
                                    "access was withdrawn while the stream was open", NULL};
    problem_write(&problem, out);
    buf_add_cstr(out, "\n\n");
}

static void write_news(const struct news *news, struct buf *out, void *ctx)
{
    struct topic_stream *stream = ctx;
    switch (news->op) {
    case NEWS_RESET:
    case NEWS_RESUME:
    case NEWS_READY:
        write_control_event(stream, news, out);
        break;
    case NEWS_PUT:
    case NEWS_DELETE:
        write_row_event(stream, news, out);
        break;
    case NEWS_HEARTBEAT:
        buf_add_cstr(out, ": heartbeat\n\n");
        break;
    case NEWS_END:
        write_end(out);
        break;
    }
}

/* ---- life ---- */

static bool is_allowed(void *ctx)
{
    const struct topic_stream *stream = ctx;
    if (!caller_is_still_allowed(stream->rq))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (stream->kinds & 1U << topics[i].kind && !may_hear(stream->rq, &topics[i]))
            return false;
    return true;
}

static void on_close(void *ctx)
{
    struct topic_stream *stream = ctx;
    request_drop(stream->rq);
    free(stream);
}

static const struct watcher_ops ops = {
    .write = write_news, .is_allowed = is_allowed, .on_close = on_close};

int stream_open(struct request *rq, struct err *err)
{
    unsigned kinds = 0;
    int rc = read_topics(rq, &kinds, err);
    if (rc < 0)
        return rc;
    struct str last_id = http_headers_get(&http_exchange_head(rq->ex)->headers, "last-event-id");
    struct topic_stream *stream = mem_alloc(sizeof *stream);
    *stream = (struct topic_stream){.rq = rq, .kinds = kinds, .is_resumption = last_id.len > 0};
    request_hold(rq);
    const struct watch_params params = {
        .kinds = kinds,
        .user_id = rq->caller.user_id,
        .since = seq_of_id(stream, last_id),
        .can_reset = true,
        .ops = &ops,
        .ctx = stream,
    };
    rc = watch_open(control_watch(rq->control), rq->ex, &params, err);
    if (rc < 0) {
        on_close(stream);
        return rc;
    }
    return request_take(rq);
}
