/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of a gang, and engines that belong to another cluster, with real processes. */
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

/* Rank `rank` of two shall prepare for `epoch`. */
static void desire_prepared(struct bench *bench, const char *stub, int rank, int epoch)
{
    auto_free char *more = mem_printf(
        ",\"rank\":%d,\"rank_count\":2,\"gang_epoch\":%d,\"go\":false,\"ranks\":[]", rank, epoch);
    bench_desire_with(bench, stub, 1, more);
}

/* It shall start; `port` is what control believes this rank to have reserved. */
static void desire_go(struct bench *bench, const char *stub, int rank, int epoch, unsigned port)
{
    auto_free char *more =
        mem_printf(",\"rank\":%d,\"rank_count\":2,\"gang_epoch\":%d,\"go\":true,\"ranks\":["
                   "{\"rank\":0,\"ip\":\"127.0.0.1\",\"ports\":[%u],\"gpu_indexes\":[]},"
                   "{\"rank\":1,\"ip\":\"127.0.0.1\",\"ports\":[%u],\"gpu_indexes\":[]}]",
                   rank, epoch, rank == 0 ? port : 1, rank == 1 ? port : 1);
    bench_desire_with(bench, stub, 1, more);
}

static unsigned prepare(struct bench *bench, const char *stub, int rank, int epoch)
{
    desire_prepared(bench, stub, rank, epoch);
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARED));
    return runner_port(bench_runner(bench));
}

static void test_a_rank_prepares_and_waits(void **state)
{
    struct bench *bench = bench_new();
    unsigned port = prepare(bench, "serve", 1, 4);
    assert_true(port > 0);
    assert_report(bench, "prepared", "true");
    assert_report(bench, "rank", "1");
    assert_report(bench, "gang_epoch", "4");
    assert_report(bench, "pid", "0");
    assert_report(bench, "state", "initializing");
    desire_go(bench, "serve", 1, 4, port);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING)); /* something listens: no HTTP is asked for */
    assert_report(bench, "state", "running");
    const struct proc_identity *id = process_identity(bench_runner(bench)->process);
    auto_free char *rank = proc_read_env(id, "GPUSTACK_RANK");
    auto_free char *path = proc_read_env(id, "GPUSTACK_READY_PATH");
    assert_string_equal(rank, "1");
    assert_null(path);
    stop_all(bench);
}

static void test_rank_0_names_the_others(void **state)
{
    struct bench *bench = bench_new();
    unsigned port = prepare(bench, "serve", 0, 4);
    desire_go(bench, "serve", 0, 4, port);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    auto_free char *path =
        mem_printf("/proc/%d/cmdline", (int)process_identity(bench_runner(bench)->process)->pid);
    struct buf argv = {0};
    assert_int_equal(file_read(path, 1 << 16, &argv, NULL), 0);
    static const char rpc[] = "--rpc\000127.0.0.1:1";
    assert_non_null(memmem(argv.ptr, argv.len, rpc, sizeof rpc));
    buf_fini(&argv);
    stop_all(bench);
}

static void test_another_epoch_is_another_try(void **state)
{
    struct bench *bench = bench_new();
    unsigned port = prepare(bench, "serve", 1, 4);
    desire_go(bench, "serve", 1, 4, port);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    desire_prepared(bench, "serve", 1, 5);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STOPPING));
    assert_report(bench, "gang_epoch", "4");
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARED));
    assert_report(bench, "gang_epoch", "5");
    assert_report(bench, "prepared", "true");
    assert_report(bench, "restart_count", "0");
    /* An old "go" starts nothing, nor does one before it was prepared. */
    desire_prepared(bench, "serve", 1, 6);
    assert_report(bench, "gang_epoch", "5");
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARING));
    assert_report(bench, "gang_epoch", "6");
    assert_report(bench, "prepared", "false");
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARED));
    stop_all(bench);
}

static void test_a_failed_rank_waits_for_control(void **state)
{
    struct bench *bench = bench_new();
    unsigned port = prepare(bench, "crash", 1, 4);
    desire_go(bench, "crash", 1, 4, port);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "engine_exited");
    assert_report(bench, "state_message", "exit status 3: error: it is only a stub");
    assert_report(bench, "gang_epoch", "4");
    assert_report(bench, "prepared", "false");
    bench_runner(bench)->retry_at_ms = 0;
    desire_go(bench, "crash", 1, 4, port);
    assert_true(bench_is(bench, PHASE_FAILED));
    prepare(bench, "crash", 1, 5);
    assert_report(bench, "failures", "1"); /* the gang's tries are one series */
    assert_int_equal(bench_runner(bench)->record.run, 0);
    stop_all(bench);
}

static void test_ports_must_be_those_that_are_reserved(void **state)
{
    struct bench *bench = bench_new();
    unsigned port = prepare(bench, "serve", 1, 4);
    desire_go(bench, "serve", 1, 4, port + 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "rank_failed");
    assert_report(bench, "state_args", "{\"rank\":1,\"worker\":\"w1\"}");
    stop_all(bench);
}

