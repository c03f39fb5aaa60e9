/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/logfile.h"

#include "base/file.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char name[] = "hello-a1b2c";

/* A fresh folder in the build folder; `state` of each test. */
static int make_folder(void **state)
{
    char path[] = "./logs-XXXXXX";
    *state = mkdtemp(path) ? mem_strdup(path) : NULL;
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    logfile_remove_all(*state, name);
    int rc = rmdir(*state); /* fails when remove_all left something */
    free(*state);
    return rc;
}

static int open_run(const char *dir, unsigned run)
{
    struct err err = {0};
    int fd = logfile_open_run(dir, name, run, &err);
    if (fd < 0)
        fail_msg("%s", err.text);
    return fd;
}

static void write_line(int fd, unsigned number)
{
    char line[32];
    int n = snprintf(line, sizeof line, "line %08u\n", number);
    assert_int_equal(write(fd, line, (size_t)n), n);
}

enum { LINE_BYTES = 14 };

static void write_lines(int fd, unsigned from, unsigned to)
{
    for (unsigned number = from; number < to; number++)
        write_line(fd, number);
}

static int rotate(const char *dir, uint64_t max_bytes)
{
    struct err err = {0};
    int rc = logfile_rotate(dir, name, 0, max_bytes, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    return rc;
}

/* All that the cursor has to give. */
static void read_on(const char *dir, struct logfile_cursor *cursor, size_t step, struct buf *ret)
{
    struct err err = {0};
    int n;
    while ((n = logfile_read(dir, name, 0, cursor, step, ret, &err)) > 0)
        assert_true((size_t)n <= step);
    if (n < 0)
        fail_msg("%s", err.text);
}

/* The text is exactly the lines from..to-1. */
static void expect_lines(const struct buf *text, unsigned from, unsigned to)
{
    assert_int_equal(text->len, (size_t)(to - from) * LINE_BYTES);
    for (unsigned number = from; number < to; number++) {
        char line[32];
        snprintf(line, sizeof line, "line %08u\n", number);
        assert_memory_equal(text->ptr + (size_t)(number - from) * LINE_BYTES, line, LINE_BYTES);
    }
}

static void expect_tail(const char *dir, unsigned lines, unsigned from, unsigned to)
{
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    assert_int_equal(logfile_seek_tail(dir, name, 0, lines, &cursor, NULL), 0);
    read_on(dir, &cursor, 1000, &text);
    expect_lines(&text, from, to);
    buf_fini(&text);
}

static void test_reading_from_a_byte(void **state)
{
    static const struct {
        int64_t offset;
        unsigned from;
    } rows[] = {{0, 0},     {10 * LINE_BYTES, 10}, {-5 * LINE_BYTES, 95}, {-1000000, 0},
                {-1, 100}, {1000000, 100},        {INT64_MAX, 100},      {-INT64_MAX, 0}};
    auto_close int fd = open_run(*state, 0);
    write_lines(fd, 0, 100);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct logfile_cursor cursor = {0};
        struct logfile_bounds bounds;
        struct buf text = {0};
        assert_int_equal(logfile_seek(*state, name, 0, rows[i].offset, &cursor, &bounds, NULL), 0);
        assert_int_equal(bounds.first, 0);
        assert_int_equal(bounds.end, 100 * LINE_BYTES);
        if (rows[i].offset != -1)
            assert_int_equal(bounds.offset, rows[i].from * LINE_BYTES);
        read_on(*state, &cursor, 1000, &text);
        if (rows[i].offset != -1)
            expect_lines(&text, rows[i].from, 100);
        else
            assert_int_equal(text.len, 1);
        buf_fini(&text);
    }
}

