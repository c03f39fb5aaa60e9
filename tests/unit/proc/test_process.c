/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/process.h"

#include "base/num.h"
#include "proc/identity_priv.h"
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* A loop and the one process that it watches. */
struct fixture {
    struct loop *loop;
    struct process *process;
    unsigned exits;
    struct process_exit exit;
    bool group_was_alive; /* at the time of on_exit() */
    bool frees_inside;    /* on_exit() frees the process */
};

static void on_exit_event(struct process *process, struct process_exit exit, void *ctx)
{
    struct fixture *f = ctx;
    f->exits++;
    f->exit = exit;
    f->group_was_alive = proc_group_is_alive(process_identity(process));
    if (f->frees_inside)
        process_free(TAKE(f->process));
    loop_stop(f->loop);
}

static struct fixture make(void)
{
    return (struct fixture){.loop = loop_new(&clock_system)};
}

static void unmake(struct fixture *f)
{
    process_free(f->process);
    loop_free(f->loop);
}

/* Starts `sh -c script`, reads the first line that it prints (as a number) and watches it. */
static struct proc_identity start(const char *script, int64_t *ret_line)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    int fds[2];
    struct proc_identity id;
    struct err err = {0};
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct spawn_params params = {.argv = argv,
                                  .env = env,
                                  .stdin_fd = -1,
                                  .stdout_fd = fds[1],
                                  .stderr_fd = 2,
                                  .pass_fd = -1,
                                  .own_session = true};
    if (spawn(&params, &id, &err) < 0)
        fail_msg("%s", err.text);
    close(fds[1]);
    char line[32];
    ssize_t n = ret_line ? read(fds[0], line, sizeof line) : 0;
    if (ret_line)
        assert_int_equal(num_parse_i64(str_trim(str_sub(line, (size_t)n)), 0, INT64_MAX, ret_line),
                         0);
    close(fds[0]);
    return id;
}

static void watch(struct fixture *f, const struct proc_identity *id)
{
    assert_int_equal(process_watch(f->loop, id, on_exit_event, f, &f->process), 0);
    assert_int_equal(f->exits, 0);
}

static void expect_text(struct process_exit exit, const char *text)
{
    auto_free char *got = process_exit_text(exit);
    assert_string_equal(got, text);
}

/* Nothing of ours is left: neither a process nor a zombie. */
static void expect_reaped(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_exit_comes_with_its_code(void **state)
{
    static const struct {
        const char *script, *text;
    } cases[] = {
        {"exit 0", "exit status 0"},
        {"exit 3", "exit status 3"},
        {"kill -9 $$", "killed by signal 9 (KILL)"},
        {"kill -11 $$", "killed by signal 11 (SEGV)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f = make();
        struct proc_identity id = start(cases[i].script, NULL);
        watch(&f, &id);
        loop_run(f.loop);
        assert_int_equal(f.exits, 1);
        expect_text(f.exit, cases[i].text);
        expect_reaped();
        unmake(&f);
    }
}

static void test_exit_before_the_watch_comes_too(void **state)
{
    struct fixture f = make();
    struct proc_identity id = start("exit 4", NULL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)id.pid, &info, WEXITED | WNOWAIT), 0);
    f.frees_inside = true;
    watch(&f, &id);
    loop_run(f.loop);
    expect_text(f.exit, "exit status 4");
    assert_null(f.process);
    expect_reaped();
    unmake(&f);
}

/* A process of a parent that is gone: what an engine is after the worker's restart. */
static struct proc_identity start_orphan(const char *script)
{
    int fds[2];
    struct proc_identity id;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t middle = fork();
    if (middle == 0) {
        id = start(script, NULL);
        _exit(write(fds[1], &id, sizeof id) == sizeof id ? 0 : 1);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &id, sizeof id), sizeof id);
    close(fds[0]);
    assert_int_equal(waitpid(middle, NULL, 0), middle);
    return id;
}

static void test_adopted_process_ends_with_unknown_status(void **state)
{
    struct fixture f = make();
    struct proc_identity id = start_orphan("exec sleep 1000");
    watch(&f, &id);
    assert_false(process_is_stopping(f.process));
    process_stop(f.process, PROCESS_TERM_GRACE_MS);
    assert_true(process_is_stopping(f.process));
    process_stop(f.process, 0);
    loop_run(f.loop);
    assert_int_equal(f.exits, 1);
    assert_false(f.exit.known);
    expect_text(f.exit, "ended (exit status unknown, it was adopted)");
    assert_false(proc_is_alive(&id));
    struct process *again = NULL;
    assert_int_equal(process_watch(f.loop, &id, on_exit_event, &f, &again), -ESRCH);
    assert_null(again);
    unmake(&f);
}

static void test_term_is_enough_for_most(void **state)
{
    struct fixture f = make();
    int64_t ready;
    struct proc_identity id =
        start("trap 'kill $!; exit 7' TERM; sleep 1000 & echo 1; wait", &ready);
    watch(&f, &id);
    process_stop(f.process, PROCESS_TERM_GRACE_MS);
    loop_run(f.loop);
    expect_text(f.exit, "exit status 7");
    assert_false(f.group_was_alive);
    expect_reaped();
    unmake(&f);
}