/* Between "prepared" and "go" the worker's process may come and go: the others know its ports. */
static void test_a_prepared_rank_keeps_its_ports(void **state)
{
    struct bench *bench = bench_new();
    unsigned before = prepare(bench, "serve", 1, 3);
    desire_prepared(bench, "serve", 1, 4);
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARING));
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARED));
    unsigned port = runner_port(bench_runner(bench));
    assert_int_not_equal(port, before); /* so the first that is free is another one */
    bench_restart_set(bench);
    assert_report(bench, "prepared", "false");
    desire_go(bench, "serve", 1, 4, port);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_equal(runner_port(bench_runner(bench)), port);
    stop_all(bench);
}

static void test_a_rank_is_adopted(void **state)
{
    for (int has_record = 0; has_record < 2; has_record++) {
        struct bench *bench = bench_new();
        unsigned port = prepare(bench, "serve", 1, 4);
        desire_go(bench, "serve", 1, 4, port);
        RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
        pid_t pid = process_identity(bench_runner(bench)->process)->pid;
        runner_set_free(TAKE(bench->set));
        auto_free char *record = mem_printf("%s/run/instances/7.json", bench->dir);
        if (!has_record)
            assert_int_equal(unlink(record), 0);
        bench_start_set(bench);
        RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
        assert_int_equal(process_identity(bench_runner(bench)->process)->pid, pid);
        assert_report(bench, "rank", "1");
        assert_report(bench, "gang_epoch", "4");
        assert_int_equal(runner_port(bench_runner(bench)), port);
        desire_go(bench, "serve", 1, 4, port);
        loop_run(bench->loop);
        assert_true(bench_is(bench, PHASE_SERVING)); /* it is what is wanted */
        stop_all(bench);
    }
}

/* Of one that needs no port nothing can be seen but that it lives: neither report nor drain wait.
 */
static void test_a_rank_without_a_port(void **state)
{
    struct bench *bench = bench_new();
    unsigned port = prepare(bench, "serve", 1, 4);
    desire_go(bench, "serve", 1, 4, port);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    auto_free char *dir = engine_record_dir(bench->dir);
    struct engine_record record = {0};
    runner_set_free(TAKE(bench->set));
    assert_int_equal(engine_record_load(dir, 7, &record, NULL), 0);
    int_list_fini(&record.ports);
    for (int is_draining = 0; is_draining < 2; is_draining++) {
        record.draining_since_ms = is_draining;
        assert_int_equal(engine_record_save(dir, &record, NULL), 0);
        bench_start_set(bench);
        assert_true(runner_set_is_settled(bench->set));
        assert_int_equal(bench_is(bench, PHASE_SERVING), !is_draining);
        if (!is_draining)
            runner_set_free(TAKE(bench->set));
    }
    engine_record_fini(&record);
    desire_prepared(bench, "serve", 1, 4); /* drains no longer */
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    stop_all(bench);
}

/* Ranks above 0 lend their devices only: the model may be on rank 0's machine alone. */
static void test_a_rank_needs_the_engine_only(void **state)
{
    struct bench *bench = bench_new();
    bench->model = "elsewhere.gguf";
    prepare(bench, "serve", 1, 4);
    stop_all(bench);
    bench = bench_new();
    bench->model = "elsewhere.gguf";
    desire_prepared(bench, "serve", 0, 4);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "model_path_missing");
    stop_all(bench);
}

/* The data folder was moved to another cluster, whose instance 7 is another one. */
static void test_another_clusters_engine_is_left_alone(void **state)
{
    struct bench *bench = bench_new();
    bench_desire_with(bench, "serve", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    struct proc_identity id = *process_identity(bench_runner(bench)->process);
    unsigned port = runner_port(bench_runner(bench));
    for (int has_record = 1; has_record >= 0; has_record--) {
        runner_set_free(TAKE(bench->set));
        auto_free char *record = mem_printf("%s/run/instances/7.json", bench->dir);
        if (!has_record)
            assert_int_equal(unlink(record), 0);
        mem_replace(&bench->node.cluster_id, "another-cluster");
        bench_start_set(bench);
        assert_non_null(bench_runner(bench));
        runner_set_join(bench->set);
        assert_null(bench_runner(bench));
        bench_desire_nothing(bench);
        loop_run(bench->loop);
        assert_true(proc_is_alive(&id));
    }
    bench_desire_with(bench, "serve", 1, "");
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_not_equal(runner_port(bench_runner(bench)), port);
    assert_true(proc_is_alive(&id));
    kill(id.pid, SIGKILL);
    assert_int_equal(waitpid(id.pid, NULL, 0), id.pid);
    stop_all(bench);
}

int main(int argc, char **argv)
{
    if (engine_stub_is_meant(argv))
        return engine_stub_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rank_prepares_and_waits),
        cmocka_unit_test(test_rank_0_names_the_others),
        cmocka_unit_test(test_another_epoch_is_another_try),
        cmocka_unit_test(test_a_failed_rank_waits_for_control),
        cmocka_unit_test(test_ports_must_be_those_that_are_reserved),
        cmocka_unit_test(test_a_prepared_rank_keeps_its_ports),
        cmocka_unit_test(test_a_rank_is_adopted),
        cmocka_unit_test(test_a_rank_without_a_port),
        cmocka_unit_test(test_a_rank_needs_the_engine_only),
        cmocka_unit_test(test_another_clusters_engine_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