static void test_positions_stay_true_when_rotated(void **state)
{
    auto_close int fd = open_run(*state, 0);
    write_lines(fd, 0, 1000);
    assert_int_equal(logfile_rotate(*state, name, 0, 5 * LINE_BYTES, NULL), 1);
    write_lines(fd, 1000, 1010);
    assert_int_equal(logfile_rotate(*state, name, 0, 5 * LINE_BYTES, NULL), 1);
    write_lines(fd, 1010, 1020);
    struct logfile_cursor cursor = {0};
    struct logfile_bounds bounds;
    struct buf text = {0};
    assert_int_equal(
        logfile_seek(*state, name, 0, 1005 * LINE_BYTES, &cursor, &bounds, NULL), 0);
    assert_int_equal(bounds.first, 1000 * LINE_BYTES);
    assert_int_equal(bounds.end, 1020 * LINE_BYTES);
    assert_int_equal(bounds.offset, 1005 * LINE_BYTES);
    read_on(*state, &cursor, 1000, &text);
    expect_lines(&text, 1005, 1020);
    buf_clear(&text);
    assert_int_equal(logfile_seek(*state, name, 0, 0, &cursor, &bounds, NULL), 0);
    assert_int_equal(bounds.offset, 1000 * LINE_BYTES);
    read_on(*state, &cursor, 1000, &text);
    expect_lines(&text, 1000, 1020);
    buf_fini(&text);
}

static void test_first_and_last_runs_are_kept(void **state)
{
    unsigned runs[16];
    for (unsigned run = 0; run < 12; run++) {
        auto_close int fd = open_run(*state, run);
        write_lines(fd, 0, 100);
        assert_true(logfile_rotate(*state, name, run, 10, NULL) == 1);
    }
    assert_int_equal(logfile_runs(*state, name, runs, ARRAY_LEN(runs)), 1 + LOG_RUNS_KEPT);
    const unsigned expected[] = {0, 8, 9, 10, 11};
    assert_memory_equal(runs, expected, sizeof expected);
    assert_int_equal(logfile_runs(*state, name, runs, 2), 2);
    assert_int_equal(runs[1], 11);
    assert_int_equal(logfile_size(*state, name, 1), 0);
    assert_int_equal(logfile_size(*state, name, 11), 100 * LINE_BYTES);
}

static void test_other_files_are_no_runs(void **state)
{
    static const char *const others[] = {
        "hello-a1b2c.x.log", "hello-a1b2c.log",     "hello-a1b2cd.1.log", "hello-a1b2c.-1.log",
        "hello-a1b2c.3.txt", "hello-a1b2c.4.log.1", "hello-a1b2c..log"};
    unsigned runs[4];
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        auto_free char *path = mem_printf("%s/%s", (char *)*state, others[i]);
        assert_int_equal(file_write(path, STR("x"), 0600, NULL), 0);
    }
    assert_int_equal(logfile_runs(*state, name, runs, ARRAY_LEN(runs)), 0);
    logfile_remove_all(*state, name);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        auto_free char *path = mem_printf("%s/%s", (char *)*state, others[i]);
        assert_int_equal(unlink(path), 0);
    }
}

static void test_faults(void **state)
{
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    struct err err = {0};
    unsigned runs[4];
    assert_int_equal(logfile_open_run(*state, "../x", 0, &err), -EINVAL);
    assert_non_null(strstr(err.text, "../x"));
    assert_int_equal(logfile_open_run("/no/such", name, 0, &err), -ENOENT);
    assert_int_equal(logfile_rotate(*state, name, 7, 10, &err), -ENOENT);
    assert_non_null(strstr(err.text, "hello-a1b2c.7.log"));
    assert_int_equal(logfile_read(*state, name, 7, &cursor, 10, &text, &err), -ENOENT);
    assert_int_equal(logfile_seek_tail(*state, name, 7, 10, &cursor, &err), -ENOENT);
    assert_int_equal(logfile_runs("/no/such", name, runs, 4), 0);
    assert_null(text.ptr);
}

