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
        cmocka_unit_test(test_bounds_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
