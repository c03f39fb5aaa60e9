/* SPDX-License-Identifier: Apache-2.0 */
#include "app/supervisor.h"

#include "app/app.h"
#include "app/handover.h"
#include "app/ready.h"
#include "proc/process.h"
#include "proc/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
    FIRST_RETRY_MS = 50, /* a gateway that was killed is back within a second */
    LONGEST_RETRY_MS = 10000,
    HEALTHY_MS = 60000, /* after that long the next failure counts as the first */
    HURRY_MS = 2000,
};

/* In the order of stopping; they are started from the last to the first. */
static const struct role {
    const char *name;
    int64_t stop_ms; /* grace until SIGKILL */
    bool with_server, with_worker_only;
} roles[] = {
    {"gateway", 30000, true, false},
    {"worker", PROCESS_TERM_GRACE_MS, true, true},
    {"control", PROCESS_TERM_GRACE_MS, true, false},
};
enum { ROLE_COUNT = ARRAY_LEN(roles) };

struct child {
    struct supervisor *supervisor;
    const struct role *role;
    struct process *process; /* NULL: not running */
    struct timer retry;
    unsigned starts;
    unsigned failures; /* in a row */
    int64_t started_ms;
};

struct supervisor {
    const struct supervisor_params *params;
    struct loop *loop;
    struct handover handover;
    struct child children[ROLE_COUNT];
    const char **environment; /* of the children; the array is owned, its strings aren't */
    struct ready ready;
    struct timer hurry;
    bool is_stopping;
    int exit_status;
};

/* ---- starting ---- */

static void start_child(struct child *child);

/* Our environment without secrets, which go by the hand-over, and without our service manager. */
static const char **make_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    const char **copy = mem_alloc_array(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        if (!config_env_is_secret(environ[i]) && strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
            copy[kept++] = environ[i];
    return copy;
}

static bool is_wanted(const struct role *role, const struct config *config)
{
    if (config->server_url)
        return role->with_worker_only;
    return role->with_server && !(config->disable_worker && role->with_worker_only);
}

static void on_retry(struct timer *timer, void *ctx)
{
    start_child(ctx);
}

static void retry_later(struct child *child, const char *why)
{
    int64_t delay = (int64_t)FIRST_RETRY_MS << child->failures;
    if (delay >= LONGEST_RETRY_MS)
        delay = LONGEST_RETRY_MS;
    else
        child->failures++;
    log_warning("role", "%s: %s; starts again in %lld ms", child->role->name, why,
                (long long)delay);
    timer_start(&child->retry, delay);
}

static void on_child_exit(struct process *process, struct process_exit exit, void *ctx);

static int spawn_child(struct child *child, struct proc_identity *ret, struct err *err)
{
    const struct supervisor *supervisor = child->supervisor;
    const char *data_dir = supervisor->params->config->data_dir;
    const char *argv[] = {"/proc/self/exe", child->role->name, "--config-fd", "3",
                          "--data-dir",     data_dir,          NULL};
    const struct spawn_params params = {
        .argv = argv,
        .env = supervisor->environment,
        .argv0 = "gpustack",
        .stdin_fd = -1,
        .stdout_fd = STDOUT_FILENO,
        .stderr_fd = STDERR_FILENO,
        .pass_fd = supervisor->handover.read_fd,
        .own_session = true, /* the terminal's Ctrl-C comes to us alone: we stop in order */
        .die_with_parent = true,
    };
    return spawn(&params, ret, err);
}

static void start_child(struct child *child)
{
    struct proc_identity id;
    struct err err = {0};
    int rc = spawn_child(child, &id, &err);
    if (rc == 0)
        rc = process_watch(child->supervisor->loop, &id, on_child_exit, child, &child->process);
    if (rc < 0) {
        retry_later(child, err.code ? err.text : err_name(rc));
        return;
    }
    child->starts++;
    child->started_ms = loop_now_ms(child->supervisor->loop);
    log_info("role", "%s: started pid=%d", child->role->name, (int)id.pid);
}

/* ---- stopping ---- */

/* One after the other, in the order of the table; when none is left the loop ends. */
static void stop_next(struct supervisor *supervisor)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        struct child *child = &supervisor->children[i];
        if (child->process) {
            process_stop(child->process, child->role->stop_ms);
            return;
        }
    }
    loop_stop(supervisor->loop);
}

static void begin_stop(struct supervisor *supervisor, int exit_status)
{
    supervisor->is_stopping = true;
    supervisor->exit_status = exit_status;
    ready_notify("STOPPING=1");
    ready_stop(&supervisor->ready);
    for (size_t i = 0; i < ROLE_COUNT; i++)
        timer_stop(&supervisor->children[i].retry);
    stop_next(supervisor);
}

static void kill_children(struct timer *timer, void *ctx)
{
    struct supervisor *supervisor = ctx;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        const struct process *process = supervisor->children[i].process;
        if (process)
            kill(-process_identity(process)->pid, SIGKILL);
    }
}

static void hurry_up(struct supervisor *supervisor)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (supervisor->children[i].process)
            process_stop(supervisor->children[i].process, HURRY_MS);
    if (!timer_is_armed(&supervisor->hurry))
        timer_start(&supervisor->hurry, HURRY_MS);
}

static void on_stop_signal(int signum, void *ctx)
{
    struct supervisor *supervisor = ctx;
    log_info("supervisor", "got SIG%s, %s", sigabbrev_np(signum),
             supervisor->is_stopping ? "stopping at once" : "stopping");
    if (supervisor->is_stopping)
        hurry_up(supervisor);
    else
        begin_stop(supervisor, APP_OK);
}

/* ---- exits of children ---- */

