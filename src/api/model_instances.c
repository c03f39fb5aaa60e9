/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: list, delete (the reconciler makes a fresh one), logs from the worker that runs it. */
#include "api/api_priv.h"

#include "base/log.h"
#include "control/events.h"
#include "domain/gang.h"
#include "domain/timeline.h"
#include "http/forward.h"

#include <stdio.h>

enum { WORKER_HEAD_TIMEOUT_MS = 10000, LOG_TAIL_MAX = 100000, LOG_RUN_MAX = 1000000,
       LOG_FOUND_MAX = 1000 };

static const int64_t log_offset_max = 1LL << 53; /* what JavaScript can count to */

int instances_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_INSTANCE};
    return list_reply(rq, &view, err);
}

int instances_get(struct request *rq, struct err *err)
{
    const struct model_instance *instance = cluster_find(rq->cluster, KIND_INSTANCE, rq->id);
    if (!instance)
        return no_such(rq, KIND_INSTANCE, err);
    record_write(&model_instance_type, instance, &rq->json);
    return 0;
}

int instances_delete(struct request *rq, struct err *err)
{
    const struct model_instance *instance = cluster_find(rq->cluster, KIND_INSTANCE, rq->id);
    if (!instance)
        return no_such(rq, KIND_INSTANCE, err);
    log_info("instance", "%s: deleted", instance->name);
    events_note(rq->cluster, KIND_INSTANCE, instance, EVENT_DELETED, NULL,
                control_now_ms(rq->control), "deleted through the API");
    cluster_delete(rq->cluster, KIND_INSTANCE, rq->id);
    json_add_null(&rq->json);
    return 0;
}

int instances_timeline(struct request *rq, struct err *err)
{
    const struct model_instance *instance = cluster_find(rq->cluster, KIND_INSTANCE, rq->id);
    if (!instance)
        return no_such(rq, KIND_INSTANCE, err);
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    timeline_write(instance, control_now_ms(rq->control), &rq->json);
    json_end_object(&rq->json);
    return 0;
}

/* ---- what its worker tells ---- */

struct worker_call {
    char *worker_name;
    const char *what; /* that is asked for */
};

static void worker_call_free(struct worker_call *call)
{
    free(call->worker_name);
    free(call);
}

static void on_reply_end(struct http_exchange *ex, void *ctx)
{
}

static void on_reply_close(struct http_exchange *ex, bool gone, void *ctx)
{
}

static const struct http_exchange_ops reply_ops = {.on_end = on_reply_end,
                                                   .on_close = on_reply_close};

static void on_told(struct forward *fwd, enum forward_outcome outcome, int code, const char *text,
                    void *ctx)
{
    struct worker_call *call = ctx;
    struct http_exchange *ex = forward_exchange(fwd);
    if (outcome == FORWARD_FAILED) {
        http_exchange_set_ops(ex, &reply_ops, NULL);
        auto_free char *why =
            mem_printf("worker %s can't be asked for %s: %s", call->worker_name, call->what, text);
        problem_reply(ex, &(struct problem){ERR_UNAVAILABLE, why, NULL});
    } else if (outcome == FORWARD_BAD_BODY) {
        http_exchange_set_ops(ex, &reply_ops, NULL);
        problem_reply(ex, &(struct problem){ERR_SYNTAX, text, NULL});
    } else if (outcome == FORWARD_CUT) {
        http_exchange_abort(ex);
    }
    worker_call_free(call);
}

/* Which rank is shown unless another is asked for: the first rank that failed, until all serve. */
static int64_t rank_to_show(const struct model_instance *instance, const struct gang *gang)
{
    return instance->state == INSTANCE_RUNNING || gang->failed_rank < 0 ? 0 : gang->failed_rank;
}

/* The worker that runs it; `*ret` is NULL when none does yet. */
static int find_its_worker(struct request *rq, const struct model_instance *instance,
                           const struct worker **ret, struct err *err)
{
    int64_t worker_id = instance->worker_id, rank;
    struct gang gang = {0};
    int rc = request_query_int(rq, "rank", 0, MODEL_DEVICES_MAX, -1, &rank, err);
    if (rc == 0 && instance_is_gang(instance))
        rc = gang_read(instance->distributed_servers, &gang, err);
    int64_t count = gang.rank_count ? (int64_t)gang.rank_count : 1;
    if (rc == 0 && rank >= count)
        rc = err_set(err, ERR_INVALID, "rank must be 0-%lld for %s, not %lld",
                     (long long)count - 1, instance->name, (long long)rank);
    if (rc == 0 && gang.rank_count)
        worker_id = gang.ranks[rank >= 0 ? rank : rank_to_show(instance, &gang)].worker_id;
    gang_fini(&gang);
    *ret = cluster_find(rq->cluster, KIND_WORKER, worker_id);
    return rc;
}

static bool is_credential(struct str name)
{
    return str_eq_nocase(name, STR("Cookie")) || str_eq_nocase(name, STR("X-API-Key"));
}

