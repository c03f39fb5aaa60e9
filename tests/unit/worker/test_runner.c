/* SPDX-License-Identifier: Apache-2.0 */
/* Runners and their set, with real processes. */
#include "base/file.h"
#include "worker_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static char *record_path(const struct bench *bench)
{
    return mem_printf("%s/run/instances/7.json", bench->dir);
}

static char *log_path(const struct bench *bench, unsigned run)
{
    return mem_printf("%s/log/serve/7.%u.log", bench->dir, run);
}

static void stop_all(struct bench *bench)
{
    bench_desire_nothing(bench);
    RUN_UNTIL(bench, !bench_runner(bench));
    bench_free(bench);
}

static void test_starts_and_serves(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    const struct runner *runner = bench_runner(bench);

    auto_fini(json_release) json_t *root = bench_report(bench);
    const json_t *report = json_array_get(root, 0);
    assert_int_equal(json_member_int(report, "id", 0), 7);
    assert_int_equal(json_member_int(report, "model_generation", 0), 1);
    assert_string_equal(json_member_string(report, "state"), "running");
    assert_string_equal(json_member_string(report, "state_message"), "");
    assert_int_equal(json_member_int(report, "pid", 0), process_identity(runner->process)->pid);
    assert_int_equal(json_member_int(report, "port", 0), runner_port(runner));
    assert_int_equal(json_member_int(report, "restart_count", -1), 0);
    assert_true(json_member_int(json_object_get(report, "measured_claim"), "ram", 0) > 1000);

    auto_free char *record = record_path(bench);
    auto_free char *log = log_path(bench, 0);
    assert_true(file_exists(record));
    assert_true(file_exists(log));
    stop_all(bench);
    assert_false(file_exists(record));
    assert_false(file_exists(log));
}

static void test_labels_the_process(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "deaf", 5);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    const struct proc_identity *id = process_identity(bench_runner(bench)->process);
    static const char *const labels[][2] = {{"GPUSTACK_CLUSTER_ID", "test-cluster"},
                                            {"GPUSTACK_INSTANCE_ID", "7"},
                                            {"GPUSTACK_GENERATION", "5"},
                                            {"GPUSTACK_RUN", "0"}};
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        auto_free char *value = proc_read_env(id, labels[i][0]);
        assert_string_equal(value, labels[i][1]);
    }
    assert_int_equal(getsid(id->pid), id->pid);
    stop_all(bench);
}

static void test_a_crash_is_told_and_tried_again(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "crash", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    struct runner *runner = bench_runner(bench);
    assert_report(bench, "state_message",
                  "exit status 3; next try in 10 s: error: it is only a stub");
    assert_report(bench, "state_reason", "engine_exited");
    assert_int_equal(runner_port(runner), 0);
    runner->retry_at_ms = 0; /* as if 10 s had passed */
    bench_desire(bench, "m.gguf", "crash", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_message_has(bench, "next try in 20 s");
    assert_int_equal(runner->record.restart_count, 1);
    assert_int_equal(runner->record.run, 1);
    assert_true(runner->record.last_restart_time > 0);
    stop_all(bench);
}

static void test_faults_before_the_spawn(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "missing.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_message_has(bench, "missing.gguf");
    assert_message_has(bench, "w1");
    assert_message_has(bench, "next try in 10 s");
    assert_report(bench, "state_reason", "model_path_missing");
    stop_all(bench);
}

static void test_other_settings_replace_the_engine(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    pid_t first = process_identity(bench_runner(bench)->process)->pid;
    bench_desire(bench, "m.gguf", "serve", 1);
    bench_desire(bench, "m.gguf", "serve", 2);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STOPPING));
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    const struct runner *runner = bench_runner(bench);
    assert_int_not_equal(process_identity(runner->process)->pid, first);
    assert_int_equal(runner->record.model_generation, 2);
    assert_int_equal(runner->record.restart_count, 0);
    assert_int_equal(runner->record.run, 1);
    stop_all(bench);
}

/* An engine knows the model by the name with which it was started, whatever it is called by now. */
static void test_tells_the_name_that_the_engine_knows(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_report(bench, "served_name", "m");
    bench->model_name = "renamed";
    bench_desire(bench, "m.gguf", "serve", 1);
    assert_report(bench, "served_name", "m");
    bench_restart_set(bench);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    bench_desire(bench, "m.gguf", "serve", 1);
    assert_report(bench, "served_name", "m");
    bench_desire(bench, "m.gguf", "serve", 2);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STOPPING));
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_report(bench, "served_name", "renamed");
    stop_all(bench);
}

