/* SPDX-License-Identifier: Apache-2.0 */
/* How a role gets its configuration, at its start and on SIGHUP. */
#include "app/app.h"
#include "app/handover.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

int app_usage_error(const char *command, const struct err *err)
{
    fprintf(stderr, "gpustack %s: %s\n", command, err->text);
    return APP_USAGE;
}

int app_load_config(int argc, char **argv, const char *command, struct config *ret, struct err *err)
{
    int rc = config_load(command, argc, argv, environ, ret, err);
    if (rc == 1) {
        auto_free char *help = config_help(command);
        fputs(help, stdout);
    }
    return rc;
}

/* The number behind "--config-fd"; -1 when the role was started by hand. */
static int config_fd(int argc, char **argv)
{
    int64_t fd;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--config-fd") == 0 &&
            num_parse_i64(str_of(argv[i + 1]), APP_CONFIG_FD, APP_CONFIG_FD, &fd) == 0)
            return (int)fd;
    return -1;
}

static int read_config(int argc, char **argv, const char *command, struct config *ret,
                       struct err *err)
{
    int fd = config_fd(argc, argv);
    if (fd >= 0) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* when it isn't open, reading says so */
        return handover_read(fd, ret, err);
    }
    int rc = app_load_config(argc, argv, command, ret, err);
    if (rc != 0)
        return rc;
    rc = app_prepare_data_dir(ret, err);
    if (rc < 0)
        config_fini(ret);
    return rc;
}

int app_role_config(int argc, char **argv, const char *command, struct config *ret, struct err *err)
{
    int rc = read_config(argc, argv, command, ret, err);
    if (rc != 0)
        return rc;
    log_set_role(command);
    log_set_level((enum log_level)ret->log_level);
    return 0;
}

static void reload(struct app_signals *signals)
{
    struct config fresh;
    struct err err = {0};
    if (read_config(signals->argc, signals->argv, signals->command, &fresh, &err) != 0) {
        log_error("config", "nothing was reloaded: %s", err.text);
        return;
    }
    config_apply_reload(signals->config, &fresh);
    log_set_level((enum log_level)signals->config->log_level);
    config_fini(&fresh);
}

static void on_signal(int signum, void *ctx)
{
    struct app_signals *signals = ctx;
    if (signum != SIGHUP) {
        signals->on_stop(signals->ctx);
        return;
    }
    reload(signals);
    if (signals->on_reload)
        signals->on_reload(signals->ctx);
}

void app_signals_watch(struct app_signals *signals, struct loop *loop)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < ARRAY_LEN(signums); i++)
        signals->watches[i] = signal_watch_new(loop, signums[i], on_signal, signals);
}

void app_signals_fini(struct app_signals *signals)
{
    for (size_t i = 0; i < ARRAY_LEN(signals->watches); i++)
        signal_watch_free(signals->watches[i]);
}
