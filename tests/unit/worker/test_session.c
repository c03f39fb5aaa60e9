/* SPDX-License-Identifier: Apache-2.0 */
/* Joining, the desired stream and the reports, against a control that is played by this test. */
#include "base/file.h"
#include "http/server.h"
#include "worker/worker.h"
#include "worker_bench.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What control says and what it has heard. */
struct control {
    struct loop *loop;
    struct http_server *server;
    unsigned port;
    unsigned join_status;   /* of the next registrations */
    unsigned report_status; /* of the next reports */
    unsigned joins, reports;
    struct buf join, report, joining, reporting; /* last bodies, and those under way */
    struct http_exchange *stream;                /* NULL: not open */
    char *stream_path;
};

static void heard(struct control *control, struct buf *to, struct buf *from)
{
    buf_fini(to);
    *to = *from;
    *from = (struct buf){0};
    loop_stop(control->loop);
}

static void join_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct control *control = ctx;
    buf_add_str(&control->joining, data);
}

static void join_end(struct http_exchange *ex, void *ctx)
{
    struct control *control = ctx;
    control->joins++;
    heard(control, &control->join, &control->joining);
    http_reply(ex, control->join_status, NULL, 0,
               control->join_status == 200
                   ? STR("{\"id\":4,\"name\":\"given\",\"token\":\"wt\",\"cluster_id\":\"c\"}")
                   : STR("{\"code\":1,\"message\":\"not so\"}"));
}

static void report_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct control *control = ctx;
    buf_add_str(&control->reporting, data);
}

static void report_end(struct http_exchange *ex, void *ctx)
{
    struct control *control = ctx;
    control->reports++;
    heard(control, &control->report, &control->reporting);
    http_reply(ex, control->report_status, NULL, 0, STR(""));
}

static void stream_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct control *control = ctx;
    control->stream = NULL;
    loop_stop(control->loop);
}

static void on_request(struct http_exchange *ex, void *ctx)
{
    static const struct http_exchange_ops join_ops = {.on_body = join_body, .on_end = join_end};
    static const struct http_exchange_ops report_ops = {.on_body = report_body,
                                                        .on_end = report_end};
    static const struct http_exchange_ops stream_ops = {.on_close = stream_close};
    struct control *control = ctx;
    const struct http_request_head *head = http_exchange_head(ex);
    bool is_join = str_eq(head->path, STR("/v2/workers"));
    struct str bearer = http_headers_get(&head->headers, "Authorization");
    assert_true(str_eq(bearer, is_join ? STR("Bearer cluster") : STR("Bearer wt")));
    if (head->method == HTTP_POST) {
        http_exchange_set_ops(ex, is_join ? &join_ops : &report_ops, control);
        return;
    }
    free(control->stream_path);
    control->stream_path = str_dup(head->path);
    control->stream = ex;
    http_exchange_set_ops(ex, &stream_ops, control);
    http_reply_start(ex, 200, NULL, 0, -1);
    loop_stop(control->loop);
}

struct fixture {
    struct loop *loop;
    char *dir;
    struct config config;
    struct control control;
    struct worker_role *role;
};

static const char *const prober_argv[] = {"/bin/sh", "-c", "echo '{\"devices\":[]}'; exec sleep 60",
                                          NULL};

static struct fixture *fixture_new(unsigned join_status)
{
    struct fixture *fixture = mem_alloc(sizeof *fixture);
    fixture->loop = loop_new(&clock_system);
    fixture->dir = folder_new();
    struct control *control = &fixture->control;
    *control =
        (struct control){.loop = fixture->loop, .join_status = join_status, .report_status = 204};
    control->server = http_server_new(fixture->loop, on_request, control);
    int port = http_server_listen_tcp(control->server, "127.0.0.1", 0, false, NULL);
    assert_true(port > 0);
    fixture->config = (struct config){.data_dir = fixture->dir,
                                      .cache_dir = fixture->dir,
                                      .log_dir = mem_printf("%s/log", fixture->dir),
                                      .bin_dir = mem_printf("%s/bin", fixture->dir),
                                      .server_url = mem_printf("http://127.0.0.1:%d", port),
                                      .token = mem_strdup("cluster"),
                                      .service_port_first = 20000 + getpid() % 20000,
                                      .service_port_last = 20000 + getpid() % 20000 + 20};
    struct err err = {0};
    if (worker_role_new(fixture->loop, &fixture->config, prober_argv, &fixture->role, &err) < 0)
        fail_msg("%s", err.text);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    struct control *control = &fixture->control;
    worker_role_free(fixture->role);
    http_server_free(control->server);
    loop_free(fixture->loop);
    buf_fini(&control->join);
    buf_fini(&control->joining);
    buf_fini(&control->report);
    buf_fini(&control->reporting);
    free(control->stream_path);
    free(fixture->config.log_dir);
    free(fixture->config.bin_dir);
    free(fixture->config.server_url);
    free(fixture->config.token);
    folder_free(fixture->dir);
    free(fixture);
}

static json_t *parse(const struct buf *text)
{
    json_t *root = NULL;
    if (json_read(buf_str(text), &root, NULL) < 0)
        fail_msg("no JSON: %s", text->ptr);
    return root;
}

