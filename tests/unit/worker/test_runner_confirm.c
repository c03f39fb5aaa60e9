/* SPDX-License-Identifier: Apache-2.0 */
/* Engines are started when what they were promised is free; what they took is measured. */
#include "base/log.h"
#include "worker_bench.h"

#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

/* A device of 1000 MiB. */
struct one_device {
    struct device item;
    struct device_list list;
    char type[8], uuid[8];
};

static struct bench *bench_with(struct one_device *device, uint64_t used_mib)
{
    *device = (struct one_device){.type = "cuda", .uuid = "GPU-a"};
    device->item = (struct device){
        .type = device->type,
        .uuid = device->uuid,
        .memory = {.total_bytes = 1000 * MIB, .used_bytes = used_mib * MIB}};
    device->list = (struct device_list){&device->item, 1};
    struct bench *bench = bench_new();
    bench->devices = &device->list;
    return bench;
}

/* Instance 7, 8 or both, each with the device and a claim of it in MiB. */
static void desire(struct bench *bench, const char *stub_7, int claim_7, const char *stub_8,
                   int claim_8)
{
    const char *const stubs[] = {stub_7, stub_8};
    const int claims[] = {claim_7, claim_8};
    struct buf line = {0};
    struct desired_state desired = {0};
    buf_add_cstr(&line, "{\"generation\":1,\"instances\":[");
    for (int i = 0, count = 0; i < 2; i++) {
        if (!stubs[i])
            continue;
        buf_printf(&line,
                   "%s{\"id\":%d,\"name\":\"m-%d\",\"model_name\":\"m\",\"model_generation\":1,"
                   "\"source\":\"local_path\",\"local_path\":\"%s/m.gguf\",\"gpu_indexes\":[0],"
                   "\"env\":{\"STUB\":\"%s\"},\"claim\":{\"vram\":{\"0\":%llu}},\"token\":\"t\"}",
                   count++ ? "," : "", 7 + i, 7 + i, bench->dir, stubs[i],
                   (unsigned long long)claims[i] * MIB);
    }
    buf_add_cstr(&line, "]}");
    assert_int_equal(desired_state_read(buf_str(&line), &desired, NULL), 0);
    buf_fini(&line);
    runner_set_desire(bench->set, &desired);
}

static void stop_all(struct bench *bench)
{
    bench_desire_nothing(bench);
    RUN_UNTIL(bench, !runner_set_find(bench->set, 7) && !runner_set_find(bench->set, 8));
    bench_free(bench);
}

static bool is_in(const struct bench *bench, int64_t id, enum runner_phase phase)
{
    const struct runner *runner = runner_set_find(bench->set, id);
    return runner && runner->phase == phase;
}

/* ---- before the launch ---- */

static void test_what_others_have_taken_refuses_it(void **state)
{
    struct one_device device;
    struct bench *bench = bench_with(&device, 700);
    desire(bench, "serve", 600, NULL, 0);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    const struct runner *runner = bench_runner(bench);
    assert_report(bench, "state", "error");
    assert_report(bench, "state_reason", "device_memory_taken");
    assert_report(bench, "state_args",
                  "{\"gpu_index\":0,\"needs\":629145600,\"free\":314572800}");
    assert_message_has(bench, "needs 600.0 MiB of device 0, 300.0 MiB of 1000.0 MiB are free");
    assert_message_has(bench, "next look in 30 s");
    assert_report(bench, "failures", "0");
    assert_int_equal(runner->record.run, -1); /* no process was started */
    assert_int_equal(runner_port(runner), 0);
    /* It comes free, and the next look finds it. */
    device.item.memory.used_bytes = 100 * MIB;
    bench_runner(bench)->retry_at_ms = 0;
    desire(bench, "serve", 600, NULL, 0);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_report(bench, "restart_count", "0");
    stop_all(bench);
}

/* Looking again is no restart: it needs nobody's leave. */
static void test_a_refused_one_is_looked_at_without_restarts(void **state)
{
    struct bench *bench = bench_new();
    static const char more[] = ",\"restart_on_error\":false,\"claim\":{\"ram\":36028797018963968}";
    bench_desire_with(bench, "serve", 1, more);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "host_memory_taken");
    bench_runner(bench)->retry_at_ms = 0;
    bench_desire_with(bench, "serve", 1, more);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED) && bench_runner(bench)->retry_at_ms > 0);
    assert_message_has(bench, "of main memory");
    stop_all(bench);
}

