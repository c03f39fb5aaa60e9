/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons, restart limits, drains, devices, a disk that takes nothing: runners with real processes.
 */
#include "base/file.h"
#include "worker_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static void stop_all(struct bench *bench)
{
    bench_desire_nothing(bench);
    RUN_UNTIL(bench, !bench_runner(bench));
    bench_free(bench);
}

/* As if the delay before the next try had passed; the desired state is told again. */
static void let_delay_pass(struct bench *bench, const char *stub, const char *more)
{
    bench_runner(bench)->retry_at_ms = 0;
    bench_desire_with(bench, stub, 1, more);
}

static void fail_once(struct bench *bench, const char *stub, const char *more)
{
    bench_desire_with(bench, stub, 1, more);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
}

/* ---- reasons ---- */

static void test_codes_and_arguments(void **state)
{
    static const struct {
        const char *stub, *reason, *args;
    } rows[] = {
        {"crash", "engine_exited", "{\"exit_code\":3,\"log\":\"error: it is only a stub\"}"},
        {"memory", "out_of_device_memory", "{\"log\":\"cudaMalloc failed: out of memory\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench *bench = bench_new();
        fail_once(bench, rows[i].stub, "");
        assert_report(bench, "state", "error");
        assert_report(bench, "state_reason", rows[i].reason);
        assert_report(bench, "state_args", rows[i].args);
        assert_report(bench, "failures", "1");
        stop_all(bench);
    }
}

static void test_a_kill_is_told_by_its_signal(void **state)
{
    struct bench *bench = bench_new();
    bench_desire_with(bench, "serve", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_report(bench, "state_reason", "none");
    assert_report(bench, "state_args", "null");
    kill(process_identity(bench_runner(bench)->process)->pid, SIGUSR1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "engine_killed");
    assert_report(bench, "state_args", "{\"signal\":\"USR1\"}");
    stop_all(bench);
}

static void test_a_kill_by_the_kernel(void **state)
{
    struct bench *bench = bench_new();
    bench_desire_with(bench, "serve", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    bench_runner(bench)->memory_kills = -1; /* the kernel has killed one more since */
    kill(process_identity(bench_runner(bench)->process)->pid, SIGKILL);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "out_of_memory");
    assert_message_has(bench, "the machine has run out of memory");
    stop_all(bench);
}

static void test_what_a_model_asks_wrongly(void **state)
{
    struct bench *bench = bench_new();
    fail_once(bench, "serve", ",\"backend_parameters\":[\"--port 1\"]");
    assert_report(bench, "state_reason", "bad_parameters");
    assert_report(bench, "state_args",
                  "{\"detail\":\"parameter --port is reserved: gpustack sets it for llama.cpp\"}");
    stop_all(bench);
    bench = bench_new();
    fail_once(bench, "serve", ",\"backend\":\"llama.cpp\",\"backend_version\":\"9.9\"");
    assert_report(bench, "state_reason", "engine_missing");
    assert_report(bench, "state_args",
                  "{\"backend\":\"llama.cpp\",\"version\":\"9.9\",\"worker\":\"w1\"}");
    stop_all(bench);
}

static void test_a_taken_port_moves_the_next_try(void **state)
{
    struct bench *bench = bench_new();
    bench_desire_with(bench, "taken", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    unsigned port = runner_port(bench_runner(bench));
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    auto_free char *args = mem_printf("{\"port\":%u,\"log\":\"Address already in use\"}", port);
    assert_report(bench, "state_reason", "port_taken");
    assert_report(bench, "state_args", args);
    let_delay_pass(bench, "taken", "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    assert_true(runner_port(bench_runner(bench)) > port);
    stop_all(bench);
}

static void test_no_port_is_free(void **state)
{
    struct bench *bench = bench_new();
    /* The range is a single port that nobody else on the machine has: ours. */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    bench->config.service_port_first = bench->config.service_port_last = ntohs(address.sin_port);
    bench_restart_set(bench);
    fail_once(bench, "serve", "");
    auto_free char *args =
        mem_printf("{\"first\":%lld,\"last\":%lld}", (long long)bench->config.service_port_first,
                   (long long)bench->config.service_port_last);
    assert_report(bench, "state_reason", "no_free_port");
    assert_report(bench, "state_args", args);
    close(fd);
    stop_all(bench);
}

/* ---- limits ---- */

static void test_a_limit_ends_the_tries(void **state)
{
    static const char limit[] = ",\"max_restarts\":2";
    struct bench *bench = bench_new();
    fail_once(bench, "crash", limit);
    assert_report(bench, "state_reason", "engine_exited");
    let_delay_pass(bench, "crash", limit);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "restart_limit");
    assert_report(bench, "state_args", "{\"restarts\":2,\"reason\":\"engine_exited\"}");
    assert_message_has(bench, "no further try after 2 failures in a row");
    let_delay_pass(bench, "crash", limit);
    bench_restart_set(bench); /* nor does a restart of the worker begin anew */
    assert_true(bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "restart_limit"); /* before control has spoken, too */
    let_delay_pass(bench, "crash", limit);
    loop_run(bench->loop);
    assert_report(bench, "state_reason", "restart_limit");
    bench_desire_with(bench, "serve", 2, limit); /* only other settings do */
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_equal(bench_runner(bench)->record.run, 2);
    assert_report(bench, "failures", "0");
    stop_all(bench);
}

static void test_restarts_that_are_off(void **state)
{
    struct bench *bench = bench_new();
    fail_once(bench, "crash", ",\"restart_on_error\":false");
    assert_report(bench, "state_reason", "restart_disabled");
    assert_report(bench, "state_args", "{\"reason\":\"engine_exited\"}");
    stop_all(bench);
}

/* A crash loop goes on counting when the worker's process comes and goes. */
static void test_failures_survive_the_worker(void **state)
{
    struct bench *bench = bench_new();
    fail_once(bench, "crash", "");
    for (unsigned failures = 1; failures <= 3; failures++) {
        auto_free char *count = mem_printf("%u", failures);
        bench_restart_set(bench);
        assert_true(bench_is(bench, PHASE_FAILED));
        assert_report(bench, "failures", count);
        assert_report(bench, "state_reason", "engine_exited");
        assert_report(bench, "state_args",
                      "{\"exit_code\":3,\"log\":\"error: it is only a stub\"}");
        assert_message_has(bench, "exit status 3; next try in");
        assert_true(bench_runner(bench)->retry_at_ms > loop_now_ms(bench->loop));
        let_delay_pass(bench, "crash", "");
        RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
        RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    }
    assert_report(bench, "restart_count", "3");
    stop_all(bench);
}

/* The first try of all fails before there is a process or a port. */
static void test_an_early_failure_survives_too(void **state)
{
    struct bench *bench = bench_new();
    bench->model = "missing.gguf";
    fail_once(bench, "serve", "");
    bench_restart_set(bench);
    assert_true(bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "model_path_missing");
    assert_report(bench, "failures", "1");
    bench->model = "m.gguf";
    let_delay_pass(bench, "serve", "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_equal(bench_runner(bench)->record.run, 0);
    stop_all(bench);
}

/* ---- drains ---- */

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void serve(struct bench *bench)
{
    bench_desire_with(bench, "serve", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
}

static bool has_drained(const struct bench *bench)
{
    auto_free char *drained = bench_told(bench, "drained");
    return strcmp(drained, "true") == 0;
}

static void test_a_drain_ends_with_the_last_connection(void **state)
{
    struct bench *bench = bench_new();
    serve(bench);
    int fd = connect_to(runner_port(bench_runner(bench)));
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    assert_true(bench_is(bench, PHASE_SERVING));
    assert_report(bench, "drained", "false");
    assert_report(bench, "state", "running");
    assert_null(bench_runner(bench)->probe.path); /* our own connections must not count */
    close(fd);
    RUN_UNTIL(bench, has_drained(bench));
    assert_true(bench_is(bench, PHASE_NEW));
    assert_report(bench, "pid", "0");
    assert_report(bench, "port", "0");
    bench_desire_with(bench, "serve", 1, ",\"draining\":true"); /* and stays so */
    assert_true(has_drained(bench));
    stop_all(bench);
}

static void test_a_drain_has_a_deadline(void **state)
{
    struct bench *bench = bench_new();
    bench->config.drain_timeout = 3;
    bench_restart_set(bench);
    serve(bench);
    int64_t begin_ms = loop_now_ms(bench->loop);
    int fd = connect_to(runner_port(bench_runner(bench)));
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    RUN_UNTIL(bench, bench_is(bench, PHASE_STOPPING));
    assert_true(loop_now_ms(bench->loop) - begin_ms >= 3000); /* the connection held it so long */
    RUN_UNTIL(bench, has_drained(bench));
    close(fd);
    stop_all(bench);
}

static void test_a_drain_that_is_taken_back(void **state)
{
    struct bench *bench = bench_new();
    serve(bench);
    pid_t pid = process_identity(bench_runner(bench)->process)->pid;
    int fd = connect_to(runner_port(bench_runner(bench)));
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    bench_desire_with(bench, "serve", 1, "");
    close(fd);
    assert_true(bench_is(bench, PHASE_SERVING));
    assert_false(port_watch_runs(&bench_runner(bench)->port_watch));
    assert_non_null(bench_runner(bench)->probe.path); /* its health is looked at again */
    assert_int_equal(process_identity(bench_runner(bench)->process)->pid, pid);
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    RUN_UNTIL(bench, has_drained(bench));
    bench_desire_with(bench, "serve", 1, ""); /* too late for the old one */
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_report(bench, "restart_count", "0");
    assert_report(bench, "drained", "false");
    stop_all(bench);
}

/* The time counts on, and nothing is stopped before control has spoken again. */
static void test_a_drain_goes_on_after_a_restart(void **state)
{
    struct bench *bench = bench_new();
    serve(bench);
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    int64_t since_ms = bench_runner(bench)->record.draining_since_ms;
    assert_true(since_ms > 0);
    bench_restart_set(bench);
    assert_true(runner_set_is_settled(bench->set));
    assert_true(bench_runner(bench)->wanted.draining);
    assert_int_equal(bench_runner(bench)->record.draining_since_ms, since_ms);
    RUN_UNTIL(bench, bench_runner(bench)->quiet_since_ms != INT64_MAX);
    assert_true(bench_is(bench, PHASE_STARTING));
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    assert_int_equal(bench_runner(bench)->record.draining_since_ms, since_ms);
    RUN_UNTIL(bench, has_drained(bench));
    stop_all(bench);
}

static void test_a_death_while_draining_is_the_end(void **state)
{
    struct bench *bench = bench_new();
    serve(bench);
    int fd = connect_to(runner_port(bench_runner(bench)));
    bench_desire_with(bench, "serve", 1, ",\"draining\":true");
    kill(process_identity(bench_runner(bench)->process)->pid, SIGKILL);
    RUN_UNTIL(bench, has_drained(bench));
    assert_true(bench_is(bench, PHASE_FAILED));
    let_delay_pass(bench, "serve", ",\"draining\":true");
    loop_run(bench->loop);
    assert_true(bench_is(bench, PHASE_FAILED)); /* nothing is started */
    close(fd);
    stop_all(bench);
}

static void test_what_never_served_is_drained_at_once(void **state)
{
    struct bench *bench = bench_new();
    bench_desire_with(bench, "deaf", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    bench_desire_with(bench, "deaf", 1, ",\"draining\":true");
    RUN_UNTIL(bench, has_drained(bench));
    stop_all(bench);
}

/* ---- a disk that takes nothing ---- */

/* The folder of the records is gone: no file can be made there. `name` and back. */
static void move_records(const struct bench *bench, const char *from, const char *to)
{
    auto_free char *old = mem_printf("%s/run/%s", bench->dir, from);
    auto_free char *new = mem_printf("%s/run/%s", bench->dir, to);
    assert_int_equal(rename(old, new), 0);
}

static void test_nothing_starts_without_a_record(void **state)
{
    struct bench *bench = bench_new();
    move_records(bench, "instances", "away");
    bench_desire_with(bench, "serve", 1, "");
    while (!bench_is(bench, PHASE_FAILED)) {
        loop_run(bench->loop);
        assert_false(bench_is(bench, PHASE_STARTING));
    }
    assert_report(bench, "state_reason", "spawn_failed");
    assert_report(bench, "state_args", "{\"errno\":2}");
    assert_message_has(bench, "nothing is started without a record");
    assert_int_equal(bench_runner(bench)->record.run, -1);
    move_records(bench, "away", "instances");
    let_delay_pass(bench, "serve", "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    stop_all(bench);
}

static void test_a_full_disk_ends_no_engine(void **state)
{
    struct bench *bench = bench_new();
    bench_desire_with(bench, "serve", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    move_records(bench, "instances", "away");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    struct runner *runner = bench_runner(bench);
    pid_t pid = process_identity(runner->process)->pid;
    assert_true(runner->is_stale);
    runner_tend(runner);
    assert_true(runner->is_stale);
    move_records(bench, "away", "instances");
    runner_tend(runner); /* there is room again */
    assert_false(runner->is_stale);
    bench_restart_set(bench);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_equal(process_identity(bench_runner(bench)->process)->pid, pid);
    stop_all(bench);
}

/* ---- devices ---- */

static void test_devices_are_shown_by_uuid(void **state)
{
    char type[] = "cuda", first[] = "GPU-a", second[] = "GPU-b";
    struct device items[] = {{.index = 0, .type = type, .uuid = first},
                             {.index = 1, .type = type, .uuid = second}};
    struct device_list devices = {items, 2};
    struct bench *bench = bench_new();
    bench_desire_with(bench, "serve", 1, ",\"gpu_indexes\":[1]");
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARED)); /* nobody knows the devices yet */
    bench->devices = &devices;
    runner_set_wake(bench->set);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    const struct proc_identity *id = process_identity(bench_runner(bench)->process);
    auto_free char *value = proc_read_env(id, "CUDA_VISIBLE_DEVICES");
    assert_string_equal(value, "GPU-b");
    stop_all(bench);
}

static void test_a_device_that_is_gone(void **state)
{
    struct device_list none = {0};
    struct bench *bench = bench_new();
    bench->devices = &none;
    fail_once(bench, "serve", ",\"gpu_indexes\":[1]");
    assert_report(bench, "state_reason", "device_lost");
    assert_report(bench, "state_args", "{\"gpu_index\":1}");
    stop_all(bench);
}

int main(int argc, char **argv)
{
    if (engine_stub_is_meant(argv))
        return engine_stub_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_and_arguments),
        cmocka_unit_test(test_a_kill_is_told_by_its_signal),
        cmocka_unit_test(test_a_kill_by_the_kernel),
        cmocka_unit_test(test_what_a_model_asks_wrongly),
        cmocka_unit_test(test_a_taken_port_moves_the_next_try),
        cmocka_unit_test(test_no_port_is_free),
        cmocka_unit_test(test_a_limit_ends_the_tries),
        cmocka_unit_test(test_restarts_that_are_off),
        cmocka_unit_test(test_failures_survive_the_worker),
        cmocka_unit_test(test_an_early_failure_survives_too),
        cmocka_unit_test(test_a_drain_ends_with_the_last_connection),
        cmocka_unit_test(test_a_drain_has_a_deadline),
        cmocka_unit_test(test_a_drain_that_is_taken_back),
        cmocka_unit_test(test_a_drain_goes_on_after_a_restart),
        cmocka_unit_test(test_a_death_while_draining_is_the_end),
        cmocka_unit_test(test_what_never_served_is_drained_at_once),
        cmocka_unit_test(test_nothing_starts_without_a_record),
        cmocka_unit_test(test_a_full_disk_ends_no_engine),
        cmocka_unit_test(test_devices_are_shown_by_uuid),
        cmocka_unit_test(test_a_device_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
