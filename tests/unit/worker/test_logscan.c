/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/logscan.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_picks_the_line_that_tells(void **state)
{
    static const struct {
        const char *text, *line; /* NULL: none */
    } rows[] = {
        {"", NULL},
        {"\n \n\r\n", NULL},
        {"loading\ndone\n", "done"},
        {"no end of line", "no end of line"},
        {"ERROR: first\nmain: Failed to load model\nbye\n", "main: Failed to load model"},
        {"\033[31merror:\033[0m red\x01 text\n", "error: red text"},
        {"error: \xff\xfe broken \xc3\xa4\n", "error:  broken \xc3\xa4"},
        {"cudaMalloc: out of memory\r\nexiting\r\n", "cudaMalloc: out of memory"},
        {"error at the end \033[", "error at the end "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *line = logscan_error_line(str_of(rows[i].text), true);
        if (rows[i].line)
            assert_string_equal(line, rows[i].line);
        else
            assert_null(line);
    }
}

static void test_the_last_line_is_not_always_wanted(void **state)
{
    assert_null(logscan_error_line(STR("loading\ndone\n"), false));
    auto_free char *line = logscan_error_line(STR("error: x\ndone\n"), false);
    assert_string_equal(line, "error: x");
}

static const struct {
    const char *text;
    enum reason reason;
    const char *line;
} phrases[] = {
    {"", REASON_NONE, NULL},
    {"loading\nerror: something else\n", REASON_NONE, NULL},
    {"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 20000.00 MiB on device 0: "
     "cudaMalloc failed: out of memory\nerror loading model: unable to allocate CUDA0 buffer\n",
     REASON_OUT_OF_DEVICE_MEMORY,
     "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 20000.00 MiB on device 0: "
     "cudaMalloc failed: out of memory"},
    {"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n",
     REASON_OUT_OF_DEVICE_MEMORY,
     "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"},
    {"ValueError: No available memory for the cache blocks. Try increasing\n",
     REASON_OUT_OF_DEVICE_MEMORY,
     "ValueError: No available memory for the cache blocks. Try increasing"},
    {"RuntimeError: NPU out of memory. NPUWorkspaceAllocator tried to allocate 1 GiB\n",
     REASON_OUT_OF_DEVICE_MEMORY,
     "RuntimeError: NPU out of memory. NPUWorkspaceAllocator tried to allocate 1 GiB"},
    {"RuntimeError: aclrtMalloc:../x.cpp:24 NPU function error: error code is 207001\n",
     REASON_OUT_OF_DEVICE_MEMORY,
     "RuntimeError: aclrtMalloc:../x.cpp:24 NPU function error: error code is 207001"},
    {"EL0004: [PID: 1] Failed to allocate memory.\n", REASON_OUT_OF_DEVICE_MEMORY,
     "EL0004: [PID: 1] Failed to allocate memory."},
    {"HIP out of memory. Tried\n", REASON_OUT_OF_DEVICE_MEMORY, "HIP out of memory. Tried"},
    {"took 207001 ms\n", REASON_NONE, NULL},
    {"[ERROR] error code: 507010, task scheduler\n", REASON_DEVICE_LOST,
     "[ERROR] error code: 507010, task scheduler"},
    {"CUDA error: uncorrectable ECC error encountered\n", REASON_DEVICE_LOST,
     "CUDA error: uncorrectable ECC error encountered"},
    {"RuntimeError: No CUDA-capable device is detected\n", REASON_DEVICE_LOST,
     "RuntimeError: No CUDA-capable device is detected"},
    {"terminate called after throwing an instance of 'std::bad_alloc'\n", REASON_OUT_OF_MEMORY,
     "terminate called after throwing an instance of 'std::bad_alloc'"},
    {"MemoryError\n", REASON_OUT_OF_MEMORY, "MemoryError"},
    {"bind: Address already in use\n", REASON_PORT_TAKEN, "bind: Address already in use"},
    {"couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 40000\n", REASON_PORT_TAKEN,
     "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 40000"},
    {"error: invalid argument: --no-such\n", REASON_BAD_PARAMETERS,
     "error: invalid argument: --no-such"},
    {"api_server.py: error: unrecognized arguments: --x\n", REASON_BAD_PARAMETERS,
     "api_server.py: error: unrecognized arguments: --x"},
    /* the nearest to the cause wins, wherever it stands, and of it the first line */
    {"std::bad_alloc\nNPU out of memory 1\nNPU out of memory 2\naddress already in use\n",
     REASON_OUT_OF_DEVICE_MEMORY, "NPU out of memory 1"},
};

static void test_known_phrases(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        char *line = NULL;
        enum reason reason = logscan_reason(str_of(phrases[i].text), &line);
        if (reason != phrases[i].reason)
            fail_msg("%s: %s", phrases[i].text, reason_name(reason));
        if (phrases[i].line)
            assert_string_equal(line, phrases[i].line);
        else
            assert_null(line);
        free(line);
    }
}

static void test_bounds_the_line(void **state)
{
    char text[4 * LOGSCAN_LINE_MAX + 1];
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    text[0] = 'x'; /* so that a character would be cut in two */
    text[1] = 'y';
    text[2] = 'z';
    memmove(text + 3, text + 4, sizeof text - 4);
    auto_free char *line = logscan_error_line(str_sub(text, sizeof text - 2), true);
    assert_in_range(strlen(line), LOGSCAN_LINE_MAX - 3, LOGSCAN_LINE_MAX);
    assert_int_not_equal((unsigned char)line[strlen(line) - 1], 0xc3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picks_the_line_that_tells),
        cmocka_unit_test(test_the_last_line_is_not_always_wanted),
        cmocka_unit_test(test_known_phrases),
        cmocka_unit_test(test_bounds_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
