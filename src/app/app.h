/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands share: exit statuses, how a role gets its configuration, the data folder.
 *
 *     int cmd_gateway(int argc, char **argv)
 *     {
 *         struct config config;
 *         struct err err = {0};
 *         int rc = app_role_config(argc, argv, "gateway", &config, &err);
 *         if (rc != 0)
 *             return rc < 0 ? app_usage_error("gateway", &err) : APP_OK;
 *         ...                                     // app_signals_watch(&signals, loop);
 * loop_run(loop); config_fini(&config);
 */
#pragma once

#include "config/config.h"
#include "io/loop.h"

enum app_exit {
    APP_OK = 0,
    APP_FAILURE = 1,
    APP_USAGE = 2,       /* command line or configuration is at fault */
    APP_BAD_SYSTEM = 78, /* EX_CONFIG: the system isn't as the configuration says: port in use,
                            database refused. At its first start a role that ends with this or
                            APP_USAGE ends the supervisor with the same status. */
};

/* Descriptor on which the supervisor hands over the configuration. */
enum { APP_CONFIG_FD = 3 };

/*
 * Configuration of a role: with "--config-fd N" what the supervisor handed over, else from command
 * line, environment and file, with the data folder prepared. Sets the log's role and level. 0; 1
 * when help was asked for and has been printed: end with APP_OK; negative: app_usage_error().
 * `command` is borrowed for the life of the process.
 */
int app_role_config(int argc, char **argv, const char *command, struct config *ret,
                    struct err *err) must_check;

struct app_signals {
    int argc; /* the role's arguments, for a reload */
    char **argv;
    const char *command;
    struct config *config;      /* SIGHUP reloads it */
    void (*on_stop)(void *ctx); /* SIGTERM and SIGINT, each time */
    void (*on_reload)(void *ctx); /* after SIGHUP, also when nothing was reloaded. Optional */
    void *ctx;
    struct signal_watch *watches[3]; /* set by app_signals_watch() */
};

/* Watches the signals of a role. All but `watches` is set and lives as long. */
void app_signals_watch(struct app_signals *signals, struct loop *loop);

/* Ends the watching; a zeroed one is fine. */
void app_signals_fini(struct app_signals *signals);

/* The same for `gpustack start` and commands without hand-over. Doesn't touch the log. */
int app_load_config(int argc, char **argv, const char *command, struct config *ret,
                    struct err *err) must_check;

/* Writes "gpustack COMMAND: TEXT" to stderr; returns APP_USAGE. */
int app_usage_error(const char *command, const struct err *err);

/*
 * Creates data, cache and log folder and <data-dir>/run, and sees to the token: a server's given
 * one is written to <data-dir>/token, an absent one read from there or made; a worker's absent one
 * is read. The token is in `config` then. ERR_INVALID: a worker without a token.
 */
int app_prepare_data_dir(struct config *config, struct err *err) must_check;

/*
 * Makes this process the only supervisor of the data folder, before anything else is written there:
 * creates the folders, takes the lock on run/supervisor.pid, writes the pid. Returns a
 * descriptor to keep open; ERR_CONFLICT with the holder's pid.
 */
int app_lock_data_dir(const struct config *config, struct err *err) must_check;
