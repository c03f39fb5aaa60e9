/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/node.h"

#include "http/lines.h"
#include "sim/world.h"
#include "worker/join.h"
#include "worker/report.h"

#include <assert.h>

int64_t sim_node_wall_ms(const struct sim_node *node)
{
    return 1800000000000 + node->sim->events.now_ms + node->wall_offset_ms;
}

static struct sim_event *add_event(struct sim_node *node, int64_t delay_ms,
                               void (*fn)(struct sim_event *event), uint64_t tag)
{
    struct sim_event *event = events_add(&node->sim->events, delay_ms, fn, node);
    event->tag = tag;
    return event;
}

static int64_t doubled(int64_t delay_ms, int64_t max_ms)
{
    return 2 * delay_ms < max_ms ? 2 * delay_ms : max_ms;
}

/* ---- joining ---- */

static void on_join_due(struct sim_event *event);

static void retry_join(struct sim_node *node)
{
    node->join = 0;
    add_event(node, node->join_delay_ms, on_join_due, node->life);
    node->join_delay_ms = doubled(node->join_delay_ms, JOIN_RETRY_MAX_MS);
}

static void on_join_timeout(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (node->is_up && node->join == event->tag)
        retry_join(node);
}

static void on_join_due(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (!node->is_up || node->life != event->tag || node->token || node->join)
        return;
    auto_free char *body =
        mem_printf("{\"name\":\"%s\",\"worker_uuid\":\"%s\",\"ip\":\"10.0.0.1\",\"port\":10150,"
                   "\"labels\":{\"zone\":\"%s\"}}",
                   node->name, node->name, node->zone);
    node->join = net_request(node, REQUEST_REGISTER, "", body);
    add_event(node, POST_TIMEOUT_MS, on_join_timeout, node->join);
}

/* The server doesn't know us (any more): everything from the beginning. */
static void join_again(struct sim_node *node)
{
    free(TAKE(node->token));
    node->join = node->report = node->stream = 0;
    node->timer++;
    add_event(node, 0, on_join_due, node->life);
}

/* ---- the stream ---- */

static void open_stream(struct sim_node *node)
{
    node->contact_since_ms = 0;
    node->stream = net_request(node, REQUEST_STREAM, node->token, NULL);
}

static void on_stream_due(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (node->is_up && node->life == event->tag && node->token && !node->stream)
        open_stream(node);
}

void sim_node_stream_ended(struct sim_node *node, uint64_t stream)
{
    if (!node->is_up || !stream || node->stream != stream)
        return;
    node->stream = 0;
    node->contact_since_ms = 0;
    if (node->sim->sabotage == SABOTAGE_STOP_WHEN_ALONE) {
        desired_state_fini(&node->desired);
        node->desired.known = true;
        sim_runners_wake(node);
    }
    add_event(node, node->stream_delay_ms, on_stream_due, node->life);
    node->stream_delay_ms = doubled(node->stream_delay_ms, LINES_RETRY_MAX_MS);
}

void sim_node_line(struct sim_node *node, uint64_t stream, const char *text)
{
    if (!node->is_up || node->stream != stream)
        return;
    struct desired_state desired = {0};
    struct err err = {0};
    if (desired_state_read(str_of(text), &desired, &err) < 0) {
        trace_fail(&node->sim->trace, "desired state", "%s", err.text);
        return;
    }
    trace_note(&node->sim->trace, "%s: desired state %lld has %zu instances", node->name,
               (long long)desired.generation, desired.count);
    for (size_t i = 0; node->sim->sabotage == SABOTAGE_GO_EARLY && i < desired.count; i++)
        desired.items[i].go = true;
    desired_state_fini(&node->desired);
    node->desired = desired;
    node->join_delay_ms = JOIN_RETRY_MIN_MS;
    node->stream_delay_ms = LINES_RETRY_MIN_MS;
    if (!node->contact_since_ms)
        node->contact_since_ms = node->sim->events.now_ms;
    sim_runners_wake(node);
}

/* ---- reports ---- */

static void on_report_due(struct sim_event *event);

static void arm_report(struct sim_node *node, int64_t delay_ms)
{
    add_event(node, delay_ms, on_report_due, ++node->timer);
}

