/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "proc/logsearch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/gpustack-test-XXXXXX";
static const char name[] = "7";

static int make_folder(void **state)
{
    memset(dir + strlen(dir) - 6, 'X', 6);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
    auto_free char *old = mem_printf("%s/7.0.log.1", dir);
    (void)unlink(old);
    logfile_remove_all(dir, name);
    return rmdir(dir);
}

static int open_run(void)
{
    int fd = logfile_open_run(dir, name, 0, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void write_text(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Both ways over the whole log. */
static struct logsearch found(const char *text, bool is_backward, int64_t from, unsigned limit)
{
    struct logsearch search;
    struct err err = {0};
    struct logsearch_params params = {.dir = dir, .name = name, .text = str_of(text), .from = from,
                                      .is_backward = is_backward, .limit = limit};
    logsearch_init(&search, &params);
    while (!search.is_over)
        if (logsearch_step(&search, 1, &err) < 0)
            fail_msg("%s", err.text);
    return search;
}

static void expect_excerpt(struct logsearch *search, unsigned i, uint64_t line, const char *text)
{
    struct logsearch_excerpt excerpt;
    assert_int_equal(logsearch_excerpt(search, i, &excerpt, NULL), 0);
    assert_int_equal(excerpt.line_start, line);
    auto_free char *shown = str_dup(excerpt.text);
    assert_string_equal(shown, text);
}

static void test_both_directions(void **state)
{
    int fd = open_run();
    write_text(fd, "one Error\nnothing\r\nand ERROR: error\nend\n");
    struct logsearch search = found("eRRor", false, -1, 10);
    assert_int_equal(search.count, 3);
    assert_int_equal(search.found[0], 4);
    assert_int_equal(search.found[2], 30);
    assert_true(search.is_complete);
    expect_excerpt(&search, 0, 0, "one Error");
    expect_excerpt(&search, 1, 19, "and ERROR: error");
    logsearch_fini(&search);

    search = found("error", true, -1, 10);
    assert_int_equal(search.count, 3);
    assert_int_equal(search.found[0], 30);
    assert_int_equal(search.found[2], 4);
    assert_int_equal(search.pos, 0);
    logsearch_fini(&search);

    struct logsearch_params params = {
        .dir = dir, .name = name, .text = STR("error"), .matches_case = true, .limit = 9};
    logsearch_init(&search, &params);
    assert_int_equal(logsearch_step(&search, 1, NULL), 0);
    assert_int_equal(search.count, 1);
    logsearch_fini(&search);
    close(fd);
}

/* Going on from `pos` finds each place once, whatever the limit and however the log grows. */
static void test_going_on(void **state)
{
    int fd = open_run();
    for (int i = 0; i < 100; i++)
        write_text(fd, "aaab\n");
    for (int backward = 0; backward < 2; backward++) {
        uint64_t last = backward ? UINT64_MAX : 0;
        unsigned total = 0;
        int64_t from = -1;
        for (bool over = false; !over;) {
            struct logsearch search = found("ab", backward, from, 7);
            for (unsigned i = 0; i < search.count; i++) {
                assert_true(backward ? search.found[i] < last
                                     : search.found[i] > last || total == 0);
                last = search.found[i];
                total++;
            }
            from = (int64_t)search.pos;
            over = search.is_complete;
            logsearch_fini(&search);
        }
        assert_int_equal(total, 100);
        if (backward)
            continue;
        write_text(fd, "a");
        struct logsearch search = found("ab", false, from, 7);
        assert_int_equal(search.count, 0);
        from = (int64_t)search.pos;
        logsearch_fini(&search);
        write_text(fd, "b\n");
        search = found("ab", false, from, 7);
        assert_int_equal(search.count, 1);
        logsearch_fini(&search);
        assert_int_equal(ftruncate(fd, 500), 0);
    }
    close(fd);
}

/* Places that begin in one block and end in the next, and one at the last byte. */
static void test_over_the_edges_of_blocks(void **state)
{
    close(open_run());
    auto_free char *path = logfile_path(dir, name, 0);
    int fd = open(path, O_WRONLY); /* pwrite() appends where the file is open for that */
    static const uint64_t places[] = {(1 << 20) - 3, (2 << 20) - 5, (3 << 20) - 1, 4 << 20};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        assert_int_equal(pwrite(fd, "needle", 6, (off_t)places[i]), 6);
    (void)!pwrite(fd, ".", 1, 0);
    for (int backward = 0; backward < 2; backward++) {
        struct logsearch search = found("NEEDLE", backward, -1, 10);
        assert_int_equal(search.count, ARRAY_LEN(places));
        for (size_t i = 0; i < ARRAY_LEN(places); i++)
            assert_int_equal(search.found[i], places[backward ? ARRAY_LEN(places) - 1 - i : i]);
        logsearch_fini(&search);
    }
    close(fd);
}

static void test_over_both_parts_of_a_rotated_log(void **state)
{
    int fd = open_run();
    for (int i = 0; i < 100; i++)
        write_text(fd, "needle of the old part\n");
    assert_int_equal(logfile_rotate(dir, name, 0, 1000, NULL), 1);
    write_text(fd, "needle of the live part\n");
    struct logsearch search = found("needle", true, -1, 1000);
    assert_int_equal(search.count, 101);
    expect_excerpt(&search, 0, 2300, "needle of the live part");
    expect_excerpt(&search, 1, 2277, "needle of the old part");
    logsearch_fini(&search);
    close(fd);
}

/* Of a long line there is a part, and no character is cut. */
static void test_excerpts_of_a_long_line(void **state)
{
    int fd = open_run();
    for (int i = 0; i < 5000; i++)
        write_text(fd, "\xe2\x82\xac");
    write_text(fd, "needle");
    for (int i = 0; i < 5000; i++)
        write_text(fd, "\xe2\x82\xac");
    struct logsearch search = found("needle", false, -1, 10);
    struct logsearch_excerpt excerpt;
    assert_int_equal(logsearch_excerpt(&search, 0, &excerpt, NULL), 0);
    assert_int_equal(excerpt.offset, 15000);
    assert_int_equal(excerpt.line_start, 15000 - LOGSEARCH_LINE_BACK);
    assert_true(excerpt.text.len <= LOGSEARCH_EXCERPT_MAX && excerpt.text.len > 390);
    assert_memory_equal(excerpt.text.ptr, "\xe2\x82\xac", 3);
    assert_memory_equal(excerpt.text.ptr + excerpt.text.len - 3, "\xe2\x82\xac", 3);
    assert_memory_equal(excerpt.text.ptr + (15000 - excerpt.text_start), "needle", 6);
    logsearch_fini(&search);
    close(fd);
}

/* 5 GB: positions beyond 32 bits, memory of a block or two. The end is found at once. */
static void test_a_large_log(void **state)
{
    int fd = open_run();
    const uint64_t size = 5ULL << 30;
    write_text(fd, "needle 1\n");
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, "\nneedle 2\nthe end\n", 18, (off_t)size), 18);
    struct logsearch search = found("needle", true, -1, 1);
    assert_int_equal(search.count, 1);
    assert_int_equal(search.found[0], size + 1);
    assert_true(search.scanned < 4 << 20);
    assert_true(search.block.cap < 4 << 20);
    expect_excerpt(&search, 0, size + 1, "needle 2");
    logsearch_fini(&search);

    struct logfile_cursor cursor;
    struct logfile_bounds bounds;
    struct buf text = {0};
    assert_int_equal(logfile_seek_tail(dir, name, 0, 2, &cursor, NULL), 0);
    assert_int_equal(logfile_read(dir, name, 0, &cursor, 100, &text, NULL), 17);
    buf_clear(&text);
    assert_int_equal(logfile_seek_tail(dir, name, 0, 100, &cursor, NULL), 0);
    assert_true(cursor.offset > size - LOG_TAIL_MAX_BYTES - 100000); /* it ends some time */
    assert_int_equal(logfile_seek(dir, name, 0, (int64_t)size / 2, &cursor, &bounds, NULL), 0);
    assert_int_equal(logfile_read(dir, name, 0, &cursor, 100, &text, NULL), 100);
    assert_int_equal(bounds.end, size + 18);
    buf_fini(&text);
    close(fd);
}

static void test_no_log(void **state)
{
    struct logsearch search;
    struct logsearch_params params = {.dir = dir, .name = name, .text = STR("x"), .limit = 1};
    logsearch_init(&search, &params);
    assert_int_equal(logsearch_step(&search, 1, NULL), -ENOENT);
    logsearch_fini(&search);
    int fd = open_run();
    for (int backward = 0; backward < 2; backward++) {
        search = found("x", backward, -1, 1);
        assert_int_equal(search.count, 0);
        assert_true(search.is_complete);
        logsearch_fini(&search);
    }
    close(fd);
}

#define SEARCH_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEARCH_TEST(test_both_directions),
        SEARCH_TEST(test_going_on),
        SEARCH_TEST(test_over_the_edges_of_blocks),
        SEARCH_TEST(test_over_both_parts_of_a_rotated_log),
        SEARCH_TEST(test_excerpts_of_a_long_line),
        SEARCH_TEST(test_a_large_log),
        SEARCH_TEST(test_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