static void test_joins_and_reports(void **state)
{
    struct fixture *fixture = fixture_new(200);
    struct control *control = &fixture->control;
    RUN_UNTIL(fixture, control->stream && control->reports >= 1);
    auto_fini(json_release) json_t *join = parse(&control->join);
    auto_free char *uuid_path = mem_printf("%s/worker_uuid", fixture->dir);
    auto_free char *name_path = mem_printf("%s/worker_name", fixture->dir);
    auto_free char *uuid = NULL;
    auto_free char *name = NULL;
    assert_int_equal(file_read_line(uuid_path, 100, &uuid, NULL), 0);
    assert_int_equal(file_read_line(name_path, 100, &name, NULL), 0);
    assert_string_equal(json_member_string(join, "worker_uuid"), uuid);
    assert_string_equal(name, "given");
    assert_non_null(json_member_string(join, "ip"));
    assert_non_null(json_member_string(join, "netns_id"));
    assert_false(json_is_true(json_object_get(join, "name_is_configured")));
    assert_true(json_is_true(json_object_get(join, "inspects")));
    assert_string_equal(json_member_string(json_object_get(join, "labels"), "os"), "linux");
    assert_string_equal(control->stream_path, "/v2/workers/4/desired");
    auto_fini(json_release) json_t *report = parse(&control->report);
    assert_int_equal(json_member_int(report, "generation", -1), 0);
    assert_non_null(json_object_get(json_object_get(report, "status"), "gpu_devices"));
    assert_true(json_is_array(json_object_get(json_object_get(report, "status"), "engines")));
    assert_int_equal(json_array_size(json_object_get(report, "instances")), 0);
    fixture_free(fixture);
}

static void test_a_good_line_is_taken_and_a_bad_one_is_not(void **state)
{
    struct fixture *fixture = fixture_new(200);
    struct control *control = &fixture->control;
    RUN_UNTIL(fixture, control->stream && control->reports >= 1);
    http_reply_write(control->stream,
                     STR("\n{\"generation\":9,\"instances\":[{\"id\":3,\"name\":\"m-a\","
                         "\"model_name\":\"m\",\"source\":\"huggingface\",\"token\":\"t\"}]}\n"));
    RUN_UNTIL(fixture, strstr(control->report.ptr, "source huggingface is not supported"));
    assert_non_null(strstr(control->report.ptr, "\"generation\":9"));
    assert_non_null(strstr(control->report.ptr, "\"state\":\"error\""));
    http_reply_write(control->stream, STR("nonsense\n{\"generation\":10}\n"));
    unsigned reports = control->reports;
    RUN_UNTIL(fixture, control->reports > reports);
    assert_non_null(strstr(control->report.ptr, "\"generation\":9"));
    assert_non_null(strstr(control->report.ptr, "\"id\":3"));
    fixture_free(fixture);
}

static void test_paths_are_looked_at_as_control_says(void **state)
{
    struct fixture *fixture = fixture_new(200);
    struct control *control = &fixture->control;
    RUN_UNTIL(fixture, control->stream && control->reports >= 1);
    assert_non_null(strstr(control->report.ptr, "\"inspections\":[]"));
    http_reply_write(control->stream,
                     STR("{\"generation\":9,\"instances\":[],"
                         "\"inspect\":[{\"path\":\"/nonexistent/m.gguf\",\"shape\":false}]}\n"));
    RUN_UNTIL(fixture, strstr(control->report.ptr, "\"path\":\"/nonexistent/m.gguf\","
                                                   "\"state\":\"missing\""));
    fixture_free(fixture);
}

static void test_an_unknown_worker_joins_again(void **state)
{
    struct fixture *fixture = fixture_new(200);
    struct control *control = &fixture->control;
    control->report_status = 404;
    RUN_UNTIL(fixture, control->joins >= 2);
    control->report_status = 204;
    unsigned reports = control->reports;
    RUN_UNTIL(fixture, control->stream && control->reports > reports + 1);
    fixture_free(fixture);
}

static void test_a_server_in_trouble_is_tried_again(void **state)
{
    struct fixture *fixture = fixture_new(503);
    struct control *control = &fixture->control;
    RUN_UNTIL(fixture, control->joins >= 2);
    control->join_status = 200;
    RUN_UNTIL(fixture, control->reports >= 1);
    fixture_free(fixture);
}

static void test_one_worker_per_data_folder(void **state)
{
    struct fixture *fixture = fixture_new(200);
    struct worker_role *second;
    struct err err = {0};
    auto_free char *pid = mem_printf("pid %d", (int)getpid());
    assert_int_equal(worker_role_new(fixture->loop, &fixture->config, prober_argv, &second, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, pid));
    fixture_free(fixture);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joins_and_reports),
        cmocka_unit_test(test_a_good_line_is_taken_and_a_bad_one_is_not),
        cmocka_unit_test(test_paths_are_looked_at_as_control_says),
        cmocka_unit_test(test_an_unknown_worker_joins_again),
        cmocka_unit_test(test_a_server_in_trouble_is_tried_again),
        cmocka_unit_test(test_one_worker_per_data_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