static void test_who_ignores_term_is_killed(void **state)
{
    struct fixture f = make();
    int64_t ready;
    struct proc_identity id = start("trap '' TERM; echo 1; while :; do sleep 1000; done", &ready);
    watch(&f, &id);
    process_stop(f.process, 20);
    loop_run(f.loop);
    expect_text(f.exit, "killed by signal 9 (KILL)");
    assert_false(f.group_was_alive);
    expect_reaped();
    unmake(&f);
}

/* The leader's child prints its pid, ignores TERM and stays when the leader goes. */
static const char leaves_grandchild[] =
    "(trap '' TERM; sh -c 'echo $PPID; exec sleep 1000') & exec sleep 1000";

static void test_grandchild_that_stays_is_killed_before_the_event(void **state)
{
    struct fixture f = make();
    int64_t pid;
    struct proc_identity id = start(leaves_grandchild, &pid), grandchild;
    assert_int_equal(proc_identify((pid_t)pid, &grandchild), 0);
    watch(&f, &id);
    process_stop(f.process, 20);
    loop_run(f.loop);
    expect_text(f.exit, "killed by signal 15 (TERM)"); /* the leader went when it was asked to */
    assert_false(f.group_was_alive);
    assert_false(proc_is_alive(&grandchild));
    unmake(&f);
}

static void test_leader_that_crashes_leaves_nobody(void **state)
{
    struct fixture f = make();
    int64_t pid;
    struct proc_identity id = start(leaves_grandchild, &pid), grandchild;
    assert_int_equal(proc_identify((pid_t)pid, &grandchild), 0);
    watch(&f, &id);
    kill(id.pid, SIGSEGV);
    loop_run(f.loop);
    expect_text(f.exit, "killed by signal 11 (SEGV)");
    assert_false(process_is_stopping(f.process));
    assert_false(f.group_was_alive);
    assert_false(proc_is_alive(&grandchild));
    unmake(&f);
}

static void test_recycled_pid_is_left_alone(void **state)
{
    struct fixture f = make();
    struct proc_identity id = start("exec sleep 1000", NULL), former = id, other_boot = id;
    former.start_ticks--;
    other_boot.boot_id[0] ^= 1;
    assert_int_equal(process_watch(f.loop, &former, on_exit_event, &f, &f.process), -ESRCH);
    assert_int_equal(process_watch(f.loop, &other_boot, on_exit_event, &f, &f.process), -ESRCH);
    assert_null(f.process);
    assert_true(proc_is_alive(&id));
    kill(id.pid, SIGKILL);
    waitpid(id.pid, NULL, 0);
    assert_int_equal(process_watch(f.loop, &id, on_exit_event, &f, &f.process), -ESRCH);
    unmake(&f);
}

static void test_free_leaves_it_running(void **state)
{
    struct fixture f = make();
    struct proc_identity id = start("exec sleep 1000", NULL);
    watch(&f, &id);
    process_free(TAKE(f.process));
    assert_true(proc_is_alive(&id));
    unmake(&f);
    kill(id.pid, SIGKILL);
    waitpid(id.pid, NULL, 0);
}

/* A helper without a session of its own: its group is ours and must not be signalled. */
static void test_helper_in_our_group_is_stopped_alone(void **state)
{
    const char *const argv[] = {"sleep", "1000", NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct spawn_params params = {.argv = argv,
                                  .env = env,
                                  .stdin_fd = -1,
                                  .stdout_fd = -1,
                                  .stderr_fd = -1,
                                  .pass_fd = -1,
                                  .die_with_parent = true};
    struct fixture f = make();
    struct proc_identity helper, sibling;
    assert_int_equal(spawn(&params, &helper, NULL), 0);
    assert_int_equal(spawn(&params, &sibling, NULL), 0);
    watch(&f, &helper);
    process_stop(f.process, PROCESS_TERM_GRACE_MS);
    loop_run(f.loop);
    expect_text(f.exit, "killed by signal 15 (TERM)");
    assert_true(proc_is_alive(&sibling));
    unmake(&f);
    kill(sibling.pid, SIGKILL);
    waitpid(sibling.pid, NULL, 0);
}

/* From here on as on a kernel without pidfd_open(): all of the above once more, by polling. */
static void test_without_pidfd(void **state)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    assert_int_equal(syscall(SYS_pidfd_open, getpid(), 0), -1);
    test_exit_comes_with_its_code(state);
    test_exit_before_the_watch_comes_too(state);
    test_adopted_process_ends_with_unknown_status(state);
    test_who_ignores_term_is_killed(state);
    test_grandchild_that_stays_is_killed_before_the_event(state);
    test_leader_that_crashes_leaves_nobody(state);
    test_recycled_pid_is_left_alone(state);
    test_free_leaves_it_running(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_comes_with_its_code),
        cmocka_unit_test(test_exit_before_the_watch_comes_too),
        cmocka_unit_test(test_adopted_process_ends_with_unknown_status),
        cmocka_unit_test(test_term_is_enough_for_most),
        cmocka_unit_test(test_who_ignores_term_is_killed),
        cmocka_unit_test(test_grandchild_that_stays_is_killed_before_the_event),
        cmocka_unit_test(test_leader_that_crashes_leaves_nobody),
        cmocka_unit_test(test_recycled_pid_is_left_alone),
        cmocka_unit_test(test_free_leaves_it_running),
        cmocka_unit_test(test_helper_in_our_group_is_stopped_alone),
        cmocka_unit_test(test_without_pidfd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
