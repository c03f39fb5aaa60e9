/* SPDX-License-Identifier: Apache-2.0 */
#include "api/request.h"

#include "api/api_priv.h"
#include "auth/auth.h"
#include "base/log.h"
#include "base/num.h"

#include <errno.h>
#include <stdio.h>

enum { REPLY_HEADERS_MAX = 5 };

/* ---- life ---- */

static void request_release(struct request *rq)
{
    if (rq->ex || rq->holds)
        return;
    json_decref(rq->body);
    if (rq->raw.ptr)
        explicit_bzero(rq->raw.ptr, rq->raw.len); /* it may hold a password */
    buf_fini(&rq->raw);
    buf_fini(&rq->reply);
    free(rq->path);
    free(rq->login_name);
    free(rq->set_cookie);
    free(rq->current);
    free(rq);
}

/* Sends the reply if somebody is there to take it, and lets go of the request. */
static void send_reply(struct request *rq)
{
    if (!rq->ex) {
        request_release(rq);
        return;
    }
    struct http_header headers[REPLY_HEADERS_MAX] = {
        {STR("Content-Type"), str_of(rq->content_type ? rq->content_type : "application/json")}};
    unsigned count = 1;
    char number[32];
    if (rq->set_cookie)
        headers[count++] = (struct http_header){STR("Set-Cookie"), str_of(rq->set_cookie)};
    if (rq->etag && rq->status < 300) {
        snprintf(number, sizeof number, "\"%lld\"", (long long)rq->etag);
        headers[count++] = (struct http_header){STR("ETag"), str_of(number)};
    }
    if (rq->is_secret)
        headers[count++] = (struct http_header){STR("Cache-Control"), STR("no-store")};
    if (rq->status >= 400)
        count += problem_headers(rq->status, rq->retry_after_s, number, &headers[count]);
    rq->holds++; /* on_close() may come from inside http_reply() */
    http_reply(rq->ex, rq->status, headers, count, buf_str(&rq->reply));
    rq->holds--;
    request_release(rq);
}

static void note_commit(const struct request *rq)
{
    struct commit_figures *commits = &rq->api->commits;
    commits->last_ms = loop_now_ms(control_loop(rq->control)) - rq->finished_ms;
    commits->sum_ms += commits->last_ms;
    commits->count++;
    if (commits->last_ms > commits->max_ms)
        commits->max_ms = commits->last_ms;
}

static void send_when_durable(void *ctx)
{
    struct request *rq = ctx;
    note_commit(rq);
    rq->holds--;
    send_reply(rq);
}

static void write_problem(struct request *rq, int code, const char *text)
{
    buf_clear(&rq->reply);
    rq->status = problem_status(code);
    rq->content_type = NULL;
    problem_write(&(struct problem){code, text, rq->current}, &rq->reply);
    if (rq->status >= 500)
        log_error("api", "%s: %s", rq->path ? rq->path : "request", text);
}

void request_finish(struct request *rq, int rc, const struct err *err)
{
    rq->is_finished = true;
    if (rc < 0)
        write_problem(rq, rc, err && err->code ? err->text : err_name(rc));
    log_debug("api", "%s %s: status=%u user=%lld worker=%lld",
              rq->route ? http_method_name(rq->route->method) : "-", rq->path ? rq->path : "-",
              rq->status, (long long)rq->caller.user_id, (long long)rq->caller.worker_id);
    if (control_change_count(rq->control) != rq->changes_before) {
        rq->finished_ms = loop_now_ms(control_loop(rq->control));
        rq->holds++;
        control_when_durable(rq->control, send_when_durable, rq);
        return;
    }
    send_reply(rq);
}

void request_finish_read(struct request *rq, int rc, const char *text)
{
    struct err err = {0};
    if (rc < 0)
        (void)err_set(&err, rc, "%s", text);
    if (rq->ex) { /* else control may be gone too */
        rq->changes_before = control_change_count(rq->control); /* others' wait for the disk */
        request_finish(rq, rc, &err);
    }
    request_drop(rq);
}

int request_take(struct request *rq)
{
    rq->ex = NULL; /* the exchange's callbacks are somebody else's now */
    return REQUEST_TAKEN;
}

void request_hold(struct request *rq)
{
    rq->holds++;
}

void request_drop(struct request *rq)
{
    rq->holds--;
    request_release(rq);
}