static void test_mode_is_that_of_the_contract(void **state)
{
    struct stat st;
    auto_close int fd = open_run(*state, 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(fcntl(fd, F_GETFL) & O_APPEND);
}

static void test_tail_counts_lines_over_both_parts(void **state)
{
    auto_close int fd = open_run(*state, 0);
    expect_tail(*state, 5, 0, 0);
    write_lines(fd, 0, 10000); /* several blocks */
    static const unsigned counts[] = {0, 1, 2, 9999, 10000, 10001};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        expect_tail(*state, counts[i], counts[i] < 10000 ? 10000 - counts[i] : 0, 10000);
    assert_int_equal(rotate(*state, 100000), 1);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        expect_tail(*state, counts[i], counts[i] < 10000 ? 10000 - counts[i] : 0, 10000);
    write_lines(fd, 10000, 10010);
    expect_tail(*state, 3, 10007, 10010);
    expect_tail(*state, 10, 10000, 10010);
    expect_tail(*state, 11, 9999, 10010);
    expect_tail(*state, 5000, 5010, 10010);
    expect_tail(*state, 20000, 0, 10010);
}

static void test_tail_takes_a_line_without_end(void **state)
{
    auto_close int fd = open_run(*state, 0);
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    write_line(fd, 0);
    assert_int_equal(write(fd, "open", 4), 4);
    assert_int_equal(logfile_seek_tail(*state, name, 0, 1, &cursor, NULL), 0);
    read_on(*state, &cursor, 100, &text);
    assert_string_equal(text.ptr, "open");
    buf_fini(&text);
}

static void test_rotation_cuts_at_a_line_and_gives_space_back(void **state)
{
    auto_close int fd = open_run(*state, 0);
    auto_free char *path = logfile_path(*state, name, 0);
    auto_free char *old_path = mem_printf("%s.1", path);
    struct stat st;
    write_lines(fd, 0, 100000);
    assert_int_equal(write(fd, "begun ", 6), 6);
    assert_int_equal(rotate(*state, 100000 * LINE_BYTES + 6), 0);
    assert_int_equal(rotate(*state, 1000000), 1);
    assert_int_equal(rotate(*state, 1000000), 0);
    assert_int_equal(stat(old_path, &st), 0);
    assert_int_equal(st.st_size, 100000 * LINE_BYTES);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < 100000); /* the rest is a hole */
    assert_int_equal(logfile_size(*state, name, 0), 100000 * LINE_BYTES + 6);
    assert_int_equal(write(fd, "ended\n", 6), 6);
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    assert_int_equal(logfile_seek_tail(*state, name, 0, 1, &cursor, NULL), 0);
    read_on(*state, &cursor, 100, &text);
    assert_string_equal(text.ptr, "begun ended\n");
    buf_fini(&text);
}

static void test_single_endless_line_is_cut_anywhere(void **state)
{
    auto_close int fd = open_run(*state, 0);
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    char block[5000];
    memset(block, '#', sizeof block);
    assert_int_equal(write(fd, block, sizeof block), sizeof block);
    assert_int_equal(rotate(*state, 1000), 1);
    assert_int_equal(write(fd, block, sizeof block), sizeof block);
    read_on(*state, &cursor, 4096, &text);
    assert_int_equal(text.len, 2 * sizeof block - 1000); /* of the first only four parts are kept */
    buf_fini(&text);
}

static void test_cursor_goes_on_over_rotations(void **state)
{
    auto_close int fd = open_run(*state, 0);
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    unsigned written = 0;
    for (unsigned round = 0; round < 20; round++) {
        write_lines(fd, written, written + 500);
        written += 500;
        /* Stops in the middle, so that the next read has to find its place in the old part. */
        assert_int_equal(logfile_read(*state, name, 0, &cursor, 3001, &text, NULL), 3001);
        assert_int_equal(rotate(*state, 5000), 1);
        if (round % 2)
            write_line(fd, written++);
        read_on(*state, &cursor, 777, &text);
    }
    expect_lines(&text, 0, written);
    buf_fini(&text);
    /* Who begins now gets the two parts that are left. */
    cursor = (struct logfile_cursor){0};
    read_on(*state, &cursor, 100000, &text);
    expect_lines(&text, written - (unsigned)(text.len / LINE_BYTES), written);
    assert_true(text.len >= 500 * LINE_BYTES);
    buf_fini(&text);
}

