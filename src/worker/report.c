/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/report.h"

static void write_report(struct report *report, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    buf_clear(out);
    json_begin_object(&w);
    json_put_int(&w, "session", report->session);
    json_put_int(&w, "seq", ++report->seq);
    json_put_int(&w, "generation", runner_set_generation(report->runners));
    json_add_key(&w, "status");
    json_begin_object(&w);
    machine_status_write(&report->machine, &w);
    json_add_key(&w, "gpu_devices");
    device_list_write(prober_devices(report->prober), &w);
    if (report->engines->text) {
        json_add_key(&w, "engines");
        json_add_raw(&w, str_of(report->engines->text));
    }
    json_add_key(&w, "cache");
    downloads_write_cache(report->downloads, &w);
    json_end_object(&w);
    json_add_key(&w, "instances");
    runner_set_write_report(report->runners, &w);
    json_add_key(&w, "inspections");
    inspections_write_report(report->inspections, &w);
    json_add_key(&w, "model_files");
    downloads_write_report(report->downloads, &w);
    json_end_object(&w);
}

/* A report made too early would tell control of fewer devices and worse states than there are. */
static bool is_settled(const struct report *report)
{
    bool is_known = prober_has_answered(report->prober) && report->engines->text;
    return (is_known || loop_now_ms(report->loop) >= report->devices_due_ms) &&
           runner_set_is_settled(report->runners);
}

static void on_due(struct timer *timer, void *ctx)
{
    struct report *report = ctx;
    if (!is_settled(report)) {
        timer_start(timer, REPORT_RETRY_MS);
        return;
    }
    report->is_due = false;
    write_report(report, &report->post.body);
    post_send(&report->post, &report->server, "/v2/worker-status", report->token);
}

static void on_reply(struct post *post, int status, struct str reply, void *ctx)
{
    struct report *report = ctx;
    if (status >= 200 && status < 300) {
        fault_log_clear(&report->faults);
        timer_start(&report->timer, report->is_due ? 0 : REPORT_INTERVAL_MS);
        return;
    }
    auto_free char *fault = post_fault(status, reply);
    fault_log_tell(&report->faults, LOG_WARNING, fault);
    if (status == 401 || status == 404) {
        report_stop(report);
        report->on_unknown(report, report->ctx);
        return;
    }
    report->is_due = true;
    timer_start(&report->timer, REPORT_RETRY_MS);
}

void report_init(struct report *report, struct loop *loop, struct http_pool *pool)
{
    report->loop = loop;
    report->devices_due_ms = loop_now_ms(loop) + REPORT_DEVICES_WAIT_MS;
    report->faults = (struct fault_log){.area = "worker", .what = "can't report to the server"};
    timer_init(&report->timer, loop, on_due, report);
    post_init(&report->post, pool, on_reply, report);
}

void report_fini(struct report *report)
{
    report_stop(report);
    post_fini(&report->post);
    fault_log_fini(&report->faults);
}

void report_start(struct report *report, const struct http_target *server,
                  const struct joined *joined)
{
    report_stop(report);
    report->server = *server;
    report->token = mem_strdup(joined->token);
    report->session = joined->session;
    report->seq = 0;
    timer_start(&report->timer, 0);
}

void report_stop(struct report *report)
{
    timer_stop(&report->timer);
    post_cancel(&report->post);
    mem_free_secret(TAKE(report->token));
}

void report_mark(struct report *report)
{
    if (!report->token)
        return;
    report->is_due = true;
    if (!post_is_running(&report->post) && !report->faults.last)
        timer_start(&report->timer, 0);
}
