/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/spawn.h"

#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "proc/identity_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

enum { CHILD_PASSED_FD = 3, CHILD_UMASK = 0077 };

/* What failed in the child; goes through the report pipe. */
enum child_step { STEP_DESCRIPTORS, STEP_FOLDER, STEP_EXEC };

struct child_report {
    enum child_step step;
    int error;
};

/* All that the child needs, prepared before the fork: there it may neither allocate nor look up. */
struct child_plan {
    const struct spawn_params *params;
    const char *program; /* path for execve() */
    char *const *argv, *const *env;
    int sources[4]; /* what becomes 0, 1, 2 and 3; the last one may be -1 */
    int report_fd;
    int highest_fd; /* of this process; for kernels without close_range() */
    pid_t parent;
};

/* ---- in the child: async-signal-safe calls only ---- */

static noreturn void child_fail(int report_fd, enum child_step step)
{
    struct child_report report = {step, errno};
    ssize_t written = write(report_fd, &report, sizeof report);
    (void)written; /* when the parent is gone nobody is left to tell */
    _exit(127);
}

static void child_reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int signum = 1; signum < NSIG; signum++)
        sigaction(signum, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_close_from(unsigned first, int highest)
{
    if (close_range(first, ~0U, 0) == 0)
        return;
    for (int fd = (int)first; fd <= highest; fd++)
        close(fd);
}

/*
 * Puts the sources at 0-3, the report pipe right behind them, and closes the rest. All are moved
 * out of the way first: a source may be a number that is a target.
 */
static void child_place_descriptors(const struct child_plan *plan)
{
    int targets = plan->sources[CHILD_PASSED_FD] < 0 ? CHILD_PASSED_FD : CHILD_PASSED_FD + 1;
    int moved[4];
    int report_fd = fcntl(plan->report_fd, F_DUPFD_CLOEXEC, targets + 1);
    if (report_fd < 0)
        child_fail(plan->report_fd, STEP_DESCRIPTORS);
    for (int i = 0; i < targets; i++) {
        moved[i] = fcntl(plan->sources[i], F_DUPFD_CLOEXEC, targets + 1);
        if (moved[i] < 0)
            child_fail(report_fd, STEP_DESCRIPTORS);
    }
    for (int i = 0; i < targets; i++)
        if (dup2(moved[i], i) < 0)
            child_fail(report_fd, STEP_DESCRIPTORS);
    if (dup3(report_fd, targets, O_CLOEXEC) < 0)
        child_fail(report_fd, STEP_DESCRIPTORS);
    int highest = plan->highest_fd > moved[targets - 1] ? plan->highest_fd : moved[targets - 1];
    child_close_from((unsigned)targets + 1, highest);
}

static noreturn void child_run(const struct child_plan *plan)
{
    const struct spawn_params *params = plan->params;
    int report_fd = plan->sources[CHILD_PASSED_FD] < 0 ? CHILD_PASSED_FD : CHILD_PASSED_FD + 1;
    child_reset_signals();
    if (params->own_session)
        setsid();
    if (params->die_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* The parent may have ended before the line above: then no signal will ever come. */
        if (getppid() != plan->parent)
            _exit(127);
    }
    child_place_descriptors(plan);
    umask(CHILD_UMASK);
    if (params->cwd && chdir(params->cwd) < 0)
        child_fail(report_fd, STEP_FOLDER);
    execve(plan->program, plan->argv, plan->env);
    child_fail(report_fd, STEP_EXEC);
}

/* ---- in the parent ---- */

static const char *find_path_variable(const char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return default_path;
}

/* The descriptors of now; those of other threads that open one meanwhile have close-on-exec. */
static int find_highest_fd(void)
{
    int highest = CHILD_PASSED_FD;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return highest;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        int64_t fd;
        if (num_parse_i64(str_of(entry->d_name), highest, INT_MAX, &fd) == 0)
            highest = (int)fd;
    }
    closedir(dir);
    return highest;
}

/* The argument array with the name that ps is to show. The strings are borrowed. */
static char **copy_argv(const struct spawn_params *params)
{
    size_t count = 0;
    while (params->argv[count])
        count++;
    char **copy = mem_alloc_array(count + 1, sizeof *copy);
    memcpy(copy, params->argv, count * sizeof *copy);
    if (params->argv0)
        copy[0] = (char *)(uintptr_t)params->argv0;
    return copy;
}

/* Forks with all signals blocked, so that no handler of ours ever runs in the child. */
static pid_t fork_child(const struct child_plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        child_run(plan);
    int fault = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = fault;
    return pid;
}

/* Waits for the exec: true when the pipe was closed by it, else the child's report is in `ret`. */
static bool was_started(int report_fd, struct child_report *ret)
{
    ssize_t n;
    do
        n = read(report_fd, ret, sizeof *ret);
    while (n < 0 && errno == EINTR);
    return n != (ssize_t)sizeof *ret;
}

static int report_error(const struct spawn_params *params, struct child_report report,
                        struct err *err)
{
    switch (report.step) {
    case STEP_FOLDER:
        return err_errno(err, report.error, "can't start %s in folder %s", params->argv[0],
                         params->cwd);
    case STEP_DESCRIPTORS:
        return err_errno(err, report.error, "can't pass descriptors to %s", params->argv[0]);
    case STEP_EXEC:
        break;
    }
    return err_errno(err, report.error, "can't run %s", params->argv[0]);
}

/* The child may have ended already: nobody has reaped it, so its start time is still there. */
static int identify_child(const char *name, pid_t pid, struct proc_identity *ret, struct err *err)
{
    struct proc_stat stat;
    int rc = proc_stat_read(pid, &stat);
    if (rc < 0)
        return err_errno(err, -rc, "can't read the start time of %s (pid %d)", name, (int)pid);
    *ret = stat.id;
    return 0;
}

/* Forks and waits for the exec. Closes the pipe. */
static int start(struct child_plan *plan, struct proc_identity *ret, struct err *err)
{
    const char *name = plan->params->argv[0];
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "can't make a pipe for %s", name);
    plan->report_fd = fds[1];
    plan->highest_fd = find_highest_fd();
    pid_t pid = fork_child(plan);
    int fault = errno;
    close(fds[1]);
    auto_close int report_fd = fds[0];
    if (pid < 0)
        return err_errno(err, fault, "can't fork for %s", name);
    struct child_report report;
    if (was_started(report_fd, &report))
        return identify_child(name, pid, ret, err);
    waitpid(pid, NULL, 0);
    return report_error(plan->params, report, err);
}

int spawn(const struct spawn_params *params, struct proc_identity *ret, struct err *err)
{
    const char *path = find_path_variable(params->env);
    auto_free char *program = program_find(params->argv[0], path);
    if (!program && strchr(params->argv[0], '/'))
        return err_errno(err, errno, "can't run %s", params->argv[0]);
    if (!program)
        return err_errno(err, errno, "can't run %s, looked for on PATH %s", params->argv[0], path);
    auto_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return err_errno(err, errno, "can't open /dev/null");
    auto_free char **argv = copy_argv(params);
    int stdout_fd = params->stdout_fd < 0 ? null_fd : params->stdout_fd;
    struct child_plan plan = {
        .params = params,
        .program = program,
        .argv = argv,
        .env = (char *const *)(uintptr_t)params->env, /* execve() takes it without const */
        .sources = {params->stdin_fd < 0 ? null_fd : params->stdin_fd, stdout_fd,
                    params->stderr_fd < 0 ? stdout_fd : params->stderr_fd, params->pass_fd},
        .parent = getpid(),
    };
    return start(&plan, ret, err);
}
