/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/spawn.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* ---- the program that is started: this one again, which then prints what it finds itself to be
 * ---- */

static int report_self(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("arg %s\n", argv[i]);
    for (char **entry = environ; *entry; entry++)
        printf("env %s\n", *entry);
    auto_free char *cwd = getcwd(NULL, 0);
    printf("cwd %s\n", cwd);
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    int64_t fd;
    while ((entry = readdir(dir)))
        if (num_parse_i64(str_of(entry->d_name), 0, INT_MAX, &fd) == 0 && fd != dirfd(dir))
            printf("fd %s\n", entry->d_name);
    closedir(dir);
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    struct sigaction pipe_action;
    sigaction(SIGPIPE, NULL, &pipe_action);
    int death_signal;
    prctl(PR_GET_PDEATHSIG, &death_signal);
    printf("session %s\n", getsid(0) == getpid() && getpgrp() == getpid() ? "own" : "shared");
    printf("signals %s\n",
           sigismember(&blocked, SIGTERM) || pipe_action.sa_handler != SIG_DFL ? "kept" : "reset");
    printf("death-signal %d\n", death_signal);
    printf("umask %04o\n", (unsigned)umask(0));
    fflush(stdout);
    _exit(0); /* no leak check: its thread would need what a traced child is refused */
}

/* ---- helpers ---- */

static char *self_path(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    assert_true(n > 0);
    return mem_strndup(path, (size_t)n);
}

static void read_to_end(int fd, struct buf *ret)
{
    ssize_t n;
    while ((n = read(fd, buf_reserve(ret, 4096), 4096)) > 0)
        buf_grew(ret, (size_t)n);
    assert_int_equal(n, 0);
    close(fd);
}

/* Runs `params` with its output in `ret`; expects exit status 0. */
static void run(struct spawn_params params, struct buf *ret)
{
    int fds[2];
    struct proc_identity id;
    struct err err = {0};
    int status;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    params.stdout_fd = fds[1];
    int rc = spawn(&params, &id, &err);
    close(fds[1]);
    if (rc < 0)
        fail_msg("%s", err.text);
    read_to_end(fds[0], ret);
    assert_int_equal(waitpid(id.pid, &status, 0), id.pid);
    assert_int_equal(status, 0);
}

static void expect_line(const struct buf *out, const char *line)
{
    auto_free char *whole = mem_printf("\n%s\n", line);
    auto_free char *text = mem_printf("\n%s", out->ptr);
    if (!strstr(text, whole))
        fail_msg("no line '%s' in:\n%s", line, out->ptr);
}

static size_t count_lines(const struct buf *out, const char *prefix)
{
    size_t count = 0;
    struct str rest = buf_str(out), line;
    while (str_split(&rest, '\n', &line))
        count += str_has_prefix(line, str_of(prefix));
    return count;
}

/* ---- tests ---- */

static void test_argv_env_and_folder_are_exact(void **state)
{
    auto_free char *self = self_path();
    const char *const argv[] = {self, "report", "a b", "", "$HOME;'\"", NULL};
    const char *const env[] = {"ONE=1", "TWO=a b=c", NULL};
    struct buf out = {0};
    run((struct spawn_params){.argv = argv,
                              .env = env,
                              .argv0 = "gpustack: engine",
                              .cwd = "/tmp",
                              .stdin_fd = -1,
                              .stderr_fd = 2,
                              .pass_fd = -1,
                              .own_session = true},
        &out);
    assert_true(str_has_prefix(
        buf_str(&out), STR("arg gpustack: engine\narg report\narg a b\narg \narg $HOME;'\"\n"
                           "env ONE=1\nenv TWO=a b=c\ncwd /tmp\n")));
    assert_int_equal(count_lines(&out, "fd "), 3);
    expect_line(&out, "session own");
    expect_line(&out, "signals reset");
    expect_line(&out, "death-signal 0");
    expect_line(&out, "umask 0077");
    buf_fini(&out);
}

static void test_descriptors_are_placed_and_closed(void **state)
{
    auto_free char *self = self_path();
    const char *const argv[] = {self, "report", NULL};
    const char *const env[] = {NULL};
    /* Left open without close-on-exec, far up too: none may reach the child. */
    int low = open("/dev/null", O_RDONLY), high = fcntl(low, F_DUPFD, 700);
    assert_true(low >= 0 && high >= 700);
    struct buf out = {0};
    run((struct spawn_params){.argv = argv,
                              .env = env,
                              .stdin_fd = high,
                              .stderr_fd = 2,
                              .pass_fd = low,
                              .die_with_parent = true},
        &out);
    assert_int_equal(count_lines(&out, "fd "), 4);
    expect_line(&out, "fd 3");
    expect_line(&out, "session shared");
    expect_line(&out, "death-signal 9");
    buf_fini(&out);
    close(low);
    close(high);
}

