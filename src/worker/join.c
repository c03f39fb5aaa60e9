/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/join.h"

#include <sys/utsname.h>

struct address_job {
    struct join *join; /* NULL: it went away meanwhile */
    char *host;
    unsigned port;
    char *ip; /* the result */
    struct err err;
};

static void retry_after(struct join *join, int64_t delay_ms)
{
    timer_start(&join->timer, delay_ms);
}

static void retry(struct join *join, const char *cause)
{
    /* The server on this machine starts beside us, and its own log tells what ails it. */
    fault_log_tell(&join->faults, join->config->server_url ? LOG_WARNING : LOG_INFO, cause);
    retry_after(join, join->retry_ms);
    join->retry_ms *= 2;
    if (join->retry_ms > JOIN_RETRY_MAX_MS)
        join->retry_ms = JOIN_RETRY_MAX_MS;
}

/* ---- the request ---- */

/* GPUStack's words for architectures. */
static const char *arch_name(const char *machine)
{
    if (strcmp(machine, "x86_64") == 0)
        return "amd64";
    return strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

static void write_labels(const struct node *node, struct json_writer *w)
{
    struct utsname kernel;
    json_begin_object(w);
    json_put_string(w, "os", "linux");
    if (uname(&kernel) == 0)
        json_put_string(w, "arch", arch_name(kernel.machine));
    json_put_string(w, "worker-name", node->name);
    json_end_object(w);
}

static void write_request(const struct join *join, struct buf *out)
{
    const struct node *node = join->node;
    struct json_writer w = json_writer_into(out);
    buf_clear(out);
    json_begin_object(&w);
    json_put_string(&w, "name", node->name);
    json_put_bool(&w, "name_is_configured", node->name_is_configured);
    json_put_string(&w, "hostname", node->hostname);
    json_put_string(&w, "ip", node->ip);
    json_put_int(&w, "port", join->config->worker_port);
    json_put_string(&w, "worker_uuid", node->uuid);
    json_put_string(&w, "netns_id", node->netns_id);
    json_put_string(&w, "worker_version", GPUSTACK_VERSION);
    json_put_bool(&w, "inspects", true);
    json_put_bool(&w, "downloads", true);
    json_add_key(&w, "labels");
    write_labels(node, &w);
    json_end_object(&w);
}

static void send_request(struct join *join)
{
    write_request(join, &join->post.body);
    post_send(&join->post, &join->server, "/v2/workers", join->config->token);
}

/* ---- the reply ---- */

int join_read_reply(const json_t *root, struct joined *ret, struct err *err)
{
    struct joined joined = {.id = json_member_int(root, "id", 0),
                            .name = json_member_string(root, "name"),
                            .token = json_member_string(root, "token"),
                            .cluster_id = json_member_string(root, "cluster_id"),
                            .session = json_member_int(root, "session", 0)};
    if (joined.id < 1 || !joined.name || !*joined.name || !joined.token || !*joined.token ||
        !joined.cluster_id)
        return err_set(err, ERR_INVALID,
                       "the server's reply lacks one of id, name, token, cluster_id");
    if (strlen(joined.name) > 128)
        return err_set(err, ERR_INVALID, "the server gave a name of more than 128 bytes");
    *ret = joined;
    return 0;
}

static void take_reply(struct join *join, struct str reply)
{
    auto_fini(json_release) json_t *root = NULL;
    struct joined joined;
    struct err err = {0};
    int rc = json_read(reply, &root, &err);
    if (rc == 0)
        rc = join_read_reply(root, &joined, &err);
    if (rc < 0) {
        retry(join, err.text);
        return;
    }
    fault_log_clear(&join->faults);
    join->on_joined(join, &joined, join->ctx);
}

static void on_reply(struct post *post, int status, struct str reply, void *ctx)
{
    struct join *join = ctx;
    if (status == 200) {
        take_reply(join, reply);
        return;
    }
    auto_free char *fault = post_fault(status, reply);
    if (status == 401 || status == 403) {
        fault_log_tell(&join->faults, LOG_ERROR,
                       "the server refuses this worker's token; the right one is in its "
                       "<data-dir>/token");
        retry_after(join, JOIN_REFUSED_MS);
    } else if (status == 409) {
        fault_log_tell(&join->faults, LOG_ERROR, fault);
        retry_after(join, JOIN_REFUSED_MS);
    } else {
        retry(join, fault);
    }
}

/* ---- the address ---- */

static void find_on_pool(void *arg)
{
    struct address_job *job = arg;
    job->ip = node_find_ip(job->host, job->port, &job->err);
}

static void on_found(void *arg)
{
    struct address_job *job = arg;
    struct join *join = job->join;
    if (join) {
        join->job = NULL;
        if (job->ip) {
            mem_replace(&join->node->ip, job->ip);
            send_request(join);
        } else {
            retry(join, job->err.text);
        }
    }
    free(job->host);
    free(job->ip);
    free(job);
}

static void on_due(struct timer *timer, void *ctx)
{
    struct join *join = ctx;
    if (join->config->worker_ip) {
        send_request(join);
        return;
    }
    struct address_job *job = mem_alloc(sizeof *job);
    job->join = join;
    job->host = mem_strdup(join->server.host);
    job->port = join->server.port;
    join->job = job;
    loop_work(join->loop, find_on_pool, on_found, job);
}

/* ---- life ---- */

void join_init(struct join *join, struct loop *loop, struct http_pool *pool)
{
    join->loop = loop;
    join->retry_ms = JOIN_RETRY_MIN_MS;
    join->faults = (struct fault_log){.area = "worker", .what = "can't join the cluster"};
    timer_init(&join->timer, loop, on_due, join);
    post_init(&join->post, pool, on_reply, join);
}

void join_fini(struct join *join)
{
    timer_stop(&join->timer);
    if (join->job)
        join->job->join = NULL;
    join->job = NULL;
    post_fini(&join->post);
    fault_log_fini(&join->faults);
}

void join_start(struct join *join)
{
    bool is_first = join->retry_ms == JOIN_RETRY_MIN_MS;
    retry_after(join, is_first ? 0 : join->retry_ms);
    join->retry_ms =
        join->retry_ms * 2 > JOIN_RETRY_MAX_MS ? JOIN_RETRY_MAX_MS : join->retry_ms * 2;
}

void join_reset_delay(struct join *join)
{
    join->retry_ms = JOIN_RETRY_MIN_MS;
}
