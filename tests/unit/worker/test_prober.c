/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the prober, and its replacement when it dies or talks nonsense. */
#include "worker/prober.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        int rc;
        size_t devices;
        const char *fault;
    } rows[] = {
        {"{\"devices\":[]}", 0, 0, NULL},
        {"{\"devices\":[{\"index\":0,\"name\":\"H200\"}]}", 0, 1, NULL},
        {"{\"devices\":[],\"fault\":\"NVML is broken\"}", 0, 0, "NVML is broken"},
        {"{\"fault\":\"no such file\"}", ERR_UNAVAILABLE, 0, "no such file"},
        {"{}", ERR_INVALID, 0, "devices"},
        {"{\"devices\":7}", ERR_INVALID, 0, "devices"},
        {"nonsense", ERR_SYNTAX, 0, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct device_list devices = {0};
        auto_free char *fault = NULL;
        struct err err = {0};
        int rc = prober_read_line(str_of(rows[i].line), &devices, &fault, &err);
        assert_int_equal(rc, rows[i].rc);
        assert_int_equal(devices.count, rows[i].devices);
        const char *said = rc < 0 ? err.text : fault;
        if (rows[i].fault)
            assert_non_null(strstr(said, rows[i].fault));
        else
            assert_null(said);
        device_list_fini(&devices);
    }
}

static void test_written_lines_can_be_read(void **state)
{
    struct device item = {.name = mem_strdup("910B4"), .vendor = mem_strdup("Huawei")};
    struct device_list devices = {.items = &item, .count = 1};
    struct buf line = {0};
    prober_write_line(&devices, "one is broken", &line);
    struct device_list back = {0};
    auto_free char *fault = NULL;
    assert_int_equal(prober_read_line(buf_str(&line), &back, &fault, NULL), 0);
    assert_string_equal(back.items[0].name, "910B4");
    assert_string_equal(fault, "one is broken");
    device_list_fini(&back);
    buf_fini(&line);
    free(item.name);
    free(item.vendor);
}

static void on_answer(void *ctx)
{
    loop_stop(ctx);
}

/* A shell plays the prober: its first life gives a device and dies, its second one none. */
static void test_is_replaced_and_devices_stay_known(void **state)
{
    char flag[] = "/tmp/gpustack-prober-XXXXXX";
    close(mkstemp(flag));
    auto_free char *script =
        mem_printf("if [ -e %s ]; then rm %s; echo '{\"devices\":[{\"index\":0,\"name\":\"A\"}]}'; "
                   "exit 9; else echo '{\"fault\":\"gone\"}'; exec sleep 60; fi",
                   flag, flag);
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct loop *loop = loop_new(&clock_system);
    struct prober *prober = prober_new(loop, argv, on_answer, loop);
    assert_false(prober_has_answered(prober));
    loop_run(loop);
    assert_true(prober_has_answered(prober));
    assert_int_equal(prober_devices(prober)->count, 1);
    loop_run(loop); /* the second child's line */
    assert_int_equal(prober_devices(prober)->count, 1);
    assert_int_not_equal(access(flag, F_OK), 0);
    prober_free(prober);
    loop_free(loop);
}

/* The shell answers what it is asked, after a line of other devices. */
static void test_a_round_is_done_when_asked_for(void **state)
{
    static const char script[] = "echo '{\"devices\":[]}'; head -c 2 >/dev/null; "
                                 "echo '{\"devices\":[{\"index\":0,\"name\":\"A\"}]}'; "
                                 "echo '{\"answers\":2}'; exec sleep 60";
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct loop *loop = loop_new(&clock_system);
    struct prober *prober = prober_new(loop, argv, on_answer, loop);
    loop_run(loop);
    uint64_t first = prober_look(prober), second = prober_look(prober);
    assert_false(prober_has_looked(prober, first));
    while (!prober_has_looked(prober, second))
        loop_run(loop);
    assert_true(prober_has_looked(prober, first));
    assert_int_equal(prober_devices(prober)->count, 1);
    assert_false(prober_has_looked(prober, prober_look(prober)));
    prober_free(prober);
    loop_free(loop);
}

/* One that dies with a question is replaced, and the next one's first round answers. */
static void test_the_next_child_answers(void **state)
{
    static const char script[] = "echo '{\"devices\":[]}'; head -c 1 >/dev/null";
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct loop *loop = loop_new(&clock_system);
    struct prober *prober = prober_new(loop, argv, on_answer, loop);
    loop_run(loop);
    uint64_t look = prober_look(prober);
    while (!prober_has_looked(prober, look))
        loop_run(loop);
    prober_free(prober);
    loop_free(loop);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_written_lines_can_be_read),
        cmocka_unit_test(test_is_replaced_and_devices_stay_known),
        cmocka_unit_test(test_a_round_is_done_when_asked_for),
        cmocka_unit_test(test_the_next_child_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