/* A form as the JSON object that it stands for. */
static json_t *form_object(struct str form)
{
    json_t *object = json_object();
    char *name, *value;
    while (http_query_next(&form, &name, &value)) {
        json_object_set_new(object, name, json_string(value));
        free(name);
        mem_free_secret(value); /* it may be a password */
    }
    return object;
}

/* Done for known callers only: strangers can't make us parse. */
static int parse_body(struct request *rq, struct err *err)
{
    struct str type = http_headers_get(&http_exchange_head(rq->ex)->headers, "content-type");
    bool is_form = str_has_prefix(type, STR("application/x-www-form-urlencoded"));
    if (rq->route->body_kind == BODY_NONE)
        return 0;
    if (is_form && rq->route->body_kind == BODY_JSON_OR_FORM) {
        rq->body = form_object(buf_str(&rq->raw));
        return 0;
    }
    if (rq->raw.len == 0 && !rq->route->needs_body)
        return 0;
    if (rq->raw.len == 0)
        return err_set(err, ERR_SYNTAX, "the body must be a JSON object, not empty");
    int rc = json_read(buf_str(&rq->raw), &rq->body, err);
    if (rc < 0)
        return err_wrap(err, rc, "the body is not JSON");
    if (!json_is_object(rq->body))
        return err_set(err, ERR_SYNTAX, "the body must be a JSON object");
    return 0;
}

/* What stands at {id} of the route must be a number. */
static void check_id(const struct request *rq, struct faults *faults)
{
    const char *at = strstr(rq->route->path, "{id}");
    if (!at || rq->id)
        return;
    struct str rest = str_of(rq->path + (at - rq->route->path));
    auto_free char *seen = str_dup(str_sub(rest.ptr, str_find(rest, '/')));
    faults_add(faults, "id", "must be 1-%lld, not %.48s", (long long)INT64_MAX, seen);
}

/* Compares parameters and body with what api/openapi.yaml says. */
static int check_request(const struct request *rq, struct err *err)
{
    struct faults faults = {0};
    check_id(rq, &faults);
    check_query(rq->route->parameters, http_exchange_head(rq->ex)->query, rq->route->is_list,
                &faults);
    if (rq->route->body && rq->body)
        check_members(rq->route->body, rq->body, &faults);
    return faults_finish(&faults, err);
}

/*
 * Changes wait for a store that stalls, but not for ever: then people are told, and memory doesn't
 * run away from the disk. Workers and gateways repeat what they say: theirs is taken.
 */
static int check_store(const struct request *rq, struct err *err)
{
    int64_t wait_ms = control_store_wait_ms(rq->control);
    bool is_read = rq->route->method == HTTP_GET || rq->route->method == HTTP_HEAD;
    bool is_machine = rq->route->access == ACCESS_WORKER || rq->route->access == ACCESS_CLUSTER;
    if (wait_ms < CONTROL_REFUSE_MS || is_read || is_machine)
        return 0;
    return err_set(err, ERR_UNAVAILABLE,
                   "nothing can be changed now: the database has taken no write for %lld s; look "
                   "at its disk and at who holds the file, then try again",
                   (long long)(wait_ms / 1000));
}

void request_continue(struct request *rq)
{
    struct err err = {0};
    rq->changes_before = control_change_count(rq->control);
    rq->holds++; /* a handler that takes the exchange leaves us without any */
    int rc = check_store(rq, &err);
    if (rc == 0)
        rc = parse_body(rq, &err);
    if (rc == 0)
        rc = check_request(rq, &err);
    if (rc == 0)
        rc = rq->route->handle(rq, &err);
    rq->holds--;
    if (rc == REQUEST_PENDING)
        return;
    if (rc == REQUEST_TAKEN)
        request_release(rq);
    else
        request_finish(rq, rc, &err);
}

/* ---- the exchange's side ---- */

static void on_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct request *rq = ctx;
    if (rq->is_finished)
        return;
    size_t max = rq->route->body_max ? rq->route->body_max : REQUEST_BODY_MAX;
    if (rq->raw.len + data.len > max) {
        struct err err;
        request_finish(
            rq, err_set(&err, ERR_TOO_LARGE, "the body is larger than %zu bytes", max), &err);
        return;
    }
    buf_add_str(&rq->raw, data);
}