static bool is_ours(const struct supervisor *supervisor, pid_t pid)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        const struct process *process = supervisor->children[i].process;
        if (process && process_identity(process)->pid == pid)
            return true;
    }
    return false;
}

/*
 * Reaps what was left to us by others. A role's exit is for its struct process to take: it is only
 * looked at here, and those behind it are reaped when its exit has been handled.
 */
static void reap_orphans(struct supervisor *supervisor)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
            is_ours(supervisor, info.si_pid))
            return;
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

static void on_child_signal(int signum, void *ctx)
{
    reap_orphans(ctx);
}

/* The role's verdict on configuration or system, at its first start: repeating would not help. */
static bool is_refusal(const struct child *child, struct process_exit exit)
{
    if (child->starts > 1 || !exit.known || !WIFEXITED(exit.status))
        return false;
    return WEXITSTATUS(exit.status) == APP_USAGE || WEXITSTATUS(exit.status) == APP_BAD_SYSTEM;
}

static void on_child_exit(struct process *process, struct process_exit exit, void *ctx)
{
    struct child *child = ctx;
    struct supervisor *supervisor = child->supervisor;
    auto_free char *why = process_exit_text(exit);
    process_free(TAKE(child->process));
    reap_orphans(supervisor);
    if (supervisor->is_stopping) {
        log_info("role", "%s: %s", child->role->name, why);
        stop_next(supervisor);
        return;
    }
    if (is_refusal(child, exit)) {
        log_error("role", "%s: %s at its first start; stopping", child->role->name, why);
        begin_stop(supervisor, WEXITSTATUS(exit.status));
        return;
    }
    if (loop_now_ms(supervisor->loop) - child->started_ms >= HEALTHY_MS)
        child->failures = 0;
    retry_later(child, why);
}

/* ---- reload ---- */

static int load_again(struct supervisor *supervisor, struct config *ret, struct err *err)
{
    const struct supervisor_params *params = supervisor->params;
    int rc = config_load("start", params->argc, params->argv, environ, ret, err);
    if (rc != 0)
        return rc;
    bool same_mode = !ret->server_url == !params->config->server_url;
    if (!same_mode || strcmp(ret->data_dir, params->config->data_dir) != 0)
        rc = err_set(err, ERR_INVALID,
                     "--data-dir and the presence of --server-url can't change while it runs");
    if (rc == 0)
        rc = app_prepare_data_dir(ret, err);
    if (rc == 0)
        rc = handover_update(&supervisor->handover, ret, err);
    if (rc < 0)
        config_fini(ret);
    return rc;
}

static void on_reload_signal(int signum, void *ctx)
{
    struct supervisor *supervisor = ctx;
    if (supervisor->is_stopping)
        return;
    struct config fresh;
    struct err err = {0};
    if (load_again(supervisor, &fresh, &err) < 0) {
        log_error("config", "not reloaded: %s", err.text);
        return;
    }
    config_apply_reload(supervisor->params->config, &fresh);
    log_set_level((enum log_level)supervisor->params->config->log_level);
    config_fini(&fresh);
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (supervisor->children[i].process)
            kill(process_identity(supervisor->children[i].process)->pid, SIGHUP);
    log_info("config", "reloaded");
}

/* ---- life ---- */

static void on_ready(void *ctx)
{
    const struct supervisor *supervisor = ctx;
    const struct config *config = supervisor->params->config;
    auto_free char *url = config_server_url(config);
    if (config->server_url)
        log_info("supervisor", "ready: worker for %s", url);
    else
        log_info("supervisor", "ready: serving at %s", url);
    ready_notify("READY=1");
}

static void start_all(struct supervisor *supervisor)
{
    const struct config *config = supervisor->params->config;
    for (size_t i = ROLE_COUNT; i-- > 0;) {
        struct child *child = &supervisor->children[i];
        *child = (struct child){.supervisor = supervisor, .role = &roles[i]};
        timer_init(&child->retry, supervisor->loop, on_retry, child);
        if (is_wanted(&roles[i], config))
            start_child(child);
    }
    bool is_server = !config->server_url;
    ready_wait(&supervisor->ready, supervisor->loop,
               is_server ? config_local_host(config) : "127.0.0.1",
               (unsigned)(is_server ? config->port : config->worker_port), on_ready, supervisor);
}

static void run_loop(struct supervisor *supervisor)
{
    static const struct {
        int signum;
        void (*cb)(int signum, void *ctx);
    } signals[] = {{SIGTERM, on_stop_signal},
                   {SIGINT, on_stop_signal},
                   {SIGHUP, on_reload_signal},
                   {SIGCHLD, on_child_signal}};
    struct signal_watch *watches[ARRAY_LEN(signals)];
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        watches[i] =
            signal_watch_new(supervisor->loop, signals[i].signum, signals[i].cb, supervisor);
    timer_init(&supervisor->hurry, supervisor->loop, kill_children, supervisor);
    start_all(supervisor);
    loop_run(supervisor->loop);
    timer_stop(&supervisor->hurry);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        signal_watch_free(watches[i]);
}

int supervisor_run(const struct supervisor_params *params)
{
    struct supervisor supervisor = {.params = params};
    struct err err = {0};
    if (handover_init(&supervisor.handover, params->config, &err) < 0) {
        log_error("supervisor", "%s", err.text);
        return APP_FAILURE;
    }
    /* Engines whose worker died come to us instead of to PID 1, which in a container may be us. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    supervisor.environment = make_environment();
    supervisor.loop = loop_new(&clock_system);
    run_loop(&supervisor);
    loop_free(supervisor.loop);
    free(supervisor.environment);
    handover_fini(&supervisor.handover);
    return supervisor.exit_status;
}
