/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of engines over HTTP: a list of runs, and the text of one, once or followed as it grows. */
#include "base/num.h"
#include "proc/logfile.h"
#include "worker/launch.h"
#include "worker/relay_priv.h"

#include <stdio.h>

enum {
    LOGS_READ_BYTES = 64 << 10, /* of one read */
    LOGS_POLL_MS = 250,         /* between two looks at a log that is followed */
    LOGS_RUNS_MAX = 64,         /* that are listed */
    LOGS_TAIL_MAX = 1000000,    /* lines */
};

#define LOGS_NO_OFFSET INT64_MIN

struct log_request {
    int64_t tail; /* lines; -1: all */
    int64_t run;  /* -1: the latest */
    int64_t offset; /* bytes; negative: from the end; LOGS_NO_OFFSET: none was asked for */
    int64_t limit;  /* bytes; -1: all */
    bool follow;
};

/* A log on its way to a client. */
struct log_sender {
    struct http_exchange *ex;
    const struct runner_set *runners;
    int64_t instance_id;
    char name[LAUNCH_LOG_NAME_MAX];
    unsigned run;
    bool follow;
    uint64_t left; /* bytes that may still be sent */
    struct logfile_cursor cursor;
    struct timer timer; /* next look while following */
};

/* ---- sending ---- */

/* Whether more may be written to the log. */
static bool is_live(const struct log_sender *sender)
{
    const struct runner *runner = runner_set_find(sender->runners, sender->instance_id);
    return runner && runner->process && runner->record.run == sender->run;
}

/* Sends until the client's queue is full (then on_drain() goes on) or there is nothing more now. */
static void send_more(struct log_sender *sender)
{
    struct buf text = {0};
    size_t queued = 0;
    int n;
    bool goes_on;
    do {
        /* Before reading: what ends now is read whole. */
        goes_on = sender->follow && is_live(sender);
        buf_clear(&text);
        size_t room = sender->left < LOGS_READ_BYTES ? (size_t)sender->left : LOGS_READ_BYTES;
        n = logfile_read(runner_set_serve_dir(sender->runners), sender->name, sender->run,
                         &sender->cursor, room, &text, NULL);
        if (n > 0)
            queued = http_reply_write(sender->ex, buf_str(&text));
        sender->left -= n > 0 ? (uint64_t)n : 0;
    } while (n > 0 && queued <= HTTP_HIGH_WATER);
    buf_fini(&text);
    if (n > 0)
        return;
    if (n == 0 && goes_on && sender->left > 0)
        timer_start(&sender->timer, LOGS_POLL_MS);
    else
        http_reply_end(sender->ex);
}

static void on_poll(struct timer *timer, void *ctx)
{
    send_more(ctx);
}

static void on_drain(struct http_exchange *ex, void *ctx)
{
    struct log_sender *sender = ctx;
    if (!timer_is_armed(&sender->timer))
        send_more(sender);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct log_sender *sender = ctx;
    timer_stop(&sender->timer);
    free(sender);
}

static const struct http_exchange_ops ops = {.on_drain = on_drain, .on_close = on_close};

/* ---- requests ---- */

static int parse_number(struct str query, const char *name, int64_t max, int64_t *at,
                        struct err *err)
{
    auto_free char *text = http_query_get(query, name);
    if (!text || num_parse_i64(str_of(text), 0, max, at) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s must be 0-%lld, not \"%.40s\"", name, (long long)max,
                   text);
}

static int parse_offset(struct str query, int64_t *at, struct err *err)
{
    auto_free char *text = http_query_get(query, "offset");
    if (!text || num_parse_i64(str_of(text), -INT64_MAX, INT64_MAX, at) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "offset must be an integer, not \"%.40s\"", text);
}

static int parse_request(struct str query, struct log_request *ret, struct err *err)
{
    *ret = (struct log_request){.tail = -1, .run = -1, .offset = LOGS_NO_OFFSET, .limit = -1};
    auto_free char *follow = http_query_get(query, "follow");
    ret->follow = follow && str_eq_nocase(str_of(follow), STR("true"));
    int rc = parse_number(query, "tail", LOGS_TAIL_MAX, &ret->tail, err);
    if (rc == 0)
        rc = parse_number(query, "run", INT32_MAX, &ret->run, err);
    if (rc == 0)
        rc = parse_number(query, "limit", INT64_MAX, &ret->limit, err);
    return rc < 0 ? rc : parse_offset(query, &ret->offset, err);
}