static void on_end(struct http_exchange *ex, void *ctx)
{
    struct request *rq = ctx;
    if (rq->is_finished)
        return;
    struct err err = {0};
    int rc = caller_authorize(rq, &err);
    if (rc < 0)
        request_finish(rq, rc, &err);
    else if (rc == 0)
        request_continue(rq);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct request *rq = ctx;
    rq->ex = NULL;
    request_release(rq);
}

static const struct http_exchange_ops request_ops = {
    .on_body = on_body, .on_end = on_end, .on_close = on_close};

/* 405 with the Allow header that RFC 9110 asks for. */
static void reply_not_allowed(struct http_exchange *ex, const char *allow, const char *text)
{
    struct buf body = {0};
    problem_write(&(struct problem){-EPERM, text, NULL}, &body);
    struct http_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                    {STR("Allow"), str_of(allow)}};
    http_reply(ex, 405, headers, ARRAY_LEN(headers), buf_str(&body));
    buf_fini(&body);
}

static void start(struct api *api, struct http_exchange *ex, bool is_local)
{
    const struct http_request_head *head = http_exchange_head(ex);
    struct request *rq = mem_alloc(sizeof *rq);
    rq->api = api;
    rq->control = api->control;
    rq->cluster = control_cluster(api->control);
    rq->ex = ex;
    rq->is_local = is_local;
    rq->status = 200;
    rq->json = json_writer_into(&rq->reply);
    rq->changes_before = control_change_count(rq->control);
    http_exchange_set_ops(ex, &request_ops, rq);
    struct err err = {0};
    auto_free char *allow = NULL;
    int rc = http_percent_decode(head->path, &rq->path, &err);
    if (rc == 0)
        rc = api_route_find(head->method, rq->path, &rq->route, &rq->id, &allow, &err);
    if (rc == -EPERM) {
        rq->is_finished = true;
        reply_not_allowed(ex, allow, err.text);
    } else if (rc < 0) {
        request_finish(rq, rc, &err);
    }
}

static void on_request(struct http_exchange *ex, void *ctx)
{
    start(ctx, ex, false);
}

static void on_admin_request(struct http_exchange *ex, void *ctx)
{
    int64_t uid = http_exchange_peer_uid(ex);
    start(ctx, ex, uid == 0 || uid == (int64_t)geteuid());
}

/* ---- what handlers use ---- */

struct user *request_user(const struct request *rq)
{
    return cluster_find(rq->cluster, KIND_USER, rq->caller.user_id);
}

char *request_query(const struct request *rq, const char *name)
{
    return rq->ex ? http_query_get(http_exchange_head(rq->ex)->query, name) : NULL;
}

int request_query_int(const struct request *rq, const char *name, int64_t min, int64_t max,
                      int64_t fallback, int64_t *ret, struct err *err)
{
    auto_free char *text = request_query(rq, name);
    if (!text) {
        *ret = fallback;
        return 0;
    }
    if (num_parse_i64(str_of(text), min, max, ret) < 0)
        return err_set(err, ERR_INVALID, "%s must be %lld-%lld, not %.64s", name, (long long)min,
                       (long long)max, text);
    return 0;
}

int request_query_bool(const struct request *rq, const char *name, bool fallback, bool *ret,
                       struct err *err)
{
    auto_free char *text = request_query(rq, name);
    if (!text) {
        *ret = fallback;
        return 0;
    }
    if (check_parse_bool(text, ret))
        return 0;
    return err_set(err, ERR_INVALID, "%s must be true or false, not %.64s", name, text);
}

/* ---- passwords ---- */

/* Address of the client: the last one that X-Forwarded-For names is the gateway's own word. */
static char *client_address(const struct request *rq)
{
    struct str all = {0}, one;
    if (rq->ex)
        all = http_headers_get(&http_exchange_head(rq->ex)->headers, "x-forwarded-for");
    struct str last = all;
    while (str_split(&all, ',', &one))
        last = str_trim(one);
    return str_dup(last);
}

int request_ask_login(struct request *rq, const char *username, struct err *err)
{
    mem_replace(&rq->login_name, username);
    if (rq->is_local)
        return 0;
    auto_free char *address = client_address(rq);
    int64_t now_ms = loop_now_ms(control_loop(rq->control));
    int64_t wait_ms = login_limit_ask(rq->api->login_limit, username, address, now_ms);
    if (wait_ms == 0)
        return 0;
    rq->retry_after_s = (wait_ms + 999) / 1000;
    return err_set(err, ERR_TOO_OFTEN,
                   "too many wrong passwords for this user name from %s: wait %lld s; an API key "
                   "or another address still works",
                   address, (long long)rq->retry_after_s);
}