static void test_it_waits_for_fresh_figures(void **state)
{
    struct one_device device;
    struct bench *bench = bench_with(&device, 0);
    bench->looks_later = true;
    desire(bench, "serve", 600, NULL, 0);
    RUN_UNTIL(bench, bench->looks == 1);
    assert_true(bench_is(bench, PHASE_PREPARED));
    device.item.memory.used_bytes = 900 * MIB; /* as the look will show */
    bench->looked = 1;
    runner_set_wake(bench->set);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "device_memory_taken");
    stop_all(bench);
}

static void test_what_another_will_take_is_not_free(void **state)
{
    struct one_device device;
    struct bench *bench = bench_with(&device, 0);
    desire(bench, NULL, 0, "deaf", 500);
    RUN_UNTIL(bench, is_in(bench, 8, PHASE_STARTING));
    desire(bench, "serve", 600, "deaf", 500);
    RUN_UNTIL(bench, bench_is(bench, PHASE_FAILED));
    assert_report(bench, "state_reason", "none"); /* of the first that is listed, 8 */
    auto_fini(json_release) json_t *root = bench_report(bench);
    const json_t *args = json_object_get(json_array_get(root, 1), "state_args");
    assert_int_equal(json_member_int(args, "free", 0), 500 * MIB);
    stop_all(bench);
}

/* Until the engine has written to its log. */
static void await_words(const struct bench *bench, int64_t id)
{
    auto_free char *log = mem_printf("%s/log/serve/%lld.0.log", bench->dir, (long long)id);
    struct stat st = {0};
    while (stat(log, &st) < 0 || st.st_size == 0)
        sched_yield();
}

/* What is being stopped will give its memory back: that is worth waiting for. */
static void test_it_waits_for_one_that_is_being_stopped(void **state)
{
    struct one_device device;
    struct bench *bench = bench_with(&device, 0);
    desire(bench, NULL, 0, "stubborn", 1000);
    RUN_UNTIL(bench, is_in(bench, 8, PHASE_STARTING));
    pid_t pid = process_identity(runner_set_find(bench->set, 8)->process)->pid;
    device.item.memory.used_bytes = 1000 * MIB;
    await_words(bench, 8);
    desire(bench, "serve", 1000, NULL, 0);
    RUN_UNTIL(bench, bench_runner(bench) && bench_runner(bench)->launch_at_ms > 0);
    assert_true(bench_is(bench, PHASE_PREPARED));
    device.item.memory.used_bytes = 0;
    kill(pid, SIGKILL);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    stop_all(bench);
}

/* ---- measuring ---- */

static void test_what_it_takes_is_measured(void **state)
{
    struct one_device device;
    struct bench *bench = bench_with(&device, 100);
    desire(bench, "serve", 600, NULL, 0);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    assert_report(bench, "measured_claim", "{\"ram\":1000,\"is_unified_memory\":false}");
    device.item.memory.used_bytes = 450 * MIB;
    bench->looks_later = true;
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    bench->looked = bench->looks;
    runner_set_wake(bench->set);
    auto_fini(json_release) json_t *root = bench_report(bench);
    const json_t *measured = json_object_get(json_array_get(root, 0), "measured_claim");
    const json_t *vram = json_object_get(measured, "vram");
    assert_int_equal(json_member_int(vram, "0", 0), 350 * MIB);
    assert_true(json_member_int(measured, "ram", 0) > 1000);
    /* and is known after a restart of the worker */
    auto_free char *before = bench_told(bench, "measured_claim");
    bench_restart_set(bench);
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    assert_report(bench, "measured_claim", before);
    stop_all(bench);
}

static void test_another_engine_spoils_the_measure(void **state)
{
    struct one_device device;
    struct bench *bench = bench_with(&device, 0);
    desire(bench, NULL, 0, "deaf", 100);
    RUN_UNTIL(bench, is_in(bench, 8, PHASE_STARTING));
    desire(bench, "serve", 100, "deaf", 100);
    RUN_UNTIL(bench, bench_is(bench, PHASE_STARTING));
    device.item.memory.used_bytes = 400 * MIB;
    RUN_UNTIL(bench, bench_is(bench, PHASE_SERVING));
    runner_set_wake(bench->set);
    assert_null(strstr(bench_runner(bench)->record.measured_claim, "vram"));
    stop_all(bench);
}

int main(int argc, char **argv)
{
    if (engine_stub_is_meant(argv))
        return engine_stub_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_others_have_taken_refuses_it),
        cmocka_unit_test(test_a_refused_one_is_looked_at_without_restarts),
        cmocka_unit_test(test_it_waits_for_fresh_figures),
        cmocka_unit_test(test_what_another_will_take_is_not_free),
        cmocka_unit_test(test_it_waits_for_one_that_is_being_stopped),
        cmocka_unit_test(test_what_it_takes_is_measured),
        cmocka_unit_test(test_another_engine_spoils_the_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
