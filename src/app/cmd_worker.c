/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack worker`: the node agent. Ends at once on SIGTERM; its engines go on. */
#include "app/app.h"
#include "app/command.h"
#include "base/log.h"
#include "worker/worker.h"

/* The same binary, also when the file was replaced by an update meanwhile. */
#define OWN_PROGRAM "/proc/self/exe"

struct worker_command {
    struct config config;
    struct loop *loop;
    struct app_signals signals;
    const char *prober_argv[5];
};

static void on_stop(void *ctx)
{
    struct worker_command *command = ctx;
    loop_stop(command->loop);
}

static void set_prober_argv(struct worker_command *command)
{
    const char **argv = command->prober_argv;
    *argv++ = OWN_PROGRAM;
    *argv++ = "prober";
    if (command->config.fake_devices) {
        *argv++ = "--fake-devices";
        *argv++ = command->config.fake_devices;
    }
    *argv = NULL;
}

static int run(struct worker_command *command)
{
    struct worker_role *role;
    struct err err = {0};
    command->loop = loop_new(&clock_system);
    set_prober_argv(command);
    if (worker_role_new(command->loop, &command->config, command->prober_argv, &role, &err) < 0) {
        log_error("worker", "can't start: %s", err.text);
        return APP_BAD_SYSTEM;
    }
    app_signals_watch(&command->signals, command->loop);
    loop_run(command->loop);
    log_info("worker", "stopping; engines go on");
    worker_role_free(role);
    return APP_OK;
}

int cmd_worker(int argc, char **argv)
{
    struct worker_command command = {0};
    struct err err = {0};
    int rc = app_role_config(argc, argv, "worker", &command.config, &err);
    if (rc != 0)
        return rc < 0 ? app_usage_error("worker", &err) : APP_OK;
    command.signals =
        (struct app_signals){argc, argv, "worker", &command.config, on_stop, &command, NULL, {0}};
    /*
     * Not exit(): that would wait for a pool thread, which may hang in a dead network file system.
     */
    _exit(run(&command));
}