void request_note_login(struct request *rq, bool is_right)
{
    if (rq->is_local)
        return;
    auto_free char *address = client_address(rq);
    login_limit_note(rq->api->login_limit, rq->login_name, address, is_right,
                     loop_now_ms(control_loop(rq->control)));
}

struct password_job {
    struct list_node node; /* not linked: the API is gone, and control with it */
    struct request *rq;
    char *password; /* owned, wiped */
    char *hash;     /* to check against, or the result */
    bool is_check, right;
    void (*checked)(struct request *rq, bool right);
    void (*hashed)(struct request *rq, const char *hash);
};

static void job_work(void *arg)
{
    struct password_job *job = arg;
    if (job->is_check)
        job->right = auth_password_verify(job->hash, str_of(job->password));
    else
        job->hash = auth_password_hash(str_of(job->password));
}

static void job_done(void *arg)
{
    struct password_job *job = arg;
    struct request *rq = job->rq;
    if (list_is_linked(&job->node))
        rq->api->hashes_running--;
    list_remove(&job->node);
    rq->holds--;
    if (rq->ex)
        rq->changes_before = control_change_count(rq->control);
    if (!rq->ex)
        request_release(rq);
    else if (job->is_check)
        job->checked(rq, job->right);
    else
        job->hashed(rq, job->hash);
    mem_free_secret(job->password);
    mem_free_secret(job->hash);
    free(job);
}

static int start_job(struct request *rq, struct password_job job, struct err *err)
{
    if (rq->api->hashes_running >= API_HASHES_MAX) {
        mem_free_secret(job.password);
        mem_free_secret(job.hash);
        return err_set(err, ERR_UNAVAILABLE, "too many logins at once; try again in a moment");
    }
    rq->api->hashes_running++;
    rq->holds++;
    struct password_job *copy = mem_alloc(sizeof *copy);
    *copy = job;
    list_add_tail(&rq->api->hashes, &copy->node);
    loop_work(control_loop(rq->control), job_work, job_done, copy);
    return REQUEST_PENDING;
}

int request_verify_password(struct request *rq, const char *hash, const char *password,
                            void (*then)(struct request *rq, bool right), struct err *err)
{
    struct password_job job = {.rq = rq,
                               .password = mem_strdup(password),
                               .hash = mem_strdup(hash),
                               .is_check = true,
                               .checked = then};
    return start_job(rq, job, err);
}

int request_hash_password(struct request *rq, const char *password,
                          void (*then)(struct request *rq, const char *hash), struct err *err)
{
    struct password_job job = {.rq = rq, .password = mem_strdup(password), .hashed = then};
    return start_job(rq, job, err);
}

/* ---- the servers ---- */

int api_new(const struct api_params *params, struct api **ret, struct err *err)
{
    struct api *api = mem_alloc(sizeof *api);
    struct loop *loop = control_loop(params->control);
    api->control = params->control;
    api->params = *params;
    api->params.backends = api->backends = mem_strdup(params->backends);
    api->started_ms = loop_now_ms(loop);
    api->login_limit = login_limit_new();
    list_init(&api->hashes);
    api->server = http_server_new(loop, on_request, api);
    api->admin_server = http_server_new(loop, on_admin_request, api);
    dashboard_start(api);
    int rc = http_server_listen_unix(api->server, params->control_socket, err);
    if (rc == 0)
        rc = http_server_listen_unix(api->admin_server, params->admin_socket, err);
    if (rc < 0) {
        api_free(api);
        return rc;
    }
    *ret = api;
    return 0;
}

void api_drain(struct api *api)
{
    http_server_drain(api->server);
    http_server_drain(api->admin_server);
}

void api_free(struct api *api)
{
    if (!api)
        return;
    http_server_free(api->server);
    http_server_free(api->admin_server);
    LIST_FOR_EACH(struct password_job, job, &api->hashes, node)
        list_remove(&job->node);
    dashboard_stop(api);
    free(api->backends);
    login_limit_free(api->login_limit);
    free(api);
}