/* Passes the worker's answer on. `what` is a literal: "the log". */
static int ask_worker(struct request *rq, const char *path, const char *what, struct err *err)
{
    const struct model_instance *instance = cluster_find(rq->cluster, KIND_INSTANCE, rq->id);
    if (!instance)
        return no_such(rq, KIND_INSTANCE, err);
    const struct worker *worker = NULL;
    int rc = find_its_worker(rq, instance, &worker, err);
    if (rc < 0)
        return rc;
    if (!worker)
        return err_set(err, ERR_CONFLICT, "no worker has %s of %s yet: it is %s%s%s", what,
                       instance->name,
                       instance_state_name((enum instance_state)instance->state),
                       instance->state_message ? ", " : "",
                       instance->state_message ? instance->state_message : "");
    auto_free char *token = cluster_instance_token(rq->cluster, instance->id);
    auto_free char *bearer = mem_printf("Bearer %s", token);
    struct http_target target = {.port = (unsigned)worker->port};
    snprintf(target.host, sizeof target.host, "%s", worker->ip);
    const struct http_header add[] = {{STR("Authorization"), str_of(bearer)}};
    struct worker_call *call = mem_alloc(sizeof *call);
    *call = (struct worker_call){.worker_name = mem_strdup(worker->name), .what = what};
    struct forward_params params = {
        .pool = control_pool(rq->control),
        .target = &target,
        .path = str_of(path),
        .add = add,
        .add_count = ARRAY_LEN(add),
        .drops = is_credential,
        .head_timeout_ms = WORKER_HEAD_TIMEOUT_MS,
        .on_done = on_told,
        .ctx = call,
    };
    forward_start(rq->ex, &params);
    return request_take(rq);
}

int instances_process(struct request *rq, struct err *err)
{
    auto_free char *path = mem_printf("/serveProcess/%lld", (long long)rq->id);
    return ask_worker(rq, path, "the process", err);
}

/* ---- logs ---- */

struct number_range {
    const char *name;
    int64_t min, max;
};

/* Passes on such a parameter, if it is there. */
static int add_number(struct request *rq, const struct number_range *range, struct buf *query,
                      struct err *err)
{
    auto_free char *text = request_query(rq, range->name);
    int64_t number;
    if (!text)
        return 0;
    int rc = request_query_int(rq, range->name, range->min, range->max, 0, &number, err);
    if (rc == 0)
        buf_printf(query, "&%s=%lld", range->name, (long long)number);
    return rc;
}

/* The query of a request for a log, as the worker takes it. Owned. */
static int read_log_query(struct request *rq, char **ret, struct err *err)
{
    static const struct number_range numbers[] = {{"tail", 0, LOG_TAIL_MAX},
                                                  {"run", 0, LOG_RUN_MAX},
                                                  {"offset", -log_offset_max, log_offset_max},
                                                  {"limit", 0, log_offset_max}};
    struct buf query = {0};
    bool follow = false;
    int rc = request_query_bool(rq, "follow", false, &follow, err);
    buf_printf(&query, "follow=%s", follow ? "true" : "false");
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(numbers); i++)
        rc = add_number(rq, &numbers[i], &query, err);
    *ret = buf_take(&query);
    return rc;
}

int instances_logs(struct request *rq, struct err *err)
{
    auto_free char *query = NULL;
    auto_free char *tail = request_query(rq, "tail"), *offset = request_query(rq, "offset");
    if (tail && offset)
        return err_set(err, ERR_INVALID, "tail (lines) and offset (bytes) can't be used together");
    int rc = read_log_query(rq, &query, err);
    if (rc < 0)
        return rc;
    auto_free char *path = mem_printf("/serveLogs/%lld?%s", (long long)rq->id, query);
    return ask_worker(rq, path, "the log", err);
}

int instances_log_options(struct request *rq, struct err *err)
{
    auto_free char *path = mem_printf("/serveLogs/%lld/runs", (long long)rq->id);
    return ask_worker(rq, path, "the log", err);
}

/* Text in a query, percent-encoded. */
static void add_escaped(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
}

int instances_log_search(struct request *rq, struct err *err)
{
    static const struct number_range numbers[] = {{"run", 0, LOG_RUN_MAX},
                                                  {"from", 0, log_offset_max},
                                                  {"limit", 1, LOG_FOUND_MAX}};
    auto_free char *text = request_query(rq, "q"), *direction = request_query(rq, "direction");
    struct buf path = {0};
    bool matches_case = false;
    int rc = request_query_bool(rq, "case", false, &matches_case, err);
    buf_printf(&path, "/serveLogs/%lld/search?case=%s&direction=%s&q=", (long long)rq->id,
               matches_case ? "true" : "false", direction ? direction : "");
    add_escaped(&path, text);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(numbers); i++)
        rc = add_number(rq, &numbers[i], &path, err);
    if (rc == 0)
        rc = ask_worker(rq, path.ptr, "the log", err);
    buf_fini(&path);
    return rc;
}