static void on_report_timeout(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (!node->is_up || node->report != event->tag)
        return;
    node->report = 0;
    node->is_due = true;
    arm_report(node, REPORT_RETRY_MS);
}

static void write_status(const struct sim_node *node, struct json_writer *w)
{
    json_add_key(w, "status");
    json_begin_object(w);
    json_add_key(w, "memory");
    json_begin_object(w);
    json_put_int(w, "total", 1099511627776);
    json_end_object(w);
    json_add_key(w, "gpu_devices");
    json_begin_array(w);
    for (int64_t i = 0; i < node->machine.device_count; i++) {
        json_begin_object(w);
        json_put_int(w, "index", i);
        json_put_string(w, "type", "npu");
        json_add_key(w, "memory");
        json_begin_object(w);
        json_put_int(w, "total", 34359738368);
        json_end_object(w);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void on_report_due(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (!node->is_up || event->tag != node->timer || !node->token || node->report)
        return;
    if (!sim_runners_are_settled(&node->runners)) {
        arm_report(node, REPORT_RETRY_MS);
        return;
    }
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_put_int(&w, "session", node->session);
    json_put_int(&w, "seq", ++node->seq);
    json_put_int(&w, "generation", node->desired.generation);
    write_status(node, &w);
    json_add_key(&w, "instances");
    sim_runners_write_report(node, &w);
    json_end_object(&w);
    node->is_due = false;
    node->report = net_request(node, REQUEST_REPORT, node->token, body.ptr);
    buf_fini(&body);
    add_event(node, POST_TIMEOUT_MS, on_report_timeout, node->report);
}

void sim_node_mark_report(struct sim_node *node)
{
    if (!node->token)
        return;
    node->is_due = true;
    if (!node->report)
        arm_report(node, 0);
}

static void take_report_reply(struct sim_node *node, unsigned status)
{
    node->report = 0;
    if (status == 401)
        join_again(node);
    else if (status == 204)
        arm_report(node, node->is_due ? 0 : REPORT_INTERVAL_MS);
    else
        arm_report(node, REPORT_RETRY_MS);
}

/* ---- replies ---- */

static void take_join_reply(struct sim_node *node, unsigned status, const char *text)
{
    if (status != 200) {
        retry_join(node);
        return;
    }
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(str_of(text), &root, NULL);
    assert(rc == 0);
    node->join = 0;
    node->token = mem_strdup(json_member_string(root, "token"));
    node->session = json_member_int(root, "session", 0);
    node->seq = 0;
    open_stream(node);
    arm_report(node, 0);
}

void sim_node_reply(struct sim_node *node, uint64_t request, unsigned status, const char *text)
{
    if (!node->is_up || !request)
        return;
    if (request == node->join)
        take_join_reply(node, status, text);
    else if (request == node->report)
        take_report_reply(node, status);
    else if (request == node->stream && status == 401)
        join_again(node);
    else if (request == node->stream)
        sim_node_stream_ended(node, request);
}

/* ---- life ---- */

void sim_node_start(struct sim_node *node)
{
    trace_note(&node->sim->trace, "%s: worker starts", node->name);
    node->is_up = true;
    node->life++;
    node->join_delay_ms = JOIN_RETRY_MIN_MS;
    node->stream_delay_ms = LINES_RETRY_MIN_MS;
    sim_runners_start(node);
    sim_runners_wake(node);
    add_event(node, 0, on_join_due, node->life);
}

static void on_restart(struct sim_event *event)
{
    sim_node_start(event->ctx);
}

void sim_node_fini(struct sim_node *node)
{
    node->is_up = false;
    free(TAKE(node->token));
    desired_state_fini(&node->desired);
    sim_runners_fini(&node->runners);
    node->join = node->report = node->stream = 0;
    node->contact_since_ms = 0;
}

void sim_node_kill(struct sim_node *node)
{
    if (!node->is_up)
        return;
    node->sim->tally->counts[TALLY_WORKER_KILLED]++;
    trace_note(&node->sim->trace, "%s: worker is killed", node->name);
    sim_node_fini(node);
    node->life++;
    add_event(node, rng_between(&node->sim->rng, 100, 60000), on_restart, node->life);
}