static void test_reader_that_fell_behind_gets_what_is_left(void **state)
{
    auto_close int fd = open_run(*state, 0);
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    write_lines(fd, 0, 1000);
    assert_int_equal(logfile_read(*state, name, 0, &cursor, 100 * LINE_BYTES, &text, NULL),
                     100 * LINE_BYTES);
    assert_int_equal(rotate(*state, 5000), 1);
    write_lines(fd, 1000, 2000);
    assert_int_equal(rotate(*state, 5000), 1);
    buf_clear(&text);
    read_on(*state, &cursor, 5000, &text);
    expect_lines(&text, 1000, 2000);
    buf_fini(&text);
}

enum { PART_LINES = 5000, PART_BYTES = PART_LINES * LINE_BYTES, PARTS = 60 };

/* Writes on while the other side reads and rotates; each part costs a credit. */
static void run_writer(int log_fd, int credit_fd)
{
    char credit;
    for (unsigned part = 0; part < PARTS; part++) {
        if (read(credit_fd, &credit, 1) != 1)
            _exit(1);
        write_lines(log_fd, part * PART_LINES, (part + 1) * PART_LINES);
    }
    _exit(0);
}

static void test_no_line_is_lost_while_the_engine_writes(void **state)
{
    auto_close int fd = open_run(*state, 0);
    int credits[2];
    assert_int_equal(pipe2(credits, O_CLOEXEC), 0);
    pid_t writer = fork();
    if (writer == 0)
        run_writer(fd, credits[0]);
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    unsigned rotations = 0;
    size_t given = 0;
    while (text.len < (size_t)PARTS * PART_BYTES) {
        /* Never more than two parts ahead of the reader: a flood would be cut by design. */
        for (; given < text.len / PART_BYTES + 2; given++)
            assert_int_equal(write(credits[1], "+", 1), 1);
        read_on(*state, &cursor, 10001, &text);
        rotations += (unsigned)rotate(*state, PART_BYTES);
    }
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    expect_lines(&text, 0, PARTS * PART_LINES);
    assert_true(rotations >= PARTS / 4);
    buf_fini(&text);
    close(credits[0]);
    close(credits[1]);
}

/* From here on as on a file system that can't punch holes: what has been written is truncated. */
static void test_without_holes(void **state)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    struct stat st;
    auto_free char *path = logfile_path(*state, name, 0);
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    test_tail_counts_lines_over_both_parts(state);
    assert_int_equal(rotate(*state, 10), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    logfile_remove_all(*state, name);
    test_cursor_goes_on_over_rotations(state);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_reading_from_a_byte),
        LOG_TEST(test_positions_stay_true_when_rotated),
        LOG_TEST(test_first_and_last_runs_are_kept),
        LOG_TEST(test_other_files_are_no_runs),
        LOG_TEST(test_faults),
        LOG_TEST(test_mode_is_that_of_the_contract),
        LOG_TEST(test_tail_counts_lines_over_both_parts),
        LOG_TEST(test_tail_takes_a_line_without_end),
        LOG_TEST(test_rotation_cuts_at_a_line_and_gives_space_back),
        LOG_TEST(test_single_endless_line_is_cut_anywhere),
        LOG_TEST(test_cursor_goes_on_over_rotations),
        LOG_TEST(test_reader_that_fell_behind_gets_what_is_left),
        LOG_TEST(test_no_line_is_lost_while_the_engine_writes),
        LOG_TEST(test_without_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
