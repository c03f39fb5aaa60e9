/* SPDX-License-Identifier: Apache-2.0 */
/* The control role with a real loop, a real store and streams over a real socket. */
#include "auth/auth.h"
#include "control/feed.h"
#include "control/report.h"
#include "control/fleet.h"
#include "control/liveness.h"
#include "control/shapes.h"
#include "http/lines.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <sqlite3.h>

/* ---- a world: one control in a folder of its own, with a clock that can be moved on ---- */

enum { TEST_SECONDS_MAX = 30 };

static int64_t skew_ms;

static int64_t mono(void *ctx)
{
    return clock_mono_ms(&clock_system) + skew_ms;
}

static int64_t wall(void *ctx)
{
    return clock_wall_ms(&clock_system) + skew_ms;
}

static const struct clock test_clock = {.mono_ms = mono, .wall_ms = wall};

struct world {
    char folder[64];
    struct loop *loop;
    struct store *store;
    struct control *control;
    struct http_server *server;
    struct http_pool *pool;
    int64_t stream_worker; /* whose desired state /desired gives */
};

static void on_request(struct http_exchange *ex, void *ctx)
{
    struct world *w = ctx;
    if (str_eq(http_exchange_head(ex)->path, STR("/feed"))) {
        feed_subscribe(control_feed(w->control), ex);
        return;
    }
    struct worker *worker =
        cluster_find(control_cluster(w->control), KIND_WORKER, w->stream_worker);
    assert_non_null(worker);
    fleet_subscribe(control_fleet(w->control), worker, ex);
}

static void open_world(struct world *w)
{
    struct err err = {0};
    auto_free char *database = mem_printf("%s/database.db", w->folder);
    auto_free char *socket = mem_printf("%s/s", w->folder);
    w->loop = loop_new(&test_clock);
    const struct store_options options = {.path = database, .allow_network_fs = true};
    assert_int_equal(store_open(&options, &w->store, &err), 0);
    const struct control_params params = {
        .loop = w->loop, .store = w->store, .cluster_token = "cluster"};
    assert_int_equal(control_new(&params, &w->control, &err), 0);
    w->server = http_server_new(w->loop, on_request, w);
    assert_int_equal(http_server_listen_unix(w->server, socket, &err), 0);
    w->pool = http_pool_new(w->loop);
}

static void close_world(struct world *w)
{
    http_pool_free(w->pool);
    http_server_free(w->server);
    store_close(w->store);
    control_free(w->control);
    loop_free(w->loop);
}