int relay_choose_run(const char *dir, const char *name, int64_t wanted)
{
    unsigned runs[LOGS_RUNS_MAX];
    int count = logfile_runs(dir, name, runs, LOGS_RUNS_MAX);
    for (int i = count - 1; i >= 0; i--)
        if (wanted < 0 || runs[i] == (unsigned)wanted)
            return (int)runs[i];
    return ERR_NOT_FOUND;
}

static void list_runs(struct http_exchange *ex, const char *dir, const char *name)
{
    unsigned runs[LOGS_RUNS_MAX];
    int count = logfile_runs(dir, name, runs, LOGS_RUNS_MAX);
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_add_key(&w, "runs");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        json_add_int(&w, runs[i]);
    json_end_array(&w);
    json_end_object(&w);
    const struct http_header type = {STR("Content-Type"), STR("application/json")};
    http_reply(ex, 200, &type, 1, buf_str(&body));
    buf_fini(&body);
}

/* Places the cursor where the request wants to begin, and tells what there is of the run. */
static struct logfile_bounds seek(struct log_sender *sender, const struct log_request *request)
{
    const char *dir = runner_set_serve_dir(sender->runners);
    struct logfile_bounds bounds = {0};
    int64_t offset = request->offset == LOGS_NO_OFFSET ? 0 : request->offset;
    if (logfile_seek(dir, sender->name, sender->run, offset, &sender->cursor, &bounds, NULL) < 0)
        sender->cursor = (struct logfile_cursor){0};
    if (request->tail >= 0 && request->offset == LOGS_NO_OFFSET &&
        logfile_seek_tail(dir, sender->name, sender->run, (unsigned)request->tail, &sender->cursor,
                          NULL) < 0)
        sender->cursor = (struct logfile_cursor){0};
    return bounds;
}

static void begin(struct log_sender *sender, struct loop *loop, const struct log_request *request)
{
    struct logfile_bounds bounds = seek(sender, request);
    char run[24], first[24], end[24], offset[24];
    snprintf(run, sizeof run, "%u", sender->run);
    snprintf(first, sizeof first, "%llu", (unsigned long long)bounds.first);
    snprintf(end, sizeof end, "%llu", (unsigned long long)bounds.end);
    snprintf(offset, sizeof offset, "%llu", (unsigned long long)bounds.offset);
    const struct http_header headers[] = {
        {STR("Content-Type"), STR("text/plain; charset=utf-8")},
        {STR("X-Log-Run"), str_of(run)},
        {STR("X-Log-First"), str_of(first)},
        {STR("X-Log-Size"), str_of(end)},
        {STR("X-Log-Offset"), str_of(offset)},
    };
    unsigned count = ARRAY_LEN(headers) - (request->tail >= 0); /* where a tail begins isn't told */
    sender->left = request->limit < 0 ? UINT64_MAX : (uint64_t)request->limit;
    timer_init(&sender->timer, loop, on_poll, sender);
    http_exchange_set_ops(sender->ex, &ops, sender);
    http_reply_start(sender->ex, 200, headers, count, -1);
    send_more(sender);
}

void relay_logs(struct http_exchange *ex, struct loop *loop, const struct runner_set *runners,
                const struct runner *runner, struct str rest)
{
    const char *dir = runner_set_serve_dir(runners);
    struct log_request request;
    struct err err = {0};
    char name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(runner->record.id, name);
    if (str_eq(rest, STR("/runs"))) {
        list_runs(ex, dir, name);
        return;
    }
    if (str_eq(rest, STR("/search"))) {
        relay_search(ex, loop, dir, name);
        return;
    }
    if (rest.len) {
        relay_reply_error(ex, 404, "logs are at /serveLogs/ID, and its /runs and /search");
        return;
    }
    if (parse_request(http_exchange_head(ex)->query, &request, &err) < 0) {
        relay_reply_error(ex, 400, err.text);
        return;
    }
    int run = relay_choose_run(dir, name, request.run);
    if (run < 0) {
        relay_reply_error(ex, 404, "there is no log of that run");
        return;
    }
    struct log_sender *sender = mem_alloc(sizeof *sender);
    *sender = (struct log_sender){.ex = ex,
                                  .runners = runners,
                                  .instance_id = runner->record.id,
                                  .run = (unsigned)run,
                                  .follow = request.follow};
    memcpy(sender->name, name, sizeof name);
    begin(sender, loop, &request);
}
