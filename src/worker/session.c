/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/session.h"

#include "http/lines.h"
#include "worker/join.h"
#include "worker/report.h"

struct session {
    struct session_params params;
    struct join join;
    struct report report;
    struct engines_seen engines;
    struct line_stream *stream; /* NULL while joining */
    struct fault_log stream_faults;
    struct fault_log line_faults;
};

/* The server doesn't know us (any more): everything from the beginning. */
static void join_again(struct session *session)
{
    line_stream_free(TAKE(session->stream));
    report_stop(&session->report);
    join_start(&session->join);
}

static void on_unknown(struct report *report, void *ctx)
{
    join_again(ctx);
}

static void on_engines_change(struct engines_seen *engines, void *ctx)
{
    session_report(ctx);
}

static void on_line(struct line_stream *stream, struct str line, void *ctx)
{
    struct session *session = ctx;
    struct desired_state desired = {0};
    struct err err = {0};
    if (desired_state_read(line, &desired, &err) < 0) {
        fault_log_tell(&session->line_faults, LOG_ERROR, err.text);
        return;
    }
    fault_log_clear(&session->line_faults);
    log_debug("worker", "desired state %lld has %zu instances", (long long)desired.generation,
              desired.count);
    join_reset_delay(&session->join);
    inspections_want(session->params.inspections, desired.inspections, desired.inspection_count);
    downloads_want(session->params.downloads, desired.model_files, desired.model_file_count);
    runner_set_desire(session->params.runners, &desired);
}

static void on_open(struct line_stream *stream, void *ctx)
{
    struct session *session = ctx;
    fault_log_clear(&session->stream_faults);
}

static void on_break(struct line_stream *stream, unsigned status, const char *text, void *ctx)
{
    struct session *session = ctx;
    fault_log_tell(&session->stream_faults, LOG_WARNING, text);
    if (status == 401 || status == 404)
        join_again(session);
}

static void open_stream(struct session *session, const struct joined *joined)
{
    auto_free char *path = mem_printf("/v2/workers/%lld/desired", (long long)joined->id);
    struct line_stream_params params = {.pool = session->params.pool,
                                        .target = session->join.server,
                                        .path = path,
                                        .bearer = joined->token,
                                        .on_open = on_open,
                                        .on_line = on_line,
                                        .on_break = on_break,
                                        .ctx = session};
    session->stream = line_stream_new(&params);
}

static void on_joined(struct join *join, const struct joined *joined, void *ctx)
{
    struct session *session = ctx;
    struct node *node = session->params.node;
    struct err err = {0};
    if (node_set_name(node, session->params.config->data_dir, joined->name, &err) < 0)
        log_warning("worker", "its name isn't saved: %s", err.text);
    mem_replace(&node->cluster_id, joined->cluster_id);
    runner_set_join(session->params.runners);
    log_info("worker", "%s: joined the cluster as worker %lld, address %s", joined->name,
             (long long)joined->id, node->ip);
    open_stream(session, joined);
    report_start(&session->report, &join->server, joined);
}

int session_new(const struct session_params *params, struct session **ret, struct err *err)
{
    struct session *session = mem_alloc(sizeof *session);
    session->params = *params;
    join_init(&session->join, params->loop, params->pool);
    session->join.config = params->config;
    session->join.node = params->node;
    session->join.on_joined = on_joined;
    session->join.ctx = session;
    session->engines = (struct engines_seen){.loop = params->loop,
                                            .bin_dir = params->config->bin_dir,
                                            .on_change = on_engines_change,
                                            .ctx = session};
    engines_seen_start(&session->engines);
    report_init(&session->report, params->loop, params->pool);
    session->report.engines = &session->engines;
    session->report.runners = params->runners;
    session->report.prober = params->prober;
    session->report.inspections = params->inspections;
    session->report.downloads = params->downloads;
    session->report.on_unknown = on_unknown;
    session->report.ctx = session;
    session->stream_faults =
        (struct fault_log){.area = "worker", .what = "the stream of desired state broke"};
    session->line_faults =
        (struct fault_log){.area = "worker", .what = "a desired state was not taken"};
    int rc = node_server_target(params->config, &session->join.server, err);
    if (rc < 0) {
        session_free(session);
        return rc;
    }
    join_start(&session->join);
    *ret = session;
    return 0;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    line_stream_free(session->stream);
    report_fini(&session->report);
    engines_seen_fini(&session->engines);
    join_fini(&session->join);
    fault_log_fini(&session->stream_faults);
    fault_log_fini(&session->line_faults);
    free(session);
}

void session_report(struct session *session)
{
    if (session)
        report_mark(&session->report);
}