static int set_up(void **state)
{
    auth_init();
    struct world *w = mem_alloc(sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/gpustack-control-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    skew_ms = 0;
    open_world(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close_world(w);
    static const char *const files[] = {"database.db", "database.db-wal", "database.db-shm",
                                        "database.db.lock", "s"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", w->folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w->folder), 0);
    free(w);
    return 0;
}

/* Runs the loop until something stops it; what waits in vain is ended by alarm(2). */
static void run(struct world *w)
{
    alarm(TEST_SECONDS_MAX);
    loop_run(w->loop);
    alarm(0);
}

static void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

static void settle(struct world *w)
{
    control_when_durable(w->control, stop_loop, w->loop);
    run(w);
}

static void put_model(struct world *w, const char *name, int64_t replicas)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/m.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.replicas = replicas;
    fresh.generation = 1;
    cluster_put(control_cluster(w->control), KIND_MODEL, &fresh, control_now_ms(w->control));
}

static struct worker *join(struct world *w, const char *name, const char *uuid)
{
    auto_fini(json_release) json_t *body =
        json_pack("{s:s,s:s,s:s,s:i,s:s}", "name", name, "worker_uuid", uuid, "ip", "10.0.0.9",
                  "port", 10150, "netns_id", "here");
    struct worker *worker = NULL;
    int64_t session;
    struct err err = {0};
    assert_int_equal(fleet_register(control_fleet(w->control), body, &worker, &session, &err), 0);
    return worker;
}

static int report(struct world *w, int64_t worker_id, const char *text)
{
    auto_fini(json_release) json_t *body = NULL;
    struct err err = {0};
    assert_int_equal(json_read(str_of(text), &body, &err), 0);
    return fleet_report(control_fleet(w->control), worker_id, body, &err);
}

#define STATUS "\"status\":{\"memory\":{\"total\":17179869184}}"

/* ---- a reader of line streams that remembers all lines ---- */

struct reader {
    struct world *w;
    struct line_stream *stream;
    struct buf text;
    const char *awaited; /* stops the loop when a line holds it */
};

static void on_line(struct line_stream *stream, struct str line, void *ctx)
{
    struct reader *reader = ctx;
    buf_add_str(&reader->text, line);
    buf_add_char(&reader->text, '\n');
    if (reader->awaited && memmem(line.ptr, line.len, reader->awaited, strlen(reader->awaited)))
        loop_stop(reader->w->loop);
}

static void open_reader(struct reader *reader, struct world *w, const char *path)
{
    *reader = (struct reader){.w = w};
    struct line_stream_params params = {
        .pool = w->pool, .path = path, .on_line = on_line, .ctx = reader};
    auto_free char *url = mem_printf("unix:%s/s", w->folder);
    struct err err = {0};
    assert_int_equal(http_target_parse(url, &params.target, &err), 0);
    reader->stream = line_stream_new(&params);
}

static void await_line(struct reader *reader, const char *part)
{
    if (reader->text.ptr && strstr(reader->text.ptr, part))
        return;
    reader->awaited = part;
    run(reader->w);
    reader->awaited = NULL;
}

static void close_reader(struct reader *reader)
{
    line_stream_free(reader->stream);
    buf_fini(&reader->text);
}

/* ---- tests ---- */

static void test_durable_state_comes_back(void **state)
{
    struct world *w = *state;
    put_model(w, "m", 2);
    settle(w);
    auto_free char *secret = mem_strdup(control_cluster(w->control)->secret);
    close_world(w);
    open_world(w);
    const struct cluster *cluster = control_cluster(w->control);
    assert_non_null(cluster_model_by_name(cluster, "m"));
    assert_int_equal(cluster->tables[KIND_INSTANCE].count, 2);
    assert_string_equal(cluster->secret, secret);
}

static void test_ids_survive_deletion_and_restart(void **state)
{
    struct world *w = *state;
    put_model(w, "m", 0);
    settle(w);
    int64_t id = cluster_model_by_name(control_cluster(w->control), "m")->id;
    cluster_delete(control_cluster(w->control), KIND_MODEL, id);
    settle(w);
    close_world(w);
    open_world(w);
    put_model(w, "n", 0);
    assert_int_equal(cluster_model_by_name(control_cluster(w->control), "n")->id, id + 1);
    settle(w);
}

static void test_feed_is_a_snapshot_and_then_changes(void **state)
{
    struct world *w = *state;
    put_model(w, "before", 0);
    settle(w);
    struct reader reader;
    open_reader(&reader, w, "/feed");
    await_line(&reader, "\"op\":\"ready\"");
    assert_non_null(strstr(reader.text.ptr, "\"name\":\"before\""));
    put_model(w, "after", 0);
    await_line(&reader, "\"name\":\"after\"");
    cluster_delete(control_cluster(w->control), KIND_MODEL, 1);
    await_line(&reader, "\"op\":\"del\"");
    close_reader(&reader);
}

/* Routes and limits are one line each, and in the snapshot of who comes later. */
static void test_feed_tells_routes_and_limits(void **state)
{
    struct world *w = *state;
    struct cluster *cluster = control_cluster(w->control);
    struct reader reader, later;
    open_reader(&reader, w, "/feed");
    await_line(&reader, "\"op\":\"ready\"");
    put_model(w, "m", 0);
    struct model copy = {0};
    record_copy(&model_type, &copy, cluster_model_by_name(cluster, "m"));
    copy.generic_proxy = true;
    copy.first_byte_timeout = 3;
    copy.limits = (struct limits){1, 2, 3, 4, BUDGET_HOUR};
    cluster_put(cluster, KIND_MODEL, &copy, 2);
    struct model_route route = {0};
    record_init(&model_route_type, &route);
    mem_replace(&route.name, "r");
    mem_replace(&route.targets, "[{\"model_id\":1,\"weight\":90}]");
    cluster_put(cluster, KIND_ROUTE, &route, 2);
    settle(w);
    open_reader(&later, w, "/feed");
    static const char *const lines[] = {
        "\"is_stopped\":true,\"generic_proxy\":true,\"first_byte_timeout_ms\":3000,"
        "\"requests_per_minute\":1,"
        "\"tokens_per_minute\":2,\"concurrent_requests\":3,\"token_budget\":4,"
        "\"budget_period\":\"hour\"}",
        "\"kind\":\"route\",\"id\":1,\"name\":\"r\",\"targets\":[{\"model_id\":1,\"weight\":90}],"
        "\"fallback_model_id\":0}"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        await_line(&reader, lines[i]);
        await_line(&later, lines[i]);
    }
    cluster_delete(cluster, KIND_ROUTE, 1);
    await_line(&later, "\"kind\":\"route\",\"id\":1}");
    assert_non_null(strstr(later.text.ptr, "\"op\":\"del\""));
    close_reader(&reader);
    close_reader(&later);
}

static void test_endpoints_come_and_go(void **state)
{
    struct world *w = *state;
    struct worker *worker = join(w, "node1", "u1");
    assert_int_equal(report(w, worker->id, "{\"generation\":0,\"instances\":[]," STATUS "}"), 0);
    put_model(w, "m", 1);
    settle(w);
    struct reader reader;
    open_reader(&reader, w, "/feed");
    await_line(&reader, "\"op\":\"ready\"");
    assert_null(strstr(reader.text.ptr, "\"kind\":\"endpoint\""));
    assert_int_equal(report(w, worker->id,
                            "{\"instances\":[{\"id\":1,\"state\":\"running\",\"port\":40001,"
                            "\"pid\":5,\"served_name\":\"old\"}]," STATUS "}"),
                     0);
    await_line(&reader, "\"local_port\":40001");
    assert_non_null(strstr(reader.text.ptr, "\"host\":\"10.0.0.9\""));
    assert_non_null(strstr(reader.text.ptr, "\"served_name\":\"old\""));
    assert_int_equal(
        report(w, worker->id, "{\"instances\":[{\"id\":1,\"state\":\"error\"}]," STATUS "}"), 0);
    await_line(&reader, "\"op\":\"del\"");
    close_reader(&reader);
}

static void test_worker_gets_its_desired_state(void **state)
{
    struct world *w = *state;
    struct worker *worker = join(w, "node1", "u1");
    w->stream_worker = worker->id;
    assert_int_equal(report(w, worker->id, "{\"instances\":[]," STATUS "}"), 0);
    struct reader reader;
    open_reader(&reader, w, "/desired");
    await_line(&reader, "\"instances\":[]");
    put_model(w, "m", 1);
    await_line(&reader, "\"model_name\":\"m\"");
    close_reader(&reader);
}

#define PRESENT                                                                                    \
    "{\"instances\":[],\"inspections\":["                                                          \
    "{\"path\":\"/m.gguf\",\"state\":\"present\",\"identity\":\"7-1-1\""
#define SHAPE ",\"shape\":{\"version\":1,\"format\":\"gguf\",\"kind\":\"llm\"}"

/* Who has said that it can tell is asked, nobody else. */
static void test_workers_are_asked_for_model_files(void **state)
{
    struct world *w = *state;
    struct worker *old = join(w, "old", "u1");
    struct worker *worker = join(w, "node1", "u2");
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker);
    copy.inspects = true;
    cluster_put(control_cluster(w->control), KIND_WORKER, &copy, 2);
    assert_int_equal(report(w, old->id, "{\"instances\":[]," STATUS "}"), 0);
    assert_int_equal(report(w, worker->id, "{\"instances\":[]," STATUS "}"), 0);
    struct reader reader, other;
    w->stream_worker = old->id;
    open_reader(&other, w, "/desired");
    await_line(&other, "\"instances\":[]}");
    w->stream_worker = worker->id;
    open_reader(&reader, w, "/desired");
    await_line(&reader, "\"inspect\":[]}");
    put_model(w, "m", 0);
    await_line(&reader, "\"inspect\":[{\"path\":\"/m.gguf\",\"shape\":false}]}");
    assert_int_equal(report(w, worker->id, PRESENT "}]," STATUS "}"), 0);
    await_line(&reader, "\"inspect\":[{\"path\":\"/m.gguf\",\"shape\":true}]}");
    assert_int_equal(report(w, worker->id, "{\"instances\":[],\"inspections\":{}}"), ERR_INVALID);
    assert_int_equal(report(w, worker->id, PRESENT SHAPE "}]," STATUS "}"), 0);
    const struct model *model = cluster_model_by_name(control_cluster(w->control), "m");
    assert_int_equal(shapes_of(control_shapes(w->control), model)->state, SHAPE_KNOWN);
    settle(w);
    close_reader(&reader);
    close_reader(&other);
    close_world(w);
    open_world(w);
    model = cluster_model_by_name(control_cluster(w->control), "m");
    assert_int_equal(shapes_of(control_shapes(w->control), model)->state, SHAPE_KNOWN);
}

static void test_registering_again_keeps_the_row(void **state)
{
    struct world *w = *state;
    int64_t id = join(w, "node1", "u1")->id;
    assert_int_equal(join(w, "renamed", "u1")->id, id);
    assert_string_equal(
        ((struct worker *)cluster_find(control_cluster(w->control), KIND_WORKER, id))->name,
        "renamed");
    struct worker *other = join(w, "renamed", "u2");
    assert_int_not_equal(other->id, id);
    assert_memory_equal(other->name, "renamed-", 8);
    settle(w);
}

static void test_configured_name_of_another_is_refused(void **state)
{
    struct world *w = *state;
    join(w, "node1", "u1");
    auto_fini(json_release) json_t *body =
        json_pack("{s:s,s:s,s:s,s:i,s:b}", "name", "node1", "worker_uuid", "u2", "ip", "10.0.0.8",
                  "port", 10150, "name_is_configured", 1);
    struct worker *worker;
    int64_t session;
    struct err err = {0};
    assert_int_equal(fleet_register(control_fleet(w->control), body, &worker, &session, &err),
                     ERR_EXISTS);
    assert_non_null(strstr(err.text, "10.0.0.9"));
    settle(w);
}

static void test_bad_registrations(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {
        "{}", "{\"name\":\"n\",\"worker_uuid\":\"u\",\"ip\":\"1.2.3.4\"}",
        "{\"name\":\"n\",\"worker_uuid\":\"u\",\"ip\":\"1.2.3.4\",\"port\":0}",
        "{\"name\":\"\",\"worker_uuid\":\"u\",\"ip\":\"1.2.3.4\",\"port\":1}",
        "{\"name\":\"n\",\"worker_uuid\":\"\",\"ip\":\"1.2.3.4\",\"port\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_fini(json_release) json_t *body = NULL;
        struct err err = {0};
        struct worker *worker;
    int64_t session;
        assert_int_equal(json_read(str_of(bad[i]), &body, &err), 0);
        assert_int_equal(fleet_register(control_fleet(w->control), body, &worker, &session, &err),
                         ERR_INVALID);
    }
    assert_int_equal(control_cluster(w->control)->tables[KIND_WORKER].count, 0);
}

static void stop_when_silent(struct timer *timer, void *ctx)
{
    struct world *w = ctx;
    const struct worker *worker = control_cluster(w->control)->tables[KIND_WORKER].rows[0];
    skew_ms += 900; /* not in one jump: that would be control's own absence */
    if (worker->state == WORKER_NOT_READY)
        loop_stop(w->loop);
    else
        timer_start(timer, 0);
}

/* Lets two seconds go by, in which control looks for silence. */
static void stop_after_steps(struct timer *timer, void *ctx)
{
    struct world *w = ctx;
    static int steps;
    skew_ms += 500;
    if (++steps % 4 == 0)
        loop_stop(w->loop);
    else
        timer_start(timer, 0);
}

/* Control was stopped for a minute: nobody could be heard, so nobody is silent. */
static void test_own_absence_is_no_silence(void **state)
{
    struct world *w = *state;
    struct worker *worker = join(w, "node1", "u1");
    report(w, worker->id, "{\"instances\":[]," STATUS "}");
    settle(w);
    assert_int_equal(worker->state, WORKER_READY);
    skew_ms += LIVENESS_SILENCE_MS + 15000;
    struct timer later;
    timer_init(&later, w->loop, stop_after_steps, w);
    timer_start(&later, 0);
    run(w);
    assert_int_equal(worker->state, WORKER_READY);
    settle(w);
}

static void test_silent_worker_is_unreachable_but_routed(void **state)
{
    struct world *w = *state;
    struct worker *worker = join(w, "node1", "u1");
    static const char running[] =
        "{\"instances\":[{\"id\":1,\"state\":\"running\",\"port\":40001,\"pid\":5}]," STATUS "}";
    report(w, worker->id, "{\"instances\":[]," STATUS "}");
    put_model(w, "m", 1);
    settle(w);
    assert_int_equal(report(w, worker->id, running), 0);
    struct timer look;
    timer_init(&look, w->loop, stop_when_silent, w);
    timer_start(&look, 0);
    run(w);
    const struct model_instance *instance =
        cluster_find(control_cluster(w->control), KIND_INSTANCE, 1);
    assert_int_equal(instance->state, INSTANCE_UNREACHABLE);
    struct reader reader;
    open_reader(&reader, w, "/feed");
    await_line(&reader, "\"op\":\"ready\"");
    assert_non_null(strstr(reader.text.ptr, "\"local_port\":40001"));
    close_reader(&reader);
    assert_int_equal(report(w, worker->id, running), 0);
    assert_int_equal(worker->state, WORKER_READY);
    assert_int_equal(instance->state, INSTANCE_RUNNING);
    settle(w);
}

/* Keeps the store from writing until it is closed. */
static sqlite3 *freeze_store(struct world *w)
{
    sqlite3 *db;
    auto_free char *path = mem_printf("%s/database.db", w->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void rest(void *arg)
{
    (void)poll(NULL, 0, 50);
}

/* Gives whatever would leave the time to do so. */
static void let_pass(struct world *w)
{
    loop_work(w->loop, rest, stop_loop, w->loop);
    run(w);
}

static void test_nothing_undurable_is_told(void **state)
{
    struct world *w = *state;
    struct worker *worker = join(w, "node1", "u1");
    w->stream_worker = worker->id;
    assert_int_equal(report(w, worker->id, "{\"instances\":[]," STATUS "}"), 0);
    settle(w);
    struct reader early, feed, desired;
    open_reader(&early, w, "/feed");
    await_line(&early, "\"op\":\"ready\"");
    open_reader(&desired, w, "/desired");
    await_line(&desired, "\"instances\":[]");
    sqlite3 *lock = freeze_store(w);
    put_model(w, "m", 1);
    open_reader(&feed, w, "/feed");
    let_pass(w);
    /* Something else that is told at once, were it not for the turn before it. */
    assert_int_equal(report(w, worker->id, "{\"instances\":[]," STATUS "}"), 0);
    let_pass(w);
    assert_null(strstr(early.text.ptr, "\"name\":\"m\""));
    assert_null(strstr(desired.text.ptr, "\"model_name\":\"m\""));
    assert_int_equal(feed.text.len, 0);
    sqlite3_close(lock);
    await_line(&desired, "\"model_name\":\"m\"");
    await_line(&early, "\"name\":\"m\"");
    await_line(&feed, "\"op\":\"ready\"");
    assert_non_null(strstr(feed.text.ptr, "\"name\":\"m\""));
    close_reader(&early);
    close_reader(&feed);
    close_reader(&desired);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void test_late_and_doubled_reports_count_for_nothing(void **state)
{
    struct report_order order = {0};
    const struct {
        const char *text;
        enum report_age want;
    } rows[] = {
        {"{}", REPORT_NEW},
        {"{\"session\":7,\"seq\":1}", REPORT_NEW},
        {"{\"session\":7,\"seq\":3}", REPORT_NEW},
        {"{\"session\":7,\"seq\":2}", REPORT_STALE},
        {"{\"session\":7,\"seq\":3}", REPORT_STALE},
        {"{\"session\":8,\"seq\":1}", REPORT_NEW},
        {"{\"session\":7,\"seq\":9}", REPORT_FORSAKEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fini(json_release) json_t *body = NULL;
        assert_int_equal(json_read(str_of(rows[i].text), &body, NULL), 0);
        assert_int_equal(report_age(&order, body), rows[i].want);
    }
}

/* Other heartbeats may wait for a second; one that tells of a free device is acted upon at once. */
static void test_a_free_device_is_given_out_in_the_same_turn(void **state)
{
    static const char with_device[] =
        "{\"instances\":[],\"status\":{\"memory\":{\"total\":17179869184},\"gpu_devices\":[{"
        "\"index\":0,\"type\":\"cuda\",\"memory\":{\"total\":1073741824,\"used\":0}}]}}";
    struct world *w = *state;
    int64_t worker = join(w, "a", "u1")->id;
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, "m");
    mem_replace(&fresh.local_path, "/m.gguf");
    mem_replace(&fresh.gpu_selector, "{\"gpus_per_replica\":1}");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.replicas = fresh.generation = 1;
    cluster_put(control_cluster(w->control), KIND_MODEL, &fresh, control_now_ms(w->control));
    assert_int_equal(report(w, worker, "{\"instances\":[]," STATUS "}"), 0);
    settle(w);
    const struct table *instances = &control_cluster(w->control)->tables[KIND_INSTANCE];
    assert_int_equal(instances->count, 1);
    assert_int_equal(((const struct model_instance *)instances->rows[0])->worker_id, 0);
    assert_int_equal(report(w, worker, with_device), 0);
    settle(w);
    assert_int_equal(((const struct model_instance *)instances->rows[0])->worker_id, worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_and_doubled_reports_count_for_nothing),
        TEST(test_durable_state_comes_back),
        TEST(test_ids_survive_deletion_and_restart),
        TEST(test_feed_is_a_snapshot_and_then_changes),
        TEST(test_feed_tells_routes_and_limits),
        TEST(test_endpoints_come_and_go),
        TEST(test_worker_gets_its_desired_state),
        TEST(test_workers_are_asked_for_model_files),
        TEST(test_registering_again_keeps_the_row),
        TEST(test_configured_name_of_another_is_refused),
        TEST(test_bad_registrations),
        TEST(test_own_absence_is_no_silence),
        TEST(test_silent_worker_is_unreachable_but_routed),
        TEST(test_nothing_undurable_is_told),
        TEST(test_a_free_device_is_given_out_in_the_same_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