static void test_a_restarted_worker_adopts(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    pid_t pid = process_identity(bench_runner(bench)->process)->pid;
    unsigned port = runner_port(bench_runner(bench));
    bench_restart_set(bench);
    assert_true(bench_is(bench, PHASE_STARTING));
    assert_false(runner_set_is_settled(bench->set));
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING)); /* without a word from control */
    const struct runner *runner = bench_runner(bench);
    assert_true(runner_set_is_settled(bench->set));
    assert_int_equal(process_identity(runner->process)->pid, pid);
    assert_int_equal(runner_port(runner), port);
    assert_string_equal(runner->wanted.token, "secret");
    bench_desire(bench, "m.gguf", "serve", 1);
    loop_run(bench->loop);
    assert_true(bench_is(bench, PHASE_SERVING));
    stop_all(bench);
}

static void test_adopts_without_a_record(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 3);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    pid_t pid = process_identity(bench_runner(bench)->process)->pid;
    auto_free char *record = record_path(bench);
    runner_set_free(TAKE(bench->set));
    assert_int_equal(unlink(record), 0);
    bench_start_set(bench);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    const struct runner *runner = bench_runner(bench);
    assert_int_equal(process_identity(runner->process)->pid, pid);
    assert_int_equal(runner->wanted.model_generation, 3);
    assert_string_equal(runner->wanted.name, "m-a");
    assert_report(bench, "served_name", "m");
    assert_true(file_exists(record));
    stop_all(bench);
}

/* The worker died between the spawn of a later run and the write: the record tells of a dead one.
 */
static void test_adopts_with_an_old_record(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    pid_t pid = process_identity(bench_runner(bench)->process)->pid;
    auto_free char *dir = engine_record_dir(bench->dir);
    struct engine_record record = {0};
    runner_set_free(TAKE(bench->set));
    assert_int_equal(engine_record_load(dir, 7, &record, NULL), 0);
    record.start_ticks--;
    assert_int_equal(engine_record_save(dir, &record, NULL), 0);
    engine_record_fini(&record);
    bench_start_set(bench);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_equal(process_identity(bench_runner(bench)->process)->pid, pid);
    assert_int_equal(engine_record_load(dir, 7, &record, NULL), 0);
    assert_int_equal(record.pid, pid);
    struct proc_identity id = engine_identity(&record);
    assert_true(proc_is_alive(&id)); /* the record is right again */
    engine_record_fini(&record);
    stop_all(bench);
}

static void test_a_death_while_away_is_an_error(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    pid_t pid = process_identity(bench_runner(bench)->process)->pid;
    runner_set_free(TAKE(bench->set));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    bench_start_set(bench);
    assert_true(bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_message",
                  "the engine ended while the worker was away; next try in 10 s");
    assert_report(bench, "state_reason", "lost_while_away");
    bench_runner(bench)->retry_at_ms = 0;
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_int_equal(bench_runner(bench)->record.restart_count, 1);
    stop_all(bench);
}

static void test_a_kill_while_serving_is_an_error(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    kill(process_identity(bench_runner(bench)->process)->pid, SIGKILL);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_message_has(bench, "killed by signal 9 (KILL)");
    assert_report(bench, "state_reason", "engine_killed");
    stop_all(bench);
}

/* The set goes while the pool looks for the model: nothing is started for nobody. */
static void test_goes_while_preparing(void **state)
{
    struct bench *bench = bench_new();
    bench_desire(bench, "m.gguf", "serve", 1);
    RUN_UNTIL(bench, bench_is(bench, PHASE_PREPARING));
    bench_free(bench);
}

int main(int argc, char **argv)
{
    if (engine_stub_is_meant(argv))
        return engine_stub_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_and_serves),
        cmocka_unit_test(test_labels_the_process),
        cmocka_unit_test(test_a_crash_is_told_and_tried_again),
        cmocka_unit_test(test_faults_before_the_spawn),
        cmocka_unit_test(test_other_settings_replace_the_engine),
        cmocka_unit_test(test_tells_the_name_that_the_engine_knows),
        cmocka_unit_test(test_a_restarted_worker_adopts),
        cmocka_unit_test(test_adopts_without_a_record),
        cmocka_unit_test(test_adopts_with_an_old_record),
        cmocka_unit_test(test_a_death_while_away_is_an_error),
        cmocka_unit_test(test_a_kill_while_serving_is_an_error),
        cmocka_unit_test(test_goes_while_preparing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