static void test_descriptors_may_swap_places(void **state)
{
    /* The sources are the targets' own numbers, crossed: 3 is to be stdin, 0 the passed one. */
    const char *const argv[] = {"sh", "-c", "cat; cat <&3", NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    int kept[2] = {fcntl(0, F_DUPFD_CLOEXEC, 100), fcntl(3, F_DUPFD_CLOEXEC, 100)};
    int left[2], right[2];
    assert_int_equal(pipe2(left, O_CLOEXEC) | pipe2(right, O_CLOEXEC), 0);
    assert_int_equal(write(left[1], "left ", 5), 5);
    assert_int_equal(write(right[1], "right", 5), 5);
    close(left[1]);
    close(right[1]);
    int from_left = fcntl(left[0], F_DUPFD_CLOEXEC, 200);
    int from_right = fcntl(right[0], F_DUPFD_CLOEXEC, 200);
    close(left[0]);
    close(right[0]);
    dup2(from_left, 3);
    dup2(from_right, 0);
    struct buf out = {0};
    run(
        (struct spawn_params){
            .argv = argv, .env = env, .stdin_fd = 3, .stderr_fd = 2, .pass_fd = 0},
        &out);
    assert_string_equal(out.ptr, "left right");
    buf_fini(&out);
    close(from_left);
    close(from_right);
    kept[0] >= 0 ? dup2(kept[0], 0) : close(0);
    kept[1] >= 0 ? dup2(kept[1], 3) : close(3);
    close(kept[0]);
    close(kept[1]);
}

static void test_signals_of_the_caller_stay_and_are_reset_in_the_child(void **state)
{
    auto_free char *self = self_path();
    const char *const argv[] = {self, "report", NULL};
    const char *const env[] = {NULL};
    sigset_t term, before, after;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_before;
    sigaction(SIGPIPE, &ignore, &pipe_before);
    struct buf out = {0};
    run(
        (struct spawn_params){
            .argv = argv, .env = env, .stdin_fd = -1, .stderr_fd = 2, .pass_fd = -1},
        &out);
    expect_line(&out, "signals reset");
    sigprocmask(SIG_SETMASK, &before, &after);
    assert_true(sigismember(&after, SIGTERM));
    assert_false(sigismember(&after, SIGINT));
    sigaction(SIGPIPE, &pipe_before, NULL);
    buf_fini(&out);
}

static void test_identity_is_that_of_the_child(void **state)
{
    const char *const argv[] = {"sleep", "1000", NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct proc_identity id, seen;
    struct spawn_params params = {
        .argv = argv, .env = env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .pass_fd = -1};
    assert_int_equal(spawn(&params, &id, NULL), 0);
    assert_int_equal(proc_identify(id.pid, &seen), 0);
    assert_int_equal(id.start_ticks, seen.start_ticks);
    assert_string_equal(id.boot_id, seen.boot_id);
    kill(id.pid, SIGKILL);
    waitpid(id.pid, NULL, 0);
    assert_false(proc_is_alive(&id));
}

static void test_errors_name_the_program(void **state)
{
    static const struct {
        const char *program, *path, *cwd;
        int code;
        const char *text;
    } cases[] = {
        {"no-such-program", "PATH=/usr/bin:/bin", NULL, -ENOENT,
         "can't run no-such-program, looked for on PATH /usr/bin:/bin: No such file or directory"},
        {"/no/such/program", "PATH=/bin", NULL, -ENOENT,
         "can't run /no/such/program: No such file or directory"},
        {"/tmp", "PATH=/bin", NULL, -EACCES, "can't run /tmp: Permission denied"},
        {"./spawn-not-a-program", "PATH=/bin", NULL, -ENOEXEC,
         "can't run ./spawn-not-a-program: Exec format error"},
        {"sh", "PATH=.:bin:", NULL, -ENOENT,
         "can't run sh, looked for on PATH .:bin:: No such file or directory"},
        {"true", "PATH=/usr/bin:/bin", "/no/such/folder", -ENOENT,
         "can't start true in folder /no/such/folder: No such file or directory"},
    };
    assert_int_equal(file_write("spawn-not-a-program", STR("echo no\n"), 0755, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const argv[] = {cases[i].program, NULL};
        const char *const env[] = {cases[i].path, NULL};
        struct proc_identity id = {.pid = -7};
        struct err err = {0};
        struct spawn_params params = {.argv = argv,
                                      .env = env,
                                      .cwd = cases[i].cwd,
                                      .stdin_fd = -1,
                                      .stdout_fd = -1,
                                      .stderr_fd = -1,
                                      .pass_fd = -1};
        assert_int_equal(spawn(&params, &id, &err), cases[i].code);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(id.pid, -7);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* the failed child was reaped */
    }
    unlink("spawn-not-a-program");
}

/* From here on as on a kernel without close_range(). Can't be undone: the last one but repetitions.
 */
static void test_without_close_range(void **state)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    assert_int_equal(close_range(1000, 1000, 0), -1);
    test_descriptors_are_placed_and_closed(state);
    test_descriptors_may_swap_places(state);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return report_self(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argv_env_and_folder_are_exact),
        cmocka_unit_test(test_descriptors_are_placed_and_closed),
        cmocka_unit_test(test_descriptors_may_swap_places),
        cmocka_unit_test(test_signals_of_the_caller_stay_and_are_reset_in_the_child),
        cmocka_unit_test(test_identity_is_that_of_the_child),
        cmocka_unit_test(test_errors_name_the_program),
        cmocka_unit_test(test_without_close_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
