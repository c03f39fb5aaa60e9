/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/process.h"

#include "proc/identity_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    LEADER_POLL_MS = 500, /* looks for the leader where the kernel has no pidfd_open() */
    GROUP_POLL_MS = 100,  /* looks for what the leader left behind: that gives no event */
    KILL_AGAIN_MS = 1000,
};

struct process {
    struct loop *loop;
    struct proc_identity id;
    process_exit_cb *on_exit;
    void *ctx;
    int pidfd;           /* -1: the leader is polled for */
    struct watch *watch; /* of pidfd */
    struct timer poll;   /* next look for the leader, or for the group when that is gone */
    struct timer kill;   /* next SIGKILL */
    bool is_child;
    bool owns_group;
    bool is_stopping;
    bool leader_gone; /* dead; when it is our child it is still unreaped and so keeps its pid */
};

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

/* Signals who is meant and nobody else: the identity is looked at each time. */
static void send_signal(const struct process *process, int signum)
{
    if (process->owns_group && proc_group_is_alive(&process->id))
        kill(-process->id.pid, signum);
    else if (!process->owns_group && proc_is_alive(&process->id))
        kill(process->id.pid, signum);
}

static struct process_exit reap(const struct process *process)
{
    siginfo_t info = {0};
    if (!process->is_child || waitid(P_PID, (id_t)process->id.pid, &info, WEXITED | WNOHANG) < 0 ||
        info.si_pid == 0)
        return (struct process_exit){0};
    if (info.si_code == CLD_EXITED)
        return (struct process_exit){.known = true, .status = W_EXITCODE(info.si_status, 0)};
    return (struct process_exit){.known = true, .status = W_EXITCODE(0, info.si_status)};
}

/* The end of the ladder: the leader and its group are gone. The callback may free `process`. */
static void finish(struct process *process)
{
    timer_stop(&process->poll);
    timer_stop(&process->kill);
    struct process_exit exit = reap(process);
    process->is_child = false;
    process->on_exit(process, exit, process->ctx);
}

static void look_at_group(struct process *process)
{
    if (process->owns_group && proc_group_is_alive(&process->id))
        timer_start(&process->poll, GROUP_POLL_MS);
    else
        finish(process);
}

static void stop_watching(struct process *process)
{
    watch_free(TAKE(process->watch));
    if (process->pidfd >= 0)
        close(process->pidfd);
    process->pidfd = -1;
}

static void leader_ended(struct process *process)
{
    stop_watching(process);
    process->leader_gone = true;
    /* What a crashed leader leaves behind holds its port and its devices, and serves nobody. */
    if (!process->is_stopping)
        timer_start(&process->kill, 0);
    look_at_group(process);
}

static void on_pidfd(struct watch *watch, unsigned events, void *ctx)
{
    leader_ended(ctx);
}

static void on_poll(struct timer *timer, void *ctx)
{
    struct process *process = ctx;
    if (process->leader_gone)
        look_at_group(process);
    else if (proc_is_alive(&process->id))
        timer_start(&process->poll, LEADER_POLL_MS);
    else
        leader_ended(process);
}

static void on_kill(struct timer *timer, void *ctx)
{
    struct process *process = ctx;
    send_signal(process, SIGKILL);
    timer_start(&process->kill, KILL_AGAIN_MS);
}

/*
 * Whether `id` is there to be watched: alive, or our own child that waits to be reaped. Called when
 * the pidfd is open, which then can't be that of a later process.
 */
static int look_at_leader(const struct proc_identity *id, struct process *ret)
{
    struct proc_stat stat;
    int rc = proc_stat_read(id->pid, &stat);
    if (rc < 0)
        return rc;
    ret->is_child = stat.parent == getpid();
    ret->owns_group = stat.group == id->pid;
    if (!proc_identity_is_same(&stat.id, id) || (stat.is_zombie && !ret->is_child))
        return -ESRCH;
    return 0;
}

int process_watch(struct loop *loop, const struct proc_identity *id, process_exit_cb *on_exit,
                  void *ctx, struct process **ret)
{
    int pidfd = open_pidfd(id->pid);
    if (pidfd == -ESRCH)
        return -ESRCH;
    struct process found = {.loop = loop, .id = *id, .on_exit = on_exit, .ctx = ctx};
    /* Any other failure means polling: no such call, one that a sandbox forbids, no descriptors. */
    found.pidfd = pidfd < 0 ? -1 : pidfd;
    int rc = look_at_leader(id, &found);
    if (rc < 0) {
        stop_watching(&found);
        return rc;
    }
    struct process *process = mem_alloc(sizeof *process);
    *process = found;
    timer_init(&process->poll, loop, on_poll, process);
    timer_init(&process->kill, loop, on_kill, process);
    if (process->pidfd >= 0) {
        process->watch = watch_new(loop, process->pidfd, on_pidfd, process);
        watch_set(process->watch, WATCH_READ);
    } else {
        timer_start(&process->poll, 0);
    }
    *ret = process;
    return 0;
}

const struct proc_identity *process_identity(const struct process *process)
{
    return &process->id;
}

void process_stop(struct process *process, int64_t grace_ms)
{
    if (process->is_stopping)
        return;
    process->is_stopping = true;
    if (process->leader_gone)
        return;
    send_signal(process, SIGTERM);
    timer_start(&process->kill, grace_ms);
}

bool process_is_stopping(const struct process *process)
{
    return process->is_stopping;
}

void process_free(struct process *process)
{
    if (!process)
        return;
    stop_watching(process);
    timer_stop(&process->poll);
    timer_stop(&process->kill);
    if (process->leader_gone)
        (void)reap(process);
    free(process);
}

char *process_exit_text(struct process_exit exit)
{
    if (!exit.known)
        return mem_strdup("ended (exit status unknown, it was adopted)");
    if (WIFEXITED(exit.status))
        return mem_printf("exit status %d", WEXITSTATUS(exit.status));
    int signum = WTERMSIG(exit.status);
    return mem_printf("killed by signal %d (%s)", signum, sigabbrev_np(signum) ?: "?");
}
